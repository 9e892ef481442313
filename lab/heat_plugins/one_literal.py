# SPDX-License-Identifier: Apache-2.0
"""Heat plugin: read one literal at a time.

Heat keeps what waits for a resource under keys such as ``tuple:(12, True)``
and reads them with ``ast.literal_eval`` (``heat/engine/sync_point.py``).
Python 3.11 counts the depth of that for all threads together
(https://github.com/python/cpython/issues/106905): when another thread gets
its turn in the middle, one of both fails with "SystemError: AST constructor
recursion depth mismatch". Heat 27 has native threads, so it happens on a busy
engine. The check of a resource is lost then and its stack stays in progress
until it is deleted.

To use it in a cloud, copy this file to a directory named in ``[DEFAULT]
plugin_dirs`` of heat.conf and restart heat-engine.
"""

import threading
from typing import Any

from heat.engine import sync_point

_LOCK = threading.Lock()
_unpack = sync_point._str_unpack_tuple


def _unpack_alone(text: str) -> Any:
    with _LOCK:
        return _unpack(text)


sync_point._str_unpack_tuple = _unpack_alone


def resource_mapping() -> dict[str, Any]:
    """Return no resources; Heat asks every plugin for some."""
    return {}
