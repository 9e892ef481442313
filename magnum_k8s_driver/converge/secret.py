# SPDX-License-Identifier: Apache-2.0
"""The cluster secret: one bundle per cluster in Magnum's certificate store.

It is stored before anything is built from it, so every later step can be
repeated with the same values by another conductor.
"""

import base64
import dataclasses
import json
import secrets

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

_RSA_BITS = 2048


def _hidden() -> str:
    value: str = dataclasses.field(repr=False)
    return value


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ClusterSecret:
    """Everything long-lived and secret that is not one of Magnum's CAs."""

    join_root: str = _hidden()
    """Hex, 32 bytes: bootstrap tokens are made from it."""
    board_key: str = _hidden()
    """Hex, 32 bytes: control-plane nodes sign their boards with it."""
    encryption_key: str = _hidden()
    """Base64, 32 bytes: Kubernetes Secrets at rest."""
    service_account_key: str = _hidden()
    """PEM, PKCS#8: signs service-account tokens."""
    service_account_public_key: str
    """PEM."""
    identity_password: str = _hidden()
    """Of the cluster's Keystone user."""
    credential_secret: str = _hidden()
    """Of that user's application credential."""
    credential_name: str = "magnum-k8s-driver"
    """Of the application credential; each rotation makes one of its own."""
    serial: str = ""
    """Id of the rotation that made this bundle; nodes echo it."""

    def to_text(self) -> str:
        """Return the text to store."""
        return json.dumps({"v": 1, **dataclasses.asdict(self)})

    @classmethod
    def from_text(cls, text: str) -> "ClusterSecret":
        """Read the stored text.

        :raises ValueError: it is not a cluster secret.
        """
        data = json.loads(text)
        if not isinstance(data, dict) or data.pop("v", None) != 1:
            raise ValueError("the stored cluster secret has no known format")
        return cls(**data)


def generate() -> ClusterSecret:
    """Return a new cluster secret from the system's randomness."""
    private, public = _service_account_pair()
    return ClusterSecret(
        join_root=secrets.token_hex(32),
        board_key=secrets.token_hex(32),
        encryption_key=base64.b64encode(secrets.token_bytes(32)).decode(),
        service_account_key=private,
        service_account_public_key=public,
        identity_password=_password(),
        credential_secret=secrets.token_urlsafe(48),
    )


def _service_account_pair() -> tuple[str, str]:
    """Return private and public key, PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM,
        serialization.PublicFormat.SubjectPublicKeyInfo,
    )
    return private.decode(), public.decode()


def with_new_credential(old: ClusterSecret, serial: str) -> ClusterSecret:
    """Return a bundle that differs in credential and password.

    :param serial: id of the rotation.
    """
    return dataclasses.replace(
        old,
        serial=serial,
        identity_password=_password(),
        credential_name=f"magnum-k8s-driver-{serial}",
        credential_secret=secrets.token_urlsafe(48),
    )


def with_new_keys(old: ClusterSecret, serial: str) -> ClusterSecret:
    """Return a bundle that differs in what is rotated with the CAs.

    Join tokens and service-account keys. The board key stays: by it nodes
    and driver know each other while everything else changes.

    :param serial: of the last phase of the rotation.
    """
    private, public = _service_account_pair()
    return dataclasses.replace(
        old,
        serial=serial,
        join_root=secrets.token_hex(32),
        service_account_key=private,
        service_account_public_key=public,
    )


def _password() -> str:
    """Return a password that common Keystone password rules accept."""
    return f"Aa1-{secrets.token_urlsafe(32)}"
