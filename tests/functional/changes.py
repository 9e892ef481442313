# SPDX-License-Identifier: Apache-2.0
"""A cluster that is changed again and again."""

import json

from tests.functional import base

DONE = "UPDATE_COMPLETE"
SECONDS = 480
"""Control-plane members come and go one by one."""


class ChangedClusterTest(base.LabTest):
    """Has a cluster ``uuid``, made by the class."""

    uuid: str

    def action(self, name, **body):
        """Post an action and wait until the cluster is complete again."""
        path = f"/clusters/{self.uuid}/actions/{name}"
        response = self.magnum.call("POST", path, body)
        self.assertEqual(202, response.status_code, response.text)
        return self.settled()

    def settled(self):
        """Return the cluster when its change is done."""

        def look():
            found = self.magnum.cluster(self.uuid)
            if found["status"].endswith("FAILED"):
                raise AssertionError(found["status_reason"])
            # Magnum sets the status only when its conductor is at it.
            return found if self._as_asked(found) else None

        return base.until(
            look,
            SECONDS,
            lambda: str(self.magnum.cluster(self.uuid)["status_reason"]),
        )

    def _as_asked(self, found):
        groups = self.magnum.groups(self.uuid).values()
        counts = {one["name"]: one["node_count"] for one in groups}
        servers = len(self.servers())
        return found["status"] == DONE and servers == sum(counts.values())

    def servers(self):
        """Return id and name of the cluster's servers."""
        prefix = base.prefix(self.magnum.cluster(self.uuid))
        return {
            one.name.removeprefix(f"{prefix}-"): one.id
            for one in self.demo.compute.servers(name=f"^{prefix}-")
        }

    def hollow(self):
        """Return what the pretended Kubernetes of the cluster says."""
        directory = base.ROOT / "state/hollow/clusters"
        return json.loads((directory / f"{self.uuid}.json").read_text())

    def voters(self):
        """Return the members of etcd by their short names."""
        prefix = base.prefix(self.magnum.cluster(self.uuid))
        etcd = self.hollow()["etcd"]
        return {name.removeprefix(f"{prefix}-") for name in etcd}
