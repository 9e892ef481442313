# SPDX-License-Identifier: Apache-2.0
"""Glance, its images in files."""

from lab import ini
from lab import settings as lab_settings
from lab.config import blocks

DIRECTORIES = ("images", "staging", "tasks")
COPIES = ("glance/glance-api-paste.ini",)


def files(settings: lab_settings.Settings) -> dict[str, str]:
    state = settings.state / "glance"
    store = "filesystem_store_datadir"
    sections = ini.merge(
        blocks.base(settings, "glance"),
        {
            "DEFAULT": {
                "enabled_backends": "file:file",
                # An empty value instead of [] breaks every image call:
                # the option is a list with bounds.
                "enabled_import_methods": "[]",
                "worker_self_reference_url": settings.url("glance"),
            },
            "file": {store: state / "images"},
            "glance_store": {"default_backend": "file"},
            "os_glance_staging_store": {store: state / "staging"},
            "os_glance_tasks_store": {store: state / "tasks"},
            "paste_deploy": {
                "flavor": "keystone",
                "config_file": settings.config / "glance/glance-api-paste.ini",
            },
        },
    )
    return {"glance/glance-api.conf": ini.render(sections)}
