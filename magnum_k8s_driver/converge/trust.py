# SPDX-License-Identifier: Apache-2.0
"""What nodes hold in each phase of a rotation of CAs. Pure.

A file that holds several certificates has that of the CA whose key signs at
the moment first: kubeadm and the controllers take the first one as theirs,
and everybody who verifies takes all.
"""

import dataclasses
import re

from magnum_k8s_driver.converge import secret as secret_module
from magnum_k8s_driver.model import rotation as rotation_module
from magnum_k8s_driver.ports import certificates

_PEM = re.compile(
    r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Material:
    """The secrets and CAs that control-plane nodes hold."""

    bundle: secret_module.ClusterSecret
    authorities: certificates.Authorities


def between(
    phase: rotation_module.Phase, serial: str, old: Material, new: Material
) -> Material:
    """Return what nodes hold while a rotation of CAs is in a middle phase.

    Who has old and new secrets signs with the one and verifies with both.
    """
    first, second = new, old
    if phase is rotation_module.Phase.TRUST:
        first, second = old, new
    keys = (
        first.bundle.service_account_public_key,
        second.bundle.service_account_public_key,
    )
    return Material(
        bundle=dataclasses.replace(
            first.bundle,
            serial=serial,
            service_account_public_key=_joined(*keys),
        ),
        authorities=certificates.Authorities(
            kubernetes=_both(
                first.authorities.kubernetes, second.authorities.kubernetes
            ),
            etcd=_both(first.authorities.etcd, second.authorities.etcd),
            front_proxy=_both(
                first.authorities.front_proxy, second.authorities.front_proxy
            ),
        ),
    )


def split(text: str) -> tuple[str, ...]:
    """Return each certificate of a PEM text."""
    found = _PEM.findall(text) or [text]
    return tuple(f"{one.strip()}\n" for one in found)


def _both(
    signer: certificates.KeyPair, other: certificates.KeyPair
) -> certificates.KeyPair:
    return dataclasses.replace(
        signer, certificate=_joined(signer.certificate, other.certificate)
    )


def _joined(*texts: str) -> str:
    return "".join(f"{one.rstrip()}\n" for one in texts)
