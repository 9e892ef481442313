# SPDX-License-Identifier: Apache-2.0
"""First half of ``lab/demo``, by the system's Python: bring the lab up.

The second half, :mod:`lab.tour.create`, needs what the lab has installed.
"""

import os
import sys
import time

from lab import access
from lab import control
from lab import failure
from lab import progress
from lab import settings as lab_settings
from lab.tour import options

NOTABLE_SECONDS = 0.3


def main(words: list[str]) -> int:
    options.parse(words)
    try:
        settings = lab_settings.read()
        print(f"The lab: OpenStack on loopback in {settings.root}", flush=True)
        began = time.monotonic()
        control.up(settings, _notable(progress.printer()))
    except failure.LabError as exc:
        progress.warn(str(exc))
        return 2
    except KeyboardInterrupt:
        return 130
    print(f"The lab is up after {time.monotonic() - began:.0f} s.\n")
    print(f"$ . {settings.root / access.CLOUDS['demo']}", flush=True)
    os.chdir(lab_settings.CHECKOUT)
    command = [settings.python, "-m", "lab.tour.create", *words]
    os.execve(settings.python, command, _environment(settings))


def _notable(report: progress.Report) -> progress.Report:
    """Leave out the steps that found nothing to do."""

    def only(step: str, seconds: float) -> None:
        if seconds >= NOTABLE_SECONDS:
            report(step, seconds)

    return only


def _environment(settings: lab_settings.Settings) -> dict[str, str]:
    """Return what the shell has after sourcing the lab's openrc."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("OS_") and name != "PYTHONPATH"
    }
    return {
        **kept,
        **access.variables(settings, "demo"),
        "LAB_ROOT": str(settings.root),
        "LAB_PORT_OFFSET": str(settings.port_offset),
        "OS_CLIENT_CONFIG_FILE": str(settings.root / "clouds.yaml"),
        "PATH": f"{settings.venv / 'bin'}:{os.environ.get('PATH', '')}",
        "PYTHONWARNINGS": "ignore",
        "no_proxy": "127.0.0.1,localhost",
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
