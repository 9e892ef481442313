# SPDX-License-Identifier: Apache-2.0
"""What the user of ``lab/demo`` may ask for."""

import argparse
import dataclasses

DESCRIPTION = (
    "Bring the lab up, create a Kubernetes cluster in it with "
    "python-openstackclient and watch it grow. LAB_ROOT says where the lab "
    "lives, LAB_PORT_OFFSET moves its ports, CI=1 prints plain lines."
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """One run of the demo."""

    name: str
    """Empty: the next free name."""
    masters: int
    workers: int
    load_balancer: bool
    delete: bool
    """Delete the cluster in the end and watch that, too."""
    timeout: float
    """Minutes until the demo stops watching."""


def parse(words: list[str]) -> Options:
    parser = argparse.ArgumentParser(prog="lab/demo", description=DESCRIPTION)
    parser.add_argument(
        "--name", default="", help="of the cluster; the next free demo, ..."
    )
    parser.add_argument(
        "--masters", type=_count, default=1, help="control-plane nodes (1)"
    )
    parser.add_argument(
        "--workers", type=_count, default=2, help="worker nodes (2)"
    )
    parser.add_argument(
        "--load-balancer",
        action="store_true",
        help="put Octavia before the API; needed for several masters",
    )
    last = parser.add_mutually_exclusive_group()
    last.add_argument(
        "--keep",
        dest="delete",
        action="store_false",
        help="leave the cluster in the end (the default)",
    )
    last.add_argument(
        "--delete",
        action="store_true",
        help="delete the cluster in the end",
    )
    parser.set_defaults(delete=False)
    parser.add_argument(
        "--timeout",
        type=_minutes,
        default=15.0,
        metavar="MINUTES",
        help="stop watching after so many minutes (15)",
    )
    return Options(**vars(parser.parse_args(words)))


def _count(text: str) -> int:
    if text.isdigit() and 0 < int(text) <= 1000:
        return int(text)
    raise argparse.ArgumentTypeError(
        f"{text!r} is no number of nodes from 1 to 1000"
    )


def _minutes(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if found > 0:
        return found
    raise argparse.ArgumentTypeError(f"{text!r} is no number of minutes")
