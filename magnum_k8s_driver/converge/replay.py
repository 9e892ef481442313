# SPDX-License-Identifier: Apache-2.0
"""Signed digests that were seen before and are shown again: pure.

Every reader of a project can read a board and has the credential to write on
it. What is written there is signed, but an older digest of the same control
plane fits as well: it could show a node as broken that has recovered, and
healing would replace it.
"""

import dataclasses

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.model import board

SUSPICION = (
    "The board of the control plane shows an older report than before; "
    "somebody with read access to the project may be writing on it."
)


def without_older(
    observed: observed_module.Observed, written: float | None
) -> tuple[observed_module.Observed, bool]:
    """Return the observation without digests older than the newest seen.

    :param written: when that one was written, seconds since the epoch; None
        when none was seen yet.
    :returns: the observation, and whether nothing but older ones was there.
    """
    cluster = observed.cluster
    newest = observed.digest
    if cluster is None or newest is None or written is None:
        return observed, False
    # The mark has whole seconds.
    if newest.time >= int(written):
        return observed, False
    boards = {
        name: dataclasses.replace(one, digest=None)
        for name, one in cluster.boards.items()
    }
    cluster = dataclasses.replace(cluster, boards=boards)
    return dataclasses.replace(observed, cluster=cluster), True


def mark(
    observed: observed_module.Observed | None,
    written: float | None,
    now: float,
) -> float | None:
    """Return when the newest digest that was ever seen was written.

    A clock that is ahead must not make later reports look old.

    :param written: what is known of it from before.
    """
    digest: board.Digest | None = observed.digest if observed else None
    found = [] if digest is None else [min(digest.time, now)]
    if written is not None:
        found.append(written)
    return max(found, default=None)
