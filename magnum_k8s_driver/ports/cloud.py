# SPDX-License-Identifier: Apache-2.0
"""The ports of one call for one cluster, opened together.

Three identities (DESIGN 4 in the contributor guide):

* the *service identity*, Magnum's own user of ``[keystone_auth]`` scoped to
  the cluster's project: owns everything the driver makes;
* the *admin identity*, the same user as configured: roles, users, and what is
  left of a project that is gone;
* the *user identity*, the token of the request: only to refuse early.
"""

from collections.abc import Iterator
import contextlib
import dataclasses
import time
from typing import Any

from keystoneauth1 import exceptions as ksa_exceptions
from keystoneauth1 import loading as ksa_loading
from magnum.common import exception as magnum_exception
from magnum.common import keystone as magnum_keystone
import magnum.conf
from magnum.conf import keystone as magnum_keystone_conf
from openstack import connection as sdk_connection

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.ports import certificates as certificates_port
from magnum_k8s_driver.ports import compute as compute_port
from magnum_k8s_driver.ports import facts as facts_port
from magnum_k8s_driver.ports import heat as heat_port
from magnum_k8s_driver.ports import identity as identity_port
from magnum_k8s_driver.ports import leftovers as leftovers_port
from magnum_k8s_driver.ports import magnum_certificates
from magnum_k8s_driver.ports import placement as placement_port
from magnum_k8s_driver.ports import quotas as quotas_module
from magnum_k8s_driver.ports import sdk_compute
from magnum_k8s_driver.ports import sdk_heat
from magnum_k8s_driver.ports import sdk_identity
from magnum_k8s_driver.ports import sdk_leftovers
from magnum_k8s_driver.ports import spare

CONF = magnum.conf.CONF

_GROUP = magnum_keystone_conf.CFG_GROUP
_SPARES = spare.Spares()


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Cloud:
    """Everything outside, as the service identity sees a project."""

    heat: heat_port.HeatPort
    compute: compute_port.ComputePort
    identity: identity_port.IdentityPort
    certificates: certificates_port.CertificatesPort
    leftovers: leftovers_port.LeftoversPort
    facts: facts_port.FactsPort
    placement: placement_port.PlacementPort


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CloudSettings:
    """How services are reached."""

    region_name: str | None = None
    interface: str = "public"
    """``public``, ``internal`` or ``admin``."""
    request_timeout: float = 60.0
    """Seconds."""
    service_roles: tuple[str, ...] = ("member",)
    """Given to the service user where Keystone refuses it a project."""
    cluster_domain: str = "magnum"
    """Name or id of the domain of cluster users."""
    heat_stacks: int = -1
    """Stacks a project may have, -1 for no limit."""
    heat_resources: int = -1
    """Resources a stack may have, -1 for no limit."""
    node_cloud: spec_module.CloudSpec = dataclasses.field(
        default_factory=spec_module.CloudSpec
    )
    """What nodes must know of their cloud."""


@contextlib.contextmanager
def open_cloud(
    cluster: Any,
    admin_context: Any,
    settings: CloudSettings,
    *,
    again: bool = False,
) -> Iterator[Cloud]:
    """Open every port for the project of a cluster.

    The service user is given its roles on the project here when Keystone
    refuses it a token for the project: without one nothing can even be looked
    at. When the project is gone, the ports act by admin rights.

    :param cluster: ``magnum.objects.Cluster``.
    :param admin_context: admin context with ``all_tenants``.
    :param again: whether what was opened a little while ago will do, for
        those who come again when it does not.
    :raises CloudError: Keystone refuses.
    :raises CloudUnavailable: Keystone does not answer.
    """
    timeout = settings.request_timeout
    with contextlib.ExitStack() as stack:
        admin = stack.enter_context(_connection(settings, _admin_session()))
        identity = sdk_identity.SdkIdentity(
            admin, None, settings.cluster_domain, timeout=timeout
        )
        found = stack.enter_context(
            _project(cluster.project_id, identity, settings, again=again)
        )
        as_admin = found is None
        project = found or admin
        yield Cloud(
            heat=sdk_heat.SdkHeat(project, timeout=timeout),
            compute=sdk_compute.SdkCompute(
                project,
                all_of=cluster.project_id if as_admin else "",
                timeout=timeout,
            ),
            identity=identity,
            certificates=magnum_certificates.MagnumCertificates(
                cluster, admin_context
            ),
            leftovers=sdk_leftovers.SdkLeftovers(
                project,
                cluster.project_id,
                as_admin=as_admin,
                timeout=timeout,
            ),
            facts=facts_port.SdkFacts(
                project,
                user=admin,
                cloud=settings.node_cloud,
                user_id=cluster.user_id,
                quotas=_quotas(project, settings),
            ),
            # It tells nothing to members of a project.
            placement=placement_port.SdkPlacement(admin, timeout=timeout),
        )


@contextlib.contextmanager
def user_facts(
    context: Any, settings: CloudSettings
) -> Iterator[facts_port.FactsPort]:
    """Open the facts as the user who made the request sees them.

    :param context: request context with a token.
    :raises CloudError: the context has none.
    """
    try:
        session = magnum_keystone.KeystoneClientV3(context).session
    except magnum_exception.MagnumException as exc:
        raise exceptions.CloudError("identity", str(exc)) from exc
    with _connection(settings, session) as connection:
        yield facts_port.SdkFacts(
            connection,
            user=connection,
            cloud=settings.node_cloud,
            quotas=_quotas(connection, settings),
        )


def _quotas(
    connection: Any, settings: CloudSettings
) -> quotas_module.SdkQuotas:
    return quotas_module.SdkQuotas(
        connection,
        heat_stacks=settings.heat_stacks,
        heat_resources=settings.heat_resources,
        timeout=settings.request_timeout,
    )


@contextlib.contextmanager
def open_admin(
    settings: CloudSettings,
) -> Iterator[sdk_connection.Connection]:
    """Connect as Magnum's service user, as it is configured."""
    with _connection(settings, _admin_session()) as connection:
        yield connection


@contextlib.contextmanager
def open_identity(
    settings: CloudSettings,
) -> Iterator[identity_port.IdentityPort]:
    """Open the port of identities alone, by admin rights."""
    with open_admin(settings) as admin:
        yield sdk_identity.SdkIdentity(
            admin,
            None,
            settings.cluster_domain,
            timeout=settings.request_timeout,
        )


@contextlib.contextmanager
def open_project(
    project_id: str,
    identity: identity_port.IdentityPort,
    settings: CloudSettings,
) -> Iterator[sdk_connection.Connection]:
    """Connect as Magnum's service user, scoped to a project.

    :raises CloudError: Keystone refuses, or the project is gone.
    """
    session = _project_session(project_id, identity, settings)
    if session is None:
        raise exceptions.CloudError(
            "identity", f"the project {project_id} is gone", status=404
        )
    with _connection(settings, session) as connection:
        yield connection


def _admin_session() -> Any:
    auth = ksa_loading.load_auth_from_conf_options(CONF, _GROUP)
    return ksa_loading.load_session_from_conf_options(CONF, _GROUP, auth=auth)


@contextlib.contextmanager
def _project(
    project_id: str,
    identity: sdk_identity.SdkIdentity,
    settings: CloudSettings,
    *,
    again: bool,
) -> Iterator[sdk_connection.Connection | None]:
    """Connect as the service user, scoped to a project.

    A connection in whose use something failed is not used again: who knows
    whether it was the reason.

    :returns: None when the project is gone.
    """
    key = (project_id, settings)
    spare_one = _SPARES.take(key) if again else None
    opened, connection = spare_one or (time.monotonic(), None)
    if connection is None:
        session = _project_session(project_id, identity, settings)
        if session is None:
            yield None
            return
        connection = _connect(settings, session)
    try:
        yield connection
    except BaseException:
        connection.close()
        raise
    finally:
        # Only this closes the sockets: the session was not made by the SDK.
        connection.session.session.close()
    if identity.roles_changed:
        _SPARES.forget(key)
    else:
        _SPARES.keep(key, opened, connection)


def _project_session(
    project_id: str,
    identity: identity_port.IdentityPort,
    settings: CloudSettings,
) -> Any:
    """Return a session of the service user in a project that has let it in.

    :returns: None when the project is gone.
    """
    auth = ksa_loading.load_auth_from_conf_options(
        CONF,
        _GROUP,
        project_id=project_id,
        project_name=None,
        project_domain_id=None,
        project_domain_name=None,
        domain_id=None,
        domain_name=None,
        system_scope=None,
        trust_id=None,
    )
    session = ksa_loading.load_session_from_conf_options(
        CONF, _GROUP, auth=auth
    )
    session.timeout = settings.request_timeout
    if _is_let_in(session):
        return session
    if not identity.project_exists(project_id):
        return None
    identity.grant_service_roles(project_id, settings.service_roles)
    if _is_let_in(session):
        return session
    raise exceptions.CloudError(
        "identity",
        f"Magnum's service user gets no token for project {project_id}, "
        "although it has been given its roles there",
        status=401,
    )


def _is_let_in(session: Any) -> bool:
    """Tell whether Keystone gives the session a token."""
    try:
        session.get_token()
    except ksa_exceptions.Unauthorized:
        return False
    except ksa_exceptions.ConnectionError as exc:
        raise exceptions.CloudUnavailable("identity", str(exc)) from exc
    except ksa_exceptions.HttpError as exc:
        status = exc.http_status or 0
        kind = exceptions.CloudError
        if status >= 500 or status == 429:
            kind = exceptions.CloudUnavailable
        raise kind("identity", str(exc), status=status) from exc
    except ksa_exceptions.ClientException as exc:
        raise exceptions.CloudError("identity", str(exc)) from exc
    return True


@contextlib.contextmanager
def _connection(
    settings: CloudSettings, session: Any
) -> Iterator[sdk_connection.Connection]:
    connection = _connect(settings, session)
    try:
        yield connection
    finally:
        connection.close()
        # Only this closes the sockets: the session was not made by the SDK.
        session.session.close()


def _connect(
    settings: CloudSettings, session: Any
) -> sdk_connection.Connection:
    session.timeout = settings.request_timeout
    return sdk_connection.Connection(
        session=session,
        region_name=settings.region_name,
        interface=settings.interface,
    )
