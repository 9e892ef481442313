# SPDX-License-Identifier: Apache-2.0
"""What Neutron's metadata agent does: says to Nova who is asking.

The answers are nova-metadata's own.
"""

import asyncio
from collections.abc import Callable
import hashlib
import hmac

from lab.containers import server as server_module
from lab.containers import stream

MAX_REQUEST = 65536
OURS = (b"connection:", b"x-instance-id", b"x-tenant-id", b"x-forwarded-for")
"""Headers that a server may not send itself."""

NOT_FOUND = (
    b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
)


class Metadata:
    """The metadata service of one network."""

    def __init__(
        self,
        port: int,
        secret: str,
        find: Callable[[str], server_module.Server | None],
    ) -> None:
        """Remember where nova-metadata is.

        :param find: returns the server of an address in this network.
        """
        self._port = port
        self._secret = secret.encode()
        self._find = find

    async def serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Answer one request of one server."""
        address = writer.get_extra_info("peername")[0]
        server = self._find(address)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except (OSError, asyncio.IncompleteReadError, ValueError):
            writer.close()
            return
        if server is None or len(head) > MAX_REQUEST:
            writer.write(NOT_FOUND)
            writer.close()
            return
        request = self._signed(head, server)

        async def onward() -> stream.Streams:
            streams = await stream.connect("", "127.0.0.1", self._port)
            streams[1].write(request)
            return streams

        await stream.relay(reader, writer, onward)

    def _signed(self, head: bytes, server: server_module.Server) -> bytes:
        first, *lines = head.rstrip(b"\r\n").split(b"\r\n")
        kept = [one for one in lines if not one.lower().startswith(OURS)]
        signature = hmac.new(
            self._secret, server.id.encode(), hashlib.sha256
        ).hexdigest()
        ours = (
            "Connection: close",
            f"X-Forwarded-For: {server.address}",
            f"X-Instance-ID: {server.id}",
            f"X-Instance-ID-Signature: {signature}",
            f"X-Tenant-ID: {server.project_id}",
        )
        every = [first, *kept, *(one.encode() for one in ours)]
        return b"\r\n".join(every) + b"\r\n\r\n"
