# SPDX-License-Identifier: Apache-2.0
"""The behaviour file, the documents in user data, the signals."""

import base64
import gzip
import json
import os
import pathlib
import tempfile
import unittest
from urllib import parse

from lab.hollow import behaviour
from lab.hollow import document
from lab.hollow import signals
from lab.hollow import testing
import yaml


class BehaviourTest(unittest.TestCase):
    def setUp(self):
        super().setUp()
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.path = pathlib.Path(directory.name) / "behaviour.json"
        self.behaviour = behaviour.Behaviour(self.path)
        self.written = 0

    def write(self, content):
        text = content if isinstance(content, str) else json.dumps(content)
        self.path.write_text(text)
        self.written += 1
        os.utime(self.path, (self.written, self.written))

    def test_defaults_without_a_file(self):
        self.assertEqual(1.0, self.behaviour.knob("speed"))
        self.assertIsNone(self.behaviour.failure("n", "runtime"))

    def test_file_is_read_again(self):
        self.write({"digest_seconds": 7})
        self.assertEqual(7, self.behaviour.knob("digest_seconds"))
        self.write({"digest_seconds": 8})
        self.assertEqual(8, self.behaviour.knob("digest_seconds"))
        self.path.unlink()
        self.assertEqual(2, self.behaviour.knob("digest_seconds"))

    def test_broken_file_changes_nothing(self):
        self.write({"digest_seconds": 7})
        self.assertEqual(7, self.behaviour.knob("digest_seconds"))
        for broken in (
            "{",
            "[]",
            {"rules": [{}]},
            {"rules": [{"match": "("}]},
        ):
            with self.assertLogs(behaviour.LOG, "WARNING"):
                self.write(broken)
                self.assertEqual(7, self.behaviour.knob("digest_seconds"))

    def test_seconds_by_rule_and_speed(self):
        rule = {"match": "^slow", "phase_seconds": {"runtime": 20}}
        self.write({"speed": 2, "jitter": 0, "rules": [rule]})
        self.assertEqual(10, self.behaviour.seconds("slow-1", "runtime"))
        self.assertEqual(0.3, self.behaviour.seconds("not-slow", "runtime"))

    def test_failures_are_counted_until_their_rule_goes(self):
        rule = {"match": "a", "fail_phase": "init", "times": 1}
        self.write({"rules": [rule]})
        self.assertIsNone(self.behaviour.failure("a", "runtime"))
        self.assertIsNotNone(self.behaviour.failure("a", "init"))
        self.assertIsNone(self.behaviour.failure("a", "init"))
        self.write({"speed": 3, "rules": [rule]})
        self.assertIsNone(self.behaviour.failure("a", "init"))
        self.write({})
        self.assertIsNone(self.behaviour.failure("a", "init"))
        self.write({"rules": [rule]})
        self.assertIsNotNone(self.behaviour.failure("a", "init"))


class DocumentTest(unittest.TestCase):
    def setUp(self):
        super().setUp()
        self.text = json.dumps(testing.node_document())

    def cloud_config(self, content, encoding=None):
        one = {"path": document.PATH, "content": content}
        if encoding:
            one["encoding"] = encoding
        files = [{"path": "/etc/other", "content": "x"}, one]
        text = yaml.safe_dump({"write_files": files})
        return b"#cloud-config\n" + text.encode()

    def ignition(self, source, **contents):
        contents["source"] = source
        one = {"path": document.PATH, "contents": contents}
        return json.dumps({"storage": {"files": [one]}}).encode()

    def test_encodings(self):
        zipped = gzip.compress(self.text.encode())
        encoded = base64.b64encode(zipped).decode()
        plain = base64.b64encode(self.text.encode()).decode()
        for user_data in (
            self.cloud_config(self.text),
            self.cloud_config(plain, "b64"),
            self.cloud_config(plain, "base64"),
            self.cloud_config(encoded, "gz+b64"),
            self.cloud_config(encoded, "gzip+base64"),
            self.cloud_config(zipped, "gzip"),
            gzip.compress(self.cloud_config(self.text)),
            self.ignition(f"data:,{parse.quote(self.text)}"),
            self.ignition(f"data:text/plain;base64,{plain}"),
            self.ignition(f"data:;base64,{encoded}", compression="gzip"),
        ):
            found = document.read(user_data)
            self.assertEqual(testing.CLUSTER, found.cluster_uuid)
            self.assertEqual("worker", found.role)

    def test_no_node_document(self):
        for user_data in (
            b"",
            b"#!/bin/sh\n",
            b"#cloud-config\n{}\n",
            b"{}",
        ):
            self.assertIsNone(document.read(user_data))

    def test_broken_node_document(self):
        for user_data in (
            b"#cloud-config\n{",
            b"{",
            b"\x1f\x8bnothing",
            self.cloud_config("{}"),
            self.cloud_config("[]"),
            self.cloud_config("x", "gz"),
            self.ignition("https://127.0.0.1/"),
        ):
            with self.assertRaises(ValueError):
                document.read(user_data)

    def test_secrets_are_not_shown(self):
        user_data = testing.user_data(testing.control_plane("0", True))
        found = document.read(user_data)
        self.assertNotIn("PRIVATE KEY", repr(found))

    def test_every_endpoint_is_known(self):
        endpoint = {
            "host": "10.0.0.9",
            "public_host": "127.77.0.9",
            "addresses": ["10.0.0.9", "127.77.0.8"],
        }
        content = testing.node_document(endpoint=endpoint)
        found = document.read(testing.user_data(content))
        self.assertEqual(
            ("127.77.0.9", "10.0.0.9", "127.77.0.8"), found.endpoints
        )


class Pool(testing.Inline):
    """Run nothing until told."""

    def __init__(self):
        super().__init__()
        self.waiting = []

    def submit(self, fn, /, *args, **kwargs):
        self.waiting.append(fn)

    def run(self):
        while self.waiting:
            self.waiting.pop(0)()


class ChannelTest(unittest.TestCase):
    def setUp(self):
        super().setUp()
        self.heat = testing.FakeHeat()
        self.pool = Pool()
        self.scheduler = testing.ManualScheduler()
        sender = signals.Sender(self.scheduler, self.heat, self.pool)
        self.channel = signals.Channel(sender, {"alarm_url": "board"})

    def test_one_at_a_time_and_only_the_last(self):
        for number in range(5):
            self.channel.send("report", True, "", str(number))
        self.channel.send("digest", True, "", "d")
        self.assertEqual(1, len(self.pool.waiting))
        self.pool.run()
        self.assertEqual(2, self.heat.posts)
        self.assertEqual("4", self.heat.handles["board"]["report"]["data"])

    def test_failed_signal_gives_way_to_a_newer_one(self):
        self.heat.down = True
        self.channel.send("report", True, "", "old")
        self.pool.run()
        self.channel.send("report", False, "", "new")
        self.assertEqual([], self.pool.waiting)
        self.heat.down = False
        self.scheduler.advance(60)
        self.pool.run()
        found = self.heat.handles["board"]["report"]
        self.assertEqual(("new", "FAILURE"), (found["data"], found["status"]))
        self.assertEqual(1, self.heat.posts)

    def test_closed_channel_is_silent(self):
        self.channel.send("report", True, "", "x")
        self.channel.close()
        self.channel.send("report", True, "", "y")
        self.pool.run()
        self.assertEqual(0, self.heat.posts)
        self.channel.reopen()
        self.channel.send("report", True, "", "z")
        self.pool.run()
        self.assertEqual(1, self.heat.posts)
