# SPDX-License-Identifier: Apache-2.0
"""What a cluster shall be: validated values, every name resolved to an id."""

from collections.abc import Mapping
import dataclasses
import enum

from magnum_k8s_driver.model import labels as labels_module

DEFAULT_API_PORT = 6443
"""Port of the Kubernetes API, kubeadm's default."""


class Role(enum.StrEnum):
    """What the nodes of a group do."""

    CONTROL_PLANE = "control-plane"
    WORKER = "worker"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class VolumeSpec:
    """A Cinder volume of each node of a group."""

    size_gib: int
    volume_type: str | None = None
    """Name or id of the volume type; None takes the cloud's default."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Taint:
    """A Kubernetes node taint."""

    key: str
    effect: str
    value: str = ""

    def __str__(self) -> str:
        value = f"={self.value}" if self.value else ""
        return f"{self.key}{value}:{self.effect}"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NodeGroupSpec:
    """Equal nodes: one Magnum node group."""

    uuid: str
    """Magnum's id of the node group; names may be reused, this never is."""
    name: str
    role: Role
    count: int
    image_id: str
    image_name: str
    distro: str
    """``os_distro`` of the image."""
    image_kubernetes_version: str | None = None
    """Version baked into the image (``kube_version``), None: a plain one."""
    flavor_id: str
    kubernetes_version: str
    """With a leading ``v``: ``v1.36.4``."""
    availability_zone: str = ""
    """Empty: Nova chooses."""
    server_group_policy: str = "soft-anti-affinity"
    members_per_stack: int = 0
    """Workers that one Heat stack of the group holds at most, further ones
    go into further stacks; 0: one stack holds all."""
    boot_volume: VolumeSpec | None = None
    """None boots from the image on the hypervisor's disk."""
    container_volume: VolumeSpec | None = None
    """Blank volume for images and containers, None to use the root disk."""
    etcd_volume: VolumeSpec | None = None
    """Blank volume for etcd, control plane only."""
    floating_ip: bool = False
    node_labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    taints: tuple[Taint, ...] = ()
    labels: labels_module.Labels = dataclasses.field(
        default_factory=labels_module.Labels
    )
    """The group's own Magnum labels; they start as the cluster's."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NetworkSpec:
    """Where nodes, pods and Services live."""

    external_network_id: str
    network_id: str | None = None
    """Existing network; None: the driver makes one with subnet and router."""
    subnet_id: str | None = None
    """Existing subnet, set exactly when ``network_id`` is."""
    subnet_cidr: str
    dns_nameservers: tuple[str, ...] = ()
    cni: str = "calico"
    pod_cidr: str = "10.100.0.0/16"
    service_cidr: str = "10.254.0.0/16"
    dns_domain: str = "cluster.local"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class EndpointSpec:
    """How the API server is reached."""

    load_balancer: bool
    floating_ip: bool
    """A floating IP on the load balancer, or on the single control plane."""
    port: int = DEFAULT_API_PORT
    provider: str = "amphora"
    algorithm: str = "ROUND_ROBIN"
    allowed_cidrs: tuple[str, ...] = ()
    """Empty: everybody."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ProxySpec:
    """HTTP proxies of the nodes."""

    http: str = ""
    https: str = ""
    no_proxy: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CloudSpec:
    """What nodes must know of their cloud."""

    auth_url: str = ""
    """Keystone as nodes reach it."""
    region: str = ""
    ca_certificate: str = ""
    """PEM bundle for OpenStack endpoints, empty for the system's trust."""
    verify: bool = True
    block_storage: bool = True
    """Whether there is Cinder."""
    volume_types: tuple[str, ...] = ()
    """Names of the volume types a cluster may use, sorted."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ClusterSpec:
    """A whole cluster."""

    uuid: str
    name: str
    project_id: str
    kubernetes_version: str
    network: NetworkSpec
    endpoint: EndpointSpec
    control_plane: NodeGroupSpec
    workers: tuple[NodeGroupSpec, ...]
    ssh_public_key: str = ""
    """OpenSSH text; empty: no key is installed."""
    proxy: ProxySpec = dataclasses.field(default_factory=ProxySpec)
    insecure_registry: str = ""
    """``host:port`` of a registry without TLS, empty for none."""
    volume_driver: str = ""
    cloud: CloudSpec = dataclasses.field(default_factory=CloudSpec)
    labels: labels_module.Labels = dataclasses.field(
        default_factory=labels_module.Labels
    )
    seals_secrets: bool = True
    """False: control-plane members find their secrets in user data, where
    every reader of the project can read them."""

    @property
    def groups(self) -> tuple[NodeGroupSpec, ...]:
        """Every node group, control plane first."""
        return (self.control_plane, *self.workers)
