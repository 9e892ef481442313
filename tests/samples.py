# SPDX-License-Identifier: Apache-2.0
"""Small valid values for tests; keyword arguments change single fields.

Every call makes fresh values. ``to_spec(inputs(), facts())`` is ``spec()``.
"""

import dataclasses
import types
from typing import Any

from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import inputs as inputs_module
from magnum_k8s_driver.model import spec as spec_module

CLUSTER_UUID = "7d1b1b8e-6a0c-4e5f-9a3b-0c1d2e3f4a5b"
CONTROL_PLANE_UUID = "a0000000-0000-4000-8000-00000000000a"
WORKER_UUID = "b0000000-0000-4000-8000-00000000000b"
PROJECT_ID = "0123456789abcdef0123456789abcdef"
VERSION = "v1.36.4"
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIexample tester"
SITE = fields.Site(kubernetes_versions={"1.35": "v1.35.8", "1.36": "v1.36.4"})


def node_group_inputs(**changes: Any) -> fields.NodeGroupInputs:
    """Return the default worker group of two nodes."""
    return dataclasses.replace(
        fields.NodeGroupInputs(
            uuid=WORKER_UUID,
            name="default-worker",
            role=spec_module.Role.WORKER,
            role_name="worker",
            count=2,
            image="ubuntu-24.04",
            flavor="m1.medium",
        ),
        **changes,
    )


def control_plane_inputs(**changes: Any) -> fields.NodeGroupInputs:
    """Return a control plane of one node."""
    return node_group_inputs(
        **{
            "uuid": CONTROL_PLANE_UUID,
            "name": "default-master",
            "role": spec_module.Role.CONTROL_PLANE,
            "role_name": "master",
            "count": 1,
            **changes,
        }
    )


def inputs(**changes: Any) -> fields.ClusterInputs:
    """Return a cluster of one control plane node and two workers."""
    return dataclasses.replace(
        fields.ClusterInputs(
            uuid=CLUSTER_UUID,
            name="prod",
            project_id=PROJECT_ID,
            node_groups=(control_plane_inputs(), node_group_inputs()),
            labels={"kube_tag": VERSION},
            keypair="tester",
            external_network="public",
            dns_nameserver="192.0.2.53",
            master_lb_enabled=True,
            volume_driver="cinder",
        ),
        **changes,
    )


def image(**changes: Any) -> facts_module.ImageFacts:
    """Return a plain Ubuntu image."""
    return dataclasses.replace(
        facts_module.ImageFacts(
            id="11111111-1111-4111-8111-111111111111",
            name="ubuntu-24.04",
            distro="ubuntu",
            min_disk_gib=10,
        ),
        **changes,
    )


def flavor(**changes: Any) -> facts_module.FlavorFacts:
    """Return a flavor that suits every node."""
    return dataclasses.replace(
        facts_module.FlavorFacts(
            id="2", name="m1.medium", vcpus=2, ram_mib=4096, disk_gib=40
        ),
        **changes,
    )


def subnet(**changes: Any) -> facts_module.SubnetFacts:
    """Return an existing subnet of :func:`network`."""
    return dataclasses.replace(
        facts_module.SubnetFacts(
            id="33333333-3333-4333-8333-333333333333",
            name="office-v4",
            network_id="44444444-4444-4444-8444-444444444444",
            cidr="192.168.10.0/24",
        ),
        **changes,
    )


def network(**changes: Any) -> facts_module.NetworkFacts:
    """Return an existing tenant network."""
    return dataclasses.replace(
        facts_module.NetworkFacts(
            id="44444444-4444-4444-8444-444444444444",
            name="office",
            subnets=(subnet(),),
        ),
        **changes,
    )


def external_network() -> facts_module.NetworkFacts:
    """Return the network floating IPs come from."""
    return facts_module.NetworkFacts(
        id="55555555-5555-4555-8555-555555555555",
        name="public",
        external=True,
    )


def facts(**changes: Any) -> facts_module.CloudFacts:
    """Return what a cloud says that has all :func:`inputs` refers to."""
    return dataclasses.replace(
        facts_module.CloudFacts(
            images={"ubuntu-24.04": image()},
            flavors={"m1.medium": flavor()},
            networks={"public": external_network(), "office": network()},
            subnets={"office-v4": subnet()},
            public_key=PUBLIC_KEY,
            availability_zones=frozenset(("nova", "az2")),
            volume_types=frozenset(("ssd", "hdd")),
            load_balancer_providers=frozenset(("amphora", "ovn")),
            cloud=spec_module.CloudSpec(
                auth_url="https://keystone.example.com/v3", region="RegionOne"
            ),
        ),
        **changes,
    )


def spec(**changes: Any) -> spec_module.ClusterSpec:
    """Return the specification of :func:`inputs`."""
    return dataclasses.replace(
        inputs_module.to_spec(inputs(), facts(), SITE), **changes
    )


def node_group(**changes: Any) -> spec_module.NodeGroupSpec:
    """Return the default worker group of :func:`spec`."""
    return dataclasses.replace(spec().workers[0], **changes)


def magnum_cluster(**changes: Any) -> types.SimpleNamespace:
    """Return an object with the fields of ``magnum.objects.Cluster``."""
    values = {
        "uuid": CLUSTER_UUID,
        "name": "prod",
        "project_id": PROJECT_ID,
        "labels": {"kube_tag": VERSION},
        "keypair": "tester",
        "fixed_network": None,
        "fixed_subnet": None,
        "flavor_id": "m1.medium",
        "master_flavor_id": "m1.medium",
        "docker_volume_size": None,
        "master_lb_enabled": True,
        "floating_ip_enabled": True,
        "create_timeout": 60,
    }
    return types.SimpleNamespace(**{**values, **changes})


def magnum_template(**changes: Any) -> types.SimpleNamespace:
    """Return an object with the fields of ``ClusterTemplate``."""
    values = {
        "uuid": "66666666-6666-4666-8666-666666666666",
        "image_id": "ubuntu-24.04",
        "flavor_id": "m1.medium",
        "master_flavor_id": "m1.medium",
        "external_network_id": "public",
        "dns_nameserver": "192.0.2.53",
        "network_driver": "calico",
        "volume_driver": "cinder",
        "coe": "kubernetes",
        "server_type": "vm",
        "docker_storage_driver": None,
        "registry_enabled": False,
        "tls_disabled": False,
        "insecure_registry": None,
        "http_proxy": None,
        "https_proxy": None,
        "no_proxy": None,
        "apiserver_port": None,
        "keypair_id": None,
    }
    return types.SimpleNamespace(**{**values, **changes})


def magnum_node_group(**changes: Any) -> types.SimpleNamespace:
    """Return an object with the fields of Magnum 22's ``NodeGroup``."""
    values = {
        "uuid": WORKER_UUID,
        "name": "default-worker",
        "role": "worker",
        "node_count": 2,
        "image_id": "ubuntu-24.04",
        "flavor_id": "m1.medium",
        "docker_volume_size": None,
        "labels": {},
        "min_node_count": 0,
        "max_node_count": None,
        "is_default": True,
    }
    return types.SimpleNamespace(**{**values, **changes})
