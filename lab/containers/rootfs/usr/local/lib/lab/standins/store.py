# SPDX-License-Identifier: Apache-2.0
"""Objects of the API, kept in one file where etcd's data would be."""

import base64
import json
import os
import pathlib
import threading
import time
import uuid

RESOURCES = {
    "nodes": ("", "v1", "Node", False),
    "namespaces": ("", "v1", "Namespace", False),
    "secrets": ("", "v1", "Secret", True),
    "configmaps": ("", "v1", "ConfigMap", True),
    "pods": ("", "v1", "Pod", True),
    "serviceaccounts": ("", "v1", "ServiceAccount", True),
    "jobs": ("batch", "v1", "Job", True),
    "leases": ("coordination.k8s.io", "v1", "Lease", True),
    "storageclasses": ("storage.k8s.io", "v1", "StorageClass", False),
    "certificatesigningrequests": (
        "certificates.k8s.io",
        "v1",
        "CertificateSigningRequest",
        False,
    ),
    "clusterrolebindings": (
        "rbac.authorization.k8s.io",
        "v1",
        "ClusterRoleBinding",
        False,
    ),
}
"""Group, version, kind and whether it is in a namespace."""


def now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def api_version(resource: str) -> str:
    group, version, _kind, _namespaced = RESOURCES[resource]
    return f"{group}/{version}" if group else version


class Store:
    """Objects by resource, namespace and name."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._objects: dict[str, dict] = {}
        self._number = 1
        if path.exists():
            content = json.loads(path.read_text())
            self._objects = content["objects"]
            self._number = content["number"]

    @property
    def number(self) -> str:
        return str(self._number)

    def read(self, resource: str, namespace: str, name: str) -> dict | None:
        with self._lock:
            found = self._objects.get(f"{resource}/{namespace}/{name}")
            return json.loads(json.dumps(found)) if found else None

    def list(self, resource: str, namespace: str = "") -> list[dict]:
        prefix = f"{resource}/"
        if namespace:
            prefix += f"{namespace}/"
        with self._lock:
            return [
                json.loads(json.dumps(one))
                for key, one in sorted(self._objects.items())
                if key.startswith(prefix)
            ]

    def write(self, resource: str, namespace: str, item: dict) -> dict:
        """Put an object in place of what is there."""
        with self._lock:
            self._number += 1
            metadata = item.setdefault("metadata", {})
            if "generateName" in metadata and not metadata.get("name"):
                tail = uuid.uuid4().hex[:5]
                metadata["name"] = metadata["generateName"] + tail
            if namespace:
                metadata["namespace"] = namespace
            metadata.setdefault("uid", str(uuid.uuid4()))
            metadata.setdefault("creationTimestamp", now())
            metadata["resourceVersion"] = self.number
            item["apiVersion"] = api_version(resource)
            item["kind"] = RESOURCES[resource][2]
            _encode(item)
            key = f"{resource}/{namespace}/{metadata['name']}"
            self._objects[key] = json.loads(json.dumps(item))
            self._save()
            return item

    def delete(self, resource: str, namespace: str, name: str) -> bool:
        with self._lock:
            key = f"{resource}/{namespace}/{name}"
            found = self._objects.pop(key, None) is not None
            self._number += 1
            self._save()
            return found

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.touch(mode=0o600)
        new.write_text(
            json.dumps({"number": self._number, "objects": self._objects})
        )
        os.replace(new, self._path)


def merge(target, change):
    """Apply a merge patch; strategic ones replace lists here, too."""
    if not isinstance(change, dict):
        return change
    found = dict(target) if isinstance(target, dict) else {}
    for key, value in change.items():
        if key.startswith("$"):
            continue
        if value is None:
            found.pop(key, None)
        else:
            found[key] = merge(found.get(key), value)
    return found


def select(items: list[dict], selector: str) -> list[dict]:
    """Return the objects that a field selector is for."""
    for term in filter(None, selector.split(",")):
        path, _, value = term.replace("==", "=").partition("=")
        items = [one for one in items if _field(one, path) == value]
    return items


def _field(item: dict, path: str) -> str:
    found = item
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return "" if found is None else str(found)


def _encode(item: dict) -> None:
    plain = item.pop("stringData", None)
    if plain:
        item.setdefault("data", {}).update(
            {
                key: base64.b64encode(value.encode()).decode()
                for key, value in plain.items()
            }
        )
