# SPDX-License-Identifier: Apache-2.0
"""Classes of load balancers that Services may ask for by name.

What a class may say is what the OpenStack cloud controller manager takes in
``[LoadBalancerClass "NAME"]``: see "Load Balancer" in its document
using-openstack-cloud-controller-manager.md, and "Switching between Floating
Subnets by using preconfigured Classes" in
expose-applications-using-loadbalancer-type-service.md (release 1.36.0).
"""

from collections.abc import Iterator
import re

from magnum_k8s_driver.model import label_types

LABEL = "load_balancer_classes"
_IDS = (
    "floating-network-id",
    "floating-subnet-id",
    "network-id",
    "subnet-id",
    "member-subnet-id",
)
_PATTERNS = ("floating-subnet", "floating-subnet-tags")
KEYS = (*_IDS, *_PATTERNS)
_PLACES = frozenset(
    (
        "floating-subnet-id",
        "floating-subnet",
        "floating-subnet-tags",
        "network-id",
        "subnet-id",
    )
)
"""Without one of these a class does not say where its addresses are from."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_PATTERN = re.compile(r"[\x21-\x7e]{1,128}")
# Only where a key follows: patterns may have colons.
_COLON = re.compile(r":(?=[a-z-]+=)")

Class = tuple[str, tuple[tuple[str, str], ...]]
"""Name, and pairs of key and value."""


class Classes(label_types.LabelType):
    """Classes separated by spaces, each ``NAME:KEY=VALUE:KEY=VALUE``.

    Neither commas nor semicolons separate: the command line splits labels
    there.
    """

    wants = (
        "classes separated by spaces, each NAME:KEY=VALUE:KEY=VALUE; the keys "
        f"are {', '.join(KEYS)}, ids are UUIDs, and a class needs one of "
        f"{', '.join(sorted(_PLACES))}"
    )
    type_name = "load balancer classes"

    def __call__(self, value: object) -> tuple[Class, ...]:
        if isinstance(value, tuple):
            return value
        found = tuple(self._class(word) for word in str(value).split())
        if len({name for name, _pairs in found}) < len(found):
            raise ValueError(self.wants)
        return found

    def _class(self, word: str) -> Class:
        name, *parts = _COLON.split(word)
        pairs = [part.partition("=")[::2] for part in parts]
        keys = {key for key, _value in pairs}
        usable = (
            _NAME.fullmatch(name)
            and len(keys) == len(pairs)
            and keys & _PLACES
            and all(_is_fit(key, value) for key, value in pairs)
        )
        if not usable:
            raise ValueError(self.wants)
        return name, tuple(pairs)


def _is_fit(key: str, value: str) -> bool:
    if key in _IDS:
        return bool(_ID.fullmatch(value))
    return key in _PATTERNS and bool(_PATTERN.fullmatch(value))


def networks(classes: tuple[Class, ...]) -> Iterator[tuple[str, str, str]]:
    """Return class, key and id of every network that classes name."""
    for name, pairs in classes:
        for key, value in pairs:
            if key in ("floating-network-id", "network-id"):
                yield name, key, value
