# SPDX-License-Identifier: Apache-2.0
"""Permits: what new workers show a control plane that does not expect them.

Orders that name new workers reach the control plane by the metadata service,
which may answer from a cache for 15 seconds (Nova's option
``[api] metadata_cache_expiration``); small machines ask to join sooner. Their
user data therefore hold the names of all workers of their operation, signed,
and a number: the permit counts until the control plane knows later orders,
which say themselves who may join. The format is described in
doc/source/contributor/protocols.rst; the node program shows permits in
``templates/node/phases/join-worker.sh`` and reads them in
``templates/node/tasks/approve-nodes.sh``.
"""

from collections.abc import Iterable
import hashlib
import hmac
import re

_NAME = "[a-z0-9][a-z0-9.-]*"
_PERMIT = re.compile(
    rf"([0-9a-f]{{64}}) (([0-9]{{1,15}})((?: {_NAME})+))", re.ASCII
)


def issue(key: bytes, seq: int, names: Iterable[str]) -> str:
    """Return a permit.

    :param key: board key of the cluster.
    :param seq: of the last orders before the workers were ordered.
    :param names: of their Nodes.
    :raises ValueError: these are no names of Nodes, or none.
    """
    text = " ".join((str(seq), *names))
    found = f"{_sign(key, text)} {text}"
    if not _PERMIT.fullmatch(found):
        raise ValueError(f"{text!r} is no number and names of Nodes")
    return found


def allows(permit: str, key: bytes, seq: int, name: str) -> bool:
    """Tell whether a permit lets a Node join.

    :param permit: whatever somebody shows.
    :param seq: of the last orders that the control plane knows.
    """
    found = _PERMIT.fullmatch(permit)
    return (
        found is not None
        and int(found[3]) >= seq
        and name in found[4].split()
        and hmac.compare_digest(found[1], _sign(key, found[2]))
    )


def _sign(key: bytes, text: str) -> str:
    signed = f"magnum-permit:{text}".encode()
    return hmac.new(key, signed, hashlib.sha256).hexdigest()
