# SPDX-License-Identifier: Apache-2.0
"""Names of stacks, servers and configs, derived from names and UUIDs only.

A server's name is its host name and its Kubernetes Node's name, so it is a
DNS-1123 label of at most 63 characters. Everything of a cluster starts with
:func:`cluster_prefix`, by which leftovers are found.
"""

import re
import unicodedata

MAX_SERVER_NAME = 63
"""DNS label; Linux itself would take 64."""

_DEFAULT_GROUPS = {"default-master": "cp", "default-worker": "worker"}
"""Names Magnum gives the two groups every cluster starts with."""
_CLUSTER_SLUG = 20
_GROUP_SLUG = 16
_CLUSTER_HEX = 12
_GROUP_HEX = 6


def cluster_prefix(name: str, uuid: str) -> str:
    """Return the name of the cluster's stack and prefix of all others.

    :returns: ``[a-z0-9-]``, starting with a letter, ending in 12 hex digits
        of the UUID, at most 33 characters.
    """
    slug = _slug(name, _CLUSTER_SLUG) or "k8s"
    return f"{slug}-{_hex(uuid)[:_CLUSTER_HEX]}"


def group_key(group_name: str, group_uuid: str) -> str:
    """Return the part of names that stands for a node group.

    ``cp`` and ``worker`` for the groups every cluster has. Others carry a
    few hex digits of their UUID, because two names may differ only in what
    a host name cannot express, and a deleted group's name may be used again.
    """
    default = _DEFAULT_GROUPS.get(group_name)
    if default is not None:
        return default
    return _group_key(group_name, group_uuid, _GROUP_SLUG)


def group_stack_name(
    prefix: str, group_name: str, group_uuid: str, index: int = 0
) -> str:
    """Return the name of a worker group's stack.

    :param index: 0 for the anchor stack, counting up for the further stacks
        of a group with many members.
    """
    name = f"{prefix}-{group_key(group_name, group_uuid)}"
    return f"{name}-part{index}" if index else name


def part_index(anchor: str, name: str) -> int:
    """Return which further stack of a group a name is, 0 for none.

    :param anchor: name of the group's anchor stack.
    """
    found = re.fullmatch(f"{re.escape(anchor)}-part([1-9][0-9]*)", name)
    return int(found[1]) if found else 0


def stack_tag(cluster_uuid: str) -> str:
    """Return the tag that all stacks of a cluster carry."""
    return f"magnum-cluster-{cluster_uuid}"


def server_name(
    prefix: str, group_name: str, group_uuid: str, member: str
) -> str:
    """Return a member's server name, host name and Node name in one.

    :param prefix: from :func:`cluster_prefix`.
    :param member: member name: lower-case letters and digits.
    :raises ValueError: the member's name has other characters or is too
        long.
    """
    if not re.fullmatch("[a-z0-9]{1,20}", member):
        raise ValueError(f"{member!r} is no member name")
    key = group_key(group_name, group_uuid)
    surplus = len(f"{prefix}-{key}-{member}") - MAX_SERVER_NAME
    if surplus > 0:
        key = _group_key(group_name, group_uuid, _GROUP_SLUG - surplus)
    return f"{prefix}-{key}-{member}"


def user_data_name(
    prefix: str,
    group_name: str,
    group_uuid: str,
    operation: str,
    member: str = "",
) -> str:
    """Return the name of the software config that holds user data.

    :param operation: id of the operation whose servers boot from it.
    :param member: member name where each member has its own (control
        plane), empty when a group's new members share one.
    """
    parts = [prefix, group_key(group_name, group_uuid), operation, member]
    return "-".join(part for part in parts if part)


def _group_key(group_name: str, group_uuid: str, slug_length: int) -> str:
    slug = _slug(group_name, slug_length) or "g"
    return f"{slug}-{_hex(group_uuid)[:_GROUP_HEX]}"


def _hex(uuid: str) -> str:
    return uuid.replace("-", "").lower()


def _slug(text: str, length: int) -> str:
    """Return what a host name can express of a name; may be empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore")
    slug = re.sub("[^a-z0-9]+", "-", plain.decode().lower())
    slug = re.sub("^[^a-z]+", "", slug)
    return slug[: max(length, 1)].rstrip("-")
