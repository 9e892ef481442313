# SPDX-License-Identifier: Apache-2.0
"""Make users, roles, domains and the catalog; run in the lab's venv.

Whatever is there already is left as it is.
"""

from keystoneauth1 import session as keystone_session
from keystoneauth1.identity import v3

from lab import magnum_22
from lab import settings as lab_settings

ROLES = (
    "admin",
    "creator",
    "heat_stack_owner",
    "heat_stack_user",
    "load-balancer_admin",
    "load-balancer_global_observer",
    "load-balancer_member",
    "load-balancer_observer",
    "load-balancer_quota_admin",
    "manager",
    "member",
    "reader",
    "service",
)

SERVICE_USERS = (
    "barbican",
    "cinder",
    "glance",
    "heat",
    "magnum",
    "neutron",
    "nova",
    "octavia",
    "placement",
)

TENANT = ("member", "load-balancer_member", "creator")
PEOPLE = (
    ("demo", "demo", TENANT),
    ("demo", "demo2", TENANT),
    ("demo", "demo-reader", ("reader",)),
    ("other", "other", TENANT),
)

DOMAINS = {
    "heat": "heat_domain_admin",
    "magnum": None,
    magnum_22.TRUSTEES: magnum_22.TRUSTEE_ADMIN,
}
"""The driver makes one user for each cluster in the second; only Magnum 22
uses the last."""

CATALOG = (
    ("glance", "image", "glance", ""),
    ("placement", "placement", "placement", ""),
    ("nova", "compute", "nova", "/v2.1"),
    ("neutron", "network", "neutron", ""),
    ("heat", "orchestration", "heat", "/v1/%(tenant_id)s"),
    ("octavia", "load-balancer", "octavia", ""),
    ("cinderv3", "volumev3", "cinder", "/v3/%(tenant_id)s"),
    ("cinder", "block-storage", "cinder", "/v3/%(tenant_id)s"),
    ("magnum", "container-infra", "magnum", "/v1"),
    ("barbican", "key-manager", "barbican", ""),
)


def log_in(settings: lab_settings.Settings) -> keystone_session.Session:
    """Return a session of the administrator."""
    return keystone_session.Session(
        auth=v3.Password(
            auth_url=settings.identity_url,
            username="admin",
            password=lab_settings.PASSWORD,
            project_name="admin",
            user_domain_name="Default",
            project_domain_name="Default",
        )
    )


class Identity:
    """Keystone, as far as seeding needs it."""

    def __init__(self, settings: lab_settings.Settings) -> None:
        self._settings = settings
        self._session = log_in(settings)

    def call(self, method: str, path: str, body: object = None) -> dict:
        answer = self._session.request(
            self._settings.identity_url + path, method, json=body
        )
        return answer.json() if answer.text else {}

    def ensure(
        self, kind: str, name: str, query: str = "", **body: object
    ) -> str:
        """Return the id of a thing of this name, made if need be."""
        found = self.call("GET", f"/{kind}s?name={name}{query}")[f"{kind}s"]
        if found:
            return found[0]["id"]
        made = self.call("POST", f"/{kind}s", {kind: {"name": name, **body}})
        return made[kind]["id"]

    def user(self, name: str, domain: str = "default") -> str:
        return self.ensure(
            "user",
            name,
            f"&domain_id={domain}",
            domain_id=domain,
            password=lab_settings.PASSWORD,
        )

    def project(self, name: str) -> str:
        return self.ensure("project", name, domain_id="default")

    def grant(self, scope: str, user: str, role: str) -> None:
        self.call("PUT", f"/{scope}/users/{user}/roles/{role}")

    def catalog(self) -> None:
        """Publish the services; correct the addresses of published ones."""
        present = {
            (endpoint["service_id"], endpoint["interface"]): endpoint
            for endpoint in self.call("GET", "/endpoints")["endpoints"]
        }
        for name, kind, service, path in CATALOG:
            if self._absent(service):
                continue
            service_id = self.ensure("service", name, type=kind)
            for interface in ("public", "internal"):
                self._endpoint(
                    present.get((service_id, interface)),
                    service_id=service_id,
                    interface=interface,
                    url=self._settings.url(service, path),
                    region_id=lab_settings.REGION,
                )

    def _absent(self, service: str) -> bool:
        extra = service in lab_settings.EXTRAS
        return extra and service not in self._settings.extras

    def _endpoint(self, present: dict | None, **wanted: str) -> None:
        body = {"endpoint": wanted}
        if present is None:
            self.call("POST", "/endpoints", body)
        elif present["url"] != wanted["url"]:
            self.call("PATCH", f"/endpoints/{present['id']}", body)


def seed(identity: Identity) -> None:
    roles = {name: identity.ensure("role", name) for name in ROLES}
    service = f"projects/{identity.project('service')}"
    for name in SERVICE_USERS:
        user = identity.user(name)
        for role in ("admin", "service"):
            identity.grant(service, user, roles[role])
    for name, administrator in DOMAINS.items():
        domain = identity.ensure("domain", name)
        if administrator:
            user = identity.user(administrator, domain)
            identity.grant(f"domains/{domain}", user, roles["admin"])
    for project, name, wanted in PEOPLE:
        scope = f"projects/{identity.project(project)}"
        user = identity.user(name)
        for role in wanted:
            identity.grant(scope, user, roles[role])
    admin = identity.user("admin")
    scope = f"projects/{identity.project('admin')}"
    for role in ("load-balancer_admin", "creator"):
        identity.grant(scope, admin, roles[role])
    identity.catalog()


if __name__ == "__main__":
    seed(Identity(lab_settings.read()))
