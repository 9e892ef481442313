# SPDX-License-Identifier: Apache-2.0
"""Bring the lab up and down. For programs; the command line calls these.

Every function takes the settings and a ``report``, which is called with
the name and the seconds of each step that ended well, and raises LabError.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent import futures
import contextlib
import dataclasses
import fcntl
import shutil
import time
import types

from lab import access
from lab import broker
from lab import dashboard
from lab import database
from lab import failure
from lab import graph
from lab import install
from lab import magnum_22
from lab import port
from lab import process
from lab import progress
from lab import schema
from lab import services
from lab import settings as lab_settings
from lab.config import write

AT_ONCE = 4
"""Jobs of ``up``; some only wait."""

READY_SECONDS = 120.0
WIPED = ("config", "log", "mariadb", "rabbitmq", "run", "state", "home")


@dataclasses.dataclass(frozen=True)
class Condition:
    """How a service is."""

    service: services.Service
    record: process.Record | None
    """None if it does not run."""

    log_tail: str


def manage(settings: lab_settings.Settings) -> process.Processes:
    """Return the processes of a lab."""
    return process.Processes(
        settings.root, settings.run, settings.log, settings.state
    )


@contextlib.contextmanager
def exclusive(settings: lab_settings.Settings) -> Iterator[None]:
    """Let one command at a time change the lab; others wait for it."""
    settings.root.mkdir(parents=True, exist_ok=True)
    with (settings.root / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.warn("Another lab command is at work; waiting for it.")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up(
    settings: lab_settings.Settings,
    report: progress.Report = progress.silent,
) -> None:
    """Install what is missing, start what does not run, seed the cloud."""
    with exclusive(settings):
        install_all(settings, report)
        with progress.step(report, "configuration"):
            (settings.root / "extras").write_text(" ".join(settings.extras))
            write.write(settings)
            access.put(settings)
        starter = Starter(settings)
        starter.check_ports()
        graph.run(starter.jobs(), AT_ONCE, report)


def install_all(
    settings: lab_settings.Settings,
    report: progress.Report = progress.silent,
) -> None:
    """Install what is missing, that of the extras too."""
    install.install(settings, report)
    if dashboard.NAME in settings.extras:
        dashboard.install(settings, report)
    if magnum_22.wanted(settings):
        magnum_22.install(settings, report)


def down(
    settings: lab_settings.Settings,
    wipe: bool = False,
    report: progress.Report = progress.silent,
) -> None:
    """Stop everything; with ``wipe`` forget all but the installed venv."""
    with exclusive(settings):
        processes = manage(settings)
        base = {database.NAME, broker.NAME}
        cloud = set(processes.names()) - base - {broker.MAPPER}
        with progress.step(report, "stop OpenStack"):
            _stop_all(processes, cloud, services.GRACE)
        with progress.step(report, "stop the database and the broker"):
            _stop_all(processes, base, database.GRACE)
            adopt_mapper(settings, processes)
            processes.stop(broker.MAPPER, services.GRACE)
        if wipe:
            with progress.step(report, "wipe"):
                for name in WIPED:
                    shutil.rmtree(settings.root / name, ignore_errors=True)
                (settings.root / "extras").unlink(missing_ok=True)


def restart(
    settings: lab_settings.Settings,
    names: Sequence[str],
    report: progress.Report = progress.silent,
    environment: Mapping[str, str] = types.MappingProxyType({}),
) -> None:
    """Stop services and start them with the configuration of now.

    :param environment: variables these services get besides their own, until
        they are restarted.
    """
    known = {one.name: one for one in _all(settings)}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise failure.LabError(
            f"{', '.join(unknown)} is no service of the lab; it has: "
            f"{', '.join(known)}."
        )
    if broker.NAME in names:
        clients = [x for x in known.values() if broker.NAME in x.after]
        names = [*names, *(one.name for one in clients)]
    with exclusive(settings):
        write.write(settings)
        starter = Starter(settings)
        with progress.step(report, f"stop {' '.join(names)}"):
            _stop_all(starter.processes, set(names), services.GRACE)
        jobs = [
            graph.Job(
                name,
                lambda name=name: starter.start(
                    dataclasses.replace(
                        known[name],
                        environment={**known[name].environment, **environment},
                    )
                ),
                known[name].after,
            )
            for name in dict.fromkeys(names)
        ]
        graph.run(jobs, AT_ONCE, report)


def status(settings: lab_settings.Settings) -> list[Condition]:
    """Return how each service is."""
    processes = manage(settings)
    return [
        Condition(
            service,
            processes.alive(service.name),
            processes.tail(service.name, 3),
        )
        for service in _all(settings)
    ]


def adopt_mapper(
    settings: lab_settings.Settings, processes: process.Processes
) -> None:
    """Know the port mapper again if RabbitMQ had to start one itself."""
    if not processes.alive(broker.MAPPER):
        holder = port.holder(settings.port(broker.MAPPER))
        if holder:
            processes.adopt(broker.MAPPER, holder)


class Starter:
    """Starts services and waits until they are ready."""

    def __init__(self, settings: lab_settings.Settings) -> None:
        self._settings = settings
        self.processes = manage(settings)

    def check_ports(self) -> None:
        """Refuse before anything starts if a port is someone else's."""
        adopt_mapper(self._settings, self.processes)
        taken = []
        for service in _all(self._settings):
            if service.port is None or self.processes.alive(service.name):
                continue
            # What a killed leader left behind may still listen.
            self.processes.stop(service.name, 0)
            holder = port.holder(service.port)
            if holder is not None:
                taken.append(
                    f"Port {service.port} for {service.name} is taken by "
                    f"{port.describe(holder)}."
                )
        if taken:
            hint = "Stop it, or choose other ports with LAB_PORT_OFFSET."
            raise failure.LabError("\n".join((*taken, hint)))

    def jobs(self) -> list[graph.Job]:
        """Return the jobs of ``up`` in the order they should start."""
        settings = self._settings
        found = [
            self._job(service) for service in services.infrastructure(settings)
        ]
        for name in schema.names(settings):
            found.append(
                graph.Job(
                    f"schema of {name}",
                    lambda name=name: schema.create(settings, name),
                    (database.NAME,),
                )
            )
            if name == "keystone":
                found.append(self._identity())
        if dashboard.NAME in settings.extras:
            found.append(
                graph.Job(
                    f"files of {dashboard.NAME}",
                    lambda: dashboard.prepare(settings),
                )
            )
        found += [self._job(service) for service in services.cloud(settings)]
        # Keystone and what seeding needs come first of all.
        return sorted(found, key=_rank) + self._last()

    def start(self, service: services.Service) -> None:
        """Start a service unless it runs as configured; wait for it.

        :raises LabError: if it ends, or is not ready in time.
        """
        command = service.command
        fingerprint = write.fingerprint(
            self._settings.root / (service.config or "none"),
            command,
            service.environment,
        )
        record = self.processes.alive(service.name)
        if record and (
            record.fingerprint not in ("", fingerprint)
            or self._outlived_broker(service, record)
        ):
            self.processes.stop(service.name, service.grace)
            record = None
        if record is None:
            self._prepare(service)
            environment = self._settings.environment()
            environment.update(service.environment)
            record = self.processes.start(
                service.name, command, environment, fingerprint
            )
        self._wait(service, record)
        if service.name == database.NAME:
            database.create(self._settings)

    def _outlived_broker(
        self, service: services.Service, record: process.Record
    ) -> bool:
        """Tell whether the broker is younger than one of its clients.

        Clients connect again, but wait a minute for each answer that the
        old broker took with it, and some calls are lost.
        """
        current = self.processes.record(broker.NAME)
        return bool(
            broker.NAME in service.after
            and current
            and current.since > record.since
        )

    def _prepare(self, service: services.Service) -> None:
        if service.name == database.NAME:
            database.prepare(self._settings)
        elif service.name == broker.NAME:
            broker.prepare(self._settings)

    def _wait(self, service: services.Service, record: process.Record) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._ready(service, record):
            if not self.processes.alive(service.name):
                raise self._died(service, "ended right after its start")
            if time.monotonic() > deadline:
                raise self._died(
                    service, f"is not ready after {READY_SECONDS:.0f} s"
                )
            time.sleep(0.1 if service.port else 0.4)

    def _ready(
        self, service: services.Service, record: process.Record
    ) -> bool:
        if service.port is not None:
            return port.is_open(service.port)
        if not service.heartbeat:
            return True
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(record.since))
        statement = service.heartbeat.format(since=since)
        return database.query(self._settings, statement) != "0"

    def _died(self, service: services.Service, what: str) -> Exception:
        return failure.LabError(
            f"{service.name} {what}. The end of "
            f"{self.processes.log_file(service.name)}:\n"
            f"{self.processes.tail(service.name)}"
        )

    def _job(self, service: services.Service) -> graph.Job:
        return graph.Job(
            service.name, lambda: self.start(service), service.after
        )

    def _identity(self) -> graph.Job:
        return graph.Job(
            "identity", lambda: self._seed("identity"), ("keystone",)
        )

    def _last(self) -> list[graph.Job]:
        agents = ("nova-compute", "nova-scheduler")
        apis = ("glance", "neutron", "nova", "cinder", "cinder-volume")
        return [
            graph.Job("hypervisor", self._discover, agents),
            graph.Job("cloud", lambda: self._seed("cloud"), apis),
        ]

    def _seed(self, part: str) -> None:
        schema.run(
            self._settings,
            f"seed-{part}",
            [self._settings.python, "-m", f"lab.seeding.{part}"],
        )

    def _discover(self) -> None:
        """Map the hypervisor to Nova's cell, once."""
        count = "SELECT count(*) FROM nova_api.host_mappings"
        if database.query(self._settings, count) == "0":
            config = self._settings.config / "nova/nova.conf"
            schema.run(
                self._settings,
                "schema-nova",
                [self._settings.program("nova-manage"), "--config-file"]
                + [str(config), "cell_v2", "discover_hosts"],
            )


def _rank(job: graph.Job) -> int:
    first = (database.NAME, broker.MAPPER, broker.NAME)
    if job.name in first:
        return 0
    if "keystone" in job.name or job.name == "identity":
        return 1
    if job.name.startswith("schema"):
        return 2
    return 3


def _all(settings: lab_settings.Settings) -> list[services.Service]:
    return services.infrastructure(settings) + services.cloud(settings)


def _stop_all(
    processes: process.Processes, names: set[str], grace: float
) -> None:
    with futures.ThreadPoolExecutor(32) as pool:
        for done in [
            pool.submit(processes.stop, name, grace) for name in names
        ]:
            done.result()
