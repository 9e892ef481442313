# SPDX-License-Identifier: Apache-2.0
"""Magnum 22.0.0 (2026.1) in Magnum 23's place: the extra ``magnum-22``.

It needs eventlet and other versions of libraries than the rest of the cloud,
so it has a virtual environment of its own, with the driver of this checkout.
A lab has one Magnum; to change it, wipe the lab.
"""

import pathlib

from lab import install as lab_install
from lab import progress
from lab import settings as lab_settings

NAME = "magnum-22"
LOCK = lab_settings.PACKAGE / "requirements-magnum-22.lock"
TRUSTEES = "magnum-trustees"
"""Domain of the users that Magnum 22 makes for each cluster."""

TRUSTEE_ADMIN = "magnum_trustee_admin"


def venv(settings: lab_settings.Settings) -> pathlib.Path:
    return settings.root / NAME


def wanted(settings: lab_settings.Settings) -> bool:
    return NAME in settings.extras


def program(settings: lab_settings.Settings, name: str) -> str:
    """Name a program of the Magnum this lab runs."""
    if wanted(settings):
        return str(venv(settings) / "bin" / name)
    return settings.program(name)


def install(settings: lab_settings.Settings, report: progress.Report) -> None:
    """Install Magnum 22 and the driver beside it."""
    place = venv(settings)
    if lab_install.make_venv(settings, report, place, LOCK, "Magnum 22"):
        (place / "driver.digest").unlink(missing_ok=True)
    lab_install.install_driver(settings, report, place)


def options(settings: lab_settings.Settings) -> dict[str, dict[str, object]]:
    """Return what Magnum 22 wants to be told and 23 does not know."""
    if not wanted(settings):
        return {}
    return {
        "trust": {
            "cluster_user_trust": True,
            "trustee_domain_name": TRUSTEES,
            "trustee_domain_admin_name": TRUSTEE_ADMIN,
            "trustee_domain_admin_domain_name": TRUSTEES,
            "trustee_domain_admin_password": lab_settings.PASSWORD,
            "trustee_keystone_interface": "public",
        }
    }
