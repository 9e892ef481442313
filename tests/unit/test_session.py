# SPDX-License-Identifier: Apache-2.0
"""Magnum's own conductor and status job, from create to gone.

Only what opens the cloud and the lock is simulated.
"""

import contextlib
import dataclasses
from unittest import mock

import fixtures
from magnum.common import exception as magnum_exception
from magnum.conductor.handlers import cluster_conductor
from magnum.conductor.handlers import nodegroup_conductor
from magnum.drivers.common import driver as magnum_driver
from magnum import objects
from magnum.service import periodic
from oslo_service import loopingcall
import testtools

from magnum_k8s_driver import census
from magnum_k8s_driver import exceptions
from magnum_k8s_driver import monitor
from magnum_k8s_driver import patience
from magnum_k8s_driver import rows
from magnum_k8s_driver import session
from magnum_k8s_driver.converge import converge
from magnum_k8s_driver.model import problems
from magnum_k8s_driver.model import quota
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.ports import metrics
from tests import counted
from tests import magnum_service
from tests import samples

SENTENCES = r"^[A-Z].*\.$"


class SessionTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.magnum = self.useFixture(magnum_service.MagnumService())
        self.simulated = self.useFixture(magnum_service.SimulatedCloud())
        self.cloud = self.simulated.cloud
        self.handler = cluster_conductor.Handler()

    def create(self, workers=2, template=None, **changes):
        """Do what the conductor does with a create request."""
        template = template or self.magnum.template()
        cluster = self.magnum.new_cluster(template, **changes)
        self.handler.cluster_create(
            self.magnum.context, cluster, 1, workers, 60
        )
        return cluster

    def new_group(self, cluster, name, count):
        """Return a node group that its user asks for."""
        return objects.NodeGroup(
            self.magnum.context,
            cluster_id=cluster.uuid,
            project_id=cluster.project_id,
            name=name,
            role="worker",
            node_count=count,
            image_id="ubuntu-24.04",
            flavor_id="m1.medium",
            labels={},
            is_default=False,
        )

    def job(self, cluster):
        """Do what the status job does, once, with a row of its own."""
        row = self.magnum.reload(cluster)
        job = periodic.ClusterUpdateJob(self.magnum.admin, row)
        self.assertRaises(loopingcall.LoopingCallDone, job.update_status)

    def run_jobs(self, cluster):
        """Call the status job until nothing is in progress."""
        for _tick in range(60):
            try:
                row = self.magnum.reload(cluster)
            except magnum_exception.ClusterNotFound:
                return None
            if not row.status.endswith("_IN_PROGRESS"):
                return row
            self.job(cluster)
            self.cloud.tick(10)
        raise AssertionError(f"never ended: {row.status_reason}")


class TestConductor(SessionTest):
    def test_from_create_to_gone(self):
        before = self.cloud.inventory()
        cluster = self.create()
        self.assertEqual("CREATE_IN_PROGRESS", cluster.status)
        stacks = {one.stack_id for one in self.magnum.groups(cluster).values()}
        self.assertEqual({cluster.stack_id}, stacks, "Magnum copies it")
        found = self.run_jobs(cluster)
        self.assertEqual("CREATE_COMPLETE", found.status, found.status_reason)
        self.assertRegex(found.status_reason, SENTENCES)
        self.assertRegex(found.api_address, r"^https://[0-9.]+:6443$")
        self.assertEqual(samples.VERSION, found.coe_version)
        groups = self.magnum.groups(cluster)
        for row in groups.values():
            self.assertEqual("CREATE_COMPLETE", row.status)
            self.assertEqual(row.node_count, len(row.node_addresses))
            self.assertEqual(samples.VERSION, row.version)
        self.assertEqual(found.stack_id, groups["default-master"].stack_id)
        self.assertNotEqual(found.stack_id, groups["default-worker"].stack_id)
        self.assertEqual({"kube_tag": samples.VERSION}, dict(found.labels))

        self.handler.cluster_delete(self.magnum.context, cluster.uuid)
        self.assertIsNone(self.run_jobs(cluster))
        self.assertEqual(
            [], objects.NodeGroup.list(self.magnum.admin, cluster.uuid)
        )
        self.assertEqual(set(), self.magnum.certificates())
        left = set(self.cloud.inventory()) - set(before)
        self.assertEqual(set(), left)

    def test_every_reason_is_a_sentence(self):
        reasons = []
        with mock.patch.object(
            objects.Cluster,
            "save",
            autospec=True,
            side_effect=objects.Cluster.save,
        ) as save:
            cluster = self.create(workers=1)
            self.run_jobs(cluster)
            self.handler.cluster_delete(self.magnum.context, cluster.uuid)
            self.run_jobs(cluster)
            for call in save.mock_calls:
                reasons.append(call.args[0].status_reason)
        said = {one for one in reasons if one}
        self.assertGreater(len(said), 2)
        for reason in said:
            self.assertRegex(reason, SENTENCES)

    def test_refusal_fails_cluster_and_groups(self):
        error = exceptions.InvalidClusterSpec(
            [problems.Problem(subject="x", sentence="Flavor x is missing.")]
        )
        before = self.cloud.inventory()
        with mock.patch.object(
            session, "_read_spec", autospec=True, side_effect=error
        ):
            self.assertRaises(
                magnum_exception.InvalidParameterValue, self.create
            )
        (cluster,) = objects.Cluster.list(self.magnum.admin)
        self.assertEqual("CREATE_FAILED", cluster.status)
        self.assertEqual("Flavor x is missing.", cluster.status_reason)
        for row in self.magnum.groups(cluster).values():
            self.assertEqual("CREATE_FAILED", row.status)
            self.assertEqual("Flavor x is missing.", row.status_reason)
        self.assertEqual(before, self.cloud.inventory())
        self.handler.cluster_delete(self.magnum.context, cluster.uuid)
        self.assertIsNone(self.run_jobs(cluster))
        self.assertEqual(set(), self.magnum.certificates())

    def test_real_refusal_names_every_problem(self):
        self.assertRaises(
            magnum_exception.InvalidParameterValue,
            self.create,
            keypair="tester",
            labels={"kube_tag": "v1.36.4", "boot_volume_size": "many"},
            fixed_network="nowhere",
        )
        (cluster,) = objects.Cluster.list(self.magnum.admin)
        self.assertIn("many", cluster.status_reason)
        self.assertIn("nowhere", cluster.status_reason)
        self.assertRegex(cluster.status_reason, SENTENCES)

    def test_cloud_away_at_the_hook(self):
        self.cloud.fail_next("cloud", "user_facts")
        cluster = self.create(workers=0)
        self.assertEqual("CREATE_IN_PROGRESS", cluster.status)
        self.assertIsNone(cluster.stack_id)
        self.assertEqual("CREATE_COMPLETE", self.run_jobs(cluster).status)

    def test_lock_taken_at_the_hook(self):
        self.cloud.lock.held.add(f"magnum-k8s-{samples.CLUSTER_UUID}")
        cluster = self.create(workers=0)
        self.assertEqual([], self.cloud.inventory("stack *"))
        self.job(cluster)
        self.assertEqual([], self.cloud.inventory("stack *"))
        self.cloud.lock.held.clear()
        self.assertEqual("CREATE_COMPLETE", self.run_jobs(cluster).status)

    def test_delete_of_what_was_never_made(self):
        cluster = self.magnum.cluster("CREATE_FAILED", stack_id=None)
        self.handler.cluster_delete(self.magnum.context, cluster.uuid)
        self.assertIsNone(self.run_jobs(cluster))

    def test_delete_while_creating(self):
        cluster = self.create()
        self.cloud.tick(10)
        self.handler.cluster_delete(self.magnum.context, cluster.uuid)
        self.assertIsNone(self.run_jobs(cluster))
        self.assertEqual([], self.cloud.inventory("stack *"))

    def test_status_job_of_a_cluster_that_is_gone(self):
        cluster = self.magnum.cluster("DELETE_IN_PROGRESS")
        row = self.magnum.reload(cluster)
        for group in self.magnum.groups(cluster).values():
            group.destroy()
        cluster.destroy()
        session.proceed(self.magnum.admin, row)

    def test_resize_and_node_groups(self):
        cluster = self.create(workers=1)
        self.run_jobs(cluster)
        cluster = self.magnum.reload(cluster)
        group = self.magnum.groups(cluster)["default-worker"]
        with mock.patch.object(
            cluster_conductor.scale_manager,
            "get_scale_manager",
            autospec=True,
            return_value=None,
        ):
            self.handler.cluster_resize(
                self.magnum.context, cluster, 2, [], group
            )
        found = self.run_jobs(cluster)
        self.assertEqual("UPDATE_COMPLETE", found.status, found.status_reason)
        self.assertEqual(3, len(self.cloud.inventory("server *")))
        new = self.new_group(cluster, "extra", 1)
        groups = nodegroup_conductor.Handler()
        groups.nodegroup_create(
            self.magnum.context, self.magnum.reload(cluster), new
        )
        found = self.run_jobs(cluster)
        self.assertEqual("UPDATE_COMPLETE", found.status, found.status_reason)
        row = self.magnum.groups(cluster)["extra"]
        self.assertEqual("CREATE_COMPLETE", row.status, row.status_reason)
        self.assertEqual(4, len(self.cloud.inventory("server *")))
        groups.nodegroup_delete(
            self.magnum.context, self.magnum.reload(cluster), row
        )
        found = self.run_jobs(cluster)
        self.assertEqual("UPDATE_COMPLETE", found.status, found.status_reason)
        self.assertNotIn("extra", self.magnum.groups(cluster))
        self.assertEqual(3, len(self.cloud.inventory("server *")))

    def test_number_of_workers_by_patch(self):
        """Long after the create, and Heat does not answer at the hook."""
        cluster = self.create(workers=1)
        self.run_jobs(cluster)
        self.cloud.tick(7200, step=60)
        self.useFixture(
            fixtures.MockPatch("magnum.common.clients.OpenStackClients")
        )
        self.useFixture(
            fixtures.MockPatch(
                "magnum.conductor.scale_manager.get_scale_manager",
                return_value=None,
            )
        )
        self.cloud.fail_next("heat", "update")
        self.handler.cluster_update(
            self.magnum.context, self.magnum.reload(cluster), 2, None, None
        )
        found = self.magnum.reload(cluster)
        self.assertEqual("UPDATE_IN_PROGRESS", found.status)
        found = self.run_jobs(cluster)
        self.assertEqual("UPDATE_COMPLETE", found.status, found.status_reason)
        self.assertEqual(3, len(self.cloud.inventory("server *")))
        for row in self.magnum.groups(cluster).values():
            self.assertTrue(row.status.endswith("_COMPLETE"), row.status)


class TestTrouble(SessionTest):
    def test_unreachable_cloud_is_told_and_passes(self):
        cluster = self.create(workers=0)
        self.cloud.fail_next("cloud", "open")
        self.job(cluster)
        found = self.magnum.reload(cluster)
        self.assertEqual("CREATE_IN_PROGRESS", found.status)
        self.assertRegex(found.status_reason, SENTENCES)
        self.assertIn("Trying again.", found.status_reason)
        self.assertEqual("CREATE_COMPLETE", self.run_jobs(cluster).status)

    def test_a_changed_intent_is_not_overwritten(self):
        cluster = self.create(workers=0)
        found_rows = rows.Rows(self.magnum.reload(cluster))
        report = record_module.ClusterReport(
            intent=record_module.Intent.CREATE,
            outcome=record_module.Outcome.COMPLETE,
            reason="Control plane 1/1 ready.",
        )
        self.handler.cluster_delete(self.magnum.context, cluster.uuid)
        found_rows.apply(report)
        found = self.magnum.reload(cluster)
        self.assertEqual("DELETE_IN_PROGRESS", found.status)

    def test_other_clusters_keep_the_grants(self):
        cluster = self.create(workers=0)
        found_rows = rows.Rows(cluster)
        other = self.magnum.new_cluster(
            cluster.cluster_template, uuid=samples.WORKER_UUID, name="other"
        )
        other.create()
        self.handler.cluster_delete(self.magnum.context, cluster.uuid)
        found_rows = rows.Rows(self.magnum.reload(cluster))
        self.assertFalse(found_rows.leave_project())

    def test_clusters_deleted_together_do_not_keep_the_grants(self):
        first = self.create(workers=0)
        second = self.magnum.new_cluster(
            first.cluster_template, uuid=samples.WORKER_UUID, name="second"
        )
        second.create()
        for one in (first, second):
            one.status = "DELETE_IN_PROGRESS"
            one.stack_id = "a stack"
            one.save()
        found = [rows.Rows(self.magnum.reload(one)) for one in (first, second)]
        self.assertEqual([False, True], [one.leave_project() for one in found])


class TestGrants(SessionTest):
    """What came to nothing, or has gone, leaves no roles in its project."""

    def setUp(self):
        super().setUp()
        self.before = self.cloud.inventory()

    def test_a_look_at_what_is_just_going(self):
        """Magnum removes the row between two looks of other threads."""
        cluster = self.create(workers=0)
        self.run_jobs(cluster)
        self.handler.cluster_delete(self.magnum.context, cluster.uuid)
        late = self.magnum.reload(cluster)
        really_open = session._open

        def open_late(record, **_more):
            with mock.patch.object(session, "_open", really_open):
                self.assertIsNone(self.run_jobs(cluster))
            self.assertEqual(self.before, self.cloud.inventory())
            return really_open(record)

        with (
            mock.patch.object(session, "_lock", autospec=True) as lock,
            mock.patch.object(session, "_open", open_late),
        ):
            lock.return_value.hold.return_value = contextlib.nullcontext()
            session.proceed(self.magnum.admin, late)
        self.assertEqual(self.before, self.cloud.inventory())

    def refuse(self, meanwhile=lambda: None, **changes):
        """Ask for what cannot be, and return what the API shows."""

        def look(*_args):
            meanwhile()
            raise exceptions.InvalidClusterSpec(
                [problems.Problem(subject="x", sentence="It cannot be.")]
            )

        with mock.patch.object(
            session, "_read_spec", autospec=True, side_effect=look
        ):
            self.assertRaises(
                magnum_exception.InvalidParameterValue, self.create, **changes
            )
        (found,) = [
            one
            for one in objects.Cluster.list(self.magnum.admin)
            if one.status_reason == "It cannot be."
        ]
        self.assertEqual("CREATE_FAILED", found.status)
        return found

    def row(self):
        """Return the only cluster, as a job lists it."""
        (row,) = objects.Cluster.list(self.magnum.admin)
        return row

    def jobs(self):
        """Do what both periodic jobs do with what they have listed."""
        row = self.row()
        session.proceed(self.magnum.admin, row)
        monitor.BoardMonitor(self.magnum.admin, row).poll_health_status()

    def test_jobs_while_the_hook_checks(self):
        """They do not even open the cloud."""
        self.refuse(self.jobs)
        self.assertEqual(0, self.cloud.calls.count("cloud", "open"))
        self.assertEqual(self.before, self.cloud.inventory())

    def test_job_before_the_hook(self):
        """It lists the cluster while its certificates are being made."""
        with mock.patch.object(
            cluster_conductor.cert_manager,
            "generate_certificates_to_cluster",
            autospec=True,
            side_effect=lambda *_args, **_more: session.proceed(
                self.magnum.admin, self.row()
            ),
        ):
            granted = []
            found = self.refuse(
                lambda: granted.extend(self.cloud.inventory("grant *"))
            )
        self.assertNotEqual([], granted)
        self.assertEqual(self.before, self.cloud.inventory())
        self.assertEqual("CREATE_FAILED", found.status)

    def test_jobs_that_listed_it_before_the_refusal(self):
        rows_listed = []
        self.refuse(lambda: rows_listed.append(self.row()))
        (row,) = rows_listed
        self.assertEqual("CREATE_IN_PROGRESS", row.status)
        session.proceed(self.magnum.admin, row)
        one = monitor.BoardMonitor(self.magnum.admin, row)
        one.poll_health_status()
        self.assertEqual("UNKNOWN", one.data["health_status"])
        for reason in one.data["health_status_reason"].values():
            self.assertIsInstance(reason, str)
        self.assertEqual(self.before, self.cloud.inventory())

    def test_a_delete_while_the_hook_checks(self):
        def asked():
            row = self.row()
            row.status = "DELETE_IN_PROGRESS"
            row.save()
            raise exceptions.InvalidClusterSpec(
                [problems.Problem(subject="x", sentence="It cannot be.")]
            )

        with mock.patch.object(
            session,
            "_read_spec",
            autospec=True,
            side_effect=lambda *_: asked(),
        ):
            self.create()
        self.assertEqual("DELETE_IN_PROGRESS", self.row().status)
        self.assertIsNone(self.run_jobs(self.row()))
        self.assertEqual(self.before, self.cloud.inventory())

    def test_the_status_job_refuses(self):
        self.cloud.fail_next("cloud", "user_facts")
        self.cloud.facts.quotas = {
            "compute.instances": quota.Allowance(limit=0)
        }
        cluster = self.create()
        found = self.run_jobs(cluster)
        self.assertEqual("CREATE_FAILED", found.status)
        self.assertEqual(1, self.cloud.calls.count("cloud", "open"))
        self.assertEqual(self.before, self.cloud.inventory())

    def test_keystone_away_when_they_are_taken_back(self):
        """The reason stays, and the end of the cluster takes them back."""
        self.cloud.fail_next("cloud", "user_facts")
        self.cloud.fail_next("identity", "revoke_service_roles")
        self.cloud.facts.quotas = {
            "compute.instances": quota.Allowance(limit=0)
        }
        cluster = self.create()
        found = self.run_jobs(cluster)
        self.assertIn("quota of servers", found.status_reason)
        self.assertNotEqual(self.before, self.cloud.inventory())
        self.handler.cluster_delete(self.magnum.context, cluster.uuid)
        self.assertIsNone(self.run_jobs(cluster))
        self.assertEqual(self.before, self.cloud.inventory())

    def test_another_cluster_needs_them(self):
        other = self.create(workers=0)
        self.run_jobs(other)
        grants = self.cloud.inventory("grant *")
        refused = self.refuse(
            template=other.cluster_template,
            uuid=samples.WORKER_UUID,
            name="refused",
        )
        self.assertEqual(grants, self.cloud.inventory("grant *"))
        # The refused one keeps nothing when the other one goes.
        self.handler.cluster_delete(self.magnum.context, other.uuid)
        self.assertIsNone(self.run_jobs(other))
        self.assertEqual(self.before, self.cloud.inventory())
        self.assertEqual("CREATE_FAILED", self.magnum.reload(refused).status)

    def test_deleted_together_with_a_refused_one(self):
        other = self.create(workers=0)
        self.run_jobs(other)
        refused = self.refuse(
            template=other.cluster_template,
            uuid=samples.WORKER_UUID,
            name="refused",
        )
        for one in (other, refused):
            self.handler.cluster_delete(self.magnum.context, one.uuid)
        for one in (other, refused):
            self.assertIsNone(self.run_jobs(one))
        self.assertEqual(self.before, self.cloud.inventory())


class TestHealth(SessionTest):
    def test_boards_answer_when_the_api_does_not(self):
        cluster = self.create(workers=1)
        self.run_jobs(cluster)
        found = self.magnum.reload(cluster)
        found.api_address = "https://127.0.0.1:1"
        one = monitor.BoardMonitor(self.magnum.admin, found)
        one.poll_health_status()
        self.assertEqual("HEALTHY", one.data["health_status"])
        reasons = one.data["health_status_reason"]
        self.assertEqual(2, sum(key.endswith(".Ready") for key in reasons))
        for key, value in reasons.items():
            self.assertIsInstance(value, str, key)
        found.health_status_reason = reasons
        found.save()

    def test_without_an_api_and_boards_nothing_is_known(self):
        cluster = self.create(workers=1)
        one = monitor.BoardMonitor(self.magnum.admin, cluster)
        one.poll_health_status()
        self.assertEqual("UNKNOWN", one.data["health_status"])


class TestAwaited(SessionTest):
    def test_looks_again_while_a_node_waits_for_its_secrets(self):
        cluster = self.create()
        waited = []
        while self.magnum.reload(cluster).status == "CREATE_IN_PROGRESS":
            began = self.cloud.now
            self.job(cluster)
            waited.append(self.cloud.now - began)
            self.cloud.tick(10)
        self.assertEqual("CREATE_COMPLETE", self.magnum.reload(cluster).status)
        self.assertTrue(any(waited), "it came back at once each time")
        self.assertEqual([], [one for one in waited if one > 8])
        before = self.cloud.now
        self.job(cluster)
        self.assertEqual(before, self.cloud.now, "nobody waits any more")

    def test_a_node_that_never_asks_is_not_awaited_for_long(self):
        self.cloud.nodes.behave("*", silent=True)
        cluster = self.create()
        began = self.cloud.now
        waited = []
        while self.cloud.now < began + 600:
            before = self.cloud.now
            self.job(cluster)
            waited.append(self.cloud.now - before)
            self.cloud.tick(10)
        self.assertTrue(any(waited))
        self.assertEqual({0}, {*waited[-10:]})

    def resized(self, cluster, workers):
        """Return the seconds from a resize to its end."""
        row = self.magnum.reload(cluster)
        began = self.cloud.now
        self.handler.cluster_resize(
            self.magnum.context, row, workers, [], row.default_ng_worker
        )
        while self.magnum.reload(cluster).status == "UPDATE_IN_PROGRESS":
            next_call = self.cloud.now + 10
            self.job(cluster)
            ended = self.cloud.now
            self.cloud.tick(next_call - ended)
        row = self.magnum.reload(cluster)
        self.assertEqual("UPDATE_COMPLETE", row.status, row.status_reason)
        return ended - began

    def test_a_resize_goes_on_between_two_calls(self):
        cluster = self.create()
        self.run_jobs(cluster)
        soon = [self.resized(cluster, count) for count in (3, 2)]
        busy = mock.Mock(**{"acquire.return_value": False})
        with mock.patch.object(patience, "_MOST", busy):
            late = [self.resized(cluster, count) for count in (3, 2)]
        for one, other in zip(soon, late, strict=True):
            self.assertLess(one, other)
        busy.release.assert_not_called()

    def test_without_a_change_nothing_but_that_is_asked(self):
        cluster = self.create()
        self.cloud.heat.hanging.add("*")
        self.job(cluster)
        before = self.cloud.now
        self.cloud.tick(10)
        with mock.patch.object(
            converge,
            "converge",
            autospec=True,
            side_effect=converge.converge,
        ) as looked:
            self.job(cluster)
        self.assertEqual(1, looked.call_count)
        self.assertGreater(self.cloud.now, before + 15)

    def test_what_heat_does_not_tell_has_not_changed(self):
        cluster = self.create()
        self.cloud.heat.hanging.add("*")
        self.job(cluster)
        self.cloud.tick(10)
        really, asked = self.cloud.heat.tagged, []

        def tagged(tag):
            asked.append(tag)
            if len(asked) > 1:
                raise exceptions.CloudUnavailable("orchestration", "no answer")
            return really(tag)

        with mock.patch.object(self.cloud.heat, "tagged", tagged):
            self.job(cluster)
        self.assertGreater(len(asked), 2)
        row = self.magnum.reload(cluster)
        self.assertNotIn("no answer", row.status_reason)


class TestQuota(SessionTest):
    """Too little quota is told at once, and nothing is made or changed."""

    def limit(self, **limits):
        self.cloud.facts.quotas = {
            f"compute.{name}": quota.Allowance(limit=most)
            for name, most in limits.items()
        }

    def test_create_tells_quota_and_other_problems_together(self):
        before = self.cloud.inventory()
        self.limit(instances=2, cores=5)
        self.assertRaises(
            magnum_exception.InvalidParameterValue,
            self.create,
            labels={"availability_zone": "nowhere"},
        )
        (cluster,) = objects.Cluster.list(self.magnum.admin)
        self.assertEqual("CREATE_FAILED", cluster.status)
        for words in (
            "Availability zone nowhere",
            "quota of servers is too low: needed 3, left 2 of 2",
            "quota of vCPUs is too low: needed 6, left 5 of 5",
        ):
            self.assertIn(words, cluster.status_reason)
        self.assertEqual(before, self.cloud.inventory())

    def test_status_job_refuses_what_the_hook_could_not_check(self):
        self.cloud.calls.fail_next(
            "cloud",
            "user_facts",
            exceptions.CloudUnavailable("identity", "no answer"),
        )
        cluster = self.create()
        self.limit(instances=2)
        found = self.run_jobs(cluster)
        self.assertEqual("CREATE_FAILED", found.status)
        self.assertIn("quota of servers", found.status_reason)
        self.assertEqual([], self.cloud.inventory("stack *"))

    def created(self):
        cluster = self.create()
        self.run_jobs(cluster)
        return cluster, self.cloud.inventory()

    def test_resize(self):
        cluster, before = self.created()
        self.limit(instances=2)
        row = self.magnum.reload(cluster)
        group = self.magnum.groups(cluster)["default-worker"]
        self.assertRaises(
            magnum_exception.InvalidParameterValue,
            self.handler.cluster_resize,
            self.magnum.context,
            row,
            5,
            [],
            group,
        )
        found = self.magnum.reload(cluster)
        self.assertEqual("UPDATE_FAILED", found.status)
        self.assertIn("no room for 3 nodes", found.status_reason)
        self.assertIn("needed 3, left 2 of 2", found.status_reason)
        group = self.magnum.groups(cluster)["default-worker"]
        self.assertEqual(2, group.node_count)
        self.assertEqual(before, self.cloud.inventory())
        # Its old size is the way out, and needs nothing.
        self.handler.cluster_resize(self.magnum.context, found, 2, [], group)
        self.assertEqual("UPDATE_COMPLETE", self.run_jobs(cluster).status)

    def test_replacing_a_named_node_needs_room_for_one(self):
        cluster, before = self.created()
        self.limit(instances=0)
        row = self.magnum.reload(cluster)
        group = self.magnum.groups(cluster)["default-worker"]
        self.assertRaises(
            magnum_exception.InvalidParameterValue,
            self.handler.cluster_resize,
            self.magnum.context,
            row,
            2,
            ["0"],
            group,
        )
        self.assertEqual(before, self.cloud.inventory())

    def test_node_group(self):
        cluster, before = self.created()
        self.limit(server_groups=0)
        group = self.new_group(cluster, "big", 3)
        self.assertRaises(
            magnum_exception.InvalidParameterValue,
            nodegroup_conductor.Handler().nodegroup_create,
            self.magnum.context,
            self.magnum.reload(cluster),
            group,
        )
        row = self.magnum.groups(cluster)["big"]
        self.assertEqual("CREATE_FAILED", row.status)
        found = self.magnum.reload(cluster)
        self.assertEqual("UPDATE_FAILED", found.status)
        for reason in (row.status_reason, found.status_reason):
            self.assertIn("no room for node group big of 3 nodes", reason)
            self.assertIn("server groups", reason)
        self.assertEqual(before, self.cloud.inventory())

    def test_surge_of_an_upgrade(self):
        cluster, before = self.created()
        self.cloud.facts.answer = dataclasses.replace(
            self.cloud.facts.answer,
            images={
                "ubuntu-24.04": samples.image(),
                "newer": samples.image(id="22", name="newer"),
            },
        )
        self.limit(instances=1)
        template = self.magnum.template(
            uuid="77777777-7777-4777-8777-777777777777", image_id="newer"
        )
        group = self.magnum.groups(cluster)["default-worker"]

        def upgrade(batch):
            self.handler.cluster_upgrade(
                self.magnum.context,
                self.magnum.reload(cluster),
                template,
                batch,
                group,
            )

        error = self.assertRaises(magnum_exception.NotSupported, upgrade, 2)
        self.assertIn("needed 2, left 1 of 1", str(error))
        found = self.magnum.reload(cluster)
        self.assertEqual("CREATE_COMPLETE", found.status)
        self.assertEqual(before, self.cloud.inventory())
        upgrade(1)
        found = self.magnum.reload(cluster)
        self.assertEqual("UPDATE_IN_PROGRESS", found.status)


class TestHealing(SessionTest):
    """From a health poll to a cluster that is complete again."""

    def setUp(self):
        super().setUp()
        self.magnum.config.config(
            group="k8s_driver_labels", auto_healing_enabled=True
        )

    def poll(self, cluster):
        """Do what the health job does, with a row of its own."""
        self.cloud.tick(60, step=5)
        row = self.magnum.reload(cluster)
        row.api_address = "https://127.0.0.1:1"
        job = periodic.ClusterHealthUpdateJob(self.magnum.admin, row)
        self.assertRaises(
            loopingcall.LoopingCallDone, job.update_health_status
        )
        return self.magnum.reload(cluster)

    def complete(self, **labels):
        cluster = self.create(workers=2, labels=labels)
        found = self.run_jobs(cluster)
        self.assertEqual("CREATE_COMPLETE", found.status, found.status_reason)
        return cluster

    def test_a_broken_worker_is_replaced(self):
        cluster = self.complete(auto_healing_delay="120")
        found = self.poll(cluster)
        self.assertEqual("HEALTHY", found.health_status)
        self.assertIn("magnum_certificate.days_left", set(self.reasons(found)))
        self.cloud.nodes.behave("*worker-1", silent=True)
        for _minute in range(2):
            found = self.poll(cluster)
            self.assertEqual("UNHEALTHY", found.health_status)
            self.assertEqual("CREATE_COMPLETE", found.status)
        (name,) = (x for x in self.reasons(found) if x.endswith("worker-1"))
        self.assertRegex(self.reasons(found)[name], SENTENCES)
        found = self.poll(cluster)
        self.assertEqual("UPDATE_IN_PROGRESS", found.status)
        self.assertRegex(found.status_reason, "^Replacing worker-1 not ready")
        told = self.reasons(found)["healing"]
        self.assertRegex(told, "^replacing worker-1 not ready")
        found = self.run_jobs(cluster)
        self.assertEqual("UPDATE_COMPLETE", found.status, found.status_reason)
        self.assertIn("eplacing worker-1", found.status_reason)
        names = [x.rsplit("-", 1)[1] for x in self.cloud.inventory("server *")]
        self.assertEqual(["0", "0", "2"], sorted(names))
        found = self.poll(cluster)
        self.assertEqual("HEALTHY", found.health_status)
        self.assertEqual("UPDATE_COMPLETE", found.status)

    def reasons(self, found):
        return found.health_status_reason or {}

    def test_a_server_that_is_gone_is_remembered_in_the_row(self):
        cluster = self.complete(auto_healing_delay="120")
        self.cloud.compute.lose("*worker-1")
        for _poll in range(20):
            found = self.poll(cluster)
            if found.status != "CREATE_COMPLETE":
                break
        self.assertEqual("UPDATE_IN_PROGRESS", found.status)
        self.assertIn("its server is gone", found.status_reason)
        self.assertEqual("UPDATE_COMPLETE", self.run_jobs(cluster).status)
        self.assertEqual(3, len(self.cloud.inventory("server *")))

    def test_the_label_turns_it_off(self):
        cluster = self.complete(
            auto_healing_enabled="false", auto_healing_delay="60"
        )
        self.cloud.nodes.behave("*worker-1", silent=True)
        for _poll in range(5):
            found = self.poll(cluster)
        self.assertEqual("UNHEALTHY", found.health_status)
        self.assertEqual("CREATE_COMPLETE", found.status)

    def test_a_delete_wins(self):
        cluster = self.complete(auto_healing_delay="60")
        self.cloud.nodes.behave("*worker-1", silent=True)
        for _poll in range(2):
            self.poll(cluster)
        row = self.magnum.reload(cluster)
        stale = monitor.BoardMonitor(self.magnum.admin, row)
        self.handler.cluster_delete(self.magnum.context, cluster.uuid)
        stale.poll_health_status()
        found = self.magnum.reload(cluster)
        self.assertEqual("DELETE_IN_PROGRESS", found.status)
        self.assertIsNone(self.run_jobs(cluster))
        self.assertEqual([], self.cloud.inventory("server *"))

    def test_two_conductors_heal_once(self):
        cluster = self.complete(auto_healing_delay="60")
        self.cloud.nodes.behave("*worker-1", silent=True)
        found = self.poll(cluster)
        self.assertEqual("CREATE_COMPLETE", found.status)
        self.cloud.tick(120, step=5)
        pollers = [
            monitor.BoardMonitor(
                self.magnum.admin, self.magnum.reload(cluster)
            )
            for _conductor in range(2)
        ]
        for one in pollers:
            one.poll_health_status()
        told = ["healing" in x.data["health_status_reason"] for x in pollers]
        self.assertEqual([True, False], told)
        self.assertEqual("UPDATE_COMPLETE", self.run_jobs(cluster).status)
        names = [x.rsplit("-", 1)[1] for x in self.cloud.inventory("server *")]
        self.assertEqual(["0", "0", "2"], sorted(names))

    def test_lock_taken(self):
        cluster = self.complete(auto_healing_delay="60")
        self.cloud.nodes.behave("*worker-1", silent=True)
        self.cloud.lock.held.add(f"magnum-k8s-{samples.CLUSTER_UUID}")
        for _poll in range(4):
            found = self.poll(cluster)
        self.assertEqual("CREATE_COMPLETE", found.status)
        self.cloud.lock.held.clear()
        self.assertEqual("UPDATE_IN_PROGRESS", self.poll(cluster).status)

    def boards(self):
        """Return the handles of the control plane's boards."""
        return [
            one
            for _stack, one in self.cloud.heat.handles()
            if "digest" in one.metadata
        ]

    def replayed(self):
        """Replay a digest of a broken node when it works again."""
        cluster = self.complete(auto_healing_delay="300")
        self.cloud.nodes.behave("*worker-1", silent=True)
        for _minute in range(4):
            self.poll(cluster)
        self.cloud.tick(120, step=5)
        (handle,) = self.boards()
        broken = dict(handle.metadata["digest"])
        self.cloud.nodes.heal()
        found = self.poll(cluster)
        self.assertEqual("HEALTHY", found.health_status)
        return cluster, handle, broken

    def test_an_older_digest_is_no_evidence(self):
        """A reader shows what was true when the node was broken."""
        cluster, handle, broken = self.replayed()
        servers = self.cloud.inventory("server *")
        for _poll in range(3):
            self.cloud.nodes.mute = True
            handle.metadata["digest"] = dict(broken)
            found = self.poll(cluster)
            self.assertEqual("CREATE_COMPLETE", found.status)
            self.assertEqual("UNKNOWN", found.health_status)
            self.assertRegex(self.reasons(found)["boards"], "older report")
        self.cloud.nodes.mute = False
        self.assertEqual("HEALTHY", self.poll(cluster).health_status)
        self.assertEqual(servers, self.cloud.inventory("server *"))

    def test_without_the_memory_it_would_be_one(self):
        cluster, handle, broken = self.replayed()
        row = self.magnum.reload(cluster)
        row.health_status_reason = {}
        row.save()
        self.cloud.nodes.mute = True
        handle.metadata["digest"] = dict(broken)
        found = self.poll(cluster)
        self.assertEqual("UPDATE_IN_PROGRESS", found.status)

    def test_heat_away(self):
        """Health is still told, and says why nobody knows."""
        cluster = self.complete()
        for _call in range(5):
            self.cloud.fail_next("heat", "show")
        found = self.poll(cluster)
        self.assertEqual("UNKNOWN", found.health_status)
        self.assertRegex(self.reasons(found)["boards"], "^The heat service")


class TestMetrics(SessionTest):
    def setUp(self):
        super().setUp()
        self.counted = self.useFixture(counted.Counted())

    def operations(self):
        return [
            (one["operation"], one["result"])
            for one in self.counted.of(metrics.OPERATION.name)
        ]

    def test_operations_are_counted_once_each(self):
        cluster = self.create(workers=1)
        self.run_jobs(cluster)
        row = self.magnum.reload(cluster)
        group = self.magnum.groups(cluster)["default-worker"]
        self.handler.cluster_resize(self.magnum.context, row, 2, [], group)
        self.run_jobs(cluster)
        self.handler.cluster_delete(self.magnum.context, cluster.uuid)
        self.run_jobs(cluster)
        self.assertEqual(
            [
                ("create", "complete"),
                ("resize", "complete"),
                ("delete", "complete"),
            ],
            self.operations(),
        )
        seconds = [took for name, _labels, took in self.counted.found]
        self.assertTrue(all(0 <= one < 600 for one in seconds), seconds)

    def test_a_refused_create(self):
        error = exceptions.InvalidClusterSpec(
            [problems.Problem(subject="x", sentence="Flavor x is missing.")]
        )
        with mock.patch.object(
            session, "_read_spec", autospec=True, side_effect=error
        ):
            self.assertRaises(
                magnum_exception.InvalidParameterValue, self.create
            )
        self.assertEqual([("create", "refused")], self.operations())

    def test_census(self):
        cluster = self.create(workers=2)
        row = self.magnum.reload(cluster)
        row.health_status = "UNHEALTHY"
        row.health_status_reason = {
            "api": "ok", "a.Ready": "True", "b.Ready": "False", "b": "It is."
        }  # fmt: skip
        row.save()
        found = census.take()
        self.assertEqual(
            {("CREATE_IN_PROGRESS", "UNHEALTHY"): 1},
            found[metrics.CLUSTERS.name],
        )
        self.assertEqual(
            {("ready",): 1, ("not-ready",): 1, ("unknown",): 1},
            found[metrics.NODES.name],
        )
        self.assertEqual(
            {
                ("master", "CREATE_IN_PROGRESS"): 1,
                ("worker", "CREATE_IN_PROGRESS"): 2,
            },
            found[metrics.WANTED.name],
        )

    def test_census_without_clusters_of_others(self):
        self.create(workers=2)
        magnum_driver.Driver.get_driver_for_cluster.side_effect = (
            magnum_exception.ClusterDriverNotSupported(driver_name="other")
        )
        found = census.take()
        self.assertEqual(
            [], [one for counts in found.values() for one in counts]
        )
