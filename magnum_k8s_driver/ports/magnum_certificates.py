# SPDX-License-Identifier: Apache-2.0
"""CAs and the cluster secret in the certificate store Magnum is set up with.

Magnum's stores keep certificates by reference only. The cluster secret must
be found again when a conductor was killed between storing it and saving the
reference, so it carries a mark that each kind of store can look for.
"""

from collections.abc import Iterator, Mapping
import contextlib
import os
import types
from typing import Any, Protocol

from magnum.common import cert_manager as store_module
from magnum.common import context as magnum_context
from magnum.common import exception as magnum_exception
from magnum.common.x509 import operations
import magnum.conf
from magnum.conductor.handlers.common import cert_manager
from magnum import objects
from oslo_log import log as logging
from oslo_utils import encodeutils

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import barbican_store
from magnum_k8s_driver.ports import certificates

CONF = magnum.conf.CONF
LOG = logging.getLogger(__name__)

_SERVICE = "certificate"
_GONE = 404


class _Store(Protocol):
    """Texts under a mark in one kind of store."""

    def find(self) -> list[str]:
        """Return the references of all texts under the mark, oldest first."""

    def save(self, text: str) -> str:
        """Keep a text and return its reference."""

    def read(self, reference: str) -> str:
        """Return a text."""

    def delete(self, kept: str = "") -> None:
        """Delete all texts under the mark but that of one reference."""


class MagnumCertificates:
    """CAs and the cluster secret of one cluster.

    :param cluster: ``magnum.objects.Cluster``.
    :param admin_context: admin context with ``all_tenants``: rows of Magnum's
        own store belong to whoever made the cluster.
    """

    def __init__(self, cluster: Any, admin_context: Any) -> None:
        self._cluster = cluster
        self._context = admin_context
        self._store = _store(cluster, admin_context)

    def authorities(
        self, references: Mapping[str, str] | None = None
    ) -> certificates.Authorities:
        """Return the CAs that references point to.

        :param references: by name of the field; None: the cluster's own.
        :raises CloudError: one is missing or cannot be read.
        """
        owner = self._cluster
        if references is not None:
            owner = types.SimpleNamespace(uuid=owner.uuid, **references)
        return certificates.Authorities(
            kubernetes=self._authority(owner, "kubernetes", "ca_cert_ref"),
            etcd=self._authority(owner, "etcd", "etcd_ca_cert_ref"),
            front_proxy=self._authority(
                owner, "front_proxy", "front_proxy_ca_cert_ref"
            ),
        )

    def discard_authorities(self, references: Mapping[str, str]) -> None:
        """Delete stored certificates; gone already is fine."""
        for reference in references.values():
            if reference and not _is_absent(reference):
                self.discard(reference)

    def discard_unused(self, references: Mapping[str, str]) -> None:
        """Delete those of stored certificates that the cluster has not.

        :param references: by name of the field.
        """
        self.discard_authorities(
            {
                name: reference
                for name, reference in references.items()
                if getattr(self._cluster, name, None) != reference
            }
        )

    def forget_client_files(self) -> None:
        """Delete the cached files of Magnum's own client."""
        with _as_cloud_error():
            cert_manager.delete_client_files(self._cluster, self._context)

    def find_secret(self) -> str | None:
        """Return the reference of the stored cluster secret.

        Two conductors may have stored one each; the oldest counts for all.
        """
        with _as_cloud_error():
            found = self._store.find()
        return found[0] if found else None

    def store_secret(self, text: str) -> str:
        """Store the cluster secret and return its reference."""
        with _as_cloud_error():
            return self._store.save(text)

    def read_secret(self, reference: str) -> str:
        """Return the stored text."""
        with _as_cloud_error():
            return self._store.read(reference)

    def keep_secret(self, reference: str) -> None:
        """Delete every stored cluster secret but this one."""
        with _as_cloud_error():
            self._store.delete(reference)

    def delete_secrets(self) -> None:
        """Delete every stored cluster secret of this cluster."""
        with _as_cloud_error():
            self._store.delete()

    def delete_extra_authorities(self) -> None:
        """Delete the etcd and front-proxy CAs and the cached client files."""
        fields = ("etcd_ca_cert_ref", "front_proxy_ca_cert_ref")
        self.discard_authorities(
            {one: getattr(self._cluster, one, None) or "" for one in fields}
        )
        self.forget_client_files()

    def client_files(self) -> dict[str, str]:
        """Return what Magnum's own client shows and checks, PEM by name.

        :raises CloudError: something is missing or cannot be read.
        """
        with _as_cloud_error():
            authority = cert_manager.get_cluster_ca_certificate(
                self._cluster, self._context
            )
            client = cert_manager.get_cluster_magnum_cert(
                self._cluster, self._context
            )
            return {
                "ca.crt": encodeutils.safe_decode(authority.get_certificate()),
                "client.crt": encodeutils.safe_decode(
                    client.get_certificate()
                ),
                "client.key": encodeutils.safe_decode(
                    client.get_decrypted_private_key()
                ),
            }

    def _authority(
        self, owner: Any, kind: str, field: str
    ) -> certificates.KeyPair:
        if not getattr(owner, field, None):
            raise exceptions.CloudError(
                _SERVICE, f"cluster {self._cluster.uuid} has no {kind} CA"
            )
        with _as_cloud_error():
            stored = cert_manager.get_cluster_ca_certificate(
                owner, self._context, kind
            )
            key = operations.decrypt_key(
                encodeutils.safe_encode(stored.get_private_key()),
                encodeutils.safe_encode(
                    stored.get_private_key_passphrase() or ""
                )
                or None,
            )
            return certificates.KeyPair(
                certificate=encodeutils.safe_decode(stored.get_certificate()),
                private_key=encodeutils.safe_decode(key),
            )

    def discard(self, reference: str) -> None:
        """Delete one stored certificate; gone already is fine."""
        try:
            with _as_cloud_error():
                _manager().delete_cert(
                    reference,
                    resource_ref=self._cluster.uuid,
                    context=self._context,
                )
        except exceptions.CloudError as exc:
            if exc.status != _GONE:
                raise


class _KeypairStore:
    """Rows of Magnum's own table ``x509keypair``, in clear."""

    def __init__(self, mark: str, context: Any, project_id: str) -> None:
        self._mark = mark
        self._context = context
        self._project_id = project_id

    def _rows(self) -> list[Any]:
        listed = objects.X509KeyPair.list(
            self._context, filters={"project_id": self._project_id}
        )
        rows = [row for row in listed if row.certificate == self._mark]
        return sorted(rows, key=lambda row: row.id)

    def find(self) -> list[str]:
        return [str(row.uuid) for row in self._rows()]

    def save(self, text: str) -> str:
        # A context of our own: the row is to say whose cluster it is.
        context = magnum_context.make_admin_context(all_tenants=True)
        context.project_id = self._project_id
        return str(
            _manager().store_cert(
                certificate=self._mark, private_key=text, context=context
            )
        )

    def read(self, reference: str) -> str:
        stored = _manager().get_cert(reference, context=self._context)
        return str(stored.get_private_key())

    def delete(self, kept: str = "") -> None:
        for row in self._rows():
            if row.uuid == kept:
                continue
            with contextlib.suppress(magnum_exception.X509KeyPairNotFound):
                row.destroy()


class _LocalStore:
    """Files below ``[certificates] storage_path``, for testing."""

    def __init__(self, mark: str) -> None:
        self._mark = mark

    def find(self) -> list[str]:
        found = []
        for name in os.listdir(CONF.certificates.storage_path):
            path = os.path.join(CONF.certificates.storage_path, name)
            if name.endswith(".crt") and _content(path) == self._mark:
                found.append((os.path.getmtime(path), name[: -len(".crt")]))
        return [reference for _time, reference in sorted(found)]

    def save(self, text: str) -> str:
        return str(
            _manager().store_cert(certificate=self._mark, private_key=text)
        )

    def read(self, reference: str) -> str:
        return str(_manager().get_cert(reference).get_private_key())

    def delete(self, kept: str = "") -> None:
        for reference in self.find():
            if reference != kept:
                _manager().delete_cert(reference)


def _store(cluster: Any, context: Any) -> _Store:
    mark = f"magnum-k8s-driver:{cluster.uuid}"
    kind = CONF.certificates.cert_manager_type
    if kind == "x509keypair":
        return _KeypairStore(mark, context, cluster.project_id)
    if kind == "local":
        return _LocalStore(mark)
    if kind == "barbican":
        return barbican_store.BarbicanStore(mark)
    raise exceptions.CloudError(
        _SERVICE,
        f"[certificates] cert_manager_type {kind!r} is none that this driver "
        "knows: barbican, x509keypair, local",
    )


def _manager() -> Any:
    return store_module.get_backend().CertManager


def _is_absent(reference: str) -> bool:
    """Tell whether the local store has lost a file; the others tell it."""
    if CONF.certificates.cert_manager_type != "local":
        return False
    path = os.path.join(CONF.certificates.storage_path, reference)
    return not os.path.exists(f"{path}.crt")


def _content(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as stream:
            return stream.read()
    except OSError:
        return ""


@contextlib.contextmanager
def _as_cloud_error() -> Iterator[None]:
    """Make the driver's errors of whatever a store raises.

    Plug-ins raise their client's own classes; what they have in common is a
    status code.
    """
    try:
        yield
    except exceptions.K8sDriverError:
        raise
    except magnum_exception.X509KeyPairNotFound as exc:
        raise exceptions.CloudError(_SERVICE, str(exc), status=_GONE) from exc
    except Exception as exc:
        status = getattr(exc, "status_code", None) or getattr(
            exc, "http_status", 0
        )
        kind = exceptions.CloudError
        if not status or status >= 500:
            kind = exceptions.CloudUnavailable
        raise kind(_SERVICE, str(exc), status=int(status or 0)) from exc
