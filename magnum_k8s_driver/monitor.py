# SPDX-License-Identifier: Apache-2.0
"""Health of a cluster, as Magnum's periodic job wants it, and healing.

A driver's ``converge`` runs while something is in progress. A node that
breaks later is seen by this job only, so here healing begins.
"""

from collections.abc import Collection
from collections.abc import Mapping
import dataclasses
import functools
import pathlib
import tempfile
import time
from typing import Any

from magnum.common import exception as magnum_exception
from magnum.conductor import monitors
import magnum.conf
from oslo_log import log as logging

from magnum_k8s_driver import choices
from magnum_k8s_driver import exceptions
from magnum_k8s_driver import records
from magnum_k8s_driver import rows
from magnum_k8s_driver import session
from magnum_k8s_driver.converge import converge
from magnum_k8s_driver.converge import diagnosis
from magnum_k8s_driver.converge import healing
from magnum_k8s_driver.converge import health
from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.converge import replay
from magnum_k8s_driver.converge import sentences
from magnum_k8s_driver.model import inputs
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.ports import kubernetes
from magnum_k8s_driver.ports import magnum_certificates

LOG = logging.getLogger(__name__)
CONF = magnum.conf.CONF

_HOOK_LIMIT = 600.0
"""Seconds; a hook that still lives has begun its change or given up."""
_NO_ADDRESS = "The cluster has no API address yet."
_NO_STACK = "Nothing of the cluster has been made."


class BoardMonitor(monitors.MonitorBase):
    """Asks the API of the cluster, and its boards when that does not answer.

    Magnum calls :meth:`poll_health_status` and then reads ``data``; nothing
    else of the base class is ever called. A cluster whose API cannot be
    reached from the conductor is not unhealthy for that reason.
    """

    def __init__(self, context: Any, cluster: Any) -> None:
        super().__init__(context, cluster)
        self.data: dict[str, Any] = {}

    @property
    def metrics_spec(self) -> dict[str, Any]:
        """Return no metrics; nobody in Magnum asks for them."""
        return {}

    def pull_data(self) -> None:
        """Do nothing; nobody in Magnum calls it."""

    def poll_health_status(self) -> None:
        """Put health and reasons into ``data``; begin to heal."""
        go_on(self.cluster)
        policies = healing_policies(self.cluster)
        sight = self._look(thoroughly=bool(policies))
        found = health.judge(sight)
        reasons = dict(found.reasons)
        if policies and found.status is not health.Status.HEALTHY:
            told = self._heal(policies, found)
            if told:
                reasons[health.HEALING] = told
        self.data["health_status"] = found.status.value
        self.data["health_status_reason"] = reasons

    def _look(self, *, thoroughly: bool) -> health.Sight:
        """Ask the API, then the boards when it does not tell enough.

        :param thoroughly: look for members that are no nodes, too.
        """
        answer, unreachable, expires = None, _NO_ADDRESS, None
        if self.cluster.api_address and self.cluster.magnum_cert_ref:
            try:
                client = self._client()
                expires = kubernetes.certificate_expires(client["client.crt"])
                answer = self._ask(client)
            except (exceptions.K8sDriverError, ValueError) as exc:
                unreachable = str(exc)
        observed, blind, replayed = None, "", False
        written = health.read_written(self.cluster.health_status_reason)
        if not self.cluster.stack_id:
            # Looking would let the driver into the project of a cluster
            # that was refused, or of which nobody knows yet whether it is.
            blind = _NO_STACK
        elif answer is None or not answer.nodes or thoroughly:
            if not (answer and self._is_whole(answer)):
                try:
                    observed, replayed = replay.without_older(
                        observe(self.cluster), written
                    )
                except exceptions.CloudError as exc:
                    blind = str(exc)
        return health.Sight(
            now=time.time(),
            answer=answer,
            unreachable=unreachable,
            observed=observed,
            blind=blind,
            seen=health.read_seen(self.cluster.health_status_reason),
            written=written,
            replayed=replayed,
            client_expires=expires,
        )

    def _is_whole(self, answer: kubernetes.Health) -> bool:
        """Tell whether as many nodes as there should be are all ready."""
        groups = rows.Rows(self.cluster).groups()
        wanted = sum(one.node_count or 0 for one in groups)
        ready = [one for one in answer.nodes.values() if one.ready]
        return len(ready) == len(answer.nodes) == wanted

    def _heal(self, policies: Any, found: health.Health) -> str:
        """Return what healing has begun or waits for; empty for nothing."""
        # Magnum saves its own object afterwards: it must not know of this.
        row = rows.Rows(self.cluster).fresh()
        try:
            verdict = heal(
                row,
                policies,
                seen=found.unready,
                ready=found.ready,
                written=health.read_written(found.reasons),
            )
        except exceptions.CloudError as exc:
            return str(exc)
        for reason in verdict.reasons:
            LOG.warning("Cluster %s: %s", self.cluster.uuid, reason)
        told = [f"{one}." for one in verdict.reasons]
        return " ".join([*told, *verdict.waiting])

    def _client(self) -> dict[str, str]:
        store = magnum_certificates.MagnumCertificates(
            self.cluster, self.context
        )
        return store.client_files()

    def _ask(self, client: dict[str, str]) -> kubernetes.Health:
        """Ask with Magnum's client certificate.

        Magnum's own cache of these files is never refreshed and is left
        behind when a cluster goes, so they live for this call only.
        """
        with tempfile.TemporaryDirectory(prefix="magnum-k8s-") as directory:
            for name, content in client.items():
                path = pathlib.Path(directory, name)
                path.touch(mode=0o600)
                path.write_text(content)
            return kubernetes.ApiServer(
                self.cluster.api_address,
                ca_file=f"{directory}/ca.crt",
                certificate_file=f"{directory}/client.crt",
                key_file=f"{directory}/client.key",
                timeout=CONF.k8s_driver.api_timeout,
            ).health()


def observe(cluster: Any) -> observed_module.Observed:
    """Look at a cluster as ``converge`` sees it.

    :raises CloudError: a service did not answer as it should.
    """
    with session.surroundings(rows.Rows(cluster), again=True) as around:
        return converge.look(around)


def go_on(cluster: Any) -> None:
    """Let the status job end a resize in whose hook a conductor died.

    Magnum saves the node group before it calls the driver, and the cluster
    afterwards; no status job looks at what is left in between. Which nodes
    were named is not known any more.
    """
    record = rows.Rows(cluster)
    if not _is_interrupted(cluster, record):
        return
    try:
        with session.locked(cluster, wait=0.0):
            # Magnum saves its own object afterwards.
            row = record.fresh()
            if _is_interrupted(row, record):
                LOG.warning("Cluster %s: a resize goes on", cluster.uuid)
                records.mark_updating(row)
    except (exceptions.LockBusy, magnum_exception.ClusterNotFound):
        # Whoever works on it knows better.
        return


def _is_interrupted(cluster: Any, record: rows.Rows) -> bool:
    """Tell whether a group, and not its cluster, has long been in progress."""
    if cluster.status not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        return False
    return any(
        group.intent is not record_module.Intent.NOTHING
        and time.time() - group.changed > _HOOK_LIMIT
        for group in record.read().groups
    )


def healing_policies(cluster: Any) -> dict[str, diagnosis.Policy]:
    """Return how nodes are healed, by UUID of their group.

    Empty when they are not, or not at this moment.
    """
    choices.prepare()
    if not records.may_heal(cluster):
        return {}
    options, found = CONF.k8s_driver, {}
    wanted = rows.Rows(cluster).inputs()
    for group, one in inputs.labels_of_groups(wanted, choices.site()):
        if one.auto_healing_enabled:
            found[group.uuid] = diagnosis.Policy(
                delay=float(one.auto_healing_delay),
                share=one.auto_healing_share / 100,
                attempts=options.healing_attempts,
                backoff=float(options.healing_backoff),
            )
    return found


def heal(
    cluster: Any,
    policies: Mapping[str, diagnosis.Policy],
    *,
    seen: Mapping[str, float],
    ready: Collection[str],
    written: float | None = None,
) -> healing.Verdict:
    """Begin to replace nodes that have been broken for too long.

    What is begun stands in the stacks before Magnum's row tells of it.

    :param cluster: a row of the caller's own; it is read again.
    :param seen: since when nodes were seen missing, by name.
    :param ready: names of nodes that the API calls ready.
    :param written: when the newest digest ever seen was written; an older
        one is no evidence.
    :raises CloudError: a service did not answer as it should.
    """
    record = rows.Rows(cluster)
    try:
        with session.locked(cluster, wait=0.0):
            cluster.refresh()
            if not records.may_heal(cluster):
                return healing.Verdict()
            choose = functools.partial(
                _choose,
                written,
                policies=policies,
                seen=seen,
                ready=ready,
                after_failure=cluster.status.endswith("_FAILED"),
            )
            with session.surroundings(record, again=True) as around:
                verdict = converge.heal(around, choose)
            if verdict.changes or verdict.unfinished:
                told = "; ".join(verdict.reasons) or "going on with healing"
                records.mark_healing(cluster, sentences.capitalised(told))
            return verdict
    except (exceptions.LockBusy, magnum_exception.ClusterNotFound):
        return healing.Verdict()


def _choose(
    written: float | None, observed: observed_module.Observed, **how: Any
) -> healing.Verdict:
    fresh, replayed = replay.without_older(observed, written)
    verdict = healing.choose(fresh, **how)
    if not replayed:
        return verdict
    waiting = (*verdict.waiting, replay.SUSPICION)
    return dataclasses.replace(verdict, waiting=waiting)
