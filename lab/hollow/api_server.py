# SPDX-License-Identifier: Apache-2.0
"""Serve the hollow clusters' Kubernetes API over HTTPS on loopback.

One thread for all clusters. A cluster's address answers while one of its
control-plane members runs; elsewhere than on loopback it is left alone.
"""

import asyncio
from collections.abc import Mapping
import ipaddress
import json
import logging
import os
import ssl
import tempfile
import threading
from typing import Any
from urllib import parse

from lab.hollow import cluster as cluster_module
from lab.hollow import kube_objects
from lab.hollow import pki

LOG = logging.getLogger(__name__)

IDLE_SECONDS = 60
RETRY_SECONDS = 2
HEALTH = ("/readyz", "/livez", "/healthz")
REASONS = {
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
}


class ApiServer:
    """Listeners by cluster UUID."""

    def __init__(self) -> None:
        self._wanted: dict[str, cluster_module.ApiView] = {}
        self._listening: dict[str, list[asyncio.Server]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def follow(self, cluster: cluster_module.Cluster) -> None:
        """Listen or stop listening as the cluster's state demands.

        Called on the scheduler's thread at every change, so most calls
        find nothing to do.
        """
        wanted = cluster.view if cluster.is_up else None
        if wanted == self._wanted.get(cluster.uuid):
            return
        if wanted is None:
            del self._wanted[cluster.uuid]
        else:
            self._wanted[cluster.uuid] = wanted
        asyncio.run_coroutine_threadsafe(
            self._apply(cluster, wanted), self._running_loop()
        )

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(
                target=self._loop.run_forever, name="hollow-api", daemon=True
            ).start()
        return self._loop

    async def _apply(
        self,
        cluster: cluster_module.Cluster,
        wanted: cluster_module.ApiView | None,
    ) -> None:
        # Keys take a while to make: nobody shall be refused meanwhile.
        contexts = _contexts(wanted) if wanted else {}
        for server in self._listening.pop(cluster.uuid, ()):
            server.close()
        while wanted and self._wanted.get(cluster.uuid) is wanted:
            try:
                found = await _listen(cluster, wanted.port, contexts)
            except (OSError, ValueError) as exc:
                LOG.warning("No API for cluster %s: %s", cluster.uuid, exc)
                await asyncio.sleep(RETRY_SECONDS)
                continue
            if self._wanted.get(cluster.uuid) is wanted:
                self._listening[cluster.uuid] = found
            else:
                for server in found:
                    server.close()
            return


def _contexts(
    view: cluster_module.ApiView,
) -> dict[str, ssl.SSLContext]:
    """Return what to serve each address of the lab's with."""
    try:
        return {
            address: _context(view, address)
            for address in view.addresses
            if _is_loopback(address)
        }
    except ValueError as exc:
        LOG.warning("No API: %s", exc)
        return {}


async def _listen(
    cluster: cluster_module.Cluster,
    port: int,
    contexts: Mapping[str, ssl.SSLContext],
) -> list[asyncio.Server]:
    async def answer(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await _converse(cluster, reader, writer)

    return [
        await asyncio.start_server(
            answer, address, port, ssl=context, reuse_address=True
        )
        for address, context in contexts.items()
    ]


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _context(view: cluster_module.ApiView, address: str) -> ssl.SSLContext:
    certificate, key = pki.server_certificate(view.ca, view.ca_key, address)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_OPTIONAL
    context.load_verify_locations(cadata=view.ca)
    # The module reads files only; this one is gone when it was read.
    with tempfile.NamedTemporaryFile("w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(certificate + key)
        file.flush()
        context.load_cert_chain(file.name)
    return context


async def _converse(
    cluster: cluster_module.Cluster,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    """Answer the requests of one connection."""
    known = bool(writer.get_extra_info("peercert"))
    try:
        while True:
            head = await asyncio.wait_for(
                reader.readuntil(b"\r\n\r\n"), IDLE_SECONDS
            )
            method, target, headers = _parse(head)
            length = int(headers.get("content-length") or 0)
            if length:
                await asyncio.wait_for(
                    reader.readexactly(length), IDLE_SECONDS
                )
            code, content = respond(
                cluster, method, target, headers.get("accept", ""), known
            )
            writer.write(_answer(code, content))
            await writer.drain()
            if headers.get("connection", "").lower() == "close":
                break
    except (OSError, ValueError, EOFError, asyncio.LimitOverrunError) as exc:
        LOG.debug("A connection to the hollow API ended: %s", exc)
    finally:
        writer.close()


def respond(
    cluster: cluster_module.Cluster,
    method: str,
    target: str,
    accept: str,
    known: bool,
) -> tuple[int, Any]:
    """Return status code and content for a request.

    :param known: the client has shown a certificate of the cluster's CA.
    """
    url = parse.urlsplit(target)
    path = url.path.rstrip("/")
    if path in HEALTH:
        return 200, "ok"
    if path == "/version":
        return 200, kube_objects.version(cluster)
    if not known:
        return _failure(401, "Unauthorized", "Unauthorized")
    if method != "GET":
        return _failure(405, "MethodNotAllowed", "a hollow API is read-only")
    query = dict(parse.parse_qsl(url.query))
    content = _content(cluster, path, query)
    if content is None:
        return _failure(404, "NotFound", f"{path} is not here")
    if "as=Table" in accept and content["kind"] == "NodeList":
        content = kube_objects.table(content)
    return 200, content


def _content(
    cluster: cluster_module.Cluster, path: str, query: Mapping[str, str]
) -> dict[str, Any] | None:
    match path.split("/")[1:]:
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["apis"]:
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": []}
        case ["api", "v1"]:
            return kube_objects.resources()
        case ["api", "v1", "nodes"]:
            selector = query.get("labelSelector", "")
            return kube_objects.node_list(cluster, selector)
        case ["api", "v1", "nodes", name]:
            found = cluster.nodes.get(name)
            return kube_objects.node(found) if found else None
        case ["api", "v1", "pods"]:
            return kube_objects.pod_list(cluster)
        case ["api", "v1", "namespaces", namespace, "pods"]:
            return kube_objects.pod_list(cluster, namespace)
    return None


def _failure(code: int, reason: str, message: str) -> tuple[int, Any]:
    return code, kube_objects.failure(code, reason, message)


def _parse(head: bytes) -> tuple[str, str, dict[str, str]]:
    """Return method, target and headers.

    :raises ValueError: when this is no HTTP.
    """
    first, *lines = head.decode("latin-1").rstrip().split("\r\n")
    method, target, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    return (
        method,
        target,
        {name.strip().lower(): value.strip() for name, _, value in pairs},
    )


def _answer(code: int, content: Any) -> bytes:
    plain = isinstance(content, str)
    body = (content if plain else json.dumps(content)).encode()
    kind = "text/plain" if plain else "application/json"
    head = (
        f"HTTP/1.1 {code} {REASONS[code]}\r\n"
        f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body
