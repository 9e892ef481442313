# SPDX-License-Identifier: Apache-2.0
"""What the driver needs from Magnum's certificate store."""

import dataclasses
from collections.abc import Mapping
from typing import Protocol


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class KeyPair:
    """A CA certificate and its private key, both PEM, the key unencrypted."""

    certificate: str
    private_key: str = dataclasses.field(repr=False)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Authorities:
    """The three CAs Magnum keeps for a cluster."""

    kubernetes: KeyPair
    etcd: KeyPair
    front_proxy: KeyPair


class CertificatesPort(Protocol):
    """CAs and the cluster secret of one cluster."""

    def authorities(
        self, references: Mapping[str, str] | None = None
    ) -> Authorities:
        """Return the CAs that references point to.

        :param references: by name of the field; None: the cluster's own.
        """

    def discard_authorities(self, references: Mapping[str, str]) -> None:
        """Delete stored certificates; gone already is fine."""

    def discard_unused(self, references: Mapping[str, str]) -> None:
        """Delete those of stored certificates that the cluster has not."""

    def forget_client_files(self) -> None:
        """Delete the cached files of Magnum's own client."""

    def find_secret(self) -> str | None:
        """Return the reference of the stored cluster secret."""

    def store_secret(self, text: str) -> str:
        """Store the cluster secret and return its reference."""

    def read_secret(self, reference: str) -> str:
        """Return the stored text."""

    def keep_secret(self, reference: str) -> None:
        """Delete every stored cluster secret but this one."""

    def delete_secrets(self) -> None:
        """Delete every stored cluster secret of this cluster."""

    def delete_extra_authorities(self) -> None:
        """Delete the etcd and front-proxy CAs and the cached client files.

        Magnum itself deletes the Kubernetes CA and the client certificate.
        """
