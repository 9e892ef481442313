# SPDX-License-Identifier: Apache-2.0
"""Benchmarks against the lab: ``python -m bench COMMAND``.

Every size is run in one go on the same lab, so the ratios between rows mean
something even on a noisy machine; single figures do not.
"""

import argparse
import pathlib
import sys

from bench import boards
from bench import boot
from bench import chart
from bench import life
from bench import ticks


def main() -> int:
    """Run one benchmark and print its table."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser(
        "life", help="lead clusters of several sizes through their life"
    )
    one.add_argument(
        "sizes",
        type=int,
        nargs="*",
        default=[1, 10],
        help="numbers of workers",
    )
    one.add_argument(
        "--in-tree",
        type=int,
        nargs="*",
        default=[],
        metavar="SIZE",
        help="numbers of workers for Magnum 22's in-tree driver",
    )
    one.add_argument("--output", type=pathlib.Path, help="JSON file")
    one.set_defaults(
        run=lambda given: life.run(given.sizes, given.in_tree, given.output)
    )
    one = commands.add_parser(
        "boot", help="boot nodes of ours and by hand, with real Kubernetes"
    )
    one.add_argument("--runs", type=int, default=3, help="of each kind")
    one.add_argument("--output", type=pathlib.Path, help="JSON file")
    one.set_defaults(
        run=lambda options: boot.run(options.runs, options.output)
    )
    one = commands.add_parser(
        "ticks", help="measure Magnum's periodic jobs with many clusters"
    )
    one.add_argument(
        "sizes",
        type=int,
        nargs="*",
        default=[1, 20, 100],
        help="numbers of clusters in progress",
    )
    one.add_argument("--complete", type=int, default=300)
    one.add_argument(
        "--looks",
        type=int,
        default=3600,
        help="how many to do to see whether memory grows",
    )
    one.add_argument("--output", type=pathlib.Path, help="JSON file")
    one.set_defaults(
        run=lambda given: ticks.run(
            given.sizes, given.complete, given.looks, given.output
        )
    )
    one = commands.add_parser(
        "boards", help="write what nodes of a large cluster write"
    )
    one.add_argument("--nodes", type=int, default=500)
    one.add_argument("--failing", type=int, default=50)
    one.add_argument("--output", type=pathlib.Path, help="JSON file")
    one.set_defaults(
        run=lambda given: boards.run(given.nodes, given.failing, given.output)
    )
    one = commands.add_parser("chart", help="draw what life has written")
    one.add_argument("source", type=pathlib.Path, help="JSON file")
    one.add_argument("target", type=pathlib.Path, help="SVG or PNG file")
    one.set_defaults(
        run=lambda options: chart.run(options.source, options.target)
    )
    options = parser.parse_args()
    return int(options.run(options))


if __name__ == "__main__":
    sys.exit(main())
