# SPDX-License-Identifier: Apache-2.0
"""Serve a WSGI module: serve.py MODULE PORT THREADS [its arguments].

Every request is one line in LAB_ROOT/log/requests: when, the first part of
the module's name, method, path, length of the request's body and the status.
What goes wrong on request stands in :mod:`lab.plugins.faults`.
"""

from collections.abc import Callable, Iterable
import importlib
import os
import pathlib
import signal
import sys
import time
from typing import Any

import waitress

from lab.plugins import faults

IDLE_SECONDS = 60
CONNECTIONS = 4000
"""waitress stops accepting at 100 by default, and each of Heat's threads
keeps its connections open: a busy service would look dead."""


class Counted:
    """An application whose requests are written down."""

    def __init__(self, application: Any, name: str, path: str) -> None:
        self._application = application
        self._name = name
        # One write of less than a page each: lines of services do not mix.
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        self._file = os.open(path, flags, 0o644)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
        length = environ.get("CONTENT_LENGTH") or "0"

        def start(status: str, *more: Any, **options: Any) -> Any:
            line = (
                f"{time.time():.3f} {self._name} {method} "
                f"{path.replace(' ', '%20')[:500]} {length} {status[:3]}\n"
            )
            os.write(self._file, line.encode(errors="replace"))
            return start_response(status, *more, **options)

        answer: Iterable[bytes] = self._application(environ, start)
        return answer


def main() -> None:
    module, port, threads = sys.argv[1:4]
    sys.argv = [module, *sys.argv[4:]]
    root = pathlib.Path(os.environ["LAB_ROOT"])
    application = Counted(
        faults.Faulty(
            importlib.import_module(module).application,
            faults.service_of(module),
            root / faults.FILE,
        ),
        module.partition(".")[0],
        str(root / "log/requests"),
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    waitress.serve(
        application,
        host="127.0.0.1",
        port=int(port),
        threads=int(threads),
        backlog=4096,
        channel_timeout=IDLE_SECONDS,
        connection_limit=CONNECTIONS,
        ident=None,
        max_request_body_size=1 << 30,
    )


if __name__ == "__main__":
    main()
