# SPDX-License-Identifier: Apache-2.0
"""Horizon with Magnum's panels: the extra ``horizon``.

Its requirements cannot be met beside the services', so it has a virtual
environment of its own. Horizon looks for settings and enabled panels in its
own package; links lead there.
"""

import pathlib
import sys

from lab import install as lab_install
from lab import progress
from lab import schema
from lab import settings as lab_settings

NAME = "horizon"
LOCK = lab_settings.PACKAGE / "requirements-horizon.lock"
PLUGINS = lab_settings.PACKAGE / "horizon_plugins"
SETTINGS = "openstack_dashboard.settings"


def venv(settings: lab_settings.Settings) -> pathlib.Path:
    return settings.root / NAME


def python(settings: lab_settings.Settings) -> str:
    return str(venv(settings) / "bin/python")


def install(settings: lab_settings.Settings, report: progress.Report) -> None:
    """Install Horizon and magnum-ui and let one find the other."""
    lab_install.make_venv(settings, report, venv(settings), LOCK, "Horizon")
    packages = venv(settings) / "lib/python{}.{}/site-packages".format(
        *sys.version_info[:2]
    )
    local = packages / "openstack_dashboard/local"
    _link(
        local / "local_settings.py",
        settings.config / NAME / "local_settings.py",
    )
    for panel in (packages / "magnum_ui/enabled").glob("_[0-9]*.py"):
        _link(local / "enabled" / panel.name, panel)
    _link(packages / "zone_names", PLUGINS / "zone_names")
    switch = "_1379_zone_names.py"
    _link(local / "enabled" / switch, PLUGINS / switch)


def prepare(settings: lab_settings.Settings) -> None:
    """Collect scripts and styles unless they are those of this version.

    :raises LabError: with the last lines of the command that failed.
    """
    stamp = settings.state / NAME / "static.digest"
    wanted = (venv(settings) / "lock.digest").read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return
    admin = [str(venv(settings) / "bin/django-admin")]
    for words in (["collectstatic", "--noinput", "-v0"], ["compress"]):
        schema.run(
            settings,
            f"schema-{NAME}",
            [*admin, *words, "--settings", SETTINGS],
        )
    stamp.write_text(wanted)


def _link(link: pathlib.Path, target: pathlib.Path) -> None:
    if not link.is_symlink() or link.readlink() != target:
        link.unlink(missing_ok=True)
        link.symlink_to(target)
