# SPDX-License-Identifier: Apache-2.0
"""Real processes count, and somebody else adds up."""

import pathlib
import subprocess
import sys
import urllib.request

import fixtures
from prometheus_client import parser
import requests
import testtools

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import exposition
from magnum_k8s_driver.ports import metrics
from magnum_k8s_driver.ports import rest
from magnum_k8s_driver.ports import tooz_lock
from tests import counted
from tests.unit.ports import http

BEGIN = """\
import sys
from magnum_k8s_driver.ports import metrics
metrics.enable(sys.argv[1])
"""
COUNT = """\
for seconds in (0.07, 3):
    metrics.observe(
        metrics.REQUEST, seconds,
        service="orchestration", method="GET", result="200",
    )
"""
WAIT = "print('ready', flush=True); sys.stdin.read()\n"
GET = {"service": "orchestration", "method": "GET", "result": "200"}


class DirectoryTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def start(self, text, **options):
        process = subprocess.Popen(
            [sys.executable, "-c", BEGIN + text, str(self.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        self.addCleanup(self.end, process)
        return process

    def end(self, process):
        process.communicate("", timeout=60)
        return process.returncode

    def count(self):
        """Let a process count and end."""
        self.assertEqual(0, self.end(self.start(COUNT)))

    def read(self, census=None):
        """Return values by name and labels, as Prometheus would see them."""
        text = exposition.exposition(str(self.path), census or {})
        return {
            (sample.name, *sorted(sample.labels.items())): sample.value
            for family in parser.text_string_to_metric_families(text)
            for sample in family.samples
        }

    def value(self, found, name, **labels):
        return found.get((name, *sorted(labels.items())))

    def counted(self, found):
        return self.value(found, "magnum_k8s_request_seconds_count", **GET)

    def test_processes_add_up_and_are_kept_when_they_end(self):
        self.count()
        alive = self.start(COUNT + WAIT)
        self.assertEqual("ready\n", alive.stdout.readline())
        for _scrape in range(2):
            self.assertEqual(4, self.counted(self.read()))
        self.assertEqual(0, self.end(alive))
        for _more in range(3):
            self.count()
        for _scrape in range(2):
            found = self.read()
            self.assertEqual(10, self.counted(found))
            name = "magnum_k8s_request_seconds"
            below = self.value(found, f"{name}_bucket", le="0.1", **GET)
            everything = self.value(found, f"{name}_bucket", le="+Inf", **GET)
            self.assertEqual((5, 10), (below, everything))
            total = self.value(found, f"{name}_sum", **GET)
            self.assertAlmostEqual(5 * 3.07, total)
        kept = sorted(one.name for one in self.path.iterdir())
        self.assertEqual(["histogram_ended.db", "lock"], kept)

    def test_operations_count_from_what_was_seen_first(self):
        text = """\
def look(kind, started, now, result=""):
    metrics.operation("u", kind, started=started, now=now, result=result)
look("update", 100, 105)
look("rotate-ca", 110, 115)
look("upgrade", 160, 165, "complete")
look("resize", 1000, 1010)
look("delete", 1015, 1020)
look("delete", 1015, 1035, "failed")
look("resize", 2000, 2001)
look("upgrade", 2100, 2110, "complete")
"""
        self.assertEqual(0, self.end(self.start(text)))
        found = self.read()
        sums = {
            (operation, result): self.value(
                found,
                "magnum_k8s_operation_seconds_sum",
                operation=operation,
                result=result,
            )
            for operation, result in (
                ("rotate-ca", "complete"),
                ("delete", "failed"),
                ("upgrade", "complete"),
                ("resize", "complete"),
            )
        }
        self.assertEqual(
            {
                ("rotate-ca", "complete"): 65,
                ("delete", "failed"): 20,
                # Another conductor has seen the end of that resize.
                ("upgrade", "complete"): 10,
                ("resize", "complete"): None,
            },
            sums,
        )

    def test_nothing_is_kept_where_nobody_asked(self):
        self.path /= "unused"
        text = BEGIN.replace("sys.argv[1]", "''") + COUNT
        subprocess.run([sys.executable, "-c", text], check=True, timeout=60)
        self.assertFalse(self.path.exists())

    def test_a_process_that_was_forked(self):
        text = "import os\nif os.fork() == 0:\n    pass\n"
        self.assertEqual(0, self.end(self.start(COUNT + text + COUNT)))
        self.assertEqual(6, self.counted(self.read()))

    def test_from_many_threads(self):
        text = """\
import threading
def count():
    for _time in range(200):
        metrics.observe(metrics.LOCK_WAIT, 1, lock="cluster", result="held")
threads = [threading.Thread(target=count) for _one in range(8)]
for one in threads:
    one.start()
for one in threads:
    one.join()
"""
        self.assertEqual(0, self.end(self.start(text)))
        name = "magnum_k8s_lock_wait_seconds_count"
        found = self.read()
        self.assertEqual(
            1600, self.value(found, name, lock="cluster", result="held")
        )

    def test_a_directory_that_cannot_be_keeps_nobody_from_working(self):
        self.path = self.path / "file"
        self.path.write_text("")
        process = self.start(COUNT)
        _said, told = process.communicate("", timeout=60)
        self.assertEqual(0, process.returncode, told)
        self.assertIn("Nothing is counted for Prometheus", told)
        error = self.assertRaises(
            exceptions.UnsupportedOperation, self.read, {}
        )
        self.assertIn(str(self.path), str(error))

    def test_before_anybody_has_counted(self):
        self.path /= "later"
        self.assertIsNone(self.counted(self.read()))
        self.count()
        self.assertEqual(2, self.counted(self.read()))

    def test_census(self):
        clusters = {("CREATE_COMPLETE", "HEALTHY"): 2}
        found = self.read({metrics.CLUSTERS.name: clusters})
        labels = {"status": "CREATE_COMPLETE", "health": "HEALTHY"}
        self.assertEqual(2, self.value(found, metrics.CLUSTERS.name, **labels))

    def test_over_http(self):
        self.count()
        numbers = iter((1, 2))

        def census():
            return {metrics.NODES.name: {("ready",): next(numbers)}}

        server = exposition.Server("127.0.0.1", 0, str(self.path), census)
        self.addCleanup(server.close)
        for expected in (1, 2):
            url = f"http://127.0.0.1:{server.port}/metrics"
            with urllib.request.urlopen(url, timeout=10) as answer:
                text = answer.read().decode()
            self.assertIn(
                f'magnum_k8s_nodes{{state="ready"}} {expected}.0', text
            )
            self.assertIn("magnum_k8s_request_seconds_count", text)


class HookTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.counted = self.useFixture(counted.Counted())

    def test_requests(self):
        answers = http.Answers()
        heat = rest.Rest(http.Connection(answers), "orchestration")
        answers.add("GET", "/x", 404)
        answers.add("POST", "/x", 503)
        answers.add("DELETE", "/x", 0, requests.exceptions.ConnectTimeout())
        heat.find("/x")
        self.assertRaises(exceptions.CloudError, heat.send, "POST", "/x", {})
        self.assertRaises(exceptions.CloudError, heat.discard, "/x")
        self.assertEqual(
            [("GET", "404"), ("POST", "503"), ("DELETE", "none")],
            [
                (one["method"], one["result"])
                for one in self.counted.of(metrics.REQUEST.name)
            ],
        )

    def test_locks(self):
        path = self.useFixture(fixtures.TempDir()).path

        def lock():
            return tooz_lock.ToozLock(f"file://{path}", "member")

        with lock().hold("magnum-k8s-u", wait_seconds=0):
            other = lock().hold("magnum-k8s-u", wait_seconds=0)
            self.assertRaises(exceptions.LockBusy, other.__enter__)
            with lock().hold("magnum-k8s-project-p", wait_seconds=0):
                pass
        self.assertEqual(
            [("cluster", "held"), ("cluster", "busy"), ("project", "held")],
            [
                (one["lock"], one["result"])
                for one in self.counted.of(metrics.LOCK_WAIT.name)
            ],
        )
