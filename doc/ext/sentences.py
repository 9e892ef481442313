# SPDX-License-Identifier: Apache-2.0
"""Sentences for people that stand in a module's source."""

import ast
from collections.abc import Iterable
from collections.abc import Iterator
import itertools
import pathlib
import re

import magnum_k8s_driver
from magnum_k8s_driver.model import facts

PACKAGE = pathlib.Path(magnum_k8s_driver.__file__).parent
REFUSING = (
    "model/inputs.py",
    "model/group_spec.py",
    "model/group_version.py",
    "model/network_spec.py",
    "model/addon_rules.py",
    "model/label_types.py",
    "model/version.py",
    "model/upgrade_request.py",
    "render/userdata.py",
)
"""Modules that tell problems of requests."""

FILLED = "…"
"""Stands for what is filled in when the sentence is told."""

_SENTENCE = re.compile(r"(?s)[A-Z…].*[^\s.]\.")
_FEWEST_WORDS = 2
_MOST_VARIANTS = 8
_Names = dict[str, list[ast.expr]]


def refusals() -> list[str]:
    """Return the sentences in the source, with … for what is filled in."""
    unsupported = _operations(PACKAGE / "driver.py", "_unsupported")
    return [
        *read(PACKAGE / name for name in REFUSING),
        *(
            f"{FILLED} {one.reason}."
            for one in (facts.Missing(), facts.AMBIGUOUS)
        ),
        *(f"{one} is not supported." for one in dict.fromkeys(unsupported)),
    ]


def troubles() -> list[str]:
    """Return what is told of a cluster in trouble."""
    return read(
        [
            *sorted((PACKAGE / "converge").glob("*.py")),
            PACKAGE / "session.py",
            PACKAGE / "monitor.py",
            PACKAGE / "ports/kubernetes.py",
        ]
    )


def read(paths: Iterable[pathlib.Path]) -> list[str]:
    """Return every sentence of some modules, each once, in their order.

    A sentence is a literal that begins and ends like one; docstrings, help
    of options and what is logged are none. What it takes from a variable of
    its function that has literal values is spelled out, a sentence for each.
    """
    found: list[str] = []
    for path in paths:
        found += _of_body(ast.parse(path.read_text()), {})
    return list(dict.fromkeys(found))


def _of_body(scope: ast.AST, outer: _Names) -> Iterator[str]:
    names = {**outer, **_assigned(scope)}
    for node in _nodes(scope):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield from _of_body(node, names)
        else:
            for text in _texts(node, names):
                told = " ".join(text.split())
                if _is_sentence(told):
                    yield told


def _is_sentence(text: str) -> bool:
    words = [one for one in text.split() if one.strip(f"{FILLED}.:,;()")]
    return bool(_SENTENCE.fullmatch(text)) and len(words) >= _FEWEST_WORDS


def _nodes(scope: ast.AST) -> Iterator[ast.AST]:
    """Return whole texts and inner scopes, but no parts of texts."""
    for node in ast.iter_child_nodes(scope):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.Call) and _is_for_others(node.func):
            continue
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.JoinedStr):
            yield node
        elif isinstance(node, ast.Constant):
            yield node
        elif _is_text_sum(node):
            yield node
        else:
            yield from _nodes(node)


def _is_text_sum(node: ast.AST) -> bool:
    return isinstance(node, ast.BinOp) and any(
        isinstance(one, ast.JoinedStr)
        or (isinstance(one, ast.Constant) and isinstance(one.value, str))
        for one in (node.left, node.right)
    )


def _is_for_others(function: ast.expr) -> bool:
    """Tell whether a function logs or declares an option."""
    match function:
        case ast.Attribute(value=ast.Name(id="LOG")) | ast.Name(id="declared"):
            return True
    return False


def _assigned(scope: ast.AST) -> _Names:
    """Return what the scope's own variables are set to."""
    names: _Names = {}
    pending = [scope]
    while pending:
        for node in ast.iter_child_nodes(pending.pop()):
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                continue
            pending.append(node)
            if not isinstance(node, ast.Assign):
                continue
            for target, value in _pairs(node.targets[0], node.value):
                if isinstance(target, ast.Name):
                    names.setdefault(target.id, []).append(value)
    return names


def _pairs(
    target: ast.expr, value: ast.expr
) -> Iterable[tuple[ast.expr, ast.expr]]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        return zip(target.elts, value.elts, strict=True)
    return [(target, value)]


def _texts(node: ast.AST, names: _Names, deep: bool = True) -> list[str]:
    """Return what an expression may say."""
    parts: list[list[str]] = []
    match node:
        case ast.Constant(value=str(value)):
            return [value]
        case ast.JoinedStr(values=values):
            parts = [_texts(one, names, deep) for one in values]
        case ast.FormattedValue(value=value):
            return _texts(value, names, deep)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            parts = [_texts(one, names, deep) for one in (left, right)]
        case ast.IfExp(body=body, orelse=orelse):
            return _texts(body, names, deep) + _texts(orelse, names, deep)
        case ast.Name(id=name) if deep and name in names:
            given = [_texts(one, names, False) for one in names[name]]
            return list(dict.fromkeys(itertools.chain(*given)))
        case _:
            return [FILLED]
    variants = itertools.islice(itertools.product(*parts), _MOST_VARIANTS)
    return [re.sub(f"{FILLED}+", FILLED, "".join(one)) for one in variants]


def _operations(path: pathlib.Path, function: str) -> list[str]:
    """Return the first argument of every call of a function."""
    return [
        node.args[0].value
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == function
        and isinstance(node.args[0], ast.Constant)
    ]
