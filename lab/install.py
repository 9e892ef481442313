# SPDX-License-Identifier: Apache-2.0
"""Bring what the lab runs on: Debian packages, the venv, the driver."""

from collections.abc import Iterator
import contextlib
import hashlib
import os
import pathlib
import shutil
import subprocess
import sys

from lab import failure
from lab import progress
from lab import settings as lab_settings

PROGRAMS = {
    "mariadbd": "mariadb-server-core",
    "mariadb-install-db": "mariadb-server-core",
    "mariadb": "mariadb-client-core",
    "my_print_defaults": "mariadb-client-core",
    "rabbitmqctl": "rabbitmq-server",
    "epmd": "erlang-base",
}
"""The core packages of MariaDB come without a system service."""

CERTIFICATES = pathlib.Path("/etc/ssl/certs/ca-certificates.crt")
POLICY = pathlib.Path("/usr/sbin/policy-rc.d")
LOCK = lab_settings.PACKAGE / "requirements.lock"

ENTRY_POINTS = """\
[neutron.ml2.mechanism_drivers]
lab = lab.plugins.neutron_binding:BindAtOnce

[octavia.api.drivers]
lab = lab.plugins.octavia_provider:Provider
"""


def install(settings: lab_settings.Settings, report: progress.Report) -> None:
    """Install what is missing; do nothing where all is there."""
    for directory in (
        settings.config,
        settings.home,
        settings.log,
        settings.python_path,
        settings.run,
        settings.state,
    ):
        directory.mkdir(parents=True, exist_ok=True)
    _install_packages(settings, report)
    _install_venv(settings, report)
    _link_package(settings)
    install_driver(settings, report, settings.venv)


def run(
    settings: lab_settings.Settings,
    command: list[str],
    environment: dict[str, str] | None = None,
) -> None:
    """Run a command, its output going to install.log.

    :raises LabError: with the end of its output when it fails.
    """
    log = settings.log / "install.log"
    with log.open("a+") as output:
        output.write(f"\n$ {' '.join(command)}\n")
        output.flush()
        start = output.tell()
        code = subprocess.run(
            command,
            env=environment or dict(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        ).returncode
        output.seek(start)
        last = output.read().splitlines()[-10:]
    if code:
        raise failure.LabError(
            "\n".join((f"`{' '.join(command)}` failed:", *last, f"({log})"))
        )


def find_program(name: str) -> str | None:
    """Find a program where Debian puts those of daemons, too."""
    places = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
    return shutil.which(name, path=places)


def _install_packages(
    settings: lab_settings.Settings, report: progress.Report
) -> None:
    missing = {
        package
        for program, package in PROGRAMS.items()
        if not find_program(program)
    }
    if missing:
        _apt(settings, report, sorted(missing))


def _apt(
    settings: lab_settings.Settings,
    report: progress.Report,
    packages: list[str],
) -> None:
    wanted = " ".join(packages)
    if not shutil.which("apt-get") or os.geteuid() != 0:
        raise failure.LabError(
            f"The lab needs the packages {wanted}; install them, or run "
            f"this once as root on Debian 12."
        )
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with progress.step(report, f"apt-get install {wanted}"), _no_services():
        run(settings, ["apt-get", "update", "-qq"], environment)
        run(
            settings,
            ["apt-get", "install", "-y", "-q", "--no-install-recommends"]
            + packages,
            environment,
        )


@contextlib.contextmanager
def _no_services() -> Iterator[None]:
    """Keep package scripts from starting the system's own services."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def _install_venv(
    settings: lab_settings.Settings, report: progress.Report
) -> None:
    if make_venv(settings, report, settings.venv, LOCK, "OpenStack"):
        (settings.venv / "driver.digest").unlink(missing_ok=True)


def make_venv(
    settings: lab_settings.Settings,
    report: progress.Report,
    venv: pathlib.Path,
    lock: pathlib.Path,
    what: str,
) -> bool:
    """Bring a virtual environment to what a lock file says.

    :param what: what it holds, for the report.
    :returns: whether it had to be changed.
    """
    wanted = digest(lock)
    stamp = venv / "lock.digest"
    if stamp.exists() and stamp.read_text() == wanted:
        return False
    with progress.step(report, "install uv"):
        uv = install_uv(settings, report)
    environment = uv_environment(settings)
    python = str(venv / "bin/python")
    with progress.step(report, f"install {what} from the lock file"):
        if not pathlib.Path(python).exists():
            run(
                settings,
                [uv, "venv", "--clear", "--python", sys.executable]
                + [str(venv)],
                environment,
            )
        run(
            settings,
            [uv, "pip", "sync", "--python", python, str(lock)],
            environment,
        )
    stamp.write_text(wanted)
    return True


def install_uv(
    settings: lab_settings.Settings, report: progress.Report
) -> str:
    tools = settings.root / "tools"
    uv = tools / "bin/uv"
    if not uv.exists():
        probe = [sys.executable, "-c", "import ensurepip, venv"]
        if subprocess.run(probe, capture_output=True, check=False).returncode:
            _apt(settings, report, ["python3-venv"])
        run(settings, [sys.executable, "-m", "venv", str(tools)])
        run(settings, [str(tools / "bin/pip"), "install", "-q", "uv"])
    return str(uv)


def uv_environment(settings: lab_settings.Settings) -> dict[str, str]:
    """Return uv's environment; it does not read pip's configuration."""
    environment = dict(os.environ)
    if CERTIFICATES.exists():
        environment.setdefault("UV_SYSTEM_CERTS", "true")
    index = subprocess.run(
        [settings.root / "tools/bin/pip", "config", "get", "global.index-url"],
        capture_output=True,
        text=True,
        check=False,
    )
    if index.returncode == 0 and index.stdout.strip():
        environment.setdefault("UV_DEFAULT_INDEX", index.stdout.strip())
    return environment


def _link_package(settings: lab_settings.Settings) -> None:
    """Let services import this package and find its plugins.

    The checkout itself stays off their path: an old egg-info in it would
    hide the entry points of the installed driver.
    """
    link = settings.python_path / "lab"
    if not link.is_symlink() or link.readlink() != lab_settings.PACKAGE:
        link.unlink(missing_ok=True)
        link.symlink_to(lab_settings.PACKAGE)
    metadata = settings.python_path / "lab_plugins-1.dist-info"
    metadata.mkdir(exist_ok=True)
    (metadata / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: lab-plugins\nVersion: 1\n"
    )
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)


def install_driver(
    settings: lab_settings.Settings,
    report: progress.Report,
    venv: pathlib.Path,
) -> None:
    """Install the checkout itself, editable; again when its metadata change.

    Or when another checkout was installed before: both may share a lab.
    A driver that cannot be installed is no reason to have no cloud.
    """
    names = ("pyproject.toml", "setup.cfg", "setup.py")
    sources = [lab_settings.CHECKOUT / name for name in names]
    wanted = f"{lab_settings.CHECKOUT} {digest(*sources)}"
    stamp = venv / "driver.digest"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    uv = install_uv(settings, report)
    command = [uv, "pip", "install", "--python", str(venv / "bin/python")]
    command += ["--no-deps", "--no-build-isolation"]
    command += ["--editable", str(lab_settings.CHECKOUT)]
    environment = uv_environment(settings)
    if (
        not shutil.which("git")
        or not (lab_settings.CHECKOUT / ".git").exists()
    ):
        # The version comes from git, and here nobody looks at it.
        environment.setdefault("PBR_VERSION", "0.0.1")
    try:
        with progress.step(report, "install the driver, editable"):
            run(settings, command, environment)
    except failure.LabError as exc:
        progress.warn(f"The driver is not installed in the lab. {exc}")
        return
    stamp.write_text(wanted)


def digest(*paths: pathlib.Path) -> str:
    summary = hashlib.sha256()
    for path in paths:
        if path.exists():
            summary.update(path.read_bytes())
    return summary.hexdigest()
