# SPDX-License-Identifier: Apache-2.0
"""Horizon: a module of settings in Python."""

from lab import settings as lab_settings


def files(settings: lab_settings.Settings) -> dict[str, str]:
    memory = "django.core.cache.backends.locmem.LocMemCache"
    found = {
        "ALLOWED_HOSTS": [lab_settings.HOST],
        # One process, so sessions may stay in its memory.
        "CACHES": {"default": {"BACKEND": memory}},
        "COMPRESS_OFFLINE": True,
        "DEBUG": False,
        "OPENSTACK_KEYSTONE_URL": settings.identity_url,
        "SECRET_KEY": lab_settings.PASSWORD,
        "SESSION_ENGINE": "django.contrib.sessions.backends.cache",
        "STATIC_ROOT": str(settings.state / "horizon/static"),
        "TIME_ZONE": "UTC",
        "WEBROOT": "/",
    }
    lines = [f"{name} = {value!r}" for name, value in found.items()]
    return {"horizon/local_settings.py": "\n".join(lines) + "\n"}
