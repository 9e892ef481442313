# SPDX-License-Identifier: Apache-2.0
"""What tells for little that there is more to see of a cluster.

A look asks for everything: outputs, servers, consoles. Most often nothing but
the state of a stack or the board of a control-plane member changes, and those
take one small request each.
"""

from collections.abc import Mapping
import hashlib
import json
from typing import Any

from oslo_log import log as logging

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.model import names
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.ports import heat as heat_port

LOG = logging.getLogger(__name__)


def of(
    listed: Mapping[str, heat_port.Listed],
    boards: Mapping[tuple[str, str], Mapping[str, Any]],
) -> record_module.Sight:
    """Return what is to be compared later.

    :param listed: stacks of the cluster, by name.
    :param boards: metadata by stack id and name of the handle.
    """
    return record_module.Sight(
        stacks=_stacks(listed),
        boards={handle: _digest(one) for handle, one in boards.items()},
    )


def has_changed(
    heat: heat_port.HeatPort, cluster_uuid: str, seen: record_module.Sight
) -> bool:
    """Tell whether a look would see more than the last one did.

    What Heat does not tell at this moment has not changed.
    """
    try:
        if _stacks(heat.tagged(names.stack_tag(cluster_uuid))) != seen.stacks:
            return True
        return any(
            _digest(heat.metadata(*handle)) != before
            for handle, before in seen.boards.items()
        )
    except exceptions.CloudError as exc:
        LOG.info("Cluster %s: not looked at: %s", cluster_uuid, exc)
        return False


def _stacks(
    listed: Mapping[str, heat_port.Listed],
) -> frozenset[tuple[str, str]]:
    return frozenset((one.id, one.status) for one in listed.values())


def _digest(metadata: Mapping[str, Any]) -> str:
    text = json.dumps(metadata, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
