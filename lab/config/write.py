# SPDX-License-Identifier: Apache-2.0
"""Write every service's configuration, and make its directories."""

from collections.abc import Mapping
import hashlib
import pathlib

from lab import settings as lab_settings
from lab.config import barbican
from lab.config import cinder
from lab.config import glance
from lab.config import heat
from lab.config import horizon
from lab.config import keystone
from lab.config import magnum
from lab.config import neutron
from lab.config import nova
from lab.config import octavia
from lab.config import placement

MODULES = {
    "barbican": barbican,
    "cinder": cinder,
    "glance": glance,
    "heat": heat,
    "horizon": horizon,
    "keystone": keystone,
    "magnum": magnum,
    "neutron": neutron,
    "nova": nova,
    "octavia": octavia,
    "placement": placement,
}


def write(settings: lab_settings.Settings) -> None:
    """Bring the files up to date; files that are right stay untouched."""
    for name, module in MODULES.items():
        state = settings.state / name
        state.mkdir(parents=True, exist_ok=True)
        for directory in getattr(module, "DIRECTORIES", ()):
            (state / directory).mkdir(exist_ok=True)
        for path, text in module.files(settings).items():
            put(settings.config / path, text)
        for path in getattr(module, "COPIES", ()):
            shipped = settings.venv / "etc" / path
            put(settings.config / path, shipped.read_text())


def put(path: pathlib.Path, text: str) -> None:
    if path.exists() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def fingerprint(
    directory: pathlib.Path,
    command: tuple[str, ...],
    environment: Mapping[str, str],
) -> str:
    """Summarise what a service is started with."""
    words = [*command, *(f"{k}={v}" for k, v in environment.items())]
    summary = hashlib.sha256("\0".join(words).encode())
    for path in sorted(directory.glob("*")):
        if path.is_file():
            summary.update(path.read_bytes())
    return summary.hexdigest()
