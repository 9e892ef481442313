# SPDX-License-Identifier: Apache-2.0
"""Create Nova's tables and its one cell, importing Nova once.

Usage: nova_schema.py CONFIG_FILE CELL0_URL. nova-manage cannot run twice in
one process, so each of its commands gets a fork of this one.
"""

import os
import sys

from nova.cmd import manage

EXISTS = 2
"""What create_cell returns when the cell is there."""


def call(config: str, words: list[str]) -> int:
    """Run one command of nova-manage in a fork; return its exit code."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)
    sys.argv = ["nova-manage", "--config-file", config, *words]
    code = 1
    try:
        code = manage.main() or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def main() -> int:
    config, cell0 = sys.argv[1:]
    for words in (
        ["api_db", "sync"],
        ["cell_v2", "map_cell0", "--database_connection", cell0],
        ["db", "sync"],
        ["cell_v2", "create_cell", "--name", "cell1"],
    ):
        code = call(config, words)
        if code and not (code == EXISTS and "create_cell" in words):
            return code
    return 0


if __name__ == "__main__":
    sys.exit(main())
