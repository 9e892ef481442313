# SPDX-License-Identifier: Apache-2.0
"""Encrypt secrets to a node, as ``openssl cms`` and ``enc`` open them."""

import base64
import gzip
import os

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import ciphers
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import padding
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.kdf import pbkdf2
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization import pkcs7

from magnum_k8s_driver.model import renewal

_BITS = range(2048, 8193)
_SALTED = b"Salted__"
_ROUNDS = 10_000
"""What ``openssl enc -pbkdf2`` takes unless told; the passphrase is a MAC."""
_BLOCK = 16
_AES_KEY = 32


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


def renew(text: str, key: bytes, serial: str) -> renewal.Renewal:
    """Return a text that only who has the board key can read.

    Gzipped, AES-256 in CBC mode, key and first block from a passphrase and
    a salt, as ``openssl enc -aes-256-cbc -pbkdf2`` does it. It is signed
    when it becomes metadata.

    :param key: board key of the cluster.
    :param serial: id of the rotation.
    """
    salt = os.urandom(8)
    made = pbkdf2.PBKDF2HMAC(
        algorithm=hashes.SHA256(),
        length=_AES_KEY + _BLOCK,
        salt=salt,
        iterations=_ROUNDS,
    ).derive(renewal.passphrase(key, serial).encode())
    cipher = ciphers.Cipher(
        ciphers.algorithms.AES(made[:_AES_KEY]),
        ciphers.modes.CBC(made[_AES_KEY:]),
    ).encryptor()
    padder = padding.PKCS7(_BLOCK * 8).padder()
    packed = gzip.compress(text.encode(), 9, mtime=0)
    padded = padder.update(packed) + padder.finalize()
    return renewal.Renewal(
        serial=serial,
        encrypted=_SALTED + salt + cipher.update(padded) + cipher.finalize(),
    )
