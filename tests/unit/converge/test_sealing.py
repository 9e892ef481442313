# SPDX-License-Identifier: Apache-2.0
"""Who gets secrets, and how readers of a project try to."""

import dataclasses
import json

import testtools

from lab.hollow import seal as seal_module
from magnum_k8s_driver.converge import envelope
from magnum_k8s_driver.converge import sealing
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import sealed
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.render import userdata
from tests.unit.converge import simulation

Outcome = record.Outcome
READER = seal_module.Seal()
"""A key pair of somebody who wants to be a node."""


class Deaf:
    """A node that does not look for its answer."""

    key = "nowhere"

    def __init__(self, seal):
        self.text = seal.text
        self.fingerprint = seal.fingerprint


class SealingTest(testtools.TestCase):
    """A simulated cluster whose control plane asks for its secrets."""

    def setUp(self):
        super().setUp()
        self.sim = simulation.Simulation()
        self.cloud = self.sim.cloud

    def node(self, pattern="*-cp-0"):
        """Return a node of the simulation."""
        return self.cloud.nodes.named(pattern)

    def state(self):
        """Return what the cluster stack remembers."""
        stack = self.cloud.heat.named("prod-7d1b1b8e6a0c")
        shown = self.cloud.heat.show(stack.id)
        return state_module.read_cluster_state(shown.parameters)

    def until(self, wanted, limit=100):
        """Call the status job until something is so."""
        for _tick in range(limit):
            self.sim.converge()
            self.cloud.tick(2)
            found = wanted()
            if found:
                return found
        raise AssertionError(self.sim.history[-3:])

    def until_it_asks(self):
        """Stop when the first control-plane node has posted."""

        def asks():
            return any(
                one.control_plane and one.told and one.seal
                for one in self.cloud.nodes.by_id.values()
            )

        return self.until(asks)

    def answers(self, pattern="*-cp-0"):
        """Return the answers that lie ready for a server."""
        server = self.node(pattern).server.id
        configs = self.cloud.heat.configs("")
        return [
            text
            for one in sealed.answers("prod-7d1b1b8e6a0c", configs)
            if one.server_id == server
            for text in self.cloud.heat.readable(one.key)
        ]

    def handle(self, member="0"):
        """Return the board of a member."""
        found = [
            one
            for _stack, one in self.cloud.heat.handles()
            if one.name == member
        ]
        return found[0]

    def spoof(self, node, seal=READER, mute=True, **changes):
        """Write on a board as every reader of the project can.

        :param mute: the node itself says nothing new for a while.
        """
        document = {
            "v": 1,
            "seq": 999,
            "t": self.cloud.now,
            "member": "0",
            "server": node.server.id,
            "op": "create-1",
            "state": "booting",
            "phase": "prepare",
            "seal": seal.text,
            **changes,
        }
        self.handle().metadata[board.REPORT] = {
            "data": board.encode(document, None),
            "reason": "",
            "status": "SUCCESS",
        }
        if not mute:
            return
        node.told_at = self.cloud.now
        node.told = json.dumps(
            [
                self.cloud.nodes._report(node),
                self.cloud.nodes.digest(node.cluster) if node.joined else {},
            ],
            sort_keys=True,
        )


class DeliveryTest(SealingTest):
    def test_the_answer_comes_and_goes(self):
        seen = set()
        for _tick in range(100):
            written = self.sim.converge()
            seen.add(bool(self.cloud.heat.deployments))
            if written.outcome is not Outcome.IN_PROGRESS:
                break
            self.cloud.tick(5)
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assertEqual({True, False}, seen)
        self.assertEqual({}, self.cloud.heat.deployments)
        node = self.node()
        self.assertIsNone(node.seal)
        self.assertIn("ca.key", node.secrets["pki"])
        (member,) = self.state().stack.members.all
        self.assertEqual(node.server.id, member.sealed_for)

    def test_nothing_of_them_is_in_user_data(self):
        self.sim.run()
        secrets = self.node().secrets
        for node in self.cloud.nodes.by_id.values():
            files = userdata.parse_files(node.server.user_data)
            text = b"\n".join(files.values()).decode()
            self.assertIn('"board"', text) if node.control_plane else None
            for one in (
                "PRIVATE KEY",
                secrets["board_key"],
                secrets["join_root"],
                secrets["cloud"]["secret"],
            ):
                self.assertNotIn(one, text)

    def test_three_members(self):
        self.sim.with_count(1, control_planes=3)
        self.assertEqual(Outcome.COMPLETE, self.sim.run().outcome)
        for member in self.state().stack.members.all:
            node = self.node(f"*-cp-{member.name}")
            self.assertEqual(node.server.id, member.sealed_for)

    def test_an_answer_stays_when_another_member_asks(self):
        self.sim.with_count(0, control_planes=3)
        self.until_it_asks()
        first, other = self.node("*-cp-0"), self.node("*-cp-1")
        first_seal, other_seal = first.seal, other.seal
        # One is late with its question, the other with the answer.
        other.server.console = ""
        self.cloud.nodes.behave("*-cp-1", no_console=True)
        first.seal = Deaf(first_seal)
        self.until(lambda: self.answers("*-cp-0"))
        self.cloud.nodes.behave("*-cp-1")
        answer = self.answers("*-cp-0")
        self.until(lambda: other.seal is None)
        self.assertIsNot(other_seal, other.seal)
        self.assertEqual(answer, self.answers("*-cp-0"))
        first.seal = first_seal
        self.assertEqual(Outcome.COMPLETE, self.sim.run().outcome)

    def test_a_member_of_a_running_cluster_gets_them(self):
        """A successor of the server, under the same name, asks anew."""
        self.sim.run()
        old = self.node().server
        resource = next(
            one
            for stack in self.cloud.heat.live()
            for one in stack.root.walk()
            if one.physical_id == old.id
        )
        del self.cloud.compute.by_id[old.id]
        new = self.cloud.compute.boot(old.name, old.properties, old.user_data)
        resource.physical_id = new.id
        # Its workers cannot join before it is back.
        self.sim.resize(3)
        self.assertEqual(Outcome.COMPLETE, self.sim.run().outcome)
        (member,) = self.state().stack.members.all
        self.assertEqual(new.id, member.sealed_for)
        self.assertNotEqual(old.id, new.id)
        self.assertEqual([], self.answers())

    def test_user_data_when_the_operator_says_so(self):
        self.sim.spec = dataclasses.replace(self.sim.spec, seals_secrets=False)
        self.assertEqual(Outcome.COMPLETE, self.sim.run().outcome)
        node = self.node()
        self.assertIn("ca.key", node.secrets["pki"])
        self.assertNotIn("seal", node.server.console)
        (member,) = self.state().stack.members.all
        self.assertEqual("", member.sealed_for)


class TroubleTest(SealingTest):
    def test_no_console_log_is_told_and_ends_at_the_deadline(self):
        self.cloud.nodes.behave("*-cp-*", no_console=True)
        written = self.sim.run()
        self.assertEqual(Outcome.FAILED, written.outcome)
        self.assertIn("Nova has no console log of it", written.reason)
        self.assertIn("secret_delivery", written.reason)
        self.assertIn("no console log", self.sim.history[-2])
        self.assertIsNotNone(self.node().seal)

    def test_a_console_that_cannot_be_read_is_told(self):
        self.until_it_asks()
        server = self.node().server
        server.console = ""
        self.cloud.nodes.behave("*-cp-*", no_console=True)
        self.sim.converge()
        self.assertIn("no console log of it", self.sim.written.reason)
        self.assertEqual(Outcome.IN_PROGRESS, self.sim.written.outcome)

    def test_no_certificate_of_another_kind(self):
        for octets in (b"", b"nothing", READER.certificate[:-1]):
            self.assertRaises(ValueError, envelope.seal, "x", octets)


class AttackTest(SealingTest):
    """Of somebody who can read everything and write boards unsigned."""

    def assert_nothing_for(self, seal):
        """Nobody who holds that key can open anything."""
        for server in self.cloud.compute.by_id.values():
            for text in self.answers(server.name):
                self.assertRaises(ValueError, seal.open, text)

    def test_another_certificate_on_the_board_gets_nothing(self):
        self.until_it_asks()
        node = self.node()
        for _tick in range(10):
            self.spoof(node)
            self.sim.converge()
            self.cloud.tick(1)
            self.assertEqual([], self.answers())
        self.assertIn("another certificate", self.sim.written.reason)
        self.assertEqual(Outcome.IN_PROGRESS, self.sim.written.outcome)
        # The node writes again, and all is well.
        node.told = ""
        self.assertEqual(Outcome.COMPLETE, self.sim.run().outcome)
        self.assert_nothing_for(READER)

    def test_a_board_written_before_the_node_does_gets_nothing(self):
        self.cloud.nodes.behave("*-cp-*", no_console=True)
        self.until(
            lambda: any(
                one.control_plane for one in self.cloud.nodes.by_id.values()
            )
        )
        self.spoof(self.node())
        self.sim.converge()
        self.assertEqual([], self.answers())
        self.assert_nothing_for(READER)

    def test_two_fingerprints_on_the_console_are_refused(self):
        self.until_it_asks()
        node = self.node()
        node.server.console += (
            f'MAGNUM-NODE seal {{"sha256": "{READER.fingerprint}"}}\n'
        )
        written = self.sim.run()
        self.assertEqual(Outcome.FAILED, written.outcome)
        self.assertIn("more than one certificate", written.reason)
        self.assertEqual([], self.answers())

    def test_the_board_of_another_server_gets_nothing(self):
        """The right certificate, said of a server that is not its."""
        self.until_it_asks()
        node = self.node()
        worker = self.node("*-worker-0")
        worker.server.console += (
            f'MAGNUM-NODE seal {{"sha256": "{READER.fingerprint}"}}\n'
        )
        self.spoof(node, server=worker.server.id)
        self.sim.converge()
        self.assert_nothing_for(READER)
        self.assertEqual([], self.answers())

    def test_a_server_that_heat_did_not_make_gets_nothing(self):
        self.until_it_asks()
        node = self.node()
        for stack in self.cloud.heat.live():
            for one in stack.root.walk():
                if one.physical_id == node.server.id:
                    one.physical_id = "another"
        self.sim.converge()
        self.assertEqual([], self.answers())

    def test_who_has_its_secrets_gets_them_no_second_time(self):
        self.sim.run()
        node = self.node()
        self.sim.resize(3)
        node.server.console += (
            f'MAGNUM-NODE seal {{"sha256": "{READER.fingerprint}"}}\n'
        )
        written = None
        for _tick in range(40):
            self.spoof(node, mute=False)
            written = self.sim.converge()
            self.assertEqual([], self.answers())
            if written.outcome is not Outcome.IN_PROGRESS:
                break
            self.cloud.tick(5)
        # Nor does it keep the operation from its end.
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)

    def test_an_unsigned_failure_of_who_can_sign_is_no_news(self):
        self.sim.run()
        servers = set(self.cloud.compute.by_id)
        node = self.node()
        self.sim.resize(3)
        for _tick in range(40):
            self.spoof(
                node,
                mute=False,
                state="failed",
                error={"phase": "init", "message": "ha", "hint": ""},
            )
            written = self.sim.converge()
            self.assertNotEqual(Outcome.FAILED, written.outcome)
            if written.outcome is Outcome.COMPLETE:
                break
            self.cloud.tick(5)
        self.assertEqual(Outcome.COMPLETE, written.outcome)
        self.assertLessEqual(servers, set(self.cloud.compute.by_id))

    def test_a_signature_of_another_member_takes_nothing_away(self):
        """An answer stays until the member itself says that it has it."""
        self.until_it_asks()
        node, waiting = self.node(), self.node().seal
        node.seal = Deaf(waiting)
        self.until(self.answers)
        (answer,) = self.answers()
        other = "d0000000-0000-4000-8000-00000000000d"
        key = bytes.fromhex(waiting.open(answer)["board_key"])
        for server in (other, ""):
            self.spoof(node, seal=waiting)
            entry = self.handle().metadata[board.REPORT]
            document = json.loads(entry["data"]) | {"server": server}
            entry["data"] = board.encode(document, key)
            self.sim.converge()
            self.cloud.tick(3)
            self.assertEqual([answer], self.answers())

    def test_only_the_owner_of_the_key_opens_an_answer(self):
        owner = seal_module.Seal()
        answer = envelope.seal('{"secrets":{"a":"b"}}', owner.certificate)
        self.assertEqual({"a": "b"}, owner.open(answer))
        self.assertRaises(ValueError, READER.open, answer)

    def test_a_judgement_for_every_console(self):
        stages = set()
        observed = None
        for shown in ((), (READER,), (READER, seal_module.Seal())):
            sim = simulation.Simulation()
            self.sim, self.cloud = sim, sim.cloud
            self.cloud.nodes.behave("*-cp-*", no_console=True)
            self.until_it_asks()
            self.node().server.console = "".join(
                f'MAGNUM-NODE seal {{"sha256": "{one.fingerprint}"}}\n'
                for one in shown
            )
            observed = simulation.converge.look(sim.around())
            found = sealing.handshakes(observed)["0"]
            stages.add((len(shown), found.stage))
            self.assertTrue(found.error.message)
        self.assertEqual(
            {
                (0, sealing.Stage.UNSEEN),
                (1, sealing.Stage.DOUBTED),
                (2, sealing.Stage.REFUSED),
            },
            stages,
        )
