# SPDX-License-Identifier: Apache-2.0
"""Text in columns for a terminal."""

from collections.abc import Iterable, Sequence


def aligned(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return lines whose cells stand below each other."""
    table = [tuple(head), *(tuple(row) for row in rows)]
    widths = [
        max(len(cell) for cell in column)
        for column in zip(*table, strict=True)
    ]
    return [
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in table
    ]
