# SPDX-License-Identifier: Apache-2.0
"""Directives about a site, from where the driver declares what it says.

``site-findings`` lists what ``magnum-k8s-manage check`` can find,
``served-distributions`` the values of ``os_distro``, ``supported-minors`` the
minor versions of Kubernetes.
"""

from typing import Any

import label_reference

from magnum_k8s_driver import compat
from magnum_k8s_driver.render import releases
from tests import site_samples


class SiteFindings(label_reference.LabelDirective):
    """Every finding that is not well, with what to do."""

    def lines(self) -> list[str]:
        found: dict[str, list[str]] = {}
        for site in site_samples.sites():
            for one in site_samples.faults(site):
                told = [f"*{one.level}*: {one.sentence}", "", one.cure, ""]
                found.setdefault(one.sentence, told)
        lines = []
        for told in found.values():
            lines += [f"* {told[0]}", "", f"  {told[2]}", ""]
        return lines


class ServedDistributions(label_reference.LabelDirective):
    """Values of ``os_distro``."""

    def lines(self) -> list[str]:
        names = ", ".join(f"``{one}``" for one in compat.distributions())
        return [f"{names}.", ""]


class SupportedMinors(label_reference.LabelDirective):
    """Minor versions of Kubernetes."""

    def lines(self) -> list[str]:
        return [", ".join(releases.read_releases()) + ".", ""]


def setup(app: Any) -> dict[str, Any]:
    app.add_directive("site-findings", SiteFindings)
    app.add_directive("served-distributions", ServedDistributions)
    app.add_directive("supported-minors", SupportedMinors)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
