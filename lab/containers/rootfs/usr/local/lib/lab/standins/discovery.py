# SPDX-License-Identifier: Apache-2.0
"""What the API tells kubectl about itself."""

from standins import store

VERBS = ["create", "delete", "get", "list", "patch", "update"]


def document(path: str) -> dict | None:
    """Return the discovery document at a path, if there is one."""
    if path == "/api":
        return {"kind": "APIVersions", "versions": ["v1"]}
    if path == "/apis":
        return {
            "kind": "APIGroupList",
            "apiVersion": "v1",
            "groups": [_group(name) for name in _groups()],
        }
    if path == "/api/v1":
        return _resources("")
    if path == "/openapi/v3":
        return {
            "paths": {
                _path(group): {
                    "serverRelativeURL": f"/openapi/v3{_url(group)}"
                }
                for group in ("", *_groups())
            }
        }
    for group in ("", *_groups()):
        if path == f"/apis/{group}/v1":
            return _resources(group)
        if path == f"/openapi/v3{_url(group)}":
            return _schema(group)
    return None


def _groups() -> list[str]:
    return sorted({one[0] for one in store.RESOURCES.values() if one[0]})


def _path(group: str) -> str:
    return f"apis/{group}/v1" if group else "api/v1"


def _url(group: str) -> str:
    return f"/{_path(group)}"


def _group(name: str) -> dict:
    version = {"groupVersion": f"{name}/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resources(group: str) -> dict:
    found = []
    for resource, (own, _version, kind, namespaced) in store.RESOURCES.items():
        if own != group:
            continue
        found.append(
            {
                "name": resource,
                "singularName": kind.lower(),
                "namespaced": namespaced,
                "kind": kind,
                "verbs": VERBS,
                "shortNames": ["csr"] if resource.startswith("cert") else [],
            }
        )
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": f"{group}/v1" if group else "v1",
        "resources": found,
    }


def _schema(group: str) -> dict:
    """Return as much of OpenAPI as kubectl needs to leave checks to us."""
    paths = {}
    for resource, (own, version, kind, _) in store.RESOURCES.items():
        if own == group:
            named = {"group": own, "version": version, "kind": kind}
            paths[f"{_url(group)}/{resource}/{{name}}"] = {
                "patch": {
                    "parameters": [{"name": "fieldValidation", "in": "query"}],
                    "responses": {},
                    "x-kubernetes-group-version-kind": named,
                }
            }
    info = {"title": "Kubernetes", "version": "stand-in"}
    return {"openapi": "3.0.0", "info": info, "paths": paths}
