# SPDX-License-Identifier: Apache-2.0
"""Types of label values: text in, typed value out, or ``ValueError``.

Labels arrive as text that users typed, and some end up in documents that
programs on nodes read, so every type is strict. Each type knows in words
what it wants; ``labels.parse`` makes the sentence for the user from that.
They take part in oslo.config options the way its own types do (a callable
with ``type_name``), so operators can set defaults in ``magnum.conf``.
"""

import ast
from collections.abc import Callable
import dataclasses
import ipaddress
import json
import re
import shlex
from typing import Any

from oslo_config import cfg

from magnum_k8s_driver.model import problems as problems_module

LONGEST_SHOWN = 80

ItemType = Callable[[str], str]

_TRUE = frozenset(("1", "true", "t", "yes", "y", "on"))
_FALSE = frozenset(("0", "false", "f", "no", "n", "off"))
_FLAG = re.compile(r"--([a-zA-Z][a-zA-Z0-9-]*)(?:=(.*))?", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class LabelType:
    """Base of the types; ``wants`` completes "must be ..."."""

    wants = "text"
    type_name = "string value"

    def format_defaults(
        self, default: str | None, sample_default: str | None = None
    ) -> list[str]:
        """Return the default as oslo.config's sample generator wants it."""
        value = default if sample_default is None else sample_default
        return ["<None>" if value is None else value]


class Boolean(LabelType):
    """True or false in any of the usual spellings."""

    wants = "true or false"
    type_name = "boolean value"

    def __call__(self, value: object) -> bool:
        text = str(value).strip().lower()
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False
        raise ValueError(self.wants)


class AlwaysTrue(Boolean):
    """A switch that can no longer be turned off.

    :param reason: completes "must be true, because ...".
    """

    def __init__(self, reason: str) -> None:
        self.wants = f"true, because {reason}"

    def __call__(self, value: object) -> bool:
        if not super().__call__(value):
            raise ValueError(self.wants)
        return True


class Integer(LabelType):
    """A decimal integer within bounds, both included."""

    type_name = "integer value"

    def __init__(self, low: int, high: int | None = None) -> None:
        self._low = low
        self._high = high
        if high is None:
            self.wants = f"an integer of at least {low}"
        else:
            self.wants = f"an integer from {low} to {high}"

    def __call__(self, value: object) -> int:
        text = str(value).strip()
        # int() would also take '1_000' and other alphabets' digits.
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
            raise ValueError(self.wants)
        number = int(text)
        if number < self._low or (
            self._high is not None and number > self._high
        ):
            raise ValueError(self.wants)
        return number


class Choice(LabelType):
    """One word of a closed set, in any case; the set's spelling comes out.

    :param hint: appended to the sentence: what to use for other values.
    """

    def __init__(self, *choices: str, hint: str = "") -> None:
        self._choices = {choice.lower(): choice for choice in choices}
        named = [choice for choice in choices if choice]
        self.wants = ("one of " if len(named) > 1 else "") + ", ".join(named)
        if hint:
            self.wants += f"; {hint}"

    def __call__(self, value: object) -> str:
        try:
            return self._choices[str(value).strip().lower()]
        except KeyError:
            raise ValueError(self.wants) from None


class Pattern(LabelType):
    """Text that matches a regular expression as a whole, or nothing.

    :param wants: completes "must be ...".
    """

    def __init__(self, pattern: str, wants: str) -> None:
        self._pattern = re.compile(pattern)
        self.wants = wants

    def __call__(self, value: object) -> str:
        text = str(value).strip()
        if text and not self._pattern.fullmatch(text):
            raise ValueError(self.wants)
        return text


class Prefix(Pattern):
    """A registry with an optional path; comes out with a final slash."""

    def __init__(self) -> None:
        super().__init__(
            r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?"
            r"(/[a-z0-9]+([._-]+[a-z0-9]+)*)*/?",
            "a registry and path such as registry.example.com/magnum/",
        )

    def __call__(self, value: object) -> str:
        text = super().__call__(value).rstrip("/")
        return f"{text}/" if text else ""


class Cidr(LabelType):
    """An IPv4 network; host bits are cleared as Neutron does.

    :param shortest: shortest prefix length accepted.
    :param longest: longest prefix length accepted.
    """

    def __init__(self, shortest: int, longest: int) -> None:
        self._lengths = range(shortest, longest + 1)
        self.wants = f"an IPv4 network from /{shortest} to /{longest}"

    def __call__(self, value: object) -> str:
        text = str(value).strip()
        try:
            network = ipaddress.IPv4Network(text, strict=False)
        except ValueError:
            raise ValueError(self.wants) from None
        if network.prefixlen not in self._lengths:
            raise ValueError(self.wants)
        return str(network)


def network_or_address(text: str) -> str:
    """Return a network of either IP version in its normal form.

    :raises ValueError: it is none.
    """
    return str(ipaddress.ip_network(text, strict=False))


class Listed(LabelType):
    """A list: comma separated, or JSON, or as Python prints it.

    Horizon and the old driver's documentation use all three.

    :param item: checks and normalises one item, raising ``ValueError``.
    """

    type_name = "list value"

    def __init__(self, item: ItemType, wants: str) -> None:
        self._item = item
        self.wants = wants

    def __call__(self, value: object) -> tuple[str, ...]:
        try:
            items = (self._item(one) for one in _split(value) if one)
            return tuple(dict.fromkeys(items))
        except ValueError:
            raise ValueError(self.wants) from None


class Flags(LabelType):
    """Command line flags of a Kubernetes component.

    Comes out as pairs of flag name, without dashes, and value; a flag
    without a value gets ``true``, which is what the components read it as.
    """

    wants = "flags written as --flag or --flag=value, separated by spaces"
    type_name = "flags"

    def __call__(self, value: object) -> tuple[tuple[str, str], ...]:
        if isinstance(value, tuple):
            return value
        text = str(value).strip()
        if _CONTROL.search(text):
            raise ValueError(self.wants)
        try:
            words = shlex.split(text)
        except ValueError:
            raise ValueError(self.wants) from None
        matches = [_FLAG.fullmatch(word) for word in words]
        if not all(matches):
            raise ValueError(self.wants)
        return tuple(
            (match[1], "true" if match[2] is None else match[2])
            for match in matches
            if match
        )


def _split(value: object) -> list[str]:
    if isinstance(value, list | tuple):
        items: object = value
    else:
        text = str(value).strip()
        if not text.startswith("["):
            return [part.strip() for part in text.split(",")]
        items = _literal(text)
    if not isinstance(items, list | tuple):
        raise ValueError("not a list")
    if not all(isinstance(one, str) for one in items):
        raise ValueError("not a list of text")
    return [str(one).strip() for one in items]


def _literal(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        pass
    # Without quotes, as a shell leaves them: [10.0.0.0/8, 192.0.2.1].
    if text.endswith("]") and not re.search(r"['\"\[\]]", text[1:-1]):
        return text[1:-1].split(",")
    raise ValueError("not a list")


def label(opt: cfg.Opt) -> Any:
    """Declare a dataclass field by its oslo.config option."""
    default = None if opt.default is None else opt.type(opt.default)
    return dataclasses.field(default=default, metadata={"opt": opt})


def declared(
    name: str,
    kind: LabelType,
    default: str | None,
    text: str,
    secret: bool = False,
) -> Any:
    """Declare a label.

    :param default: as users would write it; None when unset matters.
    :param text: help for operators and users.
    :param secret: its value is never repeated.
    """
    return label(
        cfg.Opt(name, type=kind, default=default, help=text, secret=secret)
    )


def switch(name: str, default: bool, text: str) -> Any:
    """Declare a label that is true or false."""
    return declared(name, Boolean(), str(default).lower(), text)


def flags(name: str, component: str) -> Any:
    """Declare a label of extra flags of a Kubernetes component."""
    return declared(name, Flags(), "", f"Extra flags of {component}.")


def refusal(opt: cfg.Opt, text: str, wants: str) -> problems_module.Problem:
    """Return the problem that a label's text is not what its type wants."""
    shown = text
    if len(shown) > LONGEST_SHOWN:
        shown = f"{shown[: LONGEST_SHOWN - 3]}..."
    found = "not usable: it" if opt.secret else f"{shown!r} but"
    return problems_module.Problem(
        subject=f"label {opt.name}",
        sentence=f"Label {opt.name} is {found} must be {wants}.",
    )
