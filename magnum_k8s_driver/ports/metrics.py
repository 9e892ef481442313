# SPDX-License-Identifier: Apache-2.0
"""What the driver counts and measures, for Prometheus.

Magnum's conductor has several processes, none of which listens to anybody:
each keeps what it counts in a file of its own, in prometheus_client's format
of several processes, and ``magnum-k8s-manage metrics`` adds the files up. The
library's own metrics go to such files only where an environment variable was
set before anything loaded it, and openstacksdk loads it: so the files are
written here. Without :func:`enable` nothing is counted.
"""

from collections.abc import Mapping
import dataclasses
import enum
import os
import pathlib
import threading
import time
from typing import Any

from oslo_log import log as logging
from prometheus_client import mmap_dict
from prometheus_client import utils

LOG = logging.getLogger(__name__)


class Kind(enum.StrEnum):
    """How Prometheus takes a metric."""

    HISTOGRAM = "histogram"
    GAUGE = "gauge"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One metric; the documentation lists these."""

    name: str
    kind: Kind
    help: str
    labels: Mapping[str, str]
    """Name to meaning."""
    buckets: tuple[float, ...] = ()
    """Upper ends, seconds."""


OPERATION = Metric(
    name="magnum_k8s_operation_seconds",
    kind=Kind.HISTOGRAM,
    help="Operations on clusters that have ended, and how long they took "
    "from the user's request.",
    labels={
        "operation": "create, resize, upgrade, heal, rotate-ca, "
        "rotate-credential, update (anything else that changes a cluster) "
        "or delete.",
        "result": "complete, failed, or refused: a create of which nothing "
        "was made.",
    },
    buckets=(15, 30, 60, 120, 240, 480, 900, 1800, 3600, 7200),
)
LOCK_WAIT = Metric(
    name="magnum_k8s_lock_wait_seconds",
    kind=Kind.HISTOGRAM,
    help="Attempts to lock a cluster or a project, and how long they took.",
    labels={
        "lock": "cluster or project.",
        "result": "held; busy: somebody else works on it; error: the lock "
        "service does not answer.",
    },
    buckets=(0.01, 0.05, 0.25, 1, 5, 15, 30),
)
REQUEST = Metric(
    name="magnum_k8s_request_seconds",
    kind=Kind.HISTOGRAM,
    help="Requests to OpenStack's services, and how long they took.",
    labels={
        "service": "orchestration (Heat), compute, network, block-storage, "
        "load-balancer, image, identity, key-manager, placement.",
        "method": "GET, HEAD, POST, PUT, PATCH or DELETE.",
        "result": "Status of the answer, such as 200; none without one.",
    },
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60),
)
CLUSTERS = Metric(
    name="magnum_k8s_clusters",
    kind=Kind.GAUGE,
    help="Clusters of this driver.",
    labels={
        "status": "Magnum's, such as CREATE_COMPLETE.",
        "health": "HEALTHY, UNHEALTHY or UNKNOWN.",
    },
)
WANTED = Metric(
    name="magnum_k8s_nodes_wanted",
    kind=Kind.GAUGE,
    help="Nodes that the node groups of these clusters ask for.",
    labels={
        "role": "Role of the node group.",
        "status": "Magnum's of the node group.",
    },
)
NODES = Metric(
    name="magnum_k8s_nodes",
    kind=Kind.GAUGE,
    help="Nodes of these clusters at the last look at their health.",
    labels={
        "state": "ready, not-ready, or unknown: asked for, and not seen yet "
        "or not lately.",
    },
)
METRICS = (OPERATION, LOCK_WAIT, REQUEST, CLUSTERS, WANTED, NODES)


class _Writer:
    """The file of this process.

    :param directory: shared by all processes.
    """

    def __init__(self, directory: pathlib.Path) -> None:
        self._directory = directory
        self._lock = threading.Lock()
        self._pid = 0
        self._sums: Any = None

    def add(
        self, metric: Metric, labels: Mapping[str, str], seconds: float
    ) -> None:
        """Add one event; readers add buckets up.

        :raises OSError: there can be no file.
        """
        name = metric.name
        ends = (*metric.buckets, float("inf"))
        own = next(end for end in ends if seconds <= end)
        with self._lock:
            sums = self._opened()
            for end in ends:
                told = {**labels, "le": utils.floatToGoString(end)}
                _add(sums, metric, f"{name}_bucket", told, float(end == own))
            _add(sums, metric, f"{name}_sum", labels, seconds)

    def _opened(self) -> Any:
        # A process that was forked has a file of its own.
        if self._pid != os.getpid():
            path = self._directory / f"histogram_{os.getpid()}.db"
            self._sums = mmap_dict.MmapedDict(str(path))
            self._pid = os.getpid()
        return self._sums


def _add(
    sums: Any,
    metric: Metric,
    sample: str,
    labels: Mapping[str, str],
    amount: float,
) -> None:
    key = mmap_dict.mmap_key(
        metric.name, sample, [*labels], [*labels.values()], metric.help
    )
    before, _time = sums.read_value(key)
    sums.write_value(key, before + amount, 0.0)


_writer: _Writer | None = None
"""None as long as nothing is counted."""
_refused: set[str] = set()
"""Directories that cannot be used; each is told once."""


def enable(directory: str) -> None:
    """Count and measure from now on; repeating it is harmless.

    A directory that cannot be used is told in the log and keeps nobody from
    working on clusters.

    :param directory: where processes leave what they count; empty: nowhere.
    """
    global _writer
    if _writer is not None or not directory or directory in _refused:
        return
    path = pathlib.Path(directory)
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
        if not os.access(path, os.W_OK | os.X_OK):
            raise PermissionError(f"no right to write in {path}")
    except OSError as exc:
        _refused.add(directory)
        LOG.error("Nothing is counted for Prometheus: %s", exc)
    else:
        _writer = _Writer(path)


def observe(metric: Metric, seconds: float, **labels: str) -> None:
    """Count one event and how long it took.

    :param labels: all of the metric.
    """
    if _writer is None:
        return
    ordered = {name: labels[name] for name in metric.labels}
    try:
        _writer.add(metric, ordered, max(seconds, 0.0))
    except (OSError, ValueError) as exc:
        # Whoever is being measured has other things to do.
        LOG.warning("Cannot count for Prometheus: %s", exc)


class Measured:
    """Measures a block; set ``result`` in it when it went well.

    :param result: what it is without that, also after an exception.
    """

    def __init__(self, metric: Metric, result: str, **labels: str) -> None:
        self.result = result
        self._metric = metric
        self._labels = labels
        self._began = 0.0

    def __enter__(self) -> "Measured":
        self._began = time.monotonic()
        return self

    def __exit__(self, *_exception: object) -> None:
        seconds = time.monotonic() - self._began
        labels = {**self._labels, "result": self.result}
        observe(self._metric, seconds, **labels)


@dataclasses.dataclass(slots=True)
class _Operation:
    kind: str
    started: float
    seen: float


UPDATE = "update"
"""An operation of which nothing more is known."""
_FORGET = 60.0
"""Seconds; the status job looks every ten, and so do other conductors, one
of which may have seen the end."""
_under_way: dict[str, _Operation] = {}


def operation(
    uuid: str, kind: str, *, started: float, now: float, result: str
) -> None:
    """Note an operation at each look, and count it when it has ended.

    Stacks forget a rotation or an upgrade before the last add-on is ready,
    and its last step is younger than the whole: what was seen first holds.

    :param uuid: of the cluster.
    :param started: seconds since the epoch, and so is ``now``.
    :param result: empty while it goes on.
    """
    if _writer is None:
        return
    known = _under_way.get(uuid)
    if known is None or now - known.seen > _FORGET:
        known = _under_way[uuid] = _Operation(kind, started, now)
    known.seen = now
    if known.kind == UPDATE or kind == "delete":
        # A delete overtakes whatever was under way.
        known.started = known.started if kind != "delete" else started
        known.kind = kind
    if result:
        del _under_way[uuid]
        observe(
            OPERATION,
            now - known.started,
            operation=known.kind,
            result=result,
        )
