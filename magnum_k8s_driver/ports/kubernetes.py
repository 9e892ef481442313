# SPDX-License-Identifier: Apache-2.0
"""What the driver asks the API of a cluster, when it can be reached."""

from collections.abc import Mapping
import dataclasses
from typing import Any, Protocol

import kubernetes
import urllib3

from magnum_k8s_driver import exceptions


_OK = 200


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What a cluster's API says about itself and its nodes."""

    api: str
    """``ok``, or what the API server answered instead."""
    nodes: Mapping[str, str]
    """Node name to ``Ready`` or the reason why it is not."""


class ClusterUnreachable(exceptions.K8sDriverError):
    """The API did not answer; with a private cluster that is normal."""


class KubernetesPort(Protocol):
    """The Kubernetes API of one cluster."""

    def health(self) -> Health:
        """Ask for readiness and nodes.

        :raises ClusterUnreachable: there was no answer in time.
        """


class ApiServer:
    """Reads with the official client; one ``ApiClient`` per call.

    :param address: ``https://host:port``.
    :param ca_file: path of the CA bundle, PEM.
    :param certificate_file: path of a client certificate, PEM.
    :param key_file: path of its key, PEM.
    :param timeout: seconds to connect and to read.
    """

    def __init__(
        self,
        address: str,
        *,
        ca_file: str,
        certificate_file: str,
        key_file: str,
        timeout: float,
    ) -> None:
        self._configuration = kubernetes.client.Configuration(host=address)
        self._configuration.ssl_ca_cert = ca_file
        self._configuration.cert_file = certificate_file
        self._configuration.key_file = key_file
        # A conductor's own proxy must not see the clusters of its tenants.
        self._configuration.proxy = None
        self._configuration.retries = False
        self._timeout = (timeout, timeout)

    def health(self) -> Health:
        """See :class:`KubernetesPort`."""
        try:
            with kubernetes.client.ApiClient(self._configuration) as client:
                return Health(
                    api=self._ready(client), nodes=self._nodes(client)
                )
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            raise ClusterUnreachable(
                f"The API at {self._configuration.host} did not answer: "
                f"{type(exc).__name__}."
            ) from exc
        except kubernetes.client.ApiException as exc:
            return Health(api=f"HTTP {exc.status}", nodes={})

    def _ready(self, client: Any) -> str:
        # The generated classes know no path outside of /api and /apis, and
        # the signature of call_api() changes between releases.
        answer = client.rest_client.pool_manager.request(
            "GET",
            f"{self._configuration.host}/readyz",
            timeout=urllib3.Timeout(*self._timeout),
        )
        if answer.status != _OK:
            return f"HTTP {answer.status}"
        return str(answer.data.decode(errors="replace")).strip()

    def _nodes(self, client: Any) -> dict[str, str]:
        core = kubernetes.client.CoreV1Api(client)
        listed = core.list_node(_request_timeout=self._timeout)
        return {one.metadata.name: _condition(one) for one in listed.items}


def _condition(node: Any) -> str:
    for one in node.status.conditions or ():
        if one.type == "Ready":
            if one.status == "True":
                return "Ready"
            return one.reason or "NotReady"
    return "NotReady"
