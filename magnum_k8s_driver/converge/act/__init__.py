# SPDX-License-Identifier: Apache-2.0
"""Perform the actions of a plan.

Each function finds what an earlier, interrupted attempt has already made
before it makes anything. Nothing here decides what shall be done.
"""

from collections.abc import Callable
from typing import Any

from oslo_log import log as logging

from magnum_k8s_driver.converge import actions
from magnum_k8s_driver.converge.act import change
from magnum_k8s_driver.converge.act import create
from magnum_k8s_driver.converge.act import delete
from magnum_k8s_driver.converge.act import deliver
from magnum_k8s_driver.converge.act import rotate
from magnum_k8s_driver.converge.act import scene as scene_module

LOG = logging.getLogger(__name__)

Scene = scene_module.Scene
Settings = scene_module.Settings
project_lock = scene_module.project_lock

_PERFORMERS: dict[type, Callable[[Any, Scene], None]] = {
    actions.PrepareIdentity: create.prepare_identity,
    actions.CreateClusterStack: create.create_cluster_stack,
    actions.CreateControlPlane: create.create_control_plane,
    actions.CreateWorkerStack: create.create_worker_stack,
    actions.RecordInitialised: create.record_initialised,
    actions.AnswerMembers: deliver.answer_members,
    actions.RememberAnswered: deliver.remember_answered,
    actions.ChangeMembers: change.change_members,
    actions.ChangeControlPlane: change.change_control_plane,
    actions.SendOrders: change.send_orders,
    actions.BeginUpgrade: change.begin_upgrade,
    actions.UpgradeMembers: change.upgrade_members,
    actions.CommitUpgrade: change.commit_upgrade,
    actions.BeginRotation: rotate.begin_rotation,
    actions.AdvanceRotation: rotate.advance_rotation,
    actions.TellWorkers: rotate.tell_workers,
    actions.AbandonRotation: rotate.abandon_rotation,
    actions.EndRotation: rotate.end_rotation,
    actions.DropUserData: delete.drop_user_data,
    actions.DisableIdentity: delete.disable_identity,
    actions.DiscardRotation: delete.discard_rotation,
    actions.DeleteStack: delete.delete_stack,
    actions.RemoveLeftovers: delete.remove_leftovers,
    actions.ForgetCluster: delete.forget_cluster,
}


def perform(scene: Scene, action: actions.Action) -> None:
    """Perform one action.

    :raises InvalidClusterSpec: the request cannot be carried out.
    :raises StaleGeneration: the world is not the one the plan was made from.
    :raises CloudError: a service refused or failed.
    """
    LOG.debug("Cluster %s: %s", scene.record.uuid, type(action).__name__)
    _PERFORMERS[type(action)](action, scene)
