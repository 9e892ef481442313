# SPDX-License-Identifier: Apache-2.0
"""Draw what ``bench life`` has written: a picture beside its numbers."""

from collections.abc import Mapping, Sequence
import json
import pathlib
from typing import Any

_QUANTITIES = (
    ("wall s", lambda one: one["wall"]),
    ("heat-engine CPU s", lambda one: one["cpu"].get("heat-engine", 0.0)),
    ("CPU s of all services", lambda one: sum(one["cpu"].values())),
)


def run(source: pathlib.Path, target: pathlib.Path) -> int:
    """Draw one panel for each quantity and operation, over cluster sizes.

    :param target: its suffix says which kind of picture, such as ``.svg``.
    :raises SystemExit: matplotlib is not installed.
    """
    try:
        from matplotlib import figure
    except ImportError as exc:
        raise SystemExit(
            "Charts need matplotlib: pip install matplotlib."
        ) from exc
    costs = json.loads(source.read_text())
    operations = list(dict.fromkeys(one["operation"] for one in costs))
    canvas = figure.Figure(
        figsize=(3 * len(operations), 3 * len(_QUANTITIES)),
        layout="constrained",
    )
    panels = canvas.subplots(
        len(_QUANTITIES), len(operations), squeeze=False, sharex=True
    )
    for row, (quantity, value) in zip(panels, _QUANTITIES, strict=True):
        row[0].set_ylabel(quantity)
        for panel, operation in zip(row, operations, strict=True):
            _draw(panel, operation, costs, value)
    for panel, operation in zip(panels[0], operations, strict=True):
        panel.set_title(operation)
    for panel in panels[-1]:
        panel.set_xlabel("workers")
    panels[0][0].legend()
    canvas.savefig(target)
    return 0


def _draw(
    panel: Any,
    operation: str,
    costs: Sequence[Mapping[str, Any]],
    value: Any,
) -> None:
    drivers = dict.fromkeys(one["driver"] for one in costs)
    for index, driver in enumerate(drivers):
        points = sorted(
            (one["workers"], value(one))
            for one in costs
            if (one["driver"], one["operation"]) == (driver, operation)
        )
        if points:
            line = zip(*points, strict=True)
            panel.plot(*line, f"C{index}o-", label=driver)
    panel.set_ylim(bottom=0)
    panel.grid(visible=True, alpha=0.3)
