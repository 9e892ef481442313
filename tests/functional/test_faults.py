# SPDX-License-Identifier: Apache-2.0
"""Injected faults: does ``openstack coe cluster show`` tell the cause?

The table is made of what users complained about: nodes that die without a
word, quotas found halfway, clusters that stay in progress for ever. Each
fault has words that must be in the reason a user sees, and the words of what
to do.
"""

import dataclasses
import json
import os
import time

from tests.functional import base
from tests.functional import clouds
from tests.functional import inventory

CLUSTER_SECONDS = 420
EVERY_RUN = ("instances", "zone")
"""The others take minutes."""
TIMEOUT_MINUTES = 8
LATE_SECONDS = 90
"""From its deadline a cluster has to be called failed within so many."""


@dataclasses.dataclass(frozen=True)
class Fault:
    """Something that goes wrong, and what a user is to read."""

    cause: str
    cure: str
    quota: dict[str, dict[str, int]] = dataclasses.field(default_factory=dict)
    """Proxy of the SDK to limits."""
    template: dict = dataclasses.field(default_factory=dict)
    cluster: dict = dataclasses.field(default_factory=dict)
    rules: tuple[dict, ...] = ()
    """For the hollow nodes of this cluster; ``match`` is the name's end."""
    balancers: str = ""
    """What the lab's Octavia provider does to its load balancers."""


def limit(service, name, most, title, **changes):
    """Return the fault of a quota that is too low."""
    return Fault(
        cause=f"The quota of {title} is too low: needed",
        cure="or ask for a higher quota",
        quota={service: {name: most}},
        **changes,
    )


BALANCED = {"cluster": {"master_lb_enabled": True}}
VOLUMES = {"cluster": {"labels": {"boot_volume_size": "20"}}}
FAST = {
    "cluster": {
        "labels": {"boot_volume_size": "20", "boot_volume_type": "fast"}
    }
}

REFUSED = {
    "instances": limit("compute", "instances", 1, "servers"),
    "cores": limit("compute", "cores", 2, "vCPUs"),
    "ram": limit("compute", "ram", 4096, "MiB of memory"),
    "server groups": limit("compute", "server_groups", 1, "server groups"),
    "members of a group": limit(
        "compute",
        "server_group_members",
        1,
        "servers in one server group",
        cluster={"node_count": 2},
    ),
    "volumes": limit("block_storage", "volumes", 1, "volumes", **VOLUMES),
    "gigabytes": limit(
        "block_storage", "gigabytes", 39, "GiB of volumes", **VOLUMES
    ),
    "gigabytes of a type": limit(
        "block_storage",
        "gigabytes_fast",
        39,
        "GiB of volumes of type fast",
        **FAST,
    ),
    "ports": limit("network", "port", 1, "ports"),
    "networks": limit("network", "network", 0, "networks"),
    "subnets": limit("network", "subnet", 0, "subnets"),
    "routers": limit("network", "router", 0, "routers"),
    "floating IPs": limit(
        "network",
        "floatingip",
        0,
        "floating IPs",
        cluster={"floating_ip_enabled": True},
    ),
    "security groups": limit(
        "network", "security_group", 1, "security groups"
    ),
    "rules": limit(
        "network", "security_group_rule", 10, "security group rules"
    ),
    "load balancers": limit(
        "load_balancer", "load_balancer", 0, "load balancers", **BALANCED
    ),
    "listeners": limit(
        "load_balancer", "listener", 0, "listeners", **BALANCED
    ),
    "health monitors": limit(
        "load_balancer", "health_monitor", 0, "health monitors", **BALANCED
    ),
    "flavor too small": Fault(
        cause="Flavor m1.tiny has 1 vCPU",
        cure="need 2",
        cluster={"master_flavor_id": "m1.tiny"},
    ),
    "zone": Fault(
        cause="Availability zone moon is not available",
        cure="this cloud has nova",
        cluster={"labels": {"availability_zone": "moon"}},
    ),
    "volume type": Fault(
        cause="Volume type gold does not exist",
        cure="cannot be used by this project",
        cluster={
            "labels": {"boot_volume_size": "20", "boot_volume_type": "gold"}
        },
    ),
    "provider": Fault(
        cause="Label octavia_provider is 'f5'",
        cure="this cloud has",
        cluster={
            "master_lb_enabled": True,
            "labels": {"octavia_provider": "f5"},
        },
    ),
    "too few addresses": Fault(
        cause="has 13 addresses but the cluster needs 14",
        cure="choose a larger one or fewer nodes",
        cluster={
            "node_count": 13,
            "labels": {"fixed_subnet_cidr": "10.0.0.0/28"},
        },
    ),
    "overlap": Fault(
        cause="node network 10.100.0.0/24 and the pod addresses",
        cure="choose ranges that do not",
        cluster={"labels": {"fixed_subnet_cidr": "10.100.0.0/24"}},
    ),
}
"""Known before anything is made."""

FAILING_SERVICES = {
    "no valid host": Fault(
        cause="No valid host was found",
        cure="Choose a smaller flavor",
        rules=(
            {
                "match": "worker-0$",
                "spawn_error": "No valid host was found.",
            },
        ),
    ),
    "load balancer in ERROR": Fault(
        cause="went to ERROR",
        cure="the operator finds why in the logs of octavia-worker",
        balancers="error",
        **BALANCED,
    ),
    "load balancer hangs": Fault(
        cause="Heat waits for OS::Octavia::LoadBalancer",
        cure=f"Not ready after {TIMEOUT_MINUTES} minutes",
        balancers="stuck",
        **BALANCED,
    ),
}

FAILING_NODES = {
    "control plane fails": Fault(
        cause="failed in phase runtime: containerd did not start",
        cure="Look at its journal",
        rules=(
            {
                "match": "cp-0$",
                "fail_phase": "runtime",
                "message": "containerd did not start",
                "hint": "Look at its journal",
            },
        ),
    ),
    "kernel panic": Fault(
        cause="its kernel panicked: VFS: Unable to mount root fs",
        cure="Try the image by itself",
        rules=(
            {
                "match": "worker-0$",
                "never_report": True,
                "console": "Kernel panic - not syncing: VFS: Unable to mount "
                "root fs",
            },
        ),
    ),
    "no metadata": Fault(
        cause="cloud-init found no metadata service",
        cure="Check that the subnet has a gateway",
        rules=(
            {
                "match": "cp-0$",
                "never_report": True,
                "console": "cloud-init[5]: Used fallback datasource",
            },
        ),
    ),
    "silence": Fault(
        cause="it has not reported for",
        cure="Check that",
        rules=({"match": "worker-0$", "never_report": True},),
    ),
    "worker fails": Fault(
        cause="failed in phase join: the token is not known",
        cure="Replace the node",
        rules=(
            {
                "match": "worker-0$",
                "fail_phase": "join",
                "message": "the token is not known",
                "hint": "Replace the node",
            },
        ),
    ),
}
"""Like the services, only known when it happens."""


class RefusalTest(base.LabTest):
    """What is known before anything is made: nothing is made."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.template = cls.make_template()

    def _set_quota(self, service, limits):
        path, name = clouds.QUOTAS[service]
        path = f"{path}/{self.project_id}"
        adapter = getattr(self.admin, service)
        self.addCleanup(adapter.request, path, "DELETE", raise_exc=False)
        adapter.request(path, "PUT", json={name: limits}).raise_for_status()

    def assert_refused(self, fault):
        before = inventory.take()
        for service, limits in fault.quota.items():
            self._set_quota(service, limits)
        uuid = self.magnum.create(self.template, **fault.cluster)
        self.addCleanup(self.remove, uuid)
        cluster = self.magnum.await_status(
            uuid, "CREATE_FAILED", seconds=CLUSTER_SECONDS
        )
        assert_told(self, fault, cluster)
        made = [
            one
            for one in inventory.difference(before, inventory.take())
            if not one[2:].startswith(("cluster", "node group", "x509keypair"))
        ]
        self.assertEqual([], made)


class FailureTest(base.LabTest):
    """What is only known when it happens.

    The clusters of a class are made at once: most of their time they wait.
    """

    faults: dict[str, Fault] = {}

    @classmethod
    def setUpClass(cls):
        base.needs_time()
        super().setUpClass()
        template = cls.make_template()
        names = {key: base.unique(_slug(key)) for key in cls.faults}
        cls._fail_balancers(names)
        rules = [
            {**rule, "match": f"^{names[key]}-.*{rule['match']}"}
            for key, fault in cls.faults.items()
            for rule in fault.rules
        ]
        base.write_behaviour(**base.FAST, rules=rules)
        cls.began = time.monotonic()
        cls.made = {
            key: cls.magnum.create(
                template,
                name=names[key],
                create_timeout=TIMEOUT_MINUTES,
                **fault.cluster,
            )
            for key, fault in cls.faults.items()
        }
        cls.addClassCleanup(cls.remove, *cls.made.values())

    @classmethod
    def _fail_balancers(cls, names):
        faults = {}
        for key, fault in cls.faults.items():
            if fault.balancers:
                faults.setdefault(fault.balancers, []).append(names[key])
        path = base.ROOT / "state/octavia/faults.json"

        def write(content):
            new = path.with_suffix(".new")
            new.write_text(json.dumps(content))
            os.replace(new, path)

        cls.addClassCleanup(write, {})
        write(faults)

    def assert_failed(self, key):
        passed = time.monotonic() - self.began
        left = TIMEOUT_MINUTES * 60 + LATE_SECONDS - passed
        cluster = self.magnum.await_status(
            self.made[key], "CREATE_FAILED", seconds=max(left, 1)
        )
        assert_told(self, self.faults[key], cluster)


class FailingServicesTest(FailureTest):
    faults = FAILING_SERVICES


class FailingNodesTest(FailureTest):
    faults = FAILING_NODES


def assert_told(test, fault, cluster):
    """A cluster's reason tells cause and cure in sentences."""
    reason = cluster["status_reason"]
    test.assertIn(fault.cause, reason)
    test.assertIn(fault.cure, reason)
    test.assert_sentence(reason)


def _slug(name):
    return name.lower().replace(" ", "-")[:11].rstrip("-")


def _add_tests():
    """Make a test of each fault, so that one can be run by its name."""

    def refused(name, fault):
        def test(self):
            if name not in EVERY_RUN:
                base.needs_time()
            self.assert_refused(fault)

        return test

    def failed(name):
        return lambda self: self.assert_failed(name)

    for name, fault in REFUSED.items():
        setattr(RefusalTest, _test_name(name), refused(name, fault))
    for case in (FailingServicesTest, FailingNodesTest):
        for name in case.faults:
            setattr(case, _test_name(name), failed(name))


def _test_name(name):
    return f"test_{name.replace(' ', '_')}"


_add_tests()
