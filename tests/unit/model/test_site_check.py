# SPDX-License-Identifier: Apache-2.0
"""Findings about a site, each with what to do."""

import dataclasses

import testtools

from magnum_k8s_driver.model import facts
from magnum_k8s_driver.model import site_check

IMAGE = facts.ImageFacts(
    id="1", name="noble", distro="ubuntu", kubernetes_version="v1.36.4"
)
FINE = site_check.SiteFacts(
    user="magnum",
    project="service",
    roles=frozenset({"admin"}),
    known_roles=frozenset({"member", "load-balancer_member"}),
    wanted_roles={"service_roles": ("member", "load-balancer_member")},
    domain="magnum",
    domain_enabled=True,
    services=frozenset({*site_check.NEEDED, *site_check.WANTED}),
    regions=frozenset({"one"}),
    engines={"a": True},
    images=(IMAGE,),
    distributions=("ubuntu", "debian"),
    minors=("1.35", "1.36"),
    drivers=frozenset({site_check.DRIVER}),
    certificates="barbican",
    secret_delivery="sealed",
)

PROBLEM, NOTE = site_check.Level.PROBLEM, site_check.Level.NOTE
WRONG = (
    # what is so, level, in the sentence, in the cure
    ({"drivers": frozenset()}, PROBLEM, "does not find", "Install"),
    (
        {"drivers": frozenset({site_check.DRIVER, "k8s_capi_helm_v1"})},
        NOTE,
        "also finds k8s_capi_helm_v1",
        "default_driver = k8s_kubeadm_v1",
    ),
    ({"certificates": "local"}, PROBLEM, "disk of one", "barbican"),
    ({"region": "two"}, PROBLEM, "no region two", "region_name"),
    (
        {"regions": frozenset({"a", "b"})},
        PROBLEM,
        "a, b and none",
        "Set [k8s_driver] region_name",
    ),
    (
        {"services": FINE.services - {"orchestration"}},
        PROBLEM,
        "orchestration",
        "endpoint",
    ),
    (
        {"services": FINE.services - {"load-balancer"}},
        NOTE,
        "master_lb_enabled",
        "endpoint",
    ),
    (
        {"may_grant": False},
        PROBLEM,
        "may not grant",
        "role add --user magnum --user-domain Default --project service admin",
    ),
    (
        {"known_roles": frozenset()},
        PROBLEM,
        "no role 'member'",
        "role create member",
    ),
    (
        {"known_roles": frozenset({"member"})},
        NOTE,
        "no role load-balancer_member",
        "take it off",
    ),
    ({"wanted_roles": {"cluster_roles": ()}}, PROBLEM, "cluster_roles", "Run"),
    ({"domain_enabled": None}, PROBLEM, "no domain", "domain create magnum"),
    ({"domain_enabled": False}, PROBLEM, "disabled", "domain set --enable"),
    ({"engines": {"a": False}}, PROBLEM, "none of its", "Start"),
    ({"engines": None}, NOTE, "does not tell", "service list"),
    ({"images": ()}, PROBLEM, "No image", "Upload"),
    ({"secret_delivery": "user_data"}, NOTE, "every reader", "reader"),
)
BAD_IMAGES = (
    ({"status": "queued"}, "is queued", "again"),
    ({"distro": ""}, "no os_distro", "os_distro=... noble"),
    ({"distro": "beos"}, "os_distro=beos", "os_distro=... noble"),
    ({"kubernetes_version": "1.36"}, "kube_version=1.36", "kube_version="),
    ({"kubernetes_version": "v1.20.1"}, "v1.20.1", "one of these"),
)


class TestFindings(testtools.TestCase):
    def test_all_is_well(self):
        found = site_check.findings(FINE)
        self.assertEqual(site_check.Level.OK, site_check.worst(found), found)
        self.assertGreaterEqual(len(found), 8)

    def test_each_fault_is_told_with_its_cure(self):
        for changes, level, sentence, cure in WRONG:
            found = self.faults(dataclasses.replace(FINE, **changes))
            self.assertEqual([level], [one.level for one in found], changes)
            self.assertIn(sentence, found[0].sentence)
            self.assertIn(cure, found[0].cure)

    def test_images(self):
        for changes, sentence, cure in BAD_IMAGES:
            image = dataclasses.replace(IMAGE, **changes)
            site = dataclasses.replace(FINE, images=(image, IMAGE))
            (one,) = self.faults(site)
            self.assertEqual(PROBLEM, one.level, changes)
            self.assertIn(sentence, one.sentence)
            self.assertIn(cure, one.cure)
            # No other image: that is a second problem.
            alone = dataclasses.replace(FINE, images=(image,))
            self.assertEqual(2, len(self.faults(alone)))

    def test_a_chosen_driver_needs_no_note(self):
        site = dataclasses.replace(
            FINE,
            drivers=frozenset({site_check.DRIVER, "other"}),
            default_driver=site_check.DRIVER,
        )
        self.assertEqual([], self.faults(site))

    def test_plain_image_is_fine(self):
        plain = dataclasses.replace(IMAGE, kubernetes_version="")
        site = dataclasses.replace(FINE, images=(plain,))
        self.assertEqual([], self.faults(site))

    def faults(self, site):
        """Return what is not well; every text is a sentence."""
        found = site_check.findings(site)
        for one in found:
            self.assertRegex(one.sentence, r"^[A-Z].*\.$")
            bad = one.level is not site_check.Level.OK
            self.assertEqual(bad, bool(one.cure), one)
        return [x for x in found if x.level is not site_check.Level.OK]
