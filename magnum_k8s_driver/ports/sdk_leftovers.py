# SPDX-License-Identifier: Apache-2.0
"""What is left of a cluster, looked up in the services it was made of."""

from collections.abc import Iterator, Mapping
import re
from typing import Any

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import leftovers
from magnum_k8s_driver.ports import rest

STACK = "stack"
LOAD_BALANCER = "load balancer"
FLOATING_IP = "floating IP"
PORT = "port"
SECURITY_GROUP = "security group"
SERVER = "server"
VOLUME = "volume"

_MARK = "magnum-k8s-driver"
"""First word of descriptions the driver writes, the UUID follows."""
_FLOATING_IP_OF_SERVICE = "Floating IP for Kubernetes .+ from cluster "
"""cloud-provider-openstack, pkg/openstack/loadbalancer.go, ensureFloatingIP;
one that a user brought along has another description and stays."""
_GROUP_OF_SERVICE = "Security Group for .+ in cluster "
"""The same file, ensureSecurityGroup."""
_VOLUME_CLUSTER = "cinder.csi.openstack.org/cluster"
"""Metadata key of volumes made by Cinder CSI, which is given ``--cluster``."""


class SdkLeftovers:
    """Finds and removes what is left of one cluster.

    :param connection: an ``openstack.connection.Connection``, scoped to the
        project or of an administrator.
    :param project_id: the cluster's project.
    :param as_admin: the connection belongs to another project and sees this
        one by admin rights.
    """

    def __init__(
        self,
        connection: Any,
        project_id: str,
        *,
        as_admin: bool = False,
        timeout: float = rest.TIMEOUT,
    ) -> None:
        def service(proxy: str) -> rest.Rest:
            return rest.Rest(connection, proxy, timeout=timeout)

        self._as_admin = as_admin
        self._stacks = service("orchestration")
        self._balancing = service("load_balancer")
        self._network = service("network")
        self._compute = service("compute")
        self._storage = service("block_storage")
        self._attachments = rest.Rest(
            connection,
            "block_storage",
            timeout=timeout,
            headers={"OpenStack-API-Version": "volume 3.27"},
        )
        self._project = {"project_id": project_id}
        self._everywhere: dict[str, Any] = {}
        if as_admin:
            self._everywhere = {"all_tenants": 1, "project_id": project_id}

    def load_balancers(
        self, cluster_uuid: str
    ) -> tuple[leftovers.Leftover, ...]:
        """Return load balancers Kubernetes made for Services or Ingresses."""
        made = re.compile(f"Kubernetes .+ from cluster {cluster_uuid}")
        return tuple(
            _left(LOAD_BALANCER, one, "provisioning_status")
            for one in self._load_balancers()
            if made.match(_description(one))
        )

    def others(
        self, cluster_uuid: str, name_prefix: str
    ) -> tuple[leftovers.Leftover, ...]:
        """Return everything else, in the order in which it can be removed.

        A load balancer of the driver's own is here too: it is Heat's, and
        left only when its stack is gone without it.
        """
        mine = _Marks(cluster_uuid, name_prefix)
        return (
            *self._orphaned_stacks(mine),
            *self._own_load_balancers(mine),
            *self._floating_ips(mine),
            *self._servers(mine),
            *self._ports(mine),
            *self._security_groups(mine),
            *self._volumes(mine.named),
        )

    def volumes(self, cluster_uuid: str) -> tuple[leftovers.Leftover, ...]:
        """Return volumes of PersistentVolumes: data of users.

        They outlive the cluster unless somebody decides otherwise.
        """

        def claimed(one: Mapping[str, Any]) -> bool:
            metadata = one.get("metadata") or {}
            return bool(metadata.get(_VOLUME_CLUSTER) == cluster_uuid)

        return tuple(self._volumes(claimed))

    def remove(self, leftover: leftovers.Leftover) -> None:
        """Remove it with what hangs on it; gone already is fine.

        :raises CloudConflict: something else uses it or works on it still.
        """
        if leftover.kind == LOAD_BALANCER:
            self._remove_load_balancer(leftover.id)
            return
        if leftover.kind == STACK:
            self._stacks.discard(f"/stacks/{leftover.name}/{leftover.id}")
            return
        service, path = {
            FLOATING_IP: (self._network, "/floatingips"),
            PORT: (self._network, "/ports"),
            SECURITY_GROUP: (self._network, "/security-groups"),
            SERVER: (self._compute, "/servers"),
            VOLUME: (self._storage, "/volumes"),
        }[leftover.kind]
        try:
            service.discard(f"{path}/{leftover.id}")
        except exceptions.CloudError:
            if leftover.kind != VOLUME or not self._freed(leftover.id):
                raise

    def _freed(self, volume_id: str) -> bool:
        """Tell whether a volume that cannot be deleted goes all the same.

        Cinder answers 400 when it is being deleted already, and when Nova has
        reserved it for a server that it then refused to make; then it can be
        deleted without that reservation.
        """
        document = self._storage.find(f"/volumes/{volume_id}")
        status = document["volume"]["status"] if document else "deleting"
        if status != "reserved":
            return bool(status == "deleting")
        found = self._attachments.find(f"/attachments?volume_id={volume_id}")
        for one in (found or {}).get("attachments", ()):
            if self._compute.find(f"/servers/{one['instance']}") is not None:
                return False
            self._attachments.discard(f"/attachments/{one['id']}")
        self._storage.discard(f"/volumes/{volume_id}")
        return True

    def _remove_load_balancer(self, balancer_id: str) -> None:
        path = f"/lbaas/loadbalancers/{balancer_id}"
        document = self._balancing.find(path)
        if document is None:
            return
        found = document["loadbalancer"]
        made = re.compile(_FLOATING_IP_OF_SERVICE)
        query = {"port_id": found["vip_port_id"]}
        for one in self._network.pages("/floatingips", "floatingips", query):
            if made.match(_description(one)):
                self._network.discard(f"/floatingips/{one['id']}")
        if found["provisioning_status"] not in ("PENDING_DELETE", "DELETED"):
            self._balancing.discard(path, {"cascade": "true"})

    def _load_balancers(self) -> Iterator[dict[str, Any]]:
        try:
            for one in self._balancing.pages(
                "/lbaas/loadbalancers", "loadbalancers", self._project
            ):
                if one.get("provisioning_status") != "DELETED":
                    yield one
        except rest.ServiceMissing:
            return

    def _orphaned_stacks(self, mine: "_Marks") -> Iterator[leftovers.Leftover]:
        """Yield nested stacks whose parent is gone.

        Heat (seen with 27.0.0) leaves one behind when its parent is deleted
        while it is being made. Other projects' stacks are not for an
        administrator to list.
        """
        if self._as_admin:
            return
        query = {"show_nested": "true"}
        listed = [*self._stacks.pages("/stacks", "stacks", query)]
        alive = {one["id"] for one in listed}
        for one in listed:
            named = {"name": one["stack_name"]}
            if one.get("parent") not in {None, *alive} and mine.named(named):
                yield _left(STACK, one | named, "stack_status")

    def _own_load_balancers(
        self, mine: "_Marks"
    ) -> Iterator[leftovers.Leftover]:
        for one in self._load_balancers():
            if mine.described(one) or mine.named(one):
                yield _left(LOAD_BALANCER, one, "provisioning_status")

    def _floating_ips(self, mine: "_Marks") -> Iterator[leftovers.Leftover]:
        for one in self._network.pages(
            "/floatingips", "floatingips", self._project
        ):
            if mine.described(one):
                yield leftovers.Leftover(
                    kind=FLOATING_IP,
                    id=str(one["id"]),
                    name=str(one["floating_ip_address"]),
                    status=str(one.get("status") or ""),
                )

    def _ports(self, mine: "_Marks") -> Iterator[leftovers.Leftover]:
        for one in self._network.pages("/ports", "ports", self._project):
            if mine.described(one) or mine.named(one):
                yield _left(PORT, one)

    def _security_groups(self, mine: "_Marks") -> Iterator[leftovers.Leftover]:
        for one in self._network.pages(
            "/security-groups", "security_groups", self._project
        ):
            if mine.described(one) or mine.named(one):
                yield _left(SECURITY_GROUP, one)

    def _servers(self, mine: "_Marks") -> Iterator[leftovers.Leftover]:
        for one in self._compute.pages(
            "/servers/detail", "servers", self._everywhere
        ):
            metadata = one.get("metadata") or {}
            if mine.named(one) or mine.uuid == metadata.get("magnum_cluster"):
                yield _left(SERVER, one)

    def _volumes(self, wanted: Any) -> Iterator[leftovers.Leftover]:
        try:
            for one in self._storage.pages(
                "/volumes/detail", "volumes", self._everywhere
            ):
                if wanted(one):
                    yield _left(VOLUME, one)
        except rest.ServiceMissing:
            return


class _Marks:
    """How things of one cluster are recognised."""

    def __init__(self, uuid: str, name_prefix: str) -> None:
        self.uuid = uuid
        self._prefix = name_prefix.rstrip("-")
        self._description = re.compile(
            f"({_MARK} |{_FLOATING_IP_OF_SERVICE}|{_GROUP_OF_SERVICE})"
            f"{re.escape(uuid)}$"
        )

    def described(self, one: Mapping[str, Any]) -> bool:
        """Tell whether the description names the cluster."""
        return self._description.match(_description(one)) is not None

    def named(self, one: Mapping[str, Any]) -> bool:
        """Tell whether the name is one the driver gives."""
        name = str(one.get("name") or "")
        return name == self._prefix or name.startswith(f"{self._prefix}-")


def _description(one: Mapping[str, Any]) -> str:
    return str(one.get("description") or "")


def _left(
    kind: str, one: Mapping[str, Any], status: str = "status"
) -> leftovers.Leftover:
    return leftovers.Leftover(
        kind=kind,
        id=str(one["id"]),
        name=str(one.get("name") or ""),
        status=str(one.get(status) or ""),
    )
