# SPDX-License-Identifier: Apache-2.0
"""What is known about one server that is a system container, on file."""

from collections.abc import Iterator
import dataclasses
import ipaddress
import json
import os
import pathlib

from lab import settings as lab_settings

FILE = "server.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Network:
    """The Neutron network a server is on, as far as it is imitated."""

    id: str
    gateway: str
    prefix: int
    dns: tuple[str, ...] = ()

    @property
    def namespace(self) -> str:
        """Name the namespace with the network's bridge."""
        return f"lab-net-{self.id[:8]}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Server:
    """A server with one port."""

    id: str
    name: str
    project_id: str
    address: str
    mac: str
    mtu: int
    memory_mb: int
    network: Network

    @property
    def namespace(self) -> str:
        return f"lab-{self.id[:8]}"

    @property
    def interface(self) -> str:
        """Name the end of the cable that is in the network's namespace."""
        return f"v{self.id[:8]}"

    @property
    def process(self) -> str:
        """Name its keeper among the lab's processes."""
        return f"server-{self.id}"


def home(settings: lab_settings.Settings) -> pathlib.Path:
    return settings.state / "containers/servers"


def directory(settings: lab_settings.Settings, server_id: str) -> pathlib.Path:
    return home(settings) / server_id


def write(path: pathlib.Path, server: Server) -> None:
    new = path / f"{FILE}.new"
    new.write_text(json.dumps(dataclasses.asdict(server), indent=1))
    os.replace(new, path / FILE)


def read(path: pathlib.Path) -> Server:
    content = json.loads((path / FILE).read_text())
    network = Network(**content.pop("network"))
    return Server(network=network, **content)


def read_all(settings: lab_settings.Settings) -> Iterator[Server]:
    """Yield every server; one that just comes or goes is left out."""
    try:
        found = sorted(home(settings).iterdir())
    except FileNotFoundError:
        return
    for path in found:
        try:
            yield read(path)
        except (OSError, ValueError, TypeError, KeyError):
            continue


def pod_network(
    settings: lab_settings.Settings, server: Server
) -> ipaddress.IPv4Network | None:
    """Return what a server says its pods' network is (rootfs-kubernetes)."""
    path = directory(settings, server.id) / "upper/etc/lab/pod-network"
    try:
        return ipaddress.IPv4Network(path.read_text().strip())
    except (OSError, ValueError):
        return None
