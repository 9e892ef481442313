# SPDX-License-Identifier: Apache-2.0
"""Prometheus, Alertmanager and Grafana, by kube-prometheus-stack."""

from typing import Any

from magnum_k8s_driver.addons import addon

_UNREACHABLE = (
    "kubeControllerManager",
    "kubeEtcd",
    "kubeProxy",
    "kubeScheduler",
)
"""They answer on the loopback address of their node only."""
_GIB_OF_ALERTS = 1


def _values(setting: addon.Setting) -> dict[str, Any]:
    labels = setting.spec.labels
    values: dict[str, Any] = {
        "fullnameOverride": "monitoring",
        "prometheusOperator": _operator(setting),
        "prometheus": {
            "prometheusSpec": {
                "image": setting.split("prometheus"),
                "retention": f"{labels.monitoring_retention_days}d",
                "retentionSize": f"{labels.monitoring_retention_size}GiB",
                "scrapeInterval": f"{labels.monitoring_interval_seconds}s",
            }
        },
        "alertmanager": {
            "alertmanagerSpec": {"image": setting.split("alertmanager")}
        },
        "kube-state-metrics": {"image": setting.split("state")},
        "prometheus-node-exporter": {
            # The chart would append it to our tag, too.
            "image": {**setting.split("exporter"), "distroless": False}
        },
        "grafana": _grafana(setting),
        **{one: {"enabled": False} for one in _UNREACHABLE},
    }
    if labels.monitoring_storage_class_name:
        prometheus = values["prometheus"]["prometheusSpec"]
        # Room for what is written before old blocks are dropped.
        prometheus["storageSpec"] = _claim(
            setting, labels.monitoring_retention_size * 5 // 4 + 1
        )
        alertmanager = values["alertmanager"]["alertmanagerSpec"]
        alertmanager["storage"] = _claim(setting, _GIB_OF_ALERTS)
    return values


def _operator(setting: addon.Setting) -> dict[str, Any]:
    return {
        "image": setting.split("operator"),
        "prometheusConfigReloader": {"image": setting.split("reloader")},
        "thanosImage": setting.split("thanos"),
        # Their certificate is made by hooks, in which Helm validates
        # whatever it is told: one aggregated API out of reach, such as
        # that of a metrics server which starts, ends the installation.
        "admissionWebhooks": {"enabled": False},
        "tls": {"enabled": False},
    }


def _grafana(setting: addon.Setting) -> dict[str, Any]:
    labels = setting.spec.labels
    values: dict[str, Any] = {
        "image": setting.split("grafana"),
        "sidecar": {"image": setting.split("sidecar")},
        "testFramework": {"enabled": False},
    }
    if labels.grafana_admin_passwd:
        # Without one the chart makes one and keeps it.
        values["adminPassword"] = labels.grafana_admin_passwd
    if labels.monitoring_ingress_enabled:
        host = f"grafana.{labels.cluster_root_domain_name}"
        values["ingress"] = {"enabled": True, "hosts": [host]}
    return values


def _claim(setting: addon.Setting, gib: int) -> dict[str, Any]:
    return {
        "volumeClaimTemplate": {
            "spec": {
                "storageClassName": (
                    setting.spec.labels.monitoring_storage_class_name
                ),
                "accessModes": ["ReadWriteOnce"],
                "resources": {"requests": {"storage": f"{gib}Gi"}},
            }
        }
    }


ADDON = addon.Addon(
    name="monitoring",
    title="Prometheus, Alertmanager and Grafana",
    wanted=lambda spec: spec.labels.monitoring_enabled,
    asked_by="monitoring_enabled",
    required=False,
    namespace="monitoring",
    privileged=True,
    values=_values,
)
