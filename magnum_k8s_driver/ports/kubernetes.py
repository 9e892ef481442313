# SPDX-License-Identifier: Apache-2.0
"""What the driver asks the API of a cluster, when it can be reached.

A cluster belongs to a tenant, who may make its API answer anything: nothing
here follows redirects, waits for ever or reads without end.
"""

from collections.abc import Mapping
import dataclasses
import json
import socket
import ssl
import time
from typing import Any, Protocol

from cryptography import x509
import kubernetes
import urllib3

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.model import board

_HTTPS = 443
_OK = 200
_EXPIRED = 10
"""OpenSSL's X509_V_ERR_CERT_HAS_EXPIRED; a wrong issuer comes first."""
_CHUNK = 65_536
_MAX_BODY = 64 << 20
"""Bytes; a Node is about 10 kB, one with many images 30 kB."""
_READS = 4
"""How many times the timeout a whole answer may take."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NodeHealth:
    """What a cluster's API says about a Node."""

    ready: bool
    reason: str = ""
    """Why not, in Kubernetes' words; no full stop."""
    since: float | None = None
    """When it was last ready, seconds since the epoch; None while it is."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Health:
    """What a cluster's API says about itself and its nodes."""

    api: str
    """``ok``, or what is wrong with the API instead; no full stop."""
    nodes: Mapping[str, NodeHealth]
    """By name; empty when the API did not list them."""
    certificate_expires: float | None = None
    """End of its serving certificate, seconds since the epoch."""


class ClusterUnreachable(exceptions.K8sDriverError):
    """The API did not answer; with a private cluster that is normal."""


class KubernetesPort(Protocol):
    """The Kubernetes API of one cluster."""

    def health(self) -> Health:
        """Ask for readiness and nodes.

        :raises ClusterUnreachable: there was no answer in time.
        """


class ApiServer:
    """Reads with the TLS set-up of the official client.

    The client's own calls follow redirects and have no end; see above.

    :param address: ``https://host:port``.
    :param ca_file: path of the CA bundle, PEM.
    :param certificate_file: path of a client certificate, PEM.
    :param key_file: path of its key, PEM.
    :param timeout: seconds to connect and between two parts of an answer.
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
        self._timeout = timeout

    def health(self) -> Health:
        """See :class:`KubernetesPort`."""
        try:
            with kubernetes.client.ApiClient(self._configuration) as client:
                pool = client.rest_client.pool_manager
                return self._health(pool)
        except (urllib3.exceptions.HTTPError, OSError) as exc:
            distrust = _distrust(exc)
            if distrust and distrust.verify_code == _EXPIRED:
                return Health(api="its certificate has expired", nodes={})
            why = type(exc).__name__
            if distrust:
                # Private addresses may belong to others where we are.
                why = f"who answers is not it ({distrust.verify_message})"
            raise ClusterUnreachable(
                f"The API at {self._configuration.host} did not answer: {why}."
            ) from exc

    def _health(self, pool: Any) -> Health:
        status, body = self._get(pool, "/readyz")
        api = f"HTTP {status}"
        if status == _OK:
            api = board.printable(body.decode(errors="replace").strip())
        status, body = self._get(pool, "/api/v1/nodes")
        nodes = _nodes(body) if status == _OK else None
        if nodes is None and api == "ok":
            api = "it does not list its nodes"
            if status != _OK:
                api = f"HTTP {status} when asked for its nodes"
        return Health(
            api=api,
            nodes=nodes or {},
            certificate_expires=self._certificate_end(),
        )

    def _get(self, pool: Any, path: str) -> tuple[int, bytes]:
        answer = pool.request(
            "GET",
            f"{self._configuration.host}{path}",
            timeout=urllib3.Timeout(self._timeout, self._timeout),
            retries=False,
            redirect=False,
            preload_content=False,
        )
        end = time.monotonic() + _READS * self._timeout
        body = b""
        try:
            # stream() would collect a whole chunk, however slowly it comes.
            while part := answer.read1(_CHUNK):
                body += part
                if len(body) > _MAX_BODY or time.monotonic() > end:
                    raise urllib3.exceptions.HTTPError(path)
        finally:
            answer.close()
        return int(answer.status), body

    def _certificate_end(self) -> float | None:
        """Look at the serving certificate, for which urllib3 has no call."""
        context = ssl.create_default_context(
            cafile=self._configuration.ssl_ca_cert
        )
        context.load_cert_chain(
            self._configuration.cert_file, self._configuration.key_file
        )
        url = urllib3.util.parse_url(self._configuration.host)
        address = (str(url.host).strip("[]"), url.port or _HTTPS)
        try:
            with (
                socket.create_connection(address, self._timeout) as raw,
                context.wrap_socket(raw, server_hostname=address[0]) as tls,
            ):
                der = tls.getpeercert(binary_form=True)
        except OSError:
            return None
        if not der:
            return None
        found = x509.load_der_x509_certificate(der)
        return found.not_valid_after_utc.timestamp()


def certificate_expires(pem: str | bytes) -> float:
    """Return the end of a certificate, seconds since the epoch.

    :raises ValueError: it is none.
    """
    raw = pem.encode() if isinstance(pem, str) else pem
    found = x509.load_pem_x509_certificate(raw)
    return found.not_valid_after_utc.timestamp()


def _distrust(
    exc: BaseException | None,
) -> ssl.SSLCertVerificationError | None:
    """Return what is wrong with the certificate, if that is the trouble."""
    while exc is not None:
        if isinstance(exc, ssl.SSLCertVerificationError):
            return exc
        nested = [one for one in exc.args if isinstance(one, BaseException)]
        exc = exc.__cause__ or exc.__context__ or next(iter(nested), None)
    return None


def _nodes(body: bytes) -> dict[str, NodeHealth] | None:
    """Return the nodes in a NodeList, None when it is none."""
    try:
        listed = json.loads(body)
        return {
            board.printable(one["metadata"]["name"]): _node(one["status"])
            for one in listed["items"]
        }
    except (KeyError, TypeError, ValueError, RecursionError, AttributeError):
        return None


def _node(status: Mapping[str, Any]) -> NodeHealth:
    for one in status.get("conditions") or ():
        if one["type"] != "Ready":
            continue
        if one["status"] == "True":
            return NodeHealth(ready=True)
        words = (one.get("reason"), one.get("message"))
        reason = ": ".join(board.printable(x) for x in words if x)
        return NodeHealth(
            ready=False,
            reason=reason.rstrip(". "),
            since=board.read_moment(one.get("lastTransitionTime")),
        )
    return NodeHealth(ready=False)
