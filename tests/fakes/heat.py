# SPDX-License-Identifier: Apache-2.0
"""A simulated Heat: stacks that move only when the clock does."""

from collections.abc import Callable, Mapping
import dataclasses
import fnmatch
import json
from typing import Any
import uuid

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import heat
from tests.fakes import calls as calls_module
from tests.fakes import compute as compute_module
from tests.fakes import hot
from tests.fakes import stack_tree
from tests.fakes import stack_work

Action = heat.StackAction
Phase = heat.StackPhase


@dataclasses.dataclass
class FakeStack:
    """A stack and, below ``root``, its tree of resources."""

    id: str
    name: str
    template: dict[str, Any]
    files: dict[str, str]
    parameters: dict[str, Any]
    tags: tuple[str, ...]
    timeout: float
    created: float
    root: stack_tree.Level
    updated: float | None = None
    action: heat.StackAction = Action.CREATE
    phase: heat.StackPhase = Phase.IN_PROGRESS
    reason: str = ""
    started: float = 0.0
    steps: list[stack_tree.Step] = dataclasses.field(default_factory=list)
    deleted: bool = False
    abandoned: bool = False
    """True: the engine that worked on it has died."""

    def schema(self, name: str) -> Mapping[str, Any]:
        """Return the declaration of a root parameter."""
        found = (self.template.get("parameters") or {}).get(name)
        return found if isinstance(found, Mapping) else {}


@calls_module.counted("heat")
class FakeHeat:
    """Stacks and software configs of one project in memory.

    :ivar resource_seconds: time a resource takes to create, change or delete.
    :ivar conflict: True: an update of a stack that is IN_PROGRESS raises
        ``CloudConflict``; False: it is accepted, as Heat's convergence does.
    :ivar failing: pattern ``<stack name>/<path of resource>`` -> [reason,
        times]: such resources fail.
    :ivar hanging: patterns of resources that never finish.
    :ivar attributes: ``(resource type or path pattern, attribute)`` -> value,
        before anything else.
    :ivar output_values: ``(stack name, output key)`` -> value, before anything
        else.
    """

    def __init__(
        self,
        calls: calls_module.Calls,
        clock: Callable[[], float],
        compute: compute_module.FakeCompute,
    ) -> None:
        self.calls = calls
        self.clock = clock
        self.compute = compute
        self.project_id = "p" * 32
        self.resource_seconds = 1.0
        self.conflict = False
        self.stacks: dict[str, FakeStack] = {}
        self.config_texts: dict[str, tuple[str, str]] = {}
        self.deployments: dict[str, dict[str, str]] = {}
        """By key: id of the config to the project of who may read it."""
        self.touched: list[stack_work.Touch] = []
        """Every server Heat made or changed, in order."""
        self.accepted: list[tuple[str, dict[str, Any]]] = []
        """Stack id and all parameters of each create and update."""
        self.failing: dict[str, list[Any]] = {}
        self.hanging: set[str] = set()
        self.attributes: dict[tuple[str, str], Any] = {}
        self.output_values: dict[tuple[str, str], Any] = {}

    def find(self, name: str) -> str | None:
        """See the port."""
        stack = self._named(name)
        return stack.id if stack else None

    def tagged(self, tag: str) -> Mapping[str, heat.Listed]:
        """See the port."""
        return {
            one.name: heat.Listed(
                id=one.id, status=f"{one.action}_{one.phase}"
            )
            for one in self.live()
            if tag in one.tags
        }

    def show(
        self, stack_id: str, *, outputs: bool = False
    ) -> heat.Stack | None:
        """See the port."""
        stack = self.stacks.get(stack_id)
        if stack is None or stack.deleted:
            return None
        return heat.Stack(
            id=stack.id,
            name=stack.name,
            action=stack.action,
            phase=stack.phase,
            reason=stack.reason,
            parameters=self._shown_parameters(stack),
            outputs=self._outputs(stack) if outputs else {},
            created=stack.created,
            updated=stack.updated,
            timeout_minutes=int(stack.timeout / 60),
        )

    def resources(
        self, stack_id: str, *, depth: int = 2
    ) -> tuple[heat.StackResource, ...]:
        """See the port."""
        level = self._level(stack_id)
        return tuple(_listed(level, depth)) if level else ()

    def metadata(self, stack_id: str, resource_name: str) -> Mapping[str, Any]:
        """See the port; a nested stack's id is accepted."""
        level = self._level(stack_id)
        resource = level.resources.get(resource_name) if level else None
        return json.loads(json.dumps(resource.metadata)) if resource else {}

    def create(self, request: heat.StackRequest) -> str:
        """See the port."""
        if self._named(request.name):
            raise exceptions.CloudConflict(
                "orchestration",
                f"The Stack ({request.name}) already exists.",
                status=409,
            )
        now = self.clock()
        template = hot.load(request.template)
        stack = FakeStack(
            id=str(uuid.uuid4()),
            name=request.name,
            template=template,
            files=dict(request.files),
            parameters=_merged(template, {}, request.parameters),
            tags=request.tags,
            timeout=request.timeout_minutes * 60.0,
            created=now,
            root=stack_tree.Level(stack_id="", parent=""),
        )
        stack.root.stack_id = stack.id
        self.stacks[stack.id] = stack
        self.accepted.append((stack.id, dict(stack.parameters)))
        self._begin(stack, Action.CREATE)
        return stack.id

    def update(self, stack_id: str, update: heat.StackUpdate) -> None:
        """See the port."""
        stack = self._live(stack_id)
        if stack.phase == Phase.IN_PROGRESS and self.conflict:
            raise exceptions.CloudConflict(
                "orchestration",
                f"Stack {stack.name} already has an action "
                f"({stack.action}) in progress.",
                status=409,
            )
        if stack.action == Action.DELETE:
            raise exceptions.CloudError(
                "orchestration",
                f"Updating a stack when it is {stack.action}_{stack.phase} "
                "is not supported.",
                status=400,
            )
        template = stack.template
        if update.template is not None:
            template = hot.load(update.template)
        # Measured on Heat 27: a PATCH drops unknown parameters in silence.
        declared = template.get("parameters") or {}
        known = {k: v for k, v in update.parameters.items() if k in declared}
        stack.parameters = _merged(template, stack.parameters, known)
        stack.template = template
        # A PATCH keeps files that are not sent again.
        stack.files.update(update.files)
        stack.timeout = update.timeout_minutes * 60.0
        stack.updated = self.clock()
        self.accepted.append((stack.id, dict(stack.parameters)))
        self._begin(stack, Action.UPDATE)

    def delete(self, stack_id: str) -> None:
        """See the port."""
        stack = self.stacks.get(stack_id)
        if stack is None or stack.deleted:
            return
        deleting = (stack.action, stack.phase) == (
            Action.DELETE,
            Phase.IN_PROGRESS,
        )
        if deleting and not stack.abandoned:
            return
        self._begin(stack, Action.DELETE)

    def create_config(self, name: str, text: str) -> str:
        """See the port."""
        config_id = str(uuid.uuid4())
        self.config_texts[config_id] = (name, text)
        return config_id

    def configs(self, prefix: str) -> Mapping[str, str]:
        """See the port."""
        return {
            config_id: name
            for config_id, (name, _text) in self.config_texts.items()
            if name.startswith(prefix)
        }

    def delete_config(self, config_id: str) -> None:
        """See the port."""
        for deployed in self.deployments.values():
            if config_id in deployed:
                raise exceptions.CloudError(
                    "orchestration",
                    f"Software config with id {config_id} can not be deleted "
                    "as it is referenced.",
                    status=500,
                )
        self.config_texts.pop(config_id, None)

    def deploy(self, key: str, config_id: str, reader_project: str) -> None:
        """See the port."""
        if len(key) > 36 or config_id not in self.config_texts:
            raise exceptions.CloudError("orchestration", key, status=400)
        readers = self.deployments.setdefault(key, {})
        readers[config_id] = reader_project

    def deployed(self, key: str) -> frozenset[str]:
        """See the port."""
        return frozenset(self.deployments.get(key, {}))

    def withdraw(self, key: str) -> None:
        """See the port."""
        self.deployments.pop(key, None)

    @calls_module.helper
    def readable(self, key: str) -> list[str]:
        """Return what users of stacks' own projects read under a key."""
        return [
            self.config_texts[config_id][1]
            for config_id, project in self.deployments.get(key, {}).items()
            if project == stack_tree.STACK_PROJECT
        ]

    @calls_module.helper
    def fail(self, pattern: str, reason: str, times: int = 1) -> None:
        """Make resources ``<stack name>/<path>`` fail when worked on."""
        self.failing[pattern] = [reason, times]

    @calls_module.helper
    def die(self) -> None:
        """Let the engine be killed that works on what is in progress."""
        for one in self.live():
            one.abandoned = one.phase == Phase.IN_PROGRESS

    @calls_module.helper
    def live(self) -> list[FakeStack]:
        """Return the stacks that are not deleted."""
        return [one for one in self.stacks.values() if not one.deleted]

    @calls_module.helper
    def named(self, pattern: str) -> FakeStack:
        """Return the only live stack whose name fits."""
        (found,) = (
            one
            for one in self.live()
            if fnmatch.fnmatchcase(one.name, pattern)
        )
        return found

    @calls_module.helper
    def handles(self) -> list[tuple[FakeStack, stack_tree.Resource]]:
        """Return every wait condition handle with its root stack."""
        return [
            (stack, one)
            for stack in self.live()
            for one in stack.root.walk()
            if one.type == stack_tree.HANDLE and one.physical_id
        ]

    @calls_module.helper
    def tick(self) -> None:
        """Do the work that is due."""
        for stack in list(self.stacks.values()):
            if stack.abandoned:
                continue
            if not stack.deleted and stack.phase == Phase.IN_PROGRESS:
                stack_work.advance(self, stack)

    def _begin(self, stack: FakeStack, action: heat.StackAction) -> None:
        stack.action, stack.phase = action, Phase.IN_PROGRESS
        stack.abandoned = False
        stack.reason = f"Stack {action} started"
        stack.started = self.clock()
        stack.steps = stack_work.planned(self, stack)

    def _named(self, name: str) -> FakeStack | None:
        for stack in self.stacks.values():
            if stack.name == name and not stack.deleted:
                return stack
        return None

    def _live(self, stack_id: str) -> FakeStack:
        stack = self.stacks.get(stack_id)
        if stack is None or stack.deleted:
            raise exceptions.CloudError(
                "orchestration",
                f"The Stack ({stack_id}) could not be found.",
                status=404,
            )
        return stack

    def _level(self, stack_id: str) -> stack_tree.Level | None:
        stack_id = stack_id.rsplit("/", 1)[-1]
        for stack in self.live():
            for level in stack.root.levels():
                if level.stack_id == stack_id:
                    return level
        return None

    def _outputs(self, stack: FakeStack) -> dict[str, Any]:
        context = stack_tree.context(self, stack, stack.root)
        found: dict[str, Any] = {}
        for key, body in (stack.template.get("outputs") or {}).items():
            if context.enabled(body):
                found[key] = context.resolve(body.get("value"))
        for (name, key), value in self.output_values.items():
            if fnmatch.fnmatchcase(stack.name, name):
                found[key] = value
        return found

    def _shown_parameters(self, stack: FakeStack) -> dict[str, str]:
        shown = {
            "OS::project_id": self.project_id,
            "OS::stack_id": stack.id,
            "OS::stack_name": stack.name,
        }
        for name, body in (stack.template.get("parameters") or {}).items():
            value = stack.parameters.get(name, body.get("default", ""))
            hidden = str(body.get("hidden", "")).lower() == "true"
            shown[name] = "******" if hidden else _as_text(value)
        return shown


def _listed(level: stack_tree.Level, depth: int) -> list[heat.StackResource]:
    found = []
    for one in level.resources.values():
        found.append(
            heat.StackResource(
                name=one.name,
                type=one.type,
                physical_id=one.physical_id,
                status=one.status,
                reason=one.reason,
                stack_id=level.stack_id,
                parent=level.parent,
                updated=str(one.updated),
            )
        )
        if depth > 0 and one.nested is not None:
            found += _listed(one.nested, depth - 1)
    return found


def _merged(
    template: Mapping[str, Any],
    old: Mapping[str, Any],
    new: Mapping[str, Any],
) -> dict[str, Any]:
    """Merge parameters as a PATCH does and refuse what Heat refuses."""
    declared = template.get("parameters") or {}
    for name in new:
        if name not in declared:
            raise exceptions.CloudError(
                "orchestration",
                f"The Parameter ({name}) was not defined in template.",
                status=400,
            )
    merged = {k: v for k, v in {**old, **new}.items() if k in declared}
    for name, body in declared.items():
        if name not in merged and "default" not in (body or {}):
            raise exceptions.CloudError(
                "orchestration",
                f"The Parameter ({name}) was not provided.",
                status=400,
            )
    return merged


def _as_text(value: Any) -> str:
    if isinstance(value, (dict, bool)):
        return json.dumps(value)
    if isinstance(value, (list, tuple)):
        return ",".join(str(one) for one in value)
    return "" if value is None else str(value)
