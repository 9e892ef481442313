# SPDX-License-Identifier: Apache-2.0
"""Labels that ask for add-ons or say how they shall be."""

import dataclasses

from magnum_k8s_driver.model import balancer_classes
from magnum_k8s_driver.model import label_types as t

_NAME = r"[A-Za-z0-9][A-Za-z0-9 ._:/+-]{0,254}"
_DNS_NAME = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
_opt, _switch = t.declared, t.switch


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AddonLabels:
    """The part of :class:`~magnum_k8s_driver.model.labels.Labels` on them."""

    cloud_provider_enabled: bool = _switch(
        "cloud_provider_enabled", True, "OpenStack cloud controller manager."
    )
    load_balancer_classes: tuple[balancer_classes.Class, ...] = _opt(
        balancer_classes.LABEL,
        balancer_classes.Classes(),
        "",
        "Classes that Services of type LoadBalancer may ask for.",
    )
    cinder_csi_enabled: bool = _switch(
        "cinder_csi_enabled", True, "Cinder CSI driver."
    )
    snapshot_controller_enabled: bool = _switch(
        "snapshot_controller_enabled", True, "Snapshots of Cinder volumes."
    )
    manila_csi_enabled: bool = _switch(
        "manila_csi_enabled", False, "Manila CSI driver, for shares over NFS."
    )
    manila_share_type: str = _opt(
        "manila_share_type",
        t.Pattern(_NAME, "a name or an id"),
        "default",
        "Share type of the storage class manila.",
    )
    manila_share_network: str = _opt(
        "manila_share_network",
        t.Pattern("[0-9A-Fa-f-]{32,36}", "the id of a share network"),
        "",
        "Share network of its shares; empty for types that need none.",
    )
    keystone_auth_enabled: bool = _switch(
        "keystone_auth_enabled", False, "Log in to Kubernetes with Keystone."
    )
    metrics_server_enabled: bool = _switch(
        "metrics_server_enabled", True, "Metrics server."
    )
    npd_enabled: bool = _switch("npd_enabled", False, "Node problem detector.")
    nfd_enabled: bool = _switch(
        "nfd_enabled", False, "Node feature discovery."
    )
    gpu_operator_enabled: bool = _switch(
        "gpu_operator_enabled", False, "NVIDIA's GPU operator."
    )
    gpu_driver_enabled: bool = _switch(
        "gpu_driver_enabled",
        True,
        "The GPU operator installs the driver; false for images that have it.",
    )
    auto_healing_enabled: bool = _switch(
        "auto_healing_enabled", False, "Replace broken nodes unasked."
    )
    auto_healing_delay: int = _opt(
        "auto_healing_delay", t.Integer(30), "600", "Least seconds not ready."
    )
    auto_healing_share: int = _opt(
        "auto_healing_share", t.Integer(1, 100), "25", "Most of a group, in %."
    )
    auto_scaling_enabled: bool = _switch(
        "auto_scaling_enabled", False, "Cluster autoscaler."
    )
    ingress_controller: str = _opt(
        "ingress_controller",
        t.Choice(
            "",
            "octavia",
            hint="install traefik, nginx and others from their Helm charts",
        ),
        "",
        "Ingress controller; empty for none.",
    )
    monitoring_enabled: bool = _switch(
        "monitoring_enabled", False, "Prometheus, Alertmanager and Grafana."
    )
    monitoring_retention_days: int = _opt(
        "monitoring_retention_days", t.Integer(1), "14", "Days metrics stay."
    )
    monitoring_retention_size: int = _opt(
        "monitoring_retention_size", t.Integer(1), "14", "Most GiB of metrics."
    )
    monitoring_interval_seconds: int = _opt(
        "monitoring_interval_seconds",
        t.Integer(1),
        "30",
        "Seconds between two readings.",
    )
    monitoring_storage_class_name: str = _opt(
        "monitoring_storage_class_name",
        t.Pattern(_DNS_NAME, "the name of a Kubernetes storage class"),
        "",
        "Storage class for metrics; empty keeps them on the node.",
    )
    monitoring_ingress_enabled: bool = _switch(
        "monitoring_ingress_enabled", False, "Reach Grafana from outside."
    )
    cluster_root_domain_name: str = _opt(
        "cluster_root_domain_name",
        t.Pattern(_DNS_NAME, "a domain name"),
        "localhost",
        "Domain of the ingress: grafana and a dot come before it.",
    )
    grafana_admin_passwd: str = _opt(
        "grafana_admin_passwd",
        t.Pattern(r"[\x20-\x7e]{1,128}", "at most 128 printable characters"),
        "",
        "Password of Grafana's admin; empty makes a random one.",
        secret=True,
    )
