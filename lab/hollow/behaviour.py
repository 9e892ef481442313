# SPDX-License-Identifier: Apache-2.0
"""How fast hollow nodes are and which of them fail, read from a file.

The file is JSON and may change at any time; README.rst lists its keys.
"""

from collections.abc import Mapping
import dataclasses
import json
import logging
import pathlib
import random
import re
import threading
from typing import Any

LOG = logging.getLogger(__name__)

PHASE_SECONDS = {
    "prepare": 0.5,
    "runtime": 0.6,
    "binaries": 0.6,
    "secrets": 0.1,
    "init": 1.2,
    "join-control-plane": 0.8,
    "join": 0.4,
    "addon": 0.2,
    "report": 0.1,
    "kubelet": 0.4,
    "drain": 1.0,
    "upgrade": 2.0,
    "rotate": 2.0,
    "reboot": 1.0,
}
"""Of a phase, a task, or (``kubelet``) from joined to ready."""

KNOBS = {
    "speed": 1.0,
    "jitter": 0.2,
    "digest_seconds": 2.0,
    "digest_idle_seconds": 300.0,
    "join_deadline": 600.0,
    "seal_deadline": 600.0,
    "retry_seconds": 10.0,
    "poll_seconds": 2.0,
    "not_ready_grace": 3.0,
    "removal_grace": 6.0,
}
"""Defaults. ``speed`` divides the seconds of phases and nothing else."""


@dataclasses.dataclass(frozen=True)
class Failure:
    """An injected failure."""

    message: str
    hint: str


class Behaviour:
    """The file's present content. Safe to ask from every thread."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stamp: tuple[int, int] | None = None
        self._content: Mapping[str, Any] = {}
        self._fired: dict[str, int] = {}

    def knob(self, name: str) -> float:
        with self._lock:
            return self._knob(name)

    def jittered(self, seconds: float) -> float:
        """Spread a delay by the configured share."""
        share = self.knob("jitter")
        return seconds * random.uniform(1 - share, 1 + share)

    def seconds(self, node: str, phase: str) -> float:
        """Return how long a phase of a node takes this time."""
        with self._lock:
            given = self._fresh().get("phase_seconds") or {}
            kind = "addon" if phase.startswith("addon-") else phase
            found = given.get(phase, PHASE_SECONDS.get(kind, 0.5))
            for rule in self._rules(node):
                found = (rule.get("phase_seconds") or {}).get(phase, found)
            speed = self._knob("speed") or 1.0
        return self.jittered(float(found) / speed)

    def failure(self, node: str, phase: str) -> Failure | None:
        """Return the failure to simulate now, and count it."""
        with self._lock:
            for rule in self._rules(node):
                if rule.get("fail_phase") == phase and self._fire(rule):
                    return Failure(
                        str(rule.get("message", f"{phase} failed (injected)")),
                        str(rule.get("hint", "")),
                    )
        return None

    def value(self, node: str, key: str) -> Any:
        """Return a key of the first rule for a node that has it."""
        with self._lock:
            for rule in self._rules(node):
                if rule.get(key) and self._fire(rule):
                    return rule[key]
        return None

    def _knob(self, name: str) -> float:
        value = self._fresh().get(name, KNOBS[name])
        return float(value) if isinstance(value, (int, float)) else KNOBS[name]

    def _rules(self, node: str) -> list[dict[str, Any]]:
        rules = self._fresh().get("rules") or []
        return [one for one in rules if re.search(one["match"], node)]

    def _fire(self, rule: Mapping[str, Any]) -> bool:
        """Tell whether a rule may still fire; it then has once more."""
        times = rule.get("times")
        if times is None:
            return True
        name = _identity(rule)
        fired = self._fired.get(name, 0)
        self._fired[name] = fired + 1
        return fired < times

    def _fresh(self) -> Mapping[str, Any]:
        try:
            found = self._path.stat()
        except OSError:
            self._content, self._stamp = {}, None
            return self._content
        stamp = found.st_mtime_ns, found.st_size
        if stamp != self._stamp:
            self._stamp = stamp
            self._read()
        return self._content

    def _read(self) -> None:
        try:
            content = json.loads(self._path.read_text())
            rules = [dict(one) for one in content.get("rules") or []]
            for one in rules:
                re.compile(one["match"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as e:
            LOG.warning("%s is not usable, kept as before: %s", self._path, e)
            return
        except re.error as exc:
            LOG.warning("%s has a wrong pattern: %s", self._path, exc)
            return
        self._content = content
        known = {_identity(one) for one in rules}
        self._fired = {k: v for k, v in self._fired.items() if k in known}


def _identity(rule: Mapping[str, Any]) -> str:
    return json.dumps(rule, sort_keys=True)
