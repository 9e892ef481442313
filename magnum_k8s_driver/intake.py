# SPDX-License-Identifier: Apache-2.0
"""Copies Magnum's objects into values; the only reader of their fields.

Everything comes from objects that Magnum's API checked, but old rows hold
None anywhere and Magnum 22 has fewer fields, so absence is normal here.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state

CONTROL_PLANE_ROLE = "master"
"""Magnum's word for the role of control plane nodes."""


def role(node_group: Any) -> spec_module.Role:
    """Return what a Magnum node group's nodes do."""
    if _text(node_group, "role") == CONTROL_PLANE_ROLE:
        return spec_module.Role.CONTROL_PLANE
    return spec_module.Role.WORKER


def inputs(
    cluster: Any, template: Any, node_groups: Iterable[Any]
) -> fields.ClusterInputs:
    """Return the fields of a cluster.

    :param cluster: ``magnum.objects.Cluster``.
    :param template: its ``magnum.objects.ClusterTemplate``, or the one it
        is upgraded to.
    :param node_groups: ``magnum.objects.NodeGroup`` objects, the ones that
        are being changed rather than fresh copies from the database.
    """
    return fields.ClusterInputs(
        uuid=cluster.uuid,
        name=_text(cluster, "name"),
        project_id=cluster.project_id,
        node_groups=tuple(
            _node_group(one, cluster, template) for one in node_groups
        ),
        labels=_mapping(cluster, "labels"),
        keypair=_text(cluster, "keypair") or _text(template, "keypair_id"),
        external_network=_text(template, "external_network_id"),
        fixed_network=_text(cluster, "fixed_network"),
        fixed_subnet=_text(cluster, "fixed_subnet"),
        master_lb_enabled=_flag(cluster, "master_lb_enabled", False),
        floating_ip_enabled=_flag(cluster, "floating_ip_enabled", True),
        create_timeout_minutes=_number(cluster, "create_timeout") or None,
        **_template_fields(template),
    )


def _template_fields(template: Any) -> dict[str, Any]:
    texts = (
        "dns_nameserver",
        "volume_driver",
        "docker_storage_driver",
        "insecure_registry",
        "http_proxy",
        "https_proxy",
        "no_proxy",
    )
    return {
        **{name: _text(template, name) for name in texts},
        "network_driver": (
            _text(template, "network_driver") or fields.DEFAULT_CNI
        ),
        "server_type": _text(template, "server_type") or "vm",
        "coe": _text(template, "coe") or "kubernetes",
        "registry_enabled": _flag(template, "registry_enabled", False),
        "tls_disabled": _flag(template, "tls_disabled", False),
        "apiserver_port": _number(template, "apiserver_port") or None,
    }


def node_settings(node_group: Any) -> state.GroupSettings:
    """Return labels and taints of a group's Nodes; Magnum 22 has none."""
    return state.GroupSettings(
        labels=_mapping(node_group, "node_labels"),
        taints=tuple(
            f"{one['key']}={one.get('value') or ''}:{one['effect']}"
            for one in _value(node_group, "node_taints") or ()
        ),
    )


def _node_group(
    node_group: Any, cluster: Any, template: Any
) -> fields.NodeGroupInputs:
    what = role(node_group)
    flavor_field = (
        "master_flavor_id"
        if what is spec_module.Role.CONTROL_PLANE
        else "flavor_id"
    )
    return fields.NodeGroupInputs(
        uuid=node_group.uuid,
        name=_text(node_group, "name"),
        role=what,
        role_name=_text(node_group, "role"),
        count=_number(node_group, "node_count"),
        image=_text(node_group, "image_id") or _text(template, "image_id"),
        flavor=(
            _text(node_group, "flavor_id")
            or _text(cluster, flavor_field)
            or _text(template, flavor_field)
        ),
        docker_volume_size_gib=_number(node_group, "docker_volume_size"),
        min_count=_number(node_group, "min_node_count"),
        max_count=_optional(node_group, "max_node_count"),
        labels=_mapping(node_group, "labels"),
        # Magnum 22 has neither of these.
        node_labels=_mapping(node_group, "node_labels"),
        node_taints=tuple(
            {str(key): str(value) for key, value in taint.items() if value}
            for taint in _value(node_group, "node_taints") or ()
        ),
    )


def _value(source: Any, name: str) -> Any:
    # Magnum's objects try to load a field that was never set, and a cluster
    # without a name recurses without end while it says that it cannot.
    if name in getattr(source, "fields", ()):
        if not source.obj_attr_is_set(name):
            return None
    return getattr(source, name, None)


def _text(source: Any, name: str) -> str:
    value = _value(source, name)
    return "" if value is None else str(value).strip()


def _flag(source: Any, name: str, default: bool) -> bool:
    value = _value(source, name)
    return default if value is None else bool(value)


def _optional(source: Any, name: str) -> int | None:
    value = _value(source, name)
    return None if value is None else int(value)


def _number(source: Any, name: str) -> int:
    return _optional(source, name) or 0


def _mapping(source: Any, name: str) -> Mapping[str, str]:
    value = _value(source, name) or {}
    return {
        str(key): "" if one is None else str(one) for key, one in value.items()
    }
