# SPDX-License-Identifier: Apache-2.0
"""Add-ons on a hollow cluster: installed one after the other, or not.

What the node program does in ``templates/node/tasks/addons.sh``, with Helm
left out: each Job takes a while and ends as the behaviour file says.
"""

from collections.abc import Callable
import dataclasses
import json
from typing import Any

from lab.hollow import behaviour as behaviour_module
from lab.hollow import scheduler as scheduler_module

DONE = "done"
FAILED = "failed"
INSTALLING = "installing"
WAITING = "waiting"


@dataclasses.dataclass
class Addon:
    """One add-on as orders name it, and how far it is."""

    name: str
    id: str
    required: bool
    job: bool
    objects: list[dict[str, Any]]
    state: str = WAITING
    message: str = ""

    @property
    def is_over(self) -> bool:
        return self.state in (DONE, FAILED)


def read(text: str) -> list[Addon]:
    """Return the add-ons in a ConfigMap of orders."""
    data = json.loads(text)["data"]
    found = []
    for line in data["order"].splitlines():
        name, identity, need, kind = line.split()
        found.append(
            Addon(
                name=name,
                id=identity,
                required=need == "required",
                job=kind == "job",
                objects=json.loads(data[name])["items"],
            )
        )
    return found


class Addons:
    """Every add-on of a cluster."""

    def __init__(
        self,
        cluster: str,
        scheduler: scheduler_module.Scheduler,
        behaviour: behaviour_module.Behaviour,
        changed: Callable[[], None],
    ) -> None:
        self._cluster = cluster
        self._scheduler = scheduler
        self._behaviour = behaviour
        self._changed = changed
        self._known: list[Addon] = []
        self._at_work = False

    def apply(self, text: str) -> None:
        """Take up what orders say; what is done stays done."""
        before = {(one.name, one.id): one for one in self._known}
        self._known = [
            before.get((one.name, one.id), one) for one in read(text)
        ]
        self._changed()
        self._go_on()

    def digest(self) -> dict[str, Any]:
        """Return the ``addons`` of a digest."""
        return {
            one.name: {
                "id": one.id,
                "state": one.state,
                "message": one.message,
            }
            for one in self._known
        }

    def record(self) -> list[dict[str, Any]]:
        """Return what the state file says."""
        return [dataclasses.asdict(one) for one in self._known]

    def restore(self, record: list[dict[str, Any]]) -> None:
        """Continue from what the state file said."""
        self._known = [Addon(**one) for one in record]
        self._go_on()

    def _go_on(self) -> None:
        if self._at_work:
            return
        for one in self._known:
            if not one.is_over:
                self._begin(one)
                return

    def _begin(self, one: Addon) -> None:
        self._at_work = True
        one.state, one.message = INSTALLING, ""
        phase = f"addon-{one.name}"
        wait = 0.0
        if one.job:
            wait = self._behaviour.seconds(self._cluster, phase)
        self._changed()
        self._scheduler.call_later(wait, lambda: self._end(one, phase))

    def _end(self, one: Addon, phase: str) -> None:
        self._at_work = False
        if one in self._known:
            failure = self._behaviour.failure(self._cluster, phase)
            one.state = FAILED if failure else DONE
            one.message = failure.message if failure else ""
            self._changed()
        self._go_on()
