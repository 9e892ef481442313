# SPDX-License-Identifier: Apache-2.0
"""Octavia's load balancers and Neutron's floating IPs, for TCP.

Both are read from the services' databases. A member gets connections only
while it passes the check of its pool's health monitor, made every second
(the tests should not wait for the monitor's own delay).
"""

import asyncio
import contextlib
import dataclasses

import pymysql

from lab import settings as lab_settings
from lab.containers import stream

CHECK_EVERY = 1.0

LISTENERS = """\
SELECT v.network_id, v.ip_address, l.protocol_port, m.ip_address,
       m.protocol_port, h.type, h.url_path
FROM octavia.listener l
JOIN octavia.vip v ON v.load_balancer_id = l.load_balancer_id
LEFT JOIN octavia.pool p ON p.id = l.default_pool_id
LEFT JOIN octavia.health_monitor h ON h.pool_id = p.id
LEFT JOIN octavia.member m ON m.pool_id = p.id AND m.enabled
WHERE l.enabled AND v.ip_address IS NOT NULL"""

FLOATING = """\
SELECT p.network_id, f.floating_ip_address, f.fixed_ip_address
FROM neutron.floatingips f
JOIN neutron.ports p ON p.id = f.fixed_port_id
WHERE f.fixed_ip_address IS NOT NULL"""


@dataclasses.dataclass(frozen=True)
class Listener:
    """Where a load balancer listens."""

    network: str
    address: str
    port: int


@dataclasses.dataclass(frozen=True)
class Member:
    """One machine behind it."""

    address: str
    port: int
    path: str
    """Of the HTTPS check; empty checks that it accepts connections."""


@dataclasses.dataclass(frozen=True)
class Floating:
    """A floating IP and what it stands for."""

    network: str
    floating: str
    fixed: str


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What there should be now."""

    listeners: dict[Listener, frozenset[Member]]
    floating: frozenset[Floating]


def read(settings: lab_settings.Settings) -> Wanted:
    """Read what the users of the cloud have asked for."""
    connection = pymysql.connect(
        host=lab_settings.HOST,
        port=settings.port("mariadb"),
        user="lab",
        password=lab_settings.PASSWORD,
        connect_timeout=5,
        read_timeout=10,
    )
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(LISTENERS)
        listeners: dict[Listener, set[Member]] = {}
        for network, vip, port, address, member_port, kind, path in cursor:
            found = listeners.setdefault(Listener(network, vip, port), set())
            if address:
                checked = path or "/" if kind == "HTTPS" else ""
                found.add(Member(address, member_port, checked))
        cursor.execute(FLOATING)
        floating = frozenset(Floating(*row) for row in cursor)
    return Wanted(
        {one: frozenset(members) for one, members in listeners.items()},
        floating,
    )


class Balancer:
    """One listener's members in turn, as far as they are ready."""

    def __init__(self, namespace: str) -> None:
        self.members: frozenset[Member] = frozenset()
        self.ready: list[Member] = []
        self._namespace = namespace
        self._turn = 0

    async def check_forever(self) -> None:
        while True:
            members = sorted(self.members, key=dataclasses.astuple)
            answers = await asyncio.gather(
                *(
                    stream.is_ready(
                        self._namespace, one.address, one.port, one.path
                    )
                    for one in members
                )
            )
            self.ready = [
                one
                for one, ready in zip(members, answers, strict=True)
                if ready
            ]
            await asyncio.sleep(CHECK_EVERY)

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        await stream.relay(reader, writer, self._next)

    async def _next(self) -> stream.Streams:
        if not self.ready:
            raise ConnectionRefusedError("no member is ready")
        self._turn += 1
        member = self.ready[self._turn % len(self.ready)]
        return await stream.connect(
            self._namespace, member.address, member.port
        )
