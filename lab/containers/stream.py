# SPDX-License-Identifier: Apache-2.0
"""TCP connections that are passed on from one namespace to another."""

import asyncio
from collections.abc import Awaitable
from collections.abc import Callable
import contextlib
import logging
import ssl

from lab.containers import namespace

LOG = logging.getLogger(__name__)

CHUNK = 65536
CONNECT_SECONDS = 5.0
CHECK_SECONDS = 4.0

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(name: str, address: str, port: int) -> Streams:
    """Connect from within a namespace; an empty name: from the host."""
    made = namespace.make_socket(name)
    try:
        loop = asyncio.get_running_loop()
        await asyncio.wait_for(
            loop.sock_connect(made, (address, port)), CONNECT_SECONDS
        )
        return await asyncio.open_connection(sock=made)
    except BaseException:
        made.close()
        raise


async def is_ready(name: str, address: str, port: int, path: str) -> bool:
    """Tell whether a member is well: by HTTPS, or by TCP without a path."""
    try:
        return await asyncio.wait_for(
            _ask(name, address, port, path), CHECK_SECONDS
        )
    except (TimeoutError, OSError, ssl.SSLError, ValueError):
        return False


async def relay(
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    onward: Callable[[], Awaitable[Streams]],
) -> None:
    """Pass a connection on, both ways, until both sides have ended."""
    try:
        far_reader, far_writer = await onward()
    except (TimeoutError, OSError) as exc:
        LOG.debug("Not passed on: %s", exc)
        await _close(writer)
        return
    await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
    await _close(writer)
    await _close(far_writer)


async def _pump(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    with contextlib.suppress(OSError):
        while content := await reader.read(CHUNK):
            writer.write(content)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def _ask(name: str, address: str, port: int, path: str) -> bool:
    made = namespace.make_socket(name)
    try:
        loop = asyncio.get_running_loop()
        await loop.sock_connect(made, (address, port))
        if not path:
            return True
        trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trusting.check_hostname = False
        trusting.verify_mode = ssl.CERT_NONE
        reader, writer = await asyncio.open_connection(
            sock=made, ssl=trusting, server_hostname=address
        )
        writer.write(
            f"GET {path} HTTP/1.1\r\nHost: {address}\r\n"
            f"Connection: close\r\n\r\n".encode()
        )
        answer = await reader.readline()
        await _close(writer)
        return b" 200 " in answer
    finally:
        made.close()


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError):
        await writer.wait_closed()
