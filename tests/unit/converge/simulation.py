# SPDX-License-Identifier: Apache-2.0
"""A cluster of Magnum's on a simulated cloud, driven as Magnum does it."""

import dataclasses

from magnum_k8s_driver.converge import act
from magnum_k8s_driver.converge import converge
from magnum_k8s_driver.converge import plan
from magnum_k8s_driver.converge import report
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.model import rotation
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state
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
        self.spec = samples.spec(project_id=self.cloud.project_id, **changes)
        self.intent = record_module.Intent.CREATE
        self.group_intents = {}
        self.committed = []
        self.owners = []
        self.ca_number = 0
        self.ca_generation = ""
        self.cloud.certificates.current = lambda: (
            f"ca_cert_ref{self.ca_generation}"
        )
        self.settings = state.GroupSettings()
        """What Nodes of the worker groups shall carry."""
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
                intent=self.group_intents.get(group.uuid, self.intent),
                node_count=group.count,
                stack_id=self._group_stack_id(group.uuid),
                changed=self.changed,
                settings=self.settings
                if group in self.spec.workers
                else state.GroupSettings(),
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

    def converge(self, removal=None, asked=False):
        """Call converge once and write the report as Magnum would."""
        around = dataclasses.replace(self.around(removal), asked=asked)
        self.written = converge.converge(around)
        self.history.append(self.written.reason)
        if self.written.stack_id:
            self.stack_id = self.written.stack_id
        return self.written

    def around(self, removal=None):
        """Return what converge is called with."""
        return converge.Surroundings(
            cloud=self.cloud,
            settings=act.Settings(
                service_roles=("member", "load-balancer_member"),
                cluster_roles=("member",),
                update_timeout_minutes=60,
            ),
            deadlines=report.Deadlines(),
            limits=plan.Limits(),
            removal=removal,
            clock=self.cloud.clock,
            read_record=self.record,
            load_spec=self._load_spec,
            save_stack_id=self._save_stack_id,
            lock=self.cloud.lock,
            leave_project=lambda: True,
            commit_upgrade=self._commit_upgrade,
            save_owner=self.owners.append,
            save_references=self._save_references,
        )

    def run(self, limit=600):
        """Call the status job until the outcome is final."""
        for _tick in range(limit):
            written = self.converge()
            if written.outcome is not record_module.Outcome.IN_PROGRESS:
                return written
            self.cloud.tick(TICK)
        raise AssertionError(f"never ended: {self.history[-3:]}")

    def resize(self, count, *nodes, group=None):
        """Do what Magnum's resize hook does."""
        group = group or self.spec.workers[0].uuid
        self.with_workers(group, count)
        self.intent = record_module.Intent.UPDATE
        self.changed = self.cloud.now
        return self.converge(
            record_module.Removal(group_uuid=group, nodes=nodes)
        )

    def with_workers(self, group_uuid, count):
        """Change the number of nodes of a group as Magnum's row has it."""
        self.spec = dataclasses.replace(
            self.spec,
            workers=tuple(
                dataclasses.replace(one, count=count)
                if one.uuid == group_uuid
                else one
                for one in self.spec.workers
            ),
        )

    def servers(self):
        """Return the short names of all servers with their ids."""
        prefix = f"{self.record().prefix}-"
        return {
            one.name.removeprefix(prefix): one.id
            for one in self.cloud.compute.by_id.values()
        }

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

    def with_stacks_of(self, members):
        """Return this simulation with few workers in each stack."""
        self.spec = dataclasses.replace(
            self.spec,
            workers=tuple(
                dataclasses.replace(one, members_per_stack=members)
                for one in self.spec.workers
            ),
        )
        return self

    def _load_spec(self, known_public_key):
        if self.refusal:
            raise self.refusal
        return self.spec

    def upgrade(self, version, batch=1, image=None):
        """Do what Magnum's upgrade hook does after its checks."""
        target = state.UpgradeTarget(
            template_id="new-template",
            version=version,
            batch_size=batch,
            images={
                one.uuid: image or one.image_id for one in self.spec.groups
            },
        )
        converge.begin_upgrade(self.around(), target)
        self.intent = record_module.Intent.UPDATE
        self.changed = self.cloud.now

    def rotate(self, user_id="caller"):
        """Do what Magnum's credential hook does."""
        converge.begin_rotation(
            self.around(), rotation.Kind.CREDENTIAL, user_id
        )
        self.intent = record_module.Intent.UPDATE
        self.changed = self.cloud.now

    def rotate_ca(self):
        """Do what Magnum's CA hook does."""
        names = ("ca_cert_ref", "magnum_cert_ref")
        old = self.ca_generation
        self.ca_number += 1
        converge.begin_rotation(
            self.around(),
            rotation.Kind.CA,
            "caller",
            old={name: f"{name}{old}" for name in names},
            new={name: f"{name}-{self.ca_number}" for name in names},
        )
        self.intent = record_module.Intent.UPDATE
        self.changed = self.cloud.now

    def _save_references(self, references):
        found = references["ca_cert_ref"].removeprefix("ca_cert_ref")
        self.ca_generation = found

    def versions(self):
        """Return the version each node runs."""
        return {
            name: self.cloud.nodes.by_id[server].version
            for name, server in self.servers().items()
        }

    def _commit_upgrade(self, target):
        self.committed.append(target.template_id)
        self.spec = with_version(self.spec, target.version)

    def _save_stack_id(self, stack_id):
        self.stack_id = stack_id

    def _group_stack_id(self, uuid):
        if uuid == self.spec.control_plane.uuid or self.written is None:
            return None
        report_of_group = self.written.groups.get(uuid)
        return report_of_group.stack_id if report_of_group else None


Outcome = record_module.Outcome
Role = spec_module.Role


def with_version(spec, version):
    """Return a specification in which everything has that version."""
    return dataclasses.replace(
        spec,
        kubernetes_version=version,
        workers=tuple(
            dataclasses.replace(one, kubernetes_version=version)
            for one in spec.workers
        ),
    )


def extra_group(sim):
    """Add a node group of two to a simulation and return its UUID."""
    uuid = "c0000000-0000-4000-8000-00000000000c"
    group = dataclasses.replace(
        sim.spec.workers[0], uuid=uuid, name="extra", count=2
    )
    sim.spec = dataclasses.replace(
        sim.spec, workers=(*sim.spec.workers, group)
    )
    return uuid
