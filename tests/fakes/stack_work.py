# SPDX-License-Identifier: Apache-2.0
"""How the simulated Heat works a stack off, one resource after another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
import dataclasses
import fnmatch
from typing import Any
import uuid

from magnum_k8s_driver.ports import heat as heat_port
from tests.fakes import hot
from tests.fakes import stack_tree

IN_PLACE = {
    stack_tree.SERVER: {
        "metadata",
        "name",
        "networks",
        "user_data_update_policy",
        "image_update_policy",
        "flavor_update_policy",
    },
}
"""Properties whose change leaves a server's id alone; heat/engine/resources/
openstack/nova/server.py, ``update_allowed``. Other types are kept always."""


@dataclasses.dataclass(frozen=True)
class Touch:
    """A server that Heat made or changed."""

    name: str
    replaced: bool
    worked: bool
    """It was there and worked before."""


def planned(heat: Any, stack: Any) -> list[stack_tree.Step]:
    """Return the work of the operation that starts now.

    Independent resources are worked on at the same time: a resource is due
    one delay after the last one it depends on.
    """
    start, delay = heat.clock(), heat.resource_seconds
    steps: list[stack_tree.Step] = []
    if stack.action == heat_port.StackAction.DELETE:
        for one in stack.root.resources:
            steps.append(stack_tree.Step(start + delay, (one,), True))
        return steps
    _plan_level(heat, stack, stack.template, stack.root, (), start, steps)
    end = max([start, *(step.due for step in steps)])
    _plan_removals(
        stack.template, stack.files, stack.root, (), end + delay, steps
    )
    return sorted(steps, key=lambda step: step.due)


def _plan_level(
    heat: Any,
    stack: Any,
    template: Mapping[str, Any],
    level: stack_tree.Level,
    above: tuple[str, ...],
    start: float,
    steps: list[stack_tree.Step],
) -> float:
    bodies = template.get("resources") or {}
    due: dict[str, float] = {}
    for name in hot.in_order(bodies):
        body = bodies[name]
        if not above and not stack_tree.context(heat, stack, level).enabled(
            body
        ):
            continue
        wanted = body.get("depends_on") or []
        needed = [wanted] if isinstance(wanted, str) else list(wanted)
        needed += list(hot.references(body.get("properties")))
        begin = max([start, *(due.get(str(one), start) for one in needed)])
        resource = level.resources.setdefault(
            str(name),
            stack_tree.Resource(name=str(name), type=str(body["type"])),
        )
        end = begin + heat.resource_seconds
        nested = stack.files.get(resource.type)
        if nested is not None:
            if resource.nested is None:
                resource.nested = stack_tree.Level(
                    stack_id="", parent=resource.name
                )
            steps.append(
                stack_tree.Step(begin, (*above, resource.name), False, True)
            )
            end = _plan_level(
                heat,
                stack,
                hot.load(nested),
                resource.nested,
                (*above, resource.name),
                begin,
                steps,
            )
        steps.append(stack_tree.Step(end, (*above, resource.name), False))
        due[str(name)] = end
    return max([start, *due.values()])


def _plan_removals(
    template: Mapping[str, Any],
    files: Mapping[str, str],
    level: stack_tree.Level,
    above: tuple[str, ...],
    due: float,
    steps: list[stack_tree.Step],
) -> None:
    bodies = {str(k): v for k, v in (template.get("resources") or {}).items()}
    for name, one in level.resources.items():
        if name not in bodies:
            steps.append(stack_tree.Step(due, (*above, name), True))
        elif one.nested is not None and one.type in files:
            _plan_removals(
                hot.load(files[one.type]),
                files,
                one.nested,
                (*above, name),
                due,
                steps,
            )


def advance(heat: Any, stack: Any) -> None:
    """Do the steps that are due and end the operation when none is left."""
    now = heat.clock()
    waiting: list[stack_tree.Step] = []
    for step in stack.steps:
        path = f"{stack.name}/{'/'.join(step.path)}"
        hangs = any(fnmatch.fnmatchcase(path, p) for p in heat.hanging)
        if step.due > now or hangs:
            waiting.append(step)
            if hangs and step.due <= now:
                _begin(stack, step)
        elif step.remove:
            _remove(heat, stack, step.path, path)
        else:
            _build(heat, stack, step, path)
            if _is_unfinished(stack, step):
                waiting.append(step)
    failed = [one for one in stack.root.walk() if one.phase == "FAILED"]
    if failed and stack.action != heat_port.StackAction.DELETE:
        waiting = _still_wanted(stack, waiting, failed)
    stack.steps = waiting
    failed = [one for one in stack.root.walk() if one.phase == "FAILED"]
    if waiting and now >= stack.started + stack.timeout:
        _end(stack, "FAILED", "Timed out")
    elif not waiting and failed:
        one = failed[-1]
        _end(
            stack,
            "FAILED",
            f"Resource {one.action} failed: {one.reason}",
        )
    elif not waiting:
        _end(
            stack,
            "COMPLETE",
            f"Stack {stack.action} completed successfully",
        )
        stack.deleted = stack.action == heat_port.StackAction.DELETE


def _is_unfinished(stack: Any, step: stack_tree.Step) -> bool:
    """Tell whether Nova still builds what a step is about."""
    found = _find(stack, step.path)
    return (
        found is not None
        and not step.opening
        and found[1].phase == "IN_PROGRESS"
    )


def _still_wanted(
    stack: Any,
    waiting: list[stack_tree.Step],
    failed: list[stack_tree.Resource],
) -> list[stack_tree.Step]:
    """Keep the ends of nested stacks: Heat starts nothing after a failure."""
    if not _has_just_failed(stack, failed):
        return waiting
    kept = []
    for step in waiting:
        found = _find(stack, step.path)
        if found and found[1].nested is not None and found[1].physical_id:
            kept.append(dataclasses.replace(step, due=0.0))
    return kept


def _has_just_failed(stack: Any, among: Iterable[stack_tree.Resource]) -> bool:
    """Tell whether anything failed in the operation of this moment."""
    return any(
        one.updated > stack.started
        for one in among
        if one.phase == "FAILED" and one.nested is None
    )


def _end(stack: Any, phase: str, reason: str) -> None:
    stack.phase = heat_port.StackPhase(phase)
    stack.reason, stack.steps = reason, []


def _find(
    stack: Any, path: tuple[str, ...]
) -> tuple[stack_tree.Level, stack_tree.Resource] | None:
    level: stack_tree.Level | None = stack.root
    for name in path[:-1]:
        above = level.resources.get(name) if level else None
        level = above.nested if above else None
    one = level.resources.get(path[-1]) if level else None
    return (level, one) if level is not None and one is not None else None


def _ordered_failure(heat: Any, path: str) -> str:
    for pattern, (reason, times) in list(heat.failing.items()):
        if fnmatch.fnmatchcase(path, pattern):
            heat.failing[pattern] = [reason, times - 1]
            if times <= 1:
                del heat.failing[pattern]
            return str(reason)
    return ""


def _fail(
    one: stack_tree.Resource, path: tuple[str, ...], reason: str
) -> None:
    one.phase = "FAILED"
    where = ".".join(f"resources.{name}" for name in path)
    one.reason = f"{where}: {reason}"


def _build(heat: Any, stack: Any, step: stack_tree.Step, full: str) -> None:
    found = _find(stack, step.path)
    if found is None:
        return
    level, one = found
    template = level.template if level.parent else stack.template
    body = _by_text(template.get("resources") or {}, one.name)
    values = stack_tree.context(heat, stack, level)
    if body is None or not values.enabled(body):
        level.resources.pop(one.name, None)
        return
    one.type = str(body["type"])
    wanted = values.resolve(body.get("properties") or {})
    if one.nested is None or one.type not in stack.files:
        if not _is_settled(heat, one, step.path, stack.started):
            return
        _build_plain(heat, one, wanted, step.path, full)
    elif step.opening:
        _open_nested(one.nested, stack, one, wanted)
    elif _is_over(stack, one.nested):
        bad = _failed_and_wanted(one.nested)
        one.phase = "FAILED" if bad else "COMPLETE"
        one.reason = bad[-1].reason if bad else "state changed"
        one.updated = heat.clock()


def _is_over(stack: Any, nested: stack_tree.Level) -> bool:
    """Tell whether a nested stack has ended.

    The first failure ends it, whatever else Nova still builds:
    ``_handle_resource_failure`` in heat/engine/check_resource.py marks the
    stack FAILED, and who finishes later finds no traversal any more.
    """
    below = list(nested.walk())
    return _has_just_failed(stack, below) or not any(
        each.phase == "IN_PROGRESS" for each in below
    )


def _is_settled(
    heat: Any, one: stack_tree.Resource, path: tuple[str, ...], since: float
) -> bool:
    """Tell whether Heat may decide about a resource in this operation.

    It waits for what Nova builds, whoever ordered it, and makes nothing
    anew that failed in this operation.
    """
    if one.phase != "IN_PROGRESS":
        return True
    waits = _watch(heat, one, path)
    return not waits and (one.phase == "COMPLETE" or one.updated < since)


def _failed_and_wanted(nested: Any) -> list[Any]:
    """Return failed resources, without those that are about to go."""
    bodies = nested.template.get("resources") or {}
    return [
        one
        for one in nested.walk()
        if one.phase == "FAILED" and _by_text(bodies, one.name) is not None
    ]


def _by_text(bodies: Mapping[Any, Any], name: str) -> Any:
    """Return a body by its name; YAML may have read ``0`` as a number."""
    return next((b for key, b in bodies.items() if str(key) == name), None)


def _begin(stack: Any, step: stack_tree.Step) -> None:
    """Show that a resource is worked on which never gets done."""
    for one in stack.root.walk():
        if one.name == step.path[-1] and one.action == "INIT":
            one.action, one.phase = "CREATE", "IN_PROGRESS"


def _open_nested(
    nested: stack_tree.Level,
    stack: Any,
    one: stack_tree.Resource,
    wanted: dict[str, Any],
) -> None:
    one.action = "UPDATE" if one.physical_id else "CREATE"
    one.phase, one.reason = "IN_PROGRESS", ""
    one.physical_id = one.physical_id or str(uuid.uuid4())
    nested.stack_id = one.physical_id
    nested.template = hot.load(stack.files[one.type])
    nested.parameters = one.properties = dict(wanted)


def _build_plain(
    heat: Any,
    one: stack_tree.Resource,
    wanted: dict[str, Any],
    path: tuple[str, ...],
    full: str,
) -> None:
    server = heat.compute.by_id.get(one.physical_id)
    works = server is not None and server.status == "ACTIVE"
    works = works and one.phase == "COMPLETE"
    new = not one.physical_id or _must_replace(heat, one, wanted)
    same = not new and wanted == one.properties and one.phase == "COMPLETE"
    if same:
        return
    old, one.action = one.physical_id, "CREATE" if new else "UPDATE"
    one.phase, one.updated = "COMPLETE", heat.clock()
    one.reason = "state changed"
    reason = _ordered_failure(heat, full)
    if reason:
        one.properties = dict(wanted)
        _fail(one, path, reason)
        return
    if one.type == stack_tree.SERVER:
        if new or wanted != one.properties:
            heat.touched.append(
                Touch(
                    name=_server_name(one, wanted),
                    replaced=new and bool(one.physical_id),
                    worked=works,
                )
            )
        _build_server(heat, one, wanted, new, path)
    elif new:
        one.physical_id = str(uuid.uuid4())
        one.metadata = {}
    one.properties = dict(wanted)
    if new and old:
        heat.compute.by_id.pop(old, None)


def _server_name(one: stack_tree.Resource, wanted: Mapping[str, Any]) -> str:
    return str(wanted.get("name") or one.name)


def _must_replace(
    heat: Any, one: stack_tree.Resource, wanted: dict[str, Any]
) -> bool:
    if one.phase == "FAILED" and one.action == "CREATE":
        return True
    if one.type != stack_tree.SERVER:
        return False
    server = heat.compute.by_id.get(one.physical_id)
    if server is None or server.status == "ERROR":
        return True
    changed = {
        key
        for key in {*wanted, *one.properties}
        if wanted.get(key) != one.properties.get(key)
    } - IN_PLACE[stack_tree.SERVER]
    for key, default in (
        ("image", "REBUILD"),
        ("flavor", "RESIZE"),
        ("user_data", "REPLACE"),
    ):
        policy = wanted.get(f"{key}_update_policy", default)
        if policy not in ("REPLACE",):
            changed.discard(key)
    return bool(changed)


def _build_server(
    heat: Any,
    one: stack_tree.Resource,
    wanted: dict[str, Any],
    new: bool,
    path: tuple[str, ...],
) -> None:
    if not new:
        server = heat.compute.by_id[one.physical_id]
        server.name = str(wanted.get("name", server.name))
        server.image = str(wanted.get("image", server.image))
        server.flavor = str(wanted.get("flavor", server.flavor))
        server.metadata = {
            str(k): str(v) for k, v in (wanted.get("metadata") or {}).items()
        }
        return
    given = str(wanted.get("user_data") or "")
    if _is_uuid(given) and given not in heat.config_texts:
        one.physical_id = ""
        _fail(
            one,
            path,
            f"Software config with id {given} not found",
        )
        return
    _name, text = heat.config_texts.get(given, ("", given))
    server = heat.compute.boot(_server_name(one, wanted), wanted, text)
    one.physical_id, one.phase = server.id, "IN_PROGRESS"
    _watch(heat, one, path)


def _watch(heat: Any, one: stack_tree.Resource, path: tuple[str, ...]) -> bool:
    """Look how far Nova is with a server that Heat has ordered.

    :returns: whether Heat has to wait.
    """
    server = heat.compute.by_id.get(one.physical_id)
    if server is None:
        _fail(one, path, f"Server {one.physical_id} could not be found")
    elif server.status == "ERROR":
        _fail(
            one,
            path,
            'Went to status ERROR due to "Message: '
            f'{server.fault}, Code: 500"',
        )
    elif server.status == "ACTIVE":
        one.phase = "COMPLETE"
    return one.phase == "IN_PROGRESS"


def _is_uuid(text: str) -> bool:
    try:
        uuid.UUID(text)
    except ValueError:
        return False
    return True


def _remove(heat: Any, stack: Any, path: tuple[str, ...], full: str) -> None:
    found = _find(stack, path)
    if found is None:
        return
    level, one = found
    reason = _ordered_failure(heat, full)
    if reason:
        one.action = "DELETE"
        _fail(one, path, reason)
        return
    below = list(one.nested.walk()) if one.nested else []
    for each in [one, *below]:
        heat.compute.by_id.pop(each.physical_id, None)
    del level.resources[one.name]
