# SPDX-License-Identifier: Apache-2.0
"""Options of the driver in ``magnum.conf``, group ``[k8s_driver]``.

Values are read by ``driver.py`` only and handed down as plain values.
"""

from typing import Any

from oslo_config import cfg

from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import labels

GROUP = cfg.OptGroup(
    "k8s_driver",
    title="Kubernetes by Heat and kubeadm",
    help="Options of the magnum_k8s_driver cluster driver.",
)

IN_USER_DATA = "user_data"
"""Value of ``secret_delivery``."""

IDENTITY = [
    cfg.ListOpt(
        "service_roles",
        default=["member", "load-balancer_member"],
        help="Roles that Magnum's service user is given on the project of a "
        "cluster while the project has clusters. The first must exist in "
        "the cloud, the others are skipped when they do not.",
    ),
    cfg.ListOpt(
        "cluster_roles",
        default=["member", "load-balancer_member"],
        help="Roles of the Keystone user that is made for each cluster; the "
        "cloud controller manager and the volume drivers act with it.",
    ),
    cfg.StrOpt(
        "cluster_domain",
        default="magnum",
        help="Name or id of the Keystone domain that holds the users of "
        "clusters. It must exist.",
    ),
    cfg.StrOpt(
        "secret_delivery",
        default="sealed",
        choices=[
            (
                "sealed",
                "Encrypted to a certificate that the node shows on its "
                "console; needs Nova's console log.",
            ),
            (
                IN_USER_DATA,
                "In the user data of control-plane servers. Unsafe: every "
                "reader of the project can read them. For clouds without "
                "console logs.",
            ),
        ],
        help="How new control-plane nodes get the keys of their cluster.",
    ),
]

CLOUD = [
    cfg.StrOpt(
        "region_name",
        help="Region of all services; the only one in the catalog if unset.",
    ),
    cfg.StrOpt(
        "endpoint_type",
        default="public",
        choices=["public", "internal", "admin"],
        help="Endpoints that the conductor uses.",
    ),
    cfg.StrOpt(
        "node_endpoint_type",
        default="public",
        choices=["public", "internal"],
        help="Endpoints that nodes use.",
    ),
    cfg.IntOpt(
        "request_timeout",
        default=60,
        min=1,
        help="Seconds an OpenStack service may take to answer one request.",
    ),
    cfg.StrOpt(
        "artifact_mirror",
        default="",
        help="Base URL that replaces https:// in the address of everything "
        "nodes download, for clouds without a way to the internet: "
        "http://mirror.example/ makes http://mirror.example/dl.k8s.io/... of "
        "https://dl.k8s.io/... Unset: the official addresses.",
    ),
    cfg.ListOpt(
        "addons_left_out",
        default=[],
        help="Names of add-ons that are never installed, for sites that "
        "install them in another way: access, cloud-config, calico, cilium, "
        "flannel, cloud-controller, cinder-csi, metrics-server. Nodes need "
        "a pod network and, with the label cloud_provider_enabled, a cloud "
        "controller manager to become ready.",
    ),
    cfg.IntOpt(
        "heat_stacks_per_project",
        default=512,
        min=-1,
        help="Heat's option max_stacks_per_tenant, for the checks before an "
        "operation: Heat tells it to nobody. -1: do not check.",
    ),
    cfg.IntOpt(
        "heat_resources_per_stack",
        default=1000,
        min=-1,
        help="Heat's option max_resources_per_stack, for the checks before "
        "an operation: Heat tells it to nobody. -1: do not check.",
    ),
    cfg.IntOpt(
        "members_per_stack",
        default=fields.MEMBERS_PER_STACK,
        min=0,
        help="Workers of a node group that one Heat stack holds at most; "
        "more of them go into further stacks. At each change Heat looks at "
        "every server of a stack that is changed, and at no other. Groups "
        "with a max_node_count always have one stack, since "
        "cluster-autoscaler sees no other. A change counts for new nodes "
        "only. 0: one stack holds all.",
    ),
    cfg.StrOpt(
        "node_auth_url",
        help="Keystone as nodes reach it; the catalog's endpoint of type "
        "node_endpoint_type if unset.",
    ),
]

OPERATION = [
    cfg.URIOpt(
        "coordination_url",
        secret=True,
        help="Tooz backend of the lock per cluster, for example "
        "etcd3+http://host:2379. Unset: the advisory locks of Magnum's own "
        "MySQL or PostgreSQL, or a lock file with SQLite. Set it with a "
        "Galera cluster, whose advisory locks do not span its members.",
    ),
    cfg.StrOpt(
        "state_path",
        default="/var/lib/magnum/k8s_driver",
        help="Directory for lock files; only used without a lock service.",
    ),
    cfg.IntOpt(
        "orphan_grace",
        default=120,
        min=10,
        help="Seconds after which a cluster whose certificates were never "
        "saved counts as abandoned by its conductor.",
    ),
    cfg.IntOpt(
        "update_timeout",
        default=60,
        min=1,
        help="Minutes an update may take before it counts as failed.",
    ),
    cfg.IntOpt(
        "delete_timeout",
        default=60,
        min=1,
        help="Minutes a delete may take before it counts as failed.",
    ),
    cfg.IntOpt(
        "drain_timeout",
        default=600,
        min=0,
        help="Seconds a node may take to get rid of its pods before it is "
        "removed all the same.",
    ),
    cfg.IntOpt(
        "silent_after",
        default=300,
        min=1,
        help="Seconds after which a node that does not report, or a stack "
        "that is not done, is looked into: the reason then says what the "
        "node's console shows or what Heat waits for.",
    ),
    cfg.IntOpt(
        "healing_attempts",
        default=3,
        min=1,
        help="How often in a row broken nodes of a node group are replaced "
        "when that does not help. Then somebody must look.",
    ),
    cfg.IntOpt(
        "healing_backoff",
        default=600,
        min=0,
        help="Seconds between the first two of these attempts; doubled with "
        "each further one.",
    ),
    cfg.IntOpt(
        "api_timeout",
        default=5,
        min=1,
        help="Seconds the API of a cluster may take to answer a health check.",
    ),
]

METRICS = [
    cfg.StrOpt(
        "metrics_directory",
        default="",
        help="Directory where the processes of magnum-conductor leave what "
        "they count for Prometheus, best on a tmpfs, such as "
        "/run/magnum/metrics; magnum-k8s-manage metrics shows it. Unset: "
        "nothing is counted.",
    ),
]

LABELS_GROUP = cfg.OptGroup(
    "k8s_driver_labels",
    title="Defaults of labels",
    help="What a label means for clusters that do not set it.",
)

OPTIONS = [*IDENTITY, *CLOUD, *OPERATION, *METRICS]


def register(conf: cfg.ConfigOpts) -> None:
    """Register the driver's options; repeating it is harmless."""
    conf.register_group(GROUP)
    conf.register_opts(OPTIONS, group=GROUP)
    conf.register_group(LABELS_GROUP)
    conf.register_opts(labels.OPTS, group=LABELS_GROUP)


def label_defaults(conf: cfg.ConfigOpts) -> dict[str, Any]:
    """Return the operator's defaults of labels, by label name."""
    group = conf[LABELS_GROUP.name]
    return {option.name: group[option.name] for option in labels.OPTS}


def list_opts() -> list[tuple[cfg.OptGroup, list[cfg.Opt]]]:
    """Return the options for oslo-config-generator."""
    return [(GROUP, OPTIONS), (LABELS_GROUP, list(labels.OPTS))]
