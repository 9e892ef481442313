# SPDX-License-Identifier: Apache-2.0
"""Tests of magnum_k8s_driver.model.causes and .console.

The texts are what services of the lab and consoles of real images said.
"""

import re
import unittest
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from magnum_k8s_driver.model import causes
from magnum_k8s_driver.model import console
from magnum_k8s_driver.model import timeline

SAID = {
    "No valid host was found. There are not enough hosts available": (
        "No valid host"
    ),
    "Exceeded maximum number of retries. Exhausted all hosts available for "
    "retrying build failures for instance 1": "Every hypervisor failed",
    "No valid host was found. ServerGroup policy is not supported: "
    "ServerGroupAntiAffinityFilter not configured": "Placement policy",
    "Anti-affinity instance group policy was violated": "Placement policy",
    "Quota exceeded for resources: ['port']": "Quota",
    "Quota exceeded for cores: Requested 2, but already used 20 of 20 cores": (
        "Quota"
    ),
    "VolumeSizeExceedsAvailableQuota: Requested volume or snapshot exceeds "
    "allowed gigabytes quota. Requested 20G, quota is 10G": "Quota",
    "Quota has been met for resources: Load Balancer": "Quota",
    "Image 11 could not be found": "Image",
    "Image 11 is unacceptable: Image is not in an active state": "Image",
    "Flavor's disk is too small for requested image. Flavor disk is 1 bytes": (
        "Root disk too small"
    ),
    "Availability zone 'az9' is invalid": "Volume zone",
    "schedule allocate volume: Could not find any available weighted "
    "backend": "Volume failed",
    "Build of instance 1 aborted: Volume 2 did not finish being created even "
    "after we waited 3 seconds": "Volume failed",
    "No more IP addresses available on network 5": "Subnet full",
    "External network 5 is not reachable from subnet 6. Therefore, cannot "
    "associate Port 7 with a Floating IP": "No way to the external network",
    "Unable to complete operation on subnet 6: One or more ports have an IP "
    "allocation from this subnet": "Network in use",
    "Load Balancer 5 is immutable and cannot be updated": (
        "Load balancer busy"
    ),
    "Provider 'f5' is not enabled": "Load balancer provider",
    "load balancer 5 went to ERROR": "Load balancer failed",
    "Policy doesn't allow os_compute_api:servers:create to be performed": (
        "Not allowed"
    ),
    "Could not find trust: 5": "Trust or user gone",
    "Flavor 7 could not be found": "Flavor gone",
    "Network 5 could not be found": "Network gone",
    "Engine went down during stack UPDATE": "Heat engine stopped",
    "Maximum resources per stack exceeded": "Too many resources",
    "MessagingTimeout: Timed out waiting for a reply to message ID 5": (
        "Service did not answer"
    ),
    "Create timed out": "Heat timed out",
    "Binding failed for port 5, please check neutron logs": "Port binding",
}

PANIC = """
[    1.234567] VFS: Cannot open root device "sda1"
[    1.240000] Kernel panic - not syncing: VFS: Unable to mount root fs on \
unknown-block(0,0)
[    1.250000] CPU: 0 PID: 1 Comm: swapper/0
"""
NO_LEASE = """
         Starting systemd-networkd-wait-online.service - Wait for Network...
[FAILED] Failed to start systemd-networkd-wait-online.service.
Ubuntu 24.04 LTS prod-worker-0 ttyS0

prod-worker-0 login: """
NO_SOURCE = """
[   61.1] cloud-init[511]: Cloud-init v. 24.1 running 'init'
[   62.0] cloud-init[511]: 2026-11-22 WARNING]: Used fallback datasource
Ubuntu 24.04 LTS ubuntu ttyS0

ubuntu login: """
OWN = """
MAGNUM-NODE phase {"phase": "prepare", "seconds": 1.5}
MAGNUM-NODE failed {"phase": "runtime", "message": "Could not resolve \
mirror.example.", "hint": "Set dns_nameserver."}
"""


class CausesTest(unittest.TestCase):
    def test_what_services_say(self):
        for words, name in SAID.items():
            found = causes.find(words)
            self.assertIsNotNone(found, words)
            self.assertEqual(name, found.name, words)

    def test_every_cause_is_shown(self):
        shown = set(SAID.values())
        names = {one.name for one in causes.CAUSES}
        self.assertLessEqual(
            names - shown,
            {"No floating IP left", "Subnet overlaps", "Volume type"},
        )
        self.assertEqual(len(names), len(causes.CAUSES))

    def test_sentences(self):
        for one in causes.CAUSES:
            for text in (one.meaning, one.cure):
                self.assertRegex(text, r"^[A-Z].*\.$")
            re.compile(one.pattern)
        for sign in console.SIGNS:
            self.assertRegex(sign.cure, r"^[A-Z].*\.$")

    def test_unknown_words_stay_alone(self):
        self.assertEqual("It rained.", causes.with_cure("It rained"))

    def test_secrets(self):
        for secret in (
            "abcdef.0123456789abcdef",
            "hunter2",
            "gAAAAABmXyzgAAAAABmXyz0123456789",
            "c2VjcmV0IGtleSBieXRlcyBvZiBhIGNsdXN0ZXIgMTIzNDU2Nzg5MA==",
        ):
            for text in (
                f"join with password={secret} failed",
                f"token: {secret}",
            ):
                self.assertNotIn(secret, causes.masked(text))
        kept = (
            "Node prod-7d1b1b8e6a0c-worker-1 of stack "
            "7d1b1b8e-6a0c-4e5f-9a3b-0c1d2e3f4a5b failed: registry.example/"
            "library/pause:3.10 was not found at "
            "/opt/magnum/bin/kubeadm-v1.36.4-linux-amd64."
        )
        self.assertEqual(kept, causes.masked(kept))


class ConsoleTest(unittest.TestCase):
    def test_kernel_panic(self):
        found = console.read(PANIC)
        self.assertTrue(found.message.startswith("its kernel panicked: VFS"))

    def test_no_address_wins_over_a_login_prompt(self):
        self.assertIn("got no address", console.read(NO_LEASE).message)

    def test_no_metadata(self):
        found = console.read(NO_SOURCE)
        self.assertIn("found no metadata service", found.message)

    def test_own_words_win(self):
        found = console.read(PANIC + OWN.replace("\\\n", ""))
        self.assertEqual("runtime", found.phase)
        self.assertEqual("Could not resolve mirror.example", found.message)
        self.assertEqual("Set dns_nameserver.", found.cure)

    def test_last_phase(self):
        text = 'MAGNUM-NODE phase {"phase": "prepare", "seconds": 1.5}\n'
        self.assertIn("since phase prepare", console.read(text).message)

    def test_system_without_the_node_program(self):
        found = console.read("Debian GNU/Linux 13 ttyS0\n\ndebian login: ")
        self.assertIn("never started", found.message)

    def test_nothing(self):
        for text in ("", "Booting Linux\n"):
            self.assertIsNone(console.read(text))
        self.assertIn("cannot be read", console.silence(600, False).message)
        self.assertIn("10 minutes", console.silence(600, True).message)

    def test_every_sign_is_found(self):
        said = {
            "No bootable disk": "No bootable device.",
            "Root file system": "You are in emergency mode. After logging",
            "Disk full": "tar: write error: No space left on device",
            "Out of memory": "Out of memory: Killed process 9 (kubelet)",
            "No network": "curl: (7) Network is unreachable",
            "cloud-init failed": (
                "[ 9.1] cloud-init[5]: 2026 - util.py[CRITICAL]: no module"
            ),
            "Wrong user data": (
                "cloud-init[5]: Failed loading yaml blob. unacceptable"
            ),
            "Ignition failed": "Ignition failed: config is not valid",
            "Kernel panic": PANIC,
            "No address": NO_LEASE,
            "No metadata": NO_SOURCE,
        }
        self.assertEqual({one.name for one in console.SIGNS}, set(said))
        for sign in console.SIGNS:
            found = console.read(said[sign.name])
            self.assertEqual(sign.cure, found.cure, sign.name)

    def test_phases_and_their_pictures(self):
        text = (
            'MAGNUM-NODE phase {"phase": "prepare", "seconds": 1.5}\n'
            'MAGNUM-NODE phase {"phase": "<join>", "seconds": 3}\n'
            'MAGNUM-NODE phase {"phase": "prepare", "seconds": 0.1}\n'
            "MAGNUM-NODE phase broken\n"
        )
        phases = console.phases(text)
        self.assertEqual((("prepare", 1.5), ("<join>", 3.0)), phases)
        told = timeline.as_text({"worker-0": phases, "worker-1": ()})
        self.assertIn("worker-0: 4.5 s", told)
        self.assertIn("worker-1: nothing is known", told)
        root = ElementTree.fromstring(timeline.as_svg({"w": phases}))
        bars = [one for one in root.iter() if one.tag.endswith("rect")]
        # Two of the legend, two of the node; the second twice as long.
        self.assertEqual(4, len(bars))
        first, second = (float(one.get("width")) for one in bars[2:])
        self.assertAlmostEqual(2.0, second / first, delta=0.01)
        ElementTree.fromstring(timeline.as_svg({}))

    def test_ready(self):
        ready = 'MAGNUM-NODE ready {"seconds": {}}\n'
        self.assertTrue(console.is_ready(ready))
        self.assertFalse(console.is_ready(ready + OWN))
        self.assertFalse(console.is_ready(""))

    @given(st.text())
    def test_anything_may_stand_on_a_console(self, text):
        found = console.read(text)
        if found is not None:
            self.assertNotIn("\n", found.message)
