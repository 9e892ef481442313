# SPDX-License-Identifier: Apache-2.0
"""Nova's instances as system containers. Imported by nova-compute only."""

from collections.abc import Mapping
import logging

from nova.api.metadata import base as nova_metadata
from nova import exception

from lab import failure
from lab import settings as lab_settings
from lab.containers import machines
from lab.containers import server as server_module
from lab.hollow import behaviour as behaviour_module

LOG = logging.getLogger(__name__)

PROPERTY = "image_lab_node"
VERSION = "image_kube_version"
DEFAULT_MTU = 1450


class NovaMachines(machines.Machines):
    """What Nova's driver does with servers that are containers."""

    def __init__(self) -> None:
        super().__init__(lab_settings.read())

    def wants(self, instance, behaviour: behaviour_module.Behaviour) -> bool:
        """Tell whether a new server shall be a container.

        Its image's property ``lab_node=container`` says so, or a rule of
        the behaviour file.
        """
        if instance.system_metadata.get(PROPERTY) == "container":
            return True
        return bool(behaviour.value(instance.display_name, "container"))

    def boot(self, context, instance, network_info, power_on: bool) -> None:
        """Make a new server and switch it on.

        :raises BuildAbortException: it cannot be made.
        """
        version = instance.system_metadata.get(VERSION, "")
        try:
            server = _server(instance, network_info)
            drive = config_drive(context, instance, network_info)
            self.create(server, drive, version)
            if power_on:
                self.power_on(instance.uuid)
        except (failure.LabError, OSError) as exc:
            raise exception.BuildAbortException(
                instance_uuid=instance.uuid, reason=str(exc)
            ) from exc

    def restore(self, server_id: str, running: bool) -> None:
        """Go on with a server that was there before this process."""
        if running:
            self.power_on(server_id)


def config_drive(context, instance, network_info) -> Mapping[str, bytes]:
    """Return what Nova would write on the server's config drive."""
    found = nova_metadata.InstanceMetadata(
        instance, content=[], network_info=network_info
    )
    return {
        path: content.encode() if isinstance(content, str) else content
        for path, content in found.metadata_for_config_drive()
        if path.startswith("openstack/")
    }


def _server(instance, network_info) -> server_module.Server:
    """Describe an instance; its first port is the one it gets.

    :raises LabError: it has none with an IPv4 address.
    """
    for vif in network_info or ():
        for subnet in vif["network"]["subnets"]:
            if subnet["version"] != 4 or not subnet["ips"]:
                continue
            return server_module.Server(
                id=instance.uuid,
                name=instance.display_name,
                project_id=instance.project_id,
                address=subnet["ips"][0]["address"],
                mac=vif["address"],
                mtu=vif["network"].get_meta("mtu") or DEFAULT_MTU,
                memory_mb=instance.flavor.memory_mb,
                network=server_module.Network(
                    id=vif["network"]["id"],
                    gateway=subnet["gateway"]["address"],
                    prefix=int(subnet["cidr"].rpartition("/")[2]),
                    dns=tuple(
                        one["address"]
                        for one in subnet["dns"]
                        if one["version"] == 4
                    ),
                ),
            )
    raise failure.LabError("A container node needs a port with an address.")
