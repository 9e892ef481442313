# SPDX-License-Identifier: Apache-2.0
"""The command line: python3 -m lab COMMAND, or lab/lab COMMAND."""

import argparse
import os
import pathlib
import sys
import time

from lab import access
from lab import control
from lab import failure
from lab import kube_dist
from lab import progress
from lab import settings as lab_settings

PAGE = 4096


def parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="lab",
        description="An OpenStack 2026.2 control plane on loopback, without "
        "hypervisors, for trying the driver. LAB_ROOT says where it lives "
        f"({lab_settings.DEFAULT_ROOT}); LAB_PORT_OFFSET moves its ports.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="install, start and seed all")
    start.add_argument(
        "--with",
        dest="extras",
        action="append",
        default=[],
        choices=lab_settings.EXTRAS,
        help="start this, too, now and from now on",
    )
    stop = commands.add_parser("down", help="stop all")
    stop.add_argument(
        "--wipe", action="store_true", help="forget all data, too"
    )
    commands.add_parser("status", help="show the processes")
    logs = commands.add_parser("logs", help="show the log of a service")
    logs.add_argument("service")
    logs.add_argument("-f", "--follow", action="store_true")
    logs.add_argument("-n", "--lines", type=int, default=50)
    again = commands.add_parser("restart", help="restart services")
    again.add_argument("services", nargs="+", metavar="service")
    commands.add_parser("install", help="only install")
    fill = commands.add_parser(
        "kube-dist",
        help="fill a directory with Kubernetes for container nodes",
    )
    fill.add_argument("directory", type=pathlib.Path)
    fill.add_argument("version", help="such as v1.36.4")
    fill.add_argument(
        "--architecture",
        default=kube_dist.ARCHITECTURES[0],
        choices=kube_dist.ARCHITECTURES,
    )
    fill.add_argument(
        "--binaries",
        metavar="URL",
        default=kube_dist.BINARIES,
        help="in place of %(default)s",
    )
    fill.add_argument(
        "--registry",
        metavar="URL",
        default="",
        help="asked in place of the registries in the names of images",
    )
    env = commands.add_parser("env", help="print variables for a shell")
    env.add_argument("cloud", nargs="?", default="demo", choices=access.CLOUDS)
    return parser.parse_args(words)


def run(options: argparse.Namespace) -> int:
    settings = lab_settings.read(tuple(getattr(options, "extras", ())))
    report = progress.printer()
    if options.command == "up":
        began = time.monotonic()
        control.up(settings, report)
        print(f"The lab is up after {time.monotonic() - began:.0f} s.")
        print(f"Log in with: . {settings.root / access.CLOUDS['demo']}")
    elif options.command == "down":
        control.down(settings, options.wipe, report)
    elif options.command == "restart":
        control.restart(settings, options.services, report)
    elif options.command == "install":
        with control.exclusive(settings):
            control.install_all(settings, report)
    elif options.command == "env":
        name = access.CLOUDS[options.cloud]
        print(access.files(settings)[name], end="")
    elif options.command == "logs":
        return show_log(settings, options)
    elif options.command == "kube-dist":
        fill_kube_dist(options, report)
    elif options.command == "status":
        return show_status(settings)
    return 0


def fill_kube_dist(
    options: argparse.Namespace, report: progress.Report
) -> None:
    source = kube_dist.Source(
        binaries=options.binaries.rstrip("/"),
        registry=options.registry,
        architecture=options.architecture,
    )
    kube_dist.fill(options.directory, options.version, source, report)
    print(f"KUBE_DIST={options.directory.resolve()}")


def show_log(
    settings: lab_settings.Settings, options: argparse.Namespace
) -> int:
    path = control.manage(settings).log_file(options.service)
    if not path.exists():
        known = sorted(file.stem for file in settings.log.glob("*.log"))
        raise failure.LabError(
            f"There is no log of {options.service}; there are: "
            f"{', '.join(known) or 'none'}."
        )
    words = ["tail", "-n", str(options.lines), str(path)]
    if options.follow:
        words.insert(1, "-F")
    os.execvp("tail", words)


def show_status(settings: lab_settings.Settings) -> int:
    """Print a table; tell by the exit code whether all is well."""
    rows = [("SERVICE", "PID", "PORT", "UP SINCE", "MB")]
    missing = 0
    for one in control.status(settings):
        port = str(one.service.port or "")
        if one.record is None:
            missing += 1
            rows.append((one.service.name, "down", port, "", ""))
            continue
        since = time.strftime("%F %T", time.localtime(one.record.since))
        memory = sum(
            resident(pid)
            for pid in control.manage(settings).members(one.service.name)
        )
        pid = str(one.record.pid)
        rows.append((one.service.name, pid, port, since, str(memory >> 20)))
    for name, pid, port, since, memory in rows:
        print(f"{name:18}{pid:>8}{port:>7}  {since:20}{memory:>6}")
    return 1 if missing else 0


def resident(pid: int) -> int:
    """Return the bytes of memory a process holds."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return int(fields[1]) * PAGE


def main() -> int:
    try:
        return run(parse(sys.argv[1:]))
    except failure.LabError as exc:
        progress.warn(str(exc))
        return 2
    except BrokenPipeError:
        # The reader, head perhaps, has seen enough.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
