# SPDX-License-Identifier: Apache-2.0
"""An upgrade of many workers: as few changes of stacks as batches."""

import math
import os
import re

from tests.functional import base
from tests.functional import changes

WORKERS = int(os.environ.get("LAB_CROWD", "100"))
BATCH = 10
OLD, NEW = "v1.35.8", "v1.36.4"
SECONDS = 2400
PROGRESS = re.compile(
    rf"Control plane \d/1 at {NEW}|workers (\d+)/{WORKERS} at {NEW}"
)


class CrowdTest(changes.ChangedClusterTest):
    def test_upgrade_in_batches(self):
        base.needs_time()
        old, new = (
            self.make_template(
                image_id="ubuntu-24.04", labels={"kube_tag": version}
            )
            for version in (OLD, NEW)
        )
        type(self).uuid = self.make_cluster(
            old, node_count=WORKERS, create_timeout=60
        )
        self.magnum.await_status(self.uuid, "CREATE_COMPLETE", seconds=SECONDS)
        servers, before = self.servers(), self.generations()
        response = self.magnum.call(
            "POST",
            f"/clusters/{self.uuid}/actions/upgrade",
            {"cluster_template": new, "max_batch_size": BATCH},
        )
        self.assertEqual(202, response.status_code, response.text)
        reasons = self.watched()
        cluster = self.magnum.cluster(self.uuid)
        self.assertEqual("UPDATE_COMPLETE", cluster["status"], reasons[-3:])
        self.assertEqual(NEW, cluster["coe_version"])
        self.assertEqual(servers, self.servers())
        after = self.generations()
        batches = math.ceil(WORKERS / BATCH)
        worker = self.magnum.groups(self.uuid)["default-worker"]["stack_id"]
        self.assertLessEqual(after[worker] - before[worker], batches)
        told = [
            int(found[1])
            for reason in reasons
            for found in [PROGRESS.search(reason)]
            if found and found[1]
        ]
        self.assertEqual(sorted(told), told, reasons)
        self.assertGreater(len(set(told)), batches // 2, reasons)
        for reason in reasons:
            self.assert_sentence(reason)

    def generations(self):
        """Return how often each stack of the cluster has been changed."""
        cluster = self.magnum.cluster(self.uuid)
        worker = self.magnum.groups(self.uuid)["default-worker"]
        return {
            one: int(base.stack(self.admin, one)["parameters"]["generation"])
            for one in (cluster["stack_id"], worker["stack_id"])
        }

    def watched(self):
        """Return every reason that was told until the upgrade ended."""
        reasons = []

        def look():
            cluster = self.magnum.cluster(self.uuid)
            reason = cluster["status_reason"]
            if reason and reason not in reasons:
                reasons.append(reason)
            return cluster["status"] != "UPDATE_IN_PROGRESS"

        base.until(look, SECONDS, lambda: str(reasons[-3:]))
        return reasons
