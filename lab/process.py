# SPDX-License-Identifier: Apache-2.0
"""Start and stop processes, knowing each by pid and start time on file.

A process is ours only while the pid on file still has the start time on
file. Nothing else is ever signalled, with one exception: what a dead
leader left behind in its own session, and then only if it works in the
lab's directory.
"""

from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import time

from lab import failure

TAIL_LINES = 15
LOG_LIMIT = 64 * 1024 * 1024


@dataclasses.dataclass(frozen=True)
class Record:
    """What is on file about a started process."""

    pid: int
    started: str
    """Field 22 of /proc/<pid>/stat: clock ticks since the boot."""

    since: float
    """Unix time of the start."""

    fingerprint: str
    """Of the command and the configuration it was started with."""


def stat_fields(pid: int) -> list[str]:
    """Return the fields of /proc/<pid>/stat from the third on, or none."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def start_time(pid: int) -> str:
    """Return when a living process started; empty if there is none."""
    fields = stat_fields(pid)
    return fields[19] if fields and fields[0] not in "ZX" else ""


class Processes:
    """The processes of one lab."""

    def __init__(
        self,
        root: pathlib.Path,
        run: pathlib.Path,
        log: pathlib.Path,
        work: pathlib.Path,
    ) -> None:
        self._root = root
        self._run = run
        self._log = log
        self._work = work

    def names(self) -> list[str]:
        """Return the names that have a record, alive or not."""
        return sorted(path.stem for path in self._run.glob("*.json"))

    def record(self, name: str) -> Record | None:
        try:
            return Record(**json.loads(self._file(name).read_text()))
        except (OSError, ValueError, TypeError):
            return None

    def alive(self, name: str) -> Record | None:
        """Return the record if its process still runs."""
        record = self.record(name)
        if record and start_time(record.pid) == record.started:
            return record
        return None

    def log_file(self, name: str) -> pathlib.Path:
        return self._log / f"{name}.log"

    def tail(self, name: str, lines: int = TAIL_LINES) -> str:
        """Return the last lines of a process's log."""
        try:
            with self.log_file(name).open("rb") as log:
                log.seek(0, os.SEEK_END)
                log.seek(max(0, log.tell() - 16384))
                text = log.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def start(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        fingerprint: str = "",
    ) -> Record:
        """Start a process in a session of its own; its output is its log.

        :raises LabError: if the program is missing.
        """
        self._sweep(name)
        path = self.log_file(name)
        if path.exists() and path.stat().st_size > LOG_LIMIT:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as log:
            try:
                process = subprocess.Popen(
                    command,
                    env=dict(environment),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                    cwd=self._work,
                )
            except FileNotFoundError as exc:
                raise failure.LabError(
                    f"{name} cannot start: {command[0]} is not there; "
                    f"`lab/lab install` brings it."
                ) from exc
        return self._put(name, process.pid, fingerprint)

    def adopt(self, name: str, pid: int) -> bool:
        """Put a process on file that one of ours has started on its own.

        :returns: whether it is ours: its environment names this lab.
        """
        mark = f"LAB_ROOT={self._root}".encode()
        try:
            environment = pathlib.Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            return False
        if mark not in environment.split(b"\0"):
            return False
        self._put(name, pid, "")
        return True

    def stop(self, name: str, grace: float) -> None:
        """Ask a process to end, end it after the grace time, forget it."""
        record = self.alive(name)
        if record:
            _signal(record.pid, signal.SIGTERM)
            deadline = time.monotonic() + grace
            while self.alive(name) and time.monotonic() < deadline:
                time.sleep(0.05)
            if self.alive(name):
                _signal(record.pid, signal.SIGKILL)
        self._sweep(name)
        self._file(name).unlink(missing_ok=True)

    def members(self, name: str) -> Iterator[int]:
        """Yield the living processes of a name's session.

        A session number is not given out again while a process is in it;
        if its leader's pid is in use by a younger process, it was.
        """
        record = self.record(name)
        if not record:
            return
        if start_time(record.pid) not in ("", record.started):
            return
        for entry in pathlib.Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            fields = stat_fields(int(entry.name))
            if (
                fields
                and fields[0] not in "ZX"
                and fields[3] == str(record.pid)
                and self._works_here(int(entry.name))
            ):
                yield int(entry.name)

    def _works_here(self, pid: int) -> bool:
        try:
            work = os.readlink(f"/proc/{pid}/cwd")
        except OSError:
            return False
        return pathlib.Path(work).is_relative_to(self._root)

    def _sweep(self, name: str) -> None:
        """End what is left of a name's session, and wait for it."""
        deadline = time.monotonic() + 5
        while left := [*self.members(name)]:
            for pid in left:
                _signal(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)

    def _put(self, name: str, pid: int, fingerprint: str) -> Record:
        record = Record(pid, start_time(pid), time.time(), fingerprint)
        self._file(name).write_text(json.dumps(dataclasses.asdict(record)))
        return record

    def _file(self, name: str) -> pathlib.Path:
        return self._run / f"{name}.json"


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass
