# SPDX-License-Identifier: Apache-2.0
"""Add-ons: which orders are due, and what the boards say of them. Pure."""

from collections.abc import Iterator

from magnum_k8s_driver.converge import observed as observed_module
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import state

_SERIAL = " credential "
_DONE = "done"
_FAILED = "failed"
_UNKNOWN = board.AddonState(id="", state="")


def wanted_for(observed: observed_module.Observed, renewed: str = "") -> str:
    """Return what the add-ons have to be made from now.

    Labels, template, the version of the control plane and the rotation that
    the credential comes from; empty while an upgrade is under way, which
    changes them when it is finished.

    :param renewed: see :func:`is_due`.
    """
    cluster = observed.cluster
    if cluster is None or observed.upgrade is not None:
        return ""
    members = cluster.state.stack.members.all
    if not members:
        return ""
    version = members[-1].kubernetes_version
    made_from = f"{observed.record.addons_from} {version}"
    last = cluster.state.orders.addons_for.partition(_SERIAL)[2]
    serial = renewed or last
    return f"{made_from}{_SERIAL}{serial}" if serial else made_from


def is_due(observed: observed_module.Observed, renewed: str = "") -> bool:
    """Tell whether the control plane has to be told of add-ons.

    :param renewed: serial of a credential that every member has by now:
        programs that have the last one start anew.
    """
    changing = (record.Intent.CREATE, record.Intent.UPDATE)
    if observed.cluster is None or observed.record.intent not in changing:
        return False
    wanted = wanted_for(observed, renewed)
    changed = wanted != observed.cluster.state.orders.addons_for
    # A resize to the same size is how users ask to try again.
    again = observed.removal is not None and bool(failed(observed))
    return bool(wanted) and (changed or again)


def is_settled(observed: observed_module.Observed) -> bool:
    """Tell whether each required add-on is done or has failed."""
    return all(
        said.state in (_DONE, _FAILED)
        for _name, one, said in _told(observed)
        if one.required
    )


def waiting(observed: observed_module.Observed) -> tuple[str, ...]:
    """Return the required add-ons that are not done, with what they say."""
    found = []
    for name, one, said in _told(observed):
        if one.required and said.state != _DONE:
            words = f" ({said.message.rstrip('.')})" if said.message else ""
            found.append(f"{name}{words}")
    return tuple(found)


def failures(observed: observed_module.Observed) -> tuple[str, ...]:
    """Return a sentence for each required add-on that failed."""
    return _sentences(observed, required=True)


def complaints(observed: observed_module.Observed) -> tuple[str, ...]:
    """Return a sentence for each optional add-on that failed."""
    return _sentences(observed, required=False)


def failed(observed: observed_module.Observed) -> dict[str, str]:
    """Return what Helm said last of each add-on that failed, by name."""
    return {
        name: said.message or "It gave no reason."
        for name, _one, said in _told(observed)
        if said.state == _FAILED
    }


def _sentences(
    observed: observed_module.Observed, *, required: bool
) -> tuple[str, ...]:
    return tuple(
        f"Add-on {name} {'is not removed' if one.removes else 'failed'}: "
        f"{said.message.rstrip('.') or 'it gave no reason'}."
        for name, one, said in _told(observed)
        if one.required is required and said.state == _FAILED
    )


def _told(
    observed: observed_module.Observed,
) -> Iterator[tuple[str, state.OrderedAddon, board.AddonState]]:
    """Yield each add-on as ordered, and what is known of exactly that."""
    if observed.cluster is None:
        return
    digest = observed.digest
    for name, one in observed.cluster.state.orders.addons.items():
        said = digest.addons.get(name, _UNKNOWN) if digest else _UNKNOWN
        yield name, one, said if said.id == one.id else _UNKNOWN
