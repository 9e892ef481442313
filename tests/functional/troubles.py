# SPDX-License-Identifier: Apache-2.0
"""What goes wrong with a lab's services because a test wants it."""

import json
import os
import signal

from lab import control
from lab.plugins import faults
from tests.functional import base

CONDUCTOR = "magnum-conductor"
HEAT_ENGINE = "heat-engine"


def kill(service):
    """End a service's whole session at once."""
    members = [*control.manage(base.settings()).members(service)]
    assert members, f"no {service} runs"
    for pid in members:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def restart(service):
    """Start a service again, as a service manager would."""
    control.restart(base.settings(), [service])


def inject(**rules):
    """Let services fail, by their names; without any all work again."""
    path = base.ROOT / faults.FILE
    new = path.with_suffix(".new")
    new.write_text(json.dumps(rules))
    os.replace(new, path)
