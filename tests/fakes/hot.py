# SPDX-License-Identifier: Apache-2.0
"""As much of HOT as the simulated Heat needs: references and functions."""

from collections.abc import Callable, Iterator, Mapping
import functools
import json
from typing import Any

import yaml


def load(text: str | Mapping[str, Any]) -> dict[str, Any]:
    """Parse a template given as YAML text or as data."""
    return dict(_parsed(text) if isinstance(text, str) else text)


@functools.lru_cache(maxsize=256)
def _parsed(text: str) -> Mapping[str, Any]:
    """Parse once; nobody changes what comes out."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    parsed: Mapping[str, Any] = yaml.load(text, Loader=loader)
    return parsed


def references(value: Any) -> Iterator[str]:
    """Yield the names of resources that a value refers to."""
    if isinstance(value, Mapping):
        for key, one in value.items():
            if key == "get_resource" and isinstance(one, str):
                yield one
            elif key == "get_attr" and isinstance(one, list):
                yield str(one[0])
                yield from references(one[1:])
            else:
                yield from references(one)
    elif isinstance(value, list):
        for one in value:
            yield from references(one)


def in_order(resources: Mapping[str, Any]) -> list[str]:
    """Return resource names, dependencies first."""
    done: list[str] = []
    visiting: set[str] = set()

    def visit(name: str) -> None:
        if name in done or name not in resources:
            return
        if name in visiting:
            raise ValueError(f"Circular Dependency Found: {name}")
        visiting.add(name)
        body = resources[name]
        wanted = body.get("depends_on") or []
        named = [wanted] if isinstance(wanted, str) else list(wanted)
        for other in [*named, *references(body.get("properties"))]:
            visit(str(other))
        done.append(name)

    for name in resources:
        visit(str(name))
    return done


def typed(value: Any, kind: str) -> Any:
    """Return a parameter's value as expressions see it."""
    if kind == "comma_delimited_list" and isinstance(value, str):
        return [one.strip() for one in value.split(",") if one.strip()]
    if kind == "json":
        return _structured(value)
    return value


class Context:
    """Values that one stack's expressions may use.

    :param parameters: parameter name -> value, defaults filled in.
    :param resource_id: returns the physical id of a resource.
    :param attribute: returns an attribute of a resource.
    """

    def __init__(
        self,
        template: Mapping[str, Any],
        parameters: Mapping[str, Any],
        files: Mapping[str, str],
        resource_id: Callable[[str], Any],
        attribute: Callable[[str, str], Any],
    ) -> None:
        self.parameters = parameters
        self.files = files
        self.resource_id = resource_id
        self.attribute = attribute
        self._conditions = template.get("conditions") or {}

    def enabled(self, body: Mapping[str, Any]) -> bool:
        """Tell whether a resource's or output's condition holds."""
        wanted = body.get("condition")
        return wanted is None or self.holds(wanted)

    def holds(self, wanted: Any) -> bool:
        """Evaluate a condition, given by name or as an expression."""
        if isinstance(wanted, str):
            return self.holds(self._conditions[wanted])
        if isinstance(wanted, Mapping):
            ((key, one),) = wanted.items()
            if key == "not":
                return not self.holds(one)
            if key == "and":
                return all(self.holds(each) for each in one)
            if key == "or":
                return any(self.holds(each) for each in one)
            if key == "equals":
                left, right = (self.resolve(each) for each in one)
                return _same(left, right)
        return _truth(self.resolve(wanted))

    def resolve(self, value: Any) -> Any:
        """Evaluate the functions in a value."""
        if isinstance(value, list):
            return [self.resolve(one) for one in value]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            ((key, argument),) = value.items()
            function = getattr(self, f"_fn_{key}", None)
            if function is not None:
                return function(argument)
        return {key: self.resolve(one) for key, one in value.items()}

    def _fn_get_param(self, argument: Any) -> Any:
        if isinstance(argument, str):
            return self.parameters.get(argument)
        name, *path = (self.resolve(one) for one in argument)
        return _walk(_structured(self.parameters.get(name)), path)

    def _fn_get_resource(self, argument: Any) -> Any:
        return self.resource_id(str(argument))

    def _fn_get_attr(self, argument: Any) -> Any:
        name, attribute, *path = (self.resolve(one) for one in argument)
        return _walk(self.attribute(str(name), str(attribute)), path)

    def _fn_get_file(self, argument: Any) -> Any:
        return self.files.get(argument, "")

    def _fn_if(self, argument: Any) -> Any:
        condition, yes, *no = argument
        if self.holds(condition):
            return self.resolve(yes)
        return self.resolve(no[0]) if no else None

    def _fn_list_join(self, argument: Any) -> Any:
        separator, *lists = argument
        joined: list[str] = []
        for one in lists:
            joined += [_text(each) for each in self.resolve(one) or []]
        return str(separator).join(joined)

    def _fn_list_concat(self, argument: Any) -> Any:
        return [each for one in argument for each in self.resolve(one) or []]

    def _fn_list_concat_unique(self, argument: Any) -> Any:
        found: list[Any] = []
        for one in self._fn_list_concat(argument):
            if one not in found:
                found.append(one)
        return found

    def _fn_map_merge(self, argument: Any) -> Any:
        merged: dict[str, Any] = {}
        for one in argument:
            merged.update(self.resolve(one) or {})
        return merged

    def _fn_str_replace(self, argument: Any) -> Any:
        text = _text(self.resolve(argument["template"]))
        for key, one in (self.resolve(argument["params"]) or {}).items():
            text = text.replace(str(key), _text(one))
        return text

    _fn_str_replace_strict = _fn_str_replace

    def _fn_str_split(self, argument: Any) -> Any:
        separator, text, *index = (self.resolve(one) for one in argument)
        parts = _text(text).split(separator)
        return parts[int(index[0])] if index else parts

    def _fn_equals(self, argument: Any) -> Any:
        return self.holds({"equals": argument})

    def _fn_repeat(self, argument: Any) -> Any:
        (key, values), *more = argument["for_each"].items()
        if more:
            raise NotImplementedError("repeat over several lists")
        return [
            _substitute(self.resolve(argument["template"]), key, one)
            for one in self.resolve(values) or []
        ]


def _substitute(value: Any, key: str, by: Any) -> Any:
    if isinstance(value, str):
        return by if value == key else value.replace(key, _text(by))
    if isinstance(value, list):
        return [_substitute(one, key, by) for one in value]
    if isinstance(value, Mapping):
        return {
            _substitute(name, key, by): _substitute(one, key, by)
            for name, one in value.items()
        }
    return value


def _walk(value: Any, path: list[Any]) -> Any:
    for step in path:
        if isinstance(value, Mapping):
            value = value.get(step, value.get(str(step)))
        elif isinstance(value, (list, tuple)) and int(step) < len(value):
            value = value[int(step)]
        else:
            return None
    return value


def _structured(value: Any) -> Any:
    if isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, (dict, list)):
        return json.dumps(value)
    return str(value)


def _truth(value: Any) -> bool:
    if isinstance(value, str):
        return value.lower() in ("t", "true", "on", "y", "yes", "1")
    return bool(value)


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, bool) or isinstance(right, bool):
        return _truth(left) == _truth(right)
    return _text(left) == _text(right)
