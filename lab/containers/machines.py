# SPDX-License-Identifier: Apache-2.0
"""System containers as Nova's driver handles them: by server id."""

from collections.abc import Mapping
import contextlib
import os
import pathlib
import shutil
import signal
import sys
import time

from lab import process
from lab import settings as lab_settings
from lab.containers import image
from lab.containers import keeper
from lab.containers import preload
from lab.containers import server as server_module

SEED = "upper/var/lib/cloud/seed/config_drive"
STOP_SECONDS = keeper.GRACE + 2
REBOOT_SECONDS = 45.0
CONSOLE_BYTES = 1 << 20
SYSTEMD_REBOOT = signal.SIGRTMIN + 5


class Machines:
    """Every system container of a lab. Files and processes know all."""

    def __init__(self, settings: lab_settings.Settings) -> None:
        self._settings = settings
        self._processes = process.Processes(
            settings.root, settings.run, settings.log, settings.state
        )

    def __contains__(self, server_id: str) -> bool:
        return (self._directory(server_id) / server_module.FILE).exists()

    def create(
        self,
        server: server_module.Server,
        config_drive: Mapping[str, bytes],
        kubernetes_version: str,
    ) -> None:
        """Make a server's disk; nothing runs yet.

        :param config_drive: contents by their paths.
        :raises LabError: the image is not built.
        """
        image.lower_directories()
        images = preload.prepare()
        directory = self._directory(server.id)
        directory.mkdir(parents=True)
        directory.chmod(0o700)
        for path, content in config_drive.items():
            file = directory / SEED / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        (directory / SEED).chmod(0o700)
        # What a baked image has in it; stand-ins say that it is theirs.
        version = directory / "upper/etc/kubernetes-version"
        version.parent.mkdir(parents=True, exist_ok=True)
        version.write_text(f"{kubernetes_version}\n")
        if images:
            preload.clone(images, directory / "containerd")
        server_module.write(directory, server)

    def power_on(self, server_id: str) -> None:
        server = server_module.read(self._directory(server_id))
        if self._processes.alive(server.process):
            return
        self._processes.start(
            server.process,
            [
                *(sys.executable, "-m", "lab.containers.keeper"),
                str(self._directory(server_id)),
            ],
            self._settings.environment(),
        )

    def power_off(self, server_id: str) -> None:
        server = server_module.read(self._directory(server_id))
        self._processes.stop(server.process, STOP_SECONDS)

    def reboot(self, server_id: str) -> None:
        """Ask the system to reboot; switch it off and on if it does not."""
        before = self.first_process(server_id)
        if before:
            os.kill(before, SYSTEMD_REBOOT)
        end = time.monotonic() + REBOOT_SECONDS
        while before and time.monotonic() < end:
            if self.first_process(server_id) not in (0, before):
                return
            time.sleep(0.2)
        self.power_off(server_id)
        self.power_on(server_id)

    def delete(self, server_id: str) -> None:
        """Switch off at once and remove the disk."""
        directory = self._directory(server_id)
        with contextlib.suppress(OSError):
            # The last moment others may take it for a server.
            (directory / server_module.FILE).rename(directory / "deleted")
        name = f"server-{server_id}"
        self._processes.stop(name, STOP_SECONDS)
        self._processes.log_file(name).unlink(missing_ok=True)
        shutil.rmtree(directory)

    def console(self, server_id: str) -> str:
        """Return the end of what the serial console showed."""
        path = self._directory(server_id) / keeper.CONSOLE
        try:
            content = path.read_bytes()[-CONSOLE_BYTES:]
        except FileNotFoundError:
            return ""
        # Nova encodes it back that way and then takes it for UTF-8.
        return content.decode("latin-1")

    def first_process(self, server_id: str) -> int:
        """Return the host's pid of process 1; 0 when the server is off."""
        record = self._processes.alive(f"server-{server_id}")
        if record is None:
            return 0
        unshare = keeper.first_process(record.pid)
        return keeper.first_process(unshare) if unshare else 0

    def _directory(self, server_id: str) -> pathlib.Path:
        return server_module.directory(self._settings, server_id)
