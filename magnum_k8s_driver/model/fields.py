# SPDX-License-Identifier: Apache-2.0
"""Magnum's fields of one cluster, copied out of its objects, unchecked.

:mod:`magnum_k8s_driver.intake` fills them; :mod:`~.inputs` makes a
specification of them.
"""

from collections.abc import Mapping
import dataclasses

from magnum_k8s_driver.model import spec as spec_module

DEFAULT_CNI = "calico"
MEMBERS_PER_STACK = 20
"""See doc/source/contributor/bench.rst for why."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NodeGroupInputs:
    """Fields of a Magnum node group."""

    uuid: str
    name: str
    role: spec_module.Role
    role_name: str = ""
    """The role as the user wrote it; any word but ``master`` is a worker."""
    count: int = 1
    image: str = ""
    flavor: str = ""
    docker_volume_size_gib: int = 0
    min_count: int = 0
    max_count: int | None = None
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    node_labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    node_taints: tuple[Mapping[str, str], ...] = ()
    """Each ``{"key": ..., "effect": ...}``, perhaps with ``"value"``."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ClusterInputs:
    """Fields of a Magnum cluster and its template."""

    uuid: str
    name: str
    project_id: str
    node_groups: tuple[NodeGroupInputs, ...] = ()
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    keypair: str = ""
    external_network: str = ""
    fixed_network: str = ""
    fixed_subnet: str = ""
    dns_nameserver: str = ""
    """Comma separated addresses."""
    network_driver: str = DEFAULT_CNI
    volume_driver: str = ""
    docker_storage_driver: str = ""
    master_lb_enabled: bool = False
    floating_ip_enabled: bool = True
    registry_enabled: bool = False
    insecure_registry: str = ""
    tls_disabled: bool = False
    http_proxy: str = ""
    https_proxy: str = ""
    no_proxy: str = ""
    apiserver_port: int | None = None
    server_type: str = "vm"
    coe: str = "kubernetes"
    create_timeout_minutes: int | None = None
    """None: the driver's default; Magnum's 0 means the same."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Site:
    """What an operator and a release of the driver set for all clusters."""

    label_defaults: Mapping[str, object] = dataclasses.field(
        default_factory=dict
    )
    """Values of labels that a cluster does not set."""
    kubernetes_versions: Mapping[str, str] = dataclasses.field(
        default_factory=dict
    )
    """Supported minor -> its newest version; the last one is what plain
    images get when nobody asks for a version. Empty: anything goes, and the
    version must be asked for."""
    seals_secrets: bool = True
    """Secrets do not travel in user data."""
    addons_left_out: tuple[str, ...] = ()
    """Add-ons that no cluster gets from the driver."""
    members_per_stack: int = MEMBERS_PER_STACK
    """Workers that one Heat stack of a group holds at most; 0: any number."""
