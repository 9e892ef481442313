# SPDX-License-Identifier: Apache-2.0
"""The stack of one worker node group."""

import dataclasses
from typing import Any

import yaml

from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import names
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.ports import heat
from magnum_k8s_driver.render import cluster_stack
from magnum_k8s_driver.render import files
from magnum_k8s_driver.render import servers

_NESTED_PARAMETERS = (
    "external_network",
    "network",
    "subnet",
    "security_group",
    "server_group",
)


SERVER_GROUP = "server_group"
"""The resource of an anchor stack that all stacks of its group share."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Attachment:
    """What a worker stack takes from the stacks before it."""

    network_id: str
    subnet_id: str
    security_group_id: str
    server_group_id: str = ""
    """Of the group's anchor stack; empty for that itself."""


def stack_name(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    index: int = 0,
) -> str:
    """Return the name of a stack of the group."""
    prefix = names.cluster_prefix(spec.name, spec.uuid)
    return names.group_stack_name(prefix, group.name, group.uuid, index)


def request(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    state: state_module.StackState,
    attachment: Attachment,
    *,
    index: int = 0,
    timeout_minutes: int,
) -> heat.StackRequest:
    """Return a stack of the group with the members it holds."""
    return heat.StackRequest(
        name=stack_name(spec, group, index),
        template=template(),
        files=_files(spec, group, state.members),
        parameters={
            **state.parameters(),
            "cluster_uuid": spec.uuid,
            "external_network": spec.network.external_network_id,
            "network": attachment.network_id,
            "subnet": attachment.subnet_id,
            "security_group": attachment.security_group_id,
            "server_group_policy": group.server_group_policy,
            "shared_server_group": attachment.server_group_id,
        },
        tags=cluster_stack.stack_tags(spec.uuid),
        timeout_minutes=timeout_minutes,
    )


def update(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    state: state_module.StackState,
    *,
    timeout_minutes: int,
) -> heat.StackUpdate:
    """Return a change of the members; the rest of the stack stays."""
    return heat.StackUpdate(
        template=template(),
        files=_files(spec, group, state.members),
        parameters=state.parameters(),
        timeout_minutes=timeout_minutes,
    )


def template() -> dict[str, Any]:
    """Return the worker stack's root template."""
    found: dict[str, Any] = yaml.safe_load(
        files.read_text("heat/workers.yaml")
    )
    return found


def _files(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    all_members: members.Members,
) -> dict[str, str]:
    resources: dict[str, Any] = {}
    for member in all_members.all:
        resources.update(_member(spec, group, member))
    nested = {
        "heat_template_version": servers.HOT_VERSION,
        "description": f"Workers of node group {group.name}.",
        "parameters": {
            name: {"type": "string"} for name in _NESTED_PARAMETERS
        },
        "resources": resources,
        "outputs": servers.refs_map(all_members),
    }
    text = yaml.safe_dump(nested, sort_keys=False, width=200)
    return {"members.yaml": text}


def _member(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    member: members.Member,
) -> dict[str, Any]:
    network: dict[str, Any] = {
        "network": {"get_param": "network"},
        "subnet": {"get_param": "subnet"},
        "port_extra_properties": servers.port_extras(spec),
    }
    found: dict[str, Any] = {}
    if group.floating_ip:
        address = f"{member.name}-address"
        found[address] = {
            "type": "OS::Neutron::FloatingIP",
            "properties": {
                "floating_network": {"get_param": "external_network"}
            },
        }
        network["floating_ip"] = {"get_resource": address}
    placement = servers.Placement(
        networks=[network],
        server_group={"get_param": "server_group"},
        security_groups=[{"get_param": "security_group"}],
    )
    return {**found, **servers.resources(spec, group, member, placement)}
