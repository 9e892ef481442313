# SPDX-License-Identifier: Apache-2.0
"""Where one lab lives: directories, ports and the names it uses."""

import dataclasses
import os
import pathlib
import sys

from lab import failure

CHECKOUT = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = CHECKOUT / "lab"
DEFAULT_ROOT = "/var/tmp/magnum-k8s-lab"

PASSWORD = "labpass"
"""Of every user. The lab listens on loopback only."""

REGION = "RegionOne"
HOST = "127.0.0.1"
EXTRAS = ("barbican", "containers", "horizon", "magnum-22")
"""What is there only on request; the last runs Magnum 22 in 23's place."""

BASE_PORTS = {
    "keystone": 15000,
    "heat": 15004,
    "glance": 15292,
    "horizon": 15080,
    "mariadb": 15306,
    "barbican": 15311,
    "epmd": 15369,
    "magnum": 15511,
    "rabbitmq": 15672,
    "rabbitmq-cluster": 15673,
    "neutron": 15696,
    "nova": 15774,
    "cinder": 15776,
    "placement": 15778,
    "octavia": 15876,
}


@dataclasses.dataclass(frozen=True)
class Settings:
    """One lab; two labs differ in root and port offset."""

    root: pathlib.Path
    port_offset: int = 0
    extras: frozenset[str] = frozenset()

    @property
    def venv(self) -> pathlib.Path:
        return self.root / "venv"

    @property
    def config(self) -> pathlib.Path:
        return self.root / "config"

    @property
    def state(self) -> pathlib.Path:
        return self.root / "state"

    @property
    def log(self) -> pathlib.Path:
        return self.root / "log"

    @property
    def run(self) -> pathlib.Path:
        return self.root / "run"

    @property
    def home(self) -> pathlib.Path:
        return self.root / "home"

    @property
    def python_path(self) -> pathlib.Path:
        """What services find besides the venv: this package, its plugins."""
        return self.root / "python"

    @property
    def python(self) -> str:
        return str(self.venv / "bin/python")

    def program(self, name: str) -> str:
        """Name a program of the virtual environment."""
        return str(self.venv / "bin" / name)

    def port(self, service: str) -> int:
        return BASE_PORTS[service] + self.port_offset

    def url(self, service: str, path: str = "") -> str:
        return f"http://{HOST}:{self.port(service)}{path}"

    @property
    def identity_url(self) -> str:
        return self.url("keystone", "/v3")

    def environment(self) -> dict[str, str]:
        """Return what every process of the lab gets besides its own."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name in ("PATH", "LANG", "TERM", "TZ")
        }
        directories = {
            f"OS_{name.upper()}_CONFIG_DIR": str(self.config / name)
            for name in ("keystone", "nova", "placement", "glance", "neutron")
        }
        return {
            **inherited,
            **directories,
            "HOME": str(self.home),
            "LAB_ROOT": str(self.root),
            "LAB_PORT_OFFSET": str(self.port_offset),
            "MALLOC_ARENA_MAX": "2",
            "NO_PROXY": "127.0.0.1,localhost",
            "OS_NEUTRON_CONFIG_FILES": "neutron.conf",
            "PYTHONPATH": str(self.python_path),
            "PYTHONWARNINGS": "ignore",
            **self.container_environment(),
        }

    def container_environment(self) -> dict[str, str]:
        """Return what container nodes are made of, as asked for now."""
        return {
            name: os.path.abspath(os.environ[name])
            for name in ("KUBE_DIST", "KUBE_DIST_NEXT", "LAB_NODE_CACHE")
            if os.environ.get(name)
        }


def read(extras: tuple[str, ...] = ()) -> Settings:
    """Read the settings from the environment and an earlier ``up``.

    :param extras: services asked for now; they are remembered until a wipe.
    :raises LabError: for an unknown extra or a wrong port offset.
    """
    if sys.version_info[:2] != (3, 11):
        found = ".".join(map(str, sys.version_info[:2]))
        raise failure.LabError(
            f"The lab needs Python 3.11 (its lock file is made for it), "
            f"but python3 is {found}."
        )
    root = pathlib.Path(os.environ.get("LAB_ROOT", DEFAULT_ROOT)).absolute()
    remembered = root / "extras"
    wanted = set(extras)
    if remembered.exists():
        wanted |= set(remembered.read_text().split())
    unknown = wanted - set(EXTRAS)
    if unknown:
        raise failure.LabError(
            f"{', '.join(sorted(unknown))} cannot be added to the lab; "
            f"known are: {', '.join(EXTRAS)}."
        )
    offset = os.environ.get("LAB_PORT_OFFSET", "0")
    if not offset.lstrip("-").isdigit():
        raise failure.LabError(
            f"LAB_PORT_OFFSET is {offset!r}; it has to be a whole number."
        )
    return Settings(root, int(offset), frozenset(wanted))
