# SPDX-License-Identifier: Apache-2.0
"""Configuration files as data: sections of options."""

from collections.abc import Mapping

Sections = Mapping[str, Mapping[str, object]]


def render(sections: Sections) -> str:
    """Write sections as oslo.config reads them."""
    return "\n".join(
        _section(name, options) for name, options in sections.items()
    )


def merge(*layers: Sections) -> dict[str, dict[str, object]]:
    """Lay sections over each other; the last value of an option wins."""
    merged: dict[str, dict[str, object]] = {}
    for layer in layers:
        for name, options in layer.items():
            merged.setdefault(name, {}).update(options)
    return merged


def _section(name: str, options: Mapping[str, object]) -> str:
    lines = [f"[{name}]"]
    for option, value in options.items():
        values = value if isinstance(value, list) else [value]
        lines += [f"{option} = {_text(one)}" for one in values]
    return "\n".join(lines) + "\n"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
