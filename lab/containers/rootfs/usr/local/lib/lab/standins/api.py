# SPDX-License-Identifier: Apache-2.0
"""A small Kubernetes API that the real kubectl can talk to.

It knows the resources of store.py, client certificates of the cluster's CA,
bootstrap tokens, and about as much of who may do what as the node program
depends on. It signs approved requests and notices silent kubelets, which
are the controller manager's doings.
"""

import base64
import calendar
import hmac
import http.server
import json
import pathlib
import re
import ssl
import threading
import time
from urllib import parse

from standins import discovery
from standins import pki
from standins import record
from standins import store as store_module

PKI = pathlib.Path("/etc/kubernetes/pki")
DATA = pathlib.Path("/var/lib/etcd/data/member/standin.json")
SILENT_SECONDS = 40
WATCH_SECONDS = 20
PROTOBUF = b"k8s\x00"
HEALTH = ("/healthz", "/livez", "/readyz")
ADMINS = {"system:masters", "kubeadm:cluster-admins"}
JOINERS = "system:bootstrappers:kubeadm:default-node-token"
PATH = re.compile(
    r"/(?:api/v1|apis/(?P<group>[^/]+)/v1)"
    r"(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<resource>[a-z]+)(?:/(?P<name>[^/]+))?(?:/(?P<part>[a-z]+))?$"
)


class Refused(Exception):
    """An answer that is no success."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason


class Server(http.server.ThreadingHTTPServer):
    """The API server of one control-plane member."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, port: int) -> None:
        super().__init__(("0.0.0.0", port), Handler)
        self.store = store_module.Store(DATA)
        self.authority = pki.Authority(
            (PKI / "ca.crt").read_bytes(), (PKI / "ca.key").read_bytes()
        )
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(
            PKI / "apiserver.crt", PKI / "apiserver.key"
        )
        self._context.verify_mode = ssl.CERT_OPTIONAL
        self._context.load_verify_locations(PKI / "ca.crt")

    def finish_request(self, request, client_address) -> None:
        request.settimeout(60)
        try:
            secure = self._context.wrap_socket(request, server_side=True)
        except OSError:
            return
        super().finish_request(secure, client_address)
        secure.close()


class Handler(http.server.BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"

    def log_message(self, format, *args) -> None:
        """Be quiet: paths hold names of token secrets."""

    def do_GET(self) -> None:
        self._answer("get")

    def do_POST(self) -> None:
        self._answer("create")

    def do_PUT(self) -> None:
        self._answer("update")

    def do_PATCH(self) -> None:
        self._answer("patch")

    def do_DELETE(self) -> None:
        self._answer("delete")

    def _answer(self, verb: str) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        raw = self.rfile.read(length)
        try:
            code, body = self._serve(verb, raw)
        except Refused as exc:
            code, body = exc.code, status(exc.code, exc.reason, str(exc))
        text = body if isinstance(body, str) else json.dumps(body)
        kind = "text/plain" if type(body) is str else "application/json"
        content = text.encode()
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _serve(self, verb: str, raw: bytes):
        address = parse.urlsplit(self.path)
        query = dict(parse.parse_qsl(address.query))
        if address.path in HEALTH:
            return 200, "ok"
        user, groups = self._who()
        if address.path == "/version":
            version = record.version()
            major, minor = version.removeprefix("v").split(".")[:2]
            return 200, {
                "gitVersion": version,
                "major": major,
                "minor": minor,
            }
        found = discovery.document(address.path)
        if found is not None:
            return 200, found
        match = PATH.match(address.path)
        if not match or match["resource"] not in store_module.RESOURCES:
            raise Refused(404, "NotFound", f"no resource {address.path}")
        allow(user, groups, verb, match)
        body = parse_body(raw, match["part"])
        return Action(self.server, user, groups, match, query).run(verb, body)

    def _who(self) -> tuple[str, set[str]]:
        """Return user and groups."""
        header = self.headers.get("Authorization") or ""
        certificate = self.connection.getpeercert()
        if certificate:
            names = [pair for part in certificate["subject"] for pair in part]
            user = next(v for k, v in names if k == "commonName")
            return user, {v for k, v in names if k == "organizationName"}
        if header.startswith("Bearer "):
            return self._bearer(header.removeprefix("Bearer ").strip())
        raise Refused(401, "Unauthorized", "Unauthorized")

    def _bearer(self, token: str) -> tuple[str, set[str]]:
        number, _, secret = token.partition(".")
        found = self.server.store.read(
            "secrets", "kube-system", f"bootstrap-token-{number}"
        )
        data = {
            key: base64.b64decode(value).decode()
            for key, value in ((found or {}).get("data") or {}).items()
        }
        expires = data.get("expiration", "")
        if (
            not data
            or not hmac.compare_digest(data.get("token-secret", ""), secret)
            or (expires and expires < store_module.now())
        ):
            raise Refused(401, "Unauthorized", "Unauthorized")
        groups = set(data.get("auth-extra-groups", "").split(","))
        return (
            f"system:bootstrap:{number}",
            groups | {"system:bootstrappers"},
        )


class Events(str):
    """The events of a watch, one JSON document after the other."""


class Action:
    """One allowed request."""

    def __init__(self, server, user, groups, match, query) -> None:
        self._server = server
        self._store = server.store
        self._user = user
        self._groups = groups
        self._resource = match["resource"]
        self._namespace = match["namespace"] or ""
        self._name = parse.unquote(match["name"] or "")
        self._part = match["part"] or ""
        self._query = query

    def run(self, verb: str, body):
        if verb == "get":
            if self._query.get("watch") in ("1", "true"):
                return 200, self._watch()
            return 200, self._read() if self._name else self._list()
        if verb == "create":
            return 201, self._create(body)
        if verb == "delete":
            return 200, self._delete()
        if verb == "patch" and "force" in self._query and not self._exists():
            # Of a server-side apply, which makes what is not there.
            return 201, self._create(body)
        current = self._read()
        if verb == "patch":
            body = store_module.merge(current, body)
        elif self._part == "approval":
            body = self._sign(current, body)
        for key in ("uid", "creationTimestamp"):
            body["metadata"][key] = current["metadata"][key]
        return 200, self._write(body)

    def _exists(self) -> bool:
        found = self._store.read(self._resource, self._namespace, self._name)
        return found is not None

    def _read(self) -> dict:
        found = self._store.read(self._resource, self._namespace, self._name)
        if found is None:
            raise Refused(
                404, "NotFound", f'{self._resource} "{self._name}" not found'
            )
        return watched(found)

    def _list(self) -> dict:
        items = self._store.list(self._resource, self._namespace)
        items = store_module.select(
            items, self._query.get("fieldSelector", "")
        )
        return {
            "apiVersion": store_module.api_version(self._resource),
            "kind": store_module.RESOURCES[self._resource][2] + "List",
            "metadata": {"resourceVersion": self._store.number},
            "items": [watched(one) for one in items],
        }

    def _watch(self) -> Events:
        """Return what changed once something has, or nothing after a while.

        Then the watch ends, as those of the real API server do, too.
        """
        since = int(self._query.get("resourceVersion") or 0)
        end = time.monotonic() + WATCH_SECONDS
        while True:
            found = [
                {"type": "MODIFIED", "object": one}
                for one in self._store.list(self._resource, self._namespace)
                if int(one["metadata"]["resourceVersion"]) > since
            ]
            if found or time.monotonic() > end:
                return Events("".join(json.dumps(one) for one in found))
            time.sleep(0.2)

    def _create(self, body: dict) -> dict:
        name = body["metadata"].get("name", "")
        if self._resource == "pods" and self._part == "eviction":
            self._store.delete("pods", self._namespace, self._name)
            return status(201, "", "evicted")
        if name and self._store.read(self._resource, self._namespace, name):
            raise Refused(
                409, "AlreadyExists", f'{self._resource} "{name}" exists'
            )
        if self._resource == "certificatesigningrequests":
            body["spec"]["username"] = self._user
            body["spec"]["groups"] = sorted(self._groups)
            body["status"] = {}
        return self._write(body)

    def _delete(self) -> dict:
        self._read()
        self._store.delete(self._resource, self._namespace, self._name)
        return status(200, "", "deleted")

    def _write(self, body: dict) -> dict:
        if self._resource == "jobs":
            # No image can be pulled here, so Jobs have nothing to do.
            done = [{"type": "Complete", "status": "True"}]
            body["status"] = {"succeeded": 1, "conditions": done}
        return self._store.write(self._resource, self._namespace, body)

    def _sign(self, current: dict, body: dict) -> dict:
        conditions = body.get("status", {}).get("conditions") or []
        current["status"] = {"conditions": conditions}
        if any(one["type"] == "Approved" for one in conditions):
            request = base64.b64decode(current["spec"]["request"])
            signed = self._server.authority.sign(request)
            current["status"]["certificate"] = base64.b64encode(
                signed.encode()
            ).decode()
        return current


def parse_body(raw: bytes, part: str | None):
    """Return the document of a request.

    kubectl's typed clients speak protobuf and take JSON for an answer. Of
    theirs only the approval of certificates is understood, by its word.
    """
    if raw.startswith(PROTOBUF):
        if part != "approval":
            raise Refused(415, "UnsupportedMediaType", "no protobuf here")
        kind = "Approved" if b"Approved" in raw else "Denied"
        condition = {"type": kind, "status": "True", "reason": "kubectl"}
        return {"status": {"conditions": [condition]}}
    try:
        return json.loads(raw) if raw else None
    except ValueError as exc:
        raise Refused(400, "BadRequest", f"no JSON: {exc}") from exc


def allow(user: str, groups: set[str], verb: str, match) -> None:
    """Refuse what this user may not do."""
    resource, name = match["resource"], match["name"]
    if groups & ADMINS:
        return
    node = user.removeprefix("system:node:")
    if "system:nodes" in groups and (
        (resource == "nodes" and (verb == "create" or name == node))
        or (resource == "pods")
        or (verb == "get" and resource == "configmaps")
    ):
        return
    if JOINERS in groups and (
        (resource == "certificatesigningrequests" and verb in "create get")
        or (verb == "get" and resource == "configmaps" and name)
    ):
        return
    raise Refused(
        403,
        "Forbidden",
        f'{resource} is forbidden: User "{user}" cannot {verb} it',
    )


def watched(item: dict) -> dict:
    """Say of a node whose kubelet is silent that nobody knows."""
    for one in item.get("status", {}).get("conditions") or ():
        beat = one.get("lastHeartbeatTime")
        if not beat:
            continue
        then = calendar.timegm(time.strptime(beat, "%Y-%m-%dT%H:%M:%SZ"))
        if time.time() - then > SILENT_SECONDS:
            one["status"] = "Unknown"
            one["reason"] = "NodeStatusUnknown"
    return item


def status(code: int, reason: str, message: str) -> dict:
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Success" if code < 300 else "Failure",
        "reason": reason,
        "message": message,
        "code": code,
    }


def start(port: int) -> Server:
    """Serve in the background."""
    server = Server(port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
