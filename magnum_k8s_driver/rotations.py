# SPDX-License-Identifier: Apache-2.0
"""Begin to rotate a cluster's secrets; the status job does the rest."""

from collections.abc import Mapping
import time
from typing import Any

from oslo_log import log as logging

from magnum_k8s_driver import exceptions
from magnum_k8s_driver import records
from magnum_k8s_driver import rows
from magnum_k8s_driver import session
from magnum_k8s_driver.converge import converge
from magnum_k8s_driver.model import rotation
from magnum_k8s_driver.ports import magnum_certificates

LOG = logging.getLogger(__name__)
_WAIT = 30.0
"""Seconds a hook waits for the status job to let go of the cluster."""
_DISCARD_PAUSES = (1.0, 2.0, 4.0)
"""Seconds between tries to delete what a refused rotation leaves."""


def begin_credential(cluster: Any, user_id: str) -> None:
    """Check that the credential can be rotated, and write it down.

    :param user_id: Keystone id of who asked for it.
    :raises K8sDriverError: why it cannot be; nothing has changed.
    """
    _begin(cluster, rotation.Kind.CREDENTIAL, user_id)


def begin_ca(context: Any, cluster: Any) -> None:
    """Check that the CAs can be rotated, and write it down.

    Magnum has made new ones and put their references on the object. These
    go when it cannot be done.

    :raises K8sDriverError: why it cannot be; nothing has changed.
    """
    old, new = records.put_back_references(context, cluster)
    try:
        _begin(cluster, rotation.Kind.CA, context.user_id, old, new)
    except exceptions.K8sDriverError as exc:
        left = _discard(context, cluster, new)
        if left:
            raise exceptions.UnsupportedOperation(f"{exc} {left}") from exc
        raise


def _discard(context: Any, cluster: Any, new: Mapping[str, str]) -> str:
    """Delete the new CAs; return a sentence when they are still there.

    Nobody names them afterwards, so it is worth a few seconds.
    """
    store = magnum_certificates.MagnumCertificates(cluster, context)
    problem: exceptions.CloudError | None = None
    for pause in (0.0, *_DISCARD_PAUSES):
        time.sleep(pause)
        try:
            store.discard_authorities(new)
        except exceptions.CloudError as exc:
            LOG.warning("Cluster %s: new CAs are left: %s", cluster.uuid, exc)
            problem = exc
        else:
            return ""
    found = ", ".join(one for one in new.values() if one)
    return (
        f"The new CAs are left in the certificate store ({problem}): delete "
        f"{found} there."
    )


def _begin(
    cluster: Any,
    kind: rotation.Kind,
    user_id: str,
    old: Mapping[str, str] | None = None,
    new: Mapping[str, str] | None = None,
) -> None:
    record = rows.Rows(cluster)
    try:
        with (
            session.locked(cluster, wait=_WAIT),
            session.surroundings(record) as around,
        ):
            converge.begin_rotation(around, kind, user_id, old=old, new=new)
            records.mark_updating(cluster)
    except exceptions.LockBusy as exc:
        raise exceptions.UnsupportedOperation(
            "The cluster is being worked on. Try again in a minute."
        ) from exc
