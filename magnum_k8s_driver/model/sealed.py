# SPDX-License-Identifier: Apache-2.0
"""Sealed secrets: what console, board and metadata say of them.

A control-plane node shows the fingerprint of a certificate on its console,
posts the certificate on its board, and gets its secrets encrypted to it as
server metadata. The format is described in
doc/source/contributor/protocols.rst; ``templates/node/lib/seal.sh`` is the
node's side. Encryption itself is ``converge.envelope``.
"""

import base64
import binascii
from collections.abc import Mapping
import dataclasses
import hashlib
import hmac
import json
import re

HEADER = "magnum_sealed"
CHUNK = 255
"""Characters that Nova takes in one value of server metadata."""
RESERVED_KEYS = 12
"""Keys a member's metadata have besides an answer."""
USUAL_KEYS = 50
"""Keys that an answer with RSA keys of 2048 bits takes, and a few more."""
_MAX_CHUNKS = 999

# Only a whole line counts: whatever else reaches a console, a prompt or a
# message of the kernel, can at most spoil one.
_MARKER = re.compile(r"^MAGNUM-NODE seal (\{[^\r\n]*\})\s*$", re.MULTILINE)
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
_HEADER = re.compile(r"([0-9]{1,3}):([0-9a-f]{64}):([0-9a-f]{64})", re.ASCII)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Secrets on their way to one node."""

    fingerprint: str
    """Of the certificate they are encrypted to."""
    envelope: bytes
    """CMS, DER."""


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


def encode(
    answer: Answer,
    max_server_meta: int = 128,
    reserved: int = RESERVED_KEYS,
) -> dict[str, str]:
    """Return an answer as metadata of a control-plane server.

    :param max_server_meta: how many keys a server may have; -1: any number.
    :param reserved: how many of them others take.
    :raises ValueError: the answer needs more keys than there may be.
    """
    text = base64.b64encode(answer.envelope).decode()
    chunks = [
        text[start : start + CHUNK] for start in range(0, len(text), CHUNK)
    ]
    needed = len(chunks) + 1 + reserved
    if len(chunks) > _MAX_CHUNKS or 0 <= max_server_meta < needed:
        raise ValueError(
            f"the sealed secrets and what else a server's metadata hold need "
            f"{needed} keys and Nova gives a server {max_server_meta}"
        )
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {HEADER: f"{len(chunks)}:{digest}:{answer.fingerprint}"} | {
        f"{HEADER}_{index}": chunk for index, chunk in enumerate(chunks)
    }


def decode(metadata: Mapping[str, str]) -> Answer | None:
    """Return the answer in a server's metadata, None when there is none.

    :raises ValueError: it is not complete, or none.
    """
    header = metadata.get(HEADER)
    if header is None:
        return None
    found = _HEADER.fullmatch(header)
    if found is None:
        raise ValueError("the header of the sealed secrets is not one")
    text = "".join(
        metadata.get(f"{HEADER}_{index}", "") for index in range(int(found[1]))
    )
    digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()
    if not hmac.compare_digest(digest, found[2]):
        raise ValueError("the sealed secrets are not complete")
    try:
        envelope = base64.b64decode(text, validate=True)
    except binascii.Error as exc:
        raise ValueError(f"the sealed secrets are no base64: {exc}") from exc
    return Answer(fingerprint=found[3], envelope=envelope)


def is_answer_to(metadata: Mapping[str, str], wanted: str) -> bool:
    """Tell whether metadata hold a whole answer to a fingerprint."""
    try:
        found = decode(metadata)
    except ValueError:
        return False
    return found is not None and found.fingerprint == wanted


def part_of(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return the keys of a server's metadata that belong to an answer."""
    return {
        key: value
        for key, value in metadata.items()
        if key == HEADER or key.startswith(f"{HEADER}_")
    }
