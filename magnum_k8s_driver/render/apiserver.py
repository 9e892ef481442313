# SPDX-License-Identifier: Apache-2.0
"""What the API server reads from files: who may ask what, and what is kept.

The files lie below :data:`DIRECTORY` on every control-plane node.
"""

import base64
from typing import Any

from magnum_k8s_driver.addons import keystone_auth
from magnum_k8s_driver.model import labels as labels_module

DIRECTORY = "/etc/magnum/apiserver"
WEBHOOK = "keystone"
_WEBHOOK_FILE = f"{DIRECTORY}/{WEBHOOK}.yaml"
AUDIT_LOG_DIRECTORY = "/var/log/kubernetes/audit"

LEAVING_SECONDS = 20
"""How long an API server that is told to end still serves, not ready.

The monitor of its load balancer (templates/heat/cluster.yaml) takes it out
after three checks, five seconds apart; kube-proxy hears of it sooner. The
kubelet kills a static pod after 30.
"""

_CONFIG_API = "apiserver.config.k8s.io/v1"
_BY_KEYSTONE = (
    "has(request.extra) && "
    "'alpha.kubernetes.io/identity/roles' in request.extra"
)
# Given with a file of structured authentication these make the API server
# refuse to start; who sets one wants to decide for themselves.
_OWN_AUTHENTICATION = ("anonymous-auth", "authentication-config", "oidc-")


def arguments(
    labels: labels_module.Labels, *, balanced: bool
) -> dict[str, str]:
    """Return our flags of kube-apiserver.

    :param balanced: there may be others behind a load balancer.
    """
    plugins = dict.fromkeys(
        ("NodeRestriction", *labels.admission_control_list)
    )
    found = {
        "profiling": "false",
        "enable-admission-plugins": ",".join(plugins),
        "admission-control-config-file": f"{DIRECTORY}/admission.yaml",
        "encryption-provider-config": f"{DIRECTORY}/encryption.yaml",
        "audit-policy-file": f"{DIRECTORY}/audit-policy.yaml",
        "audit-log-path": f"{AUDIT_LOG_DIRECTORY}/audit.log",
        "audit-log-maxage": "30",
        "audit-log-maxbackup": "10",
        "audit-log-maxsize": "100",
    }
    if balanced:
        found["shutdown-delay-duration"] = f"{LEAVING_SECONDS}s"
    if labels.keystone_auth_enabled:
        found["authentication-token-webhook-config-file"] = _WEBHOOK_FILE
        found["authorization-config"] = f"{DIRECTORY}/authorization.yaml"
    theirs = [flag for flag, _value in labels.kubeapi_options]
    if not any(flag.startswith(_OWN_AUTHENTICATION) for flag in theirs):
        found["authentication-config"] = f"{DIRECTORY}/authentication.yaml"
    return found


def volumes() -> list[dict[str, Any]]:
    """Return the directories the API server's pod needs."""
    return [
        {
            "name": "magnum-apiserver",
            "hostPath": DIRECTORY,
            "mountPath": DIRECTORY,
            "readOnly": True,
            "pathType": "DirectoryOrCreate",
        },
        {
            "name": "magnum-audit",
            "hostPath": AUDIT_LOG_DIRECTORY,
            "mountPath": AUDIT_LOG_DIRECTORY,
            "readOnly": False,
            "pathType": "DirectoryOrCreate",
        },
    ]


def authentication() -> dict[str, Any]:
    """Return who may ask anonymously: only probes and health monitors."""
    return {
        "apiVersion": _CONFIG_API,
        "kind": "AuthenticationConfiguration",
        "anonymous": {
            "enabled": True,
            "conditions": [
                {"path": path} for path in ("/livez", "/readyz", "/healthz")
            ],
        },
    }


def authorization() -> dict[str, Any]:
    """Return whom the API server asks what somebody may do.

    Keystone's roles count for those who logged in with Keystone, whatever
    becomes of the others' requests: the program that knows them is a pod, and
    the cluster has to be made before it.
    """
    return {
        "apiVersion": _CONFIG_API,
        "kind": "AuthorizationConfiguration",
        "authorizers": [
            {"type": "Node", "name": "node"},
            {"type": "RBAC", "name": "rbac"},
            {
                "type": "Webhook",
                "name": WEBHOOK,
                "webhook": {
                    "timeout": "10s",
                    # Short, so that a changed policy is seen.
                    "authorizedTTL": "60s",
                    "unauthorizedTTL": "10s",
                    "failurePolicy": "NoOpinion",
                    # All that k8s-keystone-auth 1.36 knows.
                    "subjectAccessReviewVersion": "v1beta1",
                    "matchConditionSubjectAccessReviewVersion": "v1",
                    "matchConditions": [{"expression": _BY_KEYSTONE}],
                    "connectionInfo": {
                        "type": "KubeConfigFile",
                        "kubeConfigFile": _WEBHOOK_FILE,
                    },
                },
            },
        ],
    }


def webhook() -> dict[str, Any]:
    """Return where the API server asks about tokens of Keystone.

    The program is on the same node and answers on loopback only.
    """
    name = {"name": WEBHOOK}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                **name,
                "cluster": {
                    "server": f"https://127.0.0.1:{keystone_auth.PORT}/webhook",
                    "insecure-skip-tls-verify": True,
                },
            }
        ],
        "users": [{**name, "user": {}}],
        "contexts": [
            {**name, "context": {"cluster": WEBHOOK, "user": WEBHOOK}}
        ],
        "current-context": WEBHOOK,
    }


def encryption(key: bytes, provider: str = "secretbox") -> dict[str, Any]:
    """Return how secrets are encrypted at rest.

    :param key: 32 bytes, the cluster's own.
    :param provider: ``secretbox`` or ``aescbc``.
    """
    if len(key) != 32:
        raise ValueError("the encryption key must have 32 bytes")
    if provider not in ("secretbox", "aescbc"):
        raise ValueError(f"unknown encryption provider {provider}")
    text = base64.b64encode(key).decode()
    return {
        "apiVersion": _CONFIG_API,
        "kind": "EncryptionConfiguration",
        "resources": [
            {
                "resources": ["secrets"],
                "providers": [
                    {provider: {"keys": [{"name": "key1", "secret": text}]}},
                    {"identity": {}},
                ],
            }
        ],
    }


def admission() -> dict[str, Any]:
    """Return the cluster-wide default of Pod Security admission.

    Nothing is refused by default, because the API's own default does not
    either; namespaces opt in, and users are warned of what baseline forbids.
    """
    return {
        "apiVersion": _CONFIG_API,
        "kind": "AdmissionConfiguration",
        "plugins": [
            {
                "name": "PodSecurity",
                "configuration": {
                    "apiVersion": "pod-security.admission.config.k8s.io/v1",
                    "kind": "PodSecurityConfiguration",
                    "defaults": {
                        "enforce": "privileged",
                        "enforce-version": "latest",
                        "audit": "baseline",
                        "audit-version": "latest",
                        "warn": "baseline",
                        "warn-version": "latest",
                    },
                    "exemptions": {
                        "usernames": [],
                        "runtimeClasses": [],
                        "namespaces": ["kube-system"],
                    },
                },
            }
        ],
    }


def audit_policy() -> dict[str, Any]:
    """Return what the audit log keeps: who did what, never what it held."""
    return {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": [
            {
                "level": "None",
                "nonResourceURLs": [
                    "/healthz*",
                    "/livez*",
                    "/readyz*",
                    "/version",
                ],
            },
            {
                "level": "None",
                "users": [
                    "system:kube-controller-manager",
                    "system:kube-proxy",
                    "system:kube-scheduler",
                ],
                "verbs": ["get", "list", "watch"],
            },
            {
                "level": "None",
                "userGroups": ["system:nodes"],
                "verbs": ["get", "list", "watch"],
            },
            {
                "level": "None",
                "resources": [
                    {"group": "", "resources": ["events"]},
                    {"group": "events.k8s.io", "resources": ["events"]},
                    {
                        "group": "coordination.k8s.io",
                        "resources": ["leases"],
                    },
                ],
            },
            {"level": "Metadata"},
        ],
    }
