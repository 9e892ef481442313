# SPDX-License-Identifier: Apache-2.0
"""The cluster stack: network, endpoint, boards and the control plane."""

from collections.abc import Iterable
from typing import Any

import yaml

from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import names
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.ports import heat
from magnum_k8s_driver.render import files
from magnum_k8s_driver.render import servers

EVERYBODY = "0.0.0.0/0"
_OVN_ALGORITHM = "SOURCE_IP_PORT"
"""The only one OVN's load balancers know."""

_NESTED_PARAMETERS = (
    "external_network",
    "network",
    "subnet",
    "node_security_group",
    "api_security_group",
    "server_group",
    "endpoint_port",
    "pool",
)


def request(
    spec: spec_module.ClusterSpec,
    state: state_module.ClusterState,
    *,
    boards: Iterable[str],
    timeout_minutes: int,
) -> heat.StackRequest:
    """Return the first step: everything but the control-plane members."""
    return heat.StackRequest(
        name=names.cluster_prefix(spec.name, spec.uuid),
        template=template(),
        files=_files(spec, state.stack.members, boards),
        parameters={
            **state.parameters(),
            **_infrastructure_parameters(spec),
        },
        tags=stack_tags(spec.uuid),
        timeout_minutes=timeout_minutes,
    )


def update(
    spec: spec_module.ClusterSpec,
    state: state_module.ClusterState,
    *,
    boards: Iterable[str],
    timeout_minutes: int,
) -> heat.StackUpdate:
    """Return a change of members, boards or state; the rest stays."""
    return heat.StackUpdate(
        template=template(),
        files=_files(spec, state.stack.members, boards),
        parameters=state.parameters(),
        timeout_minutes=timeout_minutes,
    )


def template() -> dict[str, Any]:
    """Return the cluster stack's root template."""
    found: dict[str, Any] = yaml.safe_load(
        files.read_text("heat/cluster.yaml")
    )
    return found


def stack_tags(cluster_uuid: str) -> tuple[str, ...]:
    """Return the tags that all stacks of a cluster carry."""
    return ("magnum-k8s-driver", names.stack_tag(cluster_uuid))


def _files(
    spec: spec_module.ClusterSpec,
    all_members: members.Members,
    boards: Iterable[str],
) -> dict[str, str]:
    return {
        "boards.yaml": _dump(_boards(boards)),
        "control_plane.yaml": _dump(_control_plane(spec, all_members)),
    }


def _infrastructure_parameters(
    spec: spec_module.ClusterSpec,
) -> dict[str, Any]:
    network, endpoint = spec.network, spec.endpoint
    allowed = [EVERYBODY]
    if endpoint.allowed_cidrs:
        # The nodes themselves reach the API through the same listener.
        allowed = [*endpoint.allowed_cidrs, network.subnet_cidr]
    algorithm = (
        _OVN_ALGORITHM if endpoint.provider == "ovn" else endpoint.algorithm
    )
    return {
        "cluster_uuid": spec.uuid,
        "external_network": network.external_network_id,
        "create_network": network.network_id is None,
        "existing_network": network.network_id or "",
        "existing_subnet": network.subnet_id or "",
        "subnet_cidr": network.subnet_cidr,
        "pod_cidr": network.pod_cidr,
        "dns_nameservers": ",".join(network.dns_nameservers),
        "use_load_balancer": endpoint.load_balancer,
        "load_balancer_provider": endpoint.provider,
        "load_balancer_algorithm": algorithm,
        "allowed_cidrs": ",".join(dict.fromkeys(allowed)),
        "api_port": endpoint.port,
        "api_floating_ip": endpoint.floating_ip
        or (spec.control_plane.floating_ip and not endpoint.load_balancer),
        "server_group_policy": spec.control_plane.server_group_policy,
    }


def _boards(board_names: Iterable[str]) -> dict[str, Any]:
    handles = list(board_names)
    return {
        "heat_template_version": servers.HOT_VERSION,
        "description": "Boards: where control-plane members report.",
        "resources": {
            name: {
                "type": "OS::Heat::WaitConditionHandle",
                "properties": {"signal_transport": "HEAT_SIGNAL"},
            }
            for name in handles
        },
        "outputs": {
            "signals": {
                "value": {
                    name: {"get_attr": [name, "signal"]} for name in handles
                }
            }
        },
    }


def _control_plane(
    spec: spec_module.ClusterSpec, all_members: members.Members
) -> dict[str, Any]:
    resources: dict[str, Any] = {}
    for member in all_members.all:
        resources.update(_member(spec, member))
    return {
        "heat_template_version": servers.HOT_VERSION,
        "description": "Control-plane members of the cluster stack.",
        "parameters": {
            **{name: {"type": "string"} for name in _NESTED_PARAMETERS},
            "orders": {"type": "json"},
        },
        "resources": resources,
        "outputs": servers.refs_map(all_members),
    }


def _member(
    spec: spec_module.ClusterSpec, member: members.Member
) -> dict[str, Any]:
    group = spec.control_plane
    found: dict[str, Any] = {}
    port: dict[str, Any] = {"get_param": "endpoint_port"}
    if spec.endpoint.load_balancer:
        port_name = f"{member.name}-port"
        port = {"get_resource": port_name}
        found[port_name] = _port(spec, member)
        found[f"{member.name}-pool-member"] = {
            "type": "OS::Octavia::PoolMember",
            "properties": {
                "pool": {"get_param": "pool"},
                "address": {
                    "get_attr": [port_name, "fixed_ips", 0, "ip_address"]
                },
                "protocol_port": spec.endpoint.port,
                "subnet": {"get_param": "subnet"},
            },
        }
        if group.floating_ip:
            found[f"{member.name}-address"] = {
                "type": "OS::Neutron::FloatingIP",
                "properties": {
                    "floating_network": {"get_param": "external_network"},
                    "port_id": port,
                },
            }
    placement = servers.Placement(
        networks=[{"port": port}],
        server_group={"get_param": "server_group"},
        more_metadata={"get_param": "orders"},
    )
    return {**found, **servers.resources(spec, group, member, placement)}


def _port(
    spec: spec_module.ClusterSpec, member: members.Member
) -> dict[str, Any]:
    return {
        "type": "OS::Neutron::Port",
        "properties": {
            "name": servers.node_name(spec, spec.control_plane, member.name),
            "network": {"get_param": "network"},
            "fixed_ips": [{"subnet": {"get_param": "subnet"}}],
            "security_groups": [
                {"get_param": "node_security_group"},
                {"get_param": "api_security_group"},
            ],
            **servers.port_extras(spec),
        },
    }


def _dump(template_data: dict[str, Any]) -> str:
    return yaml.safe_dump(template_data, sort_keys=False, width=200)
