# SPDX-License-Identifier: Apache-2.0
"""What the driver would count for Prometheus."""

import fixtures


class Counted(fixtures.Fixture):
    """Keeps what this process observes."""

    def _setUp(self):
        self.found = []
        self.useFixture(
            fixtures.MonkeyPatch(
                "magnum_k8s_driver.ports.metrics._writer", "any"
            )
        )
        self.useFixture(
            fixtures.MonkeyPatch(
                "magnum_k8s_driver.ports.metrics.observe",
                lambda metric, seconds, **labels: self.found.append(
                    (metric.name, labels, seconds)
                ),
            )
        )

    def of(self, metric):
        """Return the labels of what a metric was told."""
        return [labels for name, labels, _s in self.found if name == metric]
