# SPDX-License-Identifier: Apache-2.0
"""Locks by tooz, by default in the database that Magnum has anyway."""

from collections.abc import Iterator
import contextlib
import dataclasses
import hashlib
import random
import re
import time
from typing import Any
import urllib.parse

from oslo_log import log as logging
from stevedore import driver as stevedore_driver
import tooz
from tooz import coordination

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import lock as lock_port
from magnum_k8s_driver.ports import metrics

LOG = logging.getLogger(__name__)

_PLAIN_NAME = re.compile("[a-z0-9-]{1,64}")
"""MySQL limits lock names to 64 characters, compares them without regard to
case, and has one name space for the whole server; the file driver makes a
file name of them."""

_POLL = 0.5
"""Seconds between two attempts."""

_MYSQL_OPTIONS = frozenset(
    {
        "ssl_ca",
        "ssl_capath",
        "ssl_cert",
        "ssl_key",
        "ssl_cipher",
        "ssl_verify_mode",
        "ssl_check_hostname",
        "unix_socket",
    }
)
"""tooz/drivers/mysql.py; what else SQLAlchemy takes means nothing there."""

_MYSQL = "mysql"
_DATABASES = (_MYSQL, "postgresql")
_KNOWN: dict[tuple[str, bytes], Any] = {}
"""Locks of MySQL that nobody holds, by URL and name, without a connection. To
make one takes PyMySQL 20 ms: it reads all CA certificates of the host."""
_MOST_KNOWN = 1000


def default_url(database_connection: str, state_path: str) -> str:
    """Return the tooz URL of the locks that need nothing new.

    :param database_connection: SQLAlchemy's URL of Magnum's database, may be
        empty.
    :param state_path: directory for lock files, used when the database has
        no locks of its own: locks then hold on one host only.
    """
    url = urllib.parse.urlsplit(database_connection)
    engine = url.scheme.partition("+")[0]
    if engine == "mysql":
        options = [
            (name, value)
            for name, value in urllib.parse.parse_qsl(url.query)
            if name in _MYSQL_OPTIONS
        ]
        query = urllib.parse.urlencode(options)
        return urllib.parse.urlunsplit(
            ("mysql", url.netloc, url.path, query, "")
        )
    if engine in ("postgresql", "postgres"):
        return urllib.parse.urlunsplit(
            ("postgresql", url.netloc, url.path, "", "")
        )
    return f"file://{state_path}"


class ToozLock:
    """Named locks across threads, processes and hosts.

    Every :meth:`hold` opens its own connection, so that threads of one
    process exclude one another too, and closes it.

    :param url: tooz backend; user name and password may be percent-encoded.
    :param member: name of this process.
    """

    def __init__(self, url: str, member: str) -> None:
        self._url = url
        self._member = member.encode()

    @contextlib.contextmanager
    def hold(self, name: str, *, wait_seconds: float) -> Iterator[None]:
        """Hold the lock while the block runs.

        :param wait_seconds: how long to wait for it; 0 tries once.
        :raises LockBusy: somebody else holds it.
        :raises CloudUnavailable: the lock service does not answer.
        """
        shared = name.startswith(lock_port.OF_PROJECT)
        kind = "project" if shared else "cluster"
        measured = metrics.Measured(metrics.LOCK_WAIT, "error", lock=kind)
        with contextlib.ExitStack() as stack:
            with measured:
                lock = stack.enter_context(self._lock(_lock_name(name)))
                try:
                    self._acquire(lock, name, wait_seconds)
                except exceptions.LockBusy:
                    measured.result = "busy"
                    raise
                measured.result = "held"
            stack.callback(_release, lock, name)
            yield

    def _acquire(self, lock: Any, name: str, wait_seconds: float) -> None:
        """Try, and try again: tooz' own waiting differs between drivers.

        Its MySQL driver, for one, raises tenacity's error when time is up,
        and with blocking=True never gives up.
        """
        end = time.monotonic() + wait_seconds
        while True:
            with _as_cloud_error():
                if lock.acquire(blocking=False):
                    return
            left = end - time.monotonic()
            if left <= 0:
                raise exceptions.LockBusy(f"somebody else holds {name}")
            # Jitter only keeps waiting conductors out of step.
            pause = _POLL * random.uniform(0.5, 1.5)  # noqa: S311
            time.sleep(min(left, pause))

    @contextlib.contextmanager
    def _lock(self, name: bytes) -> Iterator[Any]:
        """Give a lock that nobody else has here."""
        if urllib.parse.urlsplit(self._url).scheme != _MYSQL:
            with self._coordinator() as coordinator:
                yield coordinator.get_lock(name)
            return
        with _as_cloud_error():
            lock = _KNOWN.pop((self._url, name), None)
            # It has a connection of its own; a coordinator that is started
            # opens another one and does nothing with it.
            lock = lock or _load(self._url, self._member).get_lock(name)
        try:
            yield lock
        finally:
            if not lock.acquired:
                if len(_KNOWN) >= _MOST_KNOWN:
                    _KNOWN.clear()
                _KNOWN[self._url, name] = lock

    @contextlib.contextmanager
    def _coordinator(self) -> Iterator[Any]:
        with _as_cloud_error():
            coordinator = _load(self._url, self._member)
            coordinator.start(start_heart=True)
        try:
            yield coordinator
        finally:
            try:
                coordinator.stop()
            except Exception as exc:
                # The connection dies with the process at the latest.
                LOG.debug("Cannot stop the lock service's client: %s", exc)


@dataclasses.dataclass(frozen=True)
class _DecodedUrl:
    """What tooz' database drivers read of a parsed URL.

    They take user name and password as they stand in the URL, but in
    SQLAlchemy's URLs special characters are percent-encoded.
    """

    scheme: str
    username: str | None
    password: str | None
    hostname: str | None
    port: int | None
    path: str


def _load(url: str, member: bytes) -> Any:
    parsed = urllib.parse.urlsplit(url)
    if parsed.scheme not in _DATABASES:
        return coordination.get_coordinator(url, member)
    decoded = _DecodedUrl(
        scheme=parsed.scheme,
        username=_unquoted(parsed.username),
        password=_unquoted(parsed.password),
        hostname=parsed.hostname,
        port=parsed.port,
        path=parsed.path,
    )
    # What coordination.get_coordinator() does, with a URL that is decoded.
    manager: Any = stevedore_driver.DriverManager(
        namespace=coordination.TOOZ_BACKENDS_NAMESPACE,
        name=parsed.scheme,
        invoke_on_load=True,
        invoke_args=(member, decoded, urllib.parse.parse_qs(parsed.query)),
    )
    return manager.driver


def _unquoted(text: str | None) -> str | None:
    return None if text is None else urllib.parse.unquote(text)


def _lock_name(name: str) -> bytes:
    """Return the name as every driver takes it."""
    if not _PLAIN_NAME.fullmatch(name):
        digest = hashlib.sha256(name.encode()).hexdigest()
        name = f"magnum-k8s-{digest[:40]}"
    return name.encode()


def _release(lock: Any, name: str) -> None:
    try:
        lock.release()
    except Exception as exc:
        # Its connection broke: the lock is free already or will be soon, and
        # what was done under it is done.
        LOG.warning("Cannot release the lock %s: %s", name, exc)


@contextlib.contextmanager
def _as_cloud_error() -> Iterator[None]:
    try:
        yield
    except exceptions.K8sDriverError:
        raise
    except (tooz.ToozError, OSError) as exc:
        raise exceptions.CloudUnavailable("lock", str(exc)) from exc
