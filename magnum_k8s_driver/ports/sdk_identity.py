# SPDX-License-Identifier: Apache-2.0
"""Keystone over HTTP, by admin rights."""

from collections.abc import Sequence
import time
from typing import Any
import urllib.parse

from keystoneauth1 import session as ksa_session
from keystoneauth1.identity import v3
from openstack import connection as sdk_connection

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import identity
from magnum_k8s_driver.ports import rest

TAG = "magnum-k8s-grant:"
"""Start of the project tags that record grants; the role's name follows."""

_UNAUTHORIZED = 401
_BAD_REQUEST = 400
_REVOCATION_SECONDS = 1.1


class SdkIdentity:
    """Roles, the cluster's user and its application credential.

    :param connection: an ``openstack.connection.Connection`` of an
        administrator.
    :param service_user_id: Magnum's service user, who is granted roles; None:
        the connection's own user.
    :param cluster_domain: name or id of the domain of cluster users.
    """

    def __init__(
        self,
        connection: Any,
        service_user_id: str | None,
        cluster_domain: str,
        *,
        timeout: float = rest.TIMEOUT,
    ) -> None:
        self._connection = connection
        self._rest = rest.Rest(connection, "identity", timeout=timeout)
        self._service_user_id = service_user_id
        self._cluster_domain = cluster_domain
        self._timeout = timeout
        self.roles_changed = False
        """Whether the service user was given roles, or lost some, by this."""

    def project_exists(self, project_id: str) -> bool:
        """Tell whether the project is there and enabled."""
        document = self._rest.find(f"/projects/{project_id}")
        return bool(document and document["project"].get("enabled"))

    def grant_service_roles(
        self, project_id: str, roles: Sequence[str]
    ) -> None:
        """Give the service user the roles on the project.

        The tag comes first: a grant that nobody recorded would stay for
        ever, a record without a grant is completed here or removed later.
        """
        user_id = self._service_user()
        for name, role_id in self._known(roles):
            grant = _grant(project_id, user_id, role_id)
            if self._rest.exists(grant):
                continue
            self._record(_tag(project_id, name))
            self.roles_changed = True
            self._rest.send("PUT", grant)

    def _record(self, tag: str) -> None:
        """Tag a project; Keystone answers 400 to a tag that is there."""
        if self._rest.exists(tag):
            return
        try:
            self._rest.send("PUT", tag)
        except exceptions.CloudError as exc:
            # Another conductor may have been faster.
            if exc.status != _BAD_REQUEST or not self._rest.exists(tag):
                raise

    def revoke_service_roles(self, project_id: str) -> None:
        """Take back the recorded grants and their records."""
        for name in self.service_grants(project_id):
            role_id = self._role(name)
            self.roles_changed = True
            if role_id is not None:
                self._rest.discard(
                    _grant(project_id, self._service_user(), role_id)
                )
            self._rest.discard(_tag(project_id, name))

    def service_grants(self, project_id: str) -> tuple[str, ...]:
        """Return the names of roles that were granted by the driver."""
        document = self._rest.find(f"/projects/{project_id}/tags") or {}
        return tuple(
            sorted(
                urllib.parse.unquote(tag.removeprefix(TAG))
                for tag in document.get("tags") or ()
                if tag.startswith(TAG)
            )
        )

    def ensure_cluster_user(
        self,
        cluster_uuid: str,
        project_id: str,
        password: str,
        roles: Sequence[str],
    ) -> str:
        """Make the cluster's user with that password and return its id."""
        domain_id = self._domain()
        if domain_id is None:
            raise exceptions.CloudError(
                self._rest.service,
                f"there is no domain {self._cluster_domain!r} for the users "
                "of clusters; create it or name another one in [k8s_driver] "
                "cluster_domain",
            )
        granted = self._known(roles)
        user = self._user(domain_id, cluster_uuid)
        if user is None:
            user = self._create_user(domain_id, cluster_uuid, password)
        self._repair(user, password)
        user_id = str(user["id"])
        for _name, role_id in granted:
            self._rest.send("PUT", _grant(project_id, user_id, role_id))
        return user_id

    def ensure_application_credential(
        self,
        user_id: str,
        password: str,
        project_id: str,
        name: str,
        secret: str,
    ) -> identity.ApplicationCredential:
        """Make the user's application credential with the given secret.

        Only the user itself may do so, with its password. One of the same
        name is kept when the secret logs in with it, and replaced otherwise:
        programs in a running cluster would lose theirs for nothing. The user
        has the given password afterwards.
        """
        self._repair({"id": user_id}, password)
        own = self._own_rest(user_id, password, project_id)
        path = _credentials(user_id)
        found = own.find(path, {"name": name}) or {}
        for one in found.get("application_credentials") or ():
            if one["name"] != name:
                continue
            if self._logs_in(
                {
                    "methods": ["application_credential"],
                    "application_credential": {
                        "id": one["id"],
                        "secret": secret,
                    },
                }
            ):
                return identity.ApplicationCredential(
                    id=str(one["id"]), secret=secret
                )
            own.discard(f"{path}/{one['id']}")
        made = own.send(
            "POST",
            path,
            {
                "application_credential": {
                    "name": name,
                    "secret": secret,
                    "description": "Made by magnum-k8s-driver",
                    "unrestricted": False,
                }
            },
        )
        return identity.ApplicationCredential(
            id=str(made["application_credential"]["id"]), secret=secret
        )

    def keep_application_credential(
        self, user_id: str, password: str, project_id: str, name: str
    ) -> None:
        """Delete every application credential of the user but this one."""
        own = self._own_rest(user_id, password, project_id)
        path = _credentials(user_id)
        found = own.find(path) or {}
        for one in found.get("application_credentials") or ():
            if one["name"] != name:
                own.discard(f"{path}/{one['id']}")

    def find_cluster_user(self, cluster_uuid: str) -> str | None:
        """Return the id of the cluster's user."""
        domain_id = self._domain()
        user = self._user(domain_id, cluster_uuid) if domain_id else None
        return str(user["id"]) if user else None

    def disable_cluster_user(self, cluster_uuid: str) -> None:
        """Disable the user: nothing in the cluster can act any more."""
        user_id = self.find_cluster_user(cluster_uuid)
        if user_id is None:
            return
        try:
            self._change_user(user_id, enabled=False)
        except exceptions.CloudError as exc:
            if exc.status != 404:
                raise

    def delete_cluster_user(self, cluster_uuid: str) -> None:
        """Delete the user with its credentials and role assignments."""
        user_id = self.find_cluster_user(cluster_uuid)
        if user_id is not None:
            self._rest.discard(f"/users/{user_id}")

    def _service_user(self) -> str:
        return self._service_user_id or self._rest.user_id()

    def _domain(self) -> str | None:
        """Return the id of the domain of cluster users."""
        wanted = self._cluster_domain
        found = self._rest.find("/domains", {"name": wanted}) or {}
        for one in found.get("domains") or ():
            if one["name"] == wanted:
                return str(one["id"])
        quoted = urllib.parse.quote(wanted, safe="")
        document = self._rest.find(f"/domains/{quoted}")
        return str(document["domain"]["id"]) if document else None

    def _user(self, domain_id: str, name: str) -> dict[str, Any] | None:
        query = {"domain_id": domain_id, "name": name}
        document = self._rest.find("/users", query) or {}
        for one in document.get("users") or ():
            if one["name"] == name:
                return dict(one)
        return None

    def _create_user(
        self, domain_id: str, name: str, password: str
    ) -> dict[str, Any]:
        body = {
            "name": name,
            "domain_id": domain_id,
            "password": password,
            "enabled": True,
            "description": f"Kubernetes cluster {name}, magnum-k8s-driver",
            # Rules for people would lock out a program after a while.
            "options": {
                "ignore_change_password_upon_first_use": True,
                "ignore_password_expiry": True,
                "ignore_lockout_failure_attempts": True,
            },
        }
        try:
            made = self._rest.send("POST", "/users", {"user": body})
        except exceptions.CloudConflict:
            found = self._user(domain_id, name)
            if found is None:
                raise
            return found
        return dict(made["user"])

    def _repair(self, user: dict[str, Any], password: str) -> None:
        """Enable the user and set its password where that is needed.

        Not without need: setting a password revokes the user's tokens.
        """
        user_id = str(user["id"])
        if not user.get("enabled", True):
            self._change_user(user_id, enabled=True)
        if not self._logs_in(_by_password(user_id, password)):
            self._change_user(user_id, password=password)
            # Keystone revokes what was issued before, in whole seconds: a
            # token of this very second would be refused wherever it is used.
            time.sleep(_REVOCATION_SECONDS)

    def _change_user(self, user_id: str, **changes: Any) -> None:
        self._rest.send("PATCH", f"/users/{user_id}", {"user": changes})

    def _logs_in(self, method: dict[str, Any]) -> bool:
        body = {"auth": {"identity": method}}
        if "password" in method["methods"]:
            body["auth"]["scope"] = "unscoped"  # type: ignore[assignment]
        try:
            self._rest.send("POST", "/auth/tokens", body)
        except exceptions.CloudError as exc:
            if exc.status == _UNAUTHORIZED:
                return False
            raise
        return True

    def _own_rest(
        self, user_id: str, password: str, project_id: str
    ) -> rest.Rest:
        """Return what speaks as a user: nobody else may do these things."""
        return rest.Rest(
            self._as_user(user_id, password, project_id),
            "identity",
            timeout=self._timeout,
        )

    def _as_user(
        self, user_id: str, password: str, project_id: str
    ) -> sdk_connection.Connection:
        session = self._connection.session
        auth = v3.Password(
            auth_url=self._rest.endpoint(),
            user_id=user_id,
            password=password,
            project_id=project_id,
        )
        own = ksa_session.Session(
            auth=auth,
            verify=session.verify,
            cert=session.cert,
            timeout=self._timeout,
        )
        region = self._connection.config.get_region_name()
        interface = self._connection.config.get_interface()
        return sdk_connection.Connection(
            session=own, region_name=region, interface=interface
        )

    def _known(self, roles: Sequence[str]) -> list[tuple[str, str]]:
        """Return name and id of the roles that exist.

        :raises CloudError: the first one does not.
        """
        found = []
        for index, name in enumerate(roles):
            role_id = self._role(name)
            if role_id is not None:
                found.append((name, role_id))
            elif index == 0:
                raise exceptions.CloudError(
                    self._rest.service, f"there is no role {name!r}"
                )
        return found

    def _role(self, name: str) -> str | None:
        document = self._rest.find("/roles", {"name": name}) or {}
        for one in document.get("roles") or ():
            # Roles of a domain cannot be granted on projects of another.
            if one["name"] == name and not one.get("domain_id"):
                return str(one["id"])
        return None


def _by_password(user_id: str, password: str) -> dict[str, Any]:
    user = {"id": user_id, "password": password}
    return {"methods": ["password"], "password": {"user": user}}


def _credentials(user_id: str) -> str:
    return f"/users/{user_id}/application_credentials"


def _grant(project_id: str, user_id: str, role_id: str) -> str:
    return f"/projects/{project_id}/users/{user_id}/roles/{role_id}"


def _tag(project_id: str, role: str) -> str:
    """Return the path of a grant's record; tags may not hold ``/`` or ``,``.

    What stands for them is quoted once more to be a part of a URL.
    """
    text = TAG + urllib.parse.quote(role, safe=" ")
    return f"/projects/{project_id}/tags/{urllib.parse.quote(text, safe='')}"
