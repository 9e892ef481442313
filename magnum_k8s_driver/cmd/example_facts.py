# SPDX-License-Identifier: Apache-2.0
"""What a cloud would have answered: section ``facts``, or a good guess.

An image, flavor or network that is not described exists with usual
properties; one that is described as ``null`` does not exist.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any
import uuid

from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import inputs as inputs_module
from magnum_k8s_driver.model import problems as problems_module
from magnum_k8s_driver.model import spec as spec_module

_LISTS = ("availability_zones", "volume_types", "load_balancer_providers")
_TEXTS = ("auth_url", "region", "public_key")
_FLAGS = ("block_storage", "load_balancing")
_IMAGE = {
    "os_distro": "distro",
    "kube_version": "kubernetes_version",
    "min_disk": "min_disk_gib",
    "min_ram": "min_ram_mib",
    "status": "status",
    "id": "id",
}
_FLAVOR = {"vcpus": "vcpus", "ram": "ram_mib", "disk": "disk_gib", "id": "id"}
_NETWORK = {"external": "external", "cidr": "cidr", "id": "id"}
_SUBNET = {"cidr": "cidr", "network_id": "network_id", "id": "id"}
_DISTROS = ("debian", "flatcar", "rocky", "ubuntu")
_CIDR = "192.168.10.0/24"
_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDummyKeyOfARenderedExample dummy"


@dataclasses.dataclass(frozen=True)
class _Given:
    """The section, with a note of everything that is wrong in it."""

    content: Mapping[str, Any]
    problems: list[problems_module.Problem]

    def tell(self, sentence: str) -> None:
        self.problems.append(
            problems_module.Problem(subject="facts", sentence=sentence)
        )

    def described(
        self, kind: str, name: str, known: Mapping[str, str]
    ) -> dict[str, Any] | None:
        """Return the description of one thing; None: it does not exist."""
        section = self.content.get(kind) or {}
        if not isinstance(section, dict):
            return {}
        entry = section.get(name, {})
        if entry is None:
            return None
        if not isinstance(entry, dict):
            self.tell(f"Facts about {kind} {name} must be a mapping or null.")
            return {}
        for key in set(entry) - set(known):
            self.tell(
                f"Facts about {kind} {name} have no {key}; use "
                f"{', '.join(known)}."
            )
        return {
            field: entry[key] for key, field in known.items() if key in entry
        }


def facts(
    inputs: fields.ClusterInputs,
    content: Any,
    problems: list[problems_module.Problem],
) -> facts_module.CloudFacts:
    """Return the cloud's answers about everything a cluster refers to.

    :param content: section ``facts`` of the file, None without one.
    :param problems: gets what is wrong with the section.
    """
    given = _Given(content if isinstance(content, dict) else {}, problems)
    if content is not None and not isinstance(content, dict):
        given.tell("Section facts must be a mapping.")
    sections = ("images", "flavors", "networks", "subnets")
    for name in given.content:
        known = (*sections, *_LISTS, *_TEXTS, *_FLAGS)
        if name not in known:
            given.tell(f"Facts have no {name}; use {', '.join(known)}.")
    wanted = inputs_module.references(inputs)
    return facts_module.CloudFacts(
        images={one: _image(given, one) for one in wanted.images},
        flavors={one: _flavor(given, one) for one in wanted.flavors},
        networks={
            one: _network(given, one, one == inputs.external_network)
            for one in wanted.networks
        },
        subnets={one: _subnet(given, one, inputs) for one in wanted.subnets},
        public_key=given.content.get("public_key", _KEY),
        cloud=spec_module.CloudSpec(
            auth_url=str(
                given.content.get("auth_url", "https://keystone.example/v3")
            ),
            region=str(given.content.get("region", "RegionOne")),
        ),
        availability_zones=_listed(given, "availability_zones"),
        volume_types=_listed(given, "volume_types"),
        load_balancer_providers=_listed(given, "load_balancer_providers"),
        block_storage=bool(given.content.get("block_storage", True)),
        load_balancing=bool(given.content.get("load_balancing", True)),
    )


def _listed(given: _Given, name: str) -> frozenset[str] | None:
    value = given.content.get(name)
    if value is None:
        return None
    if isinstance(value, list):
        return frozenset(map(str, value))
    given.tell(f"Facts {name} must be a list.")
    return None


def _image(
    given: _Given, name: str
) -> facts_module.ImageFacts | facts_module.Missing:
    values = given.described("images", name, _IMAGE)
    if values is None:
        return facts_module.Missing()
    distro = next((one for one in _DISTROS if one in name), "ubuntu")
    return facts_module.ImageFacts(
        **{"id": _id(name), "name": name, "distro": distro, **values}
    )


def _flavor(
    given: _Given, name: str
) -> facts_module.FlavorFacts | facts_module.Missing:
    values = given.described("flavors", name, _FLAVOR)
    if values is None:
        return facts_module.Missing()
    usual = {"vcpus": 2, "ram_mib": 4096, "disk_gib": 40}
    return facts_module.FlavorFacts(
        **{"id": _id(name), "name": name, **usual, **values}
    )


def _network(
    given: _Given, name: str, external: bool
) -> facts_module.NetworkFacts | facts_module.Missing:
    values = given.described("networks", name, _NETWORK)
    if values is None:
        return facts_module.Missing()
    network_id = values.pop("id", _id(name))
    subnet = facts_module.SubnetFacts(
        id=_id(f"{name}/subnet"),
        name=f"{name}-v4",
        network_id=network_id,
        cidr=values.pop("cidr", _CIDR),
    )
    return facts_module.NetworkFacts(
        id=network_id,
        name=name,
        external=values.get("external", external),
        subnets=(subnet,),
    )


def _subnet(
    given: _Given, name: str, inputs: fields.ClusterInputs
) -> facts_module.SubnetFacts | facts_module.Missing:
    values = given.described("subnets", name, _SUBNET)
    if values is None:
        return facts_module.Missing()
    usual = {
        "id": _id(name),
        "name": name,
        "network_id": _id(inputs.fixed_network or f"{name}/network"),
        "cidr": _CIDR,
    }
    return facts_module.SubnetFacts(**{**usual, **values})


def _id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"cloud.example/{name}"))
