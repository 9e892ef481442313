# SPDX-License-Identifier: Apache-2.0
"""Execute signed orders on a hollow cluster."""

from collections.abc import Iterator
from collections.abc import Mapping

from lab.hollow import cluster as cluster_module
from magnum_k8s_driver.model import orders


def execute(
    cluster: cluster_module.Cluster, wanted: orders.Orders, by: str
) -> orders.Acknowledgement:
    """Execute orders that nobody has executed, and say how it went.

    Older ones than the last are never executed.

    :param by: name of the member that executes them.
    """
    done = cluster.orders_done
    if done is not None and done.seq >= wanted.seq:
        return done
    if wanted.expected is not None:
        cluster.expected = wanted.expected
    problems = [*_execute(cluster, wanted, by)]
    if wanted.addons:
        cluster.addons.apply(wanted.addons)
    state = orders.AckState.FAILED if problems else orders.AckState.DONE
    message = problems[0] if problems else ""
    return finish(cluster, wanted, state, message)


def finish(
    cluster: cluster_module.Cluster,
    wanted: orders.Orders,
    state: orders.AckState,
    message: str,
) -> orders.Acknowledgement:
    """Note for every member how the execution ended."""
    done = orders.Acknowledgement(seq=wanted.seq, state=state, message=message)
    cluster.orders_done = done
    cluster.note(f"orders-{wanted.seq}-{state}", "")
    cluster.changed_digest()
    return done


def _execute(
    cluster: cluster_module.Cluster, wanted: orders.Orders, by: str
) -> Iterator[str]:
    """Yield what went wrong; a Node that is gone needs nothing."""
    for name, labels in wanted.node_labels.items():
        node = cluster.nodes.get(name)
        if node is not None:
            node.labels = _labelled(node.labels, labels)
    for name, taints in wanted.node_taints.items():
        node = cluster.nodes.get(name)
        if node is not None:
            node.taints = _tainted(node.taints, taints)
    for name in wanted.remove_etcd:
        problem = cluster.remove_etcd(name)
        if problem:
            yield f"etcd member {name}: {problem}"
    for name in wanted.delete_nodes:
        if name == by:
            yield f"{name} does not delete itself"
        else:
            cluster.nodes.pop(name, None)


def _labelled(
    labels: Mapping[str, str], changes: Mapping[str, str | None]
) -> dict[str, str]:
    kept = {k: v for k, v in labels.items() if k not in changes}
    return kept | {k: v for k, v in changes.items() if v is not None}


def _tainted(
    taints: tuple[str, ...], changes: tuple[str, ...]
) -> tuple[str, ...]:
    """Apply taints as kubectl would; one of a key and effect replaces."""
    found = {_identity(one): one for one in taints}
    for change in changes:
        key, effect = _identity(change.removesuffix("-"))
        if not change.endswith("-"):
            found[key, effect] = change
        elif effect:
            found.pop((key, effect), None)
        else:
            found = {k: v for k, v in found.items() if k[0] != key}
    return tuple(found[one] for one in sorted(found))


def _identity(taint: str) -> tuple[str, str]:
    text, _, effect = taint.partition(":")
    return text.partition("=")[0], effect
