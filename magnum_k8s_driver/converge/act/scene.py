# SPDX-License-Identifier: Apache-2.0
"""What every action works with."""

from collections.abc import Callable, Mapping, Sequence
import contextlib
import dataclasses

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.ports import cloud as cloud_module
from magnum_k8s_driver.ports import lock as lock_port

_PROJECT_WAIT = 20.0
"""Seconds; grants take a few requests to Keystone."""
_NO_CLUSTER_STACK = "an action needs the cluster stack, and there is none"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """Operator's choices that actions depend on."""

    service_roles: Sequence[str]
    cluster_roles: Sequence[str]
    update_timeout_minutes: int
    artifact_mirror: str = ""
    """Base URL that replaces ``https://`` of every download of a node."""
    addons_left_out: Sequence[str] = ()
    """Names of add-ons that the operator does not want installed."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """What an action works with."""

    cloud: cloud_module.Cloud
    observed: observed_module.Observed
    settings: Settings
    load_spec: Callable[[], spec_module.ClusterSpec]
    """Reads Magnum's request and the cloud's facts; raises
    ``InvalidClusterSpec`` with every problem. May be slow: call it once."""
    save_stack_id: Callable[[str], None]
    """Saves the cluster's stack id in Magnum at once."""
    lock: lock_port.LockPort
    leave_project: Callable[[], bool]
    """Saves that the cluster needs its project no more, and tells whether it
    was the last one that did."""
    commit_upgrade: Callable[[state_module.UpgradeTarget], None]
    """Saves the target of an upgrade in Magnum as what the cluster is."""
    save_references: Callable[[Mapping[str, str]], None]
    """Saves in Magnum which CAs the cluster has, by name of the field."""
    save_owner: Callable[[str], None]
    """Saves in Magnum whose the cluster is, by Keystone user id."""

    @property
    def record(self) -> record_module.ClusterRecord:
        """Magnum's records."""
        return self.observed.record

    @property
    def cluster(self) -> observed_module.ClusterStack:
        """The cluster stack, which the plan saw."""
        if self.observed.cluster is None:
            raise exceptions.StaleGeneration(_NO_CLUSTER_STACK)
        return self.observed.cluster


def project_lock(
    lock: lock_port.LockPort, project_id: str
) -> contextlib.AbstractContextManager[None]:
    """Return the lock under which a project's grants change."""
    return lock.hold(
        f"{lock_port.OF_PROJECT}{project_id}", wait_seconds=_PROJECT_WAIT
    )
