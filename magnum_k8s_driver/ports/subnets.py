# SPDX-License-Identifier: Apache-2.0
"""Reads Neutron's subnets, and who is in them."""

from collections.abc import Iterable
import dataclasses
import ipaddress
from typing import Any

from openstack import exceptions as sdk_exceptions

from magnum_k8s_driver.model import facts as facts_module

_INTERFACES = (
    "network:router_interface",
    "network:router_interface_distributed",
    "network:ha_router_replicated_interface",
)
"""Device owners of a router's ports: ROUTER_INTERFACE_OWNERS in
neutron_lib/constants.py."""


def read(
    connection: Any, subnet: Any, *, surroundings: bool
) -> facts_module.SubnetFacts:
    """Return what there is to know of a subnet.

    A project sees all ports of its own networks, and its own ports of
    others'.

    :param connection: an ``openstack.connection.Connection``.
    :param subnet: as the SDK found it.
    :param surroundings: also find out who is in it.
    """
    ranges = _ranges(subnet.allocation_pools)
    found = facts_module.SubnetFacts(
        id=subnet.id,
        name=subnet.name or subnet.id,
        network_id=subnet.network_id,
        cidr=subnet.cidr,
        ip_version=subnet.ip_version or 4,
        addresses=(
            None
            if ranges is None
            else sum(one.stop - one.start for one in ranges)
        ),
    )
    if not surroundings:
        return found
    network = connection.network
    ports = list(network.ports(fixed_ips=[f"subnet_id={subnet.id}"]))
    is_ours = subnet.project_id == connection.current_project_id
    addresses = [
        int(ipaddress.ip_address(one["ip_address"]))
        for port in ports
        for one in port.fixed_ips
        if one["subnet_id"] == subnet.id
    ]
    return dataclasses.replace(
        found,
        taken=sum(
            address in one for address in addresses for one in ranges or ()
        ),
        outside=_outside(connection, ports) if is_ours else None,
    )


def _outside(connection: Any, ports: Iterable[Any]) -> frozenset[str] | None:
    """Return the external networks behind the routers among ports.

    None: there is a router that cannot be seen.
    """
    found = set()
    for port in ports:
        if port.device_owner not in _INTERFACES:
            continue
        try:
            router = connection.network.get_router(port.device_id)
        except sdk_exceptions.NotFoundException:
            return None
        gateway = router.external_gateway_info or {}
        found.add(str(gateway.get("network_id") or ""))
    return frozenset(filter(None, found))


def _ranges(pools: Any) -> list[range] | None:
    """Return the addresses of a subnet's allocation pools, as numbers."""
    if not isinstance(pools, list):
        return None
    try:
        return [
            range(
                int(ipaddress.ip_address(pool["start"])),
                int(ipaddress.ip_address(pool["end"])) + 1,
            )
            for pool in pools
        ]
    except (LookupError, TypeError, ValueError):
        return None
