# SPDX-License-Identifier: Apache-2.0
"""From the fields of one node group to its specification."""

from collections.abc import Mapping
from magnum_k8s_driver.model import checks as checks_module
from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import group_version
from magnum_k8s_driver.model import labels as labels_module
from magnum_k8s_driver.model import spec as spec_module

CONTROL_PLANE_COUNTS = (1, 3, 5, 7)
"""Odd, because etcd with 2n nodes survives no more losses than with 2n-1."""

LEAST = {
    # kubeadm's own preflight: ControlPlaneNumCPU and ControlPlaneMem in
    # cmd/kubeadm/app/constants (v1.36).
    spec_module.Role.CONTROL_PLANE: (2, 1700),
    # kubeadm checks nothing on workers. Ours: below this kubelet,
    # containerd and a network plugin leave no room for pods.
    spec_module.Role.WORKER: (1, 512),
}
"""Least vCPUs and MiB of memory of a flavor."""

ARCHITECTURES = ("x86_64", "aarch64")
"""Nova's words for amd64 and arm64, for which releases.yaml has binaries."""

ROLE_LABEL = "magnum.openstack.org/role"
_TAINT_EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")


def effective_labels(
    cluster: fields.ClusterInputs, group: fields.NodeGroupInputs
) -> dict[str, str]:
    """Return the Magnum labels that count for a group.

    The group's own win. Magnum copies the cluster's labels onto a group
    unless its maker gave some; what such a maker left out follows the
    cluster. This is the only place that decides precedence.
    """
    return {**cluster.labels, **group.labels}


def node_group(
    group: fields.NodeGroupInputs, checks: checks_module.Checks
) -> spec_module.NodeGroupSpec:
    """Return the group's specification.

    Where something is wrong, a problem is noted and the value is only a
    stand-in: the caller raises before anybody uses it.
    """
    parsed = labels_module.parse(
        effective_labels(checks.cluster, group), checks.site.label_defaults
    )
    checks.problems.extend(parsed.problems)
    labels = parsed.labels
    image = _image(group, checks)
    flavor = _flavor(group, checks)
    volumes = _volumes(group, labels, checks)
    _check_root_disk(group, image, flavor, volumes[0], checks)
    _check_zone(labels, checks)
    _check_counts(group, labels, checks)
    return spec_module.NodeGroupSpec(
        uuid=group.uuid,
        name=group.name,
        role=group.role,
        count=group.count,
        image_id=image.id if image else "",
        image_name=image.name if image else "",
        distro=image.distro if image else "",
        image_kubernetes_version=group_version.baked(image),
        flavor_id=flavor.id if flavor else "",
        kubernetes_version=group_version.version(group, labels, image, checks),
        availability_zone=labels.availability_zone,
        server_group_policy=labels.server_group_policy,
        members_per_stack=_members_per_stack(group, labels, checks),
        boot_volume=volumes[0],
        container_volume=volumes[1],
        etcd_volume=volumes[2],
        floating_ip=_floating_ip(group, checks.cluster),
        node_labels=_node_labels(group),
        taints=_taints(group, checks),
        labels=labels,
    )


def _image(
    group: fields.NodeGroupInputs, checks: checks_module.Checks
) -> facts_module.ImageFacts | None:
    image = facts_module.lookup(checks.facts.images, group.image)
    subject = f"image {group.image}"
    if isinstance(image, facts_module.Missing):
        checks.tell(subject, f"Image {group.image} {image.reason}.")
        return None
    if image.status != "active":
        checks.tell(
            subject,
            f"Image {image.name} is {image.status} but must be active.",
        )
    if image.architecture not in ("", *ARCHITECTURES):
        checks.tell(
            subject,
            f"Image {image.name} is for {image.architecture[:20]}; Kubernetes "
            f"is installed on {' and '.join(ARCHITECTURES)} only.",
        )
    if not image.distro:
        checks.tell(
            subject,
            f"Image {image.name} has no property os_distro; set it to the "
            "name of its distribution, such as ubuntu.",
        )
    return image


def _flavor(
    group: fields.NodeGroupInputs, checks: checks_module.Checks
) -> facts_module.FlavorFacts | None:
    flavor = facts_module.lookup(checks.facts.flavors, group.flavor)
    subject = f"flavor {group.flavor}"
    if isinstance(flavor, facts_module.Missing):
        checks.tell(subject, f"Flavor {group.flavor} {flavor.reason}.")
        return None
    vcpus, ram_mib = LEAST[group.role]
    nodes = (
        "control plane nodes"
        if group.role is spec_module.Role.CONTROL_PLANE
        else "workers"
    )
    if flavor.vcpus < vcpus:
        checks.tell(
            subject,
            f"Flavor {flavor.name} has {flavor.vcpus} vCPU; {nodes} need "
            f"{vcpus}.",
        )
    if flavor.ram_mib < ram_mib:
        checks.tell(
            subject,
            f"Flavor {flavor.name} has {flavor.ram_mib} MiB of memory; "
            f"{nodes} need {ram_mib} MiB.",
        )
    return flavor


_Volumes = tuple[
    spec_module.VolumeSpec | None,
    spec_module.VolumeSpec | None,
    spec_module.VolumeSpec | None,
]


def _volumes(
    group: fields.NodeGroupInputs,
    labels: labels_module.Labels,
    checks: checks_module.Checks,
) -> _Volumes:
    """Return root, container and etcd volume."""
    control_plane = group.role is spec_module.Role.CONTROL_PLANE
    etcd_size = labels.etcd_volume_size if control_plane else 0
    volumes = (
        _volume(labels.boot_volume_size, labels.boot_volume_type),
        _volume(group.docker_volume_size_gib, labels.docker_volume_type),
        _volume(etcd_size, labels.etcd_volume_type),
    )
    if labels.etcd_volume_type and not labels.etcd_volume_size:
        checks.tell(
            "label etcd_volume_type",
            "Label etcd_volume_type is set without etcd_volume_size; set "
            "both or none.",
        )
    wanted = [volume for volume in volumes if volume is not None]
    if wanted and not checks.facts.block_storage:
        checks.tell(
            "block storage",
            "Volumes were asked for (boot_volume_size, docker_volume_size "
            "or etcd_volume_size) but this cloud has no block storage "
            "service.",
        )
        return volumes
    known = checks.facts.volume_types
    for volume in wanted:
        name = volume.volume_type
        if name is not None and known is not None and name not in known:
            checks.tell(
                f"volume type {name}",
                f"Volume type {name} does not exist or cannot be used by "
                "this project.",
            )
    return volumes


def _volume(size_gib: int, volume_type: str) -> spec_module.VolumeSpec | None:
    if size_gib <= 0:
        return None
    return spec_module.VolumeSpec(
        size_gib=size_gib, volume_type=volume_type or None
    )


def _check_root_disk(
    group: fields.NodeGroupInputs,
    image: facts_module.ImageFacts | None,
    flavor: facts_module.FlavorFacts | None,
    boot_volume: spec_module.VolumeSpec | None,
    checks: checks_module.Checks,
) -> None:
    if image is None or flavor is None:
        return
    least = image.min_disk_gib
    if flavor.ram_mib < image.min_ram_mib:
        checks.tell(
            f"flavor {group.flavor}",
            f"Flavor {flavor.name} has {flavor.ram_mib} MiB of memory; image "
            f"{image.name} needs {image.min_ram_mib} MiB.",
        )
    if boot_volume is not None:
        # Nova looks at the image's needs only when it boots from a volume,
        # never at the flavor's disk.
        if boot_volume.size_gib < least:
            checks.tell(
                "label boot_volume_size",
                f"Label boot_volume_size is {boot_volume.size_gib} GiB; image "
                f"{image.name} needs {least} GiB.",
            )
    elif flavor.disk_gib == 0:
        # Nova's default policy lets only administrators do that
        # (os_compute_api:servers:create:zero_disk_flavor).
        checks.tell(
            f"flavor {group.flavor}",
            f"Flavor {flavor.name} has no disk; set the label "
            "boot_volume_size or choose a flavor with a disk.",
        )
    elif flavor.disk_gib < least:
        checks.tell(
            f"flavor {group.flavor}",
            f"Flavor {flavor.name} has a disk of {flavor.disk_gib} GiB; "
            f"image {image.name} needs {least} GiB.",
        )


def _check_zone(
    labels: labels_module.Labels, checks: checks_module.Checks
) -> None:
    zone = labels.availability_zone
    known = checks.facts.availability_zones
    # 'zone:host' picks a hypervisor and is Nova's to refuse.
    if zone and known is not None and zone.partition(":")[0] not in known:
        checks.tell(
            "label availability_zone",
            f"Availability zone {zone} is not available; this cloud has "
            f"{', '.join(sorted(known)) or 'none'}.",
        )


def _check_counts(
    group: fields.NodeGroupInputs,
    labels: labels_module.Labels,
    checks: checks_module.Checks,
) -> None:
    subject = f"node group {group.name}"
    if group.role is spec_module.Role.CONTROL_PLANE:
        if group.count not in CONTROL_PLANE_COUNTS:
            checks.tell(
                subject,
                f"A control plane of {group.count} nodes is not possible; "
                "choose 1, 3, 5 or 7.",
            )
        elif group.count > 1 and not checks.cluster.master_lb_enabled:
            checks.tell(
                subject,
                f"A control plane of {group.count} nodes needs a load "
                "balancer; set master_lb_enabled.",
            )
        return
    least = group.min_count or labels.min_node_count
    most = labels.max_node_count if group.max_count is None else None
    if most is not None and most < least:
        checks.tell(
            subject,
            f"Node group {group.name} cannot have at least {least} and at "
            f"most {most} nodes; raise max_node_count.",
        )


def _members_per_stack(
    group: fields.NodeGroupInputs,
    labels: labels_module.Labels,
    checks: checks_module.Checks,
) -> int:
    """Return how many members a stack of the group may have, 0: any number.

    The upstream autoscaler, which only scales groups that have a maximum,
    looks for machines in a group's anchor only (``magnum_manager_impl.go``).
    """
    maxima = group.max_count, labels.max_node_count
    if labels.auto_scaling_enabled or maxima != (None, None):
        return 0
    return checks.site.members_per_stack


def _floating_ip(
    group: fields.NodeGroupInputs, cluster: fields.ClusterInputs
) -> bool:
    if group.role is spec_module.Role.WORKER or cluster.master_lb_enabled:
        return cluster.floating_ip_enabled
    # Without a load balancer the node's address is the API's, and
    # EndpointSpec.floating_ip decides about it.
    return False


def _node_labels(group: fields.NodeGroupInputs) -> Mapping[str, str]:
    special = group.role_name not in ("", "master", "worker")
    role = {ROLE_LABEL: group.role_name} if special else {}
    return {**role, **group.node_labels}


def _taints(
    group: fields.NodeGroupInputs, checks: checks_module.Checks
) -> tuple[spec_module.Taint, ...]:
    taints = []
    for entry in group.node_taints:
        key, effect = entry.get("key") or "", entry.get("effect") or ""
        if not key or effect not in _TAINT_EFFECTS:
            checks.tell(
                f"node group {group.name}",
                f"Node group {group.name} has a taint {key!r} with effect "
                f"{effect!r}; it needs a key and one of "
                f"{', '.join(_TAINT_EFFECTS)}.",
            )
        taints.append(
            spec_module.Taint(
                key=key, effect=effect, value=entry.get("value") or ""
            )
        )
    return tuple(taints)
