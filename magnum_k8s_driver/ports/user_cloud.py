# SPDX-License-Identifier: Apache-2.0
"""A cloud as somebody at a command line sees it.

Who that is comes from ``clouds.yaml`` or ``OS_*`` variables, as for the
``openstack`` command; Magnum's configuration is not needed.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
from typing import Any

from keystoneauth1 import exceptions as ksa_exceptions
import openstack
from openstack import connection as sdk_connection
from openstack import exceptions as sdk_exceptions

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import compute as compute_port
from magnum_k8s_driver.ports import facts as facts_port
from magnum_k8s_driver.ports import heat as heat_port
from magnum_k8s_driver.ports import quotas as quotas_module
from magnum_k8s_driver.ports import rest
from magnum_k8s_driver.ports import sdk_compute
from magnum_k8s_driver.ports import sdk_heat

_MAGNUM = "container_infrastructure_management"
_HEADERS = {"OpenStack-API-Version": "container-infra 1.11"}
"""Node groups came with 1.9; both supported releases of Magnum have 1.11."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class UserCloud:
    """What a user may ask a cloud."""

    facts: facts_port.FactsPort
    heat: heat_port.HeatPort
    compute: compute_port.ComputePort
    magnum: rest.Rest
    project_id: str

    def template(self, reference: str) -> dict[str, Any]:
        """Return a cluster template as Magnum's API shows it.

        :param reference: name or UUID.
        :raises CloudError: Magnum does not have it or does not answer.
        """
        return self._find("cluster template", f"/clustertemplates/{reference}")

    def cluster(self, reference: str) -> dict[str, Any]:
        """Return a cluster as Magnum's API shows it.

        :param reference: name or UUID.
        :raises CloudError: Magnum does not have it or does not answer.
        """
        return self._find("cluster", f"/clusters/{reference}")

    def node_groups(self, cluster_uuid: str) -> list[dict[str, Any]]:
        """Return the node groups of a cluster as Magnum's API shows them.

        :raises CloudError: Magnum does not answer.
        """
        path = f"/clusters/{cluster_uuid}/nodegroups"
        listed = self._find("list of node groups", path)
        return [
            self._find("node group", f"{path}/{one['uuid']}")
            for one in listed["nodegroups"]
        ]

    def _find(self, what: str, path: str) -> dict[str, Any]:
        found = self.magnum.find(path)
        if found is None:
            raise exceptions.CloudError(
                "container-infrastructure-management",
                f"there is no {what} {path.rsplit('/', 1)[-1]}",
                status=404,
            )
        return found


@contextlib.contextmanager
def open_cloud(
    name: str | None,
    *,
    heat_stacks: int = -1,
    heat_resources: int = -1,
    timeout: float = rest.TIMEOUT,
) -> Iterator[UserCloud]:
    """Log in.

    :param name: cloud in ``clouds.yaml``; None takes ``OS_CLOUD`` or the
        ``OS_*`` variables.
    :raises CloudError: there is no such cloud, or it refuses.
    """
    try:
        with contextlib.closing(_connect(name)) as connection:
            connection.authorize()
            yield UserCloud(
                facts=facts_port.SdkFacts(
                    connection,
                    user=connection,
                    quotas=quotas_module.SdkQuotas(
                        connection,
                        heat_stacks=heat_stacks,
                        heat_resources=heat_resources,
                        timeout=timeout,
                    ),
                ),
                heat=sdk_heat.SdkHeat(connection, timeout=timeout),
                compute=sdk_compute.SdkCompute(connection, timeout=timeout),
                magnum=rest.Rest(
                    connection, _MAGNUM, timeout=timeout, headers=_HEADERS
                ),
                project_id=str(connection.current_project_id or ""),
            )
    except (
        sdk_exceptions.SDKException,
        ksa_exceptions.ClientException,
    ) as exc:
        raise exceptions.CloudError(
            "identity", " ".join(str(exc).split())[:500]
        ) from exc


def _connect(name: str | None) -> sdk_connection.Connection:
    # Not Connection(): without a name that looks at nothing.
    return openstack.connect(cloud=name)
