# SPDX-License-Identifier: Apache-2.0
"""What a conductor that makes and deletes a cluster counts."""

import socket
import subprocess
import sys
import time
import urllib.request

from prometheus_client import parser

from tests.functional import base

CONFIG = "config/magnum/magnum.conf"
COMMAND = [
    sys.executable, "-W", "ignore",
    "-m", "magnum_k8s_driver.cmd.manage", "metrics",
]  # fmt: skip


class MetricsTest(base.LabTest):
    @classmethod
    def setUpClass(cls):
        base.needs_time()
        super().setUpClass()

    def command(self, *words):
        return [*COMMAND, "--config-file", str(base.ROOT / CONFIG), *words]

    def read(self):
        """Return values by name and labels."""
        done = subprocess.run(
            self.command(), capture_output=True, text=True, timeout=120
        )
        self.assertEqual(0, done.returncode, done.stderr)
        return self.parse(done.stdout)

    def parse(self, text):
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in parser.text_string_to_metric_families(text)
            for sample in family.samples
        }

    def total(self, found, name, **labels):
        return sum(
            value
            for (one, *its), value in found.items()
            if one == name and labels.items() <= dict(its).items()
        )

    def ended(self, found, operation, result="complete"):
        return self.total(
            found,
            "magnum_k8s_operation_seconds_count",
            operation=operation,
            result=result,
        )

    def test_the_life_of_a_cluster(self):
        before = self.read()
        uuid = self.make_cluster(self.make_template(), node_count=1)
        self.magnum.await_status(uuid, "CREATE_COMPLETE")
        alive = self.read()
        self.assertLess(
            self.total(before, "magnum_k8s_nodes_wanted"),
            self.total(alive, "magnum_k8s_nodes_wanted"),
        )
        self.assertLess(
            self.total(before, "magnum_k8s_clusters"),
            self.total(alive, "magnum_k8s_clusters"),
        )
        self.magnum.delete(uuid)
        self.magnum.await_gone(uuid)
        after = self.read()
        for operation in ("create", "delete"):
            counted = [self.ended(one, operation) for one in (before, after)]
            # Other tests do not run beside this one.
            self.assertEqual(counted[0] + 1, counted[1], operation)
        sums = [
            self.total(
                one, "magnum_k8s_operation_seconds_sum", operation="create"
            )
            for one in (before, after)
        ]
        self.assertGreater(sums[1] - sums[0], 5.0)
        for method, result in (("POST", "201"), ("PATCH", "202")):
            self.assertGreater(
                self.total(
                    after,
                    "magnum_k8s_request_seconds_count",
                    service="orchestration",
                    method=method,
                    result=result,
                ),
                0,
                method,
            )
        self.assertGreater(
            self.total(
                after, "magnum_k8s_lock_wait_seconds_count", result="held"
            ),
            0,
        )

    def test_over_http(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            address = f"127.0.0.1:{free.getsockname()[1]}"
        process = subprocess.Popen(self.command("--listen", address))
        self.addCleanup(process.wait, timeout=30)
        self.addCleanup(process.terminate)

        def answer():
            try:
                with urllib.request.urlopen(
                    f"http://{address}/metrics", timeout=30
                ) as found:
                    return found.read().decode()
            except OSError:
                return None

        text = base.until(answer, 60)
        self.assertIn("# TYPE magnum_k8s_clusters gauge", text)

    def test_as_a_file(self):
        path = base.ROOT / f"{time.time_ns()}.prom"
        self.addCleanup(path.unlink)
        subprocess.run(
            self.command("--output", str(path)), timeout=120, check=True
        )
        self.assertIn("# TYPE magnum_k8s_nodes gauge", path.read_text())
        rest = [
            one.name
            for one in base.ROOT.iterdir()
            if one.name.startswith(f"{path.name}.")
        ]
        self.assertEqual([], rest)
