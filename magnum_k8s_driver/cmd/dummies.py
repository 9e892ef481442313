# SPDX-License-Identifier: Apache-2.0
"""Obvious dummies in the place of secrets, the same each time."""

import datetime
import functools
import hashlib
from typing import Any
import uuid

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

_FROM = datetime.datetime(2026, 1, 1)
_UNTIL = datetime.datetime(2036, 1, 1)


def octets(name: str) -> bytes:
    """Return 32 bytes that stand for a secret."""
    return hashlib.sha256(f"dummy {name}".encode()).digest()


def identifier(name: str) -> str:
    """Return the id that a service would have given something."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"dummy.example/{name}"))


@functools.cache
def certificate(name: str) -> str:
    """Return a CA certificate; nobody keeps its key.

    Ed25519 signs the same bytes the same way each time.
    """
    key = ed25519.Ed25519PrivateKey.from_private_bytes(octets(name))
    subject = x509.Name(
        [x509.NameAttribute(x509.NameOID.COMMON_NAME, f"DUMMY {name}")]
    )
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(_FROM)
        .not_valid_after(_UNTIL)
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .sign(key, None)
    )
    return made.public_bytes(serialization.Encoding.PEM).decode()


def signal(name: str) -> dict[str, Any]:
    """Return the attribute ``signal`` of a handle."""
    return {
        "alarm_url": f"https://heat.example/v1/signal/{name}",
        "auth_url": "https://keystone.example/v3",
        "user_id": identifier(f"{name}/user"),
        "password": f"dummy-password-of-{name}",
        "project_id": identifier("stack-domain-project"),
        "domain_id": identifier("stack-domain"),
        "region_name": "RegionOne",
    }
