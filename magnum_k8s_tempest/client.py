# SPDX-License-Identifier: Apache-2.0
"""Magnum's API, as far as the tests need it."""

import json

from tempest.lib.common import rest_client

MICROVERSION = "container-infra 1.12"
"""Rotation of credentials; Magnum 22 and 23 know it."""


class MagnumClient(rest_client.RestClient):
    """Requests with one microversion; bodies are what JSON makes of them."""

    def get_headers(self, *arguments, **options):
        headers = super().get_headers(*arguments, **options)
        return {**headers, "OpenStack-API-Version": MICROVERSION}

    def show(self, path):
        """Return a document.

        :raises tempest.lib.exceptions.NotFound: there is none.
        """
        answer, body = self.get(path)
        self.expected_success(200, answer.status)
        return json.loads(body)

    def create(self, path, wanted, **document):
        """Post a document and return the answer."""
        answer, body = self.post(path, json.dumps(document))
        self.expected_success(wanted, answer.status)
        return json.loads(body) if body else {}

    def change(self, path, wanted):
        """Ask for new contents of what lies at a path."""
        answer, body = self.patch(path, json.dumps({}))
        self.expected_success(wanted, answer.status)
        return json.loads(body) if body else {}

    def remove(self, path):
        """Delete what lies at a path."""
        answer, _body = self.delete(path)
        self.expected_success(204, answer.status)
