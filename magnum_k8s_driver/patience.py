# SPDX-License-Identifier: Apache-2.0
"""How one call of Magnum's status job makes use of the time until the next.

Steps of an operation end at any moment; Magnum looks every ten seconds.
"""

from collections.abc import Callable
import contextlib
import functools
import threading
import time

from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.ports import cloud as cloud_module

_PAUSE = 2.0
"""Seconds between two looks, at least."""
_WHOLE = 8.5
"""Seconds; Magnum calls again after ten."""
_MOST = threading.BoundedSemaphore(8)
"""Threads of this process that may look again. When more clusters than that
are in progress, the others wait for Magnum's next call: a conductor shall not
be busy with looking."""


class Kept:
    """A cloud that is opened when it is first needed, for several looks."""

    def __init__(
        self,
        opened: contextlib.ExitStack,
        cloud: contextlib.AbstractContextManager[cloud_module.Cloud],
    ) -> None:
        self._opened = opened
        self._context = cloud

    @functools.cached_property
    def cloud(self) -> cloud_module.Cloud:
        """Open it.

        :raises CloudError: Keystone refuses or does not answer.
        """
        return self._opened.enter_context(self._context)


def look_again(
    look: Callable[[], record_module.ClusterReport | None],
    has_changed: Callable[[record_module.Sight], bool],
) -> None:
    """Look, and again when something has changed, until Magnum calls.

    :param look: goes on with what is under way; None when it could not.
    :param has_changed: tells, for much less than a look, whether another one
        would see more than the last.
    """
    ends = time.time() + _WHOLE
    began = time.time()
    found = look()
    if found is None or not found.awaited or not _MOST.acquire(blocking=False):
        return
    try:
        while found is not None and found.awaited:
            # Where looking takes long, it is done less often.
            pause = max(_PAUSE, time.time() - began)
            if not _has_news(found.sight, has_changed, pause, ends):
                return
            began = time.time()
            found = look()
    finally:
        _MOST.release()


def _has_news(
    sight: record_module.Sight | None,
    has_changed: Callable[[record_module.Sight], bool],
    pause: float,
    ends: float,
) -> bool:
    """Wait for a change; tell whether one came before the end."""
    while time.time() + pause <= ends:
        time.sleep(pause)
        if sight is None or has_changed(sight):
            return True
    return False
