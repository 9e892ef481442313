# SPDX-License-Identifier: Apache-2.0
"""Which operation is under way and since when: pure."""

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import rotation as rotation_module
from magnum_k8s_driver.model import state as state_module

UPDATE = "update"
"""A change of which the stacks do not say more."""

_ROTATIONS = {
    rotation_module.Kind.CA: "rotate-ca",
    rotation_module.Kind.CREDENTIAL: "rotate-credential",
}
_NAMED = frozenset({"resize", "upgrade", state_module.HEAL})
_SLACK = 60.0
"""Seconds between Magnum's save of a request and that of its hook."""


def kind(observed: observed_module.Observed) -> str:
    """Return what is being done, as operators count it."""
    intent = observed.record.intent
    if intent is not record.Intent.UPDATE:
        return intent.value
    if observed.rotation is not None:
        return _ROTATIONS[observed.rotation.kind]
    if observed.upgrade is not None:
        return "upgrade"
    steps = [one.operation for one in observed.states if one.operation]
    newest = max(steps, key=lambda one: one.started, default=None)
    asked = max(_changed(observed), default=0.0)
    if newest is None or newest.started < asked - _SLACK:
        return UPDATE
    return newest.kind if newest.kind in _NAMED else UPDATE


def started(observed: observed_module.Observed) -> float:
    """Return when its newest step began, seconds since the epoch."""
    intent = observed.record.intent
    if intent is record.Intent.CREATE:
        return observed.record.created
    if intent is record.Intent.DELETE:
        changed = [group.changed for group in observed.record.groups]
        return max(changed, default=observed.now)
    found = [one.operation.started for one in observed.states if one.operation]
    if observed.rotation is not None:
        found.append(observed.rotation.started)
    return max([*found, *_changed(observed)], default=observed.now)


def _changed(observed: observed_module.Observed) -> list[float]:
    """Return when rows that are worked on were last saved: at the begin."""
    return [
        group.changed
        for group in observed.record.groups
        if group.intent is not record.Intent.NOTHING
    ]
