# SPDX-License-Identifier: Apache-2.0
"""Labels of older Magnum drivers that mean nothing here, and why."""

from collections.abc import Iterable
import difflib

_LONGEST_SHOWN = 80
_RELEASE = (
    "Versions and images come from the driver's release table; use the label "
    "container_infra_prefix to take them from another registry."
)
_CONTAINERD = "Nodes run containerd, nothing else."
_NO_MONITORING_TUNING = (
    "Install the chart yourself when the built-in monitoring is not enough."
)
_NO_DASHBOARD = (
    "Install a dashboard such as Headlamp from its Helm chart instead."
)
_INGRESS = (
    "Only ingress_controller=octavia is offered; install another ingress "
    "controller or a Gateway from its Helm chart."
)
_HELM = "Helm runs in a Job whose image is in the driver's release table."
_HEALING = "The driver replaces broken nodes itself with auto_healing_enabled."
_OSTREE = "Nodes are updated by a new image, not in place."
_TILLER = "Helm needs no server in the cluster any more."

RETIRED: dict[str, str] = {
    "auto_healing_controller": _HEALING,
    "autoscaler_tag": _RELEASE,
    "calico_tag": _RELEASE,
    "cert_manager_api": (
        "kubeadm always configures the signer of the certificates API."
    ),
    "cinder_csi_plugin_tag": _RELEASE,
    "cloud_provider_tag": _RELEASE,
    "container_runtime": _CONTAINERD,
    "cluster_basic_auth_secret": (
        "Only Grafana is reached from outside, and it asks for a login itself."
    ),
    "coredns_tag": _RELEASE,
    "csi_attacher_tag": _RELEASE,
    "csi_liveness_probe_tag": _RELEASE,
    "csi_node_driver_registrar_tag": _RELEASE,
    "csi_provisioner_tag": _RELEASE,
    "csi_resizer_tag": _RELEASE,
    "csi_snapshotter_tag": _RELEASE,
    "draino_tag": _HEALING,
    "etcd_tag": _RELEASE,
    "flannel_cni_tag": _RELEASE,
    "flannel_tag": _RELEASE,
    "grafana_tag": _RELEASE,
    "heapster_enabled": "Use metrics_server_enabled instead.",
    "heat_container_agent_tag": (
        "Nodes run no Heat agent; they ask the metadata service."
    ),
    "helm_client_sha256": _HELM,
    "helm_client_tag": _HELM,
    "helm_client_url": _HELM,
    "hyperkube_prefix": "Use container_infra_prefix instead.",
    "influx_grafana_dashboard_enabled": "Use monitoring_enabled instead.",
    "ingress_controller_role": _INGRESS,
    "k8s_keystone_auth_tag": _RELEASE,
    "kube_dashboard_enabled": _NO_DASHBOARD,
    "kube_dashboard_version": _NO_DASHBOARD,
    "kube_image_digest": (
        "Downloads are checked against the driver's release table."
    ),
    "magnum_auto_healer_tag": _HEALING,
    "metrics_scraper_tag": _NO_DASHBOARD,
    "metrics_server_chart_tag": _RELEASE,
    "nginx_ingress_controller_chart_tag": _INGRESS,
    "nginx_ingress_controller_tag": _INGRESS,
    "node_problem_detector_tag": _RELEASE,
    "octavia_ingress_controller_tag": _RELEASE,
    "ostree_commit": _OSTREE,
    "ostree_remote": _OSTREE,
    "prometheus_adapter_chart_tag": _RELEASE,
    "prometheus_adapter_configmap": _NO_MONITORING_TUNING,
    "prometheus_adapter_enabled": _NO_MONITORING_TUNING,
    "prometheus_monitoring": "Use monitoring_enabled instead.",
    "prometheus_operator_chart_tag": _RELEASE,
    "prometheus_tag": _RELEASE,
    "system_pods_initial_delay": "kubeadm watches the system's pods itself.",
    "system_pods_timeout": "kubeadm watches the system's pods itself.",
    "tiller_enabled": _TILLER,
    "tiller_namespace": _TILLER,
    "tiller_tag": _TILLER,
    "traefik_ingress_controller_tag": _INGRESS,
    "use_podman": _CONTAINERD,
}
"""Name of a retired label -> a sentence that says what to do instead."""


def warnings(name: str, text: str, known: Iterable[str]) -> list[str]:
    """Return a sentence about a label that is not supported, or none.

    :param name: in lower case.
    :param known: supported names, to guess what was meant.
    """
    reason = RETIRED.get(name)
    if reason is not None:
        # An old feature that is turned off is off: nothing to tell.
        off = name.endswith("_enabled") and text.lower() in ("false", "0")
        return [] if off else [f"Label {name} is ignored: {reason}"]
    names = sorted((*known, *RETIRED))
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.75)
    hint = f" Did you mean {near[0]}?" if near else ""
    return [f"Label {name[:_LONGEST_SHOWN]} is unknown and ignored.{hint}"]
