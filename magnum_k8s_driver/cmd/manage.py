# SPDX-License-Identifier: Apache-2.0
"""``magnum-k8s-manage``: the operator's side of the driver.

Both commands read ``magnum.conf`` as the conductor does. ``check`` asks the
services with Magnum's own service user whether clusters could be made,
``metrics`` shows what the driver counts.
"""

import argparse
from collections.abc import Sequence
import dataclasses
from importlib import metadata
import json
import logging
import sys
import textwrap
from typing import Any

from oslo_config import cfg

from magnum_k8s_driver import choices
from magnum_k8s_driver import compat
from magnum_k8s_driver import conf
from magnum_k8s_driver import exceptions
from magnum_k8s_driver.cmd import metrics
from magnum_k8s_driver.model import site_check
from magnum_k8s_driver.ports import cloud as cloud_module
from magnum_k8s_driver.ports import site as site_port
from magnum_k8s_driver.render import releases

FINE, PROBLEMS, NOT_CHECKED = 0, 1, 2
"""Exit codes."""

_CURES = {
    401: "Correct user and password in [keystone_auth].",
    403: "Give Magnum's service user the role admin on its project.",
    404: "Give name or id of a project that exists and is enabled.",
}
_REACH = "See that the service runs and that this host reaches it."


def main(words: Sequence[str] | None = None) -> int:
    """Run the command.

    :returns: exit code: 0 when clusters can be made, 1 with problems, 2
        when that could not be found out.
    """
    options = _parser().parse_args(words)
    # Libraries warn of what the findings tell in one sentence.
    logging.basicConfig(level=logging.ERROR)
    try:
        settings = _configure(options.config_file)
        if options.command == "metrics":
            return metrics.run(options)
        found = _check(options, settings)
    except (cfg.Error, exceptions.K8sDriverError) as exc:
        print(f"magnum-k8s-manage: {exc}", file=sys.stderr)
        return NOT_CHECKED
    print(_json(found) if options.format == "json" else _text(found))
    bad = site_check.worst(found) is site_check.Level.PROBLEM
    return PROBLEMS if bad else FINE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="magnum-k8s-manage",
        description="For operators of the driver; run it where "
        "magnum-conductor runs.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser(
        "check",
        help="tell whether clusters could be made, and what to do if not",
        description="Tell whether Magnum's service user can do what the "
        "driver needs, whether services, roles, domain and images are "
        "there, and what to do where they are not. Changes nothing, unless "
        "--project is given. Exit code: 0 fine, 1 problems, 2 not checked.",
    )
    for command in (check, metrics.add_parser(commands)):
        command.add_argument(
            "--config-file",
            action="append",
            metavar="FILE",
            help="magnum.conf; may be repeated (default: where oslo.config "
            "looks for it)",
        )
    check.add_argument(
        "--image",
        action="append",
        default=[],
        metavar="IMAGE",
        help="look at this image only; may be repeated (default: all that "
        "have os_distro or kube_version)",
    )
    check.add_argument(
        "--project",
        metavar="PROJECT",
        help="grant the service user its roles on this project, log in "
        "there, list stacks, and take the roles back",
    )
    check.add_argument("--format", choices=("text", "json"), default="text")
    return parser


def _configure(files: Sequence[str] | None) -> cloud_module.CloudSettings:
    """Read magnum.conf.

    :raises oslo_config.cfg.Error: it cannot be read.
    """
    magnum_conf = cloud_module.CONF
    conf.register(magnum_conf)
    magnum_conf([], project="magnum", default_config_files=files)
    return choices.service_settings()


def _check(
    options: argparse.Namespace, settings: cloud_module.CloudSettings
) -> list[site_check.Finding]:
    anywhere = dataclasses.replace(settings, region_name=None)
    with (
        cloud_module.open_admin(anywhere) as keystone,
        cloud_module.open_admin(settings) as here,
    ):
        facts = site_port.read(
            keystone, here, settings, options.image, _configured(settings)
        )
        found = site_check.findings(facts)
        if options.project:
            found.append(_tried(options.project, keystone, settings))
    return found


def _configured(
    settings: cloud_module.CloudSettings,
) -> site_check.SiteFacts:
    """Return what needs no service."""
    magnum_conf = cloud_module.CONF
    drivers = {
        one.name for one in metadata.entry_points(group="magnum.drivers")
    }
    named = magnum_conf.drivers
    return site_check.SiteFacts(
        wanted_roles={
            "service_roles": settings.service_roles,
            "cluster_roles": tuple(magnum_conf.k8s_driver.cluster_roles),
        },
        distributions=compat.distributions(),
        minors=tuple(releases.read_releases()),
        drivers=frozenset(drivers - {*(named.disabled_drivers or ())}),
        # Magnum 22 has no default driver.
        default_driver=getattr(named, "default_driver", None) or "",
        certificates=magnum_conf.certificates.cert_manager_type,
        secret_delivery=magnum_conf.k8s_driver.secret_delivery,
    )


def _tried(
    reference: str, admin: Any, settings: cloud_module.CloudSettings
) -> site_check.Finding:
    """Try a project; a refusal is a finding."""
    subject = f"project {reference}"
    try:
        project_id = site_port.project_id(
            admin, reference, settings.request_timeout
        )
        roles = site_port.try_project(project_id, settings)
    except exceptions.CloudError as exc:
        return site_check.Finding(
            level=site_check.Level.PROBLEM,
            subject=subject,
            sentence=f"Magnum's service user cannot work there: {exc}",
            cure=_CURES.get(exc.status, _REACH),
        )
    named = ", ".join(roles) or "roles it had already"
    return site_check.Finding(
        level=site_check.Level.OK,
        subject=subject,
        sentence=f"Magnum's service user logs in with {named} and Heat "
        "answers it.",
    )


def _text(found: Sequence[site_check.Finding]) -> str:
    lines = []
    for one in found:
        lines.append(f"{one.level.upper():8} {one.sentence}")
        if one.cure:
            lines += textwrap.wrap(
                one.cure,
                width=100,
                initial_indent=" " * 9,
                subsequent_indent=" " * 9,
                break_long_words=False,
            )
    problems = sum(one.level is site_check.Level.PROBLEM for one in found)
    lines.append(
        f"{problems} problems." if problems else "Clusters can be made."
    )
    return "\n".join(lines)


def _json(found: Sequence[site_check.Finding]) -> str:
    return json.dumps([dataclasses.asdict(one) for one in found], indent=2)


if __name__ == "__main__":
    sys.exit(main())
