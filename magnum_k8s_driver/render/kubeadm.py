# SPDX-License-Identifier: Apache-2.0
"""Documents for kubeadm (v1beta4) as data.

They hold nothing about a single machine: its name is its hostname, its
address and provider id are added by the node program through the kubelet's
own drop-in directory.
"""

from collections.abc import Mapping, Sequence
import dataclasses
import ipaddress
from typing import Any

from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.render import apiserver

API_VERSION = "kubeadm.k8s.io/v1beta4"
CRI_SOCKET = "unix:///run/containerd/containerd.sock"
REGISTRY = "registry.k8s.io"

# A volume's root has lost+found, and kubeadm wants an empty directory.
ETCD_DATA_DIR = "/var/lib/etcd/data"
KUBELET_DROPIN_DIR = "/etc/kubernetes/kubelet.conf.d"

DISCOVERY_PATH = "/etc/magnum/kubeadm/discovery.yaml"
CLUSTER_CA_PATH = "/etc/magnum/cluster-ca.pem"
JOIN_CERTIFICATE_PATH = "/etc/magnum/join.crt"
JOIN_KEY_PATH = "/etc/magnum/join.key"

_CONTROL_PLANE_TAINT = {
    "key": "node-role.kubernetes.io/control-plane",
    "effect": "NoSchedule",
}
# kubeadm starts kube-proxy with a configuration file, beside which flags are
# not read: these are the flags that have a field.
_PROXY_FIELDS = {
    "proxy-mode": ("mode",),
    "masquerade-all": ("iptables", "masqueradeAll"),
    "conntrack-max-per-core": ("conntrack", "maxPerCore"),
    "conntrack-min": ("conntrack", "min"),
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where nodes and users reach the API server."""

    host: str
    port: int = spec_module.DEFAULT_API_PORT
    addresses: tuple[str, ...] = ()
    """Every further address or name it answers on."""

    def __str__(self) -> str:
        return f"{_bracketed(self.host)}:{self.port}"


def init_configuration(
    spec: spec_module.ClusterSpec, port: int = spec_module.DEFAULT_API_PORT
) -> dict[str, Any]:
    """Return what only the first ``kubeadm init`` reads."""
    return {
        "apiVersion": API_VERSION,
        "kind": "InitConfiguration",
        "localAPIEndpoint": {"bindPort": port},
        "nodeRegistration": _node_registration(spec, spec.control_plane),
        "timeouts": _timeouts(),
    }


def join_configuration(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    port: int = spec_module.DEFAULT_API_PORT,
) -> dict[str, Any]:
    """Return how a machine of a group joins, control plane or worker.

    Discovery is by file: anonymous requests are answered on the health paths
    only, so ``cluster-info`` cannot be read with a token alone.
    """
    document: dict[str, Any] = {
        "apiVersion": API_VERSION,
        "kind": "JoinConfiguration",
        "discovery": {"file": {"kubeConfigPath": DISCOVERY_PATH}},
        "nodeRegistration": _node_registration(spec, group),
        "timeouts": _timeouts(),
    }
    if group.role is spec_module.Role.CONTROL_PLANE:
        document["controlPlane"] = {"localAPIEndpoint": {"bindPort": port}}
    return document


def cluster_configuration(
    spec: spec_module.ClusterSpec, endpoint: Endpoint
) -> dict[str, Any]:
    """Return what every control-plane node of a cluster shares."""
    network = spec.network
    return {
        "apiVersion": API_VERSION,
        "kind": "ClusterConfiguration",
        # Becomes --cluster-name; the cloud controller manager marks load
        # balancers with it and Magnum finds them by it.
        "clusterName": spec.uuid,
        "kubernetesVersion": spec.control_plane.kubernetes_version,
        "controlPlaneEndpoint": str(endpoint),
        "imageRepository": image_repository(spec),
        "networking": {
            "podSubnet": network.pod_cidr,
            "serviceSubnet": network.service_cidr,
            "dnsDomain": network.dns_domain,
        },
        "etcd": {"local": _etcd(spec)},
        "apiServer": {
            "certSANs": list(certificate_names(endpoint)),
            "extraArgs": arguments(
                apiserver.arguments(
                    spec.labels, balanced=spec.endpoint.load_balancer
                ),
                spec.labels.kubeapi_options,
            ),
            "extraVolumes": apiserver.volumes(),
        },
        "controllerManager": {
            "extraArgs": arguments(
                _controller_manager(spec), spec.labels.kubecontroller_options
            )
        },
        "scheduler": {
            "extraArgs": arguments(
                _bind_address(spec), spec.labels.kubescheduler_options
            )
        },
    }


def kubelet_configuration(spec: spec_module.ClusterSpec) -> dict[str, Any]:
    """Return the kubelet's configuration, alike on every node."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": spec.labels.cgroup_driver,
        "clusterDomain": spec.network.dns_domain,
        "rotateCertificates": True,
        "readOnlyPort": 0,
        "tlsMinVersion": "VersionTLS12",
        "shutdownGracePeriod": "60s",
        "shutdownGracePeriodCriticalPods": "20s",
        "serializeImagePulls": False,
        "maxParallelImagePulls": 5,
        "containerLogMaxSize": "50Mi",
        "containerLogMaxFiles": 5,
    }


def group_kubelet_configuration(
    group: spec_module.NodeGroupSpec,
) -> dict[str, Any]:
    """Return the drop-in that sets a group's kubelets apart."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "cgroupDriver": group.labels.cgroup_driver,
    }


def kube_proxy_configuration(spec: spec_module.ClusterSpec) -> dict[str, Any]:
    """Return kube-proxy's configuration; flags are fields of it."""
    document: dict[str, Any] = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        # Said explicitly: from 1.37 on kube-proxy warns without.
        "mode": "iptables",
        "clusterCIDR": spec.network.pod_cidr,
    }
    if spec.labels.monitoring_enabled:
        document["metricsBindAddress"] = "0.0.0.0:10249"
    for flag, value in spec.labels.kubeproxy_options:
        path = _PROXY_FIELDS.get(flag)
        if path is not None:
            _set(document, path, value)
    return document


def discovery_file(
    endpoint: Endpoint, role: spec_module.Role, token: str = ""
) -> dict[str, Any]:
    """Return the kubeconfig by which a machine finds and trusts the API.

    The node program writes the CA's file. Workers show the token of their
    orders; control-plane nodes sign a certificate of their own, because
    their names are never given out for a token.
    """
    if role is spec_module.Role.CONTROL_PLANE:
        # kubeadm embeds these files, but takes a token only as a value.
        user = {
            "client-certificate": JOIN_CERTIFICATE_PATH,
            "client-key": JOIN_KEY_PATH,
        }
    else:
        user = {"token": token}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "cluster",
                "cluster": {
                    "server": f"https://{endpoint}",
                    "certificate-authority": CLUSTER_CA_PATH,
                },
            }
        ],
        "users": [{"name": "joiner", "user": user}],
        "contexts": [
            {
                "name": "join",
                "context": {"cluster": "cluster", "user": "joiner"},
            }
        ],
        "current-context": "join",
    }


def certificate_names(endpoint: Endpoint) -> tuple[str, ...]:
    """Return the SANs of the API certificate besides kubeadm's own.

    kubeadm adds the service's names and address, and the machine's.
    """
    names = (endpoint.host, *endpoint.addresses, "127.0.0.1", "localhost")
    return tuple(dict.fromkeys(name for name in names if name))


def image_repository(spec: spec_module.ClusterSpec) -> str:
    """Return where the control plane's images come from."""
    prefix = spec.labels.container_infra_prefix.rstrip("/")
    return prefix or REGISTRY


def arguments(
    ours: Mapping[str, str], theirs: Sequence[tuple[str, str]]
) -> list[dict[str, str]]:
    """Return extra arguments: a user's flag replaces ours of that name."""
    named = {flag for flag, _value in theirs}
    pairs = [
        (flag, value) for flag, value in ours.items() if flag not in named
    ]
    return [
        {"name": name, "value": value} for name, value in (*pairs, *theirs)
    ]


def _node_registration(
    spec: spec_module.ClusterSpec, group: spec_module.NodeGroupSpec
) -> dict[str, Any]:
    taints = [
        {"key": one.key, "value": one.value, "effect": one.effect}
        if one.value
        else {"key": one.key, "effect": one.effect}
        for one in group.taints
    ]
    if group.role is spec_module.Role.CONTROL_PLANE:
        taints.insert(0, dict(_CONTROL_PLANE_TAINT))
    ours = {
        "node-labels": ",".join(
            f"{key}={value}"
            for key, value in sorted(node_labels(group).items())
        ),
        "config-dir": KUBELET_DROPIN_DIR,
    }
    if spec.labels.cloud_provider_enabled:
        ours["cloud-provider"] = "external"
    return {
        "criSocket": CRI_SOCKET,
        "taints": taints,
        "kubeletExtraArgs": arguments(ours, group.labels.kubelet_options),
        "imagePullSerial": False,
    }


def node_labels(group: spec_module.NodeGroupSpec) -> dict[str, str]:
    """Return the labels a group's Nodes have from the start.

    Role names are those that Magnum's users know.
    """
    control_plane = group.role is spec_module.Role.CONTROL_PLANE
    return {
        **group.node_labels,
        "magnum.openstack.org/role": "master" if control_plane else "worker",
        "magnum.openstack.org/nodegroup": group.name,
    }


def _timeouts() -> dict[str, str]:
    # Pulling images through a slow mirror counts as starting.
    return {
        "controlPlaneComponentHealthCheck": "8m0s",
        "kubeletHealthCheck": "4m0s",
        "kubernetesAPICall": "2m0s",
        "etcdAPICall": "4m0s",
        "discovery": "5m0s",
        "tlsBootstrap": "5m0s",
        "upgradeManifests": "10m0s",
    }


def _etcd(spec: spec_module.ClusterSpec) -> dict[str, Any]:
    document: dict[str, Any] = {"dataDir": ETCD_DATA_DIR}
    if spec.labels.monitoring_enabled:
        document["extraArgs"] = arguments(
            {"listen-metrics-urls": "http://0.0.0.0:2381"}, ()
        )
    return document


def _controller_manager(spec: spec_module.ClusterSpec) -> dict[str, str]:
    found = _bind_address(spec)
    if spec.labels.cloud_provider_enabled:
        found["cloud-provider"] = "external"
    networks = spec.network.pod_cidr.split(",")
    if spec.network.cni == "flannel":
        length = str(spec.labels.flannel_network_subnetlen)
        dual = len(networks) > 1
        found["node-cidr-mask-size" + ("-ipv4" if dual else "")] = length
    return found


def _bind_address(spec: spec_module.ClusterSpec) -> dict[str, str]:
    found = {"profiling": "false"}
    if spec.labels.monitoring_enabled:
        found["bind-address"] = "0.0.0.0"  # noqa: S104 - scraped from pods
    return found


def _set(document: dict[str, Any], path: Sequence[str], value: str) -> None:
    for part in path[:-1]:
        document = document.setdefault(part, {})
    plain: Any = value
    if value.lower() in ("true", "false"):
        plain = value.lower() == "true"
    elif value.isdecimal():
        plain = int(value)
    document[path[-1]] = plain


def _bracketed(host: str) -> str:
    try:
        version = ipaddress.ip_address(host).version
    except ValueError:
        return host
    return f"[{host}]" if version == 6 else host
