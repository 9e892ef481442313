# SPDX-License-Identifier: Apache-2.0
"""Errors of the driver.

::

    K8sDriverError
    ├── InvalidClusterSpec      the request cannot be carried out as it is
    ├── UnsupportedOperation    nothing was changed, nothing will be
    ├── StaleGeneration         another conductor was faster; plan again
    ├── LockBusy                another thread works on this cluster
    └── CloudError              an OpenStack service refused or failed
        ├── CloudConflict       it is being changed or exists already
        └── CloudUnavailable    it did not answer; try again later

Only ``driver.py`` turns them into Magnum's own exception classes, because
Magnum's RPC layer drops the type of every other class.
"""

from collections.abc import Sequence

from magnum_k8s_driver.model import problems as problems_module


class K8sDriverError(Exception):
    """Base of all errors of this driver; ``str()`` is for users."""


class InvalidClusterSpec(K8sDriverError):
    """The request cannot be carried out; every problem is told."""

    def __init__(self, problems: Sequence[problems_module.Problem]) -> None:
        super().__init__(problems_module.told_together(problems))
        self.problems = tuple(problems)


class UnsupportedOperation(K8sDriverError):
    """The operation was refused before anything was changed."""


class StaleGeneration(K8sDriverError):
    """The stack moved on since the plan was made."""


class LockBusy(K8sDriverError):
    """Somebody else holds the lock of this cluster."""


class CloudError(K8sDriverError):
    """An OpenStack service refused or failed.

    :param service: catalog type, such as ``orchestration``.
    :param message: the service's own words.
    :param status: HTTP status code, 0 when there was no answer.
    :param request_id: OpenStack request id, empty when unknown.
    """

    def __init__(
        self,
        service: str,
        message: str,
        *,
        status: int = 0,
        request_id: str = "",
    ) -> None:
        words = " ".join(message.split()).rstrip(".") or "nothing"
        super().__init__(f"The {service} service said: {words}.")
        self.service = service
        self.status = status
        self.request_id = request_id


class CloudConflict(CloudError):
    """It exists already, or somebody is changing it (HTTP 409)."""


class CloudUnavailable(CloudError):
    """No answer, a 5xx or a 429: the same call may work later."""
