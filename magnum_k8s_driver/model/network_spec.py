# SPDX-License-Identifier: Apache-2.0
"""From a cluster's fields to its network, API endpoint and proxies."""

import ipaddress
import re

from magnum_k8s_driver.model import checks as checks_module
from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import labels as labels_module
from magnum_k8s_driver.model import spec as spec_module

CNIS = ("calico", "cilium", "flannel")

_NODE_PREFIX_LENGTH = 24
"""Each node's share of the pod addresses, kubeadm's default."""
_MOST_NODE_BITS = 16
"""kubeadm: PodSubnetNodeMaskMaxDiff in cmd/kubeadm/app/constants (v1.36)."""
_LOCAL = (
    "localhost",
    "127.0.0.1",
    "169.254.169.254",
    ".svc",
    ".cluster.local",
)
"""Never behind a proxy, whatever the user wrote."""
_PROXY_URL = re.compile(r"https?://[^\s\"'`$\\<>]{1,240}")


def network(
    labels: labels_module.Labels, checks: checks_module.Checks
) -> spec_module.NetworkSpec:
    """Return where nodes, pods and Services live; see ``node_group``."""
    cluster = checks.cluster
    subnet = _subnet(checks)
    cni = cluster.network_driver or fields.DEFAULT_CNI
    if cni not in CNIS:
        checks.tell(
            "network_driver",
            f"Network driver {cni} is not offered; choose one of "
            f"{', '.join(CNIS)}.",
        )
    result = spec_module.NetworkSpec(
        external_network_id=_external_network(checks),
        network_id=subnet.network_id if subnet else None,
        subnet_id=subnet.id if subnet else None,
        subnet_cidr=subnet.cidr if subnet else labels.fixed_subnet_cidr,
        dns_nameservers=_nameservers(checks),
        cni=cni,
        pod_cidr=_pod_cidr(cni, labels, checks),
        service_cidr=labels.service_cluster_ip_range,
    )
    _check_overlaps(result, checks)
    _check_addresses(result, subnet, checks)
    return result


def endpoint(
    labels: labels_module.Labels, checks: checks_module.Checks
) -> spec_module.EndpointSpec:
    """Return how the API server is reached; see ``node_group``."""
    cluster = checks.cluster
    floating_ip = labels.master_lb_floating_ip_enabled
    if floating_ip is None:
        floating_ip = cluster.floating_ip_enabled
    port = cluster.apiserver_port or spec_module.DEFAULT_API_PORT
    if not 1 <= port <= 65535:
        checks.tell(
            "apiserver_port",
            f"The field apiserver_port is {port} but must be from 1 to 65535.",
        )
    if cluster.master_lb_enabled:
        _check_provider(labels, checks)
    _check_way_out(floating_ip, checks)
    return spec_module.EndpointSpec(
        load_balancer=cluster.master_lb_enabled,
        floating_ip=floating_ip,
        port=port,
        provider=labels.octavia_provider,
        algorithm=_algorithm(labels, checks),
        allowed_cidrs=labels.master_lb_allowed_cidrs,
    )


def proxy(
    network_spec: spec_module.NetworkSpec, checks: checks_module.Checks
) -> spec_module.ProxySpec:
    """Return the proxies of the nodes.

    What a cluster says to itself and to the metadata service must not take
    the detour; the endpoint's internal address is in the node network.
    """
    cluster = checks.cluster
    for name, url in (
        ("http_proxy", cluster.http_proxy),
        ("https_proxy", cluster.https_proxy),
    ):
        if url and not _PROXY_URL.fullmatch(url):
            checks.tell(
                name, f"The field {name} must be an http or https URL."
            )
    if not cluster.http_proxy and not cluster.https_proxy:
        return spec_module.ProxySpec()
    theirs = (part.strip() for part in cluster.no_proxy.split(","))
    ours = (
        network_spec.subnet_cidr,
        network_spec.pod_cidr,
        network_spec.service_cidr,
        *_LOCAL,
    )
    return spec_module.ProxySpec(
        http=cluster.http_proxy,
        https=cluster.https_proxy,
        no_proxy=tuple(dict.fromkeys([*filter(None, theirs), *ours])),
    )


def _external_network(checks: checks_module.Checks) -> str:
    reference = checks.cluster.external_network
    subject = f"external network {reference}"
    if not reference:
        checks.tell("external_network_id", "Set external_network_id.")
        return ""
    found = facts_module.lookup(checks.facts.networks, reference)
    if isinstance(found, facts_module.Missing):
        checks.tell(subject, f"External network {reference} {found.reason}.")
        return ""
    if not found.external:
        checks.tell(
            subject,
            f"Network {reference} cannot be the external network: it is not "
            "marked as external.",
        )
    return found.id


def _subnet(checks: checks_module.Checks) -> facts_module.SubnetFacts | None:
    """Return the existing subnet, None when the driver shall make one."""
    cluster = checks.cluster
    if cluster.fixed_subnet:
        subnet = _named_subnet(cluster.fixed_subnet, checks)
    elif cluster.fixed_network:
        subnet = _only_subnet(cluster.fixed_network, checks)
    else:
        return None
    if subnet is not None and subnet.ip_version != 4:
        checks.tell(
            f"subnet {subnet.name}",
            f"Subnet {subnet.name} is IPv6; nodes need an IPv4 subnet.",
        )
        return None
    return subnet


def _named_subnet(
    reference: str, checks: checks_module.Checks
) -> facts_module.SubnetFacts | None:
    subnet = facts_module.lookup(checks.facts.subnets, reference)
    if isinstance(subnet, facts_module.Missing):
        checks.tell(
            f"subnet {reference}", f"Subnet {reference} {subnet.reason}."
        )
        return None
    network_reference = checks.cluster.fixed_network
    if network_reference:
        found = facts_module.lookup(checks.facts.networks, network_reference)
        if isinstance(found, facts_module.Missing):
            _tell_network(network_reference, found, checks)
        elif found.id != subnet.network_id:
            checks.tell(
                f"subnet {reference}",
                f"Subnet {reference} does not belong to network "
                f"{network_reference}.",
            )
    return subnet


def _only_subnet(
    reference: str, checks: checks_module.Checks
) -> facts_module.SubnetFacts | None:
    found = facts_module.lookup(checks.facts.networks, reference)
    if isinstance(found, facts_module.Missing):
        _tell_network(reference, found, checks)
        return None
    subnets = [one for one in found.subnets if one.ip_version == 4]
    if len(subnets) == 1:
        return subnets[0]
    checks.tell(
        f"network {reference}",
        f"Network {reference} has {len(subnets)} IPv4 subnets; "
        + ("choose one as fixed_subnet." if subnets else "nodes need one."),
    )
    return None


def _tell_network(
    reference: str,
    missing: facts_module.Missing,
    checks: checks_module.Checks,
) -> None:
    checks.tell(
        f"network {reference}", f"Network {reference} {missing.reason}."
    )


def _nameservers(checks: checks_module.Checks) -> tuple[str, ...]:
    servers = []
    for part in checks.cluster.dns_nameserver.split(","):
        text = part.strip()
        if not text:
            continue
        try:
            servers.append(str(ipaddress.ip_address(text)))
        except ValueError:
            checks.tell(
                "dns_nameserver",
                f"The field dns_nameserver has {text!r} but must hold IP "
                "addresses, separated by commas.",
            )
    return tuple(dict.fromkeys(servers))


def _pod_cidr(
    cni: str, labels: labels_module.Labels, checks: checks_module.Checks
) -> str:
    name, cidr, node_length = {
        "cilium": (
            "cilium_ipv4pool",
            labels.cilium_ipv4pool,
            _NODE_PREFIX_LENGTH,
        ),
        "flannel": (
            "flannel_network_cidr",
            labels.flannel_network_cidr,
            labels.flannel_network_subnetlen,
        ),
    }.get(
        cni,
        ("calico_ipv4pool", labels.calico_ipv4pool, _NODE_PREFIX_LENGTH),
    )
    bits = node_length - ipaddress.ip_network(cidr).prefixlen
    if not 0 <= bits <= _MOST_NODE_BITS:
        checks.tell(
            f"label {name}",
            f"Label {name} is {cidr} but must be from "
            f"/{node_length - _MOST_NODE_BITS} to /{node_length}, because "
            f"each node gets a /{node_length} of it.",
        )
    return cidr


def _check_overlaps(
    spec: spec_module.NetworkSpec, checks: checks_module.Checks
) -> None:
    ranges = [
        ("node network", spec.subnet_cidr),
        ("pod addresses", spec.pod_cidr),
        ("Service addresses", spec.service_cidr),
    ]
    for index, (name, cidr) in enumerate(ranges):
        for other_name, other in ranges[index + 1 :]:
            if ipaddress.ip_network(cidr).overlaps(
                ipaddress.ip_network(other)
            ):
                checks.tell(
                    "addresses",
                    f"The {name} {cidr} and the {other_name} {other} "
                    "overlap; choose ranges that do not.",
                )


def _check_addresses(
    spec: spec_module.NetworkSpec,
    subnet: facts_module.SubnetFacts | None,
    checks: checks_module.Checks,
) -> None:
    """Tell when the nodes' network has not enough addresses for them.

    Not all who use an existing subnet may be known.
    """
    needed = sum(one.count for one in checks.cluster.node_groups)
    needed += int(checks.cluster.master_lb_enabled)
    if subnet is None:
        # The network itself, the router and broadcast take one each.
        found = ipaddress.ip_network(spec.subnet_cidr).num_addresses - 3
        name = f"The range {spec.subnet_cidr} of label fixed_subnet_cidr"
    elif subnet.addresses is not None:
        found, name = subnet.addresses, f"Subnet {subnet.name}"
    else:
        return
    taken = subnet.taken if subnet else 0
    if needed > found - taken:
        others = f", {taken} of them taken," if taken else ""
        checks.tell(
            "addresses",
            f"{name} has {found} addresses{others} but the cluster needs "
            f"{needed}; choose a larger one or fewer nodes.",
        )


def _check_way_out(api: bool, checks: checks_module.Checks) -> None:
    """Tell when Neutron could not give floating IPs to an existing subnet.

    It looks for a router between the two: ``_get_router_for_floatingip`` in
    neutron/db/l3_db.py.

    :param api: whether the API shall have one.
    """
    cluster, subnet = checks.cluster, _subnet(checks)
    reference = cluster.external_network
    outside = facts_module.lookup(checks.facts.networks, reference)
    if isinstance(outside, facts_module.Missing) or subnet is None:
        return
    nodes = cluster.floating_ip_enabled and any(
        one.count
        for one in cluster.node_groups
        if cluster.master_lb_enabled or one.role is spec_module.Role.WORKER
    )
    reached = subnet.outside is None or outside.id in subnet.outside
    if (api or nodes) and not reached:
        checks.tell(
            f"subnet {subnet.name}",
            f"Subnet {subnet.name} has no router to the external network "
            f"{outside.name}, so there are no floating IPs for it; connect "
            "one, or turn floating_ip_enabled and "
            "master_lb_floating_ip_enabled off.",
        )


def _check_provider(
    labels: labels_module.Labels, checks: checks_module.Checks
) -> None:
    if not checks.facts.load_balancing:
        checks.tell(
            "load balancer",
            "A load balancer was asked for (master_lb_enabled) but this "
            "cloud has no load balancer service.",
        )
        return
    known = checks.facts.load_balancer_providers
    provider = labels.octavia_provider
    if known is not None and provider not in known:
        checks.tell(
            "label octavia_provider",
            f"Label octavia_provider is {provider!r} but this cloud has "
            f"{', '.join(sorted(known)) or 'no provider'}.",
        )


def _algorithm(
    labels: labels_module.Labels, checks: checks_module.Checks
) -> str:
    # ovn-octavia-provider's documentation: "SOURCE_IP_PORT" only.
    only = "SOURCE_IP_PORT" if labels.octavia_provider == "ovn" else ""
    wanted = labels.octavia_lb_algorithm
    if only and wanted not in ("", only):
        checks.tell(
            "label octavia_lb_algorithm",
            f"Label octavia_lb_algorithm is {wanted} but the provider ovn "
            f"only knows {only}.",
        )
    return wanted or only or "ROUND_ROBIN"
