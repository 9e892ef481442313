# SPDX-License-Identifier: Apache-2.0
"""Tests of magnum_k8s_driver.model.names."""

import re
import unittest

import hypothesis
from hypothesis import strategies as st

from magnum_k8s_driver.model import names

LABEL = re.compile("[a-z]([a-z0-9-]*[a-z0-9])?")
CLUSTER = "7d1b1b8e-6a0c-4e5f-9a3b-0c1d2e3f4a5b"
GROUP = "abcdef01-0000-4000-8000-000000000000"

uuids = st.uuids().map(str)
members = st.integers(0, 10**6).map(str)
group_names = st.sampled_from(("default-master", "default-worker")) | st.text(
    max_size=80
)


class ExampleTests(unittest.TestCase):
    def test_cluster_prefix(self):
        self.assertEqual(
            "my-cluster-7d1b1b8e6a0c",
            names.cluster_prefix("My_Cluster", CLUSTER),
        )
        self.assertEqual(
            "k8s-7d1b1b8e6a0c", names.cluster_prefix("集群", CLUSTER)
        )
        self.assertEqual(
            "abcdefghijklmnopqrst-7d1b1b8e6a0c",
            names.cluster_prefix("abcdefghijklmnopqrst-uvw", CLUSTER),
        )

    def test_server_names(self):
        self.assertEqual(
            "p-cp-0", names.server_name("p", "default-master", GROUP, "0")
        )
        self.assertEqual(
            "p-worker-12",
            names.server_name("p", "default-worker", GROUP, "12"),
        )
        self.assertEqual(
            "p-gpu-abcdef-3", names.server_name("p", "GPU", GROUP, "3")
        )

    def test_a_group_called_worker_is_another_one(self):
        self.assertEqual(
            "p-worker-abcdef-0", names.server_name("p", "worker", GROUP, "0")
        )

    def test_member_names_are_checked(self):
        for member in ("", "a-b", "A", "1" * 21):
            with self.assertRaises(ValueError):
                names.server_name("p", "g", GROUP, member)

    def test_stack_and_config_names(self):
        self.assertEqual(
            "p-worker", names.group_stack_name("p", "default-worker", GROUP)
        )
        self.assertEqual(
            "p-gpu-abcdef-part2",
            names.group_stack_name("p", "gpu", GROUP, 2),
        )
        self.assertEqual(
            "p-cp-create-1-0",
            names.user_data_name(
                "p", "default-master", GROUP, "create-1", "0"
            ),
        )
        self.assertEqual(
            "p-worker-create-1",
            names.user_data_name("p", "default-worker", GROUP, "create-1"),
        )


class PropertyTests(unittest.TestCase):
    @hypothesis.given(
        st.text(max_size=300), uuids, group_names, uuids, members
    )
    def test_alphabet_and_length(self, name, cluster, group, uuid, member):
        prefix = names.cluster_prefix(name, cluster)
        self.assertLessEqual(len(prefix), 33)
        self.assertRegex(prefix, f"^{LABEL.pattern}$")
        server = names.server_name(prefix, group, uuid, member)
        self.assertTrue(server.startswith(f"{prefix}-"))
        self.assertLessEqual(len(server), 63)
        self.assertIsNotNone(LABEL.fullmatch(server), server)
        stack = names.group_stack_name(prefix, group, uuid, 3)
        self.assertIsNotNone(LABEL.fullmatch(stack), stack)

    @hypothesis.given(
        st.lists(
            st.tuples(group_names, uuids, members),
            unique_by=lambda one: (one[1][:6], one[2]),
        )
    )
    def test_names_are_unique(self, machines):
        # A cluster's group names are unique, its defaults exist once.
        by_name = {}
        machines = [
            one
            for one in machines
            if by_name.setdefault(one[0], one[1]) == one[1]
        ]
        prefix = names.cluster_prefix("prod", CLUSTER)
        made = [names.server_name(prefix, *one) for one in machines]
        self.assertEqual(len(made), len(set(made)))

    @hypothesis.given(uuids, uuids)
    def test_equal_names_of_two_clusters(self, one, other):
        hypothesis.assume(one[:13] != other[:13])
        self.assertNotEqual(
            names.cluster_prefix("prod", one),
            names.cluster_prefix("prod", other),
        )
