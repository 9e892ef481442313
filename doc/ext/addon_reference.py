# SPDX-License-Identifier: Apache-2.0
"""Directives that list add-ons from where the driver declares them.

``magnum-addons`` lists them all in the order of their installation,
``magnum-addon-labels`` the labels that upgrades take over,
and ``magnum-addon-versions`` their charts per Kubernetes minor.
"""

from typing import Any

import label_reference

from magnum_k8s_driver.addons import catalogue
from magnum_k8s_driver.model import upgrade_request
from magnum_k8s_driver.render import releases


class Addons(label_reference.LabelDirective):
    """Every add-on with who asks for it."""

    def lines(self) -> list[str]:
        found = []
        for one in catalogue.ALL:
            need = "required" if one.required else "optional"
            found += [
                f"``{one.name}``",
                f"   {one.title}. Asked for by: {one.asked_by}. {need.title()}"
                f", namespace ``{one.namespace}``.",
                "",
            ]
        return found


class Versions(label_reference.LabelDirective):
    """Every chart with its version for each minor."""

    def lines(self) -> list[str]:
        found = []
        minors = releases.read_releases()
        for one in catalogue.ALL:
            if one.values is None:
                continue
            charts = {
                minor: release.addons[one.name]
                for minor, release in minors.items()
            }
            (where,) = {(c.repository, c.chart) for c in charts.values()}
            told = ", ".join(
                f"{minor}: {chart.version}" for minor, chart in charts.items()
            )
            found += [
                f"``{one.name}``",
                f"   Chart ``{where[1]}`` of {where[0]} ({told}).",
                "",
            ]
        return found


class Labels(label_reference.LabelDirective):
    """Labels that a cluster takes over from the template of an upgrade."""

    def lines(self) -> list[str]:
        return [f"* ``{one}``" for one in upgrade_request.ADDON_LABELS]


def setup(app: Any) -> dict[str, Any]:
    app.add_directive("magnum-addons", Addons)
    app.add_directive("magnum-addon-labels", Labels)
    app.add_directive("magnum-addon-versions", Versions)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
