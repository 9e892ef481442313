# SPDX-License-Identifier: Apache-2.0
"""What must hold in any cluster, always and when it has come to rest."""

import collections
import dataclasses

from magnum_k8s_driver.model import members as members_module

_PATIENCE = (10.0,) * 60 + (60.0,) * 180
"""Seconds between ticks until a cluster must be at rest: beyond any
deadline."""
_HOPELESS = "Delete the cluster and create it again."
"""End of the reason when a cluster was never made."""


_HEALED = 3600
"""Seconds until a broken node must have been replaced."""


class Broken(AssertionError):
    """An invariant does not hold."""


class Invariants:
    """Watches one sequence of operations."""

    def __init__(self, world):
        self._world = world
        self._lists = {}
        self._orders = {}
        self._used = {}
        self._named = collections.Counter()
        self._accepted = 0
        self._touched = 0
        self._damaged = False
        self._hurt = set()

    def always(self):
        """Check what holds at any moment."""
        self._check_etcd()
        self._check_member_lists()
        self._check_touched()
        self._check_names()
        initialised = self._world.cloud.nodes.initialised
        _require(len(initialised) < 2, f"kubeadm init again: {initialised}")

    def come_to_rest(self):
        """Wait until nothing is in progress; a failure must be repairable."""
        row = self._rest()
        failed = row is not None and row.status == "UPDATE_FAILED"
        if failed or self._is_damaged(row):
            row = self._repair(row)
        if row is None:
            self._check_nothing_is_left()
        elif row.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            self._check_complete(row)
            self._damaged = False
        elif row.status == "DELETE_FAILED":
            self._check_left_overs_are_named(row)
        elif row.status != "CREATE_FAILED":
            _require(_HOPELESS in row.status_reason, _told(row))

    def _is_damaged(self, row):
        """Tell whether servers broke of a cluster that was complete."""
        servers = self._world.cloud.compute.by_id.values()
        wanted = sum(
            one.node_count for one in self._world.groups_by_name().values()
        )
        return (
            row is not None
            and row.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
            and (self._damaged or self._is_unanswered())
            and (
                len(servers) != wanted
                or any(one.status == "ERROR" for one in servers)
            )
        )

    def _is_unanswered(self):
        """Tell whether a call of a user's never got its answer.

        Magnum saves the number of nodes before it calls the driver, and the
        user has to ask again.
        """
        return self._world.died_in_hook

    def damage(self, server):
        """Note that a server broke, which a cluster at rest cannot know."""
        self._damaged = True
        self._hurt.add(server.name)

    def come_to_be_healed(self, server):
        """Wait until a broken node of a cluster at rest is replaced."""
        group = server.metadata["magnum_nodegroup"]
        count = self._world.groups_by_name()[group].node_count
        only = group == "default-master" and count < 3
        for tick in range(_HEALED // 10):
            self._world.tick()
            self.always()
            if tick % 6 == 5:
                self._world.poll()
                self.always()
            if not only and self._is_healed(server):
                break
        row = self._world.row()
        told = f"{_told(row)} {row.health_status_reason}"
        if only:
            _require("is not possible" in told, told)
            left = self._world.cloud.compute.by_id
            _require(server.id in left, told)
            return
        _require(self._is_healed(server), f"{server.name}: {told}")
        self._check_complete(row)
        self._damaged = False

    def _is_healed(self, server):
        row = self._world.row()
        if server.id in self._world.cloud.compute.by_id:
            return False
        if row.status != "UPDATE_COMPLETE":
            return False
        try:
            self._check_complete(row)
        except Broken:
            return False
        return True

    def delete(self):
        """Delete what there is; nothing may be left."""
        if self._world.row() is not None:
            self._world.delete()
            row = self._rest()
            _require(row is None, f"not deleted: {_told(row)}")
        self._check_nothing_is_left()

    def _rest(self):
        for seconds in _PATIENCE:
            row = self._world.row()
            if row is None or not self._is_at_work(row):
                break
            self._world.tick(seconds)
            if not row.status.endswith("_IN_PROGRESS"):
                self._world.poll()
            self.always()
        _require(
            row is None or not row.status.endswith("_IN_PROGRESS"),
            f"stuck: {_told(row)}",
        )
        if row is not None and row.status.endswith("_FAILED"):
            groups = self._world.groups_by_name().values()
            # Magnum itself gives no reason when a node group fails.
            reason = row.status_reason or " ".join(
                one.status_reason or "" for one in groups
            )
            _require(reason.strip(), f"no reason: {_told(row)}")
        return row

    def _is_at_work(self, row):
        """Tell whether anything is in progress, be it of a group only.

        Magnum saves that of a resize before it calls the driver; when its
        conductor dies there, only the health job ever looks at the cluster.
        """
        groups = self._world.groups_by_name().values()
        return row.status.endswith("_IN_PROGRESS") or (
            row.status in ("CREATE_COMPLETE", "UPDATE_COMPLETE")
            and any(one.status.endswith("_IN_PROGRESS") for one in groups)
        )

    def _repair(self, failed):
        """Resize to the same size, which goes on or repairs."""
        # Nodes that work again say so.
        self._world.cloud.tick(120, step=10.0)
        if self._is_unanswered() and _is_beyond(self._world):
            # Refused, had the conductor lived; the number stays saved.
            self._world.resize(
                self._world.groups_by_name()["default-master"], 1
            )
            self._rest()
        group = self._world.groups_by_name()["default-worker"]
        accepted = self._world.resize(group, group.node_count)
        refusals = self._world.refusals[-1:]
        row = self._rest()
        if row is not None and "no end after" in (row.status_reason or ""):
            # That an engine has died shows when its time is over.
            accepted = self._world.resize(group, group.node_count)
            row = self._rest()
        if row is not None and _HOPELESS in row.status_reason:
            return row
        _require(
            accepted and row is not None and row.status == "UPDATE_COMPLETE",
            f"not repaired: {_told(failed)} then {_told(row)} {refusals}",
        )
        return row

    def _check_complete(self, row):
        cloud = self._world.cloud
        groups = self._world.groups_by_name()
        expected = 0
        for name, group in groups.items():
            nodes = [
                node
                for node in cloud.nodes.by_id.values()
                if node.metadata.get("magnum_nodegroup") == name
            ]
            working = [
                node
                for node in nodes
                if node.joined and node.server.status == "ACTIVE"
            ]
            _require(
                len(working) == group.node_count,
                f"{name}: {len(working)} of {group.node_count} nodes work; "
                f"{_told(row)}",
            )
            versions = {node.version for node in working}
            _require(
                versions <= {group.version},
                f"{name}: {versions}, told {group.version}; {_told(row)}",
            )
            _require(
                group.status.endswith("_COMPLETE"),
                f"{name} is {group.status} ({group.status_reason}); "
                f"{_told(row)}",
            )
            expected += group.node_count
        (voters,) = cloud.nodes.etcd.values()
        control_planes = {
            node.server.name
            for node in cloud.nodes.by_id.values()
            if node.control_plane
        }
        _require(voters == control_planes, f"etcd: {voters}; {_told(row)}")
        servers = cloud.inventory("server *")
        _require(len(servers) == expected, f"{servers}; {_told(row)}")
        found = cloud.inventory("stack *")
        # Large groups have further ones.
        stacks = [one for one in found if "-part" not in one]
        _require(len(stacks) == len(groups), f"{found}; {_told(row)}")
        for what in ("user", "secret"):
            found = cloud.inventory(f"{what} *")
            _require(len(found) == 1, f"{found}; {_told(row)}")
        stored = cloud.inventory("certificate *")
        told = " ".join(self._world.refusals)
        _require(
            len(stored) == 4
            or self._is_unanswered()
            or "are left in the certificate store" in told,
            f"{stored}; {_told(row)}",
        )
        self._check_credentials(row)
        self._check_authorities(row)
        # One of an update that Heat refused waits for the next update.
        used = {
            one.user_data for each in self._lists.values() for one in each.all
        }
        texts = cloud.heat.config_texts
        left = [texts[one][0] for one in used & set(texts)]
        _require(not left, f"user data are kept: {left}; {_told(row)}")

    def _check_credentials(self, row):
        """Every control plane has the one credential there is."""
        cloud = self._world.cloud
        (user,) = cloud.identity.users.values()
        valid = [(one.id, one.secret) for one in user.credentials.values()]
        held = [
            (node.secrets["cloud"]["id"], node.secrets["cloud"]["secret"])
            for node in cloud.nodes.by_id.values()
            if node.control_plane
        ]
        _require(
            {*held} == {*valid} and len(valid) == 1,
            f"credentials {held} of {valid}; {_told(row)}",
        )

    def _check_authorities(self, row):
        """Everybody has the CA that Magnum hands out, and no other."""
        cloud = self._world.cloud
        authority = cloud.certificates.authorities().kubernetes.certificate
        for node in cloud.nodes.by_id.values():
            if node.control_plane:
                held = node.secrets["pki"]["ca.crt"]
                _require(held == authority, f"other CAs; {_told(row)}")
            elif node.trusted:
                _require(
                    node.trusted == (authority,)
                    and node.issuer in ("", authority),
                    f"{node.server.name} has other CAs; {_told(row)}",
                )

    def _check_nothing_is_left(self):
        left = self._world.cloud.inventory()
        if self._is_unanswered():
            # Magnum makes CAs before it calls the driver.
            left = [one for one in left if not one.startswith("certificate ")]
        # A rotation may have been refused while the store was away.
        told = " ".join(self._world.refusals)
        left = [one for one in left if one.split()[-1] not in told]
        _require(not left, f"left: {left}")

    def _check_left_overs_are_named(self, row):
        for line in self._world.cloud.inventory("stack *"):
            _require(line in row.status_reason, f"{line}: {_told(row)}")

    def _check_member_lists(self):
        accepted = self._world.cloud.heat.accepted
        for stack_id, parameters in accepted[self._accepted :]:
            listed = members_module.Members.from_parameter(
                parameters.get("members")
            )
            before = self._lists.get(stack_id, members_module.Members())
            used = self._used.setdefault(self._group(stack_id), set())
            new = set(listed.names) - set(before.names)
            _require(not new & used, f"names used again: {new & used}")
            used |= set(listed.names)
            self._name(stack_id, before, listed)
            orders = f"{parameters.get('orders')} {_renewed(parameters)}"
            if orders != self._orders.get(stack_id):
                # Orders travel in the metadata of every control plane.
                self._name(stack_id, members_module.Members(), listed)
            self._orders[stack_id] = orders
            self._lists[stack_id] = listed
        self._accepted = len(accepted)

    def _group(self, stack_id):
        """Return the name of a stack, for further ones of the first."""
        name = self._world.cloud.heat.stacks[stack_id].name
        return name.partition("-part")[0]

    def _name(self, stack_id, before, listed):
        """Note which servers an update means to touch."""
        old = {one.name: one for one in before.all}
        prefix = self._group(stack_id)
        # The cluster stack is named like the prefix of all others.
        is_group = "-worker" in prefix or prefix.count("-") > 1
        stem = prefix if is_group else f"{prefix}-cp"
        self._named.update(
            f"{stem}-{one.name}"
            for one in listed.all
            if _unsealed(old.get(one.name)) != _unsealed(one)
        )

    def _check_touched(self):
        touched = self._world.cloud.heat.touched
        for touch in touched[self._touched :]:
            if touch.worked:
                _require(not touch.replaced, f"{touch.name} was replaced")
                _require(
                    self._named[touch.name] > 0, f"{touch.name} was touched"
                )
            self._named[touch.name] -= 1
        self._touched = len(touched)

    def _check_etcd(self):
        """No server goes before its etcd member, but one that is broken."""
        row = self._world.row()
        if row is None or row.status.startswith("DELETE"):
            return
        names = {one.name for one in self._world.cloud.compute.by_id.values()}
        for voters in self._world.cloud.nodes.etcd.values():
            early = voters - names - self._hurt
            _require(not early, f"gone before etcd let it go: {early}")

    def _check_names(self):
        names = [one.name for one in self._world.cloud.compute.by_id.values()]
        doubled = {one for one in names if names.count(one) > 1}
        _require(not doubled, f"two servers with one name: {doubled}")


def _is_beyond(world):
    """Tell whether a control plane shall grow that has no load balancer."""
    groups = world.groups_by_name()
    alone = not world.row().master_lb_enabled
    return alone and groups["default-master"].node_count > 1


def _renewed(parameters):
    """Return what of a rotation is in the metadata of control planes."""
    return (parameters.get("rotation") or {}).get("metadata") or {}


def _unsealed(member):
    """Return a member; that it got its secrets touches no server else."""
    return member and dataclasses.replace(member, sealed_for="")


def _require(condition, sentence):
    if not condition:
        raise Broken(sentence)


def _told(row):
    if row is None:
        return "gone"
    return f"{row.status}: {row.status_reason}"
