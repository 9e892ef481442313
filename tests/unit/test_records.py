# SPDX-License-Identifier: Apache-2.0
"""Magnum's own rows, read and written."""

import dataclasses
from unittest import mock

from magnum import objects
import testtools

from magnum_k8s_driver import records
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.model import spec as spec_module
from tests import magnum_service

Intent = record_module.Intent
Outcome = record_module.Outcome


class RecordsTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.magnum = self.useFixture(magnum_service.MagnumService())

    def read(self, cluster):
        fresh = self.magnum.reload(cluster)
        return records.read(fresh, self.magnum.groups(cluster).values())

    def apply(self, cluster, report):
        records.apply(
            cluster, list(self.magnum.groups(cluster).values()), report
        )

    def report(self, cluster, **changes):
        group = record_module.GroupReport(
            intent=changes.get("intent", Intent.CREATE),
            outcome=changes.get("outcome", Outcome.COMPLETE),
            reason="",
            stack_id=None,
            version="v1.36.4",
            node_addresses=("10.0.0.4",),
        )
        return dataclasses.replace(
            record_module.ClusterReport(
                intent=Intent.CREATE,
                outcome=Outcome.COMPLETE,
                reason="Control plane 1/1 ready.",
                stack_id="stack-1",
                api_address="https://203.0.113.9:6443",
                coe_version="v1.36.4",
                groups={
                    row.uuid: group
                    for row in self.magnum.groups(cluster).values()
                },
            ),
            **changes,
        )


class TestRead(RecordsTest):
    def test_intent_is_the_clusters_status(self):
        for status, expected in (
            ("CREATE_IN_PROGRESS", Intent.CREATE),
            ("UPDATE_IN_PROGRESS", Intent.UPDATE),
            ("ROLLBACK_IN_PROGRESS", Intent.UPDATE),
            ("DELETE_IN_PROGRESS", Intent.DELETE),
            ("CREATE_COMPLETE", Intent.NOTHING),
            ("UPDATE_FAILED", Intent.NOTHING),
        ):
            row = objects.Cluster(
                self.magnum.context, uuid="u", project_id="p", status=status
            )
            self.assertIs(expected, records._intent(row, []), status)

    def test_a_default_group_being_deleted_decides(self):
        cluster = self.magnum.cluster()
        groups = self.magnum.groups(cluster)
        records.mark_deleting(cluster, [groups["default-worker"]])
        for status in ("UPDATE_IN_PROGRESS", "CREATE_COMPLETE"):
            cluster.status = status
            cluster.save()
            self.assertIs(Intent.DELETE, self.read(cluster).intent)

    def test_another_group_being_deleted_does_not(self):
        cluster = self.magnum.cluster()
        self.magnum.group(
            cluster, "extra", "worker", 1, status="DELETE_IN_PROGRESS"
        )
        self.assertIs(Intent.NOTHING, self.read(cluster).intent)

    def test_group_without_status(self):
        cluster = self.magnum.cluster()
        self.magnum.group(cluster, "extra", "worker", 1, status=None)
        self.assertEqual(3, len(self.read(cluster).groups))

    def test_copied_stack_id_is_absent(self):
        cluster = self.magnum.cluster(stack_id="stack-1")
        for row in self.magnum.groups(cluster).values():
            row.stack_id = cluster.stack_id
            row.save()
        record = self.read(cluster)
        self.assertEqual("stack-1", record.stack_id)
        self.assertEqual("stack-1", record.control_plane.stack_id)
        self.assertIsNone(record.workers[0].stack_id)

    def test_own_stack_id_is_read(self):
        cluster = self.magnum.cluster(stack_id="stack-1")
        row = self.magnum.groups(cluster)["default-worker"]
        row.stack_id = "stack-2"
        row.save()
        self.assertEqual("stack-2", self.read(cluster).workers[0].stack_id)

    def test_prepared_needs_certificates_and_both_groups(self):
        references = {name: "r" for name in records._CERTIFICATES}
        cluster = self.magnum.cluster()
        self.assertFalse(self.read(cluster).prepared)
        for name, reference in references.items():
            setattr(cluster, name, reference)
        cluster.save()
        self.assertTrue(self.read(cluster).prepared)
        self.magnum.groups(cluster)["default-worker"].destroy()
        self.assertFalse(self.read(cluster).prepared)

    def test_times_and_timeout(self):
        cluster = self.magnum.cluster(create_timeout=0)
        record = self.read(cluster)
        self.assertEqual(60, record.create_timeout_minutes)
        self.assertGreater(record.created, 1_700_000_000)
        self.assertGreater(record.groups[0].changed, 1_700_000_000)

    def test_roles_and_names(self):
        record = self.read(self.magnum.cluster(name=None))
        self.assertEqual(record.uuid, record.name)
        self.assertEqual(
            [spec_module.Role.CONTROL_PLANE, spec_module.Role.WORKER],
            [one.role for one in record.groups],
        )


class TestApply(RecordsTest):
    def test_everything_is_saved(self):
        cluster = self.magnum.cluster("CREATE_IN_PROGRESS")
        self.apply(cluster, self.report(cluster))
        saved = self.magnum.reload(cluster)
        self.assertEqual("CREATE_COMPLETE", saved.status)
        self.assertEqual("Control plane 1/1 ready.", saved.status_reason)
        self.assertEqual("stack-1", saved.stack_id)
        self.assertEqual("https://203.0.113.9:6443", saved.api_address)
        self.assertEqual("v1.36.4", saved.coe_version)
        for row in self.magnum.groups(cluster).values():
            self.assertEqual("CREATE_COMPLETE", row.status)
            self.assertEqual("v1.36.4", row.version)
            self.assertEqual(["10.0.0.4"], row.node_addresses)

    def test_nothing_is_saved_twice(self):
        cluster = self.magnum.cluster("CREATE_IN_PROGRESS")
        self.apply(cluster, self.report(cluster))
        before = self.magnum.groups(cluster)
        with (
            mock.patch.object(objects.Cluster, "save", autospec=True) as save,
            mock.patch.object(
                objects.NodeGroup, "save", autospec=True
            ) as save_group,
        ):
            self.apply(cluster, self.report(cluster))
        self.assertEqual([], save.mock_calls + save_group.mock_calls)
        for name, row in self.magnum.groups(cluster).items():
            self.assertEqual(before[name].updated_at, row.updated_at)

    def test_delete_complete_is_not_saved(self):
        cluster = self.magnum.cluster("DELETE_IN_PROGRESS")
        report = self.report(cluster, intent=Intent.DELETE)
        self.apply(cluster, report)
        self.assertEqual("DELETE_COMPLETE", cluster.status)
        self.assertEqual(
            "DELETE_IN_PROGRESS", self.magnum.reload(cluster).status
        )

    def test_groups_keep_the_time_their_delete_began(self):
        cluster = self.magnum.cluster()
        records.mark_deleting(cluster, self.magnum.groups(cluster).values())
        began = self.magnum.groups(cluster)["default-worker"].updated_at
        report = self.report(
            cluster, intent=Intent.DELETE, outcome=Outcome.IN_PROGRESS
        )
        self.apply(cluster, report)
        row = self.magnum.groups(cluster)["default-worker"]
        self.assertEqual(began, row.updated_at)
        self.assertEqual("DELETE_IN_PROGRESS", row.status)

    def test_failed_delete_is_saved(self):
        cluster = self.magnum.cluster("DELETE_IN_PROGRESS")
        report = self.report(
            cluster,
            intent=Intent.DELETE,
            outcome=Outcome.FAILED,
            reason="Still there after 60 minutes: stack x.",
        )
        self.apply(cluster, report)
        self.assertEqual("DELETE_FAILED", self.magnum.reload(cluster).status)
        self.assertEqual(
            {"DELETE_FAILED"},
            {row.status for row in self.magnum.groups(cluster).values()},
        )

    def test_extra_group_is_destroyed_when_gone(self):
        cluster = self.magnum.cluster("UPDATE_IN_PROGRESS")
        row = self.magnum.group(
            cluster, "extra", "worker", 1, status="DELETE_IN_PROGRESS"
        )
        report = self.report(cluster, intent=Intent.UPDATE)
        gone = dataclasses.replace(
            report.groups[row.uuid], intent=Intent.DELETE
        )
        self.apply(
            cluster,
            dataclasses.replace(report, groups={row.uuid: gone}),
        )
        self.assertNotIn("extra", self.magnum.groups(cluster))
        self.assertEqual(2, len(self.magnum.groups(cluster)))

    def test_without_an_intent_no_status_is_written(self):
        cluster = self.magnum.cluster("UPDATE_FAILED")
        self.apply(cluster, self.report(cluster, intent=Intent.NOTHING))
        self.assertEqual("UPDATE_FAILED", self.magnum.reload(cluster).status)

    def test_labels_are_left_alone(self):
        cluster = self.magnum.cluster("CREATE_IN_PROGRESS")
        labels = cluster.labels
        before = dict(labels)
        self.read(cluster)
        self.apply(cluster, self.report(cluster))
        self.assertIs(labels, cluster.labels)
        self.assertEqual(before, labels)
        self.assertEqual(before, dict(self.magnum.reload(cluster).labels))

    def test_rows_and_reports_that_do_not_fit(self):
        cluster = self.magnum.cluster("CREATE_IN_PROGRESS")
        report = self.report(cluster)
        unknown = {"gone": next(iter(report.groups.values()))}
        self.magnum.group(cluster, "new", "worker", 1, status=None)
        self.apply(
            cluster, dataclasses.replace(report, groups=unknown, stack_id=None)
        )
        self.assertEqual("CREATE_COMPLETE", self.magnum.reload(cluster).status)
        self.assertIsNone(self.magnum.groups(cluster)["new"].status)

    def test_long_reasons_are_cut(self):
        cluster = self.magnum.cluster("CREATE_IN_PROGRESS")
        self.apply(cluster, self.report(cluster, reason="x" * 9000))
        self.assertEqual(2000, len(self.magnum.reload(cluster).status_reason))


class TestOthers(RecordsTest):
    def test_complain(self):
        cluster = self.magnum.cluster("CREATE_IN_PROGRESS")
        records.complain(cluster, "Heat does not answer.")
        saved = self.magnum.reload(cluster)
        self.assertEqual("Heat does not answer.", saved.status_reason)
        self.assertEqual("CREATE_IN_PROGRESS", saved.status)
        with mock.patch.object(objects.Cluster, "save", autospec=True) as save:
            records.complain(cluster, "Heat does not answer.")
        self.assertEqual([], save.mock_calls)

    def test_stack_id_is_saved_at_once_and_once(self):
        cluster = self.magnum.cluster("CREATE_IN_PROGRESS")
        records.save_stack_id(cluster, "stack-1")
        self.assertEqual("stack-1", self.magnum.reload(cluster).stack_id)
        with mock.patch.object(objects.Cluster, "save", autospec=True) as save:
            records.save_stack_id(cluster, "stack-1")
        self.assertEqual([], save.mock_calls)

    def test_mark_creating_takes_over_the_most_nodes(self):
        cluster = self.magnum.cluster("CREATE_IN_PROGRESS")
        for value, wanted in ((None, None), ("many", None), ("5", 5)):
            cluster.labels = {"max_node_count": value} if value else {}
            records.mark_creating(cluster)
            rows = self.magnum.groups(cluster)
            self.assertEqual(wanted, rows["default-worker"].max_node_count)
            self.assertIsNone(rows["default-master"].max_node_count)

    def test_mark_updating(self):
        cluster = self.magnum.cluster()
        row = self.magnum.groups(cluster)["default-worker"]
        row.max_node_count = 7
        records.mark_updating(cluster, row)
        saved = self.magnum.reload(cluster)
        self.assertEqual("UPDATE_IN_PROGRESS", saved.status)
        row = self.magnum.groups(cluster)["default-worker"]
        self.assertEqual(7, row.max_node_count)

    def test_mark_deleting(self):
        cluster = self.magnum.cluster()
        self.magnum.group(cluster, "extra", "worker", 1, status=None)
        records.mark_deleting(cluster, self.magnum.groups(cluster).values())
        for row in self.magnum.groups(cluster).values():
            self.assertEqual("DELETE_IN_PROGRESS", row.status)
        saved = self.magnum.reload(cluster)
        self.assertEqual("DELETE_IN_PROGRESS", saved.status)
