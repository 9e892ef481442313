# SPDX-License-Identifier: Apache-2.0
"""Health of a cluster, as Magnum's periodic job wants it."""

from typing import Any

from magnum.conductor import monitors

from magnum_k8s_driver import session


class BoardMonitor(monitors.MonitorBase):
    """Asks the API of the cluster, and its boards when that does not answer.

    Magnum calls :meth:`poll_health_status` and then reads ``data``; nothing
    else of the base class is ever called. A cluster whose API cannot be
    reached from the conductor is not unhealthy for that reason.
    """

    def __init__(self, context: Any, cluster: Any) -> None:
        super().__init__(context, cluster)
        self.data: dict[str, Any] = {}

    @property
    def metrics_spec(self) -> dict[str, Any]:
        """Return no metrics; nobody in Magnum asks for them."""
        return {}

    def pull_data(self) -> None:
        """Do nothing; nobody in Magnum calls it."""

    def poll_health_status(self) -> None:
        """Put health and reasons into ``data``."""
        found = session.health_of(self.context, self.cluster)
        self.data["health_status"] = found.status.value
        self.data["health_status_reason"] = dict(found.reasons)
