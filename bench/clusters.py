# SPDX-License-Identifier: Apache-2.0
"""Clusters of a lab, as its demo user makes and changes them."""

from collections.abc import Callable, Iterator, Mapping
import contextlib
import os
import time
from typing import Any
import uuid

import openstack
from openstack import exceptions as sdk_exceptions

from lab import settings as lab_settings

TIMEOUT = 3600.0
"""Seconds one operation may take."""
MICROVERSION = "container-infra 1.10"


class Clusters:
    """Magnum's API with the rights of one user, who waits.

    :ivar cloud: the user's connection.
    """

    def __init__(self, settings: lab_settings.Settings) -> None:
        os.environ["OS_CLIENT_CONFIG_FILE"] = str(
            settings.root / "clouds.yaml"
        )
        self.cloud = openstack.connect(cloud="demo")
        self._magnum = self.cloud.container_infrastructure_management

    @contextlib.contextmanager
    def template(
        self, image: str, labels: Mapping[str, str], **fields: str
    ) -> Iterator[str]:
        """Make a template, give its UUID, and delete it.

        :param fields: more of Magnum's fields.
        """
        made = self._magnum.create_cluster_template(
            name=f"bench-{uuid.uuid4().hex[:8]}",
            coe="kubernetes",
            image_id=image,
            external_network_id="public",
            flavor_id="m1.small",
            master_flavor_id="m1.medium",
            network_driver="calico",
            is_floating_ip_enabled=False,
            labels=dict(labels),
            **fields,
        )
        try:
            yield made.uuid
        finally:
            self._magnum.delete_cluster_template(made.uuid)

    def create(
        self, name: str, template: str, workers: int, **fields: str
    ) -> str:
        """Make a cluster with one control-plane node; return its UUID.

        :param fields: more of Magnum's fields.
        """
        made = self._post(
            "/clusters",
            {
                "name": name,
                "cluster_template_id": template,
                "master_count": 1,
                "node_count": workers,
                "create_timeout": 60,
                **fields,
            },
        )
        return str(made["uuid"])

    def act(self, cluster_id: str, action: str, **body: Any) -> None:
        """Post an action and wait for its end.

        :raises SystemExit: it is refused or fails.
        """
        self.begin(cluster_id, action, **body)
        self.complete(cluster_id, "UPDATE_COMPLETE")

    def begin(self, cluster_id: str, action: str, **body: Any) -> None:
        """Post an action and wait until it is under way.

        :raises SystemExit: it is refused or fails.
        """
        self._post(f"/clusters/{cluster_id}/actions/{action}", body)
        # Magnum's conductor sets the status only when it is at it.
        wait(lambda: self._status(cluster_id) == "UPDATE_IN_PROGRESS", 0.2)

    def complete(self, cluster_id: str, status: str) -> None:
        """Wait for a status.

        :raises SystemExit: the cluster failed.
        """
        wait(lambda: self._status(cluster_id) == status)

    def delete(self, cluster_id: str) -> None:
        """Delete a cluster and wait until it is gone."""
        self._magnum.delete_cluster(cluster_id)
        wait(lambda: self._magnum.find_cluster(cluster_id) is None)

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        """POST with the microversion that knows groups without nodes."""
        answer = self._magnum.post(
            path, json=body, headers={"OpenStack-API-Version": MICROVERSION}
        )
        if not answer.ok:
            raise SystemExit(answer.text)
        return answer.json()

    def _status(self, cluster_id: str) -> str:
        try:
            cluster = self._magnum.get_cluster(cluster_id)
        except (
            sdk_exceptions.BadRequestException,
            sdk_exceptions.NotFoundException,
        ):
            # Magnum has not saved it, or not its node groups, yet.
            return ""
        if cluster.status.endswith("FAILED"):
            raise SystemExit(f"{cluster.status}: {cluster.status_reason}")
        return str(cluster.status)


def wait(done: Callable[[], bool], pause: float = 1.0) -> None:
    """Look again and again; give up after ``TIMEOUT``."""
    deadline = time.monotonic() + TIMEOUT
    while not done():
        if time.monotonic() > deadline:
            raise SystemExit(f"not done after {TIMEOUT:.0f} s")
        time.sleep(pause)
