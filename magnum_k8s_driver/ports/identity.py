# SPDX-License-Identifier: Apache-2.0
"""What the driver needs from Keystone.

Two identities are looked after here (see DESIGN 4 in the contributor guide):
Magnum's own service user, which is given roles on a cluster's project, and
one user per cluster for the programs inside it.
"""

from collections.abc import Sequence
import dataclasses
from typing import Protocol


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ApplicationCredential:
    """A secret that programs in the cluster log in with."""

    id: str
    secret: str = dataclasses.field(repr=False)


class IdentityPort(Protocol):
    """Roles, the cluster's user and its application credential.

    Every method raises :class:`~magnum_k8s_driver.exceptions.CloudError`.
    All are safe to repeat: what exists is kept, what is gone is fine.
    """

    def project_exists(self, project_id: str) -> bool:
        """Tell whether the project is there and enabled."""

    def grant_service_roles(
        self, project_id: str, roles: Sequence[str]
    ) -> None:
        """Give the service user the roles on the project.

        A role that does not exist in the cloud is skipped unless it is the
        first. Each grant made here is first recorded as a project tag, so
        that :meth:`revoke_service_roles` removes those and no others.
        """

    def revoke_service_roles(self, project_id: str) -> None:
        """Take back the recorded grants and their records."""

    def service_grants(self, project_id: str) -> tuple[str, ...]:
        """Return the names of roles that were granted by the driver."""

    def ensure_cluster_user(
        self,
        cluster_uuid: str,
        project_id: str,
        password: str,
        roles: Sequence[str],
    ) -> str:
        """Make the cluster's user with that password and return its id."""

    def ensure_application_credential(
        self,
        user_id: str,
        password: str,
        project_id: str,
        name: str,
        secret: str,
    ) -> ApplicationCredential:
        """Make the user's application credential with the given secret.

        One of the same name is replaced, because its secret cannot be read
        back and need not be the given one. The user has the given password
        afterwards.
        """

    def keep_application_credential(
        self, user_id: str, password: str, project_id: str, name: str
    ) -> None:
        """Delete every application credential of the user but this one."""

    def find_cluster_user(self, cluster_uuid: str) -> str | None:
        """Return the id of the cluster's user."""

    def disable_cluster_user(self, cluster_uuid: str) -> None:
        """Disable the user: nothing in the cluster can act any more."""

    def delete_cluster_user(self, cluster_uuid: str) -> None:
        """Delete the user with its credentials and role assignments."""
