# SPDX-License-Identifier: Apache-2.0
"""Encrypt secrets to a node's certificate, as ``openssl cms`` opens them."""

import base64
import gzip

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization import pkcs7

_BITS = range(2048, 8193)


def seal(text: str, certificate: bytes) -> str:
    """Return a text that only the owner of a certificate's key can read.

    Base64 of a CMS EnvelopedData (RFC 5652) of the gzipped text.

    :param certificate: DER; whose it is has been proven elsewhere.
    :raises ValueError: it is not a certificate of an RSA key.
    """
    try:
        recipient = x509.load_der_x509_certificate(certificate)
        key = recipient.public_key()
    except (ValueError, UnsupportedAlgorithm) as exc:
        raise ValueError(f"it is no X.509 certificate: {exc}") from exc
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size not in _BITS:
        raise ValueError("its key is not RSA with at least 2048 bits")
    envelope = (
        pkcs7.PKCS7EnvelopeBuilder()
        .set_data(gzip.compress(text.encode(), 9, mtime=0))
        .add_recipient(recipient)
        .encrypt(Encoding.DER, [pkcs7.PKCS7Options.Binary])
    )
    return base64.b64encode(envelope).decode()
