# SPDX-License-Identifier: Apache-2.0
"""What add-ons need of the rest of a cluster."""

from collections.abc import Iterable, Iterator, Mapping

from magnum_k8s_driver.model import balancer_classes
from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import labels as labels_module
from magnum_k8s_driver.model import problems as problems_module
from magnum_k8s_driver.model import spec as spec_module


def problems(
    inputs: fields.ClusterInputs,
    labels: labels_module.Labels,
    workers: Iterable[spec_module.NodeGroupSpec],
    facts: facts_module.CloudFacts,
) -> list[problems_module.Problem]:
    """Return every reason why an add-on could not do its work."""
    found: list[problems_module.Problem] = []
    if labels.auto_scaling_enabled:
        found += _autoscaler(inputs, labels, workers)
    found += _classes(labels.load_balancer_classes, facts.networks)
    return found


def upgrade_problems(
    old: spec_module.ClusterSpec, new: spec_module.ClusterSpec
) -> list[problems_module.Problem]:
    """Return every reason why an add-on cannot be switched on later."""
    had, wants = (one.labels.auto_scaling_enabled for one in (old, new))
    if not wants or had or new.seals_secrets:
        return []
    return [
        problems_module.Problem(
            subject="label auto_scaling_enabled",
            sentence=(
                "The nodes got their secrets as user data, without the "
                "autoscaler's password; make a new cluster with "
                "auto_scaling_enabled."
            ),
        )
    ]


def _autoscaler(
    inputs: fields.ClusterInputs,
    labels: labels_module.Labels,
    workers: Iterable[spec_module.NodeGroupSpec],
) -> Iterator[problems_module.Problem]:
    if not labels.cloud_provider_enabled:
        yield problems_module.Problem(
            subject="label auto_scaling_enabled",
            sentence=(
                "The autoscaler knows nodes by what the cloud controller "
                "manager writes on them; set cloud_provider_enabled, too."
            ),
        )
    maxima = {
        one.uuid for one in inputs.node_groups if one.max_count is not None
    }
    for group in workers:
        is_scaled = (
            group.uuid in maxima or group.labels.max_node_count is not None
        )
        if is_scaled and (group.container_volume or group.floating_ip):
            yield problems_module.Problem(
                subject=f"node group {group.name}",
                sentence=(
                    f"The autoscaler would take the volumes and floating IPs "
                    f"of node group {group.name} for nodes; leave out "
                    "docker_volume_size and floating_ip_enabled, or its "
                    "max_node_count."
                ),
            )


def _classes(
    classes: tuple[balancer_classes.Class, ...],
    known: Mapping[str, facts_module.NetworkFacts | facts_module.Missing],
) -> Iterator[problems_module.Problem]:
    """Return a problem for each network that Services could not use.

    Subnets of external networks cannot be seen by projects.
    """
    label = balancer_classes.LABEL
    for name, key, network in balancer_classes.networks(classes):
        found = facts_module.lookup(known, network)
        wrong = ""
        if isinstance(found, facts_module.Missing):
            wrong = found.reason
        elif key == "floating-network-id" and not found.external:
            wrong = "is not marked as external"
        if wrong:
            yield problems_module.Problem(
                subject=f"label {label}",
                sentence=(
                    f"Network {network}, {key} of the load balancer class "
                    f"{name} (label {label}), {wrong}."
                ),
            )
