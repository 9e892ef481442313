# SPDX-License-Identifier: Apache-2.0
"""Only what the lab has started is ever signalled."""

import dataclasses
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import time
import unittest

from lab import failure
from lab import graph
from lab import port
from lab import process
from lab import progress


class ProcessesTest(unittest.TestCase):
    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.root = pathlib.Path(directory.name)
        self.processes = process.Processes(*[self.root] * 4)
        self.addCleanup(self.processes.stop, "x", 0)

    def start(self, script):
        self.processes.start("x", ["sh", "-c", script], os.environ)
        return self.processes.record("x")

    def test_starts_and_stops(self):
        record = self.start("echo hello; exec sleep 60")
        self.assertEqual(record, self.processes.alive("x"))
        self.processes.stop("x", 5)
        self.assertEqual("", process.start_time(record.pid))
        self.assertEqual([], self.processes.names())

    def test_leaves_a_process_with_a_reused_pid_alone(self):
        other = subprocess.Popen(["sleep", "60"], start_new_session=True)
        self.addCleanup(other.wait)
        self.addCleanup(other.kill)
        record = process.Record(other.pid, "1", 0.0, "")
        text = json.dumps(dataclasses.asdict(record))
        (self.root / "x.json").write_text(text)
        self.assertIsNone(self.processes.alive("x"))
        self.assertEqual([], [*self.processes.members("x")])
        self.processes.stop("x", 0)
        self.assertIsNone(other.poll())

    def test_ends_what_a_dead_leader_left(self):
        record = self.start("sleep 60 & echo $! > child; kill -9 $$")
        deadline = time.monotonic() + 5
        while self.processes.alive("x") and time.monotonic() < deadline:
            time.sleep(0.02)
        child = int((self.root / "child").read_text())
        self.assertNotEqual("", process.start_time(child))
        self.assertNotEqual(record.pid, child)
        self.processes.stop("x", 0)
        self.assertEqual("", process.start_time(child))

    def test_adopts_only_what_names_the_lab(self):
        self.assertFalse(self.processes.adopt("y", os.getpid()))

    def test_says_which_program_is_missing(self):
        with self.assertRaisesRegex(failure.LabError, "/no/such"):
            self.processes.start("x", ["/no/such"], os.environ)


class PortTest(unittest.TestCase):
    def test_names_the_holder(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            number = server.getsockname()[1]
            self.assertEqual(os.getpid(), port.holder(number))
        self.assertIsNone(port.holder(number))


class GraphTest(unittest.TestCase):
    def test_runs_after_what_is_named(self):
        done = []
        jobs = [
            graph.Job("b", lambda: done.append("b"), ("a", "absent")),
            graph.Job("a", lambda: done.append("a")),
        ]
        graph.run(jobs, 2, progress.silent)
        self.assertEqual(["a", "b"], done)

    def test_a_failure_stops_only_what_waits_for_it(self):
        done = []

        def fail():
            raise failure.LabError("a broke")

        jobs = [
            graph.Job("a", fail),
            graph.Job("b", lambda: done.append("b"), ("a",)),
            graph.Job("c", lambda: done.append("c"), ("b",)),
            graph.Job("d", lambda: done.append("d")),
        ]
        with self.assertRaisesRegex(failure.LabError, "a broke"):
            graph.run(jobs, 1, progress.silent)
        self.assertEqual(["d"], done)


if __name__ == "__main__":
    unittest.main()
