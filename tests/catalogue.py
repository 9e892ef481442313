# SPDX-License-Identifier: Apache-2.0
"""The sentences that the user guide lists, as its pages are made."""

import functools
import pathlib
import re
import sys

EXTENSIONS = pathlib.Path(__file__).parents[1] / "doc/ext"


@functools.cache
def sentences():
    """Return the module that finds the sentences; Sphinx is not needed."""
    sys.path.insert(0, str(EXTENSIONS))
    try:
        import sentences
    finally:
        sys.path.remove(str(EXTENSIONS))
    return sentences


@functools.cache
def _patterns():
    return [
        re.compile(".*".join(map(re.escape, one.split("…"))))
        for one in sentences().refusals()
    ]


def holds(sentence):
    """Tell whether a refusal is in the guide."""
    return any(one.fullmatch(sentence) for one in _patterns())
