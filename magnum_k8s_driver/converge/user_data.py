# SPDX-License-Identifier: Apache-2.0
"""Put together what new servers boot from.

Reads the CAs and makes the cluster's application credential; the texts
themselves are made by ``render``.
"""

import base64
from collections.abc import Mapping, Sequence
import dataclasses
import json
from typing import Any

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.converge import secret as secret_module
from magnum_k8s_driver.converge import trust
from magnum_k8s_driver.model import join_token
from magnum_k8s_driver.model import permit
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.ports import certificates
from magnum_k8s_driver.ports import cloud as cloud_module
from magnum_k8s_driver.ports import heat
from magnum_k8s_driver.render import kubeadm
from magnum_k8s_driver.render import node_document
from magnum_k8s_driver.render import userdata


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Orders:
    """What new nodes are told besides the specification."""

    operation: str
    endpoint: kubeadm.Endpoint
    signals: Mapping[str, Any]
    """Outputs of the cluster stack: ``boards`` and ``distress``."""
    secret: secret_module.ClusterSecret
    authorities: certificates.Authorities
    artifact_mirror: str = ""
    seq: int = 0
    """Of the last orders that the control plane was given."""


def endpoint(stack: heat.Stack) -> kubeadm.Endpoint:
    """Return where nodes and users reach the API, from the cluster stack."""
    public = stack.outputs.get("endpoint_public")
    return kubeadm.Endpoint(
        host=stack.outputs["endpoint_private"],
        port=int(stack.parameters["api_port"]),
        addresses=(public,) if public else (),
    )


def control_plane(
    cloud: cloud_module.Cloud,
    spec: spec_module.ClusterSpec,
    orders: Orders,
    members: Sequence[str],
    *,
    may_init: bool,
) -> dict[str, str]:
    """Return the user data of control-plane members, by name.

    :param may_init: the first of them may initialise the cluster; the others
        join it.
    """
    secrets = None
    if not spec.seals_secrets:
        secrets = _secrets(cloud, spec, orders.secret, orders.authorities)
    texts = {}
    for index, member in enumerate(members):
        values = node_document.ControlPlaneValues(
            **_common(orders),
            member=member,
            init=may_init and index == 0,
            board=read_signal(orders.signals["boards"][member]),
            secrets=secrets,
        )
        document = node_document.control_plane_document(spec, values)
        texts[member] = userdata.user_data(spec, spec.control_plane, document)
    return texts


def sealed_text(
    cloud: cloud_module.Cloud,
    spec: spec_module.ClusterSpec,
    bundle: secret_module.ClusterSecret,
    authorities: certificates.Authorities,
) -> str:
    """Return what control-plane members get sealed, before it is."""
    return node_document.sealed_text(
        _secrets(cloud, spec, bundle, authorities)
    )


def worker(
    spec: spec_module.ClusterSpec,
    group: spec_module.NodeGroupSpec,
    orders: Orders,
    nodes: Sequence[str],
    now: float,
) -> str:
    """Return the user data that new workers of a group share.

    :param nodes: names of their Nodes.
    :param now: seconds since the epoch; the join token dies two hours later.
    """
    root = bytes.fromhex(orders.secret.join_root)
    values = node_document.WorkerValues(
        **_common(orders),
        join_token=join_token.join_token(root, spec.uuid, now),
        permit=permit.issue(
            bytes.fromhex(orders.secret.board_key), orders.seq, nodes
        ),
    )
    document = node_document.worker_document(spec, group, values)
    return userdata.user_data(spec, group, document)


def _common(orders: Orders) -> dict[str, Any]:
    return {
        "operation": orders.operation,
        "endpoint": orders.endpoint,
        "ca_certificates": trust.split(
            orders.authorities.kubernetes.certificate
        ),
        "distress": read_signal(orders.signals["distress"]),
        "artifact_mirror": orders.artifact_mirror,
    }


def _secrets(
    cloud: cloud_module.Cloud,
    spec: spec_module.ClusterSpec,
    bundle: secret_module.ClusterSecret,
    authorities: certificates.Authorities,
) -> node_document.ControlPlaneSecrets:
    user = user_id(cloud, spec.uuid)
    credential = cloud.identity.ensure_application_credential(
        user,
        bundle.identity_password,
        spec.project_id,
        bundle.credential_name,
        bundle.credential_secret,
    )
    return node_document.ControlPlaneSecrets(
        pki={
            "ca.crt": authorities.kubernetes.certificate,
            "ca.key": authorities.kubernetes.private_key,
            "etcd/ca.crt": authorities.etcd.certificate,
            "etcd/ca.key": authorities.etcd.private_key,
            "front-proxy-ca.crt": authorities.front_proxy.certificate,
            "front-proxy-ca.key": authorities.front_proxy.private_key,
            "sa.key": bundle.service_account_key,
            "sa.pub": bundle.service_account_public_key,
        },
        join_root=bytes.fromhex(bundle.join_root),
        board_key=bytes.fromhex(bundle.board_key),
        encryption_key=base64.b64decode(bundle.encryption_key),
        cloud={
            "auth_url": spec.cloud.auth_url,
            "region": spec.cloud.region,
            "id": credential.id,
            "secret": credential.secret,
            **_login(spec, user, bundle),
        },
        serial=bundle.serial,
    )


def _login(
    spec: spec_module.ClusterSpec,
    user: str,
    bundle: secret_module.ClusterSecret,
) -> dict[str, str]:
    """Return what the autoscaler, and nothing else, logs in with.

    Sealed it is there for an autoscaler that is switched on later, too.
    """
    if not spec.seals_secrets and not spec.labels.auto_scaling_enabled:
        return {}
    return {"user": user, "password": bundle.identity_password}


def user_id(cloud: cloud_module.Cloud, cluster_uuid: str) -> str:
    """Return the id of the cluster's own user.

    :raises K8sDriverError: somebody has deleted it.
    """
    found = cloud.identity.find_cluster_user(cluster_uuid)
    if found is None:
        raise exceptions.K8sDriverError(
            f"The Keystone user {cluster_uuid} of the cluster is gone. Delete "
            "the cluster and create it again."
        )
    return found


def read_signal(value: Any) -> dict[str, Any]:
    """Return a handle's signal attribute; Heat hands it out as JSON text."""
    found: dict[str, Any] = (
        json.loads(value) if isinstance(value, str) else dict(value)
    )
    return found
