# SPDX-License-Identifier: Apache-2.0
"""Clouds that do or do not suit a cluster, drawn by chance and then made.

What is drawn is what preflight looks at: flavors, an image, a network, names
of zones, volume types and providers, and the project's quotas. Most draws
are right; the quotas are as tight as preflight says they may be, or tighter.
"""

from collections.abc import Mapping
import dataclasses
import json
import os
import random
import subprocess

from tests.functional import base

QUOTAS = {
    "compute": ("/os-quota-sets", "quota_set"),
    "block_storage": ("/os-quota-sets", "quota_set"),
    "network": ("/quotas", "quota"),
    "load_balancer": ("/lbaas/quotas", "quota"),
}
"""Proxy of the SDK -> where a project's quotas are, and their name there."""

PROXIES = {
    "compute": "compute",
    "block-storage": "block_storage",
    "network": "network",
    "load-balancer": "load_balancer",
}
HEAT = "orchestration"
SINGLE = (
    "metadata_items",
    "per_volume_gigabytes",
    "resources",
    "server_group_members",
)
"""Limits of each server, volume, stack or group."""
PLENTY = 9000
AT_ONCE = ("port", "floatingip", "security_group", "security_group_rule")
"""Quotas of Neutron, of which several things are made at the same time. It
counts each twice while it is being made: DbQuotaNoLockDriver counts rows and
reservations, and a reservation goes after its row has come."""
WRONG = 0.05
"""Of each draw; there are about ten of a cloud."""
SHORT = 0.45
"""Of clouds have a quota that is too low."""


@dataclasses.dataclass(frozen=True)
class Flavor:
    vcpus: int
    ram: int
    disk: int


@dataclasses.dataclass(frozen=True)
class Network:
    """An existing network; without a pool it has many addresses."""

    routed: bool
    addresses: int = 200
    taken: int = 0


@dataclasses.dataclass(frozen=True)
class Cloud:
    """What is in a cloud, and the cluster that is asked for."""

    master: Flavor
    worker: Flavor
    image: Mapping[str, object]
    is_active: bool
    network: Network | None
    """None: the driver makes one."""
    template: Mapping[str, object]
    labels: Mapping[str, str]
    masters: int
    workers: int
    limits_heat: bool
    """Heat's own limits are tight, too; that takes a restart of it."""


def draw(chance: random.Random) -> Cloud:
    """Return a cloud."""

    def one(right: list, wrong: list = ()):
        return chance.choice(
            wrong if wrong and chance.random() < WRONG else right
        )

    balanced = chance.random() < 0.4
    floating = chance.random() < 0.5
    labels = {
        "availability_zone": one(["", "nova"], ["moon"]),
        "octavia_provider": one(["amphora", "ovn"], ["f5"]),
        **_volume_labels(chance, one),
    }
    if chance.random() < 0.3:
        labels["master_lb_floating_ip_enabled"] = one(["true", "false"])
    if chance.random() < 0.3:
        labels["master_lb_allowed_cidrs"] = "192.0.2.0/24,198.51.100.0/24"
    network = _network(chance)
    if network is None:
        labels["fixed_subnet_cidr"] = one(
            ["10.0.0.0/24", "10.0.0.0/28"], ["10.0.0.0/30"]
        )
    return Cloud(
        master=Flavor(
            one([2, 2, 4], [1]), one([2048, 4096], [1024]), one([10, 20], [4])
        ),
        worker=Flavor(
            one([1, 2]), one([1024, 2048], [512]), one([10, 20], [0, 4])
        ),
        image={
            "min_disk": one([0, 8], [15]),
            "min_ram": one([0, 1024], [3000]),
            "architecture": one(["", "x86_64"], ["ppc64le"]),
        },
        is_active=one([True], [False]),
        network=network,
        template={
            "master_lb_enabled": balanced,
            "floating_ip_enabled": floating,
            "docker_volume_size": one([None, None, 5]),
        },
        labels={key: text for key, text in labels.items() if text},
        masters=3 if balanced and chance.random() < 0.2 else 1,
        workers=chance.randint(1, 3),
        limits_heat=chance.random() < 0.25,
    )


def _volume_labels(chance: random.Random, one) -> dict[str, str]:
    """Return labels of volumes; a type goes with a volume of its kind."""
    labels = {}
    for kind, least in (("boot", 20), ("etcd", 5)):
        if chance.random() < 0.4:
            size = one([least, least + 3], [4])
            labels[f"{kind}_volume_size"] = str(size)
            labels[f"{kind}_volume_type"] = one(
                ["", "lab", "fast", "id of fast"], ["gold"]
            )
    labels["docker_volume_type"] = one(["", "lab", "fast"])
    return labels


def _network(chance: random.Random) -> Network | None:
    kind = chance.choice(["new", "new", "routed", "alone", "narrow"])
    if kind == "new":
        return None
    if kind == "narrow":
        return Network(True, chance.randint(4, 9), chance.randint(0, 3))
    return Network(kind == "routed")


class Builder:
    """Makes what was drawn; everything is named alike and goes again."""

    def __init__(self, test, cloud: Cloud):
        self.test, self.cloud = test, cloud
        self.name = base.unique("cloud")
        self.admin, self.demo = test.admin, test.demo
        self.types = {
            one.name: one.id for one in self.admin.block_storage.types()
        }

    def build(self) -> dict[str, object]:
        """Make the cloud; return the fields of a template for it."""
        labels = {
            key: self.types["fast"] if text == "id of fast" else text
            for key, text in self.cloud.labels.items()
        }
        return {
            **self.cloud.template,
            **self._networks(),
            "labels": labels,
            "image_id": self._image(),
            "master_flavor_id": self._flavor("master", self.cloud.master),
            "flavor_id": self._flavor("worker", self.cloud.worker),
        }

    def deactivate(self) -> None:
        """Take the image away, if that was drawn; Magnum asks for it."""
        if not self.cloud.is_active:
            image = self.admin.image.find_image(self.name)
            self.admin.image.deactivate_image(image)

    def _flavor(self, role: str, flavor: Flavor) -> str:
        made = self.admin.compute.create_flavor(
            name=f"{self.name}-{role}", **dataclasses.asdict(flavor)
        )
        self.test.addCleanup(self.admin.compute.delete_flavor, made.id)
        return made.id

    def _image(self) -> str:
        properties = {
            key: value for key, value in self.cloud.image.items() if value
        }
        made = self.admin.image.create_image(
            name=self.name,
            data=b"an image that never boots",
            disk_format="raw",
            container_format="bare",
            visibility="public",
            wait=False,
            os_distro="ubuntu",
            kube_version=base.VERSION,
            **properties,
        )
        self.test.addCleanup(self.admin.image.delete_image, made.id)
        return made.id

    def _networks(self) -> dict[str, object]:
        wanted = self.cloud.network
        if wanted is None:
            return {}
        neutron = self.demo.network
        network = neutron.create_network(name=self.name)
        self.test.addCleanup(neutron.delete_network, network.id)
        subnet = neutron.create_subnet(
            name=self.name,
            network_id=network.id,
            ip_version=4,
            cidr="10.1.0.0/24",
            allocation_pools=[
                {"start": "10.1.0.10", "end": f"10.1.0.{wanted.addresses + 9}"}
            ],
        )
        if wanted.routed:
            self._route(subnet)
        for _number in range(wanted.taken):
            port = neutron.create_port(name=self.name, network_id=network.id)
            self.test.addCleanup(neutron.delete_port, port.id)
        return {"fixed_network": network.id, "fixed_subnet": subnet.id}

    def _route(self, subnet) -> None:
        neutron = self.demo.network
        outside = neutron.find_network("public")
        router = neutron.create_router(
            name=self.name, external_gateway_info={"network_id": outside.id}
        )
        self.test.addCleanup(neutron.delete_router, router.id)
        neutron.add_interface_to_router(router, subnet_id=subnet.id)
        self.test.addCleanup(
            neutron.remove_interface_from_router, router, subnet_id=subnet.id
        )


class Limits:
    """The quotas of the project that makes clusters."""

    def __init__(self, test, types: Mapping[str, str]):
        self.test = test
        self._types = {"": "lab", **{one: name for name, one in types.items()}}

    def name(self, key: str) -> tuple[str, str]:
        """Return the service and what it calls a quota."""
        service, _dot, name = key.partition(".")
        kind, underscore, volume_type = name.partition("_")
        if kind in ("volumes", "gigabytes") and underscore:
            known = self._types.get(volume_type, volume_type)
            name = f"{kind}_{known}"
        return service, name

    def exist(self, key: str) -> bool:
        """Tell whether there is such a quota: a type may not exist."""
        _service, name = self.name(key)
        kind, underscore, volume_type = name.partition("_")
        typed = kind in ("volumes", "gigabytes") and underscore
        return not typed or volume_type in ("lab", "fast")

    def drawn(self, chance: random.Random, rows: list[dict]) -> dict:
        """Return tight limits, perhaps with some too low.

        :param rows: what preflight found when there was plenty of all.
        """
        needed: dict[tuple[str, str], int] = {}
        used: dict[tuple[str, str], int] = {}
        for row in rows:
            key = self.name(row["quota"])
            if not self.exist(row["quota"]):
                continue
            needed[key] = needed.get(key, 0) + row["needed"]
            # Of each single thing nothing is used.
            used[key] = row["limit"] - row["left"]
        spare = {
            key: chance.choice((0, 0, 0, 1, 4)) + count * (key[1] in AT_ONCE)
            for key, count in needed.items()
        }
        if needed and chance.random() < SHORT:
            for key in chance.sample(sorted(needed), chance.choice((1, 1, 2))):
                most = max(needed[key], 1)
                spare[key] = -chance.choice((1, 1, chance.randint(1, most)))
        found: dict[str, dict[str, int]] = {}
        for key, count in needed.items():
            limit = used[key] + count + spare[key]
            found.setdefault(key[0], {})[key[1]] = max(limit, 0)
        return found

    def plenty(self, rows: list[str]) -> dict:
        """Return limits that nothing reaches, but that are counted."""
        found: dict[str, dict[str, int]] = {}
        for key in filter(self.exist, rows):
            service, name = self.name(key)
            found.setdefault(service, {})[name] = PLENTY
        return found

    def set(self, limits: Mapping[str, Mapping[str, int]]) -> None:
        """Set the quotas of the project; Heat's are not a project's."""
        for service, proxy in PROXIES.items():
            path, name = QUOTAS[proxy]
            path = f"{path}/{self.test.project_id}"
            adapter = getattr(self.test.admin, proxy)
            adapter.request(path, "DELETE", raise_exc=False)
            if limits.get(service):
                body = {name: dict(limits[service])}
                done = adapter.request(path, "PUT", json=body)
                done.raise_for_status()


def preflight(template: str, cloud: Cloud, heat: Mapping[str, int]) -> dict:
    """Return what ``magnum-k8s-preflight`` says, as its users read it."""
    done = subprocess.run(
        [
            base.settings().program("magnum-k8s-preflight"),
            template,
            "--os-cloud=demo",
            "--format=json",
            f"--master-count={cloud.masters}",
            f"--node-count={cloud.workers}",
            f"--heat-stacks={heat.get('stacks', 512)}",
            f"--heat-resources={heat.get('resources', 1000)}",
        ],
        env={
            **os.environ,
            "OS_CLIENT_CONFIG_FILE": str(base.ROOT / "clouds.yaml"),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in (0, 1), done.stderr
    return json.loads(done.stdout)
