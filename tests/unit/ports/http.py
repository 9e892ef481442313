# SPDX-License-Identifier: Apache-2.0
"""A connection whose requests are answered from a list.

Everything from keystoneauth down to requests is real; only the transport is
replaced.
"""

import json

from keystoneauth1 import adapter
from keystoneauth1 import session
from keystoneauth1 import token_endpoint
import requests
from requests import adapters

URL = "http://cloud"


class Answers(adapters.BaseAdapter):
    """Answers requests by method and path, the last answer for ever."""

    def __init__(self):
        super().__init__()
        self.answers = {}
        self.sent = []
        self.timeouts = []

    def add(self, method, path, status=200, body=None, **headers):
        """Queue an answer; an exception as body is raised."""
        self.answers.setdefault((method, path), []).append(
            (
                status,
                body,
                {k.replace("_", "-"): v for k, v in headers.items()},
            )
        )

    def send(self, request, timeout=None, **kwargs):
        path = request.url.removeprefix(URL)
        body = json.loads(request.body) if request.body else None
        self.sent.append((request.method, path, body))
        self.timeouts.append(timeout)
        known = self.answers.get((request.method, path))
        known = known or self.answers.get(
            (request.method, path.split("?", 1)[0])
        )
        if not known:
            raise AssertionError(f"unexpected {request.method} {path}")
        status, body, headers = known.pop(0) if len(known) > 1 else known[0]
        if isinstance(body, Exception):
            raise body
        response = requests.Response()
        response.status_code = status
        response.request, response.url = request, request.url
        response.headers.update(headers)
        response.reason = "Reason"
        text = body if isinstance(body, str) else json.dumps(body)
        response._content = b"" if body is None else text.encode()
        return response

    def close(self):
        """Nothing is open."""

    def calls(self, *methods):
        """Return what was sent, by method and path."""
        return [
            (method, path)
            for method, path, _body in self.sent
            if not methods or method in methods
        ]

    def body(self, method):
        """Return the body of the last request of a method."""
        return [body for sent, _, body in self.sent if sent == method][-1]


class Connection:
    """Has the proxies that ports use, all of them plain adapters."""

    def __init__(self, answers):
        plain = requests.Session()
        plain.mount("http://", answers)
        self.session = session.Session(
            auth=token_endpoint.Token(URL, "token"), session=plain
        )
        self.session.get_user_id = lambda: "service-user"

    def __getattr__(self, name):
        return adapter.Adapter(self.session, endpoint_override=URL)
