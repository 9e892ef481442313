# SPDX-License-Identifier: Apache-2.0
"""A hollow node's key pair, and secrets sealed to it."""

import base64
import datetime
import gzip
import json
import pathlib
import subprocess
import tempfile
from typing import Any
import zlib

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography import x509
from cryptography.x509 import oid

from magnum_k8s_driver.model import sealed

BITS = 2048
_DAY = datetime.timedelta(days=1)


class Seal:
    """Key and certificate of one node, made when it first boots."""

    def __init__(self) -> None:
        key = rsa.generate_private_key(65537, BITS)
        name = x509.Name(
            [x509.NameAttribute(oid.NameOID.COMMON_NAME, "magnum")]
        )
        now = datetime.datetime.now(datetime.UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + 3650 * _DAY)
            .sign(key, hashes.SHA256())
        )
        self._key = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self.certificate = certificate.public_bytes(serialization.Encoding.DER)
        self.fingerprint = sealed.fingerprint(self.certificate)

    @property
    def text(self) -> str:
        """The certificate as a report has it."""
        return base64.b64encode(self.certificate).decode()

    @property
    def key(self) -> str:
        """Under which the answer is found."""
        return sealed.key_of(self.fingerprint)

    def open(self, text: str) -> dict[str, Any]:
        """Return the secrets in an answer.

        :raises ValueError: it cannot be opened.
        """
        try:
            envelope = base64.b64decode(text, validate=True)
            content = gzip.decompress(self._decrypt(envelope))
            found = json.loads(content)["secrets"]
        except (KeyError, OSError, EOFError, zlib.error) as exc:
            raise ValueError(f"the sealed secrets are none: {exc}") from exc
        return dict(found)

    def _decrypt(self, envelope: bytes) -> bytes:
        """Open an envelope as a node does, with openssl."""
        with tempfile.TemporaryDirectory(prefix="hollow-seal-") as directory:
            key = pathlib.Path(directory, "key.pem")
            key.touch(mode=0o600)
            key.write_bytes(self._key)
            done = subprocess.run(
                ["openssl", "cms", "-decrypt", "-inform", "DER", "-binary"]
                + ["-inkey", str(key)],
                input=envelope,
                capture_output=True,
                check=False,
            )
        if done.returncode != 0:
            raise ValueError(f"openssl: {done.stderr.decode()[:200].strip()}")
        return done.stdout
