# SPDX-License-Identifier: Apache-2.0
"""The lab's own MariaDB."""

import subprocess

from lab import failure
from lab import install
from lab import process
from lab import settings as lab_settings

NAME = "mariadb"
GRACE = 8.0

DATABASES = (
    "barbican",
    "cinder",
    "glance",
    "heat",
    "keystone",
    "magnum",
    "neutron",
    "nova",
    "nova_api",
    "nova_cell0",
    "octavia",
    "placement",
)

OPTIONS = (
    f"--bind-address={lab_settings.HOST}",
    "--innodb-buffer-pool-size=256M",
    # Nobody keeps a lab through a power cut; kill -9 loses nothing.
    "--innodb-doublewrite=0",
    "--innodb-flush-log-at-trx-commit=0",
    "--max-connections=800",
    "--performance-schema=OFF",
    "--skip-log-bin",
    "--skip-name-resolve",
)


def url(settings: lab_settings.Settings, database: str) -> str:
    """Return the SQLAlchemy URL of a database."""
    return (
        f"mysql+pymysql://lab:{lab_settings.PASSWORD}@{lab_settings.HOST}"
        f":{settings.port(NAME)}/{database}?charset=utf8mb4"
    )


def prepare(settings: lab_settings.Settings) -> None:
    """Make the data directory if there is none."""
    data = settings.root / "mariadb"
    if (data / "mysql").exists():
        return
    install.run(
        settings,
        [
            install.find_program("mariadb-install-db") or "",
            "--no-defaults",
            f"--datadir={data}",
            f"--user={_user()}",
            "--auth-root-authentication-method=normal",
            # Not every machine can look its own name up.
            "--force",
            "--skip-test-db",
        ],
    )


def command(settings: lab_settings.Settings) -> list[str]:
    """Return the server's command line."""
    return [
        install.find_program("mariadbd") or "mariadbd",
        "--no-defaults",
        f"--datadir={settings.root / 'mariadb'}",
        f"--pid-file={settings.run / 'mariadb.pid'}",
        f"--port={settings.port(NAME)}",
        f"--socket={_socket(settings)}",
        f"--user={_user()}",
        *OPTIONS,
    ]


def create(settings: lab_settings.Settings) -> None:
    """Create the user and the databases that are not there yet."""
    account = f"lab@'{lab_settings.HOST}'"
    statements = [
        f"CREATE USER IF NOT EXISTS {account} "
        f"IDENTIFIED BY '{lab_settings.PASSWORD}'",
        f"GRANT ALL ON *.* TO {account}",
    ]
    statements += [
        f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb3"
        for name in DATABASES
    ]
    query(settings, ";".join(statements))


def query(settings: lab_settings.Settings, statement: str) -> str:
    """Run SQL as the server's root; return what it prints.

    :raises LabError: with the server's answer if it refuses.
    """
    done = subprocess.run(
        [
            install.find_program("mariadb") or "mariadb",
            "--no-defaults",
            f"--socket={_socket(settings)}",
            "--user=root",
            "--batch",
            "--skip-column-names",
            "--execute",
            statement,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise failure.LabError(f"MariaDB refused: {done.stderr.strip()}")
    return done.stdout.strip()


def running(processes: process.Processes) -> bool:
    return processes.alive(NAME) is not None


def _socket(settings: lab_settings.Settings) -> str:
    return str(settings.run / "mariadb.sock")


def _user() -> str:
    return subprocess.run(
        ["id", "-un"], capture_output=True, text=True, check=True
    ).stdout.strip()
