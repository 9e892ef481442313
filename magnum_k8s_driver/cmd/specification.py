# SPDX-License-Identifier: Apache-2.0
"""Read the YAML file that ``magnum-k8s-render`` is given.

Sections ``cluster``, ``template``, ``node_groups`` and ``facts``, with the
field names of Magnum's API. What is not given has a default, so that a file
of ten lines does. Magnum's API would check types; here this module does.
"""

from collections.abc import Iterable, Mapping
import dataclasses
import difflib
import types
from typing import Any
import uuid

import yaml

from magnum_k8s_driver import exceptions
from magnum_k8s_driver import intake
from magnum_k8s_driver.cmd import example_facts
from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import problems as problems_module

Problem = problems_module.Problem

_CLUSTER: dict[str, Any] = {
    "name": "example",
    "uuid": "",
    "project_id": "0123456789abcdef0123456789abcdef",
    "master_count": 1,
    "node_count": 1,
    "create_timeout": 60,
    "keypair": "",
}
_SHARED: dict[str, Any] = {
    "labels": {},
    "flavor_id": "m1.medium",
    "master_flavor_id": "m1.medium",
    "fixed_network": "",
    "fixed_subnet": "",
    "docker_volume_size": 0,
    "master_lb_enabled": False,
    "floating_ip_enabled": True,
}
"""Fields of a template that a cluster may set, too."""
_TEMPLATE: dict[str, Any] = {
    "image_id": "ubuntu-24.04",
    "external_network_id": "public",
    "keypair_id": "",
    "dns_nameserver": "8.8.8.8",
    "network_driver": "calico",
    "volume_driver": "",
    "coe": "kubernetes",
    "server_type": "vm",
    "docker_storage_driver": "",
    "registry_enabled": False,
    "tls_disabled": False,
    "insecure_registry": "",
    "http_proxy": "",
    "https_proxy": "",
    "no_proxy": "",
    "apiserver_port": 0,
}
_GROUP: dict[str, Any] = {
    "name": "",
    "uuid": "",
    "role": "worker",
    "node_count": 1,
    "image_id": "",
    "flavor_id": "",
    "docker_volume_size": 0,
    "min_node_count": 0,
    "max_node_count": 0,
    "labels": {},
    "node_labels": {},
    "node_taints": [],
}
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    str: "text",
    dict: "a mapping",
    list: "a list",
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Specification:
    """What the file says."""

    inputs: fields.ClusterInputs
    facts: facts_module.CloudFacts
    problems: tuple[Problem, ...]
    """What is wrong with the file itself; the other values are defaults."""


def read(text: str) -> Specification:
    """Read a specification file.

    :raises InvalidClusterSpec: it is not YAML or not a mapping.
    """
    content = _parse(text)
    problems: list[Problem] = []
    sections = ("cluster", "template", "node_groups", "facts")
    _check_names("the file", content, sections, problems)
    template = _section(
        content, "template", {**_SHARED, **_TEMPLATE}, problems
    )
    shared = {name: template[name] for name in _SHARED}
    cluster = _section(content, "cluster", {**_CLUSTER, **shared}, problems)
    cluster["uuid"] = cluster["uuid"] or _uuid(cluster["name"])
    groups = [
        *_default_groups(cluster),
        *_more_groups(content, cluster, problems),
    ]
    inputs = intake.inputs(_object(cluster), _object(template), groups)
    facts = example_facts.facts(inputs, content.get("facts"), problems)
    return Specification(inputs=inputs, facts=facts, problems=tuple(problems))


def _parse(text: str) -> dict[str, Any]:
    try:
        content = yaml.safe_load(text)
    except yaml.YAMLError as exc:
        words = " ".join(str(exc).split())
        sentence = f"The file is not YAML: {words}."
    else:
        if isinstance(content, dict):
            return content
        sentence = "The file must have the sections cluster and template."
    raise exceptions.InvalidClusterSpec(
        [Problem(subject="file", sentence=sentence)]
    )


def _section(
    content: Mapping[str, Any],
    name: str,
    defaults: Mapping[str, Any],
    problems: list[Problem],
) -> dict[str, Any]:
    given = content.get(name) or {}
    return _fields(f"section {name}", given, defaults, problems)


def _fields(
    where: str,
    given: Any,
    defaults: Mapping[str, Any],
    problems: list[Problem],
) -> dict[str, Any]:
    """Return the fields of a section; what is wrong keeps its default."""
    found = dict(defaults)
    if not isinstance(given, dict):
        _tell(problems, where, f"In {where} a mapping is wanted.")
        return found
    _check_names(where, given, defaults, problems)
    for name, default in defaults.items():
        value = given.get(name)
        if value is None:
            continue
        kind = type(default)
        if kind is str and isinstance(value, (int, float)):
            value = str(value)
        if type(value) is not kind:
            _tell(
                problems,
                where,
                f"In {where} the field {name} is {value!r} but must be "
                f"{_KINDS[kind]}.",
            )
            continue
        found[name] = _texts(value) if isinstance(value, dict) else value
    return found


def _texts(value: Mapping[Any, Any]) -> dict[str, str]:
    """Return labels as Magnum's API hands them on: text."""
    return {
        str(name): str(one).lower()
        if isinstance(one, bool)
        else ("" if one is None else str(one))
        for name, one in value.items()
    }


def _check_names(
    where: str,
    given: Mapping[Any, Any],
    known: Iterable[str],
    problems: list[Problem],
) -> None:
    names = list(known)
    for name in given:
        if name in names:
            continue
        near = difflib.get_close_matches(str(name), names, n=1)
        hint = (
            f"did you mean {near[0]}?" if near else f"use {', '.join(names)}."
        )
        _tell(problems, where, f"In {where} {name} is unknown; {hint}")


def _tell(problems: list[Problem], subject: str, sentence: str) -> None:
    problems.append(Problem(subject=subject, sentence=sentence))


def _default_groups(
    cluster: Mapping[str, Any],
) -> list[types.SimpleNamespace]:
    """Return the two groups that Magnum itself makes for each cluster."""
    sizes = {
        "master": (cluster["master_count"], cluster["master_flavor_id"]),
        "worker": (cluster["node_count"], cluster["flavor_id"]),
    }
    return [
        _object(
            {
                **_GROUP,
                "name": f"default-{role}",
                "uuid": _uuid(f"{cluster['uuid']}/{role}"),
                "role": role,
                "node_count": count,
                "flavor_id": flavor,
                "docker_volume_size": cluster["docker_volume_size"],
                "labels": cluster["labels"],
                "max_node_count": None,
            }
        )
        for role, (count, flavor) in sizes.items()
    ]


def _more_groups(
    content: Mapping[str, Any],
    cluster: Mapping[str, Any],
    problems: list[Problem],
) -> list[types.SimpleNamespace]:
    found = []
    listed = content.get("node_groups") or []
    if not isinstance(listed, list):
        _tell(problems, "node_groups", "Section node_groups must be a list.")
        return []
    for number, given in enumerate(listed, 1):
        where = f"node group {number}"
        defaults = {
            **_GROUP,
            "name": f"group-{number}",
            "flavor_id": cluster["flavor_id"],
            "labels": cluster["labels"],
        }
        group = _fields(where, given, defaults, problems)
        group["uuid"] = group["uuid"] or _uuid(
            f"{cluster['uuid']}/{group['name']}"
        )
        group["max_node_count"] = group["max_node_count"] or None
        found.append(_object(group))
    return found


def _object(values: Mapping[str, Any]) -> types.SimpleNamespace:
    """Return what looks like one of Magnum's objects to ``intake``."""
    return types.SimpleNamespace(**values)


def _uuid(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"magnum-k8s-render/{text}"))
