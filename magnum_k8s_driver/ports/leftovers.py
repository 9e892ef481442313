# SPDX-License-Identifier: Apache-2.0
"""What Kubernetes or an aborted operation left in the project."""

import dataclasses
from typing import Protocol


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Leftover:
    """Something that belongs to a cluster and to no stack of it."""

    kind: str
    """``stack``, ``load balancer``, ``floating IP``, ``port``, ``security
    group``, ``volume``, ``server``."""
    id: str
    name: str
    status: str = ""

    def __str__(self) -> str:
        status = f" ({self.status})" if self.status else ""
        return f"{self.kind} {self.name or self.id}{status}"


class LeftoversPort(Protocol):
    """Finds and removes what is left of one cluster.

    Every method raises :class:`~magnum_k8s_driver.exceptions.CloudError`.
    """

    def load_balancers(self, cluster_uuid: str) -> tuple[Leftover, ...]:
        """Return load balancers Kubernetes made for Services or Ingresses.

        They are recognised by the description that the cloud controller
        manager writes: ``Kubernetes ... from cluster <uuid>``.
        """

    def others(
        self, cluster_uuid: str, name_prefix: str
    ) -> tuple[Leftover, ...]:
        """Return everything else, in the order in which it can be removed."""

    def remove(self, leftover: Leftover) -> None:
        """Remove it with what hangs on it; gone already is fine."""
