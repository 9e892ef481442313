# SPDX-License-Identifier: Apache-2.0
"""What Neutron's DHCP agent does: each port's fixed address to its MAC."""

import asyncio
from collections.abc import Callable
import ipaddress
import logging
import socket
import struct

from lab.containers import namespace
from lab.containers import network as network_module
from lab.containers import server as server_module

LOG = logging.getLogger(__name__)

SERVER_PORT = 67
CLIENT_PORT = 68
LEASE_SECONDS = 86400
MAGIC = b"\x63\x82\x53\x63"
HEADER = struct.Struct("!4B I 2H 4s4s4s4s 16s 64s 128s 4s")

TYPE, REQUESTED, SERVER_ID, END, PAD = 53, 50, 54, 255, 0
DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
ANSWERS = {DISCOVER: OFFER, REQUEST: ACK}
BOOT_REPLY = 2
BROADCAST_FLAG = 0x8000


class Protocol(asyncio.DatagramProtocol):
    """The DHCP server of one network."""

    def __init__(
        self, find: Callable[[str], server_module.Server | None]
    ) -> None:
        """Remember how to find a server by its port's MAC address."""
        self._find = find
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr) -> None:
        try:
            answer = reply(data, self._find)
        except (struct.error, IndexError) as exc:
            LOG.debug("No DHCP: %s", exc)
            return
        if answer and self._transport:
            self._transport.sendto(answer, ("255.255.255.255", CLIENT_PORT))


def make_socket(name: str) -> socket.socket:
    """Return a socket that hears the servers of a network."""
    with namespace.entered(name):
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    made.setsockopt(
        socket.SOL_SOCKET,
        socket.SO_BINDTODEVICE,
        network_module.BRIDGE.encode(),
    )
    made.bind(("0.0.0.0", SERVER_PORT))
    return made


def reply(
    data: bytes, find: Callable[[str], server_module.Server | None]
) -> bytes | None:
    """Return the answer to a datagram; None: silence."""
    fields = HEADER.unpack_from(data)
    mac = ":".join(f"{byte:02x}" for byte in fields[11][:6])
    asked = options(data[HEADER.size :]).get(TYPE, b"\0")[0]
    server = find(mac)
    if server is None or asked not in ANSWERS:
        return None
    gateway = ipaddress.ip_address(server.network.gateway).packed
    address = ipaddress.ip_address(server.address).packed
    head = HEADER.pack(
        *(BOOT_REPLY, *fields[1:4], fields[4], 0, BROADCAST_FLAG),
        *(bytes(4), address, gateway, bytes(4)),
        *(fields[11], bytes(64), bytes(128), MAGIC),
    )
    return head + _encode(
        {
            TYPE: bytes([ANSWERS[asked]]),
            SERVER_ID: gateway,
            51: struct.pack("!I", LEASE_SECONDS),
            **_settings(server, gateway),
        }
    )


def options(data: bytes) -> dict[int, bytes]:
    """Return the options of a message by their numbers."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data) and data[at] != END:
        if data[at] == PAD:
            at += 1
            continue
        length = data[at + 1]
        found[data[at]] = data[at + 2 : at + 2 + length]
        at += 2 + length
    return found


def _settings(
    server: server_module.Server, gateway: bytes
) -> dict[int, bytes]:
    mask = ipaddress.ip_network((0, server.network.prefix)).netmask.packed
    metadata = ipaddress.ip_address(network_module.METADATA).packed
    # Neutron's DHCP agent names itself where the subnet has no servers, too:
    # nobody answers here, but a node without any cannot run CoreDNS.
    names = [ipaddress.ip_address(one).packed for one in server.network.dns]
    return {
        1: mask,
        3: gateway,
        6: b"".join(names) or gateway,
        26: struct.pack("!H", server.mtu),
        # With routes clients do not look at the router: it is one of them.
        121: b"\x20" + metadata + gateway + b"\0" + gateway,
    }


def _encode(settings: dict[int, bytes]) -> bytes:
    parts = [
        bytes([number, len(value)]) + value
        for number, value in settings.items()
    ]
    return b"".join(parts) + bytes([END])
