# SPDX-License-Identifier: Apache-2.0
"""Placement."""

from lab import ini
from lab import settings as lab_settings
from lab.config import blocks


def files(settings: lab_settings.Settings) -> dict[str, str]:
    base = blocks.base(settings, "placement")
    sections = ini.merge(
        blocks.without(base, "database"),
        {
            "api": {"auth_strategy": "keystone"},
            "placement_database": base["database"],
        },
    )
    return {"placement/placement.conf": ini.render(sections)}
