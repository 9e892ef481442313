# SPDX-License-Identifier: Apache-2.0
"""Cables and bridges: what the Neutron agents and a hypervisor would do.

Every Neutron network is a namespace with a bridge, its gateway's address
and the metadata service's; every server is a namespace with one cable to
it. So networks that use the same addresses do not meet.
"""

from collections.abc import Iterator
import contextlib
import fcntl
import json
import pathlib
import subprocess

from lab import failure
from lab.containers import namespace
from lab.containers import server as server_module

BRIDGE = "br0"
BRIDGE_MAC = "fa:16:3e:00:00:01"
"""By default a bridge takes that of a port, another one when that goes: a
server's reboot would cut its neighbours off until they ask again."""

METADATA = "169.254.169.254"
LOCK = pathlib.Path("/run/lock/lab-containers-network")

SYSCTLS = {
    "net/ipv4/ip_forward": "1",
    "net/bridge/bridge-nf-call-iptables": "0",
}


def connect(server: server_module.Server) -> None:
    """Make a server's namespace and cable, and its network's bridge."""
    with _exclusive():
        _disconnect(server)
        _make_network(server.network)
        _ip("netns", "add", server.namespace)
        _ip(
            *("link", "add", server.interface),
            *("netns", server.network.namespace, "mtu", str(server.mtu)),
            *("type", "veth", "peer", "name", "eth0"),
            *("netns", server.namespace, "address", server.mac),
            *("mtu", str(server.mtu)),
        )
        inside = "-n", server.network.namespace
        _ip(*inside, "link", "set", server.interface, "master", BRIDGE, "up")
        _ip("-n", server.namespace, "link", "set", "lo", "up")


def disconnect(server: server_module.Server) -> None:
    """Remove what connect made; the last one removes the bridge."""
    with _exclusive():
        _disconnect(server)
        name = server.network.namespace
        if namespace.identity(name) and not _cables(name):
            _ip("netns", "delete", name)


def add_address(name: str, address: str) -> None:
    """Let a network's namespace answer on one more address."""
    _ip("-n", name, "address", "replace", f"{address}/32", "dev", BRIDGE)


def add_route(name: str, destination: str, address: str) -> None:
    """Let a network send packets for a server's pods to the server."""
    _ip("-n", name, "route", "replace", destination, "via", address)


def _disconnect(server: server_module.Server) -> None:
    if namespace.identity(server.namespace):
        # The cable goes when the namespace does, which the kernel does
        # later; another one of its name could not be made at once.
        inside = "-n", server.namespace
        _ip(*inside, "link", "delete", "eth0", wanted=False)
        _ip("netns", "delete", server.namespace)


def _make_network(network: server_module.Network) -> None:
    name = network.namespace
    if namespace.identity(name):
        return
    _ip("netns", "add", name)
    inside = "-n", name
    _ip(*inside, "link", "set", "lo", "up")
    _ip(
        *(*inside, "link", "add", BRIDGE, "address", BRIDGE_MAC),
        *("type", "bridge", "forward_delay", "0"),
    )
    for address in (f"{network.gateway}/{network.prefix}", f"{METADATA}/32"):
        _ip(*inside, "address", "add", address, "dev", BRIDGE)
    _ip(*inside, "link", "set", BRIDGE, "up")
    with namespace.entered(name):
        for path, value in SYSCTLS.items():
            # /proc/sys/net shows the namespace of whoever looks.
            pathlib.Path("/proc/sys", path).write_text(value)


def _cables(name: str) -> list[str]:
    listed = _ip("-n", name, "-json", "link", "show", "type", "veth")
    return [one["ifname"] for one in json.loads(listed or "[]") if one]


def _ip(*words: str, wanted: bool = True) -> str:
    done = subprocess.run(
        ["ip", *words], capture_output=True, text=True, check=False
    )
    if done.returncode and wanted:
        raise failure.LabError(
            f"`ip {' '.join(words)}` failed: {done.stderr.strip()}"
        )
    return done.stdout


@contextlib.contextmanager
def _exclusive() -> Iterator[None]:
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
