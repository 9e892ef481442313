# SPDX-License-Identifier: Apache-2.0
"""Every state a cluster can be seen in, for property tests."""

from hypothesis import strategies as st

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import members as members_module
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.ports import compute
from magnum_k8s_driver.ports import heat
from magnum_k8s_driver.ports import leftovers
from tests import samples

NOW = 1_800_000_000.0
VERSION = "v1.36.4"
EXTRA_UUID = "c0000000-0000-4000-8000-00000000000c"
PREFIX = "prod-7d1b1b8e6a0c"

AGES = st.sampled_from((0.0, 100.0, 200.0, 1000.0, 4000.0, 90_000.0))
WORDS = st.sampled_from(
    (
        "",
        "no space left on device",
        "containerd did not start.",
        "x" * 500,
        "line one\nline two",
        "\x00\u2028 odd",
    )
)
SAID = st.one_of(WORDS, st.text(max_size=60))
"""What Heat and Nova may say; anybody may name a thing anything."""


def _errors():
    return st.builds(
        board.NodeError,
        phase=st.sampled_from(("", "join", "runtime")),
        message=WORDS.map(board.printable).map(lambda text: text or "unknown"),
        hint=WORDS.map(board.printable),
    )


def _member_lists(count):
    """Lists of up to so many members, with gaps in their names."""

    def build(size, skipped, states):
        empty = members_module.Members(next_index=skipped)
        return empty.with_new(
            *(
                members_module.Member(
                    name=name,
                    image_id="image",
                    flavor_id="2",
                    kubernetes_version=VERSION,
                    user_data=f"config-{name}",
                    operation="create-1",
                    state=state,
                )
                for name, state in zip(
                    empty.next_names(size), states, strict=False
                )
            )
        )

    return st.builds(
        build,
        st.integers(0, count),
        st.integers(0, 2),
        st.lists(
            st.sampled_from(list(members_module.MemberState)),
            min_size=count,
            max_size=count,
        ),
    )


def _operations():
    return st.none() | st.builds(
        lambda age: state_module.Operation(
            id="create-1", kind="create", started=NOW - age
        ),
        AGES,
    )


@st.composite
def _stacks(draw, name):
    stack = heat.Stack(
        id=f"id-of-{name}",
        name=name,
        action=draw(st.sampled_from(list(heat.StackAction))),
        phase=draw(st.sampled_from(list(heat.StackPhase))),
        reason=draw(SAID),
        parameters={"api_port": "6443", "generation": "3"},
        outputs=draw(st.sampled_from(({}, {"endpoint_private": "10.0.0.5"}))),
        created=NOW - 100,
        updated=None,
    )
    failures = ()
    if stack.phase is heat.StackPhase.FAILED:
        failures = tuple(
            heat.StackResource(
                name=str(index),
                type="OS::Nova::Server",
                physical_id="",
                status="CREATE_FAILED",
                reason=reason,
                stack_id="nested",
                parent="kube_minions",
            )
            for index, reason in enumerate(draw(st.lists(SAID, max_size=5)))
        )
    return stack, failures


@st.composite
def _boards(draw, names, nodes):
    """Boards of some members; digests of some nodes."""
    report = st.none() | st.builds(
        board.Report,
        time=AGES.map(lambda age: NOW - age),
        member=st.just("0"),
        server_id=st.sampled_from(("server-0", "another")),
        operation=st.just("create-1"),
        state=st.sampled_from(list(board.NodeState)),
        phase=st.sampled_from(("", "prepare", "init")),
        seconds=st.just({}),
        version=st.just(VERSION),
        error=st.none() | _errors(),
        signed=st.booleans(),
    )
    node = st.builds(
        board.NodeDigest,
        name=st.just("node"),
        ready=st.booleans(),
        version=st.sampled_from(("", VERSION, "v" * 400)),
        reason=WORDS.map(board.printable),
        phase=st.sampled_from(("", "joined", "drained")),
        error=st.none() | _errors(),
    )
    digest = st.none() | st.builds(
        board.Digest,
        time=AGES.map(lambda age: NOW - age),
        nodes=st.fixed_dictionaries({}, optional=dict.fromkeys(nodes, node)),
        signed=st.just(True),
        addons=st.dictionaries(
            st.sampled_from(("cni", "ccm")),
            st.builds(
                board.AddonState,
                id=st.sampled_from(("1", "2")),
                state=st.sampled_from(("done", "failed", "waiting")),
                message=WORDS.map(board.printable),
            ),
            max_size=2,
        ),
    )
    one = st.builds(board.Board, report=report, digest=digest)
    return draw(st.fixed_dictionaries({}, optional=dict.fromkeys(names, one)))


@st.composite
def _records(draw, intents):
    intent = draw(intents)
    own = st.sampled_from(list(record_module.Intent))

    def group(uuid, name, role, counts):
        group_intent = (
            intent if intent is not record_module.Intent.UPDATE else draw(own)
        )
        is_default = name.startswith("default-")
        if is_default and group_intent is record_module.Intent.DELETE:
            # That would be the intent of the whole cluster.
            group_intent = intent
        return record_module.GroupRecord(
            uuid=uuid,
            name=name,
            role=role,
            is_default=is_default,
            intent=group_intent,
            node_count=draw(st.sampled_from(counts)),
            stack_id=None,
            changed=NOW - draw(AGES),
        )

    worker = spec_module.Role.WORKER
    groups = [
        group(
            samples.CONTROL_PLANE_UUID,
            "default-master",
            spec_module.Role.CONTROL_PLANE,
            (1, 3),
        ),
        group(samples.WORKER_UUID, "default-worker", worker, (0, 1, 2)),
    ]
    if draw(st.booleans()):
        groups.append(group(EXTRA_UUID, "extra", worker, (1, 2)))
    prepared = draw(st.booleans())
    if not prepared:
        groups = groups[: draw(st.integers(0, 2))]
    return record_module.ClusterRecord(
        uuid=samples.CLUSTER_UUID,
        name="prod",
        project_id=samples.PROJECT_ID,
        intent=intent,
        stack_id=None,
        prepared=prepared,
        created=NOW - draw(AGES),
        create_timeout_minutes=60,
        groups=tuple(groups),
    )


@st.composite
def states(draw, intents=None):
    """Return anything ``observe`` may return."""
    record = draw(
        _records(intents or st.sampled_from(list(record_module.Intent)))
    )
    members = {
        group.uuid: draw(_member_lists(group.node_count + 1))
        for group in record.groups
    }
    nodes = [
        record.node_name(group, name)
        for group in record.groups
        for name in members[group.uuid].names
    ]
    servers = {}
    for index, name in enumerate(nodes):
        status = draw(
            st.sampled_from((None, "BUILD", "ACTIVE", "ERROR", "SHUTOFF"))
        )
        if status is not None:
            servers[name] = compute.Server(
                id=f"server-{index}",
                name=name,
                status=status,
                fault=draw(SAID) if status == "ERROR" else "",
                fixed_ips=("10.0.0.9",),
                floating_ips=(),
                metadata={},
            )
    cluster = None
    # Without the groups' rows nothing has been made.
    if record.prepared and draw(st.integers(0, 5)):
        cluster = draw(_clusters(members[record.control_plane.uuid], nodes))
    workers = {}
    for group in record.workers:
        if record.prepared and draw(st.booleans()):
            stack, failures = draw(_stacks(record.group_stack_name(group)))
            part = observed_module.WorkerStack(
                stack=stack,
                state=_stack_state(draw, members[group.uuid]),
                failures=failures,
            )
            workers[group.uuid] = observed_module.WorkerGroup((part,))
    some = st.sampled_from(
        ((), (leftovers.Leftover(kind="port", id="p", name="x"),))
    )
    removal = st.none() | st.builds(
        record_module.Removal,
        group_uuid=st.sampled_from(
            (samples.CONTROL_PLANE_UUID, samples.WORKER_UUID, EXTRA_UUID)
        ),
        nodes=st.sampled_from(((), ("0",), ("server-1", "unknown"))),
    )
    return observed_module.Observed(
        now=NOW,
        record=record,
        cluster=cluster,
        workers=workers,
        servers=servers,
        user_data=draw(
            st.sampled_from(({}, {"config-0": "a", "config-9": "b"}))
        ),
        removal=draw(removal)
        if record.intent is record_module.Intent.UPDATE
        else None,
        load_balancers=draw(some),
        leftovers=draw(some) if cluster is None and not workers else (),
    )


def _stack_state(draw, members):
    return state_module.StackState(
        generation=3, operation=draw(_operations()), members=members
    )


@st.composite
def _clusters(draw, members, nodes):
    stack, failures = draw(_stacks(PREFIX))
    distress = st.builds(
        board.Distress,
        server_name=st.sampled_from([*nodes, "stranger"]),
        time=st.just(NOW),
        error=_errors(),
    )
    return observed_module.ClusterStack(
        stack=stack,
        state=state_module.ClusterState(
            stack=_stack_state(draw, members),
            initialised=draw(st.booleans()),
            secret_ref="secret",
            orders=draw(_standing_orders(nodes)),
        ),
        boards=draw(_boards(members.names, nodes)),
        distress=tuple(draw(st.lists(distress, max_size=2))),
        failures=failures,
    )


def _standing_orders(nodes):
    settings = st.builds(
        state_module.GroupSettings,
        labels=st.sampled_from(({}, {"tier": "a"})),
        taints=st.sampled_from(((), ("gpu=:NoSchedule",))),
    )
    some = st.lists(st.sampled_from(nodes), max_size=2).map(tuple)
    return st.builds(
        state_module.StandingOrders,
        seq=st.integers(0, 3),
        sent=AGES.map(lambda age: NOW - age),
        expected=some if nodes else st.just(()),
        removed=some if nodes else st.just(()),
        addons=st.dictionaries(
            st.sampled_from(("cni", "ccm")),
            st.builds(
                state_module.OrderedAddon,
                id=st.sampled_from(("1", "2")),
                required=st.booleans(),
                removes=st.booleans(),
            ),
        ),
        addons_for=st.sampled_from(("", f" {VERSION}")),
        settings=st.fixed_dictionaries(
            {},
            optional={
                samples.WORKER_UUID: settings,
                EXTRA_UUID: settings,
            },
        ),
    )


def finished(**changes):
    """Return a cluster in which everything is as ordered."""
    groups = tuple(
        record_module.GroupRecord(
            uuid=uuid,
            name=name,
            role=role,
            is_default=True,
            intent=record_module.Intent.CREATE,
            node_count=count,
            stack_id=None,
            changed=NOW - 100,
        )
        for uuid, name, role, count in (
            (
                samples.CONTROL_PLANE_UUID,
                "default-master",
                spec_module.Role.CONTROL_PLANE,
                1,
            ),
            (
                samples.WORKER_UUID,
                "default-worker",
                spec_module.Role.WORKER,
                2,
            ),
        )
    )
    values = {
        "uuid": samples.CLUSTER_UUID,
        "name": "prod",
        "project_id": samples.PROJECT_ID,
        "intent": record_module.Intent.CREATE,
        "stack_id": None,
        "prepared": True,
        "created": NOW - 100,
        "create_timeout_minutes": 60,
        "groups": groups,
    }
    record = record_module.ClusterRecord(**{**values, **changes})
    control_plane, worker = (
        members_module.Members().with_new(
            *(
                members_module.Member(
                    name=str(index),
                    image_id="image",
                    flavor_id="2",
                    kubernetes_version=VERSION,
                    user_data="config-0",
                    operation="create-1",
                )
                for index in range(group.node_count)
            )
        )
        for group in groups
    )
    names = [
        record.node_name(group, name)
        for group, members in zip(groups, (control_plane, worker), strict=True)
        for name in members.names
    ]
    report = board.Report(
        time=NOW,
        member="0",
        server_id="server-0",
        operation="create-1",
        state=board.NodeState.READY,
        phase="ready",
        seconds={},
        version=VERSION,
        error=None,
        signed=True,
    )
    digest = board.Digest(
        time=NOW,
        signed=True,
        nodes={
            name: board.NodeDigest(
                name=name, ready=True, version=VERSION, reason=""
            )
            for name in names
        },
        addons={"cni": board.AddonState(id="1", state="done")},
    )
    operation = state_module.Operation(
        id="create-1", kind="create", started=NOW - 100
    )
    return observed_module.Observed(
        now=NOW,
        record=record,
        cluster=observed_module.ClusterStack(
            stack=_complete(PREFIX),
            state=state_module.ClusterState(
                stack=state_module.StackState(
                    generation=3, operation=operation, members=control_plane
                ),
                initialised=True,
                secret_ref="secret",
                orders=state_module.StandingOrders(
                    seq=1,
                    addons={
                        "cni": state_module.OrderedAddon(id="1", required=True)
                    },
                    addons_for=f"{record.addons_from} {VERSION}",
                    settings={
                        one.uuid: state_module.GroupSettings()
                        for one in groups
                    },
                ),
            ),
            boards={"0": board.Board(report=report, digest=digest)},
        ),
        workers={
            samples.WORKER_UUID: observed_module.WorkerGroup(
                (
                    observed_module.WorkerStack(
                        stack=_complete(f"{PREFIX}-worker"),
                        state=state_module.StackState(
                            generation=1, operation=operation, members=worker
                        ),
                    ),
                )
            )
        },
        servers={
            name: compute.Server(
                id=f"server-{index}",
                name=name,
                status="ACTIVE",
                fault="",
                fixed_ips=(f"10.0.0.{index}",),
                floating_ips=(),
                metadata={},
            )
            for index, name in enumerate(names)
        },
        user_data={},
    )


def _complete(name):
    return heat.Stack(
        id=f"id-of-{name}",
        name=name,
        action=heat.StackAction.CREATE,
        phase=heat.StackPhase.COMPLETE,
        reason="Stack CREATE completed successfully",
        parameters={"api_port": "6443", "generation": "3"},
        outputs={"endpoint_private": "10.0.0.5"},
        created=NOW - 100,
        updated=None,
    )
