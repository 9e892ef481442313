# SPDX-License-Identifier: Apache-2.0
"""Asks the services what :mod:`magnum_k8s_driver.model.site_check` judges.

Nothing is changed here, except by :func:`try_project`, which says so.
"""

from collections.abc import Iterable
import dataclasses
from typing import Any

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import site_check
from magnum_k8s_driver.ports import cloud as cloud_module
from magnum_k8s_driver.ports import facts as facts_port
from magnum_k8s_driver.ports import rest as rest_module
from magnum_k8s_driver.ports import sdk_identity

_FORBIDDEN = (401, 403)
_TYPES = {
    "block-storage": ("block-storage", "volumev3", "block-store", "volume"),
    "load-balancer": ("load-balancer",),
    "compute": ("compute",),
    "identity": ("identity",),
    "image": ("image",),
    "network": ("network",),
    "orchestration": ("orchestration",),
}
"""Service -> every type under which catalogs have it."""


def read(
    keystone: Any,
    connection: Any,
    settings: cloud_module.CloudSettings,
    images: Iterable[str],
    known: site_check.SiteFacts,
) -> site_check.SiteFacts:
    """Complete what the configuration says with what the services say.

    :param keystone: connection of Magnum's service user without a region,
        so that a wrong one can be told.
    :param connection: the same in the configured region.
    :param images: names or ids; none: every image with ``os_distro`` or
        ``kube_version``.
    :param known: facts of the configuration.
    :raises CloudError: Keystone refuses the user.
    :raises CloudUnavailable: Keystone does not answer.
    """
    timeout = settings.request_timeout
    identity = rest_module.Rest(keystone, "identity", timeout=timeout)
    token = _token(keystone, identity)
    services = _services(token["catalog"], settings)
    facts = dataclasses.replace(
        known,
        user=token["user"]["name"],
        user_domain=token["user"]["domain"]["name"],
        project=(token.get("project") or {}).get("name", ""),
        roles=frozenset(one["name"] for one in token["roles"]),
        may_grant=_may_grant(identity, token),
        known_roles=_roles(identity),
        domain=settings.cluster_domain,
        domain_enabled=_domain(identity, settings.cluster_domain),
        regions=_regions(token["catalog"]),
        region=settings.region_name or "",
        services=services,
    )
    if "orchestration" in services:
        facts = dataclasses.replace(
            facts, engines=_engines(connection, timeout)
        )
    if "image" in services:
        facts = dataclasses.replace(
            facts, images=_images(connection, list(images))
        )
    return facts


def try_project(
    project_id: str, settings: cloud_module.CloudSettings
) -> tuple[str, ...]:
    """Do once what every first cluster of a project begins with.

    The service user is granted its roles on the project, logs in there, and
    lists stacks; then the grants are taken back. Where clusters have grants
    already they are used and stay.

    :returns: the roles it had there.
    :raises CloudError: which step was refused.
    """
    timeout = settings.request_timeout
    with cloud_module.open_admin(settings) as admin:
        identity = sdk_identity.SdkIdentity(
            admin, None, settings.cluster_domain, timeout=timeout
        )
        if not identity.project_exists(project_id):
            raise exceptions.CloudError(
                "identity",
                f"there is no enabled project with the id {project_id}",
                status=404,
            )
        before = identity.service_grants(project_id)
        try:
            identity.grant_service_roles(project_id, settings.service_roles)
            granted = identity.service_grants(project_id)
            with cloud_module.open_project(
                project_id, identity, settings
            ) as project:
                heat = rest_module.Rest(
                    project, "orchestration", timeout=timeout
                )
                heat.send("GET", "/stacks?limit=1")
        finally:
            if not before:
                identity.revoke_service_roles(project_id)
        return granted


def project_id(connection: Any, reference: str, timeout: float) -> str:
    """Return the id of a project of the default domain, given name or id.

    :raises CloudError: it does not exist, or several do.
    """
    identity = rest_module.Rest(connection, "identity", timeout=timeout)
    found = identity.send("GET", f"/projects?name={reference}")["projects"]
    if len(found) > 1:
        raise exceptions.CloudError(
            "identity",
            f"there are {len(found)} projects {reference}; give the id",
        )
    return str(found[0]["id"]) if found else reference


def _token(connection: Any, identity: rest_module.Rest) -> dict[str, Any]:
    """Return what Keystone says about the token in use."""
    # First, because it turns a refused log-in into an error of ours.
    identity.user_id()
    headers = {"X-Subject-Token": connection.session.get_token()}
    own = rest_module.Rest(connection, "identity", headers=headers)
    return dict(own.send("GET", "/auth/tokens")["token"])


def _services(
    catalog: Any, settings: cloud_module.CloudSettings
) -> frozenset[str]:
    there = {
        one["type"]
        for one in catalog
        for endpoint in one["endpoints"]
        if endpoint["interface"] == settings.interface
        and settings.region_name in (None, "", endpoint["region_id"])
    }
    return frozenset(
        name for name, types in _TYPES.items() if there & {*types}
    )


def _regions(catalog: Any) -> frozenset[str]:
    return frozenset(
        endpoint["region_id"]
        for one in catalog
        if one["type"] in _TYPES
        for endpoint in one["endpoints"]
        if endpoint.get("region_id")
    )


def _may_grant(identity: rest_module.Rest, token: dict[str, Any]) -> bool:
    """Look at an assignment, which asks for the rights that making one does.

    Keystone's policies check_grant and create_grant have the same default,
    and come before the answer. That may be "not found": a token also lists
    roles that nobody assigned because another one implies them.
    """
    project = (token.get("project") or {}).get("id")
    if not project:
        return False
    user, role = token["user"]["id"], token["roles"][0]["id"]
    try:
        identity.exists(f"/projects/{project}/users/{user}/roles/{role}")
    except exceptions.CloudError as exc:
        if exc.status in _FORBIDDEN:
            return False
        raise
    return True


def _roles(identity: rest_module.Rest) -> frozenset[str]:
    try:
        found = identity.send("GET", "/roles")["roles"]
    except exceptions.CloudError as exc:
        if exc.status in _FORBIDDEN:
            return frozenset()
        raise
    return frozenset(x["name"] for x in found if not x.get("domain_id"))


def _domain(identity: rest_module.Rest, wanted: str) -> bool | None:
    try:
        found = identity.send("GET", "/domains")["domains"]
    except exceptions.CloudError as exc:
        if exc.status in _FORBIDDEN:
            return None
        raise
    for one in found:
        if wanted in (one["name"], one["id"]):
            return bool(one["enabled"])
    return None


def _engines(connection: Any, timeout: float) -> dict[str, bool] | None:
    heat = rest_module.Rest(connection, "orchestration", timeout=timeout)
    try:
        found = heat.send("GET", "/services")["services"]
    except exceptions.CloudUnavailable:
        return {}
    except exceptions.CloudError as exc:
        if exc.status in _FORBIDDEN:
            return None
        raise
    return {one["engine_id"]: one["status"] == "up" for one in found}


def _images(
    connection: Any, wanted: list[str]
) -> tuple[facts_module.ImageFacts, ...]:
    if not wanted:
        wanted = [
            image.id
            for image in connection.image.images()
            if image.os_distro or (image.properties or {}).get("kube_version")
        ]
    references = facts_module.References(images=frozenset(wanted))
    found = facts_port.SdkFacts(connection).read(references).images
    return tuple(
        one
        if isinstance(one, facts_module.ImageFacts)
        else facts_module.ImageFacts(id=name, name=name, status="missing")
        for name, one in sorted(found.items())
    )
