# SPDX-License-Identifier: Apache-2.0
"""Add-ons as a control plane is told of them.

One ConfigMap holds, in the order of their installation, what is to be
applied for each. It travels in orders; the node program goes through it in
``templates/node/tasks/addons.sh``. Format: protocols.rst.
"""

from collections.abc import Collection, Iterable
import dataclasses
import hashlib
import json
from typing import Any

from magnum_k8s_driver.addons import addon
from magnum_k8s_driver.addons import catalogue
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.render import addon_jobs
from magnum_k8s_driver.render import releases

CONFIG_MAP = "magnum-addons"
ORDER = "order"
"""Key of the list; all others are names of add-ons."""
JOB = "job"
OBJECTS = "objects"
_PLAIN = addon.Component(repository="", chart="", version="")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One add-on in orders."""

    name: str
    id: str
    """Changes when anything of it does."""
    required: bool
    objects: tuple[addon.Object, ...]
    job: bool
    """It is done when its Job is, not when its objects are applied."""
    removes: bool = False


def place(network_id: str, subnet_id: str) -> addon.Place:
    """Return where a cluster lives, from the outputs of its stack."""
    return addon.Place(network_id=network_id, subnet_id=subnet_id)


def entries(
    spec: spec_module.ClusterSpec,
    place: addon.Place,
    *,
    left_out: Collection[str] = (),
    before: Iterable[str] = (),
    attempt: int = 0,
) -> tuple[Entry, ...]:
    """Return what a cluster has to install and to remove, in order.

    :param left_out: add-ons that the operator does not want installed.
    :param before: names of those installed until now.
    :param attempt: another number installs what failed once more.
    """
    release = releases.release_for(spec.control_plane.kubernetes_version)
    helm = release.helm.at(spec.labels.container_infra_prefix)
    wanted = catalogue.wanted(spec, left_out)
    kept = {one.name for one in wanted}
    gone = [
        found
        for found in map(catalogue.named, before)
        if found is not None and found.name not in kept and found.has_chart
    ]
    # The last installed goes first: volumes before what knows the cloud.
    found = [_removal(one, spec, helm, attempt) for one in reversed(gone)]
    for one in wanted:
        component = release.addons.get(one.name, _PLAIN)
        setting = addon.Setting(spec=spec, place=place, component=component)
        found.append(_installation(one, setting, helm, attempt))
    return tuple(found)


def config_map(found: Iterable[Entry]) -> str:
    """Return the ConfigMap as JSON."""
    lines, data = [], {}
    for one in found:
        need = "required" if one.required else "optional"
        kind = JOB if one.job else OBJECTS
        lines.append(f"{one.name} {one.id} {need} {kind}")
        data[one.name] = _dump(
            {"apiVersion": "v1", "kind": "List", "items": [*one.objects]}
        )
    return _dump(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": CONFIG_MAP, "namespace": addon.SYSTEM},
            "data": {ORDER: "\n".join(lines), **data},
        }
    )


def _installation(
    one: addon.Addon, setting: addon.Setting, helm: addon.Image, attempt: int
) -> Entry:
    own = one.objects(setting)
    identity = _identity(own, attempt)
    if one.has_chart:
        # The id must not be made from itself.
        blank = addon_jobs.install(one, setting, helm, "")
        identity = _identity([*own, *blank], attempt)
        own += addon_jobs.install(one, setting, helm, identity)
    return Entry(
        name=one.name,
        id=identity,
        required=one.required,
        objects=tuple(own),
        job=one.has_chart,
    )


def _removal(
    one: addon.Addon,
    spec: spec_module.ClusterSpec,
    helm: addon.Image,
    attempt: int,
) -> Entry:
    blank = addon_jobs.remove(one, spec, helm, "")
    identity = _identity(blank, attempt)
    return Entry(
        name=one.name,
        id=identity,
        required=False,
        objects=tuple(addon_jobs.remove(one, spec, helm, identity)),
        job=True,
        removes=True,
    )


def _identity(objects: list[addon.Object], attempt: int) -> str:
    digest = hashlib.sha256(_dump(objects).encode()).hexdigest()[:12]
    return f"{digest}-{attempt}" if attempt else digest


def _dump(data: Any) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"))
