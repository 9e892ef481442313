# SPDX-License-Identifier: Apache-2.0
"""From Magnum's fields and the cloud's facts to a specification.

Magnum's fields are looked at once, here and in the two modules that check
node groups and networks. All that is wrong with a request is told together.
"""

import re

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.model import addon_rules
from magnum_k8s_driver.model import balancer_classes
from magnum_k8s_driver.model import checks as checks_module
from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import group_spec
from magnum_k8s_driver.model import labels as labels_module
from magnum_k8s_driver.model import network_spec
from magnum_k8s_driver.model import problems as problems_module
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import version as version_module

ClusterInputs = fields.ClusterInputs
NodeGroupInputs = fields.NodeGroupInputs
Site = fields.Site
References = facts_module.References

MAX_NAME = 64
"""X.509 common names end there, and Magnum puts the name into one."""

_REGISTRY = re.compile(
    r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?"
)

_OFFERED = (
    (
        "docker_storage_driver",
        "Storage driver",
        ("", "overlay", "overlay2"),
        "leave docker_storage_driver empty or set overlay2",
    ),
    ("server_type", "Server type", ("", "vm"), "use vm"),
    ("coe", "Container orchestration", ("kubernetes",), "use kubernetes"),
    ("volume_driver", "Volume driver", ("", "cinder"), "use cinder or none"),
)
"""Field, what to call it, the values that are offered, advice."""


def references(inputs: ClusterInputs, site: Site | None = None) -> References:
    """Return what has to be looked up before :func:`to_spec`."""
    site = site or Site()
    per_group = [one for _group, one in labels_of_groups(inputs, site)]
    return References(
        images=frozenset(one.image for one in inputs.node_groups if one.image),
        flavors=frozenset(
            one.flavor for one in inputs.node_groups if one.flavor
        ),
        networks=frozenset(
            filter(
                None,
                (
                    inputs.external_network,
                    inputs.fixed_network,
                    *_class_networks(inputs, site),
                ),
            )
        ),
        subnets=frozenset(filter(None, (inputs.fixed_subnet,))),
        keypair=inputs.keypair,
        availability_zones=any(one.availability_zone for one in per_group),
        volume_types=any(
            one.cinder_csi_enabled
            or one.boot_volume_type
            or one.docker_volume_type
            or one.etcd_volume_type
            for one in per_group
        ),
        load_balancer=inputs.master_lb_enabled,
    )


def _class_networks(inputs: ClusterInputs, site: Site) -> list[str]:
    labels = labels_module.parse(inputs.labels, site.label_defaults).labels
    named = balancer_classes.networks(labels.load_balancer_classes)
    return [network for _class, _key, network in named]


def labels_of_groups(
    inputs: ClusterInputs, site: Site
) -> list[tuple[NodeGroupInputs, labels_module.Labels]]:
    """Return every node group with the labels that count for it."""
    return [
        (
            group,
            labels_module.parse(
                group_spec.effective_labels(inputs, group),
                site.label_defaults,
            ).labels,
        )
        for group in inputs.node_groups
    ]


def warnings(inputs: ClusterInputs, site: Site | None = None) -> list[str]:
    """Return sentences about labels that are ignored, for the log."""
    site = site or Site()
    mappings = [inputs.labels, *(one.labels for one in inputs.node_groups)]
    told = (
        sentence
        for one in mappings
        for sentence in labels_module.parse(one, site.label_defaults).warnings
    )
    return list(dict.fromkeys(told))


def to_spec(
    inputs: ClusterInputs,
    facts: facts_module.CloudFacts,
    site: Site | None = None,
) -> spec_module.ClusterSpec:
    """Return what the cluster shall be.

    :param inputs: Magnum's fields.
    :param facts: answers to :func:`references` of the same inputs.
    :param site: label defaults and supported Kubernetes versions.
    :raises InvalidClusterSpec: with every problem there is.
    """
    spec, problems = draft(inputs, facts, site)
    if problems or spec is None:
        raise exceptions.InvalidClusterSpec(problems)
    return spec


def draft(
    inputs: ClusterInputs,
    facts: facts_module.CloudFacts,
    site: Site | None = None,
) -> tuple[spec_module.ClusterSpec | None, list[problems_module.Problem]]:
    """Return what the cluster shall be and every problem, each once.

    With problems some values are only stand-ins: good enough to count what
    the cluster would need, so that all problems can be told together. None
    instead of a specification when there is no control plane.
    """
    checks = checks_module.Checks(
        cluster=inputs, facts=facts, site=site or Site(), problems=[]
    )
    parsed = labels_module.parse(inputs.labels, checks.site.label_defaults)
    checks.problems.extend(parsed.problems)
    _check_refused(checks)
    control_planes, workers = _groups(checks)
    found = addon_rules.problems(inputs, parsed.labels, workers, facts)
    checks.problems.extend(found)
    network = network_spec.network(parsed.labels, checks)
    endpoint = network_spec.endpoint(parsed.labels, checks)
    proxy = network_spec.proxy(network, checks)
    public_key = _public_key(checks)
    _check_skew(control_planes, workers, checks)
    problems = list(dict.fromkeys(checks.problems))
    if len(control_planes) != 1:
        return None, problems
    spec = spec_module.ClusterSpec(
        uuid=inputs.uuid,
        name=inputs.name,
        project_id=inputs.project_id,
        kubernetes_version=control_planes[0].kubernetes_version,
        network=network,
        endpoint=endpoint,
        control_plane=control_planes[0],
        workers=tuple(workers),
        ssh_public_key=public_key,
        proxy=proxy,
        insecure_registry=inputs.insecure_registry,
        volume_driver=inputs.volume_driver,
        cloud=facts.cloud,
        seals_secrets=checks.site.seals_secrets,
        labels=parsed.labels,
    )
    return spec, problems


def _groups(
    checks: checks_module.Checks,
) -> tuple[list[spec_module.NodeGroupSpec], list[spec_module.NodeGroupSpec]]:
    """Return control planes, of which there must be one, and workers."""
    by_role: dict[spec_module.Role, list[spec_module.NodeGroupSpec]] = {
        role: [] for role in spec_module.Role
    }
    for group in checks.cluster.node_groups:
        by_role[group.role].append(group_spec.node_group(group, checks))
    control_planes = by_role[spec_module.Role.CONTROL_PLANE]
    if len(control_planes) != 1:
        checks.tell(
            "control plane",
            f"The cluster has {len(control_planes)} node groups for the "
            "control plane but must have one.",
        )
    return control_planes, by_role[spec_module.Role.WORKER]


def _check_refused(checks: checks_module.Checks) -> None:
    """Tell about fields whose value this driver does not offer."""
    inputs = checks.cluster
    if len(inputs.name) > MAX_NAME:
        checks.tell(
            "name",
            f"The cluster's name has {len(inputs.name)} characters; "
            f"certificates take {MAX_NAME} at most.",
        )
    if inputs.tls_disabled:
        checks.tell(
            "tls_disabled",
            "The field tls_disabled cannot be set: the Kubernetes API is "
            "only served with TLS.",
        )
    for field, what, offered, advice in _OFFERED:
        value = getattr(inputs, field)
        if value not in offered:
            checks.tell(field, f"{what} {value} is not offered; {advice}.")
    _check_storage_and_registry(checks)


def _check_storage_and_registry(checks: checks_module.Checks) -> None:
    inputs = checks.cluster
    if inputs.volume_driver == "cinder" and not checks.facts.block_storage:
        checks.tell(
            "block storage",
            "Volume driver cinder was asked for but this cloud has no block "
            "storage service.",
        )
    if inputs.registry_enabled:
        checks.tell(
            "registry_enabled",
            "The field registry_enabled cannot be set: no registry is run in "
            "the cluster; use container_infra_prefix or insecure_registry "
            "with one of your own.",
        )
    registry = inputs.insecure_registry
    if registry and not _REGISTRY.fullmatch(registry):
        checks.tell(
            "insecure_registry",
            "The field insecure_registry must be a host and port such as "
            "registry.example.com:5000.",
        )


def _public_key(checks: checks_module.Checks) -> str:
    """Return the key to install; the one of the cluster's stack wins."""
    name, facts = checks.cluster.keypair, checks.facts
    if facts.known_public_key is not None:
        return facts.known_public_key
    if not name:
        return ""
    subject = f"key pair {name}"
    if isinstance(facts.public_key, facts_module.Missing):
        checks.tell(subject, f"Key pair {name} {facts.public_key.reason}.")
        return ""
    if facts.public_key is None:
        checks.tell(
            subject,
            f"Key pair {name} can only be read in a request of the user who "
            "owns it; repeat the request as that user.",
        )
        return ""
    return facts.public_key.strip()


def _check_skew(
    control_planes: list[spec_module.NodeGroupSpec],
    workers: list[spec_module.NodeGroupSpec],
    checks: checks_module.Checks,
) -> None:
    parse = version_module.KubernetesVersion.parse
    if not control_planes or not control_planes[0].kubernetes_version:
        return
    version = parse(control_planes[0].kubernetes_version)
    for group in workers:
        if group.kubernetes_version:
            checks.problems.extend(
                version_module.kubelet_problems(
                    version, parse(group.kubernetes_version), group.name
                )
            )
