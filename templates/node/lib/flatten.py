# SPDX-License-Identifier: Apache-2.0
"""Print every scalar of the JSON document on stdin: path, tab, value."""

import json
import sys

ESCAPES = {"\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r", "\0": ""}


def text(value):
    """Return a scalar as one line."""
    if value is None:
        return ""
    if not isinstance(value, str):
        return json.dumps(value)
    return value.translate(str.maketrans(ESCAPES))


def walk(path, value):
    """Yield path and value of every scalar."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from walk((*path, key), below)
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from walk((*path, str(index)), below)
    else:
        yield "\x1f".join(text(part) for part in path), text(value)


sys.stdout.reconfigure(encoding="utf-8", errors="replace")
for name, line in walk((), json.load(sys.stdin)):
    print(f"{name}\t{line}")
