# SPDX-License-Identifier: Apache-2.0
"""Plain HTTP requests to OpenStack services with the driver's own errors.

The proxies of openstacksdk are used as what they are underneath, keystoneauth
adapters: they find the endpoint and its version, renew tokens and send. Their
typed methods differ between releases, have no PATCH of a stack and hide which
answer was an absence.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from keystoneauth1 import adapter as ksa_adapter
from keystoneauth1 import exceptions as ksa_exceptions
from openstack import exceptions as sdk_exceptions
import requests

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import metrics

TIMEOUT = 60.0
"""Seconds to wait for a connection, and again for each piece of an answer."""

_MISSING = "it is not in the service catalog"
_MAX_MESSAGE = 1000
_TRY_LATER = 429
_GONE = (404, 410)
_CONFLICT = 409
_NO_ANSWER = (
    ksa_exceptions.ConnectionError,
    requests.exceptions.RequestException,
)
"""keystoneauth wraps requests' errors, but not those while a body is read."""
_NOT_THERE = (
    ksa_exceptions.EndpointNotFound,
    ksa_exceptions.EmptyCatalog,
    sdk_exceptions.NotSupported,
    sdk_exceptions.ServiceDiscoveryException,
    sdk_exceptions.ServiceDisabledException,
)


class ServiceMissing(exceptions.CloudError):
    """The service is not in the catalog."""


class Rest:
    """One service as an identity sees it.

    :param connection: an ``openstack.connection.Connection``.
    :param proxy: name of its proxy, such as ``orchestration``.
    :param headers: sent with every request, such as a microversion.
    """

    def __init__(
        self,
        connection: Any,
        proxy: str,
        *,
        timeout: float = TIMEOUT,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._connection = connection
        self._proxy = proxy
        self._timeout = timeout
        self._headers = dict(headers or {})
        self.service = proxy.replace("_", "-")
        self._url: str | None = None

    def find(
        self, path: str, params: Mapping[str, Any] | None = None
    ) -> dict[str, Any] | None:
        """GET a document.

        :returns: None when it is not there (404, 410).
        :raises CloudError: anything but that or success.
        """
        answer = self._request("GET", path, params=params)
        if answer.status_code in _GONE:
            return None
        return self._body(answer)

    def send(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """POST, PUT or PATCH a document and return the answer's.

        :raises CloudError: anything but success, also absence.
        """
        return self._body(self._request(method, path, body=body))

    def exists(self, path: str) -> bool:
        """HEAD a thing whose answer has no body.

        :raises CloudError: anything but success or absence.
        """
        answer = self._request("HEAD", path)
        if answer.status_code in _GONE:
            return False
        self._body(answer)
        return True

    def discard(
        self, path: str, params: Mapping[str, Any] | None = None
    ) -> bool:
        """DELETE a thing; tell whether it was there.

        :raises CloudError: anything but success or absence.
        """
        answer = self._request("DELETE", path, params=params)
        if answer.status_code in _GONE:
            return False
        self._body(answer)
        return True

    def location(self, path: str) -> str | None:
        """Return where a GET is redirected to, None when nowhere.

        :raises CloudError: neither success, nor absence, nor a redirect.
        """
        answer = self._request("GET", path, redirect=False)
        if answer.status_code in _GONE:
            return None
        if 300 <= answer.status_code < 400:
            found = answer.headers.get("Location")
            return str(found) if found else None
        self._body(answer)
        return None

    def pages(
        self,
        path: str,
        collection: str,
        params: Mapping[str, Any] | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield the elements of a list over all its pages.

        Nova, Neutron, Octavia and Cinder name the next page in
        ``<collection>_links`` with ``rel: next``. The others that are listed
        here answer in one page.
        """
        query: Mapping[str, Any] | None = params
        while path:
            document = self._body(self._request("GET", path, params=query))
            yield from document.get(collection) or ()
            links = document.get(f"{collection}_links") or ()
            following = [
                one["href"] for one in links if one.get("rel") == "next"
            ]
            # The link is absolute and has the whole query in it.
            path, query = (following[0] if following else ""), None

    def endpoint(self) -> str:
        """Return the URL of the service."""
        # Not get_endpoint(): the identity proxy has another one of that name.
        data = self._guarded(lambda: self._adapter().get_endpoint_data())
        if data is None:
            raise ServiceMissing(self.service, _MISSING)
        return str(data.url)

    def user_id(self) -> str:
        """Return the id of the user whose token is sent."""
        session = self._connection.session
        return str(self._guarded(session.get_user_id))

    def project_id(self) -> str:
        """Return the id of the project that the token is for."""
        session = self._connection.session
        return str(self._guarded(session.get_project_id))

    def _adapter(self) -> Any:
        # Building a proxy already asks the service for its versions.
        return getattr(self._connection, self._proxy)

    def _base(self) -> str | None:
        """Return the URL of the service, None when it must be asked for.

        For each request keystoneauth would go through the whole catalog.
        """
        if self._url is None:
            # The identity proxy has another method of that name.
            self._url = str(
                ksa_adapter.Adapter.get_endpoint(self._adapter()) or ""
            )
        # keystoneauth fills in what follows a percent sign.
        return self._url if self._url and "%" not in self._url else None

    def _request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        redirect: bool = True,
    ) -> Any:
        options: dict[str, Any] = {
            "raise_exc": False,
            "timeout": (self._timeout, self._timeout),
            "headers": {"Accept": "application/json", **self._headers},
            # A request that changes something may have done so already.
            "connect_retries": 1 if method in ("GET", "HEAD") else 0,
        }
        if body is not None:
            options["json"] = body
        if params:
            options["params"] = dict(params)
        if not redirect:
            options["redirect"] = False
        with metrics.Measured(
            metrics.REQUEST, "none", service=self.service, method=method
        ) as measured:
            answer = self._guarded(
                lambda: self._adapter().request(
                    path, method, endpoint_override=self._base(), **options
                )
            )
            measured.result = str(answer.status_code)
        return answer

    def _guarded(self, call: Any) -> Any:
        """Make the driver's errors of the libraries' exceptions."""
        try:
            return call()
        except _NOT_THERE as exc:
            raise ServiceMissing(self.service, _MISSING) from exc
        except _NO_ANSWER as exc:
            raise exceptions.CloudUnavailable(
                self.service, f"no answer: {_sentence(str(exc))}"
            ) from exc
        except ksa_exceptions.HttpError as exc:
            raise self._refused(
                exc.http_status or 0,
                _sentence(str(exc)),
                str(exc.request_id or ""),
            ) from exc
        except (
            ksa_exceptions.ClientException,
            sdk_exceptions.SDKException,
        ) as exc:
            raise exceptions.CloudError(
                self.service, _sentence(str(exc))
            ) from exc

    def _body(self, answer: Any) -> dict[str, Any]:
        try:
            document = answer.json() if answer.content else {}
        except ValueError:
            document = {}
        if answer.status_code >= 400:
            raise self._refused(
                answer.status_code,
                message_of(document) or answer.reason or "no reason given",
                answer.headers.get("x-openstack-request-id", ""),
            )
        return document if isinstance(document, dict) else {}

    def _refused(
        self, status: int, message: str, request_id: str
    ) -> exceptions.CloudError:
        kind = exceptions.CloudError
        if status == _CONFLICT:
            kind = exceptions.CloudConflict
        elif status >= 500 or status == _TRY_LATER:
            kind = exceptions.CloudUnavailable
        return kind(
            self.service, message, status=status, request_id=request_id
        )


def message_of(document: Any) -> str:
    """Dig the sentence for people out of an error's body.

    Heat and Keystone: ``{"error": {"message"}}``; Nova and Cinder:
    ``{"badRequest": {"message"}}``; Neutron: ``{"NeutronError": {"message"}}``
    ; Octavia: ``{"faultstring"}``; Barbican: ``{"description"}``.
    """
    if not isinstance(document, Mapping):
        return ""
    for name in ("message", "faultstring", "description"):
        found = document.get(name)
        if isinstance(found, str) and found:
            return _sentence(found)
    for value in document.values():
        found = message_of(value)
        if found:
            return found
    return _sentence(str(document.get("explanation") or ""))


def _sentence(text: str) -> str:
    """Return text without traceback and line breaks, of bounded length."""
    text = text.split("Traceback (most recent call last)", 1)[0]
    return " ".join(text.split())[:_MAX_MESSAGE]
