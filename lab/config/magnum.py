# SPDX-License-Identifier: Apache-2.0
"""Magnum with the driver of this checkout."""

from lab import ini
from lab import magnum_22
from lab import settings as lab_settings
from lab.config import blocks
from lab.containers import distribution
from lab.containers import image

DIRECTORIES = ("certificates",)
COPIES = ("magnum/api-paste.ini",)

CLIENTS = (
    "barbican",
    "cinder",
    "glance",
    "heat",
    "magnum",
    "neutron",
    "nova",
    "octavia",
)

LOG_LEVELS = (
    "amqp=WARN",
    "keystoneauth=WARN",
    "magnum_k8s_driver=DEBUG",
    "oslo.messaging=INFO",
    "sqlalchemy=WARN",
    "stevedore=WARN",
    "urllib3.connectionpool=WARN",
)

DRIVER: dict[str, object] = {"silent_after": 30}
"""Options of the driver's own group that differ from its defaults: hollow
nodes are ready in seconds, so silence is unusual earlier."""


def files(settings: lab_settings.Settings) -> dict[str, str]:
    client = {
        "endpoint_type": "publicURL",
        "region_name": lab_settings.REGION,
    }
    sections = ini.merge(
        blocks.base(settings, "magnum", messages=True),
        {f"{name}_client": client for name in CLIENTS},
        _magnum(settings),
        {"k8s_driver": _driver(settings)},
        magnum_22.options(settings),
    )
    return {"magnum/magnum.conf": ini.render(sections)}


def _driver(settings: lab_settings.Settings) -> dict[str, object]:
    return DRIVER | _addons() | _metrics(settings) | _artifacts()


def _addons() -> dict[str, object]:
    """With real Kubernetes nodes have the lab's own pod network."""
    if distribution.find() is None:
        return {}
    return {"addons_left_out": "calico,cilium,flannel"}


def _metrics(settings: lab_settings.Settings) -> dict[str, object]:
    return {"metrics_directory": settings.state / "magnum/metrics"}


def _artifacts() -> dict[str, object]:
    """Let upgrades take their programs from where the nodes have them."""
    if distribution.find_next() is None:
        return {}
    return {"artifact_mirror": image.NODE_MIRROR}


def _magnum(settings: lab_settings.Settings) -> ini.Sections:
    state = settings.state / "magnum"
    volume_types = ("boot", "docker", "etcd")
    return {
        "DEFAULT": {"default_log_levels": ",".join(LOG_LEVELS)},
        "api": {
            "api_paste_config": settings.config / "magnum/api-paste.ini",
            "host": lab_settings.HOST,
            "port": settings.port("magnum"),
        },
        "certificates": {
            "cert_manager_type": "x509keypair",
            "storage_path": state / "certificates",
        },
        "cinder": {
            f"default_{name}_volume_type": "lab" for name in volume_types
        },
        "cluster": {
            "pre_delete_lb_timeout": 10,
            "temp_cache_dir": state / "certificates",
        },
        "cluster_template": {
            "kubernetes_allowed_network_drivers": "flannel,calico,cilium",
            "kubernetes_default_network_driver": "calico",
        },
        # The name of the queue cannot be changed: a default argument reads
        # it before the file is. A second Magnum needs its own vhost.
        "conductor": {"workers": 1},
        "drivers": {"verify_ca": False},
        "keystone_auth": blocks.account(settings, "magnum"),
        "kubernetes": {"health_polling_interval": 10},
    }
