# SPDX-License-Identifier: Apache-2.0
"""A credential is exchanged while everybody goes on working."""

import functools
import json

from cryptography.hazmat.primitives import serialization
import testtools

from lab.hollow import renewal as hollow
from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import envelope
from magnum_k8s_driver.converge import trust
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import renewal
from magnum_k8s_driver.model import rotation
from magnum_k8s_driver.model import state as state_module
from tests.fakes import certificates
from tests.unit.converge import simulation

Outcome = record.Outcome
KEY = bytes(range(32))


class RotationCase(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.sim = simulation.Simulation().with_count(1, control_planes=3)
        self.cloud = self.sim.cloud
        self.assertEqual(Outcome.COMPLETE, self.sim.run().outcome)

    def state(self):
        stack = self.cloud.heat.named("prod-7d1b1b8e6a0c")
        shown = self.cloud.heat.show(stack.id)
        return state_module.read_cluster_state(shown.parameters)

    def users(self):
        (user,) = self.cloud.identity.users.values()
        return user

    def held(self):
        """Return the credential of each control-plane node."""
        return {
            node.server.name.rsplit("-", 1)[-1]: node.secrets["cloud"]
            for node in self.cloud.nodes.by_id.values()
            if node.control_plane
        }

    def grow(self):
        """Let two more control-plane members come."""
        workers = self.sim.spec.workers[0].count
        self.sim.with_count(workers, control_planes=5)
        self.sim.resize(workers)
        written = self.sim.run()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assertEqual(5, len(self.held()))

    def ticks(self, count):
        for _tick in range(count):
            self.sim.converge()
            self.cloud.tick(simulation.TICK)

    def valid(self):
        return {
            (one.id, one.secret) for one in self.users().credentials.values()
        }


class CredentialTest(RotationCase):
    def test_new_in_old_out(self):
        (old,) = self.valid()
        servers = self.sim.servers()
        self.sim.rotate("new-owner")
        for _tick in range(60):
            if self.state().rotation is not None:
                self.assertEqual([], self.sim.owners)
            # Whoever has one can log in with it, at any time.
            for one in self.held().values():
                self.assertIn((one["id"], one["secret"]), self.valid())
            written = self.sim.converge()
            if written.outcome is not Outcome.IN_PROGRESS:
                break
            self.cloud.tick(3)
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        (new,) = self.valid()
        self.assertNotEqual(old, new)
        for one in self.held().values():
            self.assertEqual(new, (one["id"], one["secret"]))
        self.assertEqual(["new-owner"], self.sim.owners)
        self.assertEqual(servers, self.sim.servers())
        self.assertIsNone(self.state().rotation)
        for node in self.cloud.nodes.by_id.values():
            self.assertNotIn(renewal.HEADER, node.metadata)
        (stored,) = self.cloud.certificates.secrets
        self.assertEqual(stored, self.state().secret_ref)

    def test_programs_start_anew_before_the_old_one_goes(self):
        (cluster,) = {one.cluster for one in self.cloud.nodes.by_id.values()}
        before = {
            one.name: one.id for one in self.cloud.nodes.ordered[cluster]
        }
        self.cloud.nodes.addons["cloud-controller"] = {
            "state": "installing",
            "message": "",
        }
        (old,) = self.valid()
        self.sim.rotate()
        self.ticks(20)
        after = {one.name: one.id for one in self.cloud.nodes.ordered[cluster]}
        changed = {name for name in after if after[name] != before[name]}
        self.assertEqual({"cloud-controller", "cinder-csi"}, changed)
        self.assertIn("add-ons start with it", self.sim.history[-1])
        self.assertIn(old, self.valid())
        self.cloud.nodes.addons.clear()
        written = self.sim.run()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assertNotIn(old, self.valid())
        # Nobody is told anything again.
        orders = self.state().orders
        self.sim.resize(1)
        self.assertEqual(Outcome.COMPLETE, self.sim.run().outcome)
        self.assertEqual(orders.addons_for, self.state().orders.addons_for)
        self.assertEqual(orders.addons, self.state().orders.addons)

    def test_password_goes_with_it(self):
        (user,) = self.cloud.identity.users.values()
        before = user.password
        self.sim.rotate()
        self.sim.run()
        self.assertNotEqual(before, user.password)
        for one in self.held().values():
            self.assertEqual(
                (user.id, user.password), (one["user"], one["password"])
            )

    def test_everything_else_stays(self):
        before = dict(self.cloud.nodes.named("*-cp-0").secrets)
        self.sim.rotate()
        self.sim.run()
        after = dict(self.cloud.nodes.named("*-cp-0").secrets)
        self.assertEqual("rotate", after.pop("serial").partition("-")[0])
        self.assertNotEqual(before.pop("cloud"), after.pop("cloud"))
        self.assertEqual(before, after)

    def test_what_travels_can_be_read_by_nobody(self):
        self.cloud.nodes.behave("*", keeps_secrets=True)
        self.sim.rotate()
        self.ticks(5)
        standing = self.state().rotation
        self.assertIs(rotation.Phase.OFFERED, standing.phase)
        text = json.dumps(dict(standing.metadata))
        stored = self.cloud.certificates.secrets[self.state().secret_ref]
        for secret in ("credential_secret", "board_key", "join_root"):
            self.assertNotIn(json.loads(stored)[secret], text)
        self.assertRaises(ValueError, hollow.take, standing.metadata, KEY, "")

    def test_nothing_goes_before_the_last_member_has_it(self):
        self.cloud.nodes.behave("*-cp-2", keeps_secrets=True)
        (old,) = self.valid()
        self.sim.rotate("new-owner")
        self.ticks(20)
        self.assertIn(
            "control plane 2/3 have the new one", self.sim.history[-1]
        )
        self.assertIn(old, self.valid())
        self.assertEqual([], self.sim.owners)
        written = self.sim.run()
        self.assertEqual(Outcome.FAILED, written.outcome)
        self.assertIn("Not ready after 60 minutes", written.reason)
        self.assertIn(
            "control plane 2/3 have the new one (not cp-2)", written.reason
        )
        self.assertEqual(2, len(self.valid()))
        # The way out of every failed change goes on with it.
        self.cloud.nodes.heal()
        self.sim.resize(1)
        written = self.sim.run()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assertEqual(1, len(self.valid()))
        self.assertEqual(["new-owner"], self.sim.owners)

    def test_again_while_it_goes_on(self):
        self.cloud.nodes.behave("*-cp-2", keeps_secrets=True)
        self.sim.rotate("first")
        self.ticks(5)
        first = self.state().rotation
        self.sim.rotate("second")
        second = self.state().rotation
        self.assertEqual(first.id, second.id)
        self.assertGreater(second.started, first.started)
        self.cloud.nodes.heal()
        self.sim.run()
        self.assertEqual(["second"], self.sim.owners)

    def test_twice(self):
        for user in ("first", "second"):
            self.sim.rotate(user)
            self.assertEqual(Outcome.COMPLETE, self.sim.run().outcome)
            self.assertEqual(1, len(self.valid()))
        self.assertEqual(["first", "second"], self.sim.owners)

    def test_members_that_come_later_have_it(self):
        self.sim.rotate()
        self.assertEqual(Outcome.COMPLETE, self.sim.run().outcome)
        (new,) = self.valid()
        self.grow()
        for one in self.held().values():
            self.assertEqual(new, (one["id"], one["secret"]))

    def test_a_member_that_comes_meanwhile(self):
        self.cloud.nodes.behave("*-cp-2", keeps_secrets=True)
        self.sim.rotate()
        self.ticks(3)
        lost = self.cloud.compute.named("*-cp-2")
        del self.cloud.compute.by_id[lost.id]
        self.sim.resize(1)
        written = self.sim.run()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        (new,) = self.valid()
        self.assertEqual({"0", "1", "3"}, set(self.held()))
        for one in self.held().values():
            self.assertEqual(new, (one["id"], one["secret"]))

    def test_keystone_refuses(self):
        (old,) = self.valid()
        refused = exceptions.CloudError(
            "identity", "no more of it", status=403
        )
        self.sim.rotate("new-owner")
        self.cloud.fail_next(
            "identity", "ensure_application_credential", refused
        )
        written = self.sim.run()
        self.assertEqual(Outcome.FAILED, written.outcome)
        self.assertIn("The credential was not rotated", written.reason)
        self.assertIn("no more of it", written.reason)
        self.assertIsNone(self.state().rotation)
        self.assertEqual([], self.sim.owners)
        self.assertEqual(1, len(self.cloud.certificates.secrets))
        for one in self.held().values():
            self.assertEqual(old, (one["id"], one["secret"]))
        # Nothing of it stands in the way of what comes next.
        self.sim.resize(2)
        self.assertEqual(Outcome.COMPLETE, self.sim.run().outcome)
        self.assertEqual([], self.sim.owners)

    def test_services_are_away_for_a_while(self):
        self.sim.rotate()
        for service in ("identity", "certificates", "heat"):
            self.cloud.fail_next(service, "*", times=3)
        for _tick in range(30):
            try:
                self.sim.converge()
            except exceptions.CloudError:
                pass
            self.cloud.tick(simulation.TICK)
        self.assertEqual(Outcome.COMPLETE, self.sim.run().outcome)
        self.assertEqual(1, len(self.valid()))
        self.assertEqual(1, len(self.cloud.certificates.secrets))


class CaTest(RotationCase):
    def setUp(self):
        super().setUp()
        self.workers = 1

    def pki(self):
        """Return what the API servers show and trust, and sign with."""
        return [
            node.secrets["pki"]
            for node in self.cloud.nodes.by_id.values()
            if node.control_plane
        ]

    def step(self):
        """Let time pass, and check that everybody can talk to everybody."""
        before = self.pki()
        written = self.sim.converge()
        self.cloud.tick(simulation.TICK)
        for one in self.pki():
            shown = trust.split(one["ca.crt"])[0]
            for other in (*before, *self.pki()):
                # Of two members one may be a phase ahead.
                self.assertIn(shown, trust.split(other["ca.crt"]))
                self.assertIn(
                    _public(one["sa.key"]), other["sa.pub"].strip() + "\n"
                )
        return written

    def until_the_end(self, limit=400):
        phases = []
        for _tick in range(limit):
            written = self.step()
            standing = self.state().rotation
            phase = standing and str(standing.phase)
            if phase and phase not in phases[-1:]:
                phases.append(phase)
            if written.outcome is not Outcome.IN_PROGRESS:
                return written, phases
        raise AssertionError(self.sim.history[-3:])

    def test_in_phases(self):
        servers = self.sim.servers()
        old = self.pki()[0]
        self.sim.rotate_ca()
        written, phases = self.until_the_end()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assertEqual(["begun", "trust", "issue", "retire"], phases)
        self.assertEqual(servers, self.sim.servers())
        new = self.pki()[0]
        self.assertEqual([new] * 3, self.pki())
        for name in old:
            self.assertNotEqual(old[name], new[name], name)
            self.assertNotIn(old[name].strip(), new[name])
        authorities = certificates.key_pair("kubernetes-1")
        self.assertEqual(authorities.certificate, new["ca.crt"])
        self.assertEqual("-1", self.sim.ca_generation)
        self.assertEqual(
            ["ca_cert_ref", "magnum_cert_ref"],
            self.cloud.certificates.discarded,
        )
        (stored,) = self.cloud.certificates.secrets
        self.assertEqual(stored, self.state().secret_ref)
        self.assertIsNone(self.state().rotation)
        self.assertEqual([], self.sim.owners)
        told = " ".join(self.sim.history)
        for words in (
            "rusting the new CA beside the old one: control plane 0/3, "
            "workers 0/1",
            "e-issuing certificates: control plane 3/3, workers 1/1, waiting",
            "rusting the new CA only: control plane 0/3",
        ):
            self.assertIn(words, told)

    def test_magnum_shows_what_api_servers_show(self):
        self.sim.rotate_ca()
        for _tick in range(200):
            written = self.step()
            shown = self.cloud.certificates.authorities().kubernetes
            for one in self.pki():
                self.assertIn(shown.certificate.strip(), one["ca.crt"])
            if written.outcome is not Outcome.IN_PROGRESS:
                break
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)

    def test_nobody_is_left_behind(self):
        self.cloud.nodes.behave("*-worker-0", keeps_secrets=True)
        self.sim.rotate_ca()
        written, phases = self.until_the_end()
        self.assertEqual(Outcome.FAILED, written.outcome)
        self.assertIn("control plane 3/3, workers 0/1", written.reason)
        self.assertEqual(["begun", "trust"], phases)
        # What Magnum hands out is what was there before.
        self.assertEqual("", self.sim.ca_generation)
        self.assertEqual([], self.cloud.certificates.discarded)
        self.cloud.nodes.heal()
        self.sim.resize(1)
        written, phases = self.until_the_end()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assertEqual("-1", self.sim.ca_generation)

    def test_nodes_that_come_meanwhile(self):
        self.cloud.nodes.behave("*-cp-1", keeps_secrets=True)
        self.sim.rotate_ca()
        for _tick in range(10):
            self.step()
        self.sim.resize(3)
        for _tick in range(10):
            self.step()
        self.cloud.nodes.heal()
        written, _phases = self.until_the_end()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assertEqual(6, len(self.sim.servers()))
        self.grow()
        self.assertEqual([self.pki()[0]] * 5, self.pki())

    def test_twice(self):
        for _time in range(2):
            self.sim.rotate_ca()
            written, _phases = self.until_the_end()
            self.assertEqual(Outcome.COMPLETE, written.outcome)
        self.assertEqual("-2", self.sim.ca_generation)

    def test_a_credential_after_it(self):
        self.sim.rotate_ca()
        self.until_the_end()
        before = self.pki()
        self.sim.rotate()
        self.assertEqual(Outcome.COMPLETE, self.sim.run().outcome)
        self.assertEqual(before, self.pki())

    def test_new_cas_that_cannot_be_read(self):
        self.sim.rotate_ca()
        self.cloud.fail_next(
            "certificates",
            "authorities",
            exceptions.CloudError("certificate", "it is gone", status=404),
        )
        written, _phases = self.until_the_end()
        self.assertEqual(Outcome.FAILED, written.outcome)
        self.assertIn("The CA was not rotated", written.reason)
        self.assertEqual(
            ["ca_cert_ref-1", "magnum_cert_ref-1"],
            self.cloud.certificates.discarded,
        )
        self.assertEqual("", self.sim.ca_generation)
        self.sim.resize(2)
        self.assertEqual(Outcome.COMPLETE, self.sim.run().outcome)

    def abandon(self):
        self.sim.resize(1, rotation.NEW_CA)
        return self.sim.written

    def assert_nothing_was_rotated(self, old):
        """Everything is as it was, but for the serial."""
        self.assertEqual([old] * len(self.pki()), self.pki())
        self.assertEqual("", self.sim.ca_generation)
        self.assertEqual(
            ["ca_cert_ref-1", "magnum_cert_ref-1"],
            self.cloud.certificates.discarded,
        )
        self.assertIsNone(self.state().rotation)
        (stored,) = self.cloud.certificates.secrets
        self.assertEqual(stored, self.state().secret_ref)
        for node in self.cloud.nodes.by_id.values():
            if node.trusted:
                self.assertEqual((old["ca.crt"],), node.trusted)

    def test_abandoned_while_both_are_trusted(self):
        """By a cluster of which one node never trusts the new one."""
        old = self.pki()[0]
        self.cloud.nodes.behave("*-cp-2", keeps_secrets=True)
        self.sim.rotate_ca()
        written, phases = self.until_the_end()
        self.assertEqual(Outcome.FAILED, written.outcome)
        self.assertEqual(["begun", "trust"], phases)
        self.assertIn("control plane 2/3 (not cp-2)", written.reason)
        self.assertIn(
            "Resize the cluster to its size to go on, or name new-ca in "
            "nodes_to_remove to go back to the old CA.",
            written.reason,
        )
        self.cloud.nodes.heal()
        written = self.abandon()
        self.assertIs(Outcome.IN_PROGRESS, written.outcome, written.reason)
        self.assertNotIn("ignoring", written.reason)
        written, phases = self.until_the_end()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assertEqual(["retire"], phases)
        self.assertIn("oing back to the old CA", " ".join(self.sim.history))
        self.assert_nothing_was_rotated(old)
        # Nodes that come later, and another rotation, are none the worse.
        self.sim.resize(2)
        self.assertEqual(Outcome.COMPLETE, self.sim.run().outcome)
        self.sim.rotate_ca()
        written, _phases = self.until_the_end()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assertEqual("-2", self.sim.ca_generation)

    def test_abandoned_after_workers_trusted_both(self):
        old = self.pki()[0]
        self.sim.rotate_ca()
        node = self.cloud.nodes.named("*-worker-0")
        while len(node.trusted) < 2:
            self.step()
        self.assertIs(rotation.Phase.TRUST, self.state().rotation.phase)
        self.abandon()
        written, _phases = self.until_the_end()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assert_nothing_was_rotated(old)

    def test_abandoned_before_it_began(self):
        old = self.pki()[0]
        self.cloud.fail_next("identity", "*", times=9)
        self.sim.rotate_ca()
        self.cloud.tick(60)
        self.assertIs(rotation.Phase.BEGUN, self.state().rotation.phase)
        self.abandon()
        written, _phases = self.until_the_end()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assert_nothing_was_rotated(old)

    def test_the_new_one_is_in_use(self):
        self.sim.rotate_ca()
        while self.state().rotation.phase is not rotation.Phase.ISSUE:
            self.step()
        self.cloud.tick(60)
        before = self.state().rotation
        written = self.abandon()
        self.assertIs(Outcome.FAILED, written.outcome)
        self.assertIn("the new one is in use", written.reason)
        self.assertEqual(before, self.state().rotation)
        self.sim.resize(1)
        written, _phases = self.until_the_end()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assertEqual("-1", self.sim.ca_generation)

    def test_abandoned_while_heat_is_at_work(self):
        self.sim.rotate_ca()
        written = self.abandon()
        self.assertIs(Outcome.FAILED, written.outcome)
        self.assertIn("is IN_PROGRESS", written.reason)
        self.assertFalse(self.state().rotation.abandoned)

    def test_new_cas_that_got_lost(self):
        """What cannot go on can still go back."""
        old = self.pki()[0]
        self.sim.rotate_ca()
        while self.state().rotation.phase is not rotation.Phase.TRUST:
            self.step()
        self.cloud.certificates.discarded += ["ca_cert_ref-1"]
        written, _phases = self.until_the_end()
        self.assertEqual(Outcome.FAILED, written.outcome)
        self.assertIn("there is no ca_cert_ref-1", written.reason)
        self.assertIn("go back to the old CA", written.reason)
        self.cloud.certificates.discarded.clear()
        self.abandon()
        written, _phases = self.until_the_end()
        self.assertEqual(Outcome.COMPLETE, written.outcome, written.reason)
        self.assert_nothing_was_rotated(old)

    def test_deleted_meanwhile(self):
        """Magnum deletes the CAs that its row has, and no others."""
        self.sim.rotate_ca()
        while self.state().rotation.phase is not rotation.Phase.TRUST:
            self.step()
        self.sim.delete()
        self.assertEqual(Outcome.COMPLETE, self.sim.run().outcome)
        self.assertEqual(
            {"ca_cert_ref-1", "magnum_cert_ref-1"},
            set(self.cloud.certificates.discarded),
        )

    def test_is_refused_of_a_cluster_that_is_not_whole(self):
        self.cloud.nodes.behave("*-worker-0", unready="NoNetwork")
        self.ticks(7)
        error = self.assertRaises(
            exceptions.UnsupportedOperation, self.sim.rotate_ca
        )
        self.assertIn("-worker-0 is booting.", str(error))


@functools.cache
def _public(private):
    """Return the public half of a key, PEM."""
    key = serialization.load_pem_private_key(private.encode(), None)
    return (
        key.public_key()
        .public_bytes(
            serialization.Encoding.PEM,
            serialization.PublicFormat.SubjectPublicKeyInfo,
        )
        .decode()
    )


class RefusalTest(RotationCase):
    def refusal(self):
        return str(
            self.assertRaises(exceptions.UnsupportedOperation, self.sim.rotate)
        )

    def test_a_member_that_is_not_ready(self):
        self.cloud.nodes.behave("*-cp-1", unready="NoNetwork")
        self.ticks(7)
        self.assertIn("-cp-1 is booting.", self.refusal())
        self.assertIsNone(self.state().rotation)

    def test_heat_is_at_work(self):
        self.cloud.heat.hanging.add("*")
        self.sim.rotate()
        self.assertIn("is IN_PROGRESS", self.refusal())


class EnvelopeTest(testtools.TestCase):
    TEXT = json.dumps(
        {"v": 1, "secrets": {"serial": "rotate-4", "x": "y" * 999}}
    )

    def metadata(self, text=TEXT, **limits):
        return renewal.encode(
            envelope.renew(text, KEY, "rotate-4"), KEY, **limits
        )

    def test_openssl_opens_it(self):
        found = hollow.take(self.metadata(), KEY, "")
        self.assertEqual(json.loads(self.TEXT)["secrets"], found)

    def test_those_it_has(self):
        self.assertIsNone(hollow.take(self.metadata(), KEY, "rotate-4"))
        self.assertIsNone(hollow.take({}, KEY, ""))

    def test_tampered(self):
        good = self.metadata()
        for changes in (
            {renewal.HEADER: "x"},
            {renewal.HEADER: good[renewal.HEADER].replace("-4:", "-5:")},
            {f"{renewal.HEADER}_0": "AAAA"},
            {f"{renewal.HEADER}_0": ""},
        ):
            self.assertRaises(ValueError, renewal.decode, good | changes, KEY)

    def test_of_another_serial(self):
        text = json.dumps({"v": 1, "secrets": {"serial": "rotate-3"}})
        self.assertRaises(
            ValueError, hollow.take, self.metadata(text), KEY, ""
        )

    def test_too_many_keys(self):
        needed = len(self.metadata()) + 12
        self.metadata(max_server_meta=needed)
        self.metadata(max_server_meta=-1)
        self.assertRaises(
            ValueError, self.metadata, max_server_meta=needed - 1
        )
