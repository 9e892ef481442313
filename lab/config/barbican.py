# SPDX-License-Identifier: Apache-2.0
"""Barbican, its secrets encrypted with a key everybody can read here."""

from lab import database
from lab import ini
from lab import settings as lab_settings
from lab.config import blocks

COPIES = ("barbican/barbican-api-paste.ini",)
KEY = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY="


def files(settings: lab_settings.Settings) -> dict[str, str]:
    sections = ini.merge(
        blocks.base(settings, "barbican"),
        {
            "DEFAULT": {
                "db_auto_create": False,
                "host_href": settings.url("barbican"),
                "sql_connection": database.url(settings, "barbican"),
            },
            "crypto": {"enabled_crypto_plugins": "simple_crypto"},
            "secretstore": {"enabled_secretstore_plugins": "store_crypto"},
            "simple_crypto_plugin": {"kek": KEY},
        },
    )
    return {"barbican/barbican.conf": ini.render(sections)}
