# SPDX-License-Identifier: Apache-2.0
"""What nodes write and the driver reads: reports, digests, distress.

The format is described in doc/source/contributor/protocols.rst. This module
is shared by the driver (reads) and the lab's hollow nodes (write).
"""

import base64
import binascii
import calendar
from collections.abc import Mapping
import dataclasses
import enum
import hashlib
import hmac
import json
import math
import re
from typing import Any
import zlib

from magnum_k8s_driver.model import orders as orders_module

REPORT = "report"
DIGEST = "digest"
_COMPRESS_ABOVE = 4096
_MAX_INFLATED = 4 << 20
_MOMENT = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)Z", re.A)
_MAX_CERTIFICATE = 8192


class NodeState(enum.StrEnum):
    """What a node says about itself."""

    BOOTING = "booting"
    READY = "ready"
    DRAINED = "drained"
    FAILED = "failed"


_UNSIGNED = (NodeState.BOOTING, NodeState.FAILED)
"""What a node says that has no secrets yet to sign with."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NodeError:
    """Why a node failed, in the node's own words."""

    phase: str
    message: str
    hint: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class AddonState:
    """How far one add-on is, as the cluster knows it."""

    id: str
    """Which one it is about: that of the orders, or of older ones."""
    state: str
    """``waiting``, ``installing``, ``done`` or ``failed``."""
    message: str = ""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """A control-plane member about itself."""

    time: float
    """Seconds since the epoch by the node's clock."""
    member: str
    server_id: str
    operation: str
    state: NodeState
    phase: str
    seconds: Mapping[str, float]
    version: str
    error: NodeError | None
    signed: bool
    orders: orders_module.Acknowledgement | None = None
    """The last orders this member knows to be executed; only when signed."""
    serial: str = ""
    """Id of the rotation its secrets come from; empty for the first ones."""
    certificate: bytes = b""
    """DER, to which a member without its secrets wants them sealed."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class NodeDigest:
    """One Node as the API server knows it."""

    name: str
    ready: bool
    version: str
    reason: str
    since: float | None = None
    """When the API server last saw it ready, seconds since the epoch by the
    control plane's clock; None while it is ready, and when unknown."""
    operation: str = ""
    phase: str = ""
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    error: NodeError | None = None
    serial: str = ""
    """Serial of the rotation of CAs that it has followed."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Digest:
    """Every Node, by one control-plane member."""

    time: float
    nodes: Mapping[str, NodeDigest]
    signed: bool
    server_id: str = ""
    """Server of the member that wrote it."""
    addons: Mapping[str, AddonState] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Distress:
    """A worker that could not join."""

    server_name: str
    time: float
    error: NodeError


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Board:
    """The last report and digest of one control-plane member."""

    report: Report | None = None
    digest: Digest | None = None


def sign(document: Mapping[str, Any], key: bytes) -> str:
    """Return the hex HMAC-SHA256 of a document without its ``hmac``."""
    bare = {k: v for k, v in document.items() if k != "hmac"}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def encode(document: Mapping[str, Any], key: bytes | None = None) -> str:
    """Return the ``data`` text of a signal, signed when a key is given."""
    signed = dict(document, hmac=sign(document, key) if key else "")
    text = json.dumps(signed, sort_keys=True, separators=(",", ":"))
    if len(text) <= _COMPRESS_ABOVE:
        return text
    return "zlib:" + base64.b64encode(zlib.compress(text.encode())).decode()


def decode(text: str) -> dict[str, Any]:
    """Return the document in the ``data`` text of a signal.

    :raises ValueError: when the text is not a document; whoever can write the
        handle can write anything.
    """
    try:
        if text.startswith("zlib:"):
            inflater = zlib.decompressobj()
            raw = inflater.decompress(
                base64.b64decode(text[5:], validate=True), _MAX_INFLATED
            )
            text = raw.decode()
        document = json.loads(text)
    except (
        binascii.Error,
        zlib.error,
        UnicodeDecodeError,
        RecursionError,
    ) as exc:
        raise ValueError(f"unreadable board entry: {exc}") from exc
    if not isinstance(document, dict):
        raise ValueError("a board entry must be a JSON object")
    return document


def read_board(metadata: Mapping[str, Any], key: bytes | None) -> Board:
    """Parse the resource metadata of a board.

    Entries that cannot be parsed count as absent. An entry whose signature
    does not fit is kept only while it reports booting or failing, because a
    node without its secrets cannot sign yet.

    :param metadata: resource metadata of the handle as Heat returns it.
    :param key: board key of the cluster, None when it is not known.
    """
    report, digest = None, None
    document = _entry(metadata, REPORT)
    if document is not None:
        report = _report(document, signed=_is_signed(document, key))
        if report and not report.signed and report.state not in _UNSIGNED:
            report = None
    document = _entry(metadata, DIGEST)
    if document is not None and _is_signed(document, key):
        digest = _digest(document, signed=True)
    return Board(report=report, digest=digest)


def read_unchecked(metadata: Mapping[str, Any]) -> Board:
    """Parse a board without the key, for people to read.

    Nothing may be decided by it: its handle can be written by more than the
    node. No entry counts as signed, whatever it carries.

    :param metadata: resource metadata of the handle as Heat returns it.
    """
    report, digest = _entry(metadata, REPORT), _entry(metadata, DIGEST)
    return Board(
        report=_report(report, signed=False) if report else None,
        digest=_digest(digest, signed=False) if digest else None,
    )


def read_distress(metadata: Mapping[str, Any]) -> tuple[Distress, ...]:
    """Parse the resource metadata of the distress handle."""
    found = []
    for name in metadata:
        document = _entry(metadata, name)
        error = _error(document) if document else None
        if document and error:
            found.append(
                Distress(
                    server_name=str(name),
                    time=_number(document.get("t")),
                    error=error,
                )
            )
    return tuple(sorted(found, key=lambda one: one.server_name))


def _entry(metadata: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    entry = metadata.get(name)
    data = entry.get("data") if isinstance(entry, Mapping) else None
    if not isinstance(data, str):
        return None
    try:
        return decode(data)
    except ValueError:
        return None


def _is_signed(document: Mapping[str, Any], key: bytes | None) -> bool:
    given = document.get("hmac")
    if not key or not isinstance(given, str):
        return False
    try:
        expected = sign(document, key)
    except RecursionError:
        # It could be read, but is too deep to be written again.
        return False
    # Only bytes may hold anything: compare_digest refuses other characters.
    return hmac.compare_digest(
        given.encode(errors="replace"), expected.encode()
    )


def _report(document: Mapping[str, Any], *, signed: bool) -> Report | None:
    try:
        state = NodeState(str(document.get("state")))
    except ValueError:
        return None
    return Report(
        time=_number(document.get("t")),
        member=printable(document.get("member")),
        server_id=printable(document.get("server")),
        operation=printable(document.get("op")),
        state=state,
        phase=printable(document.get("phase")),
        seconds=_seconds(document.get("seconds")),
        version=printable(document.get("version")),
        error=_error(document.get("error")),
        signed=signed,
        orders=orders_module.acknowledgement(document) if signed else None,
        serial=printable(document.get("secrets")),
        certificate=b"" if signed else _certificate(document.get("seal")),
    )


def _certificate(value: Any) -> bytes:
    """Return what base64 stands for; whose it is is not known here."""
    text = value if isinstance(value, str) else ""
    if len(text) > _MAX_CERTIFICATE or not text.isascii():
        return b""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""


def _digest(document: Mapping[str, Any], *, signed: bool) -> Digest | None:
    nodes = document.get("nodes")
    if not isinstance(nodes, Mapping):
        return None
    return Digest(
        time=_number(document.get("t")),
        nodes={
            str(name): _node(printable(name), one)
            for name, one in nodes.items()
            if isinstance(one, Mapping)
        },
        signed=signed,
        server_id=printable(document.get("server")),
        addons=_addons(document.get("addons")),
    )


def _addons(value: Any) -> dict[str, AddonState]:
    if not isinstance(value, Mapping):
        return {}
    return {
        printable(name): AddonState(
            id=printable(one.get("id")),
            state=printable(one.get("state")),
            message=printable(one.get("message")),
        )
        for name, one in value.items()
        if isinstance(one, Mapping)
    }


def _node(name: str, one: Mapping[str, Any]) -> NodeDigest:
    report = one.get("report")
    own: Mapping[str, Any] = report if isinstance(report, Mapping) else {}
    ready = one.get("ready") is True
    return NodeDigest(
        name=name,
        ready=ready,
        version=printable(one.get("version")),
        reason=printable(one.get("reason")),
        since=None if ready else read_moment(one.get("since")),
        operation=printable(own.get("op")),
        phase=printable(own.get("phase")),
        serial=printable(own.get("secrets")),
        seconds=_seconds(own.get("seconds")),
        error=_error(own.get("error")),
    )


def _error(value: Any) -> NodeError | None:
    if not isinstance(value, Mapping) or not value.get("message"):
        return None
    return NodeError(
        phase=printable(value.get("phase")),
        message=printable(value.get("message")),
        hint=printable(value.get("hint")),
    )


def read_moment(value: Any) -> float | None:
    """Return seconds since the epoch of a time as Kubernetes writes it.

    None for what is no such time.
    """
    found = _MOMENT.fullmatch(value) if isinstance(value, str) else None
    if found is None:
        return None
    try:
        return float(calendar.timegm(tuple(map(int, found.groups()))))
    except ValueError:
        return None


def write_moment(seconds: float) -> str:
    """Return a time as Kubernetes writes it, such as 2026-11-22T18:30:00Z."""
    days, rest = divmod(int(seconds), 86_400)
    # Years that begin in March have their leap day at the end: days since
    # 0000-03-01, in eras of 400 years.
    era, day = divmod(days + 719_468, 146_097)
    year = (day - day // 1460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153
    day += 1 - (153 * month + 2) // 5
    year += 400 * era + month // 10
    month += -9 if month > 9 else 3
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{year:04}-{month:02}-{day:02}T{clock}Z"


def _seconds(value: Any) -> dict[str, float]:
    if not isinstance(value, Mapping):
        return {}
    return {printable(name): _number(one) for name, one in value.items()}


def _number(value: Any) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return 0.0
    try:
        number = float(value)
    except OverflowError:
        return 0.0
    return number if math.isfinite(number) else 0.0


def printable(value: Any, limit: int = 500) -> str:
    """Return printable text of bounded length; users will see it."""
    text = value if isinstance(value, str) else ""
    return "".join(c if c.isprintable() else " " for c in text)[:limit]
