# SPDX-License-Identifier: Apache-2.0
"""Random operations on clusters side by side in a lab that is in trouble.

``LAB_SEQUENCES`` clusters (4), ``TOGETHER`` of them at a time, are created,
changed at random and deleted. All the while conductors and Heat engines are
killed, services answer wrong, late or not at all, and some nodes fail.
Afterwards nothing is stuck, lost or doubled. ``LAB_SEQUENCES_SEED`` chooses
other lives; which moment a trouble meets is chance in any case.
"""

from concurrent import futures
import os
import random
import time

from keystoneauth1 import exceptions as keystone_exceptions
from openstack import exceptions as sdk_exceptions

from lab import control
from lab.plugins import faults
from tests.functional import base
from tests.functional import inventory
from tests.functional import troubles

SEQUENCES = int(os.environ.get("LAB_SEQUENCES", "4"))
SEED = os.environ.get("LAB_SEQUENCES_SEED", "0")
TOGETHER = 4
OPERATIONS = (2, 4)
TROUBLE_SECONDS = (5, 30)
PAUSE_SECONDS = (10, 40)
SERVICES = ("heat", "nova", "neutron", "keystone", "octavia", "cinder")
FAILING_PHASES = ("runtime", "binaries", "join", "kubelet")
TIMEOUT_MINUTES = 6
"""Of creates and of Heat's updates: nothing else ends a killed engine's."""
STUCK_SECONDS = 1500
"""The driver takes up after 10 minutes what no conductor has begun."""
QUIET_SECONDS = 25.0
"""After two status jobs nothing that was asked for is still to begin."""
SETTLING_SECONDS = 240
TRIES = 6
AWAY = (keystone_exceptions.ClientException, sdk_exceptions.SDKException)
CREDENTIALS_VERSION = "1.12"
"""Magnum 22 has none and answers 406."""
OLD, NEW = "v1.35.8", "v1.36.4"
PLAIN = "ubuntu-24.04"
LOST_BY_MAGNUM = "+ x509keypair"
"""CAs of a request whose conductor dies before it calls the driver."""


class Life:
    """One cluster from its create to its end, with what happened in it."""

    def __init__(self, test, number, templates):
        self._test, self._templates = test, templates
        self._chance = random.Random(f"{SEED}-{number}")
        self._magnum = base.Magnum()
        self.name = f"{test.word}-{number}"
        self.story = [self.name]
        self.uuid = ""

    def rules(self):
        """Return what hollow nodes are to do wrong in this life."""
        if self._chance.random() < 0.6:
            return []
        worker = self._chance.randrange(3)
        phase = self._chance.choice(FAILING_PHASES)
        self.story.append(f"worker-{worker} fails once in {phase}")
        return [
            {
                "match": f"^{self.name}-.*worker-{worker}$",
                "fail_phase": phase,
                "times": 1,
            }
        ]

    def live(self):
        """Go through it.

        :raises AssertionError: with the story so far.
        """
        try:
            for _ in range(TRIES):
                self._create()
                changed = self._changes()
                self._delete()
                if changed:
                    break
        except Exception as exc:
            raise AssertionError(f"{exc!r} in {self.story}") from exc
        return self.story

    def _create(self):
        masters, workers = (
            self._chance.choice((1, 1, 3)),
            self._chance.randint(0, 2),
        )
        self.uuid = self._patiently(self._find_or_create, masters, workers)
        self._test.addCleanup(self._test.remove, self.uuid)
        self.story.append(self.uuid)

    def _find_or_create(self, masters, workers):
        """Ask once more only for what no earlier answer was about."""
        found = self._magnum.cluster(self.name)
        return (
            found["uuid"]
            if found
            else self._magnum.create(
                self._templates[OLD],
                name=self.name,
                master_count=masters,
                node_count=workers,
                create_timeout=TIMEOUT_MINUTES,
            )
        )

    def _changes(self):
        """Change the cluster some times; False when it cannot be created."""
        return all(
            self._operate() for _ in range(self._chance.randint(*OPERATIONS))
        )

    def _operate(self):
        """Wait for the last operation, ask for the next one."""
        found = self._rested()
        self.story.append(f"{found['status']}: {found['status_reason']}")
        if found["status"] == "CREATE_FAILED":
            self._test.assert_sentence(found["status_reason"])
            return False
        if found["status"] == "UPDATE_FAILED":
            self._test.assert_sentence(found["status_reason"])
            self._resume()
        self._assert_whole()
        operation = self._chance.choice(
            (
                self._resize,
                self._resize,
                self._resize_control_plane,
                self._node_group,
                self._upgrade,
                self._rotate_ca,
                self._rotate_credential,
            )
        )
        operation()
        return True

    @staticmethod
    def _patiently(function, *arguments, **fields):
        """Return what a service says that may be in trouble itself."""
        end = time.monotonic() + TRIES * max(TROUBLE_SECONDS)
        while True:
            try:
                return function(*arguments, **fields)
            except (AssertionError, *AWAY):
                if time.monotonic() > end:
                    raise
                time.sleep(3)

    def _cluster(self):
        return self._patiently(self._magnum.cluster, self.uuid) or {}

    def _groups(self):
        return self._patiently(self._magnum.groups, self.uuid)

    def _call(self, method, path, body=None, **how):
        answer = self._patiently(self._magnum.call, method, path, body, **how)
        self.story.append(f"{method} {path} {body}: {answer.status_code}")
        return answer

    def _action(self, name, **body):
        return self._call(
            "POST", f"/clusters/{self.uuid}/actions/{name}", body
        )

    def _resize(self):
        self._action("resize", node_count=self._chance.randint(0, 4))

    def _resize_control_plane(self):
        count = self._chance.choice((1, 3))
        self._action("resize", node_count=count, nodegroup="default-master")

    def _node_group(self):
        path = f"/clusters/{self.uuid}/nodegroups"
        if "extra" in self._groups():
            self._call("DELETE", f"{path}/extra")
            return
        body = {"name": "extra", "flavor_id": base.FLAVOR}
        self._call("POST", path, body | {"node_count": 1})

    def _upgrade(self):
        self._action(
            "upgrade", cluster_template=self._templates[NEW], max_batch_size=1
        )

    def _rotate_ca(self):
        self._call("PATCH", f"/certificates/{self.uuid}")

    def _rotate_credential(self):
        path = f"/credentials/{self.uuid}"
        self._call("PATCH", path, version=CREDENTIALS_VERSION)

    def _rested(self):
        """Return the cluster once nothing has been under way for a while."""
        end = time.monotonic() + STUCK_SECONDS
        quiet_since = time.monotonic()
        found = {}
        while time.monotonic() < end:
            found = self._cluster()
            now = time.monotonic()
            if not found or found["status"].endswith("_IN_PROGRESS"):
                quiet_since = now
            elif now - quiet_since > QUIET_SECONDS:
                return found
            time.sleep(2)
        raise AssertionError(f"stuck for {STUCK_SECONDS} s: {found}")

    def _resume(self):
        """Do as status_reason says until the cluster is complete."""
        for _ in range(TRIES):
            groups = self._groups()
            failed = [
                name for name, one in groups.items() if self._is_extra(one)
            ]
            if failed:
                self._call("DELETE", f"/clusters/{self.uuid}/nodegroups/extra")
            self._action(
                "resize",
                node_count=groups["default-worker"]["node_count"],
                nodes_to_remove=self._failed_members(),
            )
            found = self._rested()
            self.story.append(f"{found['status']}: {found['status_reason']}")
            if found["status"].endswith("_COMPLETE"):
                return
            self._test.assert_sentence(found["status_reason"])
        raise AssertionError(f"no resize resumes it: {found}")

    def _is_extra(self, group):
        ended = group["status"].endswith("_FAILED")
        return group["name"] == "extra" and ended

    def _failed_members(self):
        """Return the workers that status_reason blames."""
        reason = self._cluster()["status_reason"] or ""
        words = reason.replace(",", " ").replace(":", " ").split()
        return sorted({one for one in words if one.startswith("worker-")})

    def _assert_whole(self):
        """Rows, servers and etcd tell of the same nodes."""
        base.until(
            lambda: not self._differences(),
            SETTLING_SECONDS,
            lambda: str(self._differences()),
            3.0,
        )

    def _differences(self):
        cluster = self._cluster()
        if not cluster or cluster["status"].endswith("_IN_PROGRESS"):
            return ["not at rest"]
        prefix = base.prefix(cluster)
        servers = [
            one.name.removeprefix(f"{prefix}-")
            for one in self._patiently(self._servers, prefix)
        ]
        found = []
        groups = self._groups().values()
        expected = sum(one["node_count"] for one in groups)
        if expected != len(servers) or len(servers) != len({*servers}):
            found.append(f"{expected} nodes are {servers}")
        hollow = self._hollow()
        members = {one.removeprefix(f"{prefix}-") for one in hollow["etcd"]}
        if members != {one for one in servers if one.startswith("cp-")}:
            found.append(f"{members} vote, {servers}")
        if hollow["double_init"]:
            found.append("kubeadm init twice")
        return found

    def _servers(self, prefix):
        return [*self._test.demo.compute.servers(name=f"^{prefix}-")]

    def _hollow(self):
        path = base.ROOT / f"state/hollow/clusters/{self.uuid}.json"
        return base.json.loads(path.read_text())

    def _delete(self):
        """Delete while the last operation may be under way."""
        for _ in range(TRIES):
            self._call("DELETE", f"/clusters/{self.uuid}")
            end = time.monotonic() + STUCK_SECONDS
            while time.monotonic() < end:
                if not self._patiently(self._magnum.exists, self.uuid):
                    return
                found = self._cluster()
                if found.get("status") == "DELETE_FAILED":
                    reason = found["status_reason"]
                    self.story.append(f"DELETE_FAILED: {reason}")
                    self._test.assert_sentence(reason)
                    break
                if not found.get("status", "DELETE").startswith("DELETE"):
                    # Lost with a conductor that had just taken it.
                    self._call("DELETE", f"/clusters/{self.uuid}")
                time.sleep(5)
            else:
                raise AssertionError(f"no end of the delete: {found}")
        raise AssertionError(f"deleted {TRIES} times: {found}")


class RandomOperationsTest(base.LabTest):
    @classmethod
    def setUpClass(cls):
        base.needs_time()
        super().setUpClass()
        cls.addClassCleanup(control.up, base.settings())
        cls.templates = {
            version: cls.make_template(
                image_id=PLAIN,
                master_lb_enabled=True,
                labels={"kube_tag": version},
            )
            for version in (OLD, NEW)
        }

    def setUp(self):
        super().setUp()
        self.addCleanup(troubles.inject)
        self.word = base.unique("life")
        self.chance = random.Random(SEED)

    def test_nothing_is_stuck_lost_or_doubled(self):
        before = inventory.take()
        lives = [
            Life(self, number, self.templates) for number in range(SEQUENCES)
        ]
        rules = [rule for one in lives for rule in one.rules()]
        base.write_behaviour(**base.FAST, rules=rules)
        with futures.ThreadPoolExecutor(TOGETHER) as pool:
            running = {pool.submit(one.live) for one in lives}
            failed = self.trouble(running)
        self.assertEqual([], failed)
        inventory.assert_same(before, ignoring=[LOST_BY_MAGNUM])

    def trouble(self, running):
        """Strike while anybody lives; return what went wrong for whom."""
        failed = []
        while running:
            pause = self.chance.uniform(*PAUSE_SECONDS)
            done, running = futures.wait(running, pause)
            for one in done:
                wrong = one.exception()
                print(wrong or one.result(), flush=True)
                if wrong:
                    failed.append(str(wrong))
            self.strike()
        return failed

    def strike(self):
        """Let one thing go wrong for a while."""
        kind = self.chance.choice(("conductor", "engine", *["answers"] * 4))
        if kind == "answers":
            service = self.chance.choice(SERVICES)
            rule = {
                "kind": self.chance.choice(faults.KINDS),
                "share": self.chance.choice((0.1, 0.3, 1.0)),
                "status": self.chance.choice((500, 503)),
                "seconds": self.chance.choice((1, 5)),
            }
            troubles.inject(**{service: rule})
            print(f"{service}: {rule}", flush=True)
            time.sleep(self.chance.uniform(*TROUBLE_SECONDS))
            troubles.inject()
            return
        service = {
            "conductor": troubles.CONDUCTOR,
            "engine": troubles.HEAT_ENGINE,
        }[kind]
        print(f"{service}: killed", flush=True)
        troubles.kill(service)
        troubles.restart(service)
