# SPDX-License-Identifier: Apache-2.0
"""The simulated cloud: every port in memory, one clock for all."""

from collections.abc import Collection, Iterable, Iterator, Mapping
import contextlib
import fnmatch
import json
from typing import Any

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.model import facts
from magnum_k8s_driver.model import quota
from magnum_k8s_driver.ports import certificates as certificates_port
from magnum_k8s_driver.ports import cloud as cloud_module
from magnum_k8s_driver.ports import leftovers
from tests import samples
from tests.fakes import calls as calls_module
from tests.fakes import certificates as certificates_module
from tests.fakes import compute as compute_module
from tests.fakes import heat as heat_module
from tests.fakes import identity as identity_module
from tests.fakes import nodes as nodes_module

PROJECT = "11111111111111111111111111111111"
EPOCH = 1_800_000_000.0


class FakeLock:
    """Locks of one process; nobody ever waits."""

    def __init__(self, calls: calls_module.Calls) -> None:
        self.calls = calls
        self.held: set[str] = set()

    @contextlib.contextmanager
    def hold(self, name: str, *, wait_seconds: float) -> Iterator[None]:
        """See the port."""
        self.calls.run("lock", "hold", self._take, name)
        try:
            yield
        finally:
            self.held.discard(name)

    def _take(self, name: str) -> None:
        if name in self.held:
            raise exceptions.LockBusy(f"{name} is locked")
        self.held.add(name)


@calls_module.counted("leftovers")
class FakeLeftovers:
    """What tests put there, and servers that Heat does not know."""

    def __init__(
        self,
        calls: calls_module.Calls,
        compute: compute_module.FakeCompute,
    ) -> None:
        self.calls = calls
        self._compute = compute
        self.left: list[tuple[str, leftovers.Leftover]] = []
        self.stubborn: set[str] = set()
        """Ids that stay although they are removed."""

    @calls_module.helper
    def add(
        self, cluster_uuid: str, kind: str, name: str
    ) -> leftovers.Leftover:
        """Leave something behind."""
        one = leftovers.Leftover(
            kind=kind, id=f"{kind}-{len(self.left)}", name=name
        )
        self.left.append((cluster_uuid, one))
        return one

    def load_balancers(
        self, cluster_uuid: str
    ) -> tuple[leftovers.Leftover, ...]:
        """See the port."""
        return tuple(
            one
            for uuid, one in self.left
            if uuid == cluster_uuid and one.kind == "load balancer"
        )

    def others(
        self, cluster_uuid: str, name_prefix: str
    ) -> tuple[leftovers.Leftover, ...]:
        """See the port."""
        servers = tuple(
            leftovers.Leftover(
                kind="server", id=one.id, name=one.name, status=one.status
            )
            for one in self._compute.by_id.values()
            if one.metadata.get("magnum_cluster") == cluster_uuid
            or one.name.startswith(name_prefix)
        )
        return servers + tuple(
            one
            for uuid, one in self.left
            if uuid == cluster_uuid and one.kind != "load balancer"
        )

    def remove(self, leftover: leftovers.Leftover) -> None:
        """See the port."""
        if leftover.id in self.stubborn:
            return
        self._compute.by_id.pop(leftover.id, None)
        self.left = [one for one in self.left if one[1].id != leftover.id]


@calls_module.counted("facts")
class FakeFacts:
    """Answers with ``answer``, whatever is asked."""

    def __init__(self, calls: calls_module.Calls) -> None:
        self.calls = calls
        self.answer = samples.facts()
        self.quotas: dict[str, quota.Allowance] = {}

    def read(self, references: facts.References) -> facts.CloudFacts:
        """See the port."""
        del references
        return self.answer

    def allowances(
        self, services: Iterable[str]
    ) -> Mapping[str, quota.Allowance]:
        """See the port."""
        asked = frozenset(services)
        return {
            key: one
            for key, one in self.quotas.items()
            if key.partition(".")[0] in asked
        }


@calls_module.counted("placement")
class FakePlacement:
    """Hypervisors by what they have left, with their traits."""

    def __init__(self, calls: calls_module.Calls) -> None:
        self.calls = calls
        self.hypervisors: list[tuple[Mapping[str, int], frozenset[str]]] = [
            ({"VCPU": 64, "MEMORY_MB": 262144, "DISK_GB": 2000}, frozenset())
        ]

    def has_room(
        self, resources: Mapping[str, int], traits: Collection[str] = ()
    ) -> bool:
        """See the port."""
        wanted = {one for one in traits if not one.startswith("!")}
        unwanted = {one[1:] for one in traits if one.startswith("!")}
        return any(
            all(left.get(name, 0) >= n for name, n in resources.items())
            and wanted <= its
            and not unwanted & its
            for left, its in self.hypervisors
        )


class FakeCloud:
    """Everything outside of the driver.

    Nothing moves but by :meth:`tick`. A test orders trouble with
    ``calls.fail_next``, ``heat.fail``, ``compute.fail_boot`` and
    ``nodes.behave``.
    """

    def __init__(self) -> None:
        self.now = EPOCH
        self.project_id = PROJECT
        self.calls = calls_module.Calls()
        self.compute = compute_module.FakeCompute(self.calls, self.clock)
        self.heat = heat_module.FakeHeat(self.calls, self.clock, self.compute)
        self.heat.project_id = PROJECT
        self.identity = identity_module.FakeIdentity(self.calls, PROJECT)
        self.certificates = certificates_module.FakeCertificates(self.calls)
        self.lock = FakeLock(self.calls)
        self.leftovers = FakeLeftovers(self.calls, self.compute)
        self.facts = FakeFacts(self.calls)
        self.placement = FakePlacement(self.calls)
        self.nodes = nodes_module.FakeNodes(
            self.heat, self.compute, self.clock
        )
        self.nodes.find_key = self._stored_key
        self.fail_next = self.calls.fail_next
        self.fail_call = self.calls.fail_call

    def ports(
        self, certificates: certificates_port.CertificatesPort | None = None
    ) -> cloud_module.Cloud:
        """Return what the driver is given when it opens this cloud."""
        return cloud_module.Cloud(
            heat=self.heat,
            compute=self.compute,
            identity=self.identity,
            certificates=certificates or self.certificates,
            leftovers=self.leftovers,
            facts=self.facts,
            placement=self.placement,
        )

    def clock(self) -> float:
        """Return the time, seconds since the epoch."""
        return self.now

    def tick(self, seconds: float = 10.0, step: float = 1.0) -> None:
        """Let time pass."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + step)
            self.compute.tick()
            self.heat.tick()
            self.nodes.tick()

    def inventory(self, pattern: str = "*") -> list[str]:
        """Return a line for everything that exists."""
        found = [f"stack {one.name}" for one in self.heat.live()]
        found += [f"server {one.name}" for one in self.compute.by_id.values()]
        found += [
            f"config {name}" for name, _text in self.heat.config_texts.values()
        ]
        found += self.identity.existing()
        found += [f"secret {one}" for one in self.certificates.secrets]
        found += [
            f"{name} authority"
            for name in sorted(self.certificates.extra_authorities)
        ]
        found += [
            f"certificate {one}" for one in sorted(self.certificates.stored)
        ]
        found += [str(one) for _uuid, one in self.leftovers.left]
        return [one for one in found if fnmatch.fnmatchcase(one, pattern)]

    def _stored_key(self, cluster_uuid: str) -> bytes | None:
        """Find ``board_key`` in the stored cluster secret."""
        for text in self.certificates.secrets.values():
            try:
                stored: Any = json.loads(text)
            except ValueError:
                continue
            key = stored.get("board_key") if isinstance(stored, dict) else ""
            if isinstance(key, str) and key:
                return bytes.fromhex(key)
        return None
