# SPDX-License-Identifier: Apache-2.0
"""Keystone."""

from lab import ini
from lab import settings as lab_settings
from lab.config import blocks

DIRECTORIES = ("fernet", "credential")


def files(settings: lab_settings.Settings) -> dict[str, str]:
    state = settings.state / "keystone"
    sections = ini.merge(
        blocks.without(
            blocks.base(settings, "keystone"), "keystone_authtoken"
        ),
        {
            "cache": {"enabled": True, "backend": "dogpile.cache.memory"},
            "credential": {"key_repository": state / "credential"},
            "fernet_tokens": {"key_repository": state / "fernet"},
            # Hashing at full strength would cost a quarter of a second of
            # CPU for every log-in.
            "identity": {
                "password_hash_algorithm": "bcrypt",
                "password_hash_rounds": 4,
            },
            "token": {"provider": "fernet", "expiration": 86400},
        },
    )
    return {"keystone/keystone.conf": ini.render(sections)}
