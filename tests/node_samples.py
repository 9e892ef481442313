# SPDX-License-Identifier: Apache-2.0
"""Run-time values of node documents for tests."""

import datetime
import functools
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from magnum_k8s_driver.render import kubeadm
from magnum_k8s_driver.render import node_document

TOKEN = "abcdef.0123456789abcdef"
PERMIT = f"{'0' * 64} 7 prod-7d1b1b8e6a0c-worker-0"
ENDPOINT = kubeadm.Endpoint(host="10.0.0.9", addresses=("172.24.4.9",))

# A CA that never changes, so that golden files do not either.
CA = """\
-----BEGIN CERTIFICATE-----
MIIBIzCByqADAgECAgEBMAoGCCqGSM49BAMCMBExDzANBgNVBAMMBmdvbGRlbjAe
Fw0yNjAxMDEwMDAwMDBaFw0zNTEyMzAwMDAwMDBaMBExDzANBgNVBAMMBmdvbGRl
bjBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABMQgLMhpN8NaQZN/YibjCY40Vwv0
PIjegxJKN/c5FEZX7sfWux09yyU6NZhyqJmzRYQWv0aiHP4eMPqWkBxNN0mjEzAR
MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIgISAnqdZ8MjtRMi78
vFZVN4PAicg165Z5LR+ryEpbvKsCIQCVEM2qmQm32mOQFCihSrYrb/JSzud3GYZ+
Xwrj7mIfcw==
-----END CERTIFICATE-----
"""


def signal(name: str) -> dict[str, str]:
    """Return the attribute ``signal`` of a handle."""
    return {
        "alarm_url": (
            "http://192.0.2.1/heat-api/v1/0123456789abcdef0123456789abcdef/"
            "stacks/prod-7d1b1b8e6a0c/b27a0000-0000-4000-8000-00000000000d/"
            f"resources/{name}/signal"
        ),
        "auth_url": "http://192.0.2.1/identity/v3",
        "user_id": "5" * 32,
        "password": "NOT-a-secret-5a3b0c1d2e3f4a5b",
        "project_id": "6" * 32,
        "domain_id": "7" * 32,
        "region_name": "RegionOne",
    }


def secrets(**changes: Any) -> node_document.ControlPlaneSecrets:
    """Return secrets that are none."""
    names = ("ca", "etcd/ca", "front-proxy-ca")
    pki = {f"{name}.{end}": CA for name in names for end in ("crt", "key")}
    values: dict[str, Any] = {
        "pki": pki | {"sa.key": CA, "sa.pub": CA},
        "join_root": bytes(range(32)),
        "board_key": bytes(range(32, 64)),
        "encryption_key": bytes(range(64, 96)),
        "cloud": {
            "auth_url": "http://192.0.2.1/identity/v3",
            "id": "8" * 32,
            "secret": "NOT-a-secret",
            "region": "RegionOne",
            "ca_certificate": "",
        },
    }
    return node_document.ControlPlaneSecrets(**(values | changes))


def control_plane_values(
    **changes: Any,
) -> node_document.ControlPlaneValues:
    """Return the values of the first control-plane member."""
    values: dict[str, Any] = {
        "operation": "create-1",
        "endpoint": ENDPOINT,
        "ca_certificates": (CA,),
        "distress": signal("distress"),
        "member": "0",
        "init": True,
        "board": signal("board-0"),
        "secrets": secrets(),
    }
    return node_document.ControlPlaneValues(**(values | changes))


def worker_values(**changes: Any) -> node_document.WorkerValues:
    """Return the values of new workers."""
    values: dict[str, Any] = {
        "operation": "create-1",
        "endpoint": ENDPOINT,
        "ca_certificates": (CA,),
        "distress": signal("distress"),
        "join_token": TOKEN,
        "permit": PERMIT,
    }
    return node_document.WorkerValues(**(values | changes))


@functools.cache
def authority(name: str, bits: int = 2048) -> tuple[str, str]:
    """Return certificate and key of a real CA as PEM text."""
    key = rsa.generate_private_key(65537, bits)
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
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    public = certificate.public_bytes(serialization.Encoding.PEM)
    return public.decode(), private.decode()


def full_pki(bits: int = 2048) -> dict[str, str]:
    """Return a PKI as large as a real one."""
    pki = {}
    for name in ("ca", "etcd/ca", "front-proxy-ca"):
        pki[f"{name}.crt"], pki[f"{name}.key"] = authority(name, bits)
    pki["sa.pub"], pki["sa.key"] = authority("sa", bits)
    return pki


@functools.cache
def other_pki() -> dict[str, str]:
    """Return another PKI than the one of :func:`full_pki`."""
    return full_pki(2056)
