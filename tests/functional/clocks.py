# SPDX-License-Identifier: Apache-2.0
"""Move the clocks of the driver and of the control plane's keepers.

libfaketime is loaded into the keepers of container nodes; Kubernetes' own
programs are linked statically and keep the real time. The conductor imports a
``sitecustomize`` that moves ``time.time``: under libfaketime 0.9.10 its
``time.sleep`` fails.
"""

import contextlib
import pathlib
import tempfile
import unittest

from lab import control
from tests.functional import base

LIBRARIES = pathlib.Path("/usr/lib/x86_64-linux-gnu/faketime")
CONDUCTOR = "magnum-conductor"
KEEPER = "magnum-board.service"
_DROPIN = f"/run/systemd/system/{KEEPER}.d/90-clock.conf"
_SITE = """\
import time

_real = time.time
time.time = lambda: _real() + {seconds}
"""
_PLACE = "/usr/local/lib/libfaketime.so.1"


def _variables(library, seconds):
    return {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"+{seconds}s",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


@contextlib.contextmanager
def moved(case, seconds):
    """Let conductor and keepers live some seconds later.

    :param case: a test of containers.NodesTest.
    """
    if not LIBRARIES.is_dir():
        raise unittest.SkipTest("No clock can be moved: install libfaketime.")
    with contextlib.ExitStack() as stack:
        for server in case.control_planes:
            stack.enter_context(_moved_keeper(case, server, seconds))
        stack.enter_context(_moved_conductor(seconds))
        yield


@contextlib.contextmanager
def _moved_conductor(seconds):
    text = _SITE.format(seconds=seconds)
    with tempfile.TemporaryDirectory(prefix="magnum-k8s-clock-") as directory:
        pathlib.Path(directory, "sitecustomize.py").write_text(text)
        try:
            control.restart(
                base.settings(),
                [CONDUCTOR],
                environment={"PYTHONPATH": directory},
            )
            yield
        finally:
            control.restart(base.settings(), [CONDUCTOR])


@contextlib.contextmanager
def _moved_keeper(case, server, seconds):
    library = (LIBRARIES / "libfaketime.so.1").read_bytes()
    case.run_in(server, f"cat >{_PLACE}", library)
    lines = [
        f'Environment="{name}={value}"'
        for name, value in _variables(_PLACE, seconds).items()
    ]
    text = "\n".join(["[Service]", *lines, ""])
    case.run_in(
        server,
        f"mkdir -p {pathlib.Path(_DROPIN).parent} && cat >{_DROPIN}",
        text.encode(),
    )
    _restart_keeper(case, server)
    try:
        yield
    finally:
        case.run_in(server, f"rm {_DROPIN}")
        _restart_keeper(case, server)


def _restart_keeper(case, server):
    case.run_in(
        server, f"systemctl daemon-reload && systemctl restart {KEEPER}"
    )
