# SPDX-License-Identifier: Apache-2.0
"""Whether a cluster may be upgraded, and what that leads to. Pure."""

from collections.abc import Mapping
import dataclasses

from magnum_k8s_driver.model import addon_rules
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import problems as problems_module
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import version as version_module

VERSION_LABEL = "kube_tag"
ADDON_LABELS = (
    "auto_scaling_enabled",
    "chart_mirror",
    "cinder_csi_enabled",
    "cluster_root_domain_name",
    "gpu_driver_enabled",
    "gpu_operator_enabled",
    "grafana_admin_passwd",
    "ingress_controller",
    "manila_csi_enabled",
    "manila_share_network",
    "manila_share_type",
    "metrics_server_enabled",
    "monitoring_enabled",
    "monitoring_ingress_enabled",
    "monitoring_interval_seconds",
    "monitoring_retention_days",
    "monitoring_retention_size",
    "monitoring_storage_class_name",
    "nfd_enabled",
    "npd_enabled",
    "snapshot_controller_enabled",
)
"""Labels that a cluster takes over from the template of an upgrade."""

_FIXED = {
    "server_type": "kind of server",
    "coe": "container orchestration engine",
    "network_driver": "network driver",
    "volume_driver": "volume driver",
}


def upgraded_inputs(
    current: fields.ClusterInputs,
    template: fields.ClusterInputs,
    image: str,
    template_labels: Mapping[str, str],
) -> fields.ClusterInputs:
    """Return the cluster's fields as they will be after the upgrade.

    Magnum copies labels to each node group and a group's own win, so the
    version is changed on all of them.

    :param template: the same cluster read with the new template.
    :param image: name or id of the new template's image.
    """
    return dataclasses.replace(
        template,
        labels=_versioned(
            with_addon_labels(current.labels, template_labels),
            template_labels,
        ),
        node_groups=tuple(
            dataclasses.replace(
                group,
                image=image or group.image,
                labels=_versioned(group.labels, template_labels),
            )
            for group in current.node_groups
        ),
    )


def with_addon_labels(
    labels: Mapping[str, str], template_labels: Mapping[str, str]
) -> dict[str, str]:
    """Return labels of a cluster with what a template says of add-ons.

    Labels that shape machines or the network stay as the cluster was made.
    """
    taken = {
        name: template_labels[name]
        for name in ADDON_LABELS
        if name in template_labels
    }
    return {**labels, **taken}


def problems(
    current: fields.ClusterInputs,
    target: fields.ClusterInputs,
    old: spec_module.ClusterSpec,
    new: spec_module.ClusterSpec,
    running: str,
) -> tuple[problems_module.Problem, ...]:
    """Return every reason why the upgrade cannot be.

    :param running: oldest version in the control plane.
    """
    parse = version_module.KubernetesVersion.parse
    found = list(
        version_module.upgrade_problems(
            parse(running), parse(new.kubernetes_version)
        )
    )
    for name, title in _FIXED.items():
        before, after = getattr(current, name), getattr(target, name)
        if before != after:
            found.append(
                _problem(
                    name,
                    f"The template has {title} {after or 'none'} and the "
                    f"cluster {before or 'none'}; an upgrade keeps it.",
                )
            )
    found += addon_rules.upgrade_problems(old, new)
    for one, other in zip(old.groups, new.groups, strict=True):
        if one.distro != other.distro:
            found.append(
                _problem(
                    f"node group {one.name}",
                    f"The template's image has os_distro {other.distro} and "
                    f"node group {one.name} has {one.distro}; make a new node "
                    "group for another distribution.",
                )
            )
    return tuple(found)


def _versioned(
    labels: Mapping[str, str], template_labels: Mapping[str, str]
) -> dict[str, str]:
    kept = {k: v for k, v in labels.items() if k != VERSION_LABEL}
    version = template_labels.get(VERSION_LABEL)
    return {**kept, VERSION_LABEL: version} if version else kept


def _problem(subject: str, sentence: str) -> problems_module.Problem:
    return problems_module.Problem(subject=subject, sentence=sentence)
