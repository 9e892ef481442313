# SPDX-License-Identifier: Apache-2.0
"""What the delete hook saves before anything can interrupt it."""

import testtools

from magnum_k8s_driver import records


class Row:
    """A row that notes what it looked like whenever it was saved."""

    def __init__(self, name, saved):
        self.name, self.status, self.status_reason = name, "OLD", "old"
        self._saved = saved

    def save(self):
        self._saved.append((self.name, self.status))


class MarkDeletingTest(testtools.TestCase):
    def test_cluster_is_polled_from_the_first_save_on(self):
        saved = []
        groups = [Row("default-master", saved), Row("default-worker", saved)]
        records.mark_deleting(Row("cluster", saved), groups)
        self.assertEqual(
            [
                ("cluster", "DELETE_IN_PROGRESS"),
                ("default-master", "DELETE_IN_PROGRESS"),
                ("default-worker", "DELETE_IN_PROGRESS"),
            ],
            saved,
        )


class ResumeGroupsTest(testtools.TestCase):
    def test_what_failed_is_taken_up_again(self):
        for status, default, expected in (
            ("CREATE_FAILED", False, "CREATE_IN_PROGRESS"),
            ("UPDATE_FAILED", True, "UPDATE_IN_PROGRESS"),
            ("DELETE_FAILED", False, "DELETE_IN_PROGRESS"),
            # That would delete the whole cluster.
            ("DELETE_FAILED", True, "DELETE_FAILED"),
            ("CREATE_COMPLETE", False, "CREATE_COMPLETE"),
            (None, False, None),
        ):
            row = Row("group", [])
            row.status, row.is_default = status, default
            records.resume_groups([row])
            self.assertEqual(expected, row.status)


class LeaveToStatusJobTest(testtools.TestCase):
    def test_hook_never_lets_magnum_save_the_end(self):
        saved = []
        cluster = Row("cluster", saved)
        cluster.status = "DELETE_COMPLETE"
        records.leave_to_status_job(cluster)
        self.assertEqual([("cluster", "DELETE_IN_PROGRESS")], saved)

    def test_other_states_stay(self):
        saved = []
        cluster = Row("cluster", saved)
        records.leave_to_status_job(cluster)
        self.assertEqual(("OLD", []), (cluster.status, saved))
