# SPDX-License-Identifier: Apache-2.0
"""Magnum's database rows: read as plain values, written from a report.

The only place that saves a Magnum object. Magnum has no locks and no
optimistic checks; ``save()`` writes just the changed columns, so nothing is
assigned that did not change.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
import datetime
import hashlib
import json
from typing import Any

from magnum import objects
from magnum.objects import fields

from magnum_k8s_driver import intake
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.model import state
from magnum_k8s_driver.model import upgrade_request

DEFAULT_CREATE_TIMEOUT = 60
"""Minutes; Magnum's own default. Magnum accepts 0, which means the same."""

_CERTIFICATES = (
    "ca_cert_ref",
    "magnum_cert_ref",
    "etcd_ca_cert_ref",
    "front_proxy_ca_cert_ref",
)
_REASON_LIMIT = 2000
"""Characters; the column holds more, a person reads less."""

_Status = fields.ClusterStatus
_INTENTS = {
    _Status.CREATE_IN_PROGRESS: record.Intent.CREATE,
    _Status.UPDATE_IN_PROGRESS: record.Intent.UPDATE,
    _Status.ROLLBACK_IN_PROGRESS: record.Intent.UPDATE,
    _Status.DELETE_IN_PROGRESS: record.Intent.DELETE,
}


def read(cluster: Any, node_groups: Iterable[Any]) -> record.ClusterRecord:
    """Return Magnum's objects as plain values.

    :param cluster: ``magnum.objects.Cluster``.
    :param node_groups: its ``magnum.objects.NodeGroup`` rows.
    """
    rows = list(node_groups)
    defaults = [row for row in rows if row.is_default]
    certified = all(getattr(cluster, name, None) for name in _CERTIFICATES)
    return record.ClusterRecord(
        uuid=cluster.uuid,
        name=cluster.name or cluster.uuid,
        project_id=cluster.project_id,
        intent=_intent(cluster, defaults),
        stack_id=cluster.stack_id or None,
        prepared=certified and len(defaults) >= 2,
        created=_seconds(cluster.created_at),
        create_timeout_minutes=cluster.create_timeout
        or DEFAULT_CREATE_TIMEOUT,
        groups=tuple(_group(cluster, row) for row in rows),
        addons_from=_addons_from(cluster),
    )


def _addons_from(cluster: Any) -> str:
    """Return a text that changes with the labels and the template."""
    labels = json.dumps(dict(cluster.labels or {}), sort_keys=True)
    text = f"{cluster.cluster_template_id}:{labels}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def mark_creating(cluster: Any) -> None:
    """Save the references of the certificates, and what happens now."""
    cluster.status_reason = "Checking the request."
    cluster.save()
    row, name = cluster.default_ng_worker, "max_node_count"
    most = str((cluster.labels or {}).get(name, ""))
    # Magnum takes over the label of the least number itself.
    if most.isdecimal() and row.max_node_count is None:
        _assign(row, name, int(most))
        row.save()


def mark_updating(cluster: Any, *node_groups: Any) -> None:
    """Save the intent to change a cluster before anything is changed.

    Magnum does so only after the hook: a conductor that dies in between
    would leave a change that no status job ever looks at.
    """
    for row in node_groups:
        if row.obj_what_changed():
            row.save()
    _assign(cluster, "status", _Status.UPDATE_IN_PROGRESS)
    _assign(cluster, "status_reason", "Beginning the change.")
    if cluster.obj_what_changed():
        cluster.save()


def may_heal(cluster: Any) -> bool:
    """Tell whether nothing is under way with a cluster that was made."""
    status = cluster.status or ""
    if status == _Status.UPDATE_FAILED:
        return True
    return status.endswith("_COMPLETE") and status != _Status.DELETE_COMPLETE


def mark_healing(cluster: Any, sentence: str) -> None:
    """Let the status job bring to its end what healing has begun."""
    cluster.refresh()
    if may_heal(cluster):
        mark_updating(cluster)
        complain(cluster, sentence)


def resume_groups(node_groups: Iterable[Any]) -> None:
    """Save that what failed with a node group is taken up again.

    Whatever is done to a cluster next brings each of its groups to what its
    row asks for. A group that was to be deleted must not come back to life,
    and one that works in the end must not be called failed.
    """
    for row in node_groups:
        verb = (row.status or "").removesuffix("_FAILED")
        # Of a default group that would delete the whole cluster.
        of_cluster = row.is_default and verb == "DELETE"
        if verb != row.status and verb and not of_cluster:
            row.status = f"{verb}_IN_PROGRESS"
            row.status_reason = None
            row.save()


def mark_upgrading(
    cluster: Any, node_groups: Iterable[Any], groups: Collection[str]
) -> None:
    """Save the intent to upgrade on every group that takes part."""
    for row in node_groups:
        if row.uuid in groups:
            row.status = _Status.UPDATE_IN_PROGRESS
            row.status_reason = None
            row.save()
    mark_updating(cluster)


def commit_upgrade(
    cluster: Any,
    node_groups: Iterable[Any],
    template: Any,
    target: state.UpgradeTarget,
) -> None:
    """Save what an upgrade has reached: template, labels, images.

    Horizon offers only templates whose ``kube_tag`` is greater than the
    cluster's, so the label is set even where nobody had set it before.
    Magnum does not notice changes inside of a dict: each gets a new one.
    """
    for row in node_groups:
        if row.uuid in target.images:
            row.labels = _tagged(row.labels, target.version)
            row.image_id = template.image_id
            row.save()
    cluster.labels = _tagged(
        upgrade_request.with_addon_labels(
            cluster.labels or {}, template.labels or {}
        ),
        target.version,
    )
    cluster.cluster_template_id = template.uuid
    cluster.save()


def _tagged(labels: Mapping[str, str] | None, version: str) -> dict[str, str]:
    return {**(labels or {}), upgrade_request.VERSION_LABEL: version}


def mark_deleting(cluster: Any, node_groups: Iterable[Any]) -> None:
    """Save the intent to delete where no other call overwrites it.

    Node group calls set the cluster's status whatever it was, so the default
    groups' status decides. Magnum saves the cluster's only after the hook;
    should the conductor die in between, no status job would look at it.
    """
    cluster.status = _Status.DELETE_IN_PROGRESS
    cluster.status_reason = "Deleting the cluster."
    cluster.save()
    for row in node_groups:
        row.status = _Status.DELETE_IN_PROGRESS
        row.status_reason = None
        row.save()


def save_stack_id(cluster: Any, stack_id: str) -> None:
    """Save the handle of the cluster stack at once."""
    if cluster.stack_id != stack_id:
        cluster.stack_id = stack_id
        cluster.save()


def save_owner(cluster: Any, user_id: str) -> None:
    """Save whose the cluster is: only they get its kubeconfig."""
    _assign(cluster, "user_id", user_id)
    if cluster.obj_what_changed():
        cluster.save()


def forget_stack_id(cluster: Any) -> None:
    """Save that a cluster which is deleted has no stack any more."""
    cluster.stack_id = None
    if cluster.obj_what_changed():
        cluster.save()


def needs_project(cluster: Any) -> bool:
    """Tell whether a cluster needs the driver's roles in its project."""
    deleting = cluster.status == _Status.DELETE_IN_PROGRESS
    return bool(cluster.stack_id) or not (deleting or came_to_nothing(cluster))


def came_to_nothing(cluster: Any) -> bool:
    """Tell whether a cluster was refused before it had a stack.

    The status job saves the id of a stack whose name only is known before
    it says that the create has failed.
    """
    failed = cluster.status == _Status.CREATE_FAILED
    return failed and not cluster.stack_id


def apply(
    cluster: Any, node_groups: Sequence[Any], report: record.ClusterReport
) -> None:
    """Write a report on Magnum's objects and save them, groups first.

    ``DELETE_COMPLETE`` is set but not saved: Magnum deletes the row of a
    cluster whose object says so, and a saved one would never be looked at
    again should that fail.
    """
    for row in node_groups:
        group = report.groups.get(row.uuid)
        if group is not None:
            _apply_group(row, group, report)
    done_deleting = (
        report.intent is record.Intent.DELETE
        and report.outcome is record.Outcome.COMPLETE
    )
    if report.intent is not record.Intent.NOTHING:
        _assign(cluster, "status", _status(report.intent, report.outcome))
        _assign(cluster, "status_reason", report.reason[:_REASON_LIMIT])
    if report.stack_id:
        _assign(cluster, "stack_id", report.stack_id)
    if report.api_address:
        _assign(cluster, "api_address", report.api_address)
    if report.coe_version:
        _assign(cluster, "coe_version", report.coe_version)
    if not done_deleting and cluster.obj_what_changed():
        cluster.save()


def leave_to_status_job(cluster: Any) -> None:
    """Take ``DELETE_COMPLETE`` back after a hook.

    Magnum saves the cluster after a hook and deletes its row only after the
    status job, which never looks at a row that says so. A create hook gets
    this far when a delete overtook it.
    """
    if cluster.status == _Status.DELETE_COMPLETE:
        cluster.status = _Status.DELETE_IN_PROGRESS
        cluster.save()


def complain(cluster: Any, sentence: str) -> None:
    """Save a reason without touching the status."""
    _assign(cluster, "status_reason", sentence[:_REASON_LIMIT])
    if cluster.obj_what_changed():
        cluster.save()


def put_back_references(
    context: Any, cluster: Any
) -> tuple[dict[str, str], dict[str, str]]:
    """Put back the references of the CAs that the cluster really trusts.

    Magnum's CA rotation has replaced them on the object; the database still
    has the old ones.

    :returns: the old ones and the new ones, by name of the field.
    """
    saved = objects.Cluster.get_by_uuid(context, cluster.uuid)
    old = {name: getattr(saved, name) for name in _CERTIFICATES}
    new = {name: getattr(cluster, name) for name in _CERTIFICATES}
    for name, reference in old.items():
        _assign(cluster, name, reference)
    return old, new


def save_references(cluster: Any, references: Mapping[str, str]) -> None:
    """Save which CAs the cluster has."""
    for name, reference in references.items():
        _assign(cluster, name, reference)
    if cluster.obj_what_changed():
        cluster.save()


def _apply_group(
    row: Any, group: record.GroupReport, report: record.ClusterReport
) -> None:
    if group.intent is record.Intent.DELETE:
        _apply_deleted_group(row, group, report)
        return
    # Saving a row moves its last change, from which deadlines are counted:
    # reasons, which may change with every look, wait for the outcome.
    is_final = group.outcome is not record.Outcome.IN_PROGRESS
    if group.intent is not record.Intent.NOTHING and is_final:
        _assign(row, "status", _status(group.intent, group.outcome))
        _assign(row, "status_reason", group.reason[:_REASON_LIMIT] or None)
    elif _has_recovered(row, report):
        verb = row.status.removesuffix("_FAILED")
        _assign(row, "status", f"{verb}_COMPLETE")
        _assign(row, "status_reason", None)
    if group.stack_id:
        _assign(row, "stack_id", group.stack_id)
    if group.version:
        _assign(row, "version", group.version)
    if group.node_addresses:
        _assign(row, "node_addresses", list(group.node_addresses))
    if row.obj_what_changed():
        row.save()


def _has_recovered(row: Any, report: record.ClusterReport) -> bool:
    """Tell whether a group failed in a hook and the status job went on.

    Magnum calls the cluster in progress after a hook, whatever that saved.
    """
    failed = (_Status.CREATE_FAILED, _Status.UPDATE_FAILED)
    done = report.outcome is record.Outcome.COMPLETE
    asked = report.intent is not record.Intent.NOTHING
    return row.status in failed and done and asked


def _apply_deleted_group(
    row: Any, group: record.GroupReport, report: record.ClusterReport
) -> None:
    if group.outcome is record.Outcome.FAILED:
        _assign(row, "status", _status(group.intent, group.outcome))
        _assign(row, "status_reason", group.reason[:_REASON_LIMIT] or None)
        row.save()
    elif (
        group.outcome is record.Outcome.COMPLETE
        and report.intent is not record.Intent.DELETE
        and not row.is_default
    ):
        # The rows of a deleted cluster are Magnum's to destroy.
        row.destroy()


def _assign(row: Any, field: str, value: Any) -> None:
    if getattr(row, field) != value:
        setattr(row, field, value)


def _status(intent: record.Intent, outcome: record.Outcome) -> str:
    return f"{intent.value.upper()}_{outcome.value}"


def _intent(cluster: Any, defaults: Sequence[Any]) -> record.Intent:
    if any(row.status == _Status.DELETE_IN_PROGRESS for row in defaults):
        return record.Intent.DELETE
    return _INTENTS.get(cluster.status, record.Intent.NOTHING)


def _group(cluster: Any, row: Any) -> record.GroupRecord:
    role = intake.role(row)
    is_worker = role is spec_module.Role.WORKER
    copied = is_worker and row.stack_id == cluster.stack_id
    return record.GroupRecord(
        uuid=row.uuid,
        name=row.name,
        role=role,
        is_default=bool(row.is_default),
        intent=_INTENTS.get(row.status, record.Intent.NOTHING),
        node_count=row.node_count,
        stack_id=None if copied else row.stack_id or None,
        changed=_seconds(row.updated_at or row.created_at),
        settings=intake.node_settings(row),
    )


def _seconds(moment: datetime.datetime | None) -> float:
    """Return seconds since the epoch of a database time, 0 without one."""
    if moment is None:
        return 0.0
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment.timestamp()
