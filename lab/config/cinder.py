# SPDX-License-Identifier: Apache-2.0
"""Cinder; its volumes are rows in its database."""

from lab import ini
from lab import settings as lab_settings
from lab.config import blocks

DIRECTORIES = ("locks", "conversion")
COPIES = (
    "cinder/api-paste.ini",
    "cinder/resource_filters.json",
    "cinder/rootwrap.conf",
)
DRIVER = "lab.plugins.cinder_driver.NoStorage"
UNLIMITED = ("gigabytes", "snapshots", "volumes")


def files(settings: lab_settings.Settings) -> dict[str, str]:
    config = settings.config / "cinder"
    account = blocks.account(settings, "cinder")
    sections = ini.merge(
        blocks.base(settings, "cinder", messages=True),
        {
            "DEFAULT": {
                **{f"quota_{name}": -1 for name in UNLIMITED},
                "api_paste_config": config / "api-paste.ini",
                "auth_strategy": "keystone",
                "default_volume_type": "lab",
                "enabled_backends": "fake",
                "glance_api_servers": settings.url("glance"),
                "image_conversion_dir": settings.state / "cinder/conversion",
                "resource_query_filters_file": config
                / "resource_filters.json",
                "rootwrap_config": config / "rootwrap.conf",
            },
            "coordination": {
                "backend_url": f"file://{settings.state / 'cinder'}"
            },
            "fake": {
                "volume_backend_name": "fake",
                "volume_driver": DRIVER,
            },
            "nova": account,
            "service_user": {**account, "send_service_user_token": True},
        },
    )
    return {"cinder/cinder.conf": ini.render(sections)}
