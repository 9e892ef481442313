# SPDX-License-Identifier: Apache-2.0
"""A site where all is well, and everything that can be wrong with one.

The tests and the documentation's list of findings share these.
"""

import dataclasses

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
        {"may_grant": False, "roles": frozenset({"service"})},
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


def faults(site):
    """Return the findings that are not well."""
    found = site_check.findings(site)
    return [x for x in found if x.level is not site_check.Level.OK]


def sites():
    """Yield a site for each thing that can be wrong."""
    for changes, *_told in WRONG:
        yield dataclasses.replace(FINE, **changes)
    for changes, *_told in BAD_IMAGES:
        image = dataclasses.replace(IMAGE, **changes)
        yield dataclasses.replace(FINE, images=(image, IMAGE))
