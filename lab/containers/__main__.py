# SPDX-License-Identifier: Apache-2.0
"""For people: python3 -m lab.containers build | enter NAME [COMMAND...]."""

import argparse
import os
import sys

from lab import failure
from lab import progress
from lab import settings as lab_settings
from lab.containers import image
from lab.containers import machines
from lab.containers import server as server_module

ENVIRONMENT = (
    "HOME=/root",
    "TERM=dumb",
    "LANG=C.UTF-8",
    "PATH=/opt/magnum/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
    ":/sbin:/bin",
)


def command(first: int, words: list[str]) -> list[str]:
    """Return a command line that runs words inside a server."""
    return [
        *("nsenter", "--target", str(first), "--all", "--root", "--wd"),
        *("--", "env", "-i", *ENVIRONMENT, *words),
    ]


def enter(settings: lab_settings.Settings, name: str, words: list[str]) -> int:
    for server in server_module.read_all(settings):
        if name in (server.name, server.id):
            break
    else:
        raise failure.LabError(f"There is no container node {name}.")
    first = machines.Machines(settings).first_process(server.id)
    if not first:
        raise failure.LabError(f"Server {name} is off.")
    line = command(first, words or ["bash"])
    os.execvp(line[0], line)


def main() -> int:
    parser = argparse.ArgumentParser(prog="lab.containers")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("build", help="build the image unless it is there")
    inside = commands.add_parser("enter", help="run a command in a server")
    inside.add_argument("server")
    inside.add_argument("words", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    try:
        if options.command == "build":
            print(image.build())
            return 0
        settings = lab_settings.read()
        return enter(settings, options.server, options.words)
    except failure.LabError as exc:
        progress.warn(str(exc))
        return 2


if __name__ == "__main__":
    sys.exit(main())
