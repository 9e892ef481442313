# SPDX-License-Identifier: Apache-2.0
"""Heat plugin: let a stack forget its finished threads.

Heat 27.0.1 runs every signal in a thread of the stack's group
(``heat/engine/service.py:ThreadGroup.add_thread``) and never takes a finished
one off the list. With the thousandth signal of a stack its engine answers
everything about that stack, a delete included, with "Maximum number of
threads reached" until it is restarted. The eventlet version did not.

To use it in a cloud, copy this file to a directory named in ``[DEFAULT]
plugin_dirs`` of heat.conf and restart heat-engine.
"""

from typing import Any

from heat.engine import service

_add_thread = service.ThreadGroup.add_thread


def _add_and_forget(self: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
    thread = _add_thread(self, func, *args, **kwargs)
    thread.link(self.thread_done)
    return thread


service.ThreadGroup.add_thread = _add_and_forget


def resource_mapping() -> dict[str, Any]:
    """Return no resources; Heat asks every plugin for some."""
    return {}
