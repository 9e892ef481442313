# SPDX-License-Identifier: Apache-2.0
"""Secrets that take the place of those a control-plane node has.

They lie in the metadata of all control-plane servers alike, encrypted and
signed with keys made from the board key, which every member has had since
its first secrets. The format is described in
doc/source/contributor/protocols.rst; ``templates/node/lib/seal.sh`` is the
node's side. Encryption itself is ``converge.envelope``.
"""

import base64
import binascii
from collections.abc import Mapping
import dataclasses
import hashlib
import hmac
import re

HEADER = "magnum_renewed"
CHUNK = 255
"""Characters that Nova takes in one value of server metadata."""
RESERVED_KEYS = 12
"""Keys a member's metadata have besides orders and secrets."""
_SERIAL = r"[a-z]+-[0-9]{1,9}"
_HEADER = re.compile(
    rf"(({_SERIAL}):([0-9]{{1,3}}):([0-9]{{1,6}})):([0-9a-f]{{64}})", re.ASCII
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Renewal:
    """New secrets on their way."""

    serial: str
    """Id of the rotation; also stands in the secrets themselves."""
    encrypted: bytes
    """As ``openssl enc`` writes it."""


def passphrase(key: bytes, serial: str) -> str:
    """Return what the secrets of a serial are encrypted with, hex.

    :param key: board key of the cluster.
    """
    return _mac(key, f"magnum-renewed-key:{serial}")


def encode(
    renewal: Renewal,
    key: bytes,
    max_server_meta: int = 128,
    reserved: int = RESERVED_KEYS,
) -> dict[str, str]:
    """Return new secrets as metadata of control-plane servers.

    :param key: board key of the cluster.
    :param max_server_meta: how many keys a server may have; -1: any number.
    :param reserved: how many of them others take.
    :raises ValueError: they need more keys than there may be.
    """
    text = base64.b64encode(renewal.encrypted).decode()
    chunks = [
        text[start : start + CHUNK] for start in range(0, len(text), CHUNK)
    ]
    needed = len(chunks) + 1 + reserved
    if 0 <= max_server_meta < needed:
        raise ValueError(
            f"the new secrets and what else a server's metadata hold need "
            f"{needed} keys and Nova gives a server {max_server_meta}"
        )
    head = f"{renewal.serial}:{len(chunks)}:{len(text)}"
    signature = _mac(key, f"magnum-renewed:{head}:{text}")
    return {HEADER: f"{head}:{signature}"} | {
        f"{HEADER}_{index}": chunk for index, chunk in enumerate(chunks)
    }


def decode(metadata: Mapping[str, str], key: bytes) -> Renewal | None:
    """Return the new secrets in a server's metadata, None without any.

    :raises ValueError: they are not complete or not signed with this key.
    """
    header = metadata.get(HEADER)
    if header is None:
        return None
    found = _HEADER.fullmatch(header)
    if found is None:
        raise ValueError("the header of the new secrets is not one")
    text = "".join(
        metadata.get(f"{HEADER}_{index}", "") for index in range(int(found[3]))
    )
    signature = _mac(key, f"magnum-renewed:{found[1]}:{text}")
    if len(text) != int(found[4]) or not hmac.compare_digest(
        signature, found[5]
    ):
        raise ValueError("the new secrets are not complete or wrongly signed")
    try:
        encrypted = base64.b64decode(text, validate=True)
    except binascii.Error as exc:
        raise ValueError(f"the new secrets are no base64: {exc}") from exc
    return Renewal(serial=found[2], encrypted=encrypted)


def _mac(key: bytes, text: str) -> str:
    data = text.encode(errors="surrogatepass")
    return hmac.new(key, data, hashlib.sha256).hexdigest()
