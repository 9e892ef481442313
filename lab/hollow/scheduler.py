# SPDX-License-Identifier: Apache-2.0
"""Timed events on one thread: everything a hollow node does happens here.

Because one thread runs every event, nodes and clusters need no locks. An
event has to be short; network work belongs to the sender's threads.
"""

from collections.abc import Callable
import heapq
import itertools
import logging
import threading
import time

LOG = logging.getLogger(__name__)


class Event:
    """Something that will be called once, unless cancelled."""

    __slots__ = ("action",)

    def __init__(self, action: Callable[[], object]) -> None:
        self.action: Callable[[], object] | None = action

    def cancel(self) -> None:
        self.action = None


class Scheduler:
    """A heap of events, called in the order of their time."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Event]] = []
        self._order = itertools.count()
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None

    def monotonic(self) -> float:
        """Return the clock that delays are measured with."""
        return time.monotonic()

    def wall(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def call_later(self, delay: float, action: Callable[[], object]) -> Event:
        """Call an action after some seconds; any thread may ask."""
        event = Event(action)
        entry = self.monotonic() + delay, next(self._order), event
        with self._wake:
            heapq.heappush(self._heap, entry)
            if self._heap[0] is entry:
                self._wake.notify()
        return event

    def call_soon(self, action: Callable[[], object]) -> Event:
        return self.call_later(0, action)

    def start(self) -> None:
        """Start the thread; it ends with the process."""
        self._thread = threading.Thread(
            target=self._run, name="hollow", daemon=True
        )
        self._thread.start()

    def run_due(self) -> float | None:
        """Call what is due.

        :returns: seconds until the next event, None when there is none.
        """
        while True:
            with self._wake:
                if not self._heap:
                    return None
                wait = self._heap[0][0] - self.monotonic()
                if wait > 0:
                    return wait
                event = heapq.heappop(self._heap)[2]
            action = event.action
            if action is None:
                continue
            try:
                action()
            except Exception:
                LOG.exception("A hollow node's event failed")

    def _run(self) -> None:
        while True:
            self.run_due()
            with self._wake:
                wait = None
                if self._heap:
                    wait = self._heap[0][0] - self.monotonic()
                if wait is None or wait > 0:
                    self._wake.wait(wait)
