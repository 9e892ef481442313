# SPDX-License-Identifier: Apache-2.0
"""Secrets that take the place of those a hollow node has."""

from collections.abc import Mapping
import gzip
import json
import os
import subprocess
from typing import Any
import zlib

from magnum_k8s_driver.model import renewal


def take(
    metadata: Mapping[str, str], key: bytes, serial: str
) -> dict[str, Any] | None:
    """Return the secrets in metadata, None while there are no new ones.

    :param key: board key the node has.
    :param serial: of the secrets the node has.
    :raises ValueError: what is there cannot be opened.
    """
    found = renewal.decode(metadata, key)
    if found is None or found.serial == serial:
        return None
    try:
        text = gzip.decompress(_decrypt(found, key))
        secrets = dict(json.loads(text)["secrets"])
    except (KeyError, OSError, EOFError, zlib.error) as exc:
        raise ValueError(f"the new secrets are none: {exc}") from exc
    if secrets.get("serial") != found.serial:
        raise ValueError("the new secrets are of another rotation")
    return secrets


def _decrypt(found: renewal.Renewal, key: bytes) -> bytes:
    """Open them as a node does, with openssl."""
    reader, writer = os.pipe()
    os.write(writer, renewal.passphrase(key, found.serial).encode())
    os.close(writer)
    try:
        done = subprocess.run(
            ["openssl", "enc", "-d", "-aes-256-cbc", "-pbkdf2"]
            + ["-md", "sha256", "-pass", f"fd:{reader}"],
            input=found.encrypted,
            capture_output=True,
            check=False,
            pass_fds=(reader,),
        )
    finally:
        os.close(reader)
    if done.returncode != 0:
        raise ValueError(f"openssl: {done.stderr.decode()[:200].strip()}")
    return done.stdout
