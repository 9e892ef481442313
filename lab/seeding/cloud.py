# SPDX-License-Identifier: Apache-2.0
"""Make flavors, images, the network outside and more; run in the venv.

Whatever is there already is left as it is.
"""

import ipaddress

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import v3
from openstack import connection

from lab import settings as lab_settings
from lab.containers import distribution
from lab.seeding import identity

FLAVORS = (
    ("m1.tiny", 1, 512, 1),
    ("m1.small", 1, 2048, 20),
    ("m1.medium", 2, 4096, 40),
    ("m1.large", 4, 8192, 80),
)

IMAGES = (
    ("ubuntu-24.04-kube-v1.36.4", "ubuntu", "v1.36.4"),
    ("ubuntu-24.04-kube-v1.35.8", "ubuntu", "v1.35.8"),
    ("ubuntu-24.04-kube-v1.37.2", "ubuntu", "v1.37.2"),
    ("ubuntu-24.04", "ubuntu", ""),
    ("debian-13-kube-v1.36.4", "debian", "v1.36.4"),
    ("flatcar-kube-v1.36.4", "flatcar", "v1.36.4"),
    ("rocky-9-kube-v1.36.4", "rocky", "v1.36.4"),
    ("mystery", "", ""),
)

CONTAINER_IMAGE = "debian-13-kube-dist-{}"
"""Servers of it are containers with the Kubernetes of KUBE_DIST."""

VOLUME_TYPES = ("lab", "fast")


def outside(port_offset: int) -> ipaddress.IPv4Network:
    """Return the network of a lab's floating IPs.

    They are loopback addresses: nothing that polls a cluster leaves the
    machine, and a pretended API server can listen on them. Neutron accepts
    such a subnet as long as it has no DHCP. Labs side by side, which differ
    in their ports by thousands, get different ones.
    """
    return ipaddress.IPv4Network(f"127.{77 + port_offset // 1000}.0.0/16")


def seed(cloud: connection.Connection, port_offset: int) -> None:
    for name, cores, memory, disk in FLAVORS:
        if not cloud.compute.find_flavor(name):
            cloud.compute.create_flavor(
                name=name, vcpus=cores, ram=memory, disk=disk
            )
    present = {image.name for image in cloud.image.images()}
    for name, system, version in IMAGES:
        if name not in present:
            _image(cloud, name, os_distro=system, kube_version=version)
    kubernetes = distribution.find()
    if kubernetes:
        name = CONTAINER_IMAGE.format(kubernetes.version)
        if name not in present:
            _image(
                cloud,
                name,
                os_distro="debian",
                kube_version=kubernetes.version,
                lab_node="container",
            )
    if not cloud.network.find_network("public"):
        _outside(cloud, outside(port_offset))
    present = {kind.name for kind in cloud.block_storage.types()}
    for name in VOLUME_TYPES:
        if name not in present:
            cloud.block_storage.create_type(name=name)


def _image(cloud: connection.Connection, name: str, **properties: str) -> None:
    cloud.image.create_image(
        name=name,
        data=b"an image that never boots",
        disk_format="raw",
        container_format="bare",
        visibility="public",
        min_disk=0,
        wait=False,
        **{key: value for key, value in properties.items() if value},
    )


def _outside(
    cloud: connection.Connection, range_: ipaddress.IPv4Network
) -> None:
    network = cloud.network.create_network(
        name="public",
        is_router_external=True,
        is_shared=False,
        provider_network_type="flat",
        provider_physical_network="public",
    )
    cloud.network.create_subnet(
        name="public-v4",
        network_id=network.id,
        ip_version=4,
        cidr=str(range_),
        gateway_ip=str(range_[1]),
        is_dhcp_enabled=False,
    )


def add_keypair(cloud: connection.Connection) -> None:
    """Give the user of this connection the keypair ``lab``."""
    if cloud.compute.find_keypair("lab"):
        return
    key = ed25519.Ed25519PrivateKey.generate().public_key()
    text = key.public_bytes(
        serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH
    )
    cloud.compute.create_keypair(name="lab", public_key=text.decode())


def connect(session: keystone_session.Session) -> connection.Connection:
    return connection.Connection(
        session=session,
        region_name=lab_settings.REGION,
        compute_api_version="2",
    )


def main() -> None:
    settings = lab_settings.read()
    seed(connect(identity.log_in(settings)), settings.port_offset)
    tenant = v3.Password(
        auth_url=settings.identity_url,
        username="demo",
        password=lab_settings.PASSWORD,
        project_name="demo",
        user_domain_name="Default",
        project_domain_name="Default",
    )
    add_keypair(connect(keystone_session.Session(auth=tenant)))


if __name__ == "__main__":
    main()
