# SPDX-License-Identifier: Apache-2.0
"""The cluster secret in Barbican, found again by its name."""

from collections.abc import Iterator
import contextlib
from typing import Any

from magnum.common import cert_manager as store_module
from magnum.common import clients
from magnum.common import context as magnum_context
import magnum.conf
from openstack import connection as sdk_connection
from oslo_utils import encodeutils

from magnum_k8s_driver.ports import rest

CONF = magnum.conf.CONF


class BarbicanStore:
    """A Barbican container and its secrets, all with the mark as name.

    Magnum's own ``store_cert`` names all secrets alike, so that those of a
    conductor that was killed before it made the container are lost.
    """

    def __init__(self, mark: str) -> None:
        self._mark = mark

    @contextlib.contextmanager
    def _barbican(self) -> Iterator[rest.Rest]:
        context = magnum_context.make_admin_context()
        options = CONF.barbican_client
        connection = sdk_connection.Connection(
            session=clients.OpenStackClients(context).keystone().session,
            region_name=options.region_name,
            interface=options.endpoint_type.removesuffix("URL"),
        )
        try:
            yield rest.Rest(connection, "key_manager")
        finally:
            connection.close()

    def _listed(self, barbican: rest.Rest, kind: str) -> list[dict[str, Any]]:
        query = {"name": self._mark, "limit": 100}
        document = barbican.find(f"/{kind}", query) or {}
        listed = [
            one
            for one in document.get(kind) or ()
            if one["name"] == self._mark
        ]
        return sorted(listed, key=lambda one: str(one.get("created")))

    def find(self) -> list[str]:
        """Return the references of all containers, oldest first."""
        with self._barbican() as barbican:
            listed = self._listed(barbican, "containers")
        return [str(one["container_ref"]) for one in listed]

    def save(self, text: str) -> str:
        """Keep a text and return its reference."""
        with self._barbican() as barbican:
            references = []
            for name, payload in (
                ("certificate", self._mark),
                ("private_key", text),
            ):
                made = barbican.send(
                    "POST",
                    "/secrets",
                    {
                        "name": self._mark,
                        "payload": payload,
                        "payload_content_type": "text/plain",
                    },
                )
                references.append(
                    {"name": name, "secret_ref": made["secret_ref"]}
                )
            container = barbican.send(
                "POST",
                "/containers",
                {
                    "name": self._mark,
                    "type": "certificate",
                    "secret_refs": references,
                },
            )
        return str(container["container_ref"])

    def read(self, reference: str) -> str:
        """Return a text."""
        stored = store_module.get_backend().CertManager.get_cert(reference)
        return str(encodeutils.safe_decode(stored.get_private_key()))

    def delete(self, kept: str = "") -> None:
        """Delete everything under the mark but one container."""
        with self._barbican() as barbican:
            listed = self._listed(barbican, "containers")
            spared = {kept} | {
                str(part["secret_ref"])
                for one in listed
                if one["container_ref"] == kept
                for part in one["secret_refs"]
            }
            for kind, reference in (
                ("containers", "container_ref"),
                ("secrets", "secret_ref"),
            ):
                for one in self._listed(barbican, kind):
                    found = str(one[reference])
                    if found not in spared:
                        identifier = found.rsplit("/", 1)[-1]
                        barbican.discard(f"/{kind}/{identifier}")
