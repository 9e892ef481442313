# SPDX-License-Identifier: Apache-2.0
"""Network namespaces: sockets in them without any process in them."""

from collections.abc import Iterator
import contextlib
import ctypes
import os
import pathlib
import socket

DIRECTORY = pathlib.Path("/run/netns")
CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


def identity(name: str) -> int | None:
    """Return a number that a new namespace of the same name has not."""
    try:
        return (DIRECTORY / name).stat().st_ino
    except OSError:
        return None


@contextlib.contextmanager
def entered(name: str) -> Iterator[None]:
    """Be in a namespace, this thread only; sockets made there stay there.

    :raises OSError: there is none of that name.
    """
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        other = os.open(DIRECTORY / name, os.O_RDONLY | os.O_CLOEXEC)
        try:
            _enter(other)
        finally:
            os.close(other)
        try:
            yield
        finally:
            _enter(own)
    finally:
        os.close(own)


def make_socket(name: str) -> socket.socket:
    """Return a TCP socket in a namespace; an empty name: in the host's."""
    with entered(name) if name else contextlib.nullcontext():
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    return made


def listen(name: str, address: str, port: int) -> socket.socket:
    """Return a socket that listens in a namespace."""
    made = make_socket(name)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.listen(256)
    except OSError:
        made.close()
        raise
    return made


def _enter(descriptor: int) -> None:
    if _libc.setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
