# SPDX-License-Identifier: Apache-2.0
"""A simulated Nova."""

from collections.abc import Callable, Mapping
import dataclasses
import fnmatch
from typing import Any
import uuid

from magnum_k8s_driver.ports import compute
from tests.fakes import calls as calls_module


@dataclasses.dataclass
class FakeServer:
    """A server; ``properties`` are its Heat properties, resolved."""

    id: str
    name: str
    created: float
    properties: dict[str, Any]
    metadata: dict[str, str]
    address: str
    image: str = ""
    flavor: str = ""
    user_data: str = ""
    status: str = "ACTIVE"
    fault: str = ""
    floating_ips: tuple[str, ...] = ()
    console: str = ""

    def seen(self) -> compute.Server:
        """Return the server as the port tells it."""
        return compute.Server(
            id=self.id,
            name=self.name,
            status=self.status,
            fault=self.fault if self.status == "ERROR" else "",
            fixed_ips=(self.address,),
            floating_ips=self.floating_ips,
            metadata=dict(self.metadata),
            launched=self.created if self.status == "ACTIVE" else None,
        )


@calls_module.counted("compute")
class FakeCompute:
    """Servers in memory; Heat's and everybody else's."""

    def __init__(
        self, calls: calls_module.Calls, clock: Callable[[], float]
    ) -> None:
        self.calls = calls
        self._clock = clock
        self._next = 10
        self.server_meta = 128
        self.demanded = compute.Demand(
            resources={"VCPU": 2, "MEMORY_MB": 4096, "DISK_GB": 20}
        )
        self.by_id: dict[str, FakeServer] = {}
        self.no_boot: dict[str, tuple[str, int]] = {}
        self.build_seconds = 0.0
        self.booted: list[tuple[str, str]] = []
        """Name and id of every server there ever was, in order."""

    def servers(self, name_prefix: str) -> tuple[compute.Server, ...]:
        """See the port."""
        return tuple(
            server.seen()
            for server in self.by_id.values()
            if server.name.startswith(name_prefix)
        )

    def console(self, server_id: str, lines: int) -> str:
        """See the port."""
        server = self.by_id.get(server_id)
        text = server.console if server else ""
        return "\n".join(text.splitlines()[-lines:])

    def demand(self, flavor_id: str, *, on_volume: bool) -> compute.Demand:
        """See the port."""
        del flavor_id, on_volume
        return self.demanded

    def max_server_meta(self) -> int:
        """See the port."""
        return self.server_meta

    def delete(self, server_id: str) -> None:
        """See the port."""
        self.by_id.pop(server_id, None)

    @calls_module.helper
    def tick(self) -> None:
        """Let servers that have been built run."""
        for server in self.by_id.values():
            age = self._clock() - server.created
            if server.status == "BUILD" and age >= self.build_seconds:
                server.status = "ERROR" if server.fault else "ACTIVE"

    @calls_module.helper
    def fail_boot(
        self,
        pattern: str,
        fault: str = "No valid host was found.",
        times: int = 1,
    ) -> None:
        """Make the next new servers with such a name go to ERROR."""
        self.no_boot[pattern] = (fault, times)

    @calls_module.helper
    def boot(
        self, name: str, properties: Mapping[str, Any], user_data: str = ""
    ) -> FakeServer:
        """Make a server the way Heat or a user does."""
        self._next += 1
        metadata = properties.get("metadata") or {}
        server = FakeServer(
            id=str(uuid.uuid4()),
            name=name,
            created=self._clock(),
            properties=dict(properties),
            metadata={str(k): str(v) for k, v in metadata.items()},
            address=f"10.0.{self._next // 250}.{self._next % 250 + 1}",
            image=str(properties.get("image") or ""),
            flavor=str(properties.get("flavor") or ""),
            user_data=user_data,
        )
        for pattern, (fault, times) in list(self.no_boot.items()):
            if fnmatch.fnmatchcase(name, pattern):
                server.fault = fault
                self.no_boot[pattern] = (fault, times - 1)
                if times <= 1:
                    del self.no_boot[pattern]
                break
        server.status = "ERROR" if server.fault else "ACTIVE"
        if self.build_seconds:
            server.status = "BUILD"
        self.by_id[server.id] = server
        self.booted.append((name, server.id))
        return server

    @calls_module.helper
    def named(self, pattern: str) -> FakeServer:
        """Return the only server whose name fits."""
        found = [
            server
            for server in self.by_id.values()
            if fnmatch.fnmatchcase(server.name, pattern)
        ]
        if len(found) != 1:
            names = [server.name for server in self.by_id.values()]
            raise LookupError(f"{pattern}: {len(found)} of {names}")
        return found[0]

    @calls_module.helper
    def lose(self, pattern: str) -> FakeServer:
        """Delete a server behind Heat's back."""
        server = self.named(pattern)
        del self.by_id[server.id]
        return server

    @calls_module.helper
    def break_(self, pattern: str, fault: str = "host is down") -> FakeServer:
        """Put a server into ERROR."""
        server = self.named(pattern)
        server.status, server.fault = "ERROR", fault
        return server
