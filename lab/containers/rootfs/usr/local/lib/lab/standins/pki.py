# SPDX-License-Identifier: Apache-2.0
"""Certificates, as kubeadm and the controller manager make them."""

import datetime
import ipaddress

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509 import oid

CLIENT = oid.ExtendedKeyUsageOID.CLIENT_AUTH
SERVER = oid.ExtendedKeyUsageOID.SERVER_AUTH
DAYS = 365


class Authority:
    """A CA that can sign."""

    def __init__(self, certificate: bytes, key: bytes) -> None:
        self.certificate = x509.load_pem_x509_certificate(certificate)
        self._key = serialization.load_pem_private_key(key, None)

    def issue(self, name, names=(), usage=CLIENT) -> tuple[str, str]:
        """Return certificate and key.

        :param name: common name and organisations.
        :param names: addresses and DNS names of a server.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        subject = subject_of(*name)
        signed = self._sign(subject, key.public_key(), names, usage)
        return signed, private_text(key)

    def sign(self, request: bytes) -> str:
        """Return the certificate a request asks for."""
        asked = x509.load_pem_x509_csr(request)
        return self._sign(asked.subject, asked.public_key(), (), CLIENT)

    def _sign(self, subject, public_key, names, usage) -> str:
        now = datetime.datetime.now(datetime.UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(minutes=5))
            .not_valid_after(now + datetime.timedelta(days=DAYS))
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(
                    self.certificate.public_key()
                ),
                critical=False,
            )
        )
        if names:
            made = made.add_extension(
                x509.SubjectAlternativeName([_general(one) for one in names]),
                critical=False,
            )
        signed = made.sign(self._key, hashes.SHA256())
        return signed.public_bytes(serialization.Encoding.PEM).decode()


def request(name) -> tuple[str, str]:
    """Return a certificate request and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(subject_of(*name))
        .sign(key, hashes.SHA256())
    )
    text = made.public_bytes(serialization.Encoding.PEM).decode()
    return text, private_text(key)


def subject_of(common_name: str, *organisations: str) -> x509.Name:
    parts = [
        x509.NameAttribute(oid.NameOID.ORGANIZATION_NAME, one)
        for one in organisations
    ]
    parts.append(x509.NameAttribute(oid.NameOID.COMMON_NAME, common_name))
    return x509.Name(parts)


def private_text(key) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
