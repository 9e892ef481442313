# SPDX-License-Identifier: Apache-2.0
"""Orders: what the driver wants of a running control plane.

They travel as server metadata of control-plane members, whose values have at
most 255 characters: compressed, signed and cut into chunks. The format is
described in doc/source/contributor/protocols.rst. This module is shared by
the driver (writes) and the lab's hollow nodes (read); the node program reads
them in ``templates/node/tasks/orders.sh``.
"""

import base64
import binascii
from collections.abc import Iterable, Mapping
import dataclasses
import enum
import hashlib
import hmac
import json
import re
from typing import Any
import zlib

HEADER = "magnum_orders"
CHUNK = 255
"""Characters that Nova takes in one value of server metadata."""
RESERVED_KEYS = 12
"""Keys a member's metadata have besides its orders."""
_VERSION = 1
_MAX_TEXT = 255 * 255
_MAX_INFLATED = 1 << 20
# Signed with what it is for: the key signs board entries too.
_PURPOSE = b"magnum-orders:"
# gzip's framing, which every image can open.
_GZIP = 16 + zlib.MAX_WBITS

_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_OPERATION = re.compile(r"[A-Za-z0-9._:-]{0,100}")
_PREFIX = r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?"
_WORD = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_LABEL_KEY = re.compile(_PREFIX + _WORD)
_LABEL_VALUE = re.compile(f"({_WORD})?")
_EFFECT = "(NoSchedule|PreferNoSchedule|NoExecute)"
_TAINT = re.compile(f"{_PREFIX}{_WORD}(=({_WORD})?:{_EFFECT}|:{_EFFECT}-?|-)")


class AckState(enum.StrEnum):
    """How a control plane's execution of orders ended."""

    DONE = "done"
    FAILED = "failed"


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Acknowledgement:
    """What a member's report says about the last orders it knows."""

    seq: int
    state: AckState
    message: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Orders:
    """One set of orders. Executing it again changes nothing."""

    seq: int
    """Grows with every set of a cluster; older ones are never executed."""
    operation: str = ""
    expected: frozenset[str] | None = None
    """Names of workers that may join and have not; None: as before."""
    node_labels: Mapping[str, Mapping[str, str | None]] = dataclasses.field(
        default_factory=dict
    )
    """Node name to labels; None removes the label."""
    node_taints: Mapping[str, tuple[str, ...]] = dataclasses.field(
        default_factory=dict
    )
    """Node name to taints as kubectl writes them: ``key=value:Effect`` sets
    one, ``key:Effect-`` and ``key-`` remove."""
    delete_nodes: tuple[str, ...] = ()
    """Node objects to delete."""
    remove_etcd: tuple[str, ...] = ()
    """etcd members, named as their Nodes, to remove."""
    addons: str = ""
    """ConfigMap of every add-on, as JSON; empty: as before."""


def encode(
    orders: Orders,
    key: bytes,
    max_server_meta: int = 128,
    reserved: int = RESERVED_KEYS,
) -> dict[str, str]:
    """Return orders as metadata of a control-plane server.

    :param key: board key of the cluster.
    :param max_server_meta: how many keys a server may have; -1: any number.
    :param reserved: how many of them others take.
    :raises ValueError: something is not as Kubernetes names it, or the
        orders need more keys than there may be.
    """
    document = _document(orders)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    packer = zlib.compressobj(9, zlib.DEFLATED, _GZIP)
    packed = packer.compress(text.encode()) + packer.flush()
    packed_text = base64.b64encode(packed).decode()
    if len(packed_text) > _MAX_TEXT:
        raise ValueError(
            f"orders of {len(packed_text)} characters are too long"
        )
    chunks = [
        packed_text[start : start + CHUNK]
        for start in range(0, len(packed_text), CHUNK)
    ]
    if max_server_meta >= 0 and len(chunks) + 1 + reserved > max_server_meta:
        raise ValueError(
            f"orders of {len(chunks)} chunks and {reserved + 1} other keys "
            f"do not fit into the {max_server_meta} metadata keys that Nova "
            "gives a server"
        )
    header = f"{len(chunks)}:{len(packed_text)}"
    signature = _sign(f"{header}:{packed_text}", key)
    return {HEADER: f"{header}:{signature}"} | {
        f"{HEADER}_{index}": chunk for index, chunk in enumerate(chunks)
    }


def decode(metadata: Mapping[str, Any], key: bytes) -> Orders | None:
    """Return the orders in a server's metadata, None when there are none.

    :raises ValueError: they are not complete, not signed with this key, or
        not orders; whoever can write metadata can write anything.
    """
    header = metadata.get(HEADER)
    if header is None:
        return None
    found = re.fullmatch(
        r"(([0-9]{1,4}):([0-9]{1,6})):([0-9a-f]{64})", str(header), re.ASCII
    )
    if found is None:
        raise ValueError("the header of the orders is not one")
    count, length = int(found[2]), int(found[3])
    text = "".join(
        str(metadata.get(f"{HEADER}_{index}", "")) for index in range(count)
    )
    if len(text) != length:
        raise ValueError(f"the orders have {len(text)} of {length} characters")
    signature = _sign(f"{found[1]}:{text}", key)
    if not hmac.compare_digest(signature, found[4]):
        raise ValueError("the signature of the orders is wrong")
    return _parse(_unpack(text))


def acknowledgement(report: Mapping[str, Any]) -> Acknowledgement | None:
    """Return what a board's report says about orders, None for nothing.

    :param report: the document of a report whose signature fits.
    """
    found = report.get("orders")
    if not isinstance(found, Mapping):
        return None
    seq, message = found.get("seq"), found.get("message")
    try:
        state = AckState(str(found.get("state")))
    except ValueError:
        return None
    if not _is_number(seq):
        return None
    text = message if isinstance(message, str) else ""
    text = "".join(c if c.isprintable() else " " for c in text)[:500]
    return Acknowledgement(seq=int(str(seq)), state=state, message=text)


def _sign(text: str, key: bytes) -> str:
    signed = _PURPOSE + text.encode(errors="surrogatepass")
    return hmac.new(key, signed, hashlib.sha256).hexdigest()


def _document(orders: Orders) -> dict[str, Any]:
    """Return orders as they are written: what says nothing is left out.

    Labels are written as kubectl takes them, ``key=value`` and ``key-``: the
    node program's reader does not tell null from an empty text.
    """
    _check(orders)
    document: dict[str, Any] = {
        "v": _VERSION,
        "seq": orders.seq,
        "op": orders.operation,
        "labels": {
            node: [_label(key, labels[key]) for key in sorted(labels)]
            for node, labels in orders.node_labels.items()
        },
        "taints": {
            node: list(taints) for node, taints in orders.node_taints.items()
        },
        "delete_nodes": list(orders.delete_nodes),
        "remove_etcd": list(orders.remove_etcd),
    }
    if orders.addons:
        document["addons"] = orders.addons
    if orders.expected is not None:
        document |= {"restrict": True, "expected": sorted(orders.expected)}
    return document


def _check(orders: Orders) -> None:
    if not _is_number(orders.seq):
        raise ValueError(f"{orders.seq!r} is no number of orders")
    if not isinstance(orders.addons, str):
        raise ValueError("the add-ons are no text")
    _all_match(_OPERATION, "operation", (orders.operation,))
    names = (
        *(orders.expected or ()),
        *orders.node_labels,
        *orders.node_taints,
        *orders.delete_nodes,
        *orders.remove_etcd,
    )
    _all_match(_NAME, "node name", names)
    for labels in orders.node_labels.values():
        _all_match(_LABEL_KEY, "label", labels)
        values = (one for one in labels.values() if one is not None)
        _all_match(_LABEL_VALUE, "label value", values)
    for taints in orders.node_taints.values():
        _all_match(_TAINT, "taint", taints)


def _all_match(pattern: re.Pattern[str], what: str, values: Any) -> None:
    for one in values:
        if not isinstance(one, str) or not pattern.fullmatch(one):
            raise ValueError(f"{one!r} is no {what}")


def _label(key: str, value: str | None) -> str:
    return f"{key}-" if value is None else f"{key}={value}"


def _unpack(text: str) -> Any:
    try:
        inflater = zlib.decompressobj(_GZIP)
        raw = inflater.decompress(
            base64.b64decode(text, validate=True), _MAX_INFLATED
        )
        return json.loads(raw.decode())
    except (binascii.Error, zlib.error, UnicodeDecodeError) as exc:
        raise ValueError(f"unreadable orders: {exc}") from exc


def _parse(document: Any) -> Orders:
    if not isinstance(document, dict) or document.get("v") != _VERSION:
        raise ValueError("orders of an unknown version")
    expected = None
    if document.get("restrict") is True:
        expected = frozenset(_strings(document.get("expected")))
    orders = Orders(
        seq=document.get("seq", 0),
        operation=document.get("op", ""),
        expected=expected,
        node_labels={
            node: dict(map(_parsed_label, _strings(labels)))
            for node, labels in _mapping(document.get("labels")).items()
        },
        node_taints={
            node: _strings(taints)
            for node, taints in _mapping(document.get("taints")).items()
        },
        delete_nodes=_strings(document.get("delete_nodes")),
        remove_etcd=_strings(document.get("remove_etcd")),
        addons=document.get("addons", ""),
    )
    _check(orders)
    return orders


def _parsed_label(text: str) -> tuple[str, str | None]:
    key, equals, value = text.partition("=")
    if equals:
        return key, value
    if not text.endswith("-"):
        raise ValueError(f"{text!r} neither sets nor removes a label")
    return text[:-1], None


def _mapping(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError(f"{value!r} is no mapping")
    return value


def _strings(value: Any) -> tuple[str, ...]:
    if not isinstance(value, Iterable) or isinstance(value, (str, Mapping)):
        raise ValueError(f"{value!r} is no list")
    found = tuple(value)
    if not all(isinstance(one, str) for one in found):
        raise ValueError(f"{value!r} is no list of texts")
    return found


def _is_number(value: Any) -> bool:
    plain = isinstance(value, int) and not isinstance(value, bool)
    return plain and 0 < value < 1 << 53
