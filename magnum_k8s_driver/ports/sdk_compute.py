# SPDX-License-Identifier: Apache-2.0
"""Nova over HTTP."""

from collections.abc import Mapping
import datetime
import re
from typing import Any

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import compute
from magnum_k8s_driver.ports import rest

_NO_CONSOLE = frozenset({400, 403, 404, 405, 409, 501})
"""The hypervisor has no console log, the server is not ready for it, or the
cloud's policy keeps it; nova/api/openstack/compute/console_output.py."""
_WITH_SPECS = "compute 2.61"
"""The first that tells a flavor's extra specs."""
_RESOURCE, _TRAIT = "resources:", "trait:"
"""Begin of keys of extra specs; nova/scheduler/utils.py."""


class SdkCompute:
    """Servers of the project a connection belongs to.

    :param connection: an ``openstack.connection.Connection``.
    :param all_of: id of another project, which an administrator's connection
        looks at; empty for its own.
    """

    def __init__(
        self,
        connection: Any,
        *,
        all_of: str = "",
        timeout: float = rest.TIMEOUT,
    ) -> None:
        self._rest = rest.Rest(connection, "compute", timeout=timeout)
        self._flavors = rest.Rest(
            connection,
            "compute",
            timeout=timeout,
            headers={"OpenStack-API-Version": _WITH_SPECS},
        )
        self._project: dict[str, str] = {}
        if all_of:
            self._project = {"all_tenants": "1", "project_id": all_of}

    def servers(self, name_prefix: str) -> tuple[compute.Server, ...]:
        """Return the project's servers whose name starts with the prefix."""
        # Nova takes a regular expression and lets the database match it,
        # without regard to case in most of them.
        query = {"name": f"^{re.escape(name_prefix)}", **self._project}
        return tuple(
            server(one)
            for one in self._rest.pages("/servers/detail", "servers", query)
            if str(one["name"]).startswith(name_prefix)
        )

    def console(self, server_id: str, lines: int) -> str:
        """Return the last lines of the serial console, '' when unavailable."""
        try:
            document = self._rest.send(
                "POST",
                f"/servers/{server_id}/action",
                {"os-getConsoleOutput": {"length": lines}},
            )
        except exceptions.CloudError as exc:
            if exc.status in _NO_CONSOLE:
                return ""
            raise
        return str(document.get("output") or "")

    def demand(self, flavor_id: str, *, on_volume: bool) -> compute.Demand:
        """Return what a hypervisor has to have for a server of a flavor."""
        document = self._flavors.send("GET", f"/flavors/{flavor_id}")
        return demand(document["flavor"], on_volume=on_volume)

    def max_server_meta(self) -> int:
        """Return how many keys of metadata a server may have; -1: any."""
        document = self._rest.send("GET", "/limits")
        return int(document["limits"]["absolute"]["maxServerMeta"])

    def delete(self, server_id: str) -> None:
        """Delete a server that Heat no longer knows; gone already is fine."""
        self._rest.discard(f"/servers/{server_id}")


def server(found: Mapping[str, Any]) -> compute.Server:
    """Return a server of Nova's API 2.1 as the driver knows it."""
    addresses = [
        one
        for network in (found.get("addresses") or {}).values()
        for one in network
    ]
    floating = tuple(
        str(one["addr"])
        for one in addresses
        if one.get("OS-EXT-IPS:type") == "floating"
    )
    fault = found.get("fault") or {}
    return compute.Server(
        id=str(found["id"]),
        name=str(found["name"]),
        status=str(found["status"]),
        fault=str(fault.get("message") or ""),
        fixed_ips=tuple(
            str(one["addr"])
            for one in addresses
            if str(one["addr"]) not in floating
        ),
        floating_ips=floating,
        metadata=dict(found.get("metadata") or {}),
        launched=_seconds(found.get("OS-SRV-USG:launched_at")),
        # Nova tells no image of those.
        on_volume=not found.get("image"),
    )


def demand(flavor: Mapping[str, Any], *, on_volume: bool) -> compute.Demand:
    """Return what Nova asks Placement for (nova/scheduler/utils.py).

    What an image asks for is not known here.

    :param flavor: as Nova's API 2.61 shows it.
    """
    specs = flavor.get("extra_specs") or {}
    root = 0 if on_volume else int(flavor["disk"])
    swap = -(-int(flavor.get("swap") or 0) // 1024)
    dedicated = specs.get("hw:cpu_policy") == "dedicated"
    amounts = {
        "PCPU" if dedicated else "VCPU": int(flavor["vcpus"]),
        "MEMORY_MB": int(flavor["ram"]),
        "DISK_GB": root
        + int(flavor.get("OS-FLV-EXT-DATA:ephemeral") or 0)
        + swap,
    }
    traits = []
    for key, value in specs.items():
        if key.startswith(_RESOURCE) and str(value).isdecimal():
            amounts[key.removeprefix(_RESOURCE)] = int(value)
        elif key.startswith(_TRAIT) and value in ("required", "forbidden"):
            sign = "" if value == "required" else "!"
            traits.append(f"{sign}{key.removeprefix(_TRAIT)}")
    return compute.Demand(
        resources={name: n for name, n in amounts.items() if n},
        traits=tuple(traits),
    )


def _seconds(text: Any) -> float | None:
    """Return seconds since the epoch of Nova's time, which is UTC."""
    try:
        moment = datetime.datetime.fromisoformat(str(text))
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment.timestamp()
