# SPDX-License-Identifier: Apache-2.0
"""Heat."""

import pathlib

from lab import ini
from lab import settings as lab_settings
from lab.config import blocks

DIRECTORIES = ("environment.d", "templates")
COPIES = ("heat/api-paste.ini",)

PLUGINS = pathlib.Path(__file__).parents[1] / "heat_plugins"
"""Without them a stack dies of its thousandth signal."""
NO_CFN = "http://127.0.0.1:1"
"""The CloudFormation API is not served; nodes signal natively."""


def files(settings: lab_settings.Settings) -> dict[str, str]:
    account = blocks.account(settings, "heat")
    sections = ini.merge(
        blocks.base(settings, "heat", messages=True),
        {
            "DEFAULT": {
                "auth_encryption_key": "0123456789abcdef0123456789abcdef",
                "deferred_auth_method": "trusts",
                "environment_dir": settings.state / "heat/environment.d",
                "executor_thread_pool_size": 256,
                "heat_metadata_server_url": NO_CFN,
                "heat_waitcondition_server_url": f"{NO_CFN}/v1/waitcondition",
                "num_engine_workers": 1,
                "plugin_dirs": PLUGINS,
                "region_name_for_services": lab_settings.REGION,
                "rpc_response_timeout": 600,
                "stack_domain_admin": "heat_domain_admin",
                "stack_domain_admin_password": lab_settings.PASSWORD,
                "stack_user_domain_name": "heat",
                "template_dir": settings.state / "heat/templates",
            },
            # As DevStack, Kolla-Ansible and OpenStack-Helm have it. Without,
            # Heat asks Glance, Nova and Neutron for the image, flavor and
            # network of each server several times.
            "cache": {"enabled": True, "backend": "dogpile.cache.memory"},
            "clients": {"endpoint_type": "publicURL"},
            "clients_keystone": {"auth_uri": settings.url("keystone")},
            "paste_deploy": {
                "api_paste_config": settings.config / "heat/api-paste.ini"
            },
            # Heat scopes this user to each trust itself; a project here
            # makes Keystone refuse ("scoped to multiple targets").
            "trustee": {
                name: account[name]
                for name in (
                    "auth_type",
                    "auth_url",
                    "username",
                    "password",
                    "user_domain_name",
                )
            },
        },
    )
    return {"heat/heat.conf": ini.render(sections)}
