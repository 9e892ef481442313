# SPDX-License-Identifier: Apache-2.0
"""What the operator has chosen in magnum.conf, as values of the driver.

:func:`prepare` comes first.
"""

import dataclasses
import hashlib
import json

from magnum.common import utils as magnum_utils
import magnum.conf

from magnum_k8s_driver import conf
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.ports import cloud as cloud_module
from magnum_k8s_driver.ports import metrics
from magnum_k8s_driver.render import releases

CONF = magnum.conf.CONF


def prepare() -> None:
    """Register the options and begin to count; repeating it is harmless."""
    conf.register(CONF)
    metrics.enable(CONF.k8s_driver.metrics_directory)


def site() -> fields.Site:
    """Return what the operator has set for all clusters."""
    return fields.Site(
        label_defaults=conf.label_defaults(CONF),
        kubernetes_versions={
            minor: release.kubernetes_version
            for minor, release in releases.read_releases().items()
        },
        addons_left_out=tuple(CONF.k8s_driver.addons_left_out),
        members_per_stack=CONF.k8s_driver.members_per_stack,
        seals_secrets=CONF.k8s_driver.secret_delivery != conf.IN_USER_DATA,
    )


def addons_from() -> str:
    """Return a text that changes with what add-ons are told of the site."""
    values = (
        dataclasses.asdict(cloud_settings().node_cloud),
        conf.label_defaults(CONF),
        list(CONF.k8s_driver.addons_left_out),
    )
    text = json.dumps(values, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def service_settings() -> cloud_module.CloudSettings:
    """Return how Magnum's service user reaches services."""
    options = CONF.k8s_driver
    return cloud_module.CloudSettings(
        region_name=options.region_name,
        interface=options.endpoint_type,
        request_timeout=options.request_timeout,
        service_roles=tuple(options.service_roles),
        cluster_domain=options.cluster_domain,
    )


def cloud_settings() -> cloud_module.CloudSettings:
    """Return how services are reached, and what nodes are told of them."""
    options = CONF.k8s_driver
    return dataclasses.replace(
        service_settings(),
        heat_stacks=options.heat_stacks_per_project,
        heat_resources=options.heat_resources_per_stack,
        node_cloud=spec_module.CloudSpec(
            auth_url=options.node_auth_url or "",
            region=options.region_name or "",
            ca_certificate=magnum_utils.get_openstack_ca() or "",
            verify=CONF.drivers.verify_ca,
        ),
    )
