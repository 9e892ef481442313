# SPDX-License-Identifier: Apache-2.0
"""What the driver needs from Nova about servers."""

from collections.abc import Mapping
import dataclasses
from typing import Protocol


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Server:
    """A server as Nova reports it."""

    id: str
    name: str
    status: str
    """``BUILD``, ``ACTIVE``, ``ERROR``, ``SHUTOFF``, ..."""
    fault: str
    """Nova's fault message, empty when there is none."""
    fixed_ips: tuple[str, ...]
    floating_ips: tuple[str, ...]
    metadata: Mapping[str, str]
    launched: float | None = None
    """When it first became ACTIVE, seconds since the epoch."""
    on_volume: bool = False
    """Whether its root disk is a volume."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """What Nova's scheduler looks for on behalf of a server's flavor."""

    resources: Mapping[str, int]
    """Amount by Placement's resource class, none is zero."""
    traits: tuple[str, ...] = ()
    """A forbidden one has ``!`` in front."""


class ComputePort(Protocol):
    """Servers of one project.

    Every method raises :class:`~magnum_k8s_driver.exceptions.CloudError`.
    """

    def servers(self, name_prefix: str) -> tuple[Server, ...]:
        """Return the project's servers whose name starts with the prefix."""

    def console(self, server_id: str, lines: int) -> str:
        """Return the last lines of the serial console, '' when unavailable."""

    def demand(self, flavor_id: str, *, on_volume: bool) -> Demand:
        """Return what a hypervisor has to have for a server of a flavor.

        :param on_volume: the root disk is a volume.
        """

    def max_server_meta(self) -> int:
        """Return how many keys of metadata a server may have; -1: any."""

    def delete(self, server_id: str) -> None:
        """Delete a server that Heat no longer knows; gone already is fine."""
