# SPDX-License-Identifier: Apache-2.0
"""What hollow nodes do, without Nova, Heat or waiting."""

import json
import pathlib
import tempfile
import unittest

from lab.hollow import node
from lab.hollow import seal
from lab.hollow import testing
from magnum_k8s_driver.converge import envelope
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import sealed


class NodeTest(unittest.TestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        self.lab = testing.Lab(self.root)

    def boot_cluster(self, workers=1):
        self.lab.boot("cp-0", testing.control_plane("0", True))
        for number in range(workers):
            self.lab.boot(
                f"worker-{number}",
                testing.node_document(),
                magnum_member=str(number),
                magnum_op="create-1",
            )
        self.lab.run(20)

    def report(self, member="0"):
        return self.lab.heat.board(f"board-{member}").report

    def digest(self, member="0"):
        self.lab.run(5)
        return self.lab.heat.board(f"board-{member}").digest.nodes


class BootTest(NodeTest):
    def test_everything_becomes_ready(self):
        self.boot_cluster(workers=2)
        report = self.report()
        self.assertEqual(board.NodeState.READY, report.state)
        self.assertTrue(report.signed)
        self.assertEqual("id-cp-0", report.server_id)
        self.assertEqual(testing.VERSION, report.version)
        self.assertEqual(
            {"prepare", "runtime", "binaries", "secrets", "init"} | {"report"},
            {*report.seconds},
        )
        nodes = self.digest()
        self.assertEqual({"cp-0", "worker-0", "worker-1"}, {*nodes})
        self.assertTrue(all(one.ready for one in nodes.values()))
        self.assertEqual("create-1", nodes["worker-1"].operation)

    def test_reports_phases_while_booting(self):
        self.lab.boot("cp-0", testing.control_plane("0", True))
        self.lab.run(0.7)
        report = self.report()
        self.assertEqual(("booting", "runtime"), (report.state, report.phase))
        self.assertAlmostEqual(0.5, report.seconds["prepare"], 1)

    def test_worker_waits_for_control_plane(self):
        self.lab.boot("worker-0", testing.node_document())
        self.lab.run(30)
        self.lab.boot("cp-0", testing.control_plane("0", True))
        self.lab.run(20)
        self.assertTrue(self.digest()["worker-0"].ready)

    def test_control_planes_join_one_at_a_time(self):
        for member in range(3):
            name = f"cp-{member}"
            content = testing.control_plane(str(member), member == 0)
            self.lab.boot(name, content)
        self.lab.behave(phase_seconds={"join-control-plane": 10})
        self.lab.run(15)
        joined = [*self.lab.state()["nodes"].values()]
        ready = sorted(one["state"] for one in joined)
        self.assertEqual(["booting", "ready", "ready"], ready)
        self.lab.run(12)
        self.assertEqual("ready", self.report("2").state)
        self.assertEqual(3, len(self.digest("2")))

    def test_second_init_is_refused_and_recorded(self):
        self.boot_cluster()
        self.lab.boot("cp-1", testing.control_plane("1", True))
        self.lab.run(20)
        self.assertEqual("failed", self.report("1").state)
        self.assertIn("exists", self.report("1").error.message)
        self.assertEqual(1, self.lab.state()["double_init"])
        self.assertEqual("cp-0", self.lab.state()["initialised_by"])

    def test_joiner_gives_up_at_its_deadline(self):
        self.lab.behave(join_deadline=60)
        self.lab.boot("cp-1", testing.control_plane("1", False))
        self.lab.run(70)
        report = self.report("1")
        self.assertEqual("failed", report.state)
        self.assertIn("did not answer", report.error.message)

    def test_control_plane_without_secrets_fails_unsigned(self):
        self.lab.behave(seal_deadline=60)
        content = testing.control_plane("0", True, secrets={})
        self.lab.boot("cp-0", content)
        self.lab.run(90)
        self.assertEqual("failed", self.report().state)
        self.assertIn("no secrets came", self.report().error.message)
        self.assertFalse(self.report().signed)

    def key(self):
        """Return the key under which the node looks for its answer."""
        return sealed.key_of(sealed.fingerprint(self.report().certificate))

    def test_control_plane_asks_for_its_secrets(self):
        content = testing.control_plane("0", True)
        secrets = content.pop("secrets")
        self.lab.boot("cp-0", content)
        self.lab.run(20)
        report = self.report()
        self.assertEqual("secrets", report.phase)
        wanted = sealed.fingerprint(report.certificate)
        console = self.lab.world.console("id-cp-0")
        self.assertEqual({wanted}, sealed.shown(console))
        text = json.dumps({"v": 1, "secrets": secrets})
        answer = envelope.seal(text, report.certificate)
        self.lab.heat.deployed[self.key()] = answer
        self.lab.run(10)
        self.assertTrue(self.report().signed)
        self.assertEqual("ready", self.report().state)
        self.assertEqual(b"", self.report().certificate)

    def test_an_answer_to_somebody_else_is_not_opened(self):
        content = testing.control_plane("0", True)
        text = json.dumps({"v": 1, "secrets": content.pop("secrets")})
        self.lab.boot("cp-0", content)
        self.lab.run(5)
        answer = envelope.seal(text, seal.Seal().certificate)
        self.lab.heat.deployed[self.key()] = answer
        self.lab.run(20)
        self.assertEqual("secrets", self.report().phase)
        self.assertFalse(self.report().signed)

    def test_a_restart_of_nova_compute_keeps_the_secrets(self):
        content = testing.control_plane("0", True)
        text = json.dumps({"v": 1, "secrets": content.pop("secrets")})
        self.lab.boot("cp-0", content)
        self.lab.run(5)
        answer = envelope.seal(text, self.report().certificate)
        self.lab.heat.deployed[self.key()] = answer
        self.lab.run(20)
        again = testing.Lab(self.root)
        again.world.restore(
            node.Server("id-cp-0", "cp-0", "10.0.0.7"),
            testing.user_data(content),
            {},
            True,
        )
        again.run(10)
        report = again.heat.board("board-0").report
        self.assertTrue(report.signed)

    def test_kubeadm_refuses_small_machines(self):
        machine = node.Server("id-cp-0", "cp-0", "10.0.0.7", 1, 4096)
        content = testing.control_plane("0", True)
        self.lab.world.boot(machine, testing.user_data(content), {})
        self.lab.run(20)
        error = self.report().error
        self.assertEqual("init", error.phase)
        self.assertIn("[ERROR NumCPU]", error.message)
        self.assertFalse(self.lab.state()["initialised_by"])

    def test_markers_are_on_the_console(self):
        self.boot_cluster()
        lines = self.lab.world.console("id-worker-0").splitlines()
        markers = [one for one in lines if one.startswith("MAGNUM-NODE")]
        self.assertEqual(6, len(markers))
        kind, _, text = markers[-1].removeprefix("MAGNUM-NODE ").partition(" ")
        self.assertEqual("ready", kind)
        self.assertIn("join", json.loads(text)["seconds"])


class DistressTest(NodeTest):
    def distress(self):
        found = self.lab.heat.handles.get("distress", {})
        return board.read_distress(found)

    def test_wrong_token(self):
        content = testing.node_document()
        content["join"]["token"] = "aaaaaa.0123456789abcdef"
        self.boot_cluster(0)
        self.lab.boot("worker-9", content, magnum_member="9")
        self.lab.run(20)
        (found,) = self.distress()
        self.assertEqual("worker-9", found.server_name)
        self.assertEqual("join", found.error.phase)
        self.assertIn("token", found.error.message)
        self.assertNotIn("worker-9", self.digest())
        self.assertIn(
            "MAGNUM-NODE failed", self.lab.world.console("id-worker-9")
        )
        self.lab.run(30)
        self.assertGreater(self.distress()[0].time, found.time)

    def test_distress_becomes_rare(self):
        content = testing.node_document()
        content["join"]["token"] = "aaaaaa.0123456789abcdef"
        self.boot_cluster(0)
        self.lab.boot("worker-9", content)
        self.lab.run(300)
        before = self.lab.heat.posts
        self.lab.run(1200)
        # Four digests of the control plane are among them.
        self.assertIn(self.lab.heat.posts - before, range(11, 20))

    def test_wrong_authority(self):
        content = testing.node_document()
        content["join"]["ca_hashes"] = ["sha256:" + "0" * 64]
        self.boot_cluster(0)
        self.lab.boot("worker-9", content)
        self.lab.run(20)
        self.assertIn("CA", self.distress()[0].error.message)

    def test_old_token(self):
        self.boot_cluster(0)
        self.lab.run(3 * 3600)
        self.lab.boot("late", testing.node_document())
        self.lab.run(20)
        self.assertEqual("late", self.distress()[0].server_name)

    def test_no_control_plane(self):
        self.lab.behave(join_deadline=60)
        self.lab.boot("worker-0", testing.node_document())
        self.lab.run(100)
        self.assertIn("not answer", self.distress()[0].error.message)

    def test_injected_failure_goes_away(self):
        rule = {"match": "worker-0", "fail_phase": "runtime", "times": 1}
        self.lab.behave(rules=[{**rule, "message": "no mirror"}])
        self.boot_cluster()
        self.assertEqual("no mirror", self.distress()[0].error.message)
        self.lab.run(20)
        self.assertTrue(self.digest()["worker-0"].ready)

    def test_heat_may_be_away(self):
        self.lab.heat.down = True
        self.boot_cluster()
        self.lab.heat.down = False
        self.lab.run(60)
        self.assertEqual("ready", self.report().state)


class OrdersTest(NodeTest):
    def obey(self, name, **metadata):
        self.lab.world.obey(f"id-{name}", metadata)
        self.lab.run(6)

    def test_drain_and_back(self):
        self.boot_cluster()
        self.obey("worker-0", magnum_drain="1", magnum_op="resize-2")
        found = self.digest()["worker-0"]
        self.assertEqual(
            (node.DRAINED, "resize-2"), (found.phase, found.operation)
        )
        self.assertEqual(
            "drained", self.lab.state()["nodes"]["worker-0"]["state"]
        )
        self.obey("worker-0", magnum_op="resize-3")
        self.assertEqual("report", self.digest()["worker-0"].phase)

    def test_upgrade_of_a_worker(self):
        self.boot_cluster()
        self.obey("worker-0", magnum_version="1.37.1", magnum_op="up-2")
        found = self.digest()["worker-0"]
        self.assertEqual(("v1.37.1", "up-2"), (found.version, found.operation))

    def test_drained_worker_upgrades_and_stays_drained(self):
        self.boot_cluster()
        self.obey("worker-0", magnum_drain="1", magnum_version="v1.37.1")
        found = self.digest()["worker-0"]
        self.assertEqual(
            (node.DRAINED, "v1.37.1"), (found.phase, found.version)
        )

    def test_upgrade_of_a_control_plane(self):
        self.boot_cluster()
        self.obey("cp-0", magnum_version="v1.37.1", magnum_op="up-2")
        report = self.report()
        self.assertEqual("v1.37.1", report.version)
        self.assertEqual(("ready", "up-2"), (report.state, report.operation))

    def test_failed_upgrade_is_tried_again_by_the_next_operation(self):
        self.boot_cluster()
        rule = {"match": "worker-0", "fail_phase": "upgrade", "times": 1}
        self.lab.behave(rules=[rule])
        self.obey("worker-0", magnum_version="v1.37.1", magnum_op="up-2")
        found = self.digest()["worker-0"]
        self.assertEqual("upgrade", found.error.phase)
        self.obey("worker-0", magnum_version="v1.37.1", magnum_op="up-3")
        found = self.digest()["worker-0"]
        self.assertIsNone(found.error)
        self.assertEqual("v1.37.1", found.version)


class LifeTest(NodeTest):
    def test_deleted_server_leaves_the_cluster(self):
        self.boot_cluster(workers=2)
        self.lab.world.delete("id-worker-0")
        self.lab.run(4)
        known = self.lab.world.clusters[testing.CLUSTER].nodes["worker-0"]
        self.assertFalse(known.ready)
        self.assertEqual({"cp-0", "worker-1"}, {*self.digest()})

    def test_power_cycle(self):
        self.boot_cluster()
        self.lab.world.power_off("id-worker-0")
        self.assertFalse(self.digest()["worker-0"].ready)
        self.lab.world.power_on("id-worker-0")
        self.assertTrue(self.digest()["worker-0"].ready)

    def test_rebooted_init_member_does_not_initialise_twice(self):
        self.lab.boot("cp-0", testing.control_plane("0", True))
        self.lab.run(3.2)
        self.lab.world.reboot("id-cp-0")
        self.lab.run(20)
        self.assertEqual("ready", self.report().state)
        self.assertEqual(0, self.lab.state()["double_init"])

    def test_injected_silence(self):
        rules = [{"match": "worker-0", "never_report": True}]
        self.lab.behave(rules=rules)
        self.boot_cluster()
        self.assertNotIn("worker-0", self.digest())
        self.assertNotIn("distress", self.lab.heat.handles)

    def test_injected_panic(self):
        text = "Kernel panic - not syncing"
        self.lab.behave(rules=[{"match": "worker-0", "console": text}])
        self.boot_cluster()
        self.assertIn(text, self.lab.world.console("id-worker-0"))
        self.assertNotIn("worker-0", self.digest())

    def test_injected_loss_of_readiness(self):
        self.lab.behave(rules=[{"match": "worker-0", "not_ready_after": 30}])
        self.boot_cluster()
        self.assertTrue(self.digest()["worker-0"].ready)
        self.lab.run(30)
        found = self.digest()["worker-0"]
        self.assertEqual(
            (False, "KubeletNotReady"), (found.ready, found.reason)
        )

    def test_idle_cluster_sends_a_digest_every_five_minutes(self):
        self.boot_cluster(workers=50)
        self.lab.run(60)
        before = self.lab.heat.posts
        self.lab.run(3000)
        self.assertIn(self.lab.heat.posts - before, (9, 10, 11))

    def test_last_server_ends_the_cluster(self):
        self.boot_cluster()
        self.lab.world.delete("id-worker-0")
        self.lab.world.delete("id-cp-0")
        self.lab.run(20)
        self.assertEqual({}, self.lab.world.clusters)
        self.assertEqual({}, self.lab.state()["nodes"])


class RestartTest(NodeTest):
    def restart(self):
        before = self.lab
        self.lab = testing.Lab(self.root)
        self.lab.heat = before.heat
        self.lab.scheduler.clock = before.scheduler.clock
        self.lab.world._sender.heat = before.heat
        for found in before.world.nodes.values():
            content = testing.node_document()
            if found.document.is_control_plane:
                content = testing.control_plane("0", found.document.init)
            self.lab.world.restore(
                found.server,
                testing.user_data(content),
                found.metadata,
                running=True,
            )
        self.lab.run(20)

    def test_booted_nodes_go_on(self):
        self.boot_cluster()
        self.lab.world.obey("id-worker-0", {"magnum_drain": "1"})
        self.lab.run(5)
        self.restart()
        self.assertEqual("ready", self.report().state)
        self.assertEqual(0, self.lab.state()["double_init"])
        found = self.digest()["worker-0"]
        self.assertEqual((True, node.DRAINED), (found.ready, found.phase))

    def test_booting_nodes_boot(self):
        self.lab.boot("cp-0", testing.control_plane("0", True))
        self.lab.run(1.5)
        self.restart()
        self.assertEqual("ready", self.report().state)
        self.assertEqual(1, len(self.lab.state()["events"]))

    def test_lost_state_file(self):
        self.boot_cluster()
        for path in self.root.glob("state/hollow/clusters/*"):
            path.unlink()
        self.restart()
        self.assertTrue(self.digest()["worker-0"].ready)
