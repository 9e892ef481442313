# SPDX-License-Identifier: Apache-2.0
"""Directive ``metric-reference``: every metric, from where it is declared."""

from typing import Any

import label_reference

from magnum_k8s_driver.ports import metrics


class MetricReference(label_reference.LabelDirective):
    """Every metric with its kind, its labels and its buckets."""

    def lines(self) -> list[str]:
        found = []
        for one in metrics.METRICS:
            found += [f"``{one.name}`` ({one.kind})", f"   {one.help}", ""]
            for label, meaning in one.labels.items():
                found += [f"   ``{label}``", f"      {meaning}", ""]
            if one.buckets:
                ends = ", ".join(f"{end:g}" for end in one.buckets)
                found += [f"   Buckets end at {ends} seconds.", ""]
        return found


def setup(app: Any) -> dict[str, Any]:
    app.add_directive("metric-reference", MetricReference)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
