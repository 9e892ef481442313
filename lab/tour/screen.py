# SPDX-License-Identifier: Apache-2.0
"""Show a growing cluster: redrawn in a terminal, or line by line."""

import os
import shutil
import sys
import time
from typing import Protocol

from lab.tour import view

_UP, _CLEAR, _RESET = "\x1b[{}A", "\x1b[J", "\x1b[0m"
_COLOURS = {
    view.Stage.READY: "\x1b[32m",
    view.Stage.FAILED: "\x1b[31m",
    view.Stage.WAITING: "\x1b[2m",
}
_MARKS = {
    view.Stage.WAITING: "·",
    view.Stage.BUILDING: "○",
    view.Stage.BOOTING: "◐",
    view.Stage.READY: "●",
    view.Stage.FAILED: "✗",
}
_SHOWN_NODES = 20


class Screen(Protocol):
    """Something that shows looks at a cluster, one after the other."""

    def show(self, snapshot: view.Snapshot) -> None: ...


def choose() -> Screen:
    """Return a live screen for people and a plain one for logs."""
    dumb = os.environ.get("TERM", "dumb") == "dumb"
    plain = dumb or os.environ.get("CI") or not sys.stdout.isatty()
    return Plain() if plain else Live()


class Plain:
    """One line for each thing that changed."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._told: dict[str, str] = {}

    def show(self, snapshot: view.Snapshot) -> None:
        for step in snapshot.steps:
            self._say(f"step {step}", "", f"done: {step}")
        for node in snapshot.nodes:
            if node.stage is not view.Stage.WAITING:
                text = f"{node.title}: {node.told}"
                self._say(node.title, node.told, text)
        text = f"{snapshot.status}: {snapshot.reason}"
        self._say("status", text, text)

    def _say(self, key: str, state: str, text: str) -> None:
        if self._told.get(key) != state:
            self._told[key] = state
            elapsed = time.monotonic() - self._began
            print(f"[{elapsed:6.1f} s] {text}", flush=True)


class Live:
    """A table that is drawn again in the same place."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._drawn = 0

    def show(self, snapshot: view.Snapshot) -> None:
        width = shutil.get_terminal_size((80, 24)).columns - 1
        lines = self._lines(snapshot, width)
        back = _UP.format(self._drawn) if self._drawn else ""
        sys.stdout.write(back + _CLEAR + "\n".join(lines) + "\n")
        sys.stdout.flush()
        self._drawn = len(lines)

    def _lines(self, snapshot: view.Snapshot, width: int) -> list[str]:
        elapsed = time.monotonic() - self._began
        lines = ["", f"{snapshot.status}  {elapsed:.0f} s"]
        lines += [f"  {snapshot.reason}"[:width], ""]
        for step in view.STEPS:
            mark = "✓" if step in snapshot.steps else " "
            lines.append(f"  {mark} {step}")
        lines.append("")
        lines += [_row(one, width) for one in snapshot.nodes[:_SHOWN_NODES]]
        more = len(snapshot.nodes) - _SHOWN_NODES
        if more > 0:
            lines.append(f"  and {more} more")
        return lines


def _row(node: view.Node, width: int) -> str:
    past = " ".join(
        f"{name} {seconds:.1f}" for name, seconds in node.timings.items()
    )
    now = node.told if node.error else node.stage.value
    phase = node.phase
    if node.stage is view.Stage.BOOTING and phase not in node.seconds:
        past = f"{past} {phase}…" if phase else past
    text = f"  {_MARKS[node.stage]} {node.title:12} {now:9} {past}"[:width]
    colour = _COLOURS.get(node.stage, "")
    return f"{colour}{text}{_RESET}" if colour else text
