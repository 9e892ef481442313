# SPDX-License-Identifier: Apache-2.0
"""Golden files: what users get, checked in.

``UPDATE_GOLDEN=1`` writes the files anew and still fails, so that nobody
lands a change without having looked at it.
"""

import difflib
import os
import pathlib

DIRECTORY = pathlib.Path(__file__).parent / "golden"


def assert_matches(path: str, text: str) -> None:
    """Fail unless a text equals its golden file.

    :param path: below ``tests/golden``.
    :raises AssertionError: they differ, or the file was just written.
    """
    file = DIRECTORY / path
    expected = file.read_text() if file.exists() else ""
    if text == expected and file.exists():
        return
    if os.environ.get("UPDATE_GOLDEN") == "1":
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        raise AssertionError(f"{path} was written; look at it and run again")
    lines = difflib.unified_diff(
        expected.splitlines(),
        text.splitlines(),
        f"golden/{path}",
        "rendered",
        lineterm="",
    )
    raise AssertionError(
        "\n".join([*lines, "UPDATE_GOLDEN=1 writes golden files anew"])
    )
