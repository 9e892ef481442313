# SPDX-License-Identifier: Apache-2.0
"""Talk to Heat as a node does: own user, own token, one signal at a time."""

from collections.abc import Callable
from collections.abc import Mapping
from concurrent import futures
import datetime
import logging
import random
import threading
import time
from typing import Any, Protocol

import requests

from lab.hollow import scheduler as scheduler_module

LOG = logging.getLogger(__name__)

THREADS = 4
TIMEOUT = 5, 60
LONGEST_WAIT = 60.0
TOKEN_MARGIN = 120.0


class Heat(Protocol):
    """What nodes need from Heat; everything raises OSError."""

    def post(
        self, credentials: Mapping[str, Any], body: Mapping[str, Any]
    ) -> None:
        """Deliver one signal."""

    def configs(self, credentials: Mapping[str, Any], key: str) -> list[str]:
        """Return the texts that are deployed under a key."""


class HeatApi:
    """Heat over HTTP; tokens are shared by all users of a handle."""

    def __init__(self) -> None:
        self._tokens: dict[tuple[str, str], tuple[str, float]] = {}
        self._local = threading.local()

    def post(
        self, credentials: Mapping[str, Any], body: Mapping[str, Any]
    ) -> None:
        """Deliver one signal."""
        self._send("POST", credentials["alarm_url"], credentials, body)

    def configs(self, credentials: Mapping[str, Any], key: str) -> list[str]:
        """Return the texts that are deployed under a key."""
        base = credentials["alarm_url"].partition("/stacks/")[0]
        url = f"{base}/software_deployments/metadata/{key}"
        answer = self._send("GET", url, credentials, None)
        return [one["config"] for one in answer.json()["metadata"]]

    def _send(
        self,
        method: str,
        url: str,
        credentials: Mapping[str, Any],
        body: Mapping[str, Any] | None,
    ) -> requests.Response:
        answer = self._try(method, url, credentials, body)
        if answer.status_code == 401:
            self._tokens.pop(_user(credentials), None)
            answer = self._try(method, url, credentials, body)
        answer.raise_for_status()
        return answer

    def _try(
        self,
        method: str,
        url: str,
        credentials: Mapping[str, Any],
        body: Mapping[str, Any] | None,
    ) -> requests.Response:
        return self._session().request(
            method,
            url,
            json=body,
            headers={"X-Auth-Token": self._token(credentials)},
            timeout=TIMEOUT,
        )

    def _token(self, credentials: Mapping[str, Any]) -> str:
        known = self._tokens.get(_user(credentials))
        if known and known[1] > time.time():
            return known[0]
        url = credentials["auth_url"].rstrip("/")
        url = url if url.endswith("/v3") else f"{url}/v3"
        answer = self._session().post(
            f"{url}/auth/tokens",
            json=_authentication(credentials),
            timeout=TIMEOUT,
        )
        answer.raise_for_status()
        token = answer.headers["X-Subject-Token"]
        until = _until(answer.json()["token"]["expires_at"])
        self._tokens[_user(credentials)] = token, until - TOKEN_MARGIN
        return token

    def _session(self) -> requests.Session:
        session = getattr(self._local, "session", None)
        if session is None:
            session = self._local.session = requests.Session()
            session.trust_env = False
        return session


class Sender:
    """A few threads that talk to Heat for all nodes."""

    def __init__(
        self,
        scheduler: scheduler_module.Scheduler,
        heat: Heat | None = None,
        executor: futures.Executor | None = None,
    ) -> None:
        self.scheduler = scheduler
        self.heat = heat or HeatApi()
        self._pool = executor or futures.ThreadPoolExecutor(
            THREADS, thread_name_prefix="hollow-signal"
        )

    def submit(self, work: Callable[[], None]) -> None:
        self._pool.submit(work)

    def fetch(
        self,
        credentials: Mapping[str, Any],
        key: str,
        done: Callable[[list[str]], None],
    ) -> None:
        """Hand over, on the scheduler's thread, what lies under a key."""

        def work() -> None:
            try:
                found = self.heat.configs(credentials, key)
            except (OSError, KeyError, ValueError) as exc:
                LOG.debug("Nothing was read: %s", type(exc).__name__)
                found = []
            self.scheduler.call_soon(lambda: done(found))

        self.submit(work)


class Channel:
    """One writer's way to one handle.

    Heat loses signals that reach one handle at the same moment, so the next
    is posted when the one before was answered. Of several that wait under
    one id only the last is sent, as only the last would be kept.
    """

    def __init__(self, sender: Sender, credentials: Mapping[str, Any]) -> None:
        self._sender = sender
        self._credentials = credentials
        self._lock = threading.Lock()
        self._pending: dict[str, Mapping[str, Any]] = {}
        self._busy = False
        self._failures = 0
        self._closed = not credentials

    def send(self, name: str, ok: bool, reason: str, text: str) -> None:
        body = {
            "id": name,
            "status": "SUCCESS" if ok else "FAILURE",
            "reason": reason,
            "data": text,
        }
        with self._lock:
            if self._closed:
                return
            self._pending[name] = body
            if self._busy:
                return
            self._busy = True
        self._sender.submit(self._deliver)

    def drop(self, name: str) -> None:
        """Forget a signal that still waits."""
        with self._lock:
            self._pending.pop(name, None)

    def close(self) -> None:
        """Send nothing any more: the server is gone or powered off."""
        with self._lock:
            self._closed = True
            self._pending.clear()

    def reopen(self) -> None:
        with self._lock:
            self._closed = not self._credentials

    def _deliver(self) -> None:
        while True:
            with self._lock:
                if not self._pending:
                    self._busy = False
                    return
                name, body = next(iter(self._pending.items()))
                del self._pending[name]
            try:
                self._sender.heat.post(self._credentials, body)
            except (OSError, KeyError, ValueError) as exc:
                self._put_back(name, body, exc)
                return
            self._failures = 0

    def _put_back(
        self, name: str, body: Mapping[str, Any], exc: Exception
    ) -> None:
        """Try again later; the channel stays busy until then."""
        self._failures += 1
        LOG.debug("Signal %s was not delivered: %s", name, type(exc).__name__)
        with self._lock:
            if not self._closed:
                self._pending.setdefault(name, body)
        wait = min(LONGEST_WAIT, 2.0 ** min(self._failures, 6))
        self._sender.scheduler.call_later(
            random.uniform(0.5, 1.0) * wait,
            lambda: self._sender.submit(self._deliver),
        )


def _user(credentials: Mapping[str, Any]) -> tuple[str, str]:
    return credentials["auth_url"], credentials["user_id"]


def _until(text: str) -> float:
    return datetime.datetime.fromisoformat(
        text.replace("Z", "+00:00")
    ).timestamp()


def _authentication(credentials: Mapping[str, Any]) -> dict[str, Any]:
    user = {
        "id": credentials["user_id"],
        "password": credentials["password"],
    }
    return {
        "auth": {
            "identity": {"methods": ["password"], "password": {"user": user}},
            "scope": {"project": {"id": credentials["project_id"]}},
        }
    }
