# SPDX-License-Identifier: Apache-2.0
"""How long the phases of nodes took, as text and as a picture. Pure."""

from collections.abc import Mapping, Sequence
from xml.sax import saxutils

_COLOURS = (
    "#4477aa",
    "#ee6677",
    "#228833",
    "#ccbb44",
    "#66ccee",
    "#aa3377",
    "#bbbbbb",
)
_ROW, _MARGIN, _LETTER = 26, 10, 7
"""Pixels; a letter is narrower in most fonts."""
_BARS, _KEY_WIDTH, _KEYS = 480, 150, 5
"""Pixels of the longest bar and of a word of the key; words in a row."""
_UNKNOWN = "nothing is known"

Phases = Sequence[tuple[str, float]]
"""Name and seconds of each phase, in order."""


def as_text(nodes: Mapping[str, Phases]) -> str:
    """Return one line for each node and one for each of its phases."""
    lines = []
    longest = max((s for one in nodes.values() for _p, s in one), default=0.0)
    for node, phases in nodes.items():
        lines.append(f"{node}: {_total(phases)}")
        for phase, seconds in phases:
            bar = "#" * round(30 * seconds / (longest or 1.0))
            lines.append(f"  {phase:<20} {seconds:>8.1f} s  {bar}".rstrip())
    return "\n".join(lines)


def as_svg(nodes: Mapping[str, Phases]) -> str:
    """Return a picture: a bar for each node, a part for each phase."""
    names = list(
        dict.fromkeys(phase for one in nodes.values() for phase, _s in one)
    )
    colours = {
        name: _COLOURS[index % len(_COLOURS)]
        for index, name in enumerate(names)
    }
    head = _MARGIN + _ROW * -(-len(names) // _KEYS)
    left = 2.0 * _MARGIN + _LETTER * max(map(len, nodes), default=0)
    width = max(round(left) + _BARS + 120, _KEYS * _KEY_WIDTH + 2 * _MARGIN)
    height = head + _ROW * len(nodes) + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" '
        f'height="{height}" font-family="sans-serif" font-size="12">'
    ]
    for index, name in enumerate(names):
        x: float = _MARGIN + index % _KEYS * _KEY_WIDTH
        y = _MARGIN + index // _KEYS * _ROW
        parts.append(_bar((x, y), (10, 10), colours[name], name))
        parts.append(_text(x + 14, y + 10, name))
    longest = max((_sum(one) for one in nodes.values()), default=0.0)
    scale = _BARS / (longest or 1.0)
    for row, (node, phases) in enumerate(nodes.items()):
        y = head + row * _ROW
        parts.append(_text(_MARGIN, y + 13, node))
        x = left
        for phase, seconds in phases:
            size = (seconds * scale, _ROW - 8)
            title = f"{phase}: {seconds:.1f} s"
            parts.append(_bar((x, y), size, colours[phase], title))
            x += size[0]
        parts.append(_text(x + 6, y + 13, _total(phases)))
    return "\n".join([*parts, "</svg>", ""])


def _sum(phases: Phases) -> float:
    return sum(seconds for _phase, seconds in phases)


def _total(phases: Phases) -> str:
    return f"{_sum(phases):.1f} s" if phases else _UNKNOWN


def _bar(
    at: tuple[float, float],
    size: tuple[float, float],
    colour: str,
    title: str,
) -> str:
    return (
        f'<rect x="{at[0]:.1f}" y="{at[1]:.1f}" width="{size[0]:.1f}" '
        f'height="{size[1]:.1f}" fill="{colour}">'
        f"<title>{saxutils.escape(title)}</title></rect>"
    )


def _text(x: float, y: float, words: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}">{saxutils.escape(words)}</text>'
