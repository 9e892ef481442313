# SPDX-License-Identifier: Apache-2.0
"""Tell the user what is done and how long it took."""

from collections.abc import Callable
from collections.abc import Iterator
import contextlib
import sys
import time

Report = Callable[[str, float], None]
"""Called once for each finished step with its name and its seconds."""


def printer() -> Report:
    """Return a report that prints one line for each step."""
    began = time.monotonic()

    def report(step: str, seconds: float) -> None:
        elapsed = time.monotonic() - began
        # One write: several threads report.
        line = f"[{elapsed:6.1f} s] {step} ({seconds:.1f} s)\n"
        print(line, end="", flush=True)

    return report


def silent(step: str, seconds: float) -> None:
    """Say nothing."""


@contextlib.contextmanager
def step(report: Report, name: str) -> Iterator[None]:
    """Report the block under this name when it ends well."""
    began = time.monotonic()
    yield
    report(name, time.monotonic() - began)


def warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
