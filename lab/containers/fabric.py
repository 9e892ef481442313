# SPDX-License-Identifier: Apache-2.0
"""The lab's process between its services and its container nodes.

It follows the files of the servers and the databases of Octavia and Neutron
and listens where they say:

* in each network: DHCP, and on 169.254.169.254 the metadata service;
* in each server, on loopback: the lab's APIs under the URLs of the catalog;
* in each network: the load balancers with an address there, and routes to
  the pods of the servers;
* on the host: floating IPs, which in the lab are loopback addresses.
"""

import asyncio
from collections.abc import Awaitable
from collections.abc import Callable
import contextlib
import functools
import logging
import signal
import sys
from typing import Any

import pymysql

from lab import settings as lab_settings
from lab.config import nova
from lab.containers import balancer
from lab.containers import cgroup
from lab.containers import dhcp
from lab.containers import metadata
from lab.containers import namespace
from lab.containers import network
from lab.containers import server as server_module
from lab.containers import stream

LOG = logging.getLogger(__name__)

FOLLOW_SECONDS = 0.3
DATABASE_SECONDS = 1.0
API_PORT = 6443
DHCP = "DHCP"
"""In place of an address: a listener for datagrams."""

RELAYED = ("keystone", "heat", "nova", "neutron", "octavia", "cinder")
"""What nodes and a cloud controller manager may ask."""

Handler = Callable[
    [asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]
]
Key = tuple[str, int | None, str, int]
"""Namespace, its identity, address, port."""


class Fabric:
    """Every listener, by where it is."""

    def __init__(self, settings: lab_settings.Settings) -> None:
        self._settings = settings
        self._listening: dict[
            Key, asyncio.Server | asyncio.DatagramTransport
        ] = {}
        self._balancers: dict[Key, balancer.Balancer] = {}
        self._checks: dict[Key, asyncio.Task] = {}
        self._servers: list[server_module.Server] = []
        self._wanted = balancer.Wanted({}, frozenset())
        self._routes: dict[tuple[str, int | None, str], str] = {}

    async def run(self) -> None:
        reader = asyncio.create_task(self._follow_databases())
        while not reader.done():
            self._servers = [*server_module.read_all(self._settings)]
            await self._apply(self._handlers())
            await self._route()
            await asyncio.sleep(FOLLOW_SECONDS)
        await reader

    async def _follow_databases(self) -> None:
        while True:
            if self._servers:
                try:
                    self._wanted = await asyncio.to_thread(
                        balancer.read, self._settings
                    )
                except pymysql.Error as exc:
                    LOG.warning("The databases cannot be read: %s", exc)
            await asyncio.sleep(DATABASE_SECONDS)

    async def _route(self) -> None:
        """Let each network know where its servers' pods are."""
        wanted = {}
        for server in self._servers:
            name = server.network.namespace
            identity = namespace.identity(name)
            pods = server_module.pod_network(self._settings, server)
            if identity is not None and pods:
                wanted[name, identity, str(pods)] = server.address
        for key in wanted.items() - self._routes.items():
            (name, _identity, pods), address = key
            await asyncio.to_thread(network.add_route, name, pods, address)
        self._routes = wanted

    def _handlers(self) -> dict[Key, Any]:
        """Return what should listen now, each with what it calls."""
        found: dict[Key, Any] = {}
        networks = {}
        for server in self._servers:
            networks[server.network.id] = server.network.namespace
            identity = namespace.identity(server.namespace)
            if identity is None:
                continue
            for service in RELAYED:
                port = self._settings.port(service)
                key = server.namespace, identity, "127.0.0.1", port
                found[key] = _relay("", "127.0.0.1", port)
        for network_id, name in networks.items():
            identity = namespace.identity(name)
            if identity is not None:
                key = name, identity, network.METADATA, 80
                found[key] = self._metadata(network_id).serve
                key = name, identity, DHCP, dhcp.SERVER_PORT
                found[key] = functools.partial(self._find, network_id)
                found |= self._balanced(network_id, name, identity)
        found |= self._floating(networks)
        return found

    def _metadata(self, network_id: str) -> metadata.Metadata:
        return metadata.Metadata(
            nova.metadata_port(self._settings),
            lab_settings.PASSWORD,
            functools.partial(self._find, network_id),
        )

    def _find(
        self, network_id: str, address: str
    ) -> server_module.Server | None:
        """Return the server of an address, of IP or of Ethernet."""
        for server in self._servers:
            known = server.address, server.mac
            if server.network.id == network_id and address in known:
                return server
        return None

    def _balanced(
        self, network_id: str, name: str, identity: int
    ) -> dict[Key, Any]:
        found: dict[Key, Any] = {}
        for listener, members in self._wanted.listeners.items():
            if listener.network != network_id:
                continue
            key = name, identity, listener.address, listener.port
            known = self._balancers.get(key)
            if known is None:
                known = self._balancers[key] = balancer.Balancer(name)
            known.members = members
            found[key] = known.serve
        return found

    def _floating(self, networks: dict[str, str]) -> dict[Key, Any]:
        found: dict[Key, Any] = {}
        for one in self._wanted.floating:
            name = networks.get(one.network)
            if name and namespace.identity(name):
                key = "", None, one.floating, API_PORT
                found[key] = _relay(name, one.fixed, API_PORT)
        return found

    async def _apply(self, wanted: dict[Key, Any]) -> None:
        for key in self._listening.keys() - wanted.keys():
            self._listening.pop(key).close()
            self._balancers.pop(key, None)
            check = self._checks.pop(key, None)
            if check:
                check.cancel()
        for key in wanted.keys() - self._listening.keys():
            try:
                self._listening[key] = await self._listen(key, wanted[key])
            except OSError as exc:
                # Its namespace may just go away; otherwise the next round.
                LOG.warning("Not listening on %s: %s", key, exc)

    async def _listen(
        self, key: Key, handler: Any
    ) -> asyncio.Server | asyncio.DatagramTransport:
        name, _identity, address, port = key
        if address == DHCP:
            loop = asyncio.get_running_loop()
            transport, _protocol = await loop.create_datagram_endpoint(
                lambda: dhcp.Protocol(handler), sock=dhcp.make_socket(name)
            )
            return transport
        balanced = self._balancers.get(key)
        if balanced:
            await asyncio.to_thread(network.add_address, name, address)
        made = namespace.listen(name, address, port)
        if balanced:
            self._checks[key] = asyncio.create_task(balanced.check_forever())
        LOG.info("Listening on %s:%d in %s", address, port, name or "host")
        return await asyncio.start_server(handler, sock=made)


def _relay(name: str, address: str, port: int) -> Handler:
    """Return a handler that passes connections on into a namespace."""

    async def handle(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await stream.relay(
            reader,
            writer,
            functools.partial(stream.connect, name, address, port),
        )

    return handle


async def serve() -> None:
    task = asyncio.create_task(Fabric(lab_settings.read()).run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main() -> int:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    cgroup.enter_nodes_share()
    asyncio.run(serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
