# SPDX-License-Identifier: Apache-2.0
"""Find the node document in user data, as cloud-init or Ignition would."""

import base64
import binascii
from collections.abc import Mapping
import dataclasses
import gzip
import json
from typing import Any
from urllib import parse
import zlib

import yaml

PATH = "/etc/magnum/node.json"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_GZIP = b"\x1f\x8b"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Document:
    """What a hollow node needs of the node document."""

    cluster_uuid: str
    cluster_name: str
    operation: str
    role: str
    group: str
    member: str
    init: bool
    version: str
    endpoints: tuple[str, ...]
    """Every known address of the API server."""

    port: int
    token: str
    permit: str
    ca_hashes: tuple[str, ...]
    board: Mapping[str, Any]
    distress: Mapping[str, Any]
    secrets: Mapping[str, Any] = dataclasses.field(repr=False)

    @property
    def is_control_plane(self) -> bool:
        return self.role == "control-plane"


def read(user_data: bytes) -> Document | None:
    """Return the node document in user data, None when there is none.

    :raises ValueError: when there is one that cannot be read.
    """
    if user_data.startswith(_GZIP):
        user_data = _unzip(user_data)
    text = user_data.decode(errors="replace")
    if text.lstrip().startswith("{"):
        found = _ignition(text)
    elif text.startswith("#cloud-config"):
        found = _cloud_config(text)
    else:
        return None
    return _document(found) if found is not None else None


def _cloud_config(text: str) -> bytes | None:
    try:
        config = yaml.load(text, Loader=_LOADER)
    except yaml.YAMLError as exc:
        raise ValueError(f"the user data is no YAML: {exc}") from exc
    files = config.get("write_files") if isinstance(config, dict) else None
    for one in files or ():
        if isinstance(one, dict) and one.get("path") == PATH:
            return _decoded(one)
    return None


def _decoded(one: Mapping[str, Any]) -> bytes:
    content = one.get("content") or ""
    raw = content if isinstance(content, bytes) else str(content).encode()
    parts = str(one.get("encoding") or "").lower().split("+")
    if "b64" in parts or "base64" in parts:
        raw = _unbase64(raw)
    if {"gz", "gzip"} & set(parts):
        raw = _unzip(raw)
    return raw


def _ignition(text: str) -> bytes | None:
    config = _json(text)
    storage = config.get("storage")
    files = storage.get("files") if isinstance(storage, dict) else None
    for one in files or ():
        if one.get("path") != PATH:
            continue
        contents = one.get("contents") or {}
        raw = _data_url(str(contents.get("source") or ""))
        return _unzip(raw) if contents.get("compression") == "gzip" else raw
    return None


def _data_url(source: str) -> bytes:
    scheme, _, rest = source.partition(":")
    kind, comma, data = rest.partition(",")
    if scheme != "data" or not comma:
        raise ValueError(f"{PATH} is not a data: URL")
    raw = parse.unquote_to_bytes(data)
    return _unbase64(raw) if kind.endswith(";base64") else raw


def _unbase64(raw: bytes) -> bytes:
    try:
        return base64.b64decode(raw)
    except binascii.Error as exc:
        raise ValueError(f"{PATH} is no base64: {exc}") from exc


def _unzip(raw: bytes) -> bytes:
    try:
        return gzip.decompress(raw)
    except (OSError, EOFError, zlib.error) as exc:
        raise ValueError(f"gzip data cannot be read: {exc}") from exc


def _json(text: str | bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as exc:
        raise ValueError(f"{PATH} or its envelope is no JSON: {exc}") from exc
    if not isinstance(found, dict):
        raise ValueError(f"{PATH} or its envelope is no JSON object")
    return found


def _document(raw: bytes) -> Document:
    found = _json(raw)
    try:
        endpoint = found.get("endpoint") or {}
        signals = found.get("signals") or {}
        join = found.get("join") or {}
        return Document(
            cluster_uuid=str(found["cluster"]["uuid"]),
            cluster_name=str(found["cluster"].get("name", "")),
            operation=str(found.get("operation", "")),
            role=str(found["role"]),
            group=str(found.get("group", "")),
            member=str(found.get("member", "")),
            init=found.get("init") is True,
            version=str(found["kubernetes_version"]),
            endpoints=_endpoints(endpoint),
            port=int(endpoint.get("port") or 6443),
            token=str(join.get("token") or ""),
            permit=str(join.get("permit") or ""),
            ca_hashes=tuple(join.get("ca_hashes") or ()),
            board=signals.get("board") or {},
            distress=signals.get("distress") or {},
            secrets=found.get("secrets") or {},
        )
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError(f"{PATH} lacks {exc}") from exc


def _endpoints(found: Mapping[str, Any]) -> tuple[str, ...]:
    named = (found.get("public_host"), found.get("host"))
    every = (*named, *(found.get("addresses") or ()))
    return tuple(dict.fromkeys(str(one) for one in every if one))
