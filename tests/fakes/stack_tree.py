# SPDX-License-Identifier: Apache-2.0
"""The resources of a simulated stack and what expressions see of them."""

from __future__ import annotations

from collections.abc import Iterator
import dataclasses
import fnmatch
import json
from typing import Any
import uuid

from tests.fakes import hot

SERVER = "OS::Nova::Server"
HANDLE = "OS::Heat::WaitConditionHandle"
STACK_PROJECT = "stack-project"
"""Project of the users that Heat makes for stacks."""


@dataclasses.dataclass
class Resource:
    """A resource of a stack."""

    name: str
    type: str
    physical_id: str = ""
    action: str = "INIT"
    phase: str = "COMPLETE"
    reason: str = ""
    updated: float = 0.0
    properties: dict[str, Any] = dataclasses.field(default_factory=dict)
    metadata: dict[str, Any] = dataclasses.field(default_factory=dict)
    nested: Level | None = None

    @property
    def status(self) -> str:
        """Heat's two words in one."""
        return f"{self.action}_{self.phase}"


@dataclasses.dataclass
class Level:
    """The resources of the root stack or of a nested one."""

    stack_id: str
    parent: str
    resources: dict[str, Resource] = dataclasses.field(default_factory=dict)
    template: dict[str, Any] = dataclasses.field(default_factory=dict)
    parameters: dict[str, Any] = dataclasses.field(default_factory=dict)

    def walk(self) -> Iterator[Resource]:
        """Yield every resource at and below this level."""
        for one in self.resources.values():
            yield one
            if one.nested is not None:
                yield from one.nested.walk()

    def levels(self) -> Iterator[Level]:
        """Yield this level and those below."""
        yield self
        for one in self.resources.values():
            if one.nested is not None:
                yield from one.nested.levels()


@dataclasses.dataclass
class Step:
    """Work on one resource, due at a time."""

    due: float
    path: tuple[str, ...]
    remove: bool
    opening: bool = False
    """The start of a nested stack, which exists before its resources do."""


def context(heat: Any, stack: Any, level: Level) -> hot.Context:
    """Return what expressions of a level are evaluated with."""
    template = level.template if level.parent else stack.template
    given = level.parameters if level.parent else stack.parameters
    declared = template.get("parameters") or {}
    values = {
        name: hot.typed(given.get(name, body.get("default")), body["type"])
        for name, body in declared.items()
    }
    values["OS::stack_name"] = stack.name
    values["OS::stack_id"] = level.stack_id
    values["OS::project_id"] = heat.project_id

    def resource_id(name: str) -> Any:
        one = level.resources.get(name)
        return (one.physical_id or None) if one else None

    def attribute(name: str, wanted: str) -> Any:
        one = level.resources.get(name)
        return _attribute(heat, stack, one, wanted) if one else None

    return hot.Context(template, values, stack.files, resource_id, attribute)


def _attribute(heat: Any, stack: Any, one: Resource, wanted: str) -> Any:
    for (kind, name), value in heat.attributes.items():
        if name == wanted and fnmatch.fnmatchcase(one.type, kind):
            return value
    if not one.physical_id:
        return None
    if one.nested is not None:
        inner = context(heat, stack, one.nested)
        if wanted == "outputs" or wanted not in (
            one.nested.template.get("outputs") or {}
        ):
            outputs = one.nested.template.get("outputs") or {}
            return {
                k: inner.resolve(v.get("value")) for k, v in outputs.items()
            }
        body = one.nested.template["outputs"][wanted]
        return inner.resolve(body.get("value"))
    if one.type == HANDLE and wanted == "signal":
        # JSON text, as measured on Heat 27.
        signal = {
            "alarm_url": f"http://heat/v1/{one.physical_id}/signal",
            "auth_url": "http://keystone/v3",
            "user_id": f"user-{one.physical_id}",
            "password": f"secret-{one.physical_id}",
            "project_id": STACK_PROJECT,
            "domain_id": "stack-domain",
            "region_name": "RegionOne",
        }
        return json.dumps(signal)
    return _plain_attribute(heat, one, wanted)


def _plain_attribute(heat: Any, one: Resource, wanted: str) -> Any:
    server = heat.compute.by_id.get(one.physical_id)
    address = server.address if server else _address(one.physical_id)
    known: dict[str, Any] = {
        "first_address": address,
        "vip_address": address,
        "floating_ip_address": "203.0.113." + address.rsplit(".", 1)[-1],
        "fixed_ips": [{"ip_address": address, "subnet_id": "subnet"}],
        "addresses": {"net": [{"addr": address}]},
        "networks": {"net": [address]},
        "name": server.name if server else one.properties.get("name"),
    }
    return known.get(wanted, f"{one.name}.{wanted}")


def _address(physical_id: str) -> str:
    number = uuid.UUID(physical_id).int
    return f"10.1.{number % 250}.{number // 250 % 250 + 1}"
