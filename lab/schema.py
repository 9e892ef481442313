# SPDX-License-Identifier: Apache-2.0
"""Create the tables of each service, once for each version."""

from collections.abc import Iterator
import subprocess

from lab import database
from lab import failure
from lab import magnum_22
from lab import settings as lab_settings

Command = list[str]


def names(settings: lab_settings.Settings) -> list[str]:
    """Return the services with tables; those that take longest first."""
    wanted = [
        "keystone",
        "neutron",
        "nova",
        "octavia",
        "heat",
        "glance",
        "placement",
        "cinder",
        "magnum",
    ]
    return wanted + sorted(settings.extras & {"barbican"})


def create(settings: lab_settings.Settings, service: str) -> None:
    """Bring a service's tables up to date unless the stamp says they are.

    :raises LabError: with the last lines of the command that failed.
    """
    stamp = settings.state / service / "schema.digest"
    wanted = _version(settings)
    if stamp.exists() and stamp.read_text() == wanted:
        return
    for command in _commands(settings, service):
        run(settings, f"schema-{service}", command)
    stamp.write_text(wanted)


def run(settings: lab_settings.Settings, log: str, command: Command) -> str:
    """Run a command of the venv; its output goes to a log file, too."""
    done = subprocess.run(
        command,
        env=settings.environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=settings.state,
        check=False,
    )
    path = settings.log / f"{log}.log"
    with path.open("a") as output:
        output.write(f"$ {' '.join(command)}\n{done.stdout}")
    if done.returncode:
        last = done.stdout.splitlines()[-10:]
        raise failure.LabError(
            "\n".join((f"`{' '.join(command)}` failed:", *last, f"({path})"))
        )
    return done.stdout


def _version(settings: lab_settings.Settings) -> str:
    return (settings.venv / "lock.digest").read_text()


def _commands(
    settings: lab_settings.Settings, service: str
) -> Iterator[Command]:
    if service == "keystone":
        yield from _keystone(settings)
    elif service == "nova":
        yield [settings.python, "-m", "lab.plugins.nova_schema"] + [
            str(settings.config / "nova/nova.conf"),
            database.url(settings, "nova_cell0"),
        ]
    elif service == "barbican":
        yield [settings.program("barbican-manage"), "db", "upgrade"] + [
            "--db-url",
            database.url(settings, "barbican"),
        ]
    else:
        yield _manage(settings, service)


def _manage(settings: lab_settings.Settings, service: str) -> Command:
    program, file, *words = {
        "cinder": ("cinder-manage", "cinder.conf", "db", "sync"),
        "glance": ("glance-manage", "glance-api.conf", "db_sync"),
        "heat": ("heat-manage", "heat.conf", "db_sync"),
        "magnum": ("magnum-db-manage", "magnum.conf", "upgrade"),
        "neutron": ("neutron-db-manage", "neutron.conf", "upgrade", "heads"),
        "octavia": ("octavia-db-manage", "octavia.conf", "upgrade", "head"),
        "placement": ("placement-manage", "placement.conf", "db", "sync"),
    }[service]
    config = settings.config / service / file
    path = settings.program(program)
    if service == "magnum":
        path = magnum_22.program(settings, program)
    return [path, "--config-file", str(config), *words]


def _keystone(settings: lab_settings.Settings) -> Iterator[Command]:
    file = str(settings.config / "keystone/keystone.conf")
    manage = [settings.program("keystone-manage"), "--config-file", file]
    yield [*manage, "db_sync"]
    for keys in ("fernet_setup", "credential_setup"):
        yield [*manage, keys, "--keystone-user", "root"] + [
            "--keystone-group",
            "root",
        ]
    urls = [
        word
        for interface in ("admin", "internal", "public")
        for word in (
            f"--bootstrap-{interface}-url",
            settings.identity_url,
        )
    ]
    yield [
        *manage,
        "bootstrap",
        "--bootstrap-password",
        lab_settings.PASSWORD,
        "--bootstrap-region-id",
        lab_settings.REGION,
        *urls,
    ]
