# SPDX-License-Identifier: Apache-2.0
"""Options of the plugin in ``tempest.conf``."""

from oslo_config import cfg

SERVICE = cfg.BoolOpt(
    "magnum_k8s",
    default=True,
    help="Whether Magnum with magnum-k8s-driver is expected to be there.",
)

GROUP = cfg.OptGroup("magnum_k8s", title="magnum-k8s-driver")

OPTIONS = [
    cfg.StrOpt(
        "image_id",
        help="Image of nodes, name or id. Tests are skipped without one.",
    ),
    cfg.StrOpt("flavor_id", default="m1.small", help="Flavor of workers."),
    cfg.StrOpt(
        "master_flavor_id",
        default="m1.medium",
        help="Flavor of the control plane.",
    ),
    cfg.StrOpt(
        "external_network_id",
        default="public",
        help="Network of floating IPs.",
    ),
    cfg.StrOpt(
        "network_driver", default="calico", help="Network driver of clusters."
    ),
    cfg.StrOpt("dns_nameserver", help="Name server of the nodes."),
    cfg.BoolOpt(
        "floating_ip_enabled",
        default=False,
        help="Whether nodes get floating IPs.",
    ),
    cfg.DictOpt("labels", default={}, help="Labels of the cluster template."),
    cfg.StrOpt(
        "kube_tag",
        help="Version that clusters are made with; the image's if unset.",
    ),
    cfg.StrOpt(
        "upgrade_kube_tag",
        help="Version that clusters are upgraded to. The test of upgrades is "
        "skipped without one.",
    ),
    cfg.StrOpt(
        "upgrade_image_id",
        help="Image that clusters are upgraded to; image_id if unset.",
    ),
    cfg.IntOpt(
        "create_timeout",
        default=1800,
        help="Seconds the making of a cluster may take.",
    ),
    cfg.IntOpt(
        "update_timeout",
        default=1800,
        help="Seconds any change of a cluster may take.",
    ),
    cfg.IntOpt(
        "delete_timeout",
        default=900,
        help="Seconds a delete may take.",
    ),
    cfg.IntOpt(
        "build_interval",
        default=5,
        help="Seconds between two looks at a cluster.",
    ),
]

FEATURES = cfg.OptGroup(
    "magnum_k8s_feature_enabled", title="What magnum-k8s-driver can do"
)

FEATURE_OPTIONS = [
    cfg.BoolOpt(
        "rotation",
        default=True,
        help="Whether credentials and CAs of clusters can be rotated.",
    ),
]


def list_opts():
    """Return the options for oslo-config-generator and the documentation."""
    return [
        ("service_available", [SERVICE]),
        (GROUP, OPTIONS),
        (FEATURES, FEATURE_OPTIONS),
    ]
