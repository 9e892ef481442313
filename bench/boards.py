# SPDX-License-Identifier: Apache-2.0
"""Boards under load: what a real Heat makes of many nodes' news.

A stack with the two handles of a cluster gets what nodes of a large cluster
would write: one control-plane member a digest of all Nodes every ten seconds
while something changes, workers that cannot join their distress, each for
itself. What comes out is read as the driver reads it.
"""

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import json
import pathlib
import random
import statistics
import threading
import time
from typing import Any
import uuid

from bench import clusters
from bench import cost
from lab.hollow import signals
from magnum_k8s_driver.model import board
from magnum_k8s_driver.ports import sdk_heat

_DIGEST_SECONDS = 10.0
"""Between two digests of a member; templates/node, digest."""
_LOOK_SECONDS = 2.0
"""Between two looks of the driver while something is awaited."""
_SPREAD = 30.0
"""Seconds within which all nodes change."""
_PATIENCE = 60.0
_DISTRESS = (0.0, 30.0, 60.0)
"""Pauses before a worker's signals; templates/node/lib/board.sh, is_due."""
_FAIL_SPREAD = 5.0
_KEY = b"k" * 32
_CHANGES, _FAILURES, _DIGESTS = "changes", "distress", "digests"
_REPEATED = 20
_HANDLES = ("board", "distress")
_TEMPLATE = {
    "heat_template_version": "2021-04-16",
    "resources": {
        name: {
            "type": "OS::Heat::WaitConditionHandle",
            "properties": {"signal_transport": "HEAT_SIGNAL"},
        }
        for name in _HANDLES
    },
    "outputs": {
        name: {"value": {"get_attr": [name, "signal"]}} for name in _HANDLES
    },
}


@dataclasses.dataclass(frozen=True)
class Handles:
    """A stack with the handles of a cluster, as nodes and driver have it."""

    heat: sdk_heat.SdkHeat
    stack_id: str
    credentials: Mapping[str, Mapping[str, Any]]

    def read(self, name: str) -> Mapping[str, Any]:
        """Return what stands on a handle."""
        return self.heat.metadata(self.stack_id, name)


class Fleet:
    """Nodes that become ready one after the other, and their writer."""

    def __init__(self, count: int) -> None:
        self.changed = {
            f"bench-worker-{index}": random.uniform(0.0, _SPREAD)
            for index in range(count)
        }
        """Name and second of the change."""
        self._sequence = 0

    def digest(self, now: float) -> str:
        """Return what a control-plane member writes at a moment."""
        self._sequence += 1
        document = {
            "v": 1,
            "seq": self._sequence,
            "t": round(time.time(), 1),
            "server": "bench",
            "nodes": {
                name: _node(name, ready=at <= now)
                for name, at in self.changed.items()
            },
            "addons": {},
        }
        return board.encode(document, _KEY)


def run(nodes: int, failing: int, output: pathlib.Path | None) -> int:
    """Measure digests of so many nodes, and distress of some."""
    meter = cost.Meter()
    found: dict[str, Any] = {}
    with _handles(meter) as handles:
        with _measured(meter, found, _CHANGES):
            found[_CHANGES] = _changes(handles, nodes)
        with _measured(meter, found, _DIGESTS):
            found[_DIGESTS] = _digests(handles, nodes)
        with _measured(meter, found, _FAILURES):
            found[_FAILURES] = _failures(handles, failing)
    text = json.dumps(found, indent=1)
    print(text)
    if output is not None:
        output.write_text(f"{text}\n")
    return 0


def _changes(handles: Handles, nodes: int) -> dict[str, Any]:
    """Let nodes change, and note when the driver sees each of them."""
    fleet, heat_api = Fleet(nodes), signals.HeatApi()
    began = time.monotonic()
    sent: list[tuple[float, int]] = []

    def write() -> None:
        """Write as long as something changes, once more at the end."""
        while True:
            now = time.monotonic() - began
            text = fleet.digest(now)
            _post(heat_api, handles, "board", board.DIGEST, "SUCCESS", text)
            sent.append((time.monotonic() - began - now, len(text)))
            if now > _SPREAD:
                return
            time.sleep(_DIGEST_SECONDS)

    seen: dict[str, float] = {}
    writer = threading.Thread(target=write)
    writer.start()
    while len(seen) < nodes and time.monotonic() - began < 2 * _PATIENCE:
        digest = board.read_board(handles.read("board"), _KEY).digest
        now = time.monotonic() - began
        for name, one in digest.nodes.items() if digest else ():
            if one.ready:
                seen.setdefault(name, now)
        time.sleep(_LOOK_SECONDS)
    writer.join()
    late = [seen[name] - fleet.changed[name] for name in seen]
    return {
        "nodes": nodes,
        "seen": len(seen),
        "digests": len(sent),
        "bytes of a digest": max(size for _took, size in sent),
        "seconds to write one": round(max(took for took, _ in sent), 2),
        "seconds to the plan": _spread(late),
        "all seen after the last change": round(
            max(seen.values()) - max(fleet.changed.values()), 1
        ),
    }


def _digests(handles: Handles, nodes: int) -> dict[str, Any]:
    """Write digests one after the other: what each costs."""
    fleet, heat_api = Fleet(nodes), signals.HeatApi()
    for _digest in range(_REPEATED):
        text = fleet.digest(_SPREAD)
        _post(heat_api, handles, "board", board.DIGEST, "SUCCESS", text)
    return {"nodes": nodes, "digests": _REPEATED}


def _failures(handles: Handles, failing: int) -> dict[str, Any]:
    """Let workers fail at once, each a writer of the same handle."""
    began = time.monotonic()
    wrong: list[str] = []

    def suffer(name: str) -> None:
        time.sleep(random.uniform(0.0, _FAIL_SPREAD))
        heat_api = signals.HeatApi()
        for pause in _DISTRESS:
            time.sleep(pause * random.uniform(0.75, 1.25))
            try:
                _post(heat_api, handles, "distress", name, "FAILURE", _words())
            except OSError as exc:
                wrong.append(type(exc).__name__)

    threads = [
        threading.Thread(target=suffer, args=(f"bench-worker-{index}",))
        for index in range(failing)
    ]
    for one in threads:
        one.start()
    counts: list[tuple[float, int]] = []
    while any(one.is_alive() for one in threads):
        time.sleep(_LOOK_SECONDS)
        found = board.read_distress(handles.read("distress"))
        counts.append((round(time.monotonic() - began, 1), len(found)))
    news = [
        one
        for before, one in zip([(0.0, 0), *counts], counts, strict=False)
        if one[1] != before[1]
    ]
    return {"failing": failing, "seen by second": news, "refused": len(wrong)}


def _node(name: str, *, ready: bool) -> dict[str, Any]:
    return {
        "ready": ready,
        "version": "v1.36.4",
        "reason": "" if ready else "KubeletNotReady: no pod network yet",
        "since": "" if ready else board.write_moment(time.time()),
        "report": {
            "op": "create-1",
            "phase": "report",
            "version": "v1.36.4",
            "ready": ready,
            "seconds": {"prepare": 2.1, "runtime": 3.2, "binaries": 9.4},
            "t": round(time.time(), 1),
            "name": name,
        },
    }


def _words() -> str:
    return json.dumps(
        {
            "v": 1,
            "t": round(time.time(), 1),
            "server": str(uuid.uuid4()),
            "group": "default-worker",
            "member": "3",
            "phase": "join",
            "message": "The API server refuses the token.",
            "hint": "It lives two hours; resize to replace this node.",
        }
    )


def _post(
    heat_api: signals.HeatApi,
    handles: Handles,
    handle: str,
    name: str,
    status: str,
    text: str,
) -> None:
    body = {"id": name, "status": status, "reason": "bench", "data": text}
    heat_api.post(handles.credentials[handle], body)


def _spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "median": round(statistics.median(ordered), 1),
        "95 %": round(ordered[int(0.95 * len(ordered))], 1),
        "most": round(ordered[-1], 1),
    }


@contextlib.contextmanager
def _measured(
    meter: cost.Meter, found: dict[str, Any], name: str
) -> Iterator[None]:
    """Add what services used meanwhile."""
    spent: list[cost.Cost] = []
    with meter.measured(spent, "ours", 0, name):
        yield
    used = {k: v for k, v in spent[0].cpu.items() if v > 0.0}
    wanted = ("heat-engine", "heat", "keystone")
    found[name]["CPU s"] = {one: used.get(one, 0.0) for one in wanted}
    found[name]["requests"] = dict(spent[0].requests)
    found[name]["wall s"] = spent[0].wall


@contextlib.contextmanager
def _handles(meter: cost.Meter) -> Iterator[Handles]:
    """Make the stack; delete it afterwards."""
    cloud = clusters.Clusters(meter.settings).cloud
    made = cloud.orchestration.create_stack(
        name=f"bench-boards-{uuid.uuid4().hex[:6]}", template=_TEMPLATE
    )
    try:
        heat = sdk_heat.SdkHeat(cloud)

        def is_made() -> bool:
            stack = heat.show(made.id)
            return bool(stack and stack.phase == "COMPLETE")

        clusters.wait(is_made)
        stack = heat.show(made.id, outputs=True)
        outputs = stack.outputs if stack else {}
        yield Handles(
            heat=heat,
            stack_id=made.id,
            credentials={one: json.loads(outputs[one]) for one in _HANDLES},
        )
    finally:
        cloud.orchestration.delete_stack(made.id)
