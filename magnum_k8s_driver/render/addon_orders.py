# SPDX-License-Identifier: Apache-2.0
"""Add-ons as a control plane is told of them.

One ConfigMap holds, in the order of their installation, what is to be
applied for each. It travels in orders; the node program goes through it in
``templates/node/tasks/addons.sh``. Format: protocols.rst.
"""

from collections.abc import Collection, Iterable, Mapping
import dataclasses
import hashlib
import json
from typing import Any

from magnum_k8s_driver.addons import addon
from magnum_k8s_driver.addons import catalogue
from magnum_k8s_driver.addons import cloud_config
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.render import addon_jobs
from magnum_k8s_driver.render import releases

CONFIG_MAP = "magnum-addons"
CLOUD_CONFIG = cloud_config.ADDON.name
"""Add-on without which no other one knows the cloud."""
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


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class History:
    """What a cluster has been told of add-ons until now."""

    ids: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """By the add-on's name."""
    failed: Collection[str] = ()
    """Names of those that shall be tried once more."""
    attempt: int = 0
    """Differs from that of each try before."""

    def identity(self, name: str, objects: list[addon.Object]) -> str:
        """Return the id of an add-on: a new one where something is to do."""
        digest = hashlib.sha256(_dump(objects).encode()).hexdigest()[:12]
        last = self.ids.get(name, "")
        if last.partition("-")[0] != digest:
            return digest
        return f"{digest}-{self.attempt}" if name in self.failed else last


_NEW = History()


def place(network_id: str, subnet_id: str) -> addon.Place:
    """Return where a cluster lives, from the outputs of its stack."""
    return addon.Place(network_id=network_id, subnet_id=subnet_id)


def entries(
    spec: spec_module.ClusterSpec,
    place: addon.Place,
    *,
    left_out: Collection[str] = (),
    credential: str = "",
    history: History = _NEW,
) -> tuple[Entry, ...]:
    """Return what a cluster has to install and to remove, in order.

    :param left_out: add-ons that the operator does not want installed.
    :param credential: name of the one that programs log in with.
    :param history: of add-ons that are there.
    """
    release = releases.release_for(spec.control_plane.kubernetes_version)
    helm = release.helm.at(spec.labels.container_infra_prefix)
    wanted = catalogue.wanted(spec, left_out)
    kept = {one.name for one in wanted}
    gone = [
        found
        for found in map(catalogue.named, history.ids)
        if found is not None and found.name not in kept and found.has_chart
    ]
    # The last installed goes first: volumes before what knows the cloud.
    found = [_removal(one, spec, helm, history) for one in reversed(gone)]
    for one in wanted:
        component = release.addons.get(one.name, _PLAIN)
        setting = addon.Setting(
            spec=spec,
            place=place,
            component=component,
            credential=credential,
        )
        found.append(_installation(one, setting, helm, history))
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
    one: addon.Addon,
    setting: addon.Setting,
    helm: addon.Image,
    history: History,
) -> Entry:
    own = one.objects(setting)
    identity = history.identity(one.name, own)
    if one.has_chart:
        # The id must not be made from itself.
        blank = addon_jobs.install(one, setting, helm, "")
        identity = history.identity(one.name, [*own, *blank])
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
    history: History,
) -> Entry:
    blank = addon_jobs.remove(one, spec, helm, "")
    identity = history.identity(one.name, blank)
    return Entry(
        name=one.name,
        id=identity,
        required=False,
        objects=tuple(addon_jobs.remove(one, spec, helm, identity)),
        job=True,
        removes=True,
    )


def _dump(data: Any) -> str:
    return json.dumps(data, sort_keys=True, separators=(",", ":"))
