# SPDX-License-Identifier: Apache-2.0
"""Serve a WSGI module: serve.py MODULE PORT THREADS [its arguments]."""

import importlib
import signal
import sys

import waitress

IDLE_SECONDS = 60
CONNECTIONS = 4000
"""waitress stops accepting at 100 by default, and each of Heat's threads
keeps its connections open: a busy service would look dead."""


def main() -> None:
    module, port, threads = sys.argv[1:4]
    sys.argv = [module, *sys.argv[4:]]
    application = importlib.import_module(module).application
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
