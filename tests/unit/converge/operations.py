# SPDX-License-Identifier: Apache-2.0
"""Any operations in any order while anything goes wrong: the machine.

What users ask for goes through Magnum's own conductor, the status job ticks,
and a trouble may begin with each operation. When the troubles stop, the
cluster must come to rest as its user was told.
"""

from hypothesis import stateful
from hypothesis import strategies as st

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.model import rotation
from tests import conductors
from tests.unit.converge import invariants

VERSIONS = ("v1.35.8", "v1.36.4", "v1.37.0")
IMAGES = ("ubuntu-24.04", "ubuntu-next")
PHASES = ("prepare", "runtime", "binaries", "join", "report")
NODES = ("*-cp-0", "*-cp-*", "*-worker-0", "*-worker-1", "*-worker-[2-9]", "*")
RESOURCES = ("*", "*/kube_minions/*", "*/control_plane/*", "*/board*")
SERVICES = ("heat", "compute", "identity", "certificates", "leftovers")

_calls_ahead = st.integers(0, 60)
_picks = st.integers(0, 7)
TROUBLE = st.one_of(
    st.tuples(st.just("kill"), _calls_ahead, st.booleans()),
    st.tuples(st.just("late"), _calls_ahead, st.sampled_from((5, 40, 400))),
    st.tuples(st.just("another"), _calls_ahead),
    st.tuples(
        st.just("away"),
        st.sampled_from(SERVICES),
        st.integers(1, 6),
        st.booleans(),
    ),
    st.tuples(
        st.just("refuse"), st.sampled_from(("create", "update", "delete"))
    ),
    st.tuples(st.just("conflict"), st.integers(1, 3)),
    st.tuples(st.just("boot"), st.sampled_from(NODES), st.integers(1, 2)),
    st.tuples(st.just("resource"), st.sampled_from(RESOURCES)),
    st.tuples(st.just("hang"), st.sampled_from(RESOURCES)),
    st.tuples(st.just("lose"), _picks),
    st.tuples(st.just("break"), _picks),
    st.tuples(
        st.just("phase"), st.sampled_from(NODES), st.sampled_from(PHASES)
    ),
    st.tuples(st.just("silent"), st.sampled_from(NODES)),
    st.tuples(st.just("unready"), st.sampled_from(NODES)),
    st.tuples(st.just("upgrade"), st.sampled_from(NODES)),
    st.tuples(st.just("drain"), st.sampled_from(NODES)),
    st.tuples(st.just("secrets"), st.sampled_from(NODES)),
    st.tuples(st.just("signals"), st.integers(1, 20)),
    st.tuples(st.just("mute")),
    st.tuples(st.just("rotate"), st.sampled_from(NODES)),
    st.tuples(st.just("orders"), st.sampled_from(NODES)),
    st.tuples(st.just("engine"), _calls_ahead),
)
TROUBLES = st.lists(TROUBLE, max_size=2)
TICKS = st.integers(0, 25)


class Operations(stateful.RuleBasedStateMachine):
    """Users, conductors and a cloud in which things go wrong.

    ``world`` is set on a subclass: a :class:`tests.conductors.Conductors`.
    """

    world: conductors.Conductors

    def __init__(self):
        super().__init__()
        self.world.fresh()
        self.heals = False
        self.promises = invariants.Invariants(self.world)

    @stateful.initialize(
        control_planes=st.sampled_from((1, 1, 3)),
        workers=st.integers(0, 3),
        heals=st.booleans(),
        troubles=TROUBLES,
        ticks=TICKS,
    )
    def create(self, control_planes, workers, heals, troubles, ticks):
        self._trouble(troubles)
        self.heals = heals
        self.world.create(control_planes, workers, heals)
        self._tick(ticks)

    @stateful.precondition(lambda self: self._exists())
    @stateful.rule(
        group=_picks,
        count=st.integers(0, 4),
        named=st.lists(_picks, max_size=2),
        by_id=st.booleans(),
        troubles=TROUBLES,
        ticks=TICKS,
    )
    def resize(self, group, count, named, by_id, troubles, ticks):
        group = self._group(group)
        if group is None:
            return
        nodes = self._nodes(group, named, by_id)
        self._trouble(troubles)
        self.world.resize(group, count, nodes)
        self._tick(ticks)

    @stateful.precondition(lambda self: self._exists())
    @stateful.rule(
        count=st.sampled_from((1, 3, 5)),
        named=st.lists(_picks, max_size=1),
        troubles=TROUBLES,
        ticks=TICKS,
    )
    def resize_control_plane(self, count, named, troubles, ticks):
        group = self.world.groups_by_name().get("default-master")
        if group is None:
            return
        nodes = self._nodes(group, named, by_id=True)
        self._trouble(troubles)
        self.world.resize(group, count, nodes)
        self._tick(ticks)

    @stateful.precondition(lambda self: self._exists() and self.heals)
    @stateful.rule(
        control_plane=st.booleans(),
        how=st.sampled_from(("silent", "unready", "break", "lose", "stop")),
        pick=_picks,
        ahead=st.one_of(st.none(), _calls_ahead),
    )
    def heal(self, control_plane, how, pick, ahead):
        """A node breaks of a cluster at rest; nobody asks for anything."""
        self.settle()
        row = self.world.row()
        if row is None or not row.status.endswith("E_COMPLETE"):
            return
        server = self._spare(pick, control_plane)
        if server is None:
            return
        getattr(self, f"_hurt_{how}")(server)
        if ahead is not None:
            self._do_kill(ahead, after=True)
        self.promises.come_to_be_healed(server)

    @stateful.precondition(lambda self: self._exists())
    @stateful.rule(count=st.integers(0, 4), troubles=TROUBLES, ticks=TICKS)
    def update(self, count, troubles, ticks):
        if "default-worker" not in self.world.groups_by_name():
            return
        self._trouble(troubles)
        self.world.update(count)
        self._tick(ticks)

    @stateful.precondition(lambda self: self._exists())
    @stateful.rule(
        image=st.sampled_from(IMAGES),
        batch=st.integers(1, 3),
        troubles=TROUBLES,
        ticks=TICKS,
    )
    def upgrade(self, image, batch, troubles, ticks):
        self.settle()
        row = self.world.row()
        if row is None or not row.status.endswith("_COMPLETE"):
            return
        newer = VERSIONS.index(row.labels["kube_tag"]) + 1
        if newer == len(VERSIONS):
            return
        self._trouble(troubles)
        self.world.upgrade(VERSIONS[newer], image, batch)
        self._tick(ticks)

    @stateful.precondition(lambda self: self._exists())
    @stateful.rule(troubles=TROUBLES, ticks=TICKS)
    def rotate_ca(self, troubles, ticks):
        self.settle()
        row = self.world.row()
        if row is None or not row.status.endswith("_COMPLETE"):
            return
        self._trouble(troubles)
        self.world.rotate_ca()
        self._tick(ticks)

    @stateful.precondition(lambda self: self._is_rotating_cas())
    @stateful.rule(troubles=TROUBLES, ticks=TICKS)
    def abandon_ca(self, troubles, ticks):
        group = self._group(0)
        if group is None:
            return
        self._trouble(troubles)
        self.world.resize(group, group.node_count, [rotation.NEW_CA])
        self._tick(ticks)

    @stateful.precondition(lambda self: self._exists())
    @stateful.rule(
        user=st.sampled_from(("ann", "ben")), troubles=TROUBLES, ticks=TICKS
    )
    def rotate_credential(self, user, troubles, ticks):
        self._trouble(troubles)
        self.world.rotate_credential(user)
        self._tick(ticks)

    @stateful.precondition(lambda self: self._exists())
    @stateful.rule(
        name=st.sampled_from(("blue", "green")),
        count=st.integers(0, 2),
        troubles=TROUBLES,
        ticks=TICKS,
    )
    def create_group(self, name, count, troubles, ticks):
        groups = self.world.groups_by_name()
        # Magnum's API refuses names in use and clusters without an address.
        row = self.world.row()
        if name in groups or len(groups) < 2 or not row.api_address:
            return
        self._trouble(troubles)
        self.world.create_group(name, count)
        self._tick(ticks)

    @stateful.precondition(lambda self: self._exists())
    @stateful.rule(
        name=st.sampled_from(("blue", "green")), troubles=TROUBLES, ticks=TICKS
    )
    def update_group(self, name, troubles, ticks):
        group = self.world.groups_by_name().get(name)
        if group is None:
            return
        self._trouble(troubles)
        self.world.update_group(group, 9)
        self._tick(ticks)

    @stateful.precondition(lambda self: self._exists())
    @stateful.rule(
        name=st.sampled_from(("blue", "green")), troubles=TROUBLES, ticks=TICKS
    )
    def delete_group(self, name, troubles, ticks):
        group = self.world.groups_by_name().get(name)
        if group is None:
            return
        self._trouble(troubles)
        self.world.delete_group(group)
        self._tick(ticks)

    @stateful.rule(ticks=st.integers(1, 40))
    def wait(self, ticks):
        self._tick(ticks)

    @stateful.rule()
    def settle(self):
        self._calm()
        self.promises.come_to_rest()

    @stateful.precondition(lambda self: self._exists())
    @stateful.rule(troubles=TROUBLES, ticks=TICKS)
    def delete(self, troubles, ticks):
        self._trouble(troubles)
        self.world.delete()
        self._tick(ticks)

    def teardown(self):
        self._calm()
        self.promises.come_to_rest()
        self.promises.delete()

    def _exists(self):
        return self.world.row() is not None

    def _is_rotating_cas(self):
        stacks = self.world.cloud.heat.live()
        return any(
            (one.parameters.get("rotation") or {}).get("kind") == "CA"
            for one in stacks
        )

    def _group(self, pick):
        groups = [
            one
            for one in self.world.groups_by_name().values()
            if one.role != "master"
        ]
        return groups[pick % len(groups)] if groups else None

    def _nodes(self, group, named, by_id):
        servers = [
            one
            for one in self.world.cloud.compute.by_id.values()
            if one.metadata.get("magnum_nodegroup") == group.name
        ]
        chosen = [servers[one % len(servers)] for one in named if servers]
        if by_id:
            return [one.id for one in chosen]
        return [one.metadata["magnum_member"] for one in chosen]

    def _tick(self, ticks):
        for tick in range(ticks):
            self.world.tick()
            self.promises.always()
            if tick % 6 == 5:
                self.world.poll()
                self.promises.always()

    def _calm(self):
        """Stop every trouble; what it has done stays done."""
        cloud = self.world.cloud
        cloud.calls.stop_failing()
        cloud.heat.failing.clear()
        cloud.heat.hanging.clear()
        cloud.compute.no_boot.clear()
        cloud.nodes.heal()

    def _trouble(self, troubles):
        for kind, *how in troubles:
            getattr(self, f"_do_{kind}")(*how)

    def _call(self, ahead):
        return len(self.world.cloud.calls.log) + ahead

    def _do_kill(self, ahead, after):
        self.world.cloud.calls.fail_call(
            self._call(ahead), conductors.Killed(), after=after
        )

    def _do_late(self, ahead, seconds):
        cloud = self.world.cloud
        cloud.calls.meanwhile(
            self._call(ahead), lambda: cloud.tick(seconds, step=5.0)
        )

    def _do_another(self, ahead):
        self.world.cloud.calls.meanwhile(
            self._call(ahead), self.world.job_without_lock
        )

    def _do_away(self, service, times, after):
        self.world.cloud.fail_next(service, "*", after=after, times=times)

    def _do_refuse(self, method):
        error = exceptions.CloudError(
            "orchestration", "that is more than this quota allows", status=403
        )
        self.world.cloud.fail_next("heat", method, error)

    def _do_conflict(self, times):
        error = exceptions.CloudConflict(
            "orchestration", "an action is in progress", status=409
        )
        self.world.cloud.fail_next("heat", "update", error, times=times)

    def _do_boot(self, pattern, times):
        self.world.cloud.compute.fail_boot(pattern, times=times)

    def _do_resource(self, pattern):
        self.world.cloud.heat.fail(pattern, "it did not work")

    def _do_hang(self, pattern):
        self.world.cloud.heat.hanging.add(pattern)

    def _do_lose(self, pick):
        server = self._spare(pick, control_plane=None)
        if server is not None:
            self._hurt_lose(server)

    def _do_break(self, pick):
        server = self._spare(pick, control_plane=None)
        if server is not None:
            self._hurt_break(server)

    def _hurt_lose(self, server):
        del self.world.cloud.compute.by_id[server.id]
        self.promises.damage(server)

    def _hurt_break(self, server):
        server.status, server.fault = "ERROR", "its host is down"
        self.promises.damage(server)

    def _hurt_stop(self, server):
        server.status = "SHUTOFF"
        self.promises.damage(server)

    def _hurt_silent(self, server):
        self.world.cloud.nodes.behave(server.name, silent=True)
        self.promises.damage(server)

    def _hurt_unready(self, server):
        self.world.cloud.nodes.behave(server.name, unready="NoNetwork")
        self.promises.damage(server)

    def _do_phase(self, pattern, phase):
        self.world.cloud.nodes.behave(pattern, fail_phase=phase)

    def _do_silent(self, pattern):
        self.world.cloud.nodes.behave(pattern, silent=True)

    def _do_unready(self, pattern):
        self.world.cloud.nodes.behave(pattern, unready="KubeletNotReady")

    def _do_upgrade(self, pattern):
        self.world.cloud.nodes.behave(
            pattern, upgrade_error="no space left on device"
        )

    def _do_drain(self, pattern):
        self.world.cloud.nodes.behave(pattern, drain_error="a budget forbids")

    def _do_secrets(self, pattern):
        self.world.cloud.nodes.behave(pattern, keeps_secrets=True)

    def _do_signals(self, number):
        self.world.cloud.nodes.lost_signals = number

    def _do_mute(self):
        self.world.cloud.nodes.mute = True

    def _do_rotate(self, pattern):
        self.world.cloud.nodes.behave(pattern, rotate_error="it is no CA")

    def _do_orders(self, pattern):
        self.world.cloud.nodes.behave(pattern, orders_error="etcd is slow")

    def _do_engine(self, ahead):
        self.world.cloud.calls.meanwhile(
            self._call(ahead), self.world.cloud.heat.die
        )

    def _spare(self, pick, control_plane):
        """Return a server whose loss etcd survives; None: of any role."""
        cloud = self.world.cloud
        kinds = {True: ("control-plane",), False: ("worker",)}
        wanted = kinds.get(control_plane, ("control-plane", "worker"))
        servers = [
            one
            for one in cloud.compute.by_id.values()
            if one.metadata.get("magnum_role") in wanted
            and (
                one.metadata["magnum_role"] == "worker"
                or cloud.nodes.may_lose(one)
            )
        ]
        return servers[pick % len(servers)] if servers else None
