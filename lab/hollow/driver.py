# SPDX-License-Identifier: Apache-2.0
"""A Nova virt driver whose servers are hollow cluster nodes.

It builds on Nova's own fake driver; a server whose user data hold a node
document gets a hollow node, any other one is ACTIVE and does nothing.
"""

import base64
import datetime
import os
import pathlib

from nova.compute import power_state
from nova.compute import vm_states
from nova import context as nova_context
from nova import exception
from nova import objects
from nova.scheduler.client import report
from nova.virt import fake
from oslo_log import log as logging
from oslo_utils import timeutils

from lab.containers import nova_machines
from lab.hollow import api_server
from lab.hollow import node as node_module
from lab.hollow import world as world_module
from lab import settings

LOG = logging.getLogger(__name__)

OVERLAP = datetime.timedelta(seconds=2)
"""Changes become visible a little later than they are dated."""

PAGE = 3
"""Servers to ask for when most likely none has changed."""

GONE = (vm_states.BUILDING, vm_states.DELETED, vm_states.SOFT_DELETED)
OFF = (vm_states.STOPPED, vm_states.SHELVED, vm_states.SHELVED_OFFLOADED)


class HollowDriver(fake.FakeDriverWithoutFakeNodes):
    """Nova's fake driver with something alive in its servers."""

    def __init__(self, virtapi, read_only=False):
        super().__init__(virtapi)
        root = os.environ.get("LAB_ROOT", settings.DEFAULT_ROOT)
        self._world = world_module.World(
            pathlib.Path(root),
            clusters_changed=api_server.ApiServer().follow,
        )
        self._machines = nova_machines.NovaMachines()
        self._polled = timeutils.utcnow(with_timezone=True)
        self._blind = False

    def init_host(self, host):
        """Take over the servers of an earlier process, then start."""
        super().init_host(host)
        report.SchedulerReportClient.get_allocations_for_provider_tree = (
            _no_allocations
        )
        found = objects.InstanceList.get_by_host(
            nova_context.get_admin_context(),
            host,
            expected_attrs=["metadata", "flavor", "info_cache"],
        )
        for instance in found:
            if instance.launched_at and instance.vm_state not in GONE:
                self._take_over(instance)
        scheduler = self._world.scheduler
        scheduler.start()
        scheduler.call_later(self._poll_seconds(), self._poll)
        LOG.info("Took %d servers over", len(self.instances))

    def spawn(
        self,
        context,
        instance,
        image_meta,
        injected_files,
        admin_password,
        allocations,
        network_info=None,
        block_device_info=None,
        power_on=True,
        accel_info=None,
    ):
        name = instance.display_name
        error = self._world.behaviour.value(name, "spawn_error")
        if error:
            raise exception.BuildAbortException(
                instance_uuid=instance.uuid, reason=str(error)
            )
        super().spawn(
            context,
            instance,
            image_meta,
            injected_files,
            admin_password,
            allocations,
            network_info=network_info,
            block_device_info=block_device_info,
            power_on=power_on,
            accel_info=accel_info,
        )
        if self._machines.wants(instance, self._world.behaviour):
            self._machines.boot(context, instance, network_info, power_on)
        elif power_on:
            self._world.boot(
                _server(instance, network_info),
                _user_data(instance),
                instance.metadata,
            )

    def destroy(
        self,
        context,
        instance,
        network_info,
        block_device_info=None,
        destroy_disks=True,
        destroy_secrets=True,
    ):
        self._home(instance).delete(instance.uuid)
        super().destroy(
            context,
            instance,
            network_info,
            block_device_info,
            destroy_disks,
            destroy_secrets,
        )

    def reboot(
        self,
        context,
        instance,
        network_info,
        reboot_type,
        block_device_info=None,
        bad_volumes_callback=None,
        accel_info=None,
        share_info=None,
    ):
        present = instance.uuid in self.instances
        super().reboot(
            context,
            instance,
            network_info,
            reboot_type,
            block_device_info,
            bad_volumes_callback,
            accel_info,
            share_info,
        )
        if present:
            self._home(instance).reboot(instance.uuid)

    def power_off(self, instance, timeout=0, retry_interval=0):
        super().power_off(instance, timeout, retry_interval)
        self._home(instance).power_off(instance.uuid)

    def power_on(
        self,
        context,
        instance,
        network_info,
        block_device_info=None,
        accel_info=None,
        share_info=None,
    ):
        was = self.get_info(instance).state
        super().power_on(
            context,
            instance,
            network_info,
            block_device_info,
            accel_info,
            share_info,
        )
        if was == power_state.SHUTDOWN:
            self._home(instance).power_on(instance.uuid)

    def attach_interface(self, context, instance, image_meta, vif):
        self._interfaces[vif["id"]] = vif

    def detach_interface(self, context, instance, vif):
        """Forget an interface; after a restart none is known."""
        self._interfaces.pop(vif["id"], None)

    def get_console_output(self, context, instance):
        return self._home(instance).console(instance.uuid)

    def _home(self, instance):
        """Return whatever runs a server: containers or the hollow world."""
        known = instance.uuid in self._machines
        return self._machines if known else self._world

    def _take_over(self, instance):
        running = instance.vm_state not in OFF
        state = power_state.RUNNING if running else power_state.SHUTDOWN
        self.instances[instance.uuid] = fake.FakeInstance(
            instance.name, state, instance.uuid
        )
        flavor = instance.flavor
        self.resources.claim(flavor.vcpus, flavor.memory_mb, flavor.root_gb)
        if instance.uuid in self._machines:
            self._machines.restore(instance.uuid, running)
            return
        self._world.restore(
            _server(instance, instance.get_network_info()),
            _user_data(instance),
            instance.metadata,
            running,
        )

    def _poll_seconds(self):
        return self._world.behaviour.knob("poll_seconds")

    def _poll(self):
        """Look for changed metadata, as nodes do; Nova does not tell."""
        self._world.submit(self._read_changes)

    def _read_changes(self):
        try:
            if self._world.nodes:
                self._obey_changes()
            self._blind = False
        except Exception:
            if not self._blind:
                LOG.exception("Metadata of the servers could not be read")
            self._blind = True
        finally:
            self._world.scheduler.call_later(self._poll_seconds(), self._poll)

    def _obey_changes(self):
        """Read servers, the last changed first, down to those known.

        An instance comes with its user data, so few are asked for.
        """
        limit, found = PAGE, []
        until = self._polled - OVERLAP
        while True:
            found = self._last_changed(limit)
            if len(found) < limit or _changed(found[-1]) < until:
                break
            limit *= 4
        for instance in found:
            self._world.obey(instance.uuid, instance.metadata)
        if found:
            self._polled = max(self._polled, _changed(found[0]))

    def _last_changed(self, limit):
        return objects.InstanceList.get_by_filters(
            nova_context.get_admin_context(),
            {"host": self._host, "deleted": False},
            sort_keys=["updated_at"],
            sort_dirs=["desc"],
            limit=limit,
            expected_attrs=["metadata"],
        )


def _no_allocations(client, context, nodename):
    """Stand in for a read that asks once for every server of the host.

    Nova makes it at each claim, holding a lock, in case the driver moves
    resources between providers. This one never does; and with 200 servers
    on one host each claim would take two seconds.
    """
    return {}


def _server(instance, network_info):
    addresses = [
        address["address"]
        for vif in network_info or ()
        for address in vif.fixed_ips()
    ]
    return node_module.Server(
        id=instance.uuid,
        name=instance.display_name,
        address=addresses[0] if addresses else "",
        vcpus=instance.flavor.vcpus,
        memory_mib=instance.flavor.memory_mb,
    )


def _changed(instance):
    return instance.updated_at or instance.created_at


def _user_data(instance):
    return base64.b64decode(instance.user_data or "")
