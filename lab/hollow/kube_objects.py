# SPDX-License-Identifier: Apache-2.0
"""What the hollow API server answers, as Kubernetes would write it."""

from collections.abc import Iterable
from collections.abc import Mapping
import datetime
import json
import time
from typing import Any

from lab.hollow import cluster as cluster_module

CONTROL_PLANE = "control-plane"
STATIC_PODS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
)
_LABEL = "magnum.openstack.org"
_COLUMNS = ("Name", "Status", "Roles", "Age", "Version")


def version(cluster: cluster_module.Cluster) -> dict[str, str]:
    """Return the oldest version a control-plane member runs."""
    found = sorted(
        one.version for one in _nodes(cluster) if one.role == CONTROL_PLANE
    )
    text = found[0] if found else "v0.0.0"
    major, minor, *_ = [*text.lstrip("v").split("."), "", ""]
    return {
        "major": major,
        "minor": minor,
        "gitVersion": text,
        "gitCommit": "hollow",
        "gitTreeState": "clean",
        "buildDate": "2026-01-01T00:00:00Z",
        "goVersion": "go1.25",
        "compiler": "gc",
        "platform": "linux/amd64",
    }


def node_list(
    cluster: cluster_module.Cluster, selector: str = ""
) -> dict[str, Any]:
    items = [node(one) for one in _nodes(cluster)]
    return _list("NodeList", _selected(items, selector))


def pod_list(
    cluster: cluster_module.Cluster, namespace: str = ""
) -> dict[str, Any]:
    """Return the static pods, the only ones there are."""
    if namespace not in ("", "kube-system"):
        return _list("PodList", [])
    return _list(
        "PodList",
        [
            _pod(name, one)
            for one in _nodes(cluster)
            if one.role == CONTROL_PLANE
            for name in STATIC_PODS
        ],
    )


def node(one: cluster_module.NodeObject) -> dict[str, Any]:
    labels = {
        "kubernetes.io/hostname": one.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        f"{_LABEL}/role": one.role,
        f"{_LABEL}/nodegroup": one.group,
    }
    if one.role == CONTROL_PLANE:
        labels["node-role.kubernetes.io/control-plane"] = ""
    labels |= one.labels
    annotations = {}
    if one.report is not None:
        text = json.dumps(one.report, separators=(",", ":"))
        annotations[f"{_LABEL}/report"] = text
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": one.name,
            "uid": one.server_id,
            "resourceVersion": "1",
            "creationTimestamp": _time(one.created),
            "labels": labels,
            "annotations": annotations,
        },
        "spec": {
            "providerID": f"openstack:///{one.server_id}",
            **({"unschedulable": True} if one.unschedulable else {}),
            **({"taints": [*map(_taint, one.taints)]} if one.taints else {}),
        },
        "status": _status(one),
    }


def _taint(text: str) -> dict[str, str]:
    name, _, effect = text.partition(":")
    key, _, value = name.partition("=")
    found = {"key": key, "effect": effect}
    return found | {"value": value} if value else found


def table(nodes: Mapping[str, Any]) -> dict[str, Any]:
    """Return a node list as the table kubectl prints."""
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {"resourceVersion": "1"},
        "columnDefinitions": [
            {
                "name": name,
                "type": "string",
                "format": "name" if name == "Name" else "",
                "description": "",
                "priority": 0,
            }
            for name in _COLUMNS
        ],
        "rows": [
            {
                "cells": _cells(one),
                "object": {
                    "kind": "PartialObjectMetadata",
                    "apiVersion": "meta.k8s.io/v1",
                    "metadata": one["metadata"],
                },
            }
            for one in nodes["items"]
        ],
    }


def resources() -> dict[str, Any]:
    """Return the discovery document of the core group."""
    known = (("nodes", "Node", False, "no"), ("pods", "Pod", True, "po"))
    return {
        "kind": "APIResourceList",
        "groupVersion": "v1",
        "resources": [
            {
                "name": plural,
                "singularName": kind.lower(),
                "namespaced": namespaced,
                "kind": kind,
                "verbs": ["get", "list"],
                "shortNames": [short],
            }
            for plural, kind, namespaced, short in known
        ],
    }


def failure(code: int, reason: str, message: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "reason": reason,
        "code": code,
    }


def _nodes(
    cluster: cluster_module.Cluster,
) -> list[cluster_module.NodeObject]:
    """Return a copy; another thread changes the original."""
    return sorted([*cluster.nodes.values()], key=lambda one: one.name)


def _list(kind: str, items: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "kind": kind,
        "apiVersion": "v1",
        "metadata": {"resourceVersion": "1"},
        "items": items,
    }


def _selected(
    items: Iterable[dict[str, Any]], selector: str
) -> list[dict[str, Any]]:
    wanted = [term for term in selector.split(",") if term]
    return [
        one
        for one in items
        if all(_fits(one["metadata"]["labels"], term) for term in wanted)
    ]


def _fits(labels: Mapping[str, str], term: str) -> bool:
    if term.startswith("!"):
        return term[1:] not in labels
    key, equals, value = term.replace("==", "=").partition("=")
    if key.endswith("!"):
        return labels.get(key[:-1]) != value
    return labels.get(key) == value if equals else key in labels


def _status(one: cluster_module.NodeObject) -> dict[str, Any]:
    unknown = one.reason == cluster_module.UNKNOWN
    status = "True" if one.ready else "Unknown" if unknown else "False"
    addresses = [{"type": "Hostname", "address": one.name}]
    if one.address:
        addresses.append({"type": "InternalIP", "address": one.address})
    return {
        "conditions": [
            {
                "type": "Ready",
                "status": status,
                "reason": one.reason or "KubeletReady",
                "message": "",
                "lastTransitionTime": _time(one.since or one.created),
            }
        ],
        "addresses": addresses,
        "capacity": {"cpu": "2", "memory": "4Gi", "pods": "110"},
        "allocatable": {"cpu": "2", "memory": "4Gi", "pods": "110"},
        "nodeInfo": {
            "architecture": "amd64",
            "bootID": one.server_id,
            "containerRuntimeVersion": "containerd://2.1.9",
            "kernelVersion": "6.12.0-hollow",
            "kubeProxyVersion": one.version,
            "kubeletVersion": one.version,
            "machineID": one.server_id.replace("-", ""),
            "operatingSystem": "linux",
            "osImage": "Hollow node",
            "systemUUID": one.server_id,
        },
    }


def _pod(name: str, one: cluster_module.NodeObject) -> dict[str, Any]:
    return {
        "metadata": {
            "name": f"{name}-{one.name}",
            "namespace": "kube-system",
            "uid": f"{one.server_id}-{name}",
            "creationTimestamp": _time(one.created),
            "labels": {"component": name, "tier": "control-plane"},
        },
        "spec": {
            "nodeName": one.name,
            "containers": [{"name": name, "image": f"hollow/{name}"}],
        },
        "status": {"phase": "Running"},
    }


def _cells(one: Mapping[str, Any]) -> list[str]:
    condition = one["status"]["conditions"][0]
    status = "Ready" if condition["status"] == "True" else "NotReady"
    if one["spec"].get("unschedulable"):
        status += ",SchedulingDisabled"
    prefix = "node-role.kubernetes.io/"
    labels = one["metadata"]["labels"]
    roles = [key.removeprefix(prefix) for key in labels if prefix in key]
    return [
        one["metadata"]["name"],
        status,
        ",".join(roles) or "<none>",
        _age(one["metadata"]["creationTimestamp"]),
        one["status"]["nodeInfo"]["kubeletVersion"],
    ]


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _age(created: str) -> str:
    born = datetime.datetime.fromisoformat(created).timestamp()
    seconds = int(time.time() - born)
    for size, letter in ((86400, "d"), (3600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{letter}"
    return f"{seconds}s"
