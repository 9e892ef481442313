# SPDX-License-Identifier: Apache-2.0
"""Why Heat failed at a stack, for users: pure."""

from magnum_k8s_driver.converge import sentences
from magnum_k8s_driver.model import causes
from magnum_k8s_driver.ports import heat

_BALANCER = "OS::Octavia::LoadBalancer"
_VOLUME = "OS::Cinder::Volume"


def of_stack(
    stack: heat.Stack, failures: tuple[heat.StackResource, ...]
) -> list[str]:
    """Return one sentence for each of the first failed resources."""
    if stack.phase is not heat.StackPhase.FAILED:
        return []
    if not failures:
        words = causes.with_cure(sentences.plain(stack.reason))
        return [f"Heat stack {stack.name} failed: {words}"]
    deleting = stack.action is heat.StackAction.DELETE
    verb = "remove" if deleting else "make"
    return [
        f"Heat could not {verb} {one.type} {one.name} of stack {stack.name}: "
        f"{causes.with_cure(_words(one))}"
        for one in failures[:3]
    ]


def _words(failure: heat.StackResource) -> str:
    words = sentences.plain(failure.reason)
    if failure.type == _BALANCER and "ERROR" in failure.reason:
        # Octavia has no more to tell: Heat writes 'due to "Unknown"'.
        return f"load balancer {failure.physical_id} went to ERROR"
    if failure.type == _VOLUME and words.startswith("Unknown"):
        return f"volume {failure.physical_id} failed"
    return words
