# SPDX-License-Identifier: Apache-2.0
"""The stack requests of many shapes of clusters."""

from collections.abc import Mapping
import dataclasses
import json
from typing import Any

from magnum_k8s_driver.model import members as members_module
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.render import cluster_stack
from magnum_k8s_driver.render import worker_stack
from tests import samples

ATTACHMENT = worker_stack.Attachment(
    network_id="44444444-4444-4444-8444-444444444444",
    subnet_id="33333333-3333-4333-8333-333333333333",
    security_group_id="77777777-7777-4777-8777-777777777777",
)
OPERATION = state_module.Operation(
    id="create-1", kind="create", started=1_800_000_000.0
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """What users may choose about a cluster's infrastructure."""

    control_planes: int = 1
    workers: int = 2
    load_balancer: bool = False
    provider: str = "amphora"
    api_floating_ip: bool = True
    node_floating_ip: bool = False
    existing_network: bool = False
    boot_volume: bool = False
    container_volume: bool = False
    etcd_volume: bool = False
    volume_type: str = ""
    availability_zone: str = ""
    allowed_cidrs: tuple[str, ...] = ()
    dns: tuple[str, ...] = ("192.0.2.53", "192.0.2.54")
    server_group_policy: str = "soft-anti-affinity"

    def spec(self) -> spec_module.ClusterSpec:
        """Return a specification of this shape."""
        found = samples.spec()
        volume = spec_module.VolumeSpec(
            size_gib=20, volume_type=self.volume_type or None
        )
        change = {
            "floating_ip": self.node_floating_ip,
            "boot_volume": volume if self.boot_volume else None,
            "container_volume": volume if self.container_volume else None,
            "availability_zone": self.availability_zone,
            "server_group_policy": self.server_group_policy,
        }
        existing = self.existing_network
        return dataclasses.replace(
            found,
            control_plane=dataclasses.replace(
                found.control_plane,
                count=self.control_planes,
                etcd_volume=volume if self.etcd_volume else None,
                **change,
            ),
            workers=tuple(
                dataclasses.replace(one, count=self.workers, **change)
                for one in found.workers
            ),
            network=dataclasses.replace(
                found.network,
                network_id=ATTACHMENT.network_id if existing else None,
                subnet_id=ATTACHMENT.subnet_id if existing else None,
                dns_nameservers=self.dns,
            ),
            endpoint=dataclasses.replace(
                found.endpoint,
                load_balancer=self.load_balancer,
                provider=self.provider,
                floating_ip=self.api_floating_ip,
                allowed_cidrs=self.allowed_cidrs,
            ),
        )


def members(
    group: spec_module.NodeGroupSpec, count: int | None = None
) -> members_module.Members:
    """Return new members of a group, as a create orders them."""
    empty = members_module.Members()
    names = empty.next_names(group.count if count is None else count)
    return empty.with_new(
        *(
            members_module.Member(
                name=name,
                image_id=group.image_id,
                flavor_id=group.flavor_id,
                kubernetes_version=group.kubernetes_version,
                user_data=f"88888888-8888-4888-8888-{int(name):012d}",
                operation=OPERATION.id,
            )
            for name in names
        )
    )


def requests(spec: spec_module.ClusterSpec) -> dict[str, dict[str, Any]]:
    """Return what Heat is sent for a cluster, in order, by step.

    The second step is a PATCH: what it does not name is as in the first.
    """
    empty = state_module.ClusterState(
        stack=state_module.StackState(
            generation=1, operation=OPERATION, members=members_module.Members()
        ),
        secret_ref="99999999-9999-4999-8999-999999999999",
        ssh_public_key=spec.ssh_public_key,
    )
    boards = empty.stack.members.next_names(spec.control_plane.count)
    first = cluster_stack.request(
        spec, empty, boards=boards, timeout_minutes=60
    )
    full = dataclasses.replace(
        empty,
        stack=empty.stack.advanced(members=members(spec.control_plane)),
    )
    second = cluster_stack.update(
        spec, full, boards=boards, timeout_minutes=60
    )
    found = {
        "cluster": _request(first.template, first.files, first.parameters),
        "control-plane": _request(
            second.template or first.template,
            {**first.files, **second.files},
            {**first.parameters, **second.parameters},
        ),
    }
    for group in spec.workers:
        state = state_module.StackState(
            generation=1, operation=OPERATION, members=members(group)
        )
        made = worker_stack.request(
            spec, group, state, ATTACHMENT, timeout_minutes=60
        )
        found[group.name] = _request(
            made.template, made.files, made.parameters
        )
    return found


def _request(
    template: Mapping[str, Any],
    files: Mapping[str, str],
    parameters: Mapping[str, Any],
) -> dict[str, Any]:
    """Return a request as JSON would carry it."""
    found: dict[str, Any] = json.loads(
        json.dumps(
            {
                "template": template,
                "files": dict(files),
                "parameters": dict(parameters),
            }
        )
    )
    return found
