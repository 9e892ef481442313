# SPDX-License-Identifier: Apache-2.0
"""Reads what a project may still have.

Quotas are checked to save time, never to stand in the way: what a service
does not tell is logged and left out, and the service itself will refuse.
"""

from collections.abc import Callable, Iterable, Mapping
import dataclasses
from typing import Any

from oslo_log import log as logging

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.model import quota
from magnum_k8s_driver.ports import rest

LOG = logging.getLogger(__name__)

_NOVA = {
    # Key, Nova's names of limit and use; nova/limit/utils.py and
    # nova/api/openstack/compute/views/limits.py.
    "instances": ("maxTotalInstances", "totalInstancesUsed"),
    "cores": ("maxTotalCores", "totalCoresUsed"),
    "ram": ("maxTotalRAMSize", "totalRAMUsed"),
    "server_groups": ("maxServerGroups", "totalServerGroupsUsed"),
    "server_group_members": ("maxServerGroupMembers", ""),
    "metadata_items": ("maxServerMeta", ""),
}
_CINDER_LIMITS = {
    "volumes": ("maxTotalVolumes", "totalVolumesUsed"),
    "gigabytes": ("maxTotalVolumeGigabytes", "totalGigabytesUsed"),
}
_OCTAVIA = {
    # Key, the list it is counted in.
    "load_balancer": "loadbalancers",
    "listener": "listeners",
    "pool": "pools",
    "health_monitor": "healthmonitors",
}

_Found = dict[str, quota.Allowance]


class SdkQuotas:
    """Quotas of the project that a connection belongs to.

    :param connection: an ``openstack.connection.Connection``.
    :param heat_stacks: stacks a project may have; Heat does not tell.
    :param heat_resources: resources a stack may have; Heat does not tell.
    """

    def __init__(
        self,
        connection: Any,
        *,
        heat_stacks: int = quota.UNLIMITED,
        heat_resources: int = quota.UNLIMITED,
        timeout: float = rest.TIMEOUT,
    ) -> None:
        def service(proxy: str) -> rest.Rest:
            return rest.Rest(connection, proxy, timeout=timeout)

        self._compute = service("compute")
        self._storage = service("block_storage")
        self._network = service("network")
        self._balancing = service("load_balancer")
        self._heat = service("orchestration")
        self._heat_stacks = heat_stacks
        self._heat_resources = heat_resources

    def read(self, services: Iterable[str]) -> Mapping[str, quota.Allowance]:
        """Return the allowances of some services; never raises CloudError.

        :param services: catalog types, of :data:`quota.SERVICES`.
        """
        readers: dict[str, Callable[[str], _Found]] = {
            quota.COMPUTE: self._read_compute,
            quota.STORAGE: self._read_storage,
            quota.NETWORK: self._read_network,
            quota.BALANCING: self._read_balancing,
            quota.HEAT: self._read_heat,
        }
        found: _Found = {}
        for service in sorted(services):
            try:
                found.update(readers[service](self._compute.project_id()))
            except (exceptions.CloudError, LookupError, ValueError) as exc:
                LOG.warning(
                    "Quotas of the %s service are not checked: %s",
                    service,
                    exc,
                )
        return found

    def _read_compute(self, project: str) -> _Found:
        del project
        document = _existing(self._compute, "/limits")
        return _limits(quota.COMPUTE, document, _NOVA)

    def _read_storage(self, project: str) -> _Found:
        try:
            document = _existing(
                self._storage, f"/os-quota-sets/{project}?usage=True"
            )
        except exceptions.CloudUnavailable:
            raise
        except exceptions.CloudError as exc:
            LOG.info("Quotas of volume types are not checked: %s", exc)
            document = _existing(self._storage, "/limits")
            return _limits(quota.STORAGE, document, _CINDER_LIMITS)
        found = {}
        for name, one in (document.get("quota_set") or {}).items():
            if isinstance(one, Mapping):
                key = f"{quota.STORAGE}.{name}"
                used = int(one.get("in_use", 0)) + int(one.get("reserved", 0))
                found[key] = quota.Allowance(
                    limit=int(one.get("limit", quota.UNLIMITED)), used=used
                )
        return {**found, **self._aliases(found)}

    def _aliases(self, found: _Found) -> _Found:
        """Return the quotas of volume types by id, and of the default."""
        listed = {
            str(one["id"]): str(one["name"])
            for one in self._storage.pages("/types", "volume_types")
        }
        default = self._storage.find("/types/default") or {}
        listed[""] = str((default.get("volume_type") or {}).get("name") or "")
        return {
            quota.volume_key(kind, alias): dataclasses.replace(
                found[key], key=key
            )
            for alias, name in listed.items()
            for kind in ("volumes", "gigabytes")
            if (key := quota.volume_key(kind, name)) in found
        }

    def _read_network(self, project: str) -> _Found:
        document = _existing(self._network, f"/quotas/{project}/details")
        return {
            f"{quota.NETWORK}.{name}": quota.Allowance(
                limit=int(one["limit"]),
                used=int(one.get("used", 0)) + int(one.get("reserved", 0)),
            )
            for name, one in (document.get("quota") or {}).items()
            if isinstance(one, Mapping)
        }

    def _read_balancing(self, project: str) -> _Found:
        document = _existing(self._balancing, f"/lbaas/quotas/{project}")
        limits = document.get("quota") or {}
        found: _Found = {}
        for name, collection in _OCTAVIA.items():
            limit = _number(limits.get(name))
            # Octavia does not count; that is only worth it for a limit.
            used = 0
            if limit >= 0:
                used = len(self._balancers(collection, "id", project))
            found[f"{quota.BALANCING}.{name}"] = quota.Allowance(
                limit=limit, used=used
            )
        limit, used = _number(limits.get("member")), 0
        if limit >= 0:
            pools = self._balancers("pools", "members", project)
            used = sum(len(one.get("members") or ()) for one in pools)
        found[f"{quota.BALANCING}.member"] = quota.Allowance(
            limit=limit, used=used
        )
        return found

    def _balancers(
        self, collection: str, field: str, project: str
    ) -> list[dict[str, Any]]:
        query = {"fields": field, "project_id": project}
        return list(
            self._balancing.pages(f"/lbaas/{collection}", collection, query)
        )

    def _read_heat(self, project: str) -> _Found:
        del project
        found = {
            f"{quota.HEAT}.resources": quota.Allowance(
                limit=self._heat_resources
            )
        }
        if self._heat_stacks >= 0:
            query = {"limit": "1", "with_count": "true"}
            document = self._heat.find("/stacks", query) or {}
            found[f"{quota.HEAT}.stacks"] = quota.Allowance(
                limit=self._heat_stacks, used=int(document["count"])
            )
        return found


def _existing(service: rest.Rest, path: str) -> dict[str, Any]:
    """GET a document that should be there.

    :raises CloudError: the service has no such document, or refuses.
    """
    document = service.find(path)
    if document is None:
        raise exceptions.CloudError(service.service, f"no {path}", status=404)
    return document


def _limits(
    service: str,
    document: Mapping[str, Any],
    names: Mapping[str, tuple[str, str]],
) -> _Found:
    """Return what Nova's and Cinder's ``/limits`` say."""
    absolute = (document.get("limits") or {}).get("absolute") or {}
    return {
        f"{service}.{name}": quota.Allowance(
            limit=int(absolute[limit]), used=int(absolute.get(used) or 0)
        )
        for name, (limit, used) in names.items()
        if limit in absolute
    }


def _number(value: Any) -> int:
    return quota.UNLIMITED if value is None else int(value)
