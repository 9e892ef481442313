# SPDX-License-Identifier: Apache-2.0
"""Let a service of the lab fail on request: WSGI middleware.

``LAB_ROOT/state/faults.json`` says what goes wrong, and is read again as soon
as it changes; without it everything works::

    {"heat": {"kind": "error", "status": 503, "share": 0.5},
     "nova": {"kind": "slow", "seconds": 3, "methods": ["POST"]}}

Kinds:

``error``
   answers ``status`` (500 unless told) without asking the service;
``slow``
   asks it after ``seconds``;
``dropped``
   closes the connection without asking it;
``lost``
   asks it and closes the connection in the middle of the answer;
``twice``
   asks it twice, as a proxy does that got no answer, and gives the second one.

``share`` is how many of the requests it happens to (all unless told),
``methods`` which ones. Requests of ``keystonemiddleware``, by which services
check the tokens of their callers, are spared: nobody could ask for anything
any more.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
import io
import json
import pathlib
import random
import time
from typing import Any

FILE = "state/faults.json"
KINDS = ("dropped", "error", "lost", "slow", "twice")
_SPARED = "keystonemiddleware"
_LONGEST = 600.0


def service_of(module: str) -> str:
    """Return the name of the service whose application a module has."""
    if module.startswith("lab.plugins."):
        return module.rpartition(".")[2].partition("_")[0]
    name = module.partition(".")[0]
    return f"{name}-metadata" if module.endswith(".metadata") else name


class Faulty:
    """An application that fails as a file says.

    :param service: its name in the file.
    """

    def __init__(
        self, application: Any, service: str, path: pathlib.Path
    ) -> None:
        self._application = application
        self._service = service
        self._path = path
        self._read: tuple[int, int] | None = None
        self._rule: Mapping[str, Any] = {}
        # Which requests it happens to need not be the same twice.
        self._chance = random.Random()

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        rule = self._rule_of(environ)
        if not rule:
            answer: Iterable[bytes] = self._application(
                environ, start_response
            )
            return answer
        kind = rule.get("kind")
        if kind == "error":
            return _refuse(start_response, int(rule.get("status", 500)))
        if kind == "dropped":
            return _broken(start_response, b"{")
        if kind == "twice":
            self._ask_before(environ)
        if kind == "slow":
            time.sleep(min(float(rule.get("seconds", 1)), _LONGEST))
        if kind == "lost":
            return self._lost(environ, start_response)
        answer = self._application(environ, start_response)
        return answer

    def _rule_of(self, environ: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return what happens to this request, nothing mostly."""
        try:
            status = self._path.stat()
        except OSError:
            return {}
        read = (status.st_mtime_ns, status.st_ino)
        if read != self._read:
            self._read = read
            self._rule = self._parsed()
        rule = self._rule
        methods = rule.get("methods")
        if not rule or _SPARED in environ.get("HTTP_USER_AGENT", ""):
            return {}
        if methods and environ["REQUEST_METHOD"] not in methods:
            return {}
        share = float(rule.get("share", 1.0))
        return rule if self._chance.random() < share else {}

    def _parsed(self) -> Mapping[str, Any]:
        try:
            found = json.loads(self._path.read_text())
            rule = found.get(self._service) or {}
        except (OSError, ValueError, AttributeError):
            return {}
        return rule if rule.get("kind") in KINDS else {}

    def _ask_before(self, environ: dict[str, Any]) -> None:
        """Let a request arrive once more than its client knows."""
        length = int(environ.get("CONTENT_LENGTH") or 0)
        body = environ["wsgi.input"].read(length) if length else b""
        environ["wsgi.input"] = io.BytesIO(body)
        before = {**environ, "wsgi.input": io.BytesIO(body)}
        _exhaust(
            self._application(before, lambda *_a, **_k: bytearray().extend)
        )

    def _lost(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        _exhaust(
            self._application(environ, lambda *_a, **_k: bytearray().extend)
        )
        return _broken(start_response, b"{")


def _refuse(
    start_response: Callable[..., Any], status: int
) -> Iterable[bytes]:
    body = json.dumps(
        {"error": {"code": status, "message": "the lab was told to fail"}}
    ).encode()
    start_response(
        f"{status} Fault",
        [
            ("Content-Type", "application/json"),
            ("Content-Length", str(len(body))),
        ],
    )
    return [body]


def _broken(
    start_response: Callable[..., Any], begin: bytes
) -> Iterator[bytes]:
    """Begin an answer and close the connection."""
    start_response(
        "200 OK",
        [("Content-Type", "application/json"), ("Content-Length", "4096")],
    )

    def body() -> Iterator[bytes]:
        yield begin
        raise ConnectionAbortedError("the lab was told to fail")

    return body()


def _exhaust(answer: Any) -> None:
    for _part in answer:
        pass
    close = getattr(answer, "close", None)
    if close is not None:
        close()
