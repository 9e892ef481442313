# SPDX-License-Identifier: Apache-2.0
"""When what was first seen, and tables of it."""

import time

from lab.tour import view


class Stopwatch:
    """Remembers when each step ended and each node changed its stage."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._steps: dict[str, float] = {}
        self._stages: dict[str, dict[view.Stage, float]] = {}
        self._nodes: tuple[view.Node, ...] = ()

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._began

    def note(self, snapshot: view.Snapshot) -> None:
        now = self.elapsed
        for step in snapshot.steps:
            self._steps.setdefault(step, now)
        for node in snapshot.nodes:
            stages = self._stages.setdefault(node.title, {})
            stages.setdefault(node.stage, now)
        self._nodes = snapshot.nodes

    def step_table(self) -> list[str]:
        """Return when each step of the whole ended."""
        width = max(map(len, view.STEPS))
        return [
            f"  {step:{width}}  {self._steps[step]:6.1f} s"
            for step in view.STEPS
            if step in self._steps
        ]

    def node_table(self) -> list[str]:
        """Return how long each phase of each node took."""
        seen = {name: 0.0 for one in self._nodes for name in one.seconds}
        phases = list(view.in_order(seen))
        rows = [["node", "server at", *phases, "ready at"]]
        for one in self._nodes:
            stages = self._stages.get(one.title, {})
            active = stages.get(
                view.Stage.BOOTING, stages.get(view.Stage.READY)
            )
            ready = stages.get(view.Stage.READY)
            own = [one.seconds.get(name) for name in phases]
            rows.append([one.title, *map(_number, [active, *own, ready])])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return [
            "  "
            + "  ".join(
                cell.ljust(width) if not index else cell.rjust(width)
                for index, (cell, width) in enumerate(
                    zip(row, widths, strict=True)
                )
            )
            for row in rows
        ]


def _number(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds:.1f}"
