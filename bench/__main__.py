# SPDX-License-Identifier: Apache-2.0
"""Benchmarks against the lab: ``python -m bench create [SIZE ...]``.

Every size is run in one go on the same lab, so the ratios between rows mean
something even on a noisy machine; single figures do not.
"""

import argparse
import sys

from bench import create


def main() -> int:
    """Run one benchmark and print its table."""
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser(
        "create", help="create and delete clusters of several sizes"
    )
    one.add_argument(
        "sizes",
        type=int,
        nargs="*",
        default=[1, 10],
        help="numbers of workers",
    )
    options = parser.parse_args()
    return create.run(options.sizes)


if __name__ == "__main__":
    sys.exit(main())
