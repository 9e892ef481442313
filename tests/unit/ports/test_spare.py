# SPDX-License-Identifier: Apache-2.0
"""Connections that are used again."""

from unittest import mock

import testtools

from magnum_k8s_driver.ports import spare


class SparesTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.spares = spare.Spares()
        self.now = 1000.0
        clock = mock.patch.object(
            spare.time, "monotonic", autospec=True, side_effect=self.clock
        )
        clock.start()
        self.addCleanup(clock.stop)

    def clock(self):
        return self.now

    def test_one_thread_has_it(self):
        self.spares.keep("p", self.now, "connection")
        self.assertEqual((1000.0, "connection"), self.spares.take("p"))
        self.assertIsNone(self.spares.take("p"))
        self.assertIsNone(self.spares.take("other"))

    def test_its_age_counts_from_its_opening(self):
        self.spares.keep("p", self.now, "connection")
        for _time in range(4):
            self.now += 70.0
            opened, connection = self.spares.take("p")
            self.spares.keep("p", opened, connection)
        self.now += 70.0
        self.assertIsNone(self.spares.take("p"))

    def test_changed_roles(self):
        self.spares.keep("p", self.now, "connection")
        self.spares.keep("q", self.now, "another")
        self.spares.forget("p")
        self.assertIsNone(self.spares.take("p"))
        self.assertIsNotNone(self.spares.take("q"))

    def test_there_are_never_many(self):
        for project in range(100):
            for _connection in range(10):
                self.spares.keep(project, self.now, "connection")
        found = 0
        for project in range(100):
            while self.spares.take(project):
                found += 1
        self.assertEqual(128, found)
