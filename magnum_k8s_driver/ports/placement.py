# SPDX-License-Identifier: Apache-2.0
"""What the driver asks Placement: whether anything has room for a server.

Answers are yes or no, so no name of a hypervisor can reach a tenant.
"""

from collections.abc import Collection, Mapping
from typing import Any, Protocol

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import rest

_MICROVERSION = "placement 1.22"
"""The first that can leave out what has a trait."""
_NEVER = ("!COMPUTE_STATUS_DISABLED",)
"""Nova leaves these out as well; nova/scheduler/request_filter.py."""


class PlacementPort(Protocol):
    """Room for servers in the whole cloud."""

    def has_room(
        self, resources: Mapping[str, int], traits: Collection[str] = ()
    ) -> bool:
        """Tell whether one hypervisor can give all of this at once.

        :param resources: amount by resource class.
        :param traits: with ``!`` in front: must not have it.
        :raises CloudError: Placement refuses or does not answer.
        """


class SdkPlacement:
    """Placement over HTTP.

    :param connection: an ``openstack.connection.Connection`` of somebody
        whom Placement tells: an administrator or a service.
    """

    def __init__(
        self, connection: Any, *, timeout: float = rest.TIMEOUT
    ) -> None:
        self._rest = rest.Rest(
            connection,
            "placement",
            timeout=timeout,
            headers={"OpenStack-API-Version": _MICROVERSION},
        )

    def has_room(
        self, resources: Mapping[str, int], traits: Collection[str] = ()
    ) -> bool:
        """Tell whether one hypervisor can give all of this at once."""
        wanted = ",".join(f"{name}:{n}" for name, n in resources.items())
        document = self._rest.find(
            "/allocation_candidates",
            {
                "resources": wanted,
                "required": ",".join([*_NEVER, *traits]),
                "limit": "1",
            },
        )
        if document is None:
            raise exceptions.CloudError("placement", "not found", status=404)
        return bool(document.get("allocation_requests"))
