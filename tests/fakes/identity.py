# SPDX-License-Identifier: Apache-2.0
"""A simulated Keystone."""

from collections.abc import Sequence
import dataclasses
import uuid

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import identity
from tests.fakes import calls as calls_module

SERVICE_USER = "service-user"
TAG = "magnum-k8s-grant:"


@dataclasses.dataclass
class FakeUser:
    """A user of a cluster with its application credentials by name."""

    id: str
    name: str
    password: str
    enabled: bool = True
    credentials: dict[str, identity.ApplicationCredential] = dataclasses.field(
        default_factory=dict
    )


@calls_module.counted("identity")
class FakeIdentity:
    """Projects, users, roles and assignments in memory."""

    def __init__(self, calls: calls_module.Calls, project_id: str) -> None:
        self.calls = calls
        self.projects: dict[str, set[str]] = {project_id: set()}
        self.disabled_projects: set[str] = set()
        self.roles = {"member", "load-balancer_member", "reader", "admin"}
        self.assignments: set[tuple[str, str, str]] = set()
        """Of user id, project id, role name."""
        self.users: dict[str, FakeUser] = {}

    def project_exists(self, project_id: str) -> bool:
        """See the port."""
        return (
            project_id in self.projects
            and project_id not in self.disabled_projects
        )

    def grant_service_roles(
        self, project_id: str, roles: Sequence[str]
    ) -> None:
        """See the port."""
        tags = self._tags(project_id)
        for role in self._known(roles):
            grant = (SERVICE_USER, project_id, role)
            if grant not in self.assignments:
                tags.add(TAG + role)
                self.assignments.add(grant)

    def revoke_service_roles(self, project_id: str) -> None:
        """See the port."""
        for role in self._granted(project_id):
            self.assignments.discard((SERVICE_USER, project_id, role))
            self.projects[project_id].discard(TAG + role)

    def service_grants(self, project_id: str) -> tuple[str, ...]:
        """See the port."""
        return self._granted(project_id)

    def ensure_cluster_user(
        self,
        cluster_uuid: str,
        project_id: str,
        password: str,
        roles: Sequence[str],
    ) -> str:
        """See the port."""
        self._tags(project_id)
        user = self._user(cluster_uuid)
        if user is None:
            user = FakeUser(str(uuid.uuid4()), cluster_uuid, password)
            self.users[user.id] = user
        user.password, user.enabled = password, True
        for role in self._known(roles):
            self.assignments.add((user.id, project_id, role))
        return user.id

    def ensure_application_credential(
        self,
        user_id: str,
        password: str,
        project_id: str,
        name: str,
        secret: str,
    ) -> identity.ApplicationCredential:
        """See the port."""
        if user_id in self.users:
            self.users[user_id].password = password
        user = self._logged_in(user_id, password)
        known = user.credentials.get(name)
        if known is not None and known.secret == secret:
            return known
        made = identity.ApplicationCredential(
            id=str(uuid.uuid4()), secret=secret
        )
        user.credentials[name] = made
        return made

    def keep_application_credential(
        self, user_id: str, password: str, project_id: str, name: str
    ) -> None:
        """See the port."""
        user = self._logged_in(user_id, password)
        for one in set(user.credentials) - {name}:
            del user.credentials[one]

    def find_cluster_user(self, cluster_uuid: str) -> str | None:
        """See the port."""
        user = self._user(cluster_uuid)
        return user.id if user else None

    def disable_cluster_user(self, cluster_uuid: str) -> None:
        """See the port."""
        user = self._user(cluster_uuid)
        if user is not None:
            user.enabled = False

    def delete_cluster_user(self, cluster_uuid: str) -> None:
        """See the port."""
        user = self._user(cluster_uuid)
        if user is not None:
            del self.users[user.id]
            self.assignments = {
                one for one in self.assignments if one[0] != user.id
            }

    @calls_module.helper
    def existing(self) -> list[str]:
        """Return what exists, for inventories."""
        found = [f"user {one.name}" for one in self.users.values()]
        for user in self.users.values():
            found += [f"credential {name}" for name in user.credentials]
        found += [
            f"grant of {role} to {user} on {project}"
            for user, project, role in self.assignments
        ]
        for project, tags in self.projects.items():
            found += [f"tag {tag} on {project}" for tag in tags]
        return found

    def _logged_in(self, user_id: str, password: str) -> FakeUser:
        user = self.users.get(user_id)
        if user is None or not user.enabled or user.password != password:
            raise exceptions.CloudError(
                "identity",
                "The request you have made requires authentication.",
                status=401,
            )
        return user

    def _user(self, name: str) -> FakeUser | None:
        found = [one for one in self.users.values() if one.name == name]
        return found[0] if found else None

    def _granted(self, project_id: str) -> tuple[str, ...]:
        tags = self.projects.get(project_id, set())
        return tuple(
            sorted(
                tag.removeprefix(TAG) for tag in tags if tag.startswith(TAG)
            )
        )

    def _tags(self, project_id: str) -> set[str]:
        if project_id not in self.projects:
            raise exceptions.CloudError(
                "identity",
                f"Could not find project: {project_id}.",
                status=404,
            )
        return self.projects[project_id]

    def _known(self, roles: Sequence[str]) -> list[str]:
        if roles and roles[0] not in self.roles:
            raise exceptions.CloudError(
                "identity", f"there is no role {roles[0]}", status=404
            )
        return [role for role in roles if role in self.roles]
