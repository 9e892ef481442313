# SPDX-License-Identifier: Apache-2.0
"""A cluster of Magnum's on a simulated cloud, driven as Magnum does it."""

import dataclasses

from magnum_k8s_driver.converge import act
from magnum_k8s_driver.converge import converge
from magnum_k8s_driver.converge import report
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.model import spec as spec_module
from tests import fakes
from tests import samples

TICK = 10.0
"""Seconds between two calls of Magnum's status job."""


class Simulation:
    """One cluster from its create to its delete.

    ``hook`` is what a Magnum hook does, ``tick`` what the status job does.
    """

    def __init__(self, cloud=None, **changes):
        self.cloud = cloud or fakes.FakeCloud()
        self.spec = samples.spec(
            project_id=self.cloud.project_id, **changes
        )
        self.intent = record_module.Intent.CREATE
        self.prepared = True
        self.stack_id = None
        self.created = self.cloud.now
        self.changed = self.cloud.now
        self.refusal = None
        self.written = None
        self.history = []

    def record(self):
        """Return what Magnum's rows say."""
        groups = tuple(
            record_module.GroupRecord(
                uuid=group.uuid,
                name=group.name,
                role=group.role,
                is_default=group.name.startswith("default-"),
                node_count=group.count,
                stack_id=self._group_stack_id(group.uuid),
                changed=self.changed,
            )
            for group in self.spec.groups
        )
        return record_module.ClusterRecord(
            uuid=self.spec.uuid,
            name=self.spec.name,
            project_id=self.spec.project_id,
            intent=self.intent,
            stack_id=self.stack_id,
            prepared=self.prepared,
            created=self.created,
            create_timeout_minutes=60,
            groups=groups,
        )

    def converge(self):
        """Call converge once and write the report as Magnum would."""
        around = converge.Surroundings(
            cloud=self.cloud,
            settings=act.Settings(
                service_roles=("member", "load-balancer_member"),
                cluster_roles=("member",),
                update_timeout_minutes=60,
            ),
            deadlines=report.Deadlines(),
            clock=self.cloud.clock,
            read_record=self.record,
            load_spec=self._load_spec,
            save_stack_id=self._save_stack_id,
            lock=self.cloud.lock,
            is_last_in_project=lambda: True,
        )
        self.written = converge.converge(around)
        self.history.append(self.written.reason)
        if self.written.stack_id:
            self.stack_id = self.written.stack_id
        return self.written

    def run(self, limit=600):
        """Call the status job until the outcome is final."""
        for _tick in range(limit):
            written = self.converge()
            if written.outcome is not record_module.Outcome.IN_PROGRESS:
                return written
            self.cloud.tick(TICK)
        raise AssertionError(f"never ended: {self.history[-3:]}")

    def delete(self):
        """Record that the cluster shall go."""
        self.intent = record_module.Intent.DELETE
        self.changed = self.cloud.now

    def with_count(self, workers, control_planes=1):
        """Return this simulation with other numbers of nodes."""
        worker, *_others = self.spec.workers
        self.spec = dataclasses.replace(
            self.spec,
            control_plane=dataclasses.replace(
                self.spec.control_plane, count=control_planes
            ),
            workers=(dataclasses.replace(worker, count=workers),),
            endpoint=dataclasses.replace(
                self.spec.endpoint, load_balancer=control_planes > 1
            ),
        )
        return self

    def _load_spec(self, known_public_key):
        if self.refusal:
            raise self.refusal
        return self.spec

    def _save_stack_id(self, stack_id):
        self.stack_id = stack_id

    def _group_stack_id(self, uuid):
        if uuid == self.spec.control_plane.uuid or self.written is None:
            return None
        report_of_group = self.written.groups.get(uuid)
        return report_of_group.stack_id if report_of_group else None


Outcome = record_module.Outcome
Role = spec_module.Role
