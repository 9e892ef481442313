# SPDX-License-Identifier: Apache-2.0
"""``magnum-k8s-preflight``: whether a cluster could be made, before it is.

The same checks as the driver's own, with the rights of whoever calls it.
Nothing is made and nothing is changed.
"""

import argparse
from collections.abc import Mapping
import json
import sys
import types
from typing import Any

from magnum_k8s_driver import exceptions
from magnum_k8s_driver import intake
from magnum_k8s_driver.cmd import columns
from magnum_k8s_driver.converge import preflight
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import quota
from magnum_k8s_driver.ports import user_cloud
from magnum_k8s_driver.render import releases

_UUID = "00000000-0000-4000-8000-{:012d}"
"""Of a cluster that does not exist yet, and its groups."""
_OVERRIDES = (
    "flavor_id",
    "master_flavor_id",
    "docker_volume_size",
    "fixed_network",
    "fixed_subnet",
    "master_lb_enabled",
    "floating_ip_enabled",
)
"""Fields of a template that a cluster may set otherwise."""

FITS, REFUSED, NOT_CHECKED = 0, 1, 2
"""Exit codes."""


def main(words: list[str] | None = None) -> int:
    """Run the command.

    :returns: exit code: 0 when the cluster could be made, 1 with problems,
        2 when that could not be found out.
    """
    options = _parser().parse_args(words)
    try:
        found = _examine(options)
    except exceptions.K8sDriverError as exc:
        print(f"magnum-k8s-preflight: {exc}", file=sys.stderr)
        return NOT_CHECKED
    show = _json if options.format == "json" else _table
    print(show(found))
    return REFUSED if found.problems else FITS


def inputs_of(
    template: Mapping[str, Any], options: argparse.Namespace, project_id: str
) -> fields.ClusterInputs:
    """Return the request that Magnum would hand to the driver.

    :param template: a cluster template as Magnum's API shows it.
    """
    labels = dict(options.labels)
    theirs = template.get("labels") or {}
    if not labels or options.merge_labels:
        # Magnum: labels of a request replace the template's unless merged.
        labels = {**theirs, **labels}
    settled = {
        name: template.get(name)
        if getattr(options, name) is None
        else getattr(options, name)
        for name in _OVERRIDES
    }
    cluster = types.SimpleNamespace(
        uuid=_UUID.format(0),
        name=options.name,
        project_id=project_id,
        labels=labels,
        keypair=options.keypair,
        create_timeout=None,
        **settled,
    )
    counts = (("master", options.master_count), ("worker", options.node_count))
    groups = [
        _group(number, role, count, cluster, template)
        for number, (role, count) in enumerate(counts, start=1)
    ]
    return intake.inputs(cluster, types.SimpleNamespace(**template), groups)


def _group(
    number: int,
    role: str,
    count: int,
    cluster: types.SimpleNamespace,
    template: Mapping[str, Any],
) -> types.SimpleNamespace:
    """Return a default group as Magnum's conductor makes it."""
    return types.SimpleNamespace(
        uuid=_UUID.format(number),
        name=f"default-{role}",
        role=role,
        node_count=count,
        image_id=template.get("image_id"),
        flavor_id=None,
        docker_volume_size=cluster.docker_volume_size,
        min_node_count=0,
        max_node_count=None,
        labels=cluster.labels,
    )


def _examine(options: argparse.Namespace) -> preflight.Examination:
    with user_cloud.open_cloud(
        options.os_cloud,
        heat_stacks=options.heat_stacks,
        heat_resources=options.heat_resources,
    ) as cloud:
        template = cloud.template(options.cluster_template)
        inputs = inputs_of(template, options, cloud.project_id)
        site = fields.Site(
            kubernetes_versions={
                minor: release.kubernetes_version
                for minor, release in releases.read_releases().items()
            }
        )
        return preflight.examine(inputs, cloud.facts, site)


def _rows(found: preflight.Examination) -> list[dict[str, Any]]:
    """Return one row for each quota that something is needed of."""
    rows = []
    both = [*found.needed.totals.items(), *found.needed.each.items()]
    for key, needed in sorted(both):
        allowance = found.allowances.get(key)
        single = key in found.needed.each
        limit = None if allowance is None else allowance.limit
        left = None
        if allowance is not None and allowance.limit >= 0:
            left = allowance.limit if single else allowance.free
        rows.append(
            {
                "quota": key,
                "what": quota.describe(key).title,
                "needed": needed,
                "left": left,
                "limit": limit,
                "fits": limit is None or left is None or needed <= left,
            }
        )
    return rows


def _json(found: preflight.Examination) -> str:
    document = {
        "fits": not found.problems,
        "problems": [
            {"subject": one.subject, "sentence": one.sentence}
            for one in found.problems
        ],
        "warnings": list(found.warnings),
        "quotas": _rows(found),
    }
    return json.dumps(document, indent=2)


def _table(found: preflight.Examination) -> str:
    lines = []
    rows = []
    for row in _rows(found):
        unlimited = row["limit"] == quota.UNLIMITED
        unknown = "unlimited" if unlimited else "not told"
        left = unknown if row["left"] is None else str(row["left"])
        verdict = "ok" if row["fits"] else "TOO LOW"
        rows.append((row["what"], str(row["needed"]), left, verdict))
    if rows:
        lines += columns.aligned(("Quota", "Needed", "Left", ""), rows)
        lines.append("")
    lines += [f"Warning: {one}" for one in found.warnings]
    sentences = dict.fromkeys(str(one) for one in found.problems)
    lines += [f"Problem: {one}" for one in sentences]
    if not found.problems:
        lines.append("Nothing speaks against making this cluster.")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="magnum-k8s-preflight",
        description="Tell whether a cluster of a template could be made now. "
        "Exit code 0: yes, 1: no, 2: could not be found out.",
    )
    add = parser.add_argument
    add("cluster_template", help="name or UUID")
    add("--os-cloud", metavar="CLOUD", help="entry of clouds.yaml")
    add("--format", choices=("table", "json"), default="table")
    for name, option in (
        ("stacks", "max_stacks_per_tenant"),
        ("resources", "max_resources_per_stack"),
    ):
        add(
            f"--heat-{name}",
            type=int,
            default=quota.UNLIMITED,
            metavar="N",
            help=f"Heat's {option}, which no API tells; default: not checked",
        )
    _add_fields(parser)
    return parser


def _add_fields(parser: argparse.ArgumentParser) -> None:
    """Add what ``openstack coe cluster create`` takes, too."""
    add = parser.add_argument
    add("--name", default="preflight", help="name of the cluster")
    add("--master-count", type=int, default=1, metavar="N")
    add("--node-count", type=int, default=1, metavar="N")
    add(
        "--labels",
        action=_Labels,
        default={},
        metavar="KEY=VALUE[,...]",
        help="repeat it for values with commas",
    )
    add(
        "--merge-labels",
        action="store_true",
        help="add labels to the template's instead of replacing them",
    )
    add("--keypair")
    for name in ("flavor", "master-flavor"):
        add(f"--{name}", dest=f"{name.replace('-', '_')}_id")
    add("--docker-volume-size", type=int, metavar="GIB")
    add("--fixed-network")
    add("--fixed-subnet")
    for name in ("master-lb", "floating-ip"):
        add(
            f"--{name}-enabled",
            action=argparse.BooleanOptionalAction,
            default=None,
        )


class _Labels(argparse.Action):
    """Collects ``key=value,key=value`` as python-magnumclient reads it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        found = dict(getattr(namespace, self.dest))
        # A comma only separates where a key follows.
        last = ""
        for part in str(values).split(","):
            key, equals, value = part.partition("=")
            if equals:
                last = key.strip()
                found[last] = value
            elif last:
                found[last] += f",{part}"
            else:
                parser.error(f"{option_string} {values}: write KEY=VALUE")
        setattr(namespace, self.dest, found)


if __name__ == "__main__":
    sys.exit(main())
