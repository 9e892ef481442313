# SPDX-License-Identifier: Apache-2.0
"""The requests of cluster-autoscaler's provider ``magnum``, and no others.

Written after ``cluster-autoscaler/cloudprovider/magnum`` of the repository
kubernetes/autoscaler, files ``magnum_manager_impl.go`` and
``magnum_nodegroup.go``: which requests it sends, which fields it reads, and
what it makes of them. Where that program would end with an error, this one
raises :class:`AutoscalerError`.
"""

import dataclasses
import enum
import uuid

MICROVERSION = "1.9"


class AutoscalerError(Exception):
    """The autoscaler could not go on."""


class State(enum.StrEnum):
    """What the autoscaler believes of an instance."""

    CREATING = "creating"
    RUNNING = "running"
    DELETING = "deleting"


@dataclasses.dataclass(frozen=True)
class Instance:
    """A machine of a node group as the autoscaler knows it."""

    id: str
    """``openstack:///SERVER``, or ``fake:///GROUP/INDEX`` without a server."""
    state: State
    error: str = ""
    is_quota: bool = False
    """It tries another group at once and does not wait for 15 minutes."""

    @property
    def reference(self):
        """Return what it names the instance by when it is to go."""
        return self.id.rpartition("/")[2]


class Autoscaler:
    """One autoscaler of one cluster, with the rights of a user."""

    def __init__(self, cloud, cluster_id):
        self._magnum = cloud.container_infrastructure_management
        self._heat = cloud.orchestration
        self._cluster = f"/clusters/{cluster_id}"
        self._stacks = {}

    def discover(self, *roles):
        """Return the groups it scales by UUID: with a maximum, of a role."""
        found = {}
        for one in self._get_magnum("/nodegroups")["nodegroups"]:
            if one["role"] == "master":
                continue
            group = self._get_magnum(f"/nodegroups/{one['uuid']}")
            if group["max_node_count"] is not None and group["role"] in roles:
                found[group["uuid"]] = group
        return found

    def size(self, group):
        return self._get_magnum(f"/nodegroups/{group}")["node_count"]

    def resize(self, group, count, *remove):
        """Ask for another size, and for the end of these instances."""
        body = {"node_count": count, "nodegroup": group}
        if remove:
            body["nodes_to_remove"] = [one.reference for one in remove]
        answer = self._magnum.request(
            f"{self._cluster}/actions/resize",
            "POST",
            json=body,
            headers=_version(),
            raise_exc=False,
        )
        if answer.status_code != 202:
            raise AutoscalerError(f"{answer.status_code}: {answer.text}")

    def nodes(self, group):
        """Return the group's instances as they are now."""
        _stack, members = self._stack_paths(group)
        resources = self._get_heat(f"{members}/resources")["resources"]
        references = self._references(members)
        found = (self._instance(group, one, references) for one in resources)
        return [one for one in found if one is not None]

    def group_of(self, server_id):
        """Return the group that a Node with this server belongs to."""
        listed = self._get_magnum("/nodegroups")["nodegroups"]
        for one in listed:
            if one["role"] == "master":
                continue
            _stack, members = self._stack_paths(one["uuid"])
            if server_id in self._references(members).values():
                return one["uuid"]
        raise AutoscalerError(f"no node group has {server_id}")

    def _stack_paths(self, group):
        """Return the paths of a group's stack and of the one in it."""
        if group not in self._stacks:
            stack_id = self._get_magnum(f"/nodegroups/{group}")["stack_id"]
            stack = self._path(stack_id)
            minions = self._get_heat(f"{stack}/resources/kube_minions")
            inner = minions["resource"]["physical_resource_id"]
            self._stacks[group] = stack, self._path(inner)
        return self._stacks[group]

    def _path(self, stack_id):
        stack = self._get_heat(f"/stacks/{stack_id}")["stack"]
        return f"/stacks/{stack['stack_name']}/{stack_id}"

    def _references(self, members):
        """Return index to server id as far as there is one."""
        found = {}
        for one in self._get_heat(members)["stack"].get("outputs", ()):
            if one["output_key"] == "refs_map":
                value = one.get("output_value")
                if not isinstance(value, dict):
                    raise AutoscalerError(f"refs_map is {value!r}")
                found.update(value)
        if any(not isinstance(one, str) for one in found.values()):
            raise AutoscalerError(f"refs_map holds no texts: {found}")
        return found

    def _instance(self, group, resource, references):
        index, status = resource["resource_name"], resource["resource_status"]
        server = references.get(index)
        known = bool(server) and server != "kube-minion"
        named = f"openstack:///{server}"
        fake = f"fake:///{group}/{index}"
        match status:
            case "DELETE_IN_PROGRESS":
                return Instance(named, State.DELETING) if known else None
            case "INIT_COMPLETE" | "CREATE_IN_PROGRESS":
                return Instance(fake, State.CREATING)
            case "UPDATE_IN_PROGRESS":
                if not known:
                    return Instance(fake, State.CREATING)
                return Instance(named, self._updated(resource))
            case "CREATE_FAILED" | "UPDATE_FAILED":
                reason = resource["resource_status_reason"]
                return Instance(
                    fake,
                    State.CREATING,
                    error=reason,
                    is_quota="quota" in reason.lower(),
                )
            case "CREATE_COMPLETE" | "UPDATE_COMPLETE":
                return Instance(named if known else fake, State.RUNNING)
            case _:
                return None

    def _updated(self, resource):
        """Tell a machine that is changed from one that still comes."""
        inner = resource["physical_resource_id"]
        listed = self._get_heat(f"/stacks/{inner}/resources")["resources"]
        statuses = {
            one["resource_name"]: one["resource_status"] for one in listed
        }
        wanted = ("kube-minion", "node_config_deployment")
        done = all(statuses.get(o) == "CREATE_COMPLETE" for o in wanted)
        return State.RUNNING if done else State.CREATING

    def _get_magnum(self, path):
        return _checked(
            self._magnum.get(f"{self._cluster}{path}", headers=_version())
        )

    def _get_heat(self, path):
        return _checked(self._heat.get(path))


def is_server(text):
    """Tell whether a reference is a server's id and no index."""
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _version():
    return {"OpenStack-API-Version": f"container-infra {MICROVERSION}"}


def _checked(response):
    if not response.ok:
        raise AutoscalerError(f"{response.status_code}: {response.text}")
    return response.json()
