# SPDX-License-Identifier: Apache-2.0
"""What an operator has to know of a cloud before its first cluster.

Facts of the site go in, findings come out: each one sentence that says what
is there, and where something is wrong one more that says what to do.
"""

from collections.abc import Iterator, Mapping, Sequence
import dataclasses
import enum

from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import version as version_module

NEEDED = ("identity", "compute", "image", "network", "orchestration")
"""Services without which no cluster can be made."""

WANTED = {
    "load-balancer": "clusters with master_lb_enabled and Kubernetes "
    "services of type LoadBalancer",
    "block-storage": "boot, etcd and container volumes, and volumes of pods",
}
"""Services that some clusters need, and for what."""

DRIVER = "k8s_kubeadm_v1"
READABLE = "user_data"
"""Delivery of secrets that readers of a project can follow."""


class Level(enum.StrEnum):
    """How much a finding matters."""

    OK = "ok"
    NOTE = "note"
    """It works, but somebody should know."""
    PROBLEM = "problem"
    """Clusters would fail."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was looked at."""

    level: Level
    subject: str
    """What it is about, in one or two words: ``roles``."""
    sentence: str
    cure: str = ""
    """What to do; empty when there is nothing to be done."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SiteFacts:
    """What configuration and services say."""

    user: str = ""
    """Name of Magnum's service user."""
    user_domain: str = "Default"
    project: str = ""
    """Name of the project the user is configured for."""
    roles: frozenset[str] = frozenset()
    """Roles it has there."""
    may_grant: bool = True
    """Keystone lets it look at, and so make, role assignments."""
    known_roles: frozenset[str] = frozenset()
    """Every role of the cloud that is of no domain."""
    wanted_roles: Mapping[str, Sequence[str]] = dataclasses.field(
        default_factory=dict
    )
    """Option name -> roles it names."""
    domain: str = ""
    """``[k8s_driver] cluster_domain``."""
    domain_enabled: bool | None = None
    """None: there is no such domain."""
    services: frozenset[str] = frozenset()
    """Types in the catalog that answer in the configured region."""
    regions: frozenset[str] = frozenset()
    region: str = ""
    """``[k8s_driver] region_name``."""
    engines: Mapping[str, bool] | None = None
    """Heat engine -> whether it is up; None: it could not be asked."""
    images: Sequence[facts_module.ImageFacts] | None = None
    """None: Glance could not be asked."""
    distributions: Sequence[str] = ()
    """Values of ``os_distro`` that the driver serves."""
    minors: Sequence[str] = ()
    """Minor versions of Kubernetes that the driver knows."""
    drivers: frozenset[str] = frozenset()
    """Entry points in the group ``magnum.drivers``."""
    default_driver: str = ""
    certificates: str = ""
    """``[certificates] cert_manager_type``."""
    secret_delivery: str = ""


def findings(site: SiteFacts) -> list[Finding]:
    """Return everything there is to say, in the order of an installation."""
    checks = (
        _drivers,
        _certificates,
        _regions,
        _catalog,
        _user,
        _roles,
        _domain,
        _heat,
        _images,
        _secrets,
    )
    return [one for check in checks for one in check(site)]


def worst(found: Sequence[Finding]) -> Level:
    """Return the gravest level."""
    order = list(Level)
    return max((one.level for one in found), key=order.index, default=Level.OK)


def _ok(subject: str, sentence: str) -> Finding:
    return Finding(level=Level.OK, subject=subject, sentence=sentence)


def _note(subject: str, sentence: str, cure: str) -> Finding:
    return Finding(
        level=Level.NOTE, subject=subject, sentence=sentence, cure=cure
    )


def _problem(subject: str, sentence: str, cure: str) -> Finding:
    return Finding(
        level=Level.PROBLEM, subject=subject, sentence=sentence, cure=cure
    )


def _drivers(site: SiteFacts) -> Iterator[Finding]:
    if DRIVER not in site.drivers:
        yield _problem(
            "driver",
            f"Magnum does not find the driver {DRIVER} in this Python.",
            "Install magnum-k8s-driver into the environment that "
            "magnum-api and magnum-conductor run in.",
        )
        return
    others = sorted(site.drivers - {DRIVER})
    if others and site.default_driver != DRIVER:
        yield _note(
            "driver",
            f"Magnum also finds {', '.join(others)} and picks one of them "
            "for images that both serve.",
            f"Set [drivers] default_driver = {DRIVER}, or name the others "
            "in [drivers] disabled_drivers.",
        )
    else:
        yield _ok("driver", f"Magnum finds the driver {DRIVER}.")


def _certificates(site: SiteFacts) -> Iterator[Finding]:
    if site.certificates == "local":
        yield _problem(
            "certificates",
            "Keys of clusters would be kept on the disk of one conductor, "
            "where the others do not find them.",
            "Set [certificates] cert_manager_type to barbican or x509keypair.",
        )
    else:
        yield _ok(
            "certificates",
            f"Keys of clusters are kept by {site.certificates}.",
        )


def _regions(site: SiteFacts) -> Iterator[Finding]:
    names = ", ".join(sorted(site.regions))
    if site.region and site.region not in site.regions:
        yield _problem(
            "region",
            f"The catalog has no region {site.region}; it has {names}.",
            "Correct [k8s_driver] region_name.",
        )
    elif not site.region and len(site.regions) > 1:
        yield _problem(
            "region",
            f"The catalog has the regions {names} and none is chosen.",
            "Set [k8s_driver] region_name to the region of this Magnum.",
        )


def _catalog(site: SiteFacts) -> Iterator[Finding]:
    if site.region and site.region not in site.regions:
        return
    for one in NEEDED:
        if one not in site.services:
            yield _problem(
                "services",
                f"The service {one} is not in the catalog.",
                "Register its endpoint; no cluster can be made without it.",
            )
    for one, purpose in WANTED.items():
        if one not in site.services:
            yield _note(
                "services",
                f"The service {one} is not in the catalog, so there are no "
                f"{purpose}.",
                "Register its endpoint, or tell users.",
            )
    if site.services.issuperset((*NEEDED, *WANTED)):
        yield _ok("services", "All services are in the catalog.")


def _user(site: SiteFacts) -> Iterator[Finding]:
    who = f"Magnum's service user {site.user}"
    if site.may_grant:
        yield _ok("service user", f"{who} may grant roles on projects.")
        return
    has = ", ".join(sorted(site.roles)) or "none"
    yield _problem(
        "service user",
        f"{who} may not grant roles on projects; its roles on the project "
        f"{site.project} are: {has}.",
        f"Run: openstack role add --user {site.user} --user-domain "
        f"{site.user_domain} --project {site.project} admin",
    )


def _roles(site: SiteFacts) -> Iterator[Finding]:
    for option, roles in site.wanted_roles.items():
        absent = [one for one in roles if one not in site.known_roles]
        if not roles or roles[0] in absent:
            first = roles[0] if roles else ""
            yield _problem(
                "roles",
                f"There is no role {first!r}, the first of [k8s_driver] "
                f"{option}.",
                f"Run: openstack role create {first}, or correct the option.",
            )
        elif absent and "load-balancer" in site.services:
            yield _note(
                "roles",
                f"The cloud has no role {', '.join(absent)} of [k8s_driver] "
                f"{option}; it is left out.",
                "Create it if Octavia's policy asks for it, otherwise take "
                "it off the option.",
            )
        else:
            yield _ok("roles", f"The roles of {option} are there.")


def _domain(site: SiteFacts) -> Iterator[Finding]:
    if site.domain_enabled is None:
        yield _problem(
            "domain",
            f"There is no domain {site.domain} for the users of clusters.",
            f"Run: openstack domain create {site.domain}",
        )
    elif not site.domain_enabled:
        yield _problem(
            "domain",
            f"The domain {site.domain} is disabled; users in it cannot log "
            "in.",
            f"Run: openstack domain set --enable {site.domain}",
        )
    else:
        yield _ok("domain", f"The domain {site.domain} is there.")


def _heat(site: SiteFacts) -> Iterator[Finding]:
    if "orchestration" not in site.services:
        return
    if site.engines is None:
        yield _note(
            "heat",
            "Heat answers, but does not tell this user how its engines are.",
            "Look with: openstack orchestration service list",
        )
        return
    up = [name for name, alive in site.engines.items() if alive]
    if not up:
        yield _problem(
            "heat",
            "Heat answers, but none of its engines is up.",
            "Start heat-engine and read its log.",
        )
    else:
        yield _ok("heat", f"Heat answers with {len(up)} engines up.")


def _images(site: SiteFacts) -> Iterator[Finding]:
    if site.images is None:
        return
    fit = []
    for image in site.images:
        found = list(image_findings(image, site.distributions, site.minors))
        yield from found
        if worst(found) is not Level.PROBLEM:
            fit.append(image.name)
    if not fit:
        yield _problem(
            "images",
            "No image that nodes could boot from was found.",
            "Upload one with the property os_distro; the image guide says "
            "how.",
        )


def image_findings(
    image: facts_module.ImageFacts,
    distributions: Sequence[str],
    minors: Sequence[str],
) -> Iterator[Finding]:
    """Say whether nodes can boot from an image."""
    subject, name = f"image {image.name}", f"Image {image.name}"
    if image.status != "active":
        yield _problem(
            subject, f"{name} is {image.status}.", "Upload it again."
        )
    if image.distro not in distributions:
        has = f"os_distro={image.distro}" if image.distro else "no os_distro"
        yield _problem(
            subject,
            f"{name} has {has}; the driver serves {', '.join(distributions)}.",
            f"Run: openstack image set --property os_distro=... {image.name}",
        )
        return
    yield _version(image, minors)


def _version(image: facts_module.ImageFacts, minors: Sequence[str]) -> Finding:
    """Say what the image's property ``kube_version`` means."""
    subject, name = f"image {image.name}", f"Image {image.name}"
    text = image.kubernetes_version
    if not text:
        return _ok(
            subject,
            f"{name} is plain {image.distro}: nodes download Kubernetes.",
        )
    try:
        version = version_module.KubernetesVersion.parse(text)
    except ValueError as exc:
        return _problem(
            subject,
            f"{name} has kube_version={text}, which must be {exc}.",
            f"Run: openstack image set --property kube_version=... "
            f"{image.name}",
        )
    if version.minor not in minors:
        return _problem(
            subject,
            f"{name} holds Kubernetes {version}; supported are "
            f"{', '.join(minors)}.",
            "Use an image of one of these.",
        )
    return _ok(subject, f"{name} holds Kubernetes {version}.")


def _secrets(site: SiteFacts) -> Iterator[Finding]:
    if site.secret_delivery == READABLE:
        yield _note(
            "secrets",
            "Keys of a cluster stand in the user data of its control plane, "
            "where every reader of its project can read them.",
            "Give the role reader only to people who may administer the "
            "project's clusters.",
        )
