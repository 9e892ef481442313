# SPDX-License-Identifier: Apache-2.0
"""Looks up everything a request refers to."""

from collections.abc import Callable, Iterable, Iterator, Mapping
import contextlib
import dataclasses
import functools
from typing import Any, Protocol, TypeVar

from keystoneauth1 import exceptions as keystone_exceptions
from openstack import exceptions as sdk_exceptions

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import quota
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.ports import quotas as quotas_module
from magnum_k8s_driver.ports import subnets as subnets_module

Found = TypeVar("Found")

_GIB = 1 << 30
_NOT_ALLOWED = (401, 403)


class FactsPort(Protocol):
    """What the driver asks the cloud before it makes or changes anything."""

    def read(
        self, references: facts_module.References
    ) -> facts_module.CloudFacts:
        """Look up every reference; what is not there is an answer.

        :raises CloudError: a service refused to answer.
        :raises CloudUnavailable: a service did not answer.
        """

    def allowances(
        self, services: Iterable[str]
    ) -> Mapping[str, quota.Allowance]:
        """Return what the project may have of some services' things.

        What a service does not tell is missing; it never raises CloudError.
        """


class SdkFacts:
    """Facts read with openstacksdk.

    :param connection: an ``openstack.connection.Connection`` scoped to the
        cluster's project (the driver's service identity).
    :param user: a connection of the user who made the request, None in
        periodic calls. Nova keeps key pairs per user, so only it finds the
        key pair.
    :param user_id: look for the key pair of that user; ``user`` is then an
        administrator's connection (Nova's policy os-keypairs:show).
    :param quotas: reads the quotas of the connection's project.
    :param cloud: what the operator configured: the CA bundle and whether to
        verify; ``auth_url`` and ``region`` there win over the catalog.
    """

    def __init__(
        self,
        connection: Any,
        user: Any = None,
        cloud: spec_module.CloudSpec | None = None,
        *,
        user_id: str | None = None,
        quotas: quotas_module.SdkQuotas | None = None,
    ) -> None:
        self._connection = connection
        self._quotas = quotas or quotas_module.SdkQuotas(connection)
        self._user = user
        self._user_id = user_id
        self._cloud = cloud or spec_module.CloudSpec()

    def read(
        self, references: facts_module.References
    ) -> facts_module.CloudFacts:
        """Look up every reference; see :class:`FactsPort`."""
        block_storage = self._has("block-storage")
        types = None
        if references.volume_types and block_storage:
            types = self._volume_types()
        load_balancing = self._has("load-balancer")
        return facts_module.CloudFacts(
            images=_each(references.images, self._image),
            flavors=_each(references.flavors, self._flavor),
            networks=_each(
                references.networks,
                functools.partial(self._network, references=references),
            ),
            subnets=_each(
                references.subnets,
                functools.partial(self._subnet, references=references),
            ),
            public_key=self._public_key(references.keypair),
            availability_zones=(
                self._zones() if references.availability_zones else None
            ),
            volume_types=None if types is None else _named_or_not(types),
            block_storage=block_storage,
            load_balancing=load_balancing,
            load_balancer_providers=(
                self._providers()
                if references.load_balancer and load_balancing
                else None
            ),
            cloud=self._cloud_spec(block_storage, types or ()),
        )

    def allowances(
        self, services: Iterable[str]
    ) -> Mapping[str, quota.Allowance]:
        """Return what the project may have; see :class:`FactsPort`."""
        return self._quotas.read(services)

    def _has(self, service_type: str) -> bool:
        """Tell whether the catalog has a service, under any of its names."""
        with _as_cloud_error("identity"):
            return bool(self._connection.endpoint_for(service_type))

    def _image(self, reference: str) -> facts_module.ImageFacts:
        with _as_cloud_error("image"):
            image = self._connection.image.find_image(
                reference, ignore_missing=False
            )
        properties = image.properties or {}
        # virtual_size is what a qcow2 unpacks to; None where Glance has not
        # inspected the image.
        unpacked = -(-(image.virtual_size or 0) // _GIB)
        return facts_module.ImageFacts(
            id=image.id,
            name=image.name or image.id,
            distro=str(
                image.os_distro or properties.get("os_distro") or ""
            ).lower(),
            kubernetes_version=str(properties.get("kube_version") or ""),
            min_disk_gib=max(image.min_disk or 0, unpacked),
            min_ram_mib=image.min_ram or 0,
            status=image.status or "unknown",
            architecture=str(
                image.architecture or properties.get("hw_architecture") or ""
            ).lower(),
        )

    def _flavor(self, reference: str) -> facts_module.FlavorFacts:
        with _as_cloud_error("compute"):
            compute = self._connection.compute
            flavor = compute.find_flavor(reference, ignore_missing=False)
            if not flavor.vcpus:
                # Found by name: that list holds names and ids only, and the
                # SDK fills in zeros.
                flavor = compute.get_flavor(flavor.id)
        return facts_module.FlavorFacts(
            id=flavor.id,
            name=flavor.name or flavor.id,
            vcpus=flavor.vcpus or 0,
            ram_mib=flavor.ram or 0,
            disk_gib=flavor.disk or 0,
        )

    def _network(
        self, reference: str, references: facts_module.References
    ) -> facts_module.NetworkFacts:
        with _as_cloud_error("network"):
            network = self._connection.network.find_network(
                reference, ignore_missing=False
            )
            subnets = tuple(
                subnets_module.read(
                    self._connection,
                    one,
                    surroundings=references.surroundings
                    and not network.is_router_external,
                )
                for one in self._connection.network.subnets(
                    network_id=network.id
                )
            )
        return facts_module.NetworkFacts(
            id=network.id,
            name=network.name or network.id,
            external=bool(network.is_router_external),
            subnets=subnets,
        )

    def _subnet(
        self, reference: str, references: facts_module.References
    ) -> facts_module.SubnetFacts:
        with _as_cloud_error("network"):
            found = self._connection.network.find_subnet(
                reference, ignore_missing=False
            )
            return subnets_module.read(
                self._connection, found, surroundings=references.surroundings
            )

    def _public_key(self, name: str) -> str | facts_module.Missing | None:
        if not name or self._user is None:
            return None
        user = self._user

        owner = {"user_id": self._user_id} if self._user_id else {}

        def read(reference: str) -> str:
            with _as_cloud_error("compute"):
                keypair = user.compute.find_keypair(
                    reference, ignore_missing=False, **owner
                )
            return str(keypair.public_key or "")

        return _each([name], read)[name]

    def _zones(self) -> frozenset[str]:
        with _as_cloud_error("compute"):
            return frozenset(
                zone.name
                for zone in self._connection.compute.availability_zones()
                if (zone.state or {}).get("available")
            )

    def _volume_types(self) -> list[Any]:
        with _as_cloud_error("block-storage"):
            return list(self._connection.block_storage.types())

    def _providers(self) -> frozenset[str] | None:
        try:
            with _as_cloud_error("load-balancer"):
                return frozenset(
                    one.name
                    for one in self._connection.load_balancer.providers()
                )
        except exceptions.CloudError as error:
            # Some clouds let only some roles list them; Octavia itself will
            # refuse a wrong one.
            if error.status in _NOT_ALLOWED:
                return None
            raise

    def _cloud_spec(
        self, block_storage: bool, types: Iterable[Any]
    ) -> spec_module.CloudSpec:
        with _as_cloud_error("identity"):
            auth_url = self._cloud.auth_url or self._connection.endpoint_for(
                "identity", interface="public"
            )
        region = self._cloud.region or self._connection.config.region_name
        return dataclasses.replace(
            self._cloud,
            auth_url=auth_url or "",
            region=region or "",
            block_storage=block_storage,
            volume_types=tuple(sorted(one.name for one in types if one.name)),
        )


def _named_or_not(types: Iterable[Any]) -> frozenset[str]:
    """Return names and ids: a label may have either."""
    return frozenset(
        text for one in types for text in (one.name, one.id) if text
    )


def _each(
    references: Iterable[str], find: Callable[[str], Found]
) -> Mapping[str, Found | facts_module.Missing]:
    found: dict[str, Found | facts_module.Missing] = {}
    for reference in sorted(references):
        try:
            found[reference] = find(reference)
        except sdk_exceptions.NotFoundException:
            found[reference] = facts_module.Missing()
        except sdk_exceptions.DuplicateResource:
            found[reference] = facts_module.AMBIGUOUS
    return found


@contextlib.contextmanager
def _as_cloud_error(service: str) -> Iterator[None]:
    """Turn errors of the SDK into the driver's, except for absence."""
    try:
        yield
    except (
        sdk_exceptions.NotFoundException,
        sdk_exceptions.DuplicateResource,
    ):
        raise
    except sdk_exceptions.HttpException as error:
        status = int(error.status_code or 0)
        kind = exceptions.CloudError
        if status >= 500 or status in (0, 408, 429):
            kind = exceptions.CloudUnavailable
        raise kind(
            service,
            _one_line(error),
            status=status,
            request_id=error.request_id or "",
        ) from error
    except keystone_exceptions.HttpError as error:
        status = int(error.http_status or 0)
        kind = exceptions.CloudError
        if status >= 500 or status == 429:
            kind = exceptions.CloudUnavailable
        raise kind(service, _one_line(error), status=status) from error
    except keystone_exceptions.ConnectionError as error:
        raise exceptions.CloudUnavailable(service, _one_line(error)) from error
    except (
        keystone_exceptions.ClientException,
        sdk_exceptions.SDKException,
    ) as error:
        raise exceptions.CloudError(service, _one_line(error)) from error


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:500]
