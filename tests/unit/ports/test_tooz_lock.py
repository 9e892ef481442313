# SPDX-License-Identifier: Apache-2.0
"""Names and URLs of locks, and locks in files."""

import threading

import fixtures
import testtools
import tooz

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.ports import tooz_lock


class DefaultUrlTest(testtools.TestCase):
    def check(self, expected, connection):
        self.assertEqual(
            expected, tooz_lock.default_url(connection, "/var/lib/x")
        )

    def test_mysql(self):
        self.check(
            "mysql://u:p%40ss@db:3307/magnum?ssl_ca=%2Fetc%2Fca",
            "mysql+pymysql://u:p%40ss@db:3307/magnum"
            "?charset=utf8&ssl_ca=/etc/ca",
        )
        self.check("mysql://u@[::1]/m", "mysql://u@[::1]/m")

    def test_postgresql(self):
        for scheme in ("postgresql", "postgresql+psycopg2"):
            self.check("postgresql://u:p@db/m", f"{scheme}://u:p@db/m")

    def test_without_locks_in_the_database(self):
        self.check("file:///var/lib/x", "sqlite:////tmp/magnum.db")
        self.check("file:///var/lib/x", "")


class NameTest(testtools.TestCase):
    def test_names(self):
        plain = "magnum-k8s-5d12f6fd-a196-4bf0-ae4c-1f639a523a52"
        self.assertEqual(plain.encode(), tooz_lock._lock_name(plain))
        for odd in ("A", "a/b", "a" * 65):
            self.assertRegex(
                tooz_lock._lock_name(odd).decode(), "^[a-z0-9-]{1,64}$"
            )


class FileLockTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        path = self.useFixture(fixtures.TempDir()).path
        self.url = f"file://{path}"

    def lock(self):
        return tooz_lock.ToozLock(self.url, "member")

    def test_excludes(self):
        with self.lock().hold("a", wait_seconds=0):
            other = self.lock().hold("a", wait_seconds=0)
            self.assertRaises(exceptions.LockBusy, other.__enter__)
            with self.lock().hold("b", wait_seconds=0):
                pass
        with self.lock().hold("a", wait_seconds=0):
            pass

    def test_is_released_after_an_error(self):
        def fail():
            with self.lock().hold("a", wait_seconds=0):
                raise KeyError

        self.assertRaises(KeyError, fail)
        with self.lock().hold("a", wait_seconds=0):
            pass

    def test_threads_take_turns(self):
        lock, inside, seen = self.lock(), [], []

        def work():
            with lock.hold("a", wait_seconds=30):
                inside.append(1)
                seen.append(len(inside))
                inside.pop()

        threads = [threading.Thread(target=work) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        self.assertEqual([1] * 4, seen)

    def test_no_service(self):
        lock = tooz_lock.ToozLock("mysql://u:p@127.0.0.1:1/m", "member")
        self.assertRaises(
            exceptions.CloudUnavailable,
            lock.hold("a", wait_seconds=0).__enter__,
        )


class _MySQLLock:
    """A lock of tooz' MySQL driver that is free or taken by another host."""

    def __init__(self, taken):
        self.taken, self.acquired, self.broken = taken, False, False

    def acquire(self, *, blocking):
        self.acquired = not self.taken
        return self.acquired

    def release(self):
        if self.broken:
            raise tooz.ToozError("Lost connection")
        self.acquired = False


class MySQLLockTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.made = []
        self.taken = False
        self.useFixture(fixtures.MockPatchObject(tooz_lock, "_KNOWN", {}))
        self.useFixture(
            fixtures.MockPatchObject(
                tooz_lock, "_load", lambda _url, _member: self
            )
        )
        self.lock = tooz_lock.ToozLock("mysql://u:p@db/m", "member")

    def get_lock(self, name):
        """What a driver of tooz does."""
        self.made.append(name)
        self.newest = _MySQLLock(self.taken)
        return self.newest

    def test_is_made_once(self):
        for _time in range(3):
            with self.lock.hold("a", wait_seconds=0.0):
                self.assertTrue(self.newest.acquired)
        with self.lock.hold("b", wait_seconds=0.0):
            pass
        self.assertEqual([b"a", b"b"], self.made)

    def test_two_threads_have_one_each(self):
        with self.lock.hold("a", wait_seconds=0.0):
            first, self.taken = self.newest, True
            busy = self.lock.hold("a", wait_seconds=0.0)
            self.assertRaises(exceptions.LockBusy, busy.__enter__)
            self.assertTrue(first.acquired)
        self.assertEqual([b"a", b"a"], self.made)

    def test_one_that_cannot_be_released_is_not_used_again(self):
        with self.lock.hold("a", wait_seconds=0.0):
            self.newest.broken = True
        with self.lock.hold("a", wait_seconds=0.0):
            self.assertFalse(self.newest.broken)
        self.assertEqual([b"a", b"a"], self.made)
