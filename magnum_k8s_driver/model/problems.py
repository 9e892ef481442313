# SPDX-License-Identifier: Apache-2.0
"""Problems of a request: collected, then told together."""

from collections.abc import Iterable
import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """One thing that is wrong with a request, as one sentence.

    The sentence says what was wanted, what was found and what to do; it
    starts with a capital letter and ends with a full stop.
    """

    subject: str
    """What it is about: ``label boot_volume_size``, ``flavor m1.tiny``."""
    sentence: str

    def __str__(self) -> str:
        return self.sentence


def told_together(problems: Iterable[Problem]) -> str:
    """Return every distinct sentence in the order found, as one line."""
    return " ".join(dict.fromkeys(str(one) for one in problems))
