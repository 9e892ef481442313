# SPDX-License-Identifier: Apache-2.0
"""What a reader of the project can get to know of a cluster's secrets.

The lab's user demo-reader has the role reader on demo's project and nothing
else. While a cluster is created it asks every API for everything, again and
again, and looks into all it gets, compressed or not.
"""

import base64
import binascii
import gzip
import hashlib
import io
import json
import lzma
import re
import tarfile
import time
import zlib

import openstack

from lab import settings as lab_settings
from tests.functional import base

_BASE64 = re.compile(rb"[A-Za-z0-9+/]{64,}={0,2}")
_BEGIN = (b"-----BEGIN ", b"PRIVATE KEY")
ROUND_SECONDS = 2.0


class Reader:
    """Somebody who may only look."""

    def __init__(self):
        self.cloud = openstack.connect(
            auth_url=base.settings().identity_url,
            username="demo-reader",
            password=lab_settings.PASSWORD,
            project_name="demo",
            user_domain_name="Default",
            project_domain_name="Default",
            region_name=lab_settings.REGION,
        )
        self.seen = {}
        self.refused = set()

    def get(self, service, path, **how):
        """Return a document; keep its text; None when it is refused."""
        adapter = getattr(self.cloud, service)
        response = adapter.request(path, "GET", raise_exc=False, **how)
        return self._kept(service, path, response)

    def look(self, cluster_id, stacks):
        """Ask for everything there is of a cluster."""
        self.get("container_infrastructure_management", "/clusters")
        for path in ("", "/nodegroups"):
            self.get(
                "container_infrastructure_management",
                f"/clusters/{cluster_id}{path}",
            )
        self.get(
            "container_infrastructure_management",
            f"/certificates/{cluster_id}",
        )
        for version in ("2.1", "2.3", "2.96"):
            self.get("compute", "/servers/detail", microversion=version)
        servers = self.get("compute", "/servers/detail") or {}
        for one in servers.get("servers", ()):
            self.get("compute", f"/servers/{one['id']}/metadata")
            self._console(one["id"])
        configs = self.get("orchestration", "/software_configs") or {}
        for one in configs.get("software_configs", ()):
            self.get("orchestration", f"/software_configs/{one['id']}")
        self.get("orchestration", "/software_deployments")
        for stack in stacks:
            self._stack(stack)
        self.get("network", "/ports")
        if self.cloud.has_service("key-manager"):
            self.get("key_manager", "/secrets")

    def _stack(self, stack):
        for path in ("", "/template", "/files", "/environment", "/outputs"):
            self.get("orchestration", f"/stacks/{stack}{path}")
        self.get("orchestration", f"/stacks/{stack}/events?nested_depth=3")
        found = self.get(
            "orchestration", f"/stacks/{stack}/resources?nested_depth=3"
        )
        for one in (found or {}).get("resources", ()):
            link = next(x["href"] for x in one["links"] if x["rel"] == "self")
            path = link.partition("/stacks/")[2]
            self.get("orchestration", f"/stacks/{path}")
            self.get("orchestration", f"/stacks/{path}/metadata")
            nested = next(
                (x["href"] for x in one["links"] if x["rel"] == "nested"), ""
            )
            path = nested.partition("/stacks/")[2]
            for what in ("", "/template", "/files", "/environment"):
                if path:
                    self.get("orchestration", f"/stacks/{path}{what}")

    def _console(self, server):
        response = self.cloud.compute.request(
            f"/servers/{server}/action",
            "POST",
            json={"os-getConsoleOutput": {}},
            raise_exc=False,
        )
        self._kept("compute", f"/servers/{server}/console", response)

    def _kept(self, service, path, response):
        where = f"{service} {path}"
        if response.status_code >= 300:
            self.refused.add((where, response.status_code))
            return None
        self.seen.setdefault(where, set()).add(response.content)
        try:
            return response.json()
        except ValueError:
            return None


def layers(content, depth=6):
    """Yield some octets and everything that is packed in them."""
    yield content
    if depth == 0:
        return
    for opened in _opened(content):
        yield from layers(opened, depth - 1)


def _opened(content):
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    if document is not None:
        yield from _texts(document)
    for found in set(_BASE64.findall(content)):
        try:
            yield base64.b64decode(found + b"=" * (-len(found) % 4))
        except binascii.Error:
            continue
    for start, unpack in (
        (b"\x1f\x8b", gzip.decompress),
        (b"\x78", zlib.decompress),
        (b"\xfd7zXZ", _archive),
    ):
        if content.startswith(start):
            try:
                yield unpack(content)
            except (OSError, EOFError, zlib.error, lzma.LZMAError):
                continue


def _texts(document):
    if isinstance(document, dict):
        for one in document.values():
            yield from _texts(one)
    elif isinstance(document, list):
        for one in document:
            yield from _texts(one)
    elif isinstance(document, str) and len(document) > 40:
        yield document.encode(errors="replace")


def _archive(content):
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:xz") as tar:
        return b"\n".join(
            tar.extractfile(one).read() for one in tar if one.isfile()
        )


class TestSearch(base.testtools.TestCase):
    """The search itself finds what is hidden like the driver's texts."""

    def test_finds_what_is_packed(self):
        secret = hashlib.sha512(b"the one thing").hexdigest().encode()
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:xz") as tar:
            entry = tarfile.TarInfo("f")
            entry.size = len(secret)
            tar.addfile(entry, io.BytesIO(secret))
        inner = base64.b64encode(packed.getvalue()).decode()
        text = json.dumps({"config": f"#cloud-config\ncontent: {inner}\n"})
        for content in (
            secret,
            text.encode(),
            json.dumps(
                {"a": base64.b64encode(gzip.compress(secret)).decode()}
            ).encode(),
        ):
            self.assertTrue(any(secret in one for one in layers(content)))


class TestReader(base.LabTest):
    def secrets(self, cluster):
        """Return what a node holds, as the lab keeps its disk."""
        path = base.ROOT / f"state/hollow/clusters/{cluster['uuid']}.json"
        nodes = json.loads(path.read_text())["nodes"].values()
        (found,) = [one["secrets"] for one in nodes if one.get("secrets")]
        wanted = {
            name: found[name].encode() for name in ("join_root", "board_key")
        }
        wanted["cloud"] = found["cloud"]["secret"].encode()
        keys = json.loads(found["encryption_config"])["resources"][0]
        wanted["encryption"] = next(
            one["secret"].encode()
            for provider in keys["providers"]
            for part in provider.values()
            for one in (part or {}).get("keys", ())
        )
        for name, text in found["pki"].items():
            if name.endswith(".key"):
                # Any line of it; the first ones are alike in all keys.
                wanted[name] = text.splitlines()[5].encode()
        self.assertEqual(8, len(wanted))
        return wanted, found["pki"]["ca.crt"].encode()

    def test_a_reader_gets_nothing(self):
        reader = Reader()
        cluster_id = self.make_cluster(self.make_template())
        prefix, status = "", "CREATE_IN_PROGRESS"
        end = time.monotonic() + base.CREATE_SECONDS
        while status == "CREATE_IN_PROGRESS" and time.monotonic() < end:
            cluster = self.magnum.cluster(cluster_id) or {}
            status = cluster.get("status", status)
            prefix = base.prefix(cluster) if cluster.get("name") else prefix
            stacks = reader.get("orchestration", "/stacks") or {}
            reader.look(
                cluster_id,
                [
                    f"{one['stack_name']}/{one['id']}"
                    for one in stacks.get("stacks", ())
                    if prefix and one["stack_name"].startswith(prefix)
                ],
            )
            time.sleep(ROUND_SECONDS)
        self.assertEqual(
            "CREATE_COMPLETE", status, cluster.get("status_reason")
        )
        wanted, authority = self.secrets(cluster)
        found, sees_authority, sealed = {}, False, False
        for where, contents in reader.seen.items():
            for content in contents:
                sealed = sealed or b"-sealed-" in content
                for layer in layers(content):
                    for name, secret in wanted.items():
                        if secret in layer:
                            found.setdefault(name, set()).add(where)
                    if all(one in layer for one in _BEGIN):
                        found.setdefault("a key", set()).add(where)
                    sees_authority |= authority.split(b"\n")[3] in layer
        self.assertEqual({}, found)
        # The search would have found them: user data and answers were seen.
        self.assertTrue(sees_authority)
        self.assertTrue(sealed)
        self.assertTrue(
            any("/software_configs/" in where for where in reader.seen)
        )

    def test_nothing_is_left_of_the_answers(self):
        cluster_id = self.make_cluster(self.make_template())
        cluster = self.magnum.await_status(cluster_id, "CREATE_COMPLETE")
        prefix = base.prefix(cluster)
        configs = self.demo.orchestration.get("/software_configs").json()
        left = [
            one["name"]
            for one in configs["software_configs"]
            if one["name"].startswith(prefix)
        ]
        self.assertEqual([], left)
