# SPDX-License-Identifier: Apache-2.0
"""Random faults of real services while clusters come, change and go.

Short lives of clusters with one fault in each operation, until ``LAB_FAULTS``
of them (10) have struck. An operation under a fault ends, well or with a
sentence; a delete ends with nothing left, or says what is left and is done
when it is repeated. ``LAB_FAULTS_SEED`` chooses other ones.
"""

import json
import os
import random
import time

from lab.plugins import faults
from tests.functional import base
from tests.functional import inventory

FAULTS = int(os.environ.get("LAB_FAULTS", "10"))
SEED = os.environ.get("LAB_FAULTS_SEED", "0")
SERVICES = ("heat", "nova", "neutron", "keystone", "octavia", "cinder")
"""Not Magnum: a fault of its API is the test's own."""
LASTS = (5, 60)
"""Seconds."""
LIMIT = 1200
ENDED = ("_COMPLETE", "_FAILED")
VERBS = {"create": "CREATE_", "resize": "UPDATE_", "delete": "DELETE_"}
REFUSED_SECONDS = 60
"""After so many a resize that has not begun was refused."""


class RandomFaultsTest(base.LabTest):
    @classmethod
    def setUpClass(cls):
        base.needs_time()
        super().setUpClass()
        cls.chance = random.Random(SEED)
        cls.struck = []

    def setUp(self):
        super().setUp()
        self.addCleanup(self.calm)
        self.template = self.make_template()

    def write(self, content):
        path = base.ROOT / faults.FILE
        new = path.with_suffix(".new")
        new.write_text(json.dumps(content))
        os.replace(new, path)

    def calm(self):
        self.write({})

    def fault(self):
        """Return a service and what goes wrong with it."""
        service = self.chance.choice(SERVICES)
        rule = {
            "kind": self.chance.choice(faults.KINDS),
            "share": self.chance.choice((0.1, 0.3, 1.0)),
            "status": self.chance.choice((500, 503)),
            "seconds": self.chance.choice((1, 5)),
        }
        return service, rule

    def under_fault(self, operation, begin, uuid):
        """Let an operation meet a fault; return the cluster when it ended."""
        service, rule = self.fault()
        lasts = self.chance.uniform(*LASTS)
        told = f"{operation}: {service} {rule} for {lasts:.0f} s"
        began = self.asked(service)
        begin()
        self.write({service: rule})
        verb = VERBS[operation]
        ended = self.rest(uuid, verb, time.monotonic() + lasts)
        self.calm()
        if ended is None and self.magnum.exists(uuid):
            ended = self.rest(uuid, verb, time.monotonic() + LIMIT)
        gone = not self.magnum.exists(uuid)
        self.assertTrue(ended or gone, f"{told}: no end in {LIMIT} s")
        if self.asked(service) > began:
            outcome = ended["status"] if ended else "gone"
            self.struck.append(f"{told}: {outcome}")
        if ended and ended["status"].endswith("_FAILED"):
            self.assertTrue(ended["status_reason"], told)
            self.assert_sentence(ended["status_reason"])
        return ended

    def asked(self, service):
        """Return how many requests a service has had."""
        name = f" {'lab' if service == 'octavia' else service} "
        with (base.ROOT / "log/requests").open() as file:
            return sum(name in line for line in file)

    def rest(self, uuid, verb, end):
        """Return the cluster once an operation has ended, None too late."""
        began = time.monotonic()
        while time.monotonic() < end:
            if not self.magnum.exists(uuid):
                return None
            cluster = self.magnum.cluster(uuid) or {}
            status = cluster.get("status", "")
            late = time.monotonic() > began + REFUSED_SECONDS
            refused = late and verb == VERBS["resize"]
            if status.endswith(ENDED) and (status.startswith(verb) or refused):
                return cluster
            time.sleep(1)
        return None

    def resize(self, uuid, count):
        self.magnum.call(
            "POST",
            f"/clusters/{uuid}/actions/resize",
            {"node_count": count},
        )

    def live(self):
        """Let a cluster come, change and go, each under a fault."""
        before = inventory.take()
        uuid = self.magnum.create(self.template, node_count=1)
        found = self.under_fault("create", lambda: None, uuid)
        if found and found["status"] == "CREATE_COMPLETE":
            self.under_fault("resize", lambda: self.resize(uuid, 2), uuid)
        self.under_fault("delete", lambda: self.magnum.delete(uuid), uuid)
        if self.magnum.exists(uuid):
            failed = self.magnum.cluster(uuid)
            self.assertEqual("DELETE_FAILED", failed["status"])
            self.remove(uuid)
        inventory.assert_same(before)

    def test_what_is_left(self):
        while len(self.struck) < FAULTS:
            known = len(self.struck)
            self.live()
            print(*self.struck[known:], sep="\n", flush=True)
