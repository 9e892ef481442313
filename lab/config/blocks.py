# SPDX-License-Identifier: Apache-2.0
"""Sections that the services' configurations share."""

from lab import broker
from lab import database
from lab import ini
from lab import settings as lab_settings

HOST = "lab"
"""The host name under which all services report."""


def account(settings: lab_settings.Settings, user: str) -> dict[str, object]:
    """Return options that log a service user in, scoped to ``service``."""
    return {
        "auth_type": "password",
        "auth_url": settings.identity_url,
        "username": user,
        "password": lab_settings.PASSWORD,
        "project_name": "service",
        "user_domain_name": "Default",
        "project_domain_name": "Default",
        "region_name": lab_settings.REGION,
    }


def base(
    settings: lab_settings.Settings,
    service: str,
    messages: bool = False,
) -> dict[str, dict[str, object]]:
    """Return what nearly every service needs.

    :param messages: whether the service talks to others over the broker.
    """
    state = settings.state / service
    return {
        "DEFAULT": {
            "debug": False,
            "host": HOST,
            "state_path": state,
            "transport_url": broker.url(settings) if messages else "fake:/",
            "use_stderr": True,
        },
        "database": {
            "connection": database.url(settings, service),
            "max_pool_size": 10,
            "max_overflow": 30,
        },
        "keystone_authtoken": {
            **account(settings, service),
            "interface": "internal",
            "service_token_roles": "service",
            "service_token_roles_required": True,
            "www_authenticate_uri": settings.identity_url,
        },
        "oslo_concurrency": {"lock_path": state / "locks"},
        "oslo_messaging_notifications": {"driver": "noop"},
        "oslo_messaging_rabbit": {"heartbeat_in_pthread": True},
        "oslo_middleware": {"max_request_body_size": 64 * 1024 * 1024},
    }


def without(
    sections: ini.Sections, *names: str
) -> dict[str, dict[str, object]]:
    """Return sections but for some."""
    return {
        name: dict(options)
        for name, options in sections.items()
        if name not in names
    }
