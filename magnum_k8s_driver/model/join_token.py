# SPDX-License-Identifier: Apache-2.0
"""Bootstrap tokens that die by themselves.

The control plane and the driver compute the same token from a shared root
and the hour, so nobody has to store or transport one.
"""

import hashlib
import hmac

HOUR = 3600
"""Seconds a token is current; nodes keep the previous one alive as well."""


def join_token(join_root: bytes, cluster_uuid: str, now: float) -> str:
    """Return the bootstrap token of the hour that ``now`` lies in.

    :param join_root: secret of the cluster, at least 16 bytes.
    :param now: seconds since the epoch.
    :returns: token in kubeadm's form, ``[a-z0-9]{6}.[a-z0-9]{16}``.
    """
    text = f"{cluster_uuid}/{int(now // HOUR)}".encode()
    digest = hmac.new(join_root, text, hashlib.sha256).hexdigest()
    return f"{digest[:6]}.{digest[6:22]}"


def accepted_tokens(
    join_root: bytes, cluster_uuid: str, now: float, skew: float = 300
) -> tuple[str, ...]:
    """Return the tokens a control plane accepts at ``now``, newest first.

    :param skew: seconds by which a node's clock may be wrong.
    """
    times = (now + skew, now, now - HOUR, now - HOUR - skew)
    tokens = [join_token(join_root, cluster_uuid, t) for t in times]
    return tuple(dict.fromkeys(tokens))
