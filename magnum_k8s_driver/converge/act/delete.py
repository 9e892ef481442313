# SPDX-License-Identifier: Apache-2.0
"""Delete a cluster."""

from oslo_log import log as logging

from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge.act import scene as scene_module

LOG = logging.getLogger(__name__)


def drop_user_data(
    action: actions.DropUserData, scene: scene_module.Scene
) -> None:
    """Delete software configs nobody boots from any more."""
    keys = {one.config_id: one.key for one in scene.observed.answers}
    for config_id in action.config_ids:
        if config_id in keys:
            # Heat keeps a config that is deployed.
            scene.cloud.heat.withdraw(keys[config_id])
        scene.cloud.heat.delete_config(config_id)


def disable_identity(
    action: actions.DisableIdentity, scene: scene_module.Scene
) -> None:
    """Disable the cluster's user."""
    scene.cloud.identity.disable_cluster_user(scene.record.uuid)


def discard_rotation(
    action: actions.DiscardRotation, scene: scene_module.Scene
) -> None:
    """Delete the CAs of a rotation that are not the cluster's own."""
    standing = scene.observed.rotation
    if standing is not None:
        for references in (standing.old, standing.new):
            scene.cloud.certificates.discard_unused(references)


def delete_stack(
    action: actions.DeleteStack, scene: scene_module.Scene
) -> None:
    """Start deleting a stack."""
    scene.cloud.heat.delete(action.stack_id)


def remove_leftovers(
    action: actions.RemoveLeftovers, scene: scene_module.Scene
) -> None:
    """Remove what no stack owns."""
    for one in action.leftovers:
        LOG.debug("Cluster %s left %s; removing it", scene.record.uuid, one)
        scene.cloud.leftovers.remove(one)


def forget_cluster(
    action: actions.ForgetCluster, scene: scene_module.Scene
) -> None:
    """Remove user, secret, certificates and grants."""
    cloud, record = scene.cloud, scene.record
    cloud.identity.delete_cluster_user(record.uuid)
    cloud.certificates.delete_secrets()
    cloud.certificates.delete_extra_authorities()
    with scene_module.project_lock(scene.lock, record.project_id):
        # Earlier removal would kill the trusts by which boards are written.
        if scene.leave_project():
            cloud.identity.revoke_service_roles(record.project_id)
