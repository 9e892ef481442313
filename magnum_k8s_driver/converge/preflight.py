# SPDX-License-Identifier: Apache-2.0
"""Refuse what the project's quotas do not let happen, before anything is made.

Reads through a port and otherwise only compares: what is needed comes from
:mod:`~magnum_k8s_driver.model.needs`.
"""

from collections.abc import Callable, Mapping
import dataclasses
import uuid

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import resize
from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import inputs as inputs_module
from magnum_k8s_driver.model import members
from magnum_k8s_driver.model import needs as needs_module
from magnum_k8s_driver.model import orders
from magnum_k8s_driver.model import problems as problems_module
from magnum_k8s_driver.model import quota
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state
from magnum_k8s_driver.ports import facts as facts_port
from magnum_k8s_driver.render import addon_orders

_ID = uuid.UUID(int=0)
_CREDENTIAL = "magnum-k8s-driver"
"""As the first one of a cluster is named."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Examination:
    """What is known of a cluster before it is made."""

    spec: spec_module.ClusterSpec | None
    """With problems some of its values are only stand-ins."""
    problems: tuple[problems_module.Problem, ...]
    warnings: tuple[str, ...]
    needed: quota.Needs
    allowances: Mapping[str, quota.Allowance]
    """What services did not tell is missing."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Addition:
    """Nodes that a group gets."""

    group: record.GroupRecord
    more: int
    most: int
    """Nodes the group has when the new ones are there and none has left."""
    is_new: bool = False
    """Its stack has to be made, too."""

    def __str__(self) -> str:
        nodes = "node" if self.more == 1 else "nodes"
        if self.is_new:
            return f"node group {self.group.name} of {self.more} {nodes}"
        return f"{self.more} {nodes} of node group {self.group.name}"


def create(
    inputs: fields.ClusterInputs,
    facts: facts_port.FactsPort,
    site: fields.Site,
) -> spec_module.ClusterSpec:
    """Return what a new cluster shall be.

    :raises InvalidClusterSpec: with every problem of the request and every
        quota that is too low for it.
    :raises CloudError: a service refused to answer.
    """
    found = examine(inputs, facts, site)
    if found.problems or found.spec is None:
        raise exceptions.InvalidClusterSpec(found.problems)
    return found.spec


def examine(
    inputs: fields.ClusterInputs,
    facts: facts_port.FactsPort,
    site: fields.Site,
) -> Examination:
    """Return all there is to say about a new cluster.

    :raises CloudError: a service refused to answer.
    """
    references = dataclasses.replace(
        inputs_module.references(inputs, site), surroundings=True
    )
    known = facts.read(references)
    spec, problems = inputs_module.draft(inputs, known, site)
    needed, allowances = quota.Needs(), {}
    if spec is not None:
        needed = needs_module.cluster(spec, needs_module.flavors(known))
        if not problems:
            needed += _orders(spec, site)
        allowances = dict(facts.allowances(needed.services))
        needed = quota.by_limit(needed, allowances)
        problems += quota.problems(needed, allowances)
    return Examination(
        spec=spec,
        problems=tuple(problems),
        warnings=tuple(inputs_module.warnings(inputs, site)),
        needed=needed,
        allowances=allowances,
    )


def _orders(spec: spec_module.ClusterSpec, site: fields.Site) -> quota.Needs:
    """Return the metadata that the first orders take of a control plane.

    All add-ons are in them. Ids of things that are not there yet are as long
    as any and compress as badly, so this is wrong by one key at most.
    """
    cluster, network, subnet = (str(uuid.uuid5(_ID, one)) for one in "cns")
    found = addon_orders.entries(
        dataclasses.replace(spec, uuid=cluster),
        addon_orders.place(network, subnet),
        left_out=site.addons_left_out,
        credential=_CREDENTIAL,
    )
    metadata = orders.encode(
        orders.Orders(
            seq=1, operation="create-1", addons=addon_orders.config_map(found)
        ),
        b"any",
        quota.UNLIMITED,
    )
    keys = len(metadata) + orders.RESERVED_KEYS
    return quota.Needs(each={f"{quota.COMPUTE}.metadata_items": keys})


def additions(
    observed: observed_module.Observed, drain_timeout: float
) -> tuple[Addition, ...]:
    """Return the nodes that the next change of a cluster makes."""
    if observed.cluster is None:
        return ()
    found = []
    for group in observed.record.kept_groups:
        present = observed.members_of(group).all
        is_worker = group.role is spec_module.Role.WORKER
        is_new = is_worker and group.uuid not in observed.workers
        more, leaving = group.node_count - len(present), 0
        if is_worker and not is_new:
            change = resize.change(observed, group, drain_timeout)
            more, leaving = change.add, len(change.remove)
        more -= leaving
        if more > 0:
            found.append(
                Addition(
                    group=group,
                    more=more,
                    most=len(present) + more,
                    is_new=is_new,
                )
            )
    return tuple(found)


def check_update(
    observed: observed_module.Observed,
    drain_timeout: float,
    specify: Callable[
        [str], tuple[spec_module.ClusterSpec, facts_module.CloudFacts]
    ],
    facts: facts_port.FactsPort,
) -> None:
    """Refuse to add nodes that no quota is left for.

    :param specify: returns what the cluster shall be, given the public key
        that it was made with, and what that refers to.
    :raises InvalidClusterSpec: with every quota that is too low.
    :raises CloudError: a service refused to answer.
    """
    found = additions(observed, drain_timeout)
    if not found or observed.cluster is None:
        return
    spec, known = specify(observed.cluster.state.ssh_public_key)
    flavors = needs_module.flavors(known)
    groups = {one.uuid: one for one in spec.groups}
    needed = quota.total(
        needs_module.group(spec, groups[one.group.uuid], flavors)
        if one.is_new
        else needs_module.nodes(
            spec, groups[one.group.uuid], one.more, one.most, flavors
        )
        for one in found
    )
    problems = lacking(needed, facts)
    if problems:
        what = " and ".join(str(one) for one in found)
        head = problems_module.Problem(
            subject="nodes",
            sentence=f"Nothing was changed: no room for {what}.",
        )
        raise exceptions.InvalidClusterSpec([head, *problems])


def upgrade(
    observed: observed_module.Observed,
    new: spec_module.ClusterSpec,
    target: state.UpgradeTarget,
    known: facts_module.CloudFacts,
    facts: facts_port.FactsPort,
) -> tuple[problems_module.Problem, ...]:
    """Return the quotas that are too low for what an upgrade surges."""
    flavors = needs_module.flavors(known)
    needed = quota.Needs()
    for group in new.workers:
        image = target.images.get(group.uuid)
        old = [
            one
            for one in observed.members_of(_row(observed, group)).all
            if one.state is members.MemberState.ACTIVE
            and one.image_id != image
        ]
        if image is not None and old:
            # Groups are taken one after the other.
            needed = needed.or_more(
                needs_module.surge(new, group, target.batch_size, flavors)
            )
    return lacking(needed, facts)


def lacking(
    needed: quota.Needs, facts: facts_port.FactsPort
) -> tuple[problems_module.Problem, ...]:
    """Return a problem for each quota that is too low."""
    if not needed.services:
        return ()
    return quota.problems(needed, facts.allowances(needed.services))


def _row(
    observed: observed_module.Observed, group: spec_module.NodeGroupSpec
) -> record.GroupRecord:
    return next(
        one for one in observed.record.groups if one.uuid == group.uuid
    )
