# SPDX-License-Identifier: Apache-2.0
"""Logging in with Keystone: who a token belongs to, and what that may do.

The API server of each control-plane node asks the program on its own node,
over loopback. Its project has no chart; the objects here follow
docs/keystone-auth of cloud-provider-openstack 1.36.0.
"""

import json
from typing import Any

from magnum_k8s_driver.addons import addon
from magnum_k8s_driver.addons import cloud_config
from magnum_k8s_driver.model import spec as spec_module

NAME = "keystone-auth"
PORT = 8443
POLICY = "keystone-auth-policy"
"""ConfigMap that says what the roles may do."""
_CERTIFICATES = "/etc/tls"
_CA = "keystone-auth-ca"

# Loopback only: nobody but the API server has to believe it.
_CERTIFICATE = """\
apiVersion: v1
kind: Secret
metadata: {name: keystone-auth}
type: kubernetes.io/tls
data:
{{- $old := lookup "v1" "Secret" .Release.Namespace "keystone-auth" }}
{{- if $old }}
{{ toYaml $old.data | indent 2 }}
{{- else }}
{{- $new := genSelfSignedCert "keystone-auth" nil nil 3650 }}
  tls.crt: {{ b64enc $new.Cert }}
  tls.key: {{ b64enc $new.Key }}
{{- end }}
"""


def policy(spec: spec_module.ClusterSpec) -> list[dict[str, Any]]:
    """Return what roles of Keystone in the cluster's project may do.

    What is no resource and everybody may read who has logged in, such as
    ``/apis``, Kubernetes' own role ``system:discovery`` allows.
    """

    def rule(role: str, permissions: dict[str, list[str]]) -> dict[str, Any]:
        return {
            "users": {"projects": [spec.project_id], "roles": [role]},
            "resource_permissions": permissions,
        }

    return [
        rule("k8s_admin", {"*/*": ["*"]}),
        # In the newer form a path stands for itself only.
        {
            "nonresource": {"verbs": ["*"], "path": "*"},
            "match": [
                {"type": "role", "values": ["k8s_admin"]},
                {"type": "project", "values": [spec.project_id]},
            ],
        },
        rule("k8s_developer", {"!kube-system/*": ["*"]}),
        rule(
            "k8s_viewer",
            {"!kube-system/!['secrets']": ["get", "list", "watch"]},
        ),
    ]


def _released(setting: addon.Setting) -> list[addon.Object]:
    metadata = {"name": NAME, "namespace": addon.SYSTEM}
    authority = cloud_config.authority(setting.spec)
    found: list[addon.Object] = [
        # It watches those of all namespaces to find its own.
        *addon.account(NAME, addon.rule("configmaps", "get", "list", "watch")),
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": POLICY, "namespace": addon.SYSTEM},
            "data": {"policies": json.dumps(policy(setting.spec))},
        },
        _daemon_set(setting, metadata),
    ]
    if authority:
        found.append(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": _CA, "namespace": addon.SYSTEM},
                "data": authority,
            }
        )
    return found


def _daemon_set(
    setting: addon.Setting, metadata: dict[str, str]
) -> addon.Object:
    labels = {"app.kubernetes.io/name": NAME}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": metadata,
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "serviceAccountName": NAME,
                    "hostNetwork": True,
                    "priorityClassName": "system-cluster-critical",
                    "nodeSelector": addon.on_control_plane(),
                    "tolerations": addon.tolerations(),
                    **_pod(setting),
                },
            },
        },
    }


def _pod(setting: addon.Setting) -> dict[str, Any]:
    cloud = setting.spec.cloud
    arguments = [
        f"--listen=127.0.0.1:{PORT}",
        f"--tls-cert-file={_CERTIFICATES}/tls.crt",
        f"--tls-private-key-file={_CERTIFICATES}/tls.key",
        f"--policy-configmap-name={POLICY}",
        f"--keystone-url={cloud.auth_url}",
    ]
    volumes: dict[str, dict[str, Any]] = {
        _CERTIFICATES: {"secret": {"secretName": NAME}}
    }
    if cloud.ca_certificate:
        path = f"{cloud_config.DIRECTORY}/{cloud_config.CA_FILE}"
        arguments.append(f"--keystone-ca-file={path}")
        volumes[cloud_config.DIRECTORY] = {"configMap": {"name": _CA}}
    return {
        "containers": [
            {
                "name": NAME,
                "image": str(setting.image("webhook")),
                "args": ["/bin/k8s-keystone-auth", *arguments],
                "volumeMounts": [
                    {"name": _slug(path), "mountPath": path, "readOnly": True}
                    for path in volumes
                ],
            }
        ],
        "volumes": [
            {"name": _slug(path), **source} for path, source in volumes.items()
        ],
    }


def _slug(path: str) -> str:
    return path.strip("/").replace("/", "-")


ADDON = addon.Addon(
    name=NAME,
    title="Login with Keystone",
    wanted=lambda spec: spec.labels.keystone_auth_enabled,
    asked_by="keystone_auth_enabled",
    required=False,
    released=_released,
    template=_CERTIFICATE,
)
