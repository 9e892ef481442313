# SPDX-License-Identifier: Apache-2.0
"""Neutron without any agent: ports are bound by the lab's own driver."""

from lab import ini
from lab import settings as lab_settings
from lab.config import blocks

COPIES = ("neutron/api-paste.ini",)

UNLIMITED = (
    "floatingip",
    "network",
    "port",
    "router",
    "security_group",
    "security_group_rule",
    "subnet",
)


def files(settings: lab_settings.Settings) -> dict[str, str]:
    account = blocks.account(settings, "neutron")
    sections = ini.merge(
        blocks.base(settings, "neutron"),
        {
            "DEFAULT": {
                "api_paste_config": settings.config / "neutron/api-paste.ini",
                "auth_strategy": "keystone",
                "core_plugin": "ml2",
                "dhcp_agent_notification": False,
                "notify_nova_on_port_data_changes": False,
                "notify_nova_on_port_status_changes": False,
                "rpc_workers": 0,
                "service_plugins": "router",
            },
            "ml2": {
                "extension_drivers": "port_security",
                "mechanism_drivers": "lab",
                "tenant_network_types": "vxlan",
                "type_drivers": "flat,vxlan",
            },
            "ml2_type_flat": {"flat_networks": "public"},
            "ml2_type_vxlan": {"vni_ranges": "1:4000"},
            "nova": account,
            "placement": account,
            "quotas": {f"quota_{name}": -1 for name in UNLIMITED},
        },
    )
    return {"neutron/neutron.conf": ini.render(sections)}
