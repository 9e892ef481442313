# SPDX-License-Identifier: Apache-2.0
"""What the cloud consists of: one entry for each process."""

from collections.abc import Mapping
import dataclasses

from lab import broker
from lab import dashboard
from lab import database
from lab import magnum_22
from lab import settings as lab_settings
from lab.config import nova

GRACE = 4.0
"""Seconds between SIGTERM and SIGKILL; none keeps state in memory."""


@dataclasses.dataclass(frozen=True)
class Service:
    """One process of the lab."""

    name: str
    command: tuple[str, ...]
    port: int | None = None
    """Ready when this accepts connections."""

    heartbeat: str = ""
    """Ready when this SQL finds a report younger than ``{since}``."""

    after: tuple[str, ...] = ()
    """Jobs of ``up`` that have to end before the start."""

    config: str = ""
    """Directory of its configuration; a change there restarts it."""

    environment: Mapping[str, str] = dataclasses.field(default_factory=dict)
    grace: float = GRACE


def infrastructure(settings: lab_settings.Settings) -> list[Service]:
    """Return what the services store and talk through, stopped last."""
    return [
        Service(
            database.NAME,
            tuple(database.command(settings)),
            settings.port(database.NAME),
            grace=database.GRACE,
        ),
        Service(
            broker.MAPPER,
            tuple(broker.mapper_command(settings)),
            settings.port(broker.MAPPER),
        ),
        Service(
            broker.NAME,
            (broker.SERVER,),
            settings.port(broker.NAME),
            after=(broker.MAPPER,),
            environment=broker.environment(settings),
            grace=database.GRACE,
        ),
    ]


def cloud(settings: lab_settings.Settings) -> list[Service]:
    """Return the OpenStack services."""
    config = "--config-file", str(settings.config / "heat/heat.conf")
    found = [
        _api(settings, "keystone", "keystone.wsgi.api", threads=8),
        _api(settings, "placement", "placement.wsgi.api"),
        _api(settings, "glance", "glance.wsgi.api"),
        _api(settings, "neutron", "neutron.wsgi.api", threads=8),
        *_nova(settings),
        _api(settings, "heat", "heat.wsgi.api", "heat.conf", 8, True),
        _agent(
            settings,
            "heat-engine",
            (settings.program("heat-engine"), *config),
            "SELECT count(*) FROM heat.service WHERE deleted_at IS NULL "
            "AND coalesce(updated_at, created_at) >= '{since}'",
        ),
        _api(settings, "octavia", "lab.plugins.octavia_api", "octavia.conf"),
        *_cinder(settings),
        *_magnum(settings),
    ]
    if "barbican" in settings.extras:
        barbican = _api(settings, "barbican", "lab.plugins.barbican_api")
        home = {"HOME": barbican.config}
        found.append(dataclasses.replace(barbican, environment=home))
    if "containers" in settings.extras:
        found += _containers(settings)
    if "horizon" in settings.extras:
        found.append(_horizon(settings))
    return found


def _containers(settings: lab_settings.Settings) -> list[Service]:
    """Return what servers that are system containers need around them."""
    metadata = _api(settings, "nova", "nova.wsgi.metadata", messages=True)
    port = nova.metadata_port(settings)
    command = [*metadata.command]
    command[command.index(str(metadata.port))] = str(port)
    return [
        dataclasses.replace(
            metadata, name="nova-metadata", command=tuple(command), port=port
        ),
        Service(
            "container-fabric",
            (settings.python, "-m", "lab.containers.fabric"),
            after=("schema of octavia", "schema of neutron"),
        ),
    ]


def _horizon(settings: lab_settings.Settings) -> Service:
    found = _api(settings, "horizon", "lab.plugins.horizon_site", threads=8)
    return dataclasses.replace(
        found,
        command=(dashboard.python(settings), *found.command[1:]),
        after=("files of horizon",),
    )


def _nova(settings: lab_settings.Settings) -> list[Service]:
    config = settings.config / "nova"
    launcher = settings.program("nova-compute")
    hollow = nova.compute_driver() == nova.HOLLOW
    compute = (
        (settings.python, "-m", "lab.plugins.nova_compute")
        if hollow
        else (launcher,)
    )
    agents = [
        _agent(
            settings,
            f"nova-{part}",
            (
                settings.program(f"nova-{part}"),
                "--config-file",
                str(config / "nova.conf"),
            ),
            _nova_report(f"nova-{part}"),
            "identity",
        )
        for part in ("conductor", "scheduler")
    ]
    return [
        *agents,
        _api(settings, "nova", "nova.wsgi.osapi_compute", "", 8, True),
        dataclasses.replace(
            _agent(
                settings,
                "nova-compute",
                (
                    *compute,
                    "--config-file",
                    str(config / "compute/nova-compute.conf"),
                ),
                _nova_report("nova-compute"),
                "placement",
                "nova-conductor",
                "identity",
            ),
            config=str(config / "compute"),
            # Another KUBE_DIST: start again.
            environment=settings.container_environment(),
        ),
    ]


def _nova_report(binary: str) -> str:
    return (
        f"SELECT count(*) FROM nova.services WHERE `binary` = '{binary}' "
        f"AND deleted = 0 AND last_seen_up >= '{{since}}'"
    )


def _cinder(settings: lab_settings.Settings) -> list[Service]:
    config = "--config-file", str(settings.config / "cinder/cinder.conf")
    agents = [
        _agent(
            settings,
            f"cinder-{part}",
            (settings.program(f"cinder-{part}"), *config),
            f"SELECT count(*) FROM cinder.services WHERE "
            f"`binary` = 'cinder-{part}' AND deleted = 0 "
            f"AND coalesce(updated_at, created_at) >= '{{since}}'",
        )
        for part in ("scheduler", "volume")
    ]
    return [
        _api(settings, "cinder", "cinder.wsgi.api", "cinder.conf", 4, True),
        *agents,
    ]


def _magnum(settings: lab_settings.Settings) -> list[Service]:
    config = "--config-file", str(settings.config / "magnum/magnum.conf")
    api = _api(settings, "magnum", "magnum.wsgi.api", "magnum.conf", 4, True)
    python = magnum_22.program(settings, "python")
    return [
        dataclasses.replace(api, command=(python, *api.command[1:])),
        _agent(
            settings,
            "magnum-conductor",
            (python, "-m", "lab.plugins.magnum_conductor", *config),
            "SELECT count(*) FROM magnum.magnum_service "
            "WHERE last_seen_up >= '{since}'",
        ),
    ]


def _api(
    settings: lab_settings.Settings,
    name: str,
    module: str,
    config: str = "",
    threads: int = 4,
    messages: bool = False,
) -> Service:
    """Return a WSGI application served by waitress.

    :param config: the file to name on its command line, where it wants one.
    :param messages: whether it talks to agents over the broker.
    """
    port = settings.port(name)
    command = [settings.python, "-m", "lab.plugins.serve"]
    command += [module, str(port), str(threads)]
    if config:
        command += ["--config-file", str(settings.config / name / config)]
    return Service(
        name,
        tuple(command),
        port,
        after=(f"schema of {name}", *((broker.NAME,) if messages else ())),
        config=str(settings.config / name),
    )


def _agent(
    settings: lab_settings.Settings,
    name: str,
    command: tuple[str, ...],
    heartbeat: str,
    *after: str,
) -> Service:
    """Return a service that works from the message queue."""
    project = name.partition("-")[0]
    return Service(
        name,
        command,
        heartbeat=heartbeat,
        after=(f"schema of {project}", broker.NAME, *after),
        config=str(settings.config / project),
    )
