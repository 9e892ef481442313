# SPDX-License-Identifier: Apache-2.0
"""One worker per cluster at a time."""

import contextlib
from typing import Protocol

OF_PROJECT = "magnum-k8s-project-"
"""Begin of the names of locks for what clusters of a project share."""


class LockPort(Protocol):
    """Named locks across threads, processes and hosts."""

    def hold(
        self, name: str, *, wait_seconds: float
    ) -> contextlib.AbstractContextManager[None]:
        """Hold the lock while the block runs.

        :param wait_seconds: how long to wait for it; 0 tries once.
        :raises LockBusy: somebody else holds it.
        """
