# SPDX-License-Identifier: Apache-2.0
"""An Octavia provider that does nothing and says that it is done.

The VIP port is left to Octavia's own network driver, so it is a real
Neutron port that a floating IP can be associated with. What the API leaves
PENDING is finished in the database by a thread of the API process: no
worker, no agent and no messages.

``state/octavia/faults.json`` in the lab's root makes it fail on purpose; it
is read again at every sweep. All keys are optional; strings are looked for
in the names of load balancers::

    {"error": ["api"], "error_delete": [], "stuck": ["etcd"], "delay": 5}

``error`` ends creates and updates in ERROR, ``error_delete`` deletes;
``stuck`` stays PENDING while it is listed; ``delay`` is in seconds and
concerns every load balancer.
"""

import json
import os
import pathlib
import threading
import time

from octavia.api.drivers.driver_agent import driver_updater
from octavia.db import api as db_api
from octavia.db import models
from octavia_lib.api.drivers import provider_base
from oslo_log import log as logging

LOG = logging.getLogger(__name__)

FAULTS = pathlib.Path(os.environ["LAB_ROOT"], "state/octavia/faults.json")
BUSY_SECONDS = 0.15
SETTLE_SECONDS = 3
"""The API commits only after the provider has returned."""

OPERATIONS = tuple(
    f"{kind}_{verb}"
    for kind in (
        "health_monitor",
        "l7policy",
        "l7rule",
        "listener",
        "loadbalancer",
        "member",
        "pool",
    )
    for verb in ("create", "delete", "update")
) + ("loadbalancer_failover", "member_batch_update")


def read_faults() -> dict:
    """Return what has to go wrong; a broken file counts as none."""
    try:
        return json.loads(FAULTS.read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        LOG.exception("%s cannot be read", FAULTS)
        return {}


def outcome(name: str, status: str, waited: float, faults: dict) -> str:
    """Decide what a PENDING load balancer becomes; empty: nothing yet."""

    def named(kind: str) -> bool:
        return any(part in (name or "") for part in faults.get(kind, ()))

    if named("stuck") or waited < float(faults.get("delay", 0)):
        return ""
    if status == "PENDING_DELETE":
        return "ERROR" if named("error_delete") else "DELETED"
    return "ERROR" if named("error") else "ACTIVE"


class Sweeper:
    """Finishes what is PENDING."""

    def __init__(self) -> None:
        self._wake = threading.Event()
        self._seen: dict[str, float] = {}
        self._updater = driver_updater.DriverUpdater()

    def kick(self) -> None:
        self._wake.set()

    def run(self) -> None:
        """Sweep until all is settled, then sleep until the next kick."""
        quiet_after = time.monotonic() + SETTLE_SECONDS
        while True:
            if self._wake.is_set():
                self._wake.clear()
                quiet_after = time.monotonic() + SETTLE_SECONDS
            try:
                left = self.sweep()
            except Exception:
                LOG.exception("the sweep failed; it is tried again")
                left = True
            if left or time.monotonic() < quiet_after:
                self._wake.wait(BUSY_SECONDS)
            else:
                self._wake.wait()

    def sweep(self) -> bool:
        """Finish what may be finished; tell whether something is left."""
        faults = read_faults()
        session = db_api.get_session()
        with session.begin():
            pending = (
                session.query(
                    models.LoadBalancer.id,
                    models.LoadBalancer.name,
                    models.LoadBalancer.provisioning_status,
                )
                .filter(
                    models.LoadBalancer.provisioning_status.like("PENDING%")
                )
                .all()
            )
        now = time.monotonic()
        self._seen = {row[0]: self._seen.get(row[0], now) for row in pending}
        left = False
        for uuid, name, status in pending:
            waited = now - self._seen[uuid]
            result = outcome(name, status, waited, faults)
            if result:
                self._settle(session, uuid, result)
                self._seen.pop(uuid)
            else:
                left = True
        return left

    def _settle(self, session, uuid: str, result: str) -> None:
        with session.begin():
            children = self._children(session, uuid)
        changes = {
            kind: [
                _change(child, _child_result(status, result))
                for child, status in rows
                if status.startswith("PENDING") or result == "DELETED"
            ]
            for kind, rows in children.items()
        }
        self._update({kind: rows for kind, rows in changes.items() if rows})
        self._update({"loadbalancers": [_change(uuid, result)]})

    def _update(self, body: dict) -> None:
        if not body:
            return
        answer = self._updater.update_loadbalancer_status(body)
        if answer.get("status_code") != 200:
            LOG.warning("Octavia refused %s: %s", body, answer)

    def _children(self, session, uuid: str) -> dict[str, list]:
        """Return ids and states of what hangs on a load balancer."""

        def rows(model, column, values) -> list:
            query = session.query(model.id, model.provisioning_status)
            return query.filter(column.in_(values)).all()

        pools = rows(models.Pool, models.Pool.load_balancer_id, [uuid])
        listeners = rows(
            models.Listener, models.Listener.load_balancer_id, [uuid]
        )
        pool_ids = [row[0] for row in pools]
        policies = rows(
            models.L7Policy,
            models.L7Policy.listener_id,
            [row[0] for row in listeners],
        )
        return {
            "members": rows(models.Member, models.Member.pool_id, pool_ids),
            "healthmonitors": rows(
                models.HealthMonitor, models.HealthMonitor.pool_id, pool_ids
            ),
            "l7rules": rows(
                models.L7Rule,
                models.L7Rule.l7policy_id,
                [row[0] for row in policies],
            ),
            "l7policies": policies,
            "listeners": listeners,
            "pools": pools,
        }


def _child_result(status: str, result: str) -> str:
    if result == "DELETED" or status == "PENDING_DELETE":
        return "DELETED"
    return result


def _change(uuid: str, result: str) -> dict[str, str]:
    change = {"id": uuid, "provisioning_status": result}
    if result != "DELETED":
        online = result == "ACTIVE"
        change["operating_status"] = "ONLINE" if online else "ERROR"
    return change


_lock = threading.Lock()
_sweeper: Sweeper | None = None


def sweeper() -> Sweeper:
    """Return the process's sweeper, starting it at the first call."""
    global _sweeper
    with _lock:
        if _sweeper is None:
            _sweeper = Sweeper()
            threading.Thread(target=_sweeper.run, daemon=True).start()
        return _sweeper


class Provider(provider_base.ProviderDriver):
    """Accepts everything and wakes the sweeper."""

    def __init__(self) -> None:
        super().__init__()
        # Octavia makes an instance at its start: what a killed process
        # left PENDING is finished then.
        sweeper()

    def get_supported_flavor_metadata(self):
        return {}

    def validate_flavor(self, flavor_metadata):
        """Accept every flavor."""

    def get_supported_availability_zone_metadata(self):
        return {}

    def validate_availability_zone(self, availability_zone_metadata):
        """Accept every availability zone."""


def _accept(self, *args, **kwargs):
    """Accept the call; the sweeper finishes it."""
    sweeper().kick()


for _operation in OPERATIONS:
    setattr(Provider, _operation, _accept)
