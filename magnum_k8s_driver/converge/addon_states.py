# SPDX-License-Identifier: Apache-2.0
"""What the boards say about add-ons: pure."""

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.model import board


def waiting(observed: observed_module.Observed) -> tuple[str, ...]:
    """Return the names of required add-ons that are not done."""
    return tuple(
        name
        for name, one in _told(observed).items()
        if one.required and one.state != "done"
    )


def failures(observed: observed_module.Observed) -> tuple[str, ...]:
    """Return a sentence for each required add-on that failed."""
    return tuple(
        f"Add-on {name} failed: {one.message.rstrip('.')}."
        for name, one in _told(observed).items()
        if one.required and one.state == "failed"
    )


def _told(
    observed: observed_module.Observed,
) -> dict[str, board.AddonState]:
    found: dict[str, board.AddonState] = {}
    boards = observed.cluster.boards.values() if observed.cluster else ()
    for one in boards:
        if one.report is not None and one.report.signed:
            found.update(one.report.addons)
    return found
