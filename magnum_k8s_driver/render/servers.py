# SPDX-License-Identifier: Apache-2.0
"""One member of a node group as Heat resources.

A worker is exactly one resource. Heat cannot inline blank volumes and
floating IPs, so each of those, where asked for, is one more.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import names
from magnum_k8s_driver.model import spec as spec_module

HOT_VERSION = "2021-04-16"
"""Quoted in every template: unquoted YAML makes a date of it."""

PORT_MARK = "magnum-k8s-driver"
"""First word of the description of every port, with the cluster's UUID."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Placement:
    """Where the members of one stack go: what Heat knows, as HOT values."""

    networks: list[dict[str, Any]]
    server_group: Any
    """None places without a group."""
    security_groups: list[Any] = dataclasses.field(default_factory=list)
    more_metadata: Any = None
    """A mapping that joins the metadata of every server."""


def port_description(cluster_uuid: str) -> str:
    """Return the mark by which ports of a cluster are found again."""
    return f"{PORT_MARK} {cluster_uuid}"


def port_extras(spec: spec_module.ClusterSpec) -> dict[str, Any]:
    """Return what every node port has beyond Heat's defaults.

    Pods send from their own addresses when the CNI routes natively, which
    Neutron's anti-spoofing would drop.
    """
    return {
        "allowed_address_pairs": [{"ip_address": spec.network.pod_cidr}],
        "value_specs": {"description": port_description(spec.uuid)},
    }


def resources(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    member: members.Member,
    placement: Placement,
) -> dict[str, Any]:
    """Return the server of one member and what it needs beside."""
    found: dict[str, Any] = {}
    devices = []
    metadata = _metadata(spec, group, member)
    server_name = node_name(spec, group, member.name)
    for kind, volume in (
        ("etcd", group.etcd_volume),
        ("containers", group.container_volume),
    ):
        if volume is not None:
            resource = f"{member.name}-{kind}"
            found[resource] = _volume(f"{server_name}-{kind}", volume, group)
            reference = {"get_resource": resource}
            devices.append(
                {
                    "volume_id": reference,
                    # Heat would boot from it beside the image and refuses.
                    "boot_index": -1,
                    "delete_on_termination": False,
                }
            )
            metadata[f"magnum_volume_{kind}"] = reference
    if group.boot_volume is not None:
        devices.insert(0, _boot_device(member, group.boot_volume))
    found[member.name] = _server(
        group, member, placement, server_name, metadata, devices
    )
    return found


def node_name(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    member_name: str,
) -> str:
    """Return the name of a member's server, which is the Node's name."""
    prefix = names.cluster_prefix(spec.name, spec.uuid)
    return names.server_name(prefix, group.name, group.uuid, member_name)


def refs_map(all_members: members.Members) -> dict[str, Any]:
    """Return the output that maps member names to server ids."""
    return {
        "refs_map": {
            "value": {
                name: {"get_resource": name} for name in all_members.names
            }
        }
    }


def _server(
    group: spec_module.NodeGroupSpec,
    member: members.Member,
    placement: Placement,
    server_name: str,
    metadata: Mapping[str, Any],
    devices: list[dict[str, Any]],
) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "name": server_name,
        "flavor": member.flavor_id,
        "networks": placement.networks,
        "metadata": (
            {"map_merge": [dict(metadata), placement.more_metadata]}
            if placement.more_metadata
            else dict(metadata)
        ),
        "user_data_format": "RAW",
        "user_data": member.user_data,
        # User data are orders for the first boot only.
        "user_data_update_policy": "IGNORE",
        # A member whose image or flavor shall change gets a successor under
        # a new name. Should Heat ever see such a change under an old name,
        # a new server is honest, a rebuilt disk under the same id is not.
        "image_update_policy": "REPLACE",
        "flavor_update_policy": "REPLACE",
    }
    if placement.server_group is not None:
        properties["scheduler_hints"] = {"group": placement.server_group}
    if placement.security_groups:
        properties["security_groups"] = placement.security_groups
    if group.availability_zone:
        properties["availability_zone"] = group.availability_zone
    if group.boot_volume is None:
        properties["image"] = member.image_id
    if devices:
        properties["block_device_mapping_v2"] = devices
    return {"type": "OS::Nova::Server", "properties": properties}


def _metadata(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    member: members.Member,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "magnum_cluster": spec.uuid,
        "magnum_nodegroup": group.name,
        "magnum_member": member.name,
        "magnum_role": group.role.value,
        "magnum_op": member.operation,
        "magnum_version": member.kubernetes_version,
    }
    if member.state is members.MemberState.DRAINING:
        metadata["magnum_drain"] = "1"
    if member.trust:
        metadata["magnum_trust"] = member.trust
    return metadata


def _boot_device(
    member: members.Member, volume: spec_module.VolumeSpec
) -> dict[str, Any]:
    device: dict[str, Any] = {
        "image": member.image_id,
        "boot_index": 0,
        "volume_size": volume.size_gib,
        "delete_on_termination": True,
    }
    if volume.volume_type:
        device["volume_type"] = volume.volume_type
    return device


def _volume(
    name: str,
    volume: spec_module.VolumeSpec,
    group: spec_module.NodeGroupSpec,
) -> dict[str, Any]:
    properties: dict[str, Any] = {"name": name, "size": volume.size_gib}
    if volume.volume_type:
        properties["volume_type"] = volume.volume_type
    if group.availability_zone:
        properties["availability_zone"] = group.availability_zone
    return {"type": "OS::Cinder::Volume", "properties": properties}
