# SPDX-License-Identifier: Apache-2.0
"""A simulated certificate store of one cluster."""

from collections.abc import Callable, Mapping
import datetime
import functools
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import certificates
from tests.fakes import calls as calls_module


@functools.cache
def key_pair(name: str) -> certificates.KeyPair:
    """Return a CA, always the same one for a name in this process."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    start = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + datetime.timedelta(days=3650))
        .add_extension(x509.BasicConstraints(True, 0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    return certificates.KeyPair(
        certificate=certificate.public_bytes(pem).decode(),
        private_key=key.private_bytes(
            pem,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
    )


@calls_module.counted("certificates")
class FakeCertificates:
    """CAs and secrets in memory."""

    def __init__(self, calls: calls_module.Calls) -> None:
        self.calls = calls
        self.secrets: dict[str, str] = {}
        self.extra_authorities = {"etcd", "front-proxy"}
        self.current: Callable[[], str] = lambda: "ca_cert_ref"
        """Returns Magnum's reference of the cluster's own CA."""
        self.discarded: list[str] = []
        self.stored: set[str] = set()
        """References of certificates that Magnum made; kept by who wants."""

    def authorities(
        self, references: Mapping[str, str] | None = None
    ) -> certificates.Authorities:
        """See the port."""
        reference = (references or {}).get("ca_cert_ref") or self.current()
        if reference in self.discarded:
            raise exceptions.CloudError(
                "certificate", f"there is no {reference}", status=404
            )
        generation = reference.removeprefix("ca_cert_ref")
        return certificates.Authorities(
            kubernetes=key_pair(f"kubernetes{generation}"),
            etcd=key_pair(f"etcd{generation}"),
            front_proxy=key_pair(f"front-proxy{generation}"),
        )

    def discard_authorities(self, references: Mapping[str, str]) -> None:
        """See the port."""
        self.discarded += references.values()
        self.stored -= {*references.values()}

    def discard_unused(self, references: Mapping[str, str]) -> None:
        """See the port."""
        if references.get("ca_cert_ref") != self.current():
            self.discard_authorities(references)

    def forget_client_files(self) -> None:
        """See the port."""

    def find_secret(self) -> str | None:
        """See the port."""
        return min(self.secrets, default=None)

    def store_secret(self, text: str) -> str:
        """See the port."""
        reference = str(uuid.uuid4())
        self.secrets[reference] = text
        return reference

    def read_secret(self, reference: str) -> str:
        """See the port."""
        if reference not in self.secrets:
            raise exceptions.CloudError(
                "certificate", f"there is no secret {reference}", status=404
            )
        return self.secrets[reference]

    def keep_secret(self, reference: str) -> None:
        """See the port."""
        for one in set(self.secrets) - {reference}:
            del self.secrets[one]

    def delete_secrets(self) -> None:
        """See the port."""
        self.secrets.clear()

    def delete_extra_authorities(self) -> None:
        """See the port."""
        self.extra_authorities.clear()
