# SPDX-License-Identifier: Apache-2.0
"""Octavia's API; the lab's own provider answers for every provider name."""

from lab import ini
from lab import settings as lab_settings
from lab.config import blocks

PROVIDERS = {
    "lab": "Real Neutron ports and no traffic",
    "amphora": "The lab provider by the name of amphora",
    "ovn": "The lab provider by the name of ovn",
}
"""The first is the default."""


def files(settings: lab_settings.Settings) -> dict[str, str]:
    account = blocks.account(settings, "octavia")
    sections = ini.merge(
        blocks.base(settings, "octavia"),
        {
            "api_settings": {
                "api_base_uri": settings.url("octavia"),
                "auth_strategy": "keystone",
                "bind_host": lab_settings.HOST,
                "bind_port": settings.port("octavia"),
                "default_provider_driver": next(iter(PROVIDERS)),
                "enabled_provider_drivers": ",".join(
                    f"{name}:{text}" for name, text in PROVIDERS.items()
                ),
            },
            "certificates": {"cert_manager": "local_cert_manager"},
            "controller_worker": {
                "amphora_driver": "amphora_noop_driver",
                "compute_driver": "compute_noop_driver",
                "network_driver": "allowed_address_pairs_driver",
            },
            "neutron": {**account, "valid_interfaces": "public"},
            "service_auth": account,
        },
    )
    return {"octavia/octavia.conf": ini.render(sections)}
