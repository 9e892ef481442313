# SPDX-License-Identifier: Apache-2.0
"""Sealed secrets: what console, board and software configs say of them.

A control-plane node shows the fingerprint of a certificate on its console,
posts the certificate on its board, and finds its secrets encrypted to it as
a software deployment in Heat. The format is described in
doc/source/contributor/protocols.rst; ``templates/node/lib/seal.sh`` is the
node's side. Encryption itself is ``converge.envelope``.
"""

from collections.abc import Mapping
import dataclasses
import hashlib
import json
import re

# Only a whole line counts: whatever else reaches a console, a prompt or a
# message of the kernel, can at most spoil one.
_MARKER = re.compile(r"^MAGNUM-NODE seal (\{[^\r\n]*\})\s*$", re.MULTILINE)
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_KEY_LENGTH = 32
"""Hex digits; Heat takes 36 characters as the id of a server."""
_NAME = re.compile(
    r"sealed-(?P<server>[0-9a-f-]{36})-(?P<key>[0-9a-f]{32})", re.ASCII
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Sealed secrets that lie ready for a server."""

    config_id: str
    server_id: str
    key: str
    """Under which the node finds them; it made the certificate itself."""
    readable: bool = False
    """False: the attempt to lay them ready was interrupted."""


def fingerprint(certificate: bytes) -> str:
    """Return the SHA-256 of a certificate's DER as 64 hex digits."""
    return hashlib.sha256(certificate).hexdigest()


def shown(console: str) -> frozenset[str]:
    """Return every fingerprint that a console log shows."""
    found = set()
    for text in _MARKER.findall(console):
        try:
            marker = json.loads(text)
        except (ValueError, RecursionError):
            continue
        value = marker.get("sha256")
        if isinstance(value, str) and _FINGERPRINT.fullmatch(value):
            found.add(value)
    return frozenset(found)


def key_of(certificate_fingerprint: str) -> str:
    """Return the key of the answer to a certificate."""
    return certificate_fingerprint[:_KEY_LENGTH]


def config_name(prefix: str, server_id: str, key: str) -> str:
    """Return the name of the software config that holds an answer."""
    return f"{prefix}-sealed-{server_id}-{key}"


def answers(prefix: str, configs: Mapping[str, str]) -> tuple[Answer, ...]:
    """Return the answers among a cluster's software configs.

    :param prefix: of the names of everything in the cluster.
    :param configs: id to name.
    """
    found = []
    for config_id, name in configs.items():
        parts = _NAME.fullmatch(name.removeprefix(f"{prefix}-"))
        if name.startswith(f"{prefix}-") and parts is not None:
            found.append(
                Answer(
                    config_id=config_id,
                    server_id=parts["server"],
                    key=parts["key"],
                )
            )
    return tuple(found)
