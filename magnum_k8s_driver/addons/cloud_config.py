# SPDX-License-Identifier: Apache-2.0
"""Secret ``cloud-config``: what programs must know of their cloud.

The keys are those of cloud-provider-openstack's documents "Get started with
external openstack-cloud-controller-manager" (section "Config
openstack-cloud-controller-manager") and "CSI Cinder driver" (section
"Driver Config") in release 1.36.0: :data:`KNOWN_KEYS` is what tests hold the
files to.

Orders can be read by readers of the project, so the credential is not in
them: the node program puts it in the place of :data:`ID`, :data:`SECRET`,
:data:`USER` and :data:`PASSWORD` from its sealed secrets.
"""

from collections.abc import Mapping
import hashlib

from magnum_k8s_driver.addons import addon
from magnum_k8s_driver.model import balancer_classes
from magnum_k8s_driver.model import spec as spec_module

ID = "@cloud-id@"
SECRET = "@cloud-secret@"  # noqa: S105 - stands for one
USER = "@cloud-user@"
PASSWORD = "@cloud-password@"  # noqa: S105 - stands for one
CONTROLLER_FILE = "cloud.conf"
CINDER_FILE = "cinder-csi.conf"
CA_FILE = "ca.pem"

DIRECTORY = "/etc/config"
"""Where pods have the Secret."""

KNOWN_KEYS: Mapping[str, frozenset[str]] = {
    "Global": frozenset(
        (
            "auth-url",
            "region",
            "application-credential-id",
            "application-credential-secret",
            "ca-file",
            "tls-insecure",
        )
    ),
    "LoadBalancer": frozenset(
        (
            "enabled",
            "floating-network-id",
            "network-id",
            "subnet-id",
            "lb-provider",
            "lb-method",
            "create-monitor",
            "manage-security-groups",
        )
    ),
    "LoadBalancerClass": frozenset(balancer_classes.KEYS),
    "Networking": frozenset(("internal-network-name",)),
    "BlockStorage": frozenset(("ignore-volume-az",)),
}


def controller_file(spec: spec_module.ClusterSpec, place: addon.Place) -> str:
    """Return the cloud controller manager's configuration."""
    provider = spec.labels.octavia_provider
    balancer = {
        "floating-network-id": spec.network.external_network_id,
        "subnet-id": place.subnet_id,
        "lb-provider": provider,
        "create-monitor": "true",
        "manage-security-groups": "true",
    }
    if provider == "ovn":
        # The only method that it knows.
        balancer["lb-method"] = "SOURCE_IP_PORT"
    return text_of(
        {
            "Global": _access(spec),
            "LoadBalancer": balancer,
            **{
                f'LoadBalancerClass "{name}"': dict(pairs)
                for name, pairs in spec.labels.load_balancer_classes
            },
        }
    )


def fingerprint(spec: spec_module.ClusterSpec, place: addon.Place) -> str:
    """Return what changes with the controller manager's configuration."""
    texts = controller_file(spec, place), spec.cloud.ca_certificate
    return hashlib.sha256("".join(texts).encode()).hexdigest()[:16]


def cinder_file(spec: spec_module.ClusterSpec) -> str:
    """Return the Cinder CSI driver's configuration."""
    return text_of(
        {
            "Global": _access(spec),
            # Zones of Nova and Cinder are named apart in many clouds.
            "BlockStorage": {"ignore-volume-az": "true"},
        }
    )


def _access(spec: spec_module.ClusterSpec) -> dict[str, str]:
    cloud = spec.cloud
    return {
        "auth-url": cloud.auth_url,
        "region": cloud.region,
        "application-credential-id": ID,
        "application-credential-secret": SECRET,
        **trust(spec),
    }


def authority(spec: spec_module.ClusterSpec) -> dict[str, str]:
    """Return the file of the cloud's CA by its name, if there is one."""
    if not spec.cloud.ca_certificate:
        return {}
    return {CA_FILE: spec.cloud.ca_certificate}


def trust(spec: spec_module.ClusterSpec) -> dict[str, str]:
    """Return how a program in :data:`DIRECTORY` believes its cloud."""
    if not spec.cloud.verify:
        return {"tls-insecure": "true"}
    if spec.cloud.ca_certificate:
        return {"ca-file": f"{DIRECTORY}/{CA_FILE}"}
    return {}


def text_of(sections: Mapping[str, Mapping[str, str]]) -> str:
    """Return what gcfg reads: values in quotes, backslash escapes.

    What is empty is left out.
    """
    lines = []
    for section, values in sections.items():
        lines.append(f"[{section}]")
        for key, value in values.items():
            if not value:
                continue
            quoted = value.replace("\\", "\\\\").replace('"', '\\"')
            lines.append(f'{key}="{quoted}"')
        lines.append("")
    return "\n".join(lines)


def _objects(setting: addon.Setting) -> list[addon.Object]:
    spec = setting.spec
    files = {
        CONTROLLER_FILE: controller_file(spec, setting.place),
        CINDER_FILE: cinder_file(spec),
        **authority(spec),
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": addon.CLOUD_CONFIG,
                "namespace": addon.SYSTEM,
            },
            "stringData": files,
        }
    ]


ADDON = addon.Addon(
    name="cloud-config",
    title="Secret with the address of the cloud and the cluster's credential",
    wanted=lambda spec: (
        spec.labels.cloud_provider_enabled or spec.labels.cinder_csi_enabled
    ),
    asked_by="cloud_provider_enabled or cinder_csi_enabled",
    required=True,
    objects=_objects,
)
