# SPDX-License-Identifier: Apache-2.0
"""``magnum-k8s-manage metrics``: what the driver counts, for Prometheus."""

import argparse
import os
import pathlib
import signal
import sys
import threading
from typing import Any

from magnum_k8s_driver import census
from magnum_k8s_driver.ports import cloud as cloud_module
from magnum_k8s_driver.ports import exposition

FINE, FAILED = 0, 2
"""Exit codes."""

_NOT_SET = (
    "[k8s_driver] metrics_directory is not set: only clusters and nodes are "
    "counted."
)


def add_parser(commands: Any) -> argparse.ArgumentParser:
    """Add the command to those of ``magnum-k8s-manage``."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "metrics",
        help="show what the driver counts, for Prometheus",
        description="Add up what the processes of magnum-conductor on this "
        "host leave in [k8s_driver] metrics_directory, count clusters and "
        "nodes in Magnum's database, and show both in Prometheus' text "
        "format. Run it as the conductor's user. Exit code: 0 fine, 2 "
        "failed.",
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--output",
        type=pathlib.Path,
        metavar="FILE",
        help="replace this file in one step, for node_exporter's textfile "
        "collector",
    )
    where.add_argument(
        "--listen",
        type=_address,
        metavar="ADDRESS:PORT",
        help="answer Prometheus there until stopped",
    )
    return parser


def run(options: argparse.Namespace) -> int:
    """Run the command; ``magnum.conf`` has been read.

    :returns: exit code.
    :raises K8sDriverError: what was counted cannot be read.
    """
    directory = cloud_module.CONF.k8s_driver.metrics_directory
    if not directory:
        _say(_NOT_SET)
    elif not pathlib.Path(directory).exists():
        _say(f"Nothing has been counted yet: there is no {directory}.")
    if options.listen:
        address, port = options.listen
        return _listen(address, port, directory)
    text = exposition.exposition(directory, census.take())
    if options.output is None:
        print(text, end="")
        return FINE
    try:
        _replace(options.output, text)
    except OSError as exc:
        _say(str(exc))
        return FAILED
    return FINE


def _address(text: str) -> tuple[str, int]:
    host, _colon, port = text.rpartition(":")
    if not (host and port.isdecimal() and int(port) < 65536):
        raise argparse.ArgumentTypeError(f"{text!r} is no ADDRESS:PORT")
    return host.strip("[]"), int(port)


def _replace(path: pathlib.Path, text: str) -> None:
    # The collector reads names that end in .prom only.
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.chmod(0o644)
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def _listen(address: str, port: int, directory: str) -> int:
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_args: ended.set())
    try:
        server = exposition.Server(address, port, directory, census.take)
    except OSError as exc:
        _say(f"cannot listen on {address}:{port}: {exc}")
        return FAILED
    ended.wait()
    server.close()
    return FINE


def _say(sentence: str) -> None:
    print(f"magnum-k8s-manage: {sentence}", file=sys.stderr)
