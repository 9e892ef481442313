# SPDX-License-Identifier: Apache-2.0
"""Whatever users write stays data where shells, YAML and URLs read it."""

import dataclasses
import shlex
import subprocess
import unittest
from unittest import mock

import hypothesis
from hypothesis import strategies as st
import yaml

from magnum_k8s_driver.model import labels as labels_module
from magnum_k8s_driver.render import node_document
from magnum_k8s_driver.render import node_files
from magnum_k8s_driver.render import userdata
from tests import node_samples
from tests import samples

NASTY = st.sampled_from(
    (
        "$(touch /tmp/x)", "`id`", "'; id; '", '"; id; "', "a\nb: c", "- a",
        "{a: b}", "&a *a", "!!python/object:os.system x", "%{x}", "\\", "#",
        "a: b # c", "yes", "0x10", "~", "null", "\u2028", "\x85", "--flag",
        "${HOME}", "{{ x }}", "%(x)s", "\t", " ", "]]>", "\ufeff",
    )
)  # fmt: skip
TEXT = st.one_of(
    NASTY,
    st.tuples(NASTY, NASTY).map("".join),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
)
FEW = hypothesis.settings(max_examples=60, deadline=None)


def with_labels(group, **changes):
    labels = dataclasses.replace(group.labels, **changes)
    return dataclasses.replace(group, labels=labels)


class UserDataTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.program = {
            one.path: one.content for one in node_files.program_files()
        }

    @FEW
    @hypothesis.given(TEXT, TEXT, TEXT, TEXT)
    def test_what_a_user_writes_stays_data(self, key, value, name, url):
        spec = samples.spec()
        worker = dataclasses.replace(
            with_labels(
                spec.workers[0], kubelet_options=((f"a{key}", value),)
            ),
            name=name,
        )
        spec = dataclasses.replace(spec, workers=(worker, *spec.workers[1:]))
        document = node_document.worker_document(
            spec, worker, node_samples.worker_values()
        )
        document = {
            **document,
            "proxy": {"http": url, "https": "", "no_proxy": [value]},
        }
        found = {
            one.path: one.content
            for one in node_files.node_files(spec, worker, document)
        }
        join = yaml.safe_load(found["/etc/magnum/kubeadm/join.yaml"])
        given = join["nodeRegistration"]["kubeletExtraArgs"]
        self.assertIn({"name": f"a{key}", "value": value}, given)
        labels = next(
            one["value"] for one in given if one["name"] == "node-labels"
        )
        self.assertIn(f"magnum.openstack.org/nodegroup={name}", labels)
        self.assertEqual(set(), set(self.program) & set(found))
        proxy = found.get("/etc/magnum/proxy.env")
        if proxy is not None and "\n" not in url + value:
            for line in shlex.split(proxy.decode()):
                variable, _equal, text = line.partition("=")
                wanted = value if "NO_" in variable.upper() else url
                self.assertEqual(wanted, text, variable)

    @FEW
    @hypothesis.given(TEXT)
    def test_a_shell_reads_the_proxy_as_it_is(self, url):
        hypothesis.assume("\0" not in url)
        (file,) = node_files._proxy_files(
            {"http": f"x{url}", "https": "", "no_proxy": []}
        )
        done = subprocess.run(
            ["sh", "-c", '. /dev/stdin; printf %s "$HTTP_PROXY"'],
            input=file.content,
            capture_output=True,
            check=True,
            timeout=10,
        )
        self.assertEqual(f"x{url}", done.stdout.decode())
        self.assertEqual(b"", done.stderr)

    @hypothesis.settings(max_examples=15, deadline=None)
    @hypothesis.given(TEXT, TEXT)
    def test_whole_user_data(self, key, name):
        hypothesis.assume(key.strip())
        spec = dataclasses.replace(samples.spec(), ssh_public_key=key)
        worker = dataclasses.replace(spec.workers[0], name=name)
        document = node_document.worker_document(
            spec, worker, node_samples.worker_values()
        )
        # As small as it goes would take a second each time.
        quick = {**node_files._FILTER, "preset": 0}
        with mock.patch.object(node_files, "_FILTER", quick):
            text = userdata.user_data(spec, worker, document)
        content = yaml.safe_load(text)
        self.assertEqual([key.strip()], content["ssh_authorized_keys"])
        self.assertEqual(
            {"bootcmd", "write_files", "ssh_authorized_keys"}, set(content)
        )
        files = userdata.parse_files(text)
        self.assertEqual(name, userdata.parse_node_document(text)["group"])
        for path, program in self.program.items():
            if path in files:
                self.assertEqual(program, files[path], path)


class UrlTest(unittest.TestCase):
    """What a URL label lets through reaches curl as one harmless word."""

    @hypothesis.given(
        st.one_of(
            TEXT.map(lambda one: f"https://mirror.example/{one}"),
            TEXT.map(lambda one: f"https://{one}"),
            TEXT,
        )
    )
    def test_labels_that_are_urls(self, text):
        found = labels_module.parse({"containerd_tarball_url": text})
        value = found.labels.containerd_tarball_url
        if found.problems:
            self.assertIn("URL", found.problems[0].sentence)
            return
        if value:
            self.assertRegex(value, r"\Ahttps?://[!-~]+\Z")
            self.assertEqual([value], shlex.split(value))
            for character in "'\"`$;|&<>(){}\\":
                self.assertNotIn(character, value)
