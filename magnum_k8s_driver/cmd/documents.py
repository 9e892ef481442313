# SPDX-License-Identifier: Apache-2.0
"""Everything that creating a cluster sends to Heat and to its nodes."""

import ipaddress
import json
from typing import Any

import yaml

from magnum_k8s_driver.cmd import dummies
from magnum_k8s_driver.model import join_token
from magnum_k8s_driver.model import members as members_module
from magnum_k8s_driver.model import names
from magnum_k8s_driver.model import permit
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.ports import heat
from magnum_k8s_driver.render import addon_orders
from magnum_k8s_driver.render import cluster_stack
from magnum_k8s_driver.render import kubeadm
from magnum_k8s_driver.render import node_document
from magnum_k8s_driver.render import servers
from magnum_k8s_driver.render import userdata
from magnum_k8s_driver.render import worker_stack

Documents = dict[str, bytes]
"""Path below the output directory to content."""

OPERATION = "create-1"
PROGRAM = "/opt/magnum/"
"""Below it lies the node program, the same for all clusters."""

PUBLIC_ADDRESS = "203.0.113.10"
"""Stands for the floating IP that Neutron would choose."""


def documents(
    spec: spec_module.ClusterSpec, timeout_minutes: int
) -> Documents:
    """Return every document in the order in which it is sent."""
    found: Documents = {}
    prefix = names.cluster_prefix(spec.name, spec.uuid)
    boards = members_module.Members().next_names(spec.control_plane.count)
    started = state_module.Operation(id=OPERATION, kind="create", started=0.0)
    empty = state_module.StackState(
        generation=1, operation=started, members=members_module.Members()
    )
    state = state_module.ClusterState(
        stack=empty,
        secret_ref=dummies.identifier("cluster secret"),
        ssh_public_key=spec.ssh_public_key,
    )
    sizes: dict[str, Any] = {
        "boards": boards,
        "timeout_minutes": timeout_minutes,
    }
    request = cluster_stack.request(spec, state, **sizes)
    _stack(found, f"heat/1-{prefix}-create", request)
    for member, text in _control_plane(spec, boards).items():
        _node(found, f"nodes/cp-{member}", text)
    with_members = state_module.ClusterState(
        stack=empty.advanced(members=_members(spec.control_plane)),
        secret_ref=state.secret_ref,
        ssh_public_key=state.ssh_public_key,
    )
    update = cluster_stack.update(spec, with_members, **sizes)
    _stack(found, f"heat/2-{prefix}-update", update)
    _addons(found, spec)
    for number, group in enumerate(spec.workers, 3):
        name = worker_stack.stack_name(spec, group)
        _node(found, f"nodes/{group.name}", _worker(spec, group))
        _stack(
            found,
            f"heat/{number}-{name}-create",
            worker_stack.request(
                spec,
                group,
                state_module.StackState(
                    generation=1, operation=started, members=_members(group)
                ),
                _attachment(spec),
                timeout_minutes=timeout_minutes,
            ),
        )
    return found


def _addons(found: Documents, spec: spec_module.ClusterSpec) -> None:
    """Add what the first orders say of add-ons, in their order."""
    where = _attachment(spec)
    place = addon_orders.place(where.network_id, where.subnet_id)
    for number, one in enumerate(addon_orders.entries(spec, place), 1):
        path = f"addons/{number:02}-{one.name}.yaml"
        found[path] = b"---\n".join(map(_yaml, one.objects))


def _stack(
    found: Documents,
    path: str,
    sent: heat.StackRequest | heat.StackUpdate,
) -> None:
    rest: dict[str, Any] = {"parameters": dict(sent.parameters)}
    if isinstance(sent, heat.StackRequest):
        rest |= {"stack_name": sent.name, "tags": ",".join(sent.tags)}
    rest["timeout_mins"] = sent.timeout_minutes
    found[f"{path}/request.yaml"] = _yaml(rest)
    found[f"{path}/template.yaml"] = _yaml(dict(sent.template or {}))
    for name, text in sent.files.items():
        found[f"{path}/files/{name}"] = text.encode()


def _node(found: Documents, path: str, text: str) -> None:
    """Add user data as sent, and the files in them but for the program."""
    found[f"{path}/user-data"] = text.encode()
    files = userdata.parse_files(text)
    lines = [f"{len(text.encode())} bytes of {userdata.MAX_BYTES}"]
    lines += sorted(files)
    found[f"{path}/files.txt"] = ("\n".join(lines) + "\n").encode()
    for name in sorted(files):
        if not name.startswith(PROGRAM):
            content = files[name]
            if name.endswith(".json"):
                content = _yaml(yaml.safe_load(content))
                name = f"{name}.as.yaml"
            found[f"{path}{name}"] = content


def _control_plane(
    spec: spec_module.ClusterSpec, boards: tuple[str, ...]
) -> dict[str, str]:
    return {
        member: userdata.user_data(
            spec,
            spec.control_plane,
            node_document.control_plane_document(
                spec,
                node_document.ControlPlaneValues(
                    **_common(spec),
                    member=member,
                    init=not index,
                    board=dummies.signal(f"board-{member}"),
                ),
            ),
        )
        for index, member in enumerate(boards)
    }


def _worker(
    spec: spec_module.ClusterSpec, group: spec_module.NodeGroupSpec
) -> str:
    token = join_token.join_token(dummies.octets("join root"), spec.uuid, 0.0)
    nodes = [
        servers.node_name(spec, group, member)
        for member in members_module.Members().next_names(group.count)
    ]
    values = node_document.WorkerValues(
        **_common(spec),
        join_token=token,
        permit=permit.issue(dummies.octets("board key"), 0, nodes),
    )
    document = node_document.worker_document(spec, group, values)
    return userdata.user_data(spec, group, document)


def _common(spec: spec_module.ClusterSpec) -> dict[str, Any]:
    """Return what all nodes are told; addresses as Neutron would choose."""
    network = ipaddress.ip_network(spec.network.subnet_cidr)
    return {
        "operation": OPERATION,
        "endpoint": kubeadm.Endpoint(
            host=str(network.network_address + 10),
            port=spec.endpoint.port,
            addresses=(PUBLIC_ADDRESS,) if spec.endpoint.floating_ip else (),
        ),
        "ca_certificates": (dummies.certificate("Kubernetes CA"),),
        "distress": dummies.signal("distress"),
    }


def _members(group: spec_module.NodeGroupSpec) -> members_module.Members:
    empty = members_module.Members()
    return empty.with_new(
        *(
            members_module.Member(
                name=name,
                image_id=group.image_id,
                flavor_id=group.flavor_id,
                kubernetes_version=group.kubernetes_version,
                user_data=dummies.identifier(f"user data of {group.name}"),
                operation=OPERATION,
            )
            for name in empty.next_names(group.count)
        )
    )


def _attachment(spec: spec_module.ClusterSpec) -> worker_stack.Attachment:
    return worker_stack.Attachment(
        network_id=spec.network.network_id or dummies.identifier("network"),
        subnet_id=spec.network.subnet_id or dummies.identifier("subnet"),
        security_group_id=dummies.identifier("security group"),
    )


def _yaml(data: Any) -> bytes:
    # Through JSON, because that is how they travel; YAML is for people.
    plain = json.loads(json.dumps(data))
    text = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, width=100)
    return bytes(text, "utf-8")


class _Dumper(yaml.SafeDumper):
    """Writes text of several lines as such."""

    def represent_text(self, text: str) -> yaml.ScalarNode:
        style = "|" if "\n" in text else None
        return self.represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _Dumper.represent_text)
