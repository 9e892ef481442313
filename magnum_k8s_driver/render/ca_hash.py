# SPDX-License-Identifier: Apache-2.0
"""Hashes by which kubeadm pins a cluster's CA."""

import hashlib

from cryptography import x509
from cryptography.hazmat.primitives import serialization


def ca_hash(certificate: str) -> str:
    """Return the hash of a CA's public key as kubeadm wants it.

    :param certificate: PEM text of the certificate.
    :returns: ``sha256:`` and hex digits of the SubjectPublicKeyInfo's hash.
    """
    key = x509.load_pem_x509_certificate(certificate.encode()).public_key()
    info = key.public_bytes(
        serialization.Encoding.DER,
        serialization.PublicFormat.SubjectPublicKeyInfo,
    )
    return f"sha256:{hashlib.sha256(info).hexdigest()}"
