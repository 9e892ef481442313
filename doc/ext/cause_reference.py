# SPDX-License-Identifier: Apache-2.0
"""Directives that list causes of failures from where the driver has them.

``failure-causes`` lists what services say, ``console-signs`` what consoles
show, ``quota-reference`` the quotas that are checked, ``refusals`` every
sentence a request is refused with and ``troubles`` every one that tells of
trouble later, the last two found in the source itself.
"""

from collections.abc import Iterable
import re
from typing import Any

import label_reference
import sentences

from magnum_k8s_driver.model import causes
from magnum_k8s_driver.model import console
from magnum_k8s_driver.model import quota


class FailureCauses(label_reference.LabelDirective):
    """What services say: meaning and cure."""

    def lines(self) -> list[str]:
        return _terms(
            (one.name, f"{one.meaning} {one.cure}") for one in causes.CAUSES
        )


class ConsoleSigns(label_reference.LabelDirective):
    """What consoles show: sentence and cure."""

    def lines(self) -> list[str]:
        return _terms(
            (
                one.name,
                f"“Node … failed: {one.message.replace('{0}', '…')}.” "
                f"{one.cure}",
            )
            for one in console.SIGNS
        )


class QuotaReference(label_reference.LabelDirective):
    """Every quota with the advice."""

    def lines(self) -> list[str]:
        return _terms(
            (
                f"{one.title} ({one.service})",
                f"{one.advice[:1].upper()}{one.advice[1:]}.",
            )
            for one in quota.QUOTAS.values()
        )


class Refusals(label_reference.LabelDirective):
    """Every sentence that a request is refused with."""

    def lines(self) -> list[str]:
        return _bullets(sentences.refusals())


class Troubles(label_reference.LabelDirective):
    """Every sentence that tells what is wrong with a cluster."""

    def lines(self) -> list[str]:
        return _bullets(sentences.troubles())


def _bullets(told: list[str]) -> list[str]:
    lines = []
    for one in told:
        text = re.sub(r"([*`|_\\])", r"\\\1", one)
        lines += [f"* {text}", ""]
    return lines


def _terms(pairs: Iterable[tuple[str, str]]) -> list[str]:
    lines = []
    for term, text in pairs:
        lines += [term, f"   {text}", ""]
    return lines


def setup(app: Any) -> dict[str, Any]:
    app.add_directive("failure-causes", FailureCauses)
    app.add_directive("console-signs", ConsoleSigns)
    app.add_directive("quota-reference", QuotaReference)
    app.add_directive("refusals", Refusals)
    app.add_directive("troubles", Troubles)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
