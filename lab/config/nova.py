# SPDX-License-Identifier: Apache-2.0
"""Nova with one big pretended hypervisor."""

from lab import database
from lab import ini
from lab import settings as lab_settings
from lab.config import blocks

DIRECTORIES = ("instances", "locks")
COPIES = ("nova/api-paste.ini",)

HOLLOW = "hollow.HollowDriver"
"""lab/hollow/driver.py: servers run the node program's stand-in."""

EMPTY = "fake.FakeDriverWithoutFakeNodes"
"""Nova's own: servers are ACTIVE and do nothing."""

NODE_ID = "5d0a1c3e-0000-4000-8000-00000000c0de"
"""Nova's fake drivers expect a node identity and never write one."""

FILTERS = (
    "ComputeFilter",
    "ComputeCapabilitiesFilter",
    "ImagePropertiesFilter",
    "ServerGroupAntiAffinityFilter",
    "ServerGroupAffinityFilter",
    "AggregateInstanceExtraSpecsFilter",
)
"""Availability zones are Placement's business in this release."""

UNLIMITED = (
    "cores",
    "injected_files",
    "instances",
    "key_pairs",
    "ram",
    "server_group_members",
    "server_groups",
)


def metadata_port(settings: lab_settings.Settings) -> int:
    """Return the port of nova-metadata, which container nodes ask."""
    return settings.port("nova") + 1


def compute_driver() -> str:
    """Return the driver to use: the hollow one as soon as it exists."""
    present = (lab_settings.PACKAGE / "hollow/driver.py").exists()
    return HOLLOW if present else EMPTY


def files(settings: lab_settings.Settings) -> dict[str, str]:
    sections = ini.merge(
        blocks.base(settings, "nova", messages=True),
        _compute(settings),
        _neighbours(settings),
        {
            "api": {"auth_strategy": "keystone"},
            "api_database": {
                "connection": database.url(settings, "nova_api"),
                "max_pool_size": 10,
                "max_overflow": 30,
            },
            "conductor": {"workers": 1},
            "filter_scheduler": {
                "enabled_filters": ",".join(FILTERS),
                "track_instance_changes": False,
            },
            # The limits of a project can still be set below these.
            "quota": dict.fromkeys(UNLIMITED, -1),
            "scheduler": {"workers": 1},
            "wsgi": {
                "api_paste_config": settings.config / "nova/api-paste.ini"
            },
        },
    )
    # nova-compute refuses to start where it can see a database.
    compute = ini.merge(
        blocks.without(sections, "database", "api_database"),
        {"DEFAULT": {"compute_driver": compute_driver()}},
    )
    return {
        "nova/nova.conf": ini.render(sections),
        "nova/compute/nova-compute.conf": ini.render(compute),
        "nova/compute/compute_id": NODE_ID,
    }


def _compute(settings: lab_settings.Settings) -> ini.Sections:
    return {
        "DEFAULT": {
            "block_device_allocate_retries": 30,
            "block_device_allocate_retries_interval": 1,
            "cpu_allocation_ratio": 1.0,
            "heal_instance_info_cache_interval": -1,
            "instances_path": settings.state / "nova/instances",
            "max_concurrent_builds": 20,
            "my_ip": lab_settings.HOST,
            "report_interval": 10,
            "reserved_host_memory_mb": 0,
            "running_deleted_instance_poll_interval": 0,
            "service_down_time": 60,
            "sync_power_state_interval": -1,
            "vif_plugging_is_fatal": False,
            "vif_plugging_timeout": 0,
        },
        "vnc": {"enabled": False},
    }


def _neighbours(settings: lab_settings.Settings) -> ini.Sections:
    account = blocks.account(settings, "nova")
    return {
        "barbican": account,
        "cinder": {**account, "os_region_name": lab_settings.REGION},
        "glance": account,
        "neutron": {
            **account,
            "metadata_proxy_shared_secret": lab_settings.PASSWORD,
            "service_metadata_proxy": True,
        },
        "placement": account,
        "service_user": {**account, "send_service_user_token": True},
    }
