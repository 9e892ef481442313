# SPDX-License-Identifier: Apache-2.0
"""Begin to rotate a cluster's secrets; the status job does the rest."""

from typing import Any

from magnum_k8s_driver import exceptions
from magnum_k8s_driver import records
from magnum_k8s_driver import rows
from magnum_k8s_driver import session
from magnum_k8s_driver.converge import converge
from magnum_k8s_driver.model import rotation

_WAIT = 30.0
"""Seconds a hook waits for the status job to let go of the cluster."""


def begin_credential(cluster: Any, user_id: str) -> None:
    """Check that the credential can be rotated, and write it down.

    :param user_id: Keystone id of who asked for it.
    :raises K8sDriverError: why it cannot be; nothing has changed.
    """
    record = rows.Rows(cluster)
    try:
        with (
            session.locked(cluster, wait=_WAIT),
            session.surroundings(record) as around,
        ):
            converge.begin_rotation(around, rotation.Kind.CREDENTIAL, user_id)
            records.mark_updating(cluster)
    except exceptions.LockBusy as exc:
        raise exceptions.UnsupportedOperation(
            "The cluster is being worked on. Try again in a minute."
        ) from exc
