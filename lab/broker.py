# SPDX-License-Identifier: Apache-2.0
"""The lab's own RabbitMQ and the Erlang port mapper it registers with."""

import pathlib

from lab import settings as lab_settings

NAME = "rabbitmq"
MAPPER = "epmd"
SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"

ERLANG_ARGUMENTS = (
    "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none "
    "-kernel inet_dist_use_interface {127,0,0,1}"
)
"""Two schedulers that sleep when idle; cluster port on loopback only."""


def url(settings: lab_settings.Settings) -> str:
    """Return the transport URL of the broker."""
    host = f"{lab_settings.HOST}:{settings.port(NAME)}"
    return f"rabbit://guest:guest@{host}/"


def mapper_command(settings: lab_settings.Settings) -> list[str]:
    port = str(settings.port(MAPPER))
    return ["epmd", "-address", lab_settings.HOST, "-port", port]


def prepare(settings: lab_settings.Settings) -> None:
    """Switch every plugin off."""
    home = _home(settings)
    home.mkdir(exist_ok=True)
    (home / "enabled_plugins").write_text("[].\n")


def environment(settings: lab_settings.Settings) -> dict[str, str]:
    """Return what tells the server to use nothing of the system's."""
    home = _home(settings)
    return {
        "ERL_EPMD_ADDRESS": lab_settings.HOST,
        "ERL_EPMD_PORT": str(settings.port(MAPPER)),
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "RABBITMQ_CONFIG_FILE": str(home / "none"),
        "RABBITMQ_CONF_ENV_FILE": str(home / "none"),
        "RABBITMQ_DIST_PORT": str(settings.port("rabbitmq-cluster")),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_LOG_BASE": str(settings.log),
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        # By address: not every machine can look localhost up.
        "RABBITMQ_NODENAME": f"lab@{lab_settings.HOST}",
        "RABBITMQ_NODE_IP_ADDRESS": lab_settings.HOST,
        "RABBITMQ_NODE_PORT": str(settings.port(NAME)),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": ERLANG_ARGUMENTS,
        "RABBITMQ_USE_LONGNAME": "true",
    }


def _home(settings: lab_settings.Settings) -> pathlib.Path:
    return settings.root / "rabbitmq"
