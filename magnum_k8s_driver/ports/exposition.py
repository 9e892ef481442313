# SPDX-License-Identifier: Apache-2.0
"""Show what the driver has counted, and a census, as Prometheus reads it."""

from collections.abc import Callable, Iterable, Iterator, Mapping
import contextlib
import fcntl
import os
import pathlib
from typing import Any

import prometheus_client
from prometheus_client import core
from prometheus_client import mmap_dict
from prometheus_client import multiprocess

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import metrics

_FOLDED = "histogram_ended.db"
"""Sums of processes that have ended."""

Census = Mapping[str, Mapping[tuple[str, ...], int]]
"""Name of a gauge to its values, by the values of its labels."""


def exposition(directory: str, census: Census) -> str:
    """Return everything as Prometheus reads it.

    :param directory: empty: only the census.
    :raises UnsupportedOperation: the directory cannot be read.
    """
    registry = _registry(directory, lambda: census)
    return str(prometheus_client.generate_latest(registry), "utf-8")


class Server:
    """Answers Prometheus from threads until it is closed.

    :param port: 0 takes any; ``port`` tells which.
    :param census: called for each answer.
    :raises OSError: nobody can listen there.
    """

    def __init__(
        self,
        address: str,
        port: int,
        directory: str,
        census: Callable[[], Census],
    ) -> None:
        self._server, self._thread = prometheus_client.start_http_server(
            port, address, registry=_registry(directory, census)
        )
        self.port = int(self._server.server_port)

    def close(self) -> None:
        """Answer nobody any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Collector:
    """Reads everything anew each time it is asked."""

    def __init__(self, directory: str, census: Callable[[], Census]) -> None:
        self._directory = directory
        self._census = census

    def collect(self) -> Iterator[Any]:
        """Yield every metric."""
        if self._directory:
            yield from _added_up(pathlib.Path(self._directory))
        known = self._census()
        for one in metrics.METRICS:
            if one.kind is not metrics.Kind.GAUGE:
                continue
            family = core.GaugeMetricFamily(
                one.name, one.help, labels=tuple(one.labels)
            )
            for labels, number in sorted(known.get(one.name, {}).items()):
                family.add_metric(labels, number)
            yield family

    def describe(self) -> Iterable[Any]:
        """Return nothing: the library then does not collect to find out."""
        return ()


def _registry(directory: str, census: Callable[[], Census]) -> Any:
    registry = prometheus_client.CollectorRegistry()
    registry.register(_Collector(directory, census))
    return registry


def _added_up(directory: pathlib.Path) -> list[Any]:
    """Return the metrics of all processes, those that have ended included.

    :raises UnsupportedOperation: the directory cannot be read.
    """
    if not directory.exists():
        # The first process to count makes it.
        return []
    try:
        with _alone_in(directory):
            _fold(directory)
            files = [
                str(one)
                for one in sorted(directory.glob("*.db"))
                # Another one is just being made.
                if one.stat().st_size
            ]
            merge = multiprocess.MultiProcessCollector.merge
            return list(merge(files, accumulate=True))
    except OSError as exc:
        raise exceptions.UnsupportedOperation(
            f"The metrics in {directory} cannot be read: {exc}"
        ) from exc


@contextlib.contextmanager
def _alone_in(directory: pathlib.Path) -> Iterator[None]:
    """Keep other readers away; writers have files of their own."""
    handle = os.open(directory / "lock", os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _fold(directory: pathlib.Path) -> None:
    """Replace the files of processes that have ended by one with their sums.

    To remove them alone would take back what has been counted.
    """
    ended = [
        one
        for one in sorted(directory.glob("histogram_*.db"))
        if one.name != _FOLDED and not _lives(one.stem.rpartition("_")[2])
    ]
    if not ended:
        return
    folded, fresh = directory / _FOLDED, directory / "fresh"
    known = [*ended, folded] if folded.exists() else ended
    merged = multiprocess.MultiProcessCollector.merge(
        [str(one) for one in known], accumulate=False
    )
    fresh.unlink(missing_ok=True)
    sums = mmap_dict.MmapedDict(str(fresh))
    for metric in merged:
        for sample in metric.samples:
            key = mmap_dict.mmap_key(
                metric.name,
                sample.name,
                list(sample.labels),
                list(sample.labels.values()),
                metric.documentation,
            )
            sums.write_value(key, sample.value, 0.0)
    sums.close()
    # Whoever dies in between makes Prometheus see a restart, not a surge.
    for one in ended:
        one.unlink()
    fresh.replace(folded)


def _lives(pid: str) -> bool:
    if not pid.isdigit():
        return True
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
