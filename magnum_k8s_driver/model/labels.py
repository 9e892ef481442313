# SPDX-License-Identifier: Apache-2.0
"""Magnum labels: each is declared once, as one field of :class:`Labels`.

Names and meanings are those of Magnum's former Heat driver (table 3.1 of
its contract); what that driver knew and this one does not is listed in
:mod:`~magnum_k8s_driver.model.retired_labels`. Rules that need more than
one label are in :mod:`~magnum_k8s_driver.model.inputs`.
"""

from collections.abc import Mapping
import dataclasses
from typing import Any

from oslo_config import cfg

from magnum_k8s_driver.model import addon_labels
from magnum_k8s_driver.model import label_types as t
from magnum_k8s_driver.model import problems as problems_module
from magnum_k8s_driver.model import retired_labels

ALIASES = {"api_master_lb_allowed_cidrs": "master_lb_allowed_cidrs"}
"""Other names of labels; magnum-ui 18 writes this one."""

_NAME = r"[A-Za-z0-9][A-Za-z0-9 ._:/+-]{0,254}"
_named = t.Pattern(_NAME, "a name or an id")
_DNS_NAME = r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?"
_pods = t.Cidr(8, 28)


_opt, _switch, _flags = t.declared, t.switch, t.flags


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Labels(addon_labels.AddonLabels):
    """Every supported label, typed; without arguments: all defaults."""

    # Nodes ---------------------------------------------------------------
    kube_tag: str = _opt(
        "kube_tag",
        t.Pattern(
            r"v?[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,4}",
            "a Kubernetes version such as v1.36.4",
        ),
        "",
        "Kubernetes version; empty takes the one baked into the image, or "
        "the newest that the driver knows.",
    )
    availability_zone: str = _opt(
        "availability_zone", _named, "", "Zone of servers and volumes."
    )
    server_group_policy: str = _opt(
        "server_group_policy",
        t.Choice(
            "soft-anti-affinity", "anti-affinity", "soft-affinity", "affinity"
        ),
        "soft-anti-affinity",
        "How Nova spreads the servers of a node group over hypervisors.",
    )
    boot_volume_size: int = _opt(
        "boot_volume_size",
        t.Integer(0),
        "0",
        "Root volume in GiB; 0 boots from the hypervisor's disk.",
    )
    boot_volume_type: str = _opt(
        "boot_volume_type", _named, "", "Volume type of root volumes."
    )
    docker_volume_type: str = _opt(
        "docker_volume_type", _named, "", "Volume type of container volumes."
    )
    etcd_volume_size: int = _opt(
        "etcd_volume_size",
        t.Integer(0),
        "0",
        "Volume for etcd in GiB; 0 keeps etcd on the root disk.",
    )
    etcd_volume_type: str = _opt(
        "etcd_volume_type", _named, "", "Volume type of etcd volumes."
    )
    min_node_count: int = _opt(
        "min_node_count", t.Integer(0), "0", "Least nodes when autoscaling."
    )
    max_node_count: int | None = _opt(
        "max_node_count", t.Integer(0), None, "Most nodes when autoscaling."
    )
    cgroup_driver: str = _opt(
        "cgroup_driver",
        t.Choice("systemd", "cgroupfs"),
        "systemd",
        "Cgroup driver of kubelet and containerd.",
    )
    selinux_mode: str = _opt(
        "selinux_mode",
        t.Choice("", "enforcing", "permissive", "disabled"),
        "",
        "SELinux mode of the nodes; empty leaves the image's own.",
    )
    containerd_version: str = _opt(
        "containerd_version",
        t.Pattern(
            r"2\.[0-9]{1,3}\.[0-9]{1,3}", "a containerd version such as 2.1.9"
        ),
        "",
        "containerd to install; empty takes the release table's.",
    )
    containerd_tarball_url: str = _opt(
        "containerd_tarball_url",
        t.Pattern(
            r"https?://[A-Za-z0-9.\[\]:-]+/[A-Za-z0-9._~/%+@:=-]*",
            "an http or https URL",
        ),
        "",
        "Where to download containerd; needs containerd_tarball_sha256.",
    )
    containerd_tarball_sha256: str = _opt(
        "containerd_tarball_sha256",
        t.Pattern("[0-9a-f]{64}", "64 hexadecimal digits in lower case"),
        "",
        "SHA-256 of that download.",
    )
    # Network -------------------------------------------------------------
    fixed_subnet_cidr: str = _opt(
        "fixed_subnet_cidr",
        t.Cidr(8, 28),
        "10.0.0.0/24",
        "Node network when no fixed_network is given.",
    )
    # kubeadm refuses service networks that are larger than /12 or hold
    # fewer than 10 addresses (cmd/kubeadm validation.go, v1.36).
    service_cluster_ip_range: str = _opt(
        "service_cluster_ip_range",
        t.Cidr(12, 28),
        "10.254.0.0/16",
        "Addresses of Kubernetes Services.",
    )
    calico_ipv4pool: str = _opt(
        "calico_ipv4pool", _pods, "10.100.0.0/16", "Pod addresses, Calico."
    )
    calico_ipv4pool_ipip: str = _opt(
        "calico_ipv4pool_ipip",
        t.Choice("Off", "Always", "CrossSubnet", "Never"),
        "Off",
        "When Calico wraps pod traffic in IPIP.",
    )
    cilium_ipv4pool: str = _opt(
        "cilium_ipv4pool", _pods, "10.100.0.0/16", "Pod addresses, Cilium."
    )
    flannel_network_cidr: str = _opt(
        "flannel_network_cidr",
        _pods,
        "10.100.0.0/16",
        "Pod addresses, Flannel.",
    )
    flannel_network_subnetlen: int = _opt(
        "flannel_network_subnetlen",
        t.Integer(10, 29),
        "24",
        "Prefix length of each node's share of the pod addresses, Flannel.",
    )
    flannel_backend: str = _opt(
        "flannel_backend",
        t.Choice("vxlan", "host-gw", "udp"),
        "vxlan",
        "How Flannel carries pod traffic between nodes.",
    )
    # API endpoint --------------------------------------------------------
    master_lb_floating_ip_enabled: bool | None = _opt(
        "master_lb_floating_ip_enabled",
        t.Boolean(),
        None,
        "Floating IP for the API; unset follows floating_ip_enabled.",
    )
    master_lb_allowed_cidrs: tuple[str, ...] = _opt(
        "master_lb_allowed_cidrs",
        t.Listed(
            t.network_or_address, "networks such as 10.0.0.0/8,192.0.2.7/32"
        ),
        "",
        "Who may reach the API's load balancer; empty: everybody.",
    )
    octavia_provider: str = _opt(
        "octavia_provider",
        t.Pattern("[A-Za-z0-9_-]{1,64}", "an Octavia provider's name"),
        "amphora",
        "Octavia provider of the API's load balancer.",
    )
    octavia_lb_algorithm: str = _opt(
        "octavia_lb_algorithm",
        t.Choice(
            "ROUND_ROBIN",
            "LEAST_CONNECTIONS",
            "SOURCE_IP",
            "SOURCE_IP_PORT",
            "",
        ),
        "",
        "Algorithm of the API's load balancer; empty: SOURCE_IP_PORT for "
        "the provider ovn, which knows no other, else ROUND_ROBIN.",
    )
    octavia_lb_healthcheck: bool = _opt(
        "octavia_lb_healthcheck",
        t.AlwaysTrue(
            "the API is only dependable when its load balancer leaves out "
            "nodes that do not answer"
        ),
        "true",
        "Health monitor of the API's load balancer; cannot be turned off.",
    )
    # Components ----------------------------------------------------------
    container_infra_prefix: str = _opt(
        "container_infra_prefix",
        t.Prefix(),
        "",
        "Registry and path to take every image of the driver from.",
    )
    chart_mirror: str = _opt(
        "chart_mirror",
        t.Pattern(
            r"(https?|oci)://[A-Za-z0-9.\[\]:-]+(/[A-Za-z0-9._~/%+-]*)?",
            "an http, https or oci URL",
        ),
        "",
        "Helm repository, or registry and path as oci://, to take every "
        "chart of an add-on from; each has its official name and version "
        "there.",
    )
    kubelet_options: tuple[tuple[str, str], ...] = _flags(
        "kubelet_options", "kubelet"
    )
    kubeapi_options: tuple[tuple[str, str], ...] = _flags(
        "kubeapi_options", "kube-apiserver"
    )
    kubecontroller_options: tuple[tuple[str, str], ...] = _flags(
        "kubecontroller_options", "kube-controller-manager"
    )
    kubescheduler_options: tuple[tuple[str, str], ...] = _flags(
        "kubescheduler_options", "kube-scheduler"
    )
    kubeproxy_options: tuple[tuple[str, str], ...] = _flags(
        "kubeproxy_options", "kube-proxy"
    )
    admission_control_list: tuple[str, ...] = _opt(
        "admission_control_list",
        t.Listed(
            t.Pattern("[A-Za-z][A-Za-z0-9]*", "a plugin"),
            "names of admission plugins, separated by commas",
        ),
        "",
        "Admission plugins besides those that are on by default.",
    )


_INHERITED = frozenset(
    field.name for field in dataclasses.fields(addon_labels.AddonLabels)
)
OPTS: tuple[cfg.Opt, ...] = tuple(
    field.metadata["opt"]
    for field in sorted(
        dataclasses.fields(Labels), key=lambda one: one.name in _INHERITED
    )
)
"""Options of the same names: operators set defaults of labels with them."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ParsedLabels:
    """What came out of a mapping of label texts."""

    labels: Labels
    """Labels with a problem have their default here."""
    problems: tuple[problems_module.Problem, ...] = ()
    warnings: tuple[str, ...] = ()
    """Sentences about labels that were ignored."""


def parse(
    raw: Mapping[str, str], defaults: Mapping[str, object] | None = None
) -> ParsedLabels:
    """Return typed labels; never raises.

    Names are compared in lower case and values are trimmed, because Horizon
    and people write them in many ways; an empty value means unset.

    :param raw: labels as Magnum has them.
    :param defaults: values, text or typed, of labels that are not set
        there: the operator's. None or '' leaves the driver's own default.
    """
    given, warnings = _known(raw)
    values: dict[str, Any] = {}
    problems: list[problems_module.Problem] = []
    for opt in OPTS:
        for text in (given.get(opt.name), (defaults or {}).get(opt.name)):
            if text is None or text in ("", ()):
                continue
            try:
                values[opt.name] = opt.type(text)
            except ValueError as error:
                problems.append(t.refusal(opt, str(text), str(error)))
            break
    labels = Labels(**values)
    return ParsedLabels(
        labels=labels, problems=tuple(problems), warnings=tuple(warnings)
    )


def _known(raw: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the set labels by their registered names, and warnings."""
    names = {opt.name for opt in OPTS}
    given: dict[str, str] = {}
    warnings: list[str] = []
    for written, value in sorted(raw.items(), key=lambda item: str(item[0])):
        name = str(written).strip().lower()
        text = "" if value is None else str(value).strip()
        if not text:
            continue
        if name in ALIASES:
            given.setdefault(ALIASES[name], text)
        elif name in names:
            given[name] = text
        else:
            warnings += retired_labels.warnings(name, text, [*names, *ALIASES])
    return given, warnings
