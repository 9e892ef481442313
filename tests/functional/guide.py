# SPDX-License-Identifier: Apache-2.0
"""Commands of a guide, and a shell to run them in as a reader would."""

import dataclasses
import pathlib
import queue
import re
import shlex
import subprocess
import threading
import uuid

DOCUMENTS = pathlib.Path(__file__).parents[2] / "doc/source"
BLOCK = re.compile(
    r"^( *)\.\. code-block:: console\n(?: *:.*\n)*\n((?:\1 +.*\n|\n)+)", re.M
)


@dataclasses.dataclass(frozen=True)
class Step:
    """A command, and what the guide says that it prints."""

    command: str
    shown: tuple[str, ...]

    @property
    def program(self):
        """Name the program that is run first."""
        return shlex.split(self.command.replace("\\\n", " "))[0]


def steps(name):
    """Return the steps of a document in their order."""
    found = []
    for _indent, block in BLOCK.findall((DOCUMENTS / name).read_text()):
        lines = block.rstrip().splitlines()
        width = min(
            len(one) - len(one.lstrip()) for one in lines if one.strip()
        )
        found += _block(line[width:] for line in lines)
    return found


def _block(lines):
    """Split a console's lines into steps; indented ones continue."""
    found, going_on = [], False
    for line in lines:
        if line.startswith("$ "):
            found.append(([line[2:]], []))
            going_on = True
        elif going_on and line.startswith("    "):
            found[-1][0].append(line)
        else:
            going_on = False
            found[-1][1].append(line.rstrip())
    return [Step("\n".join(a), tuple(b)) for a, b in found]


def differs(shown, printed):
    """Return the first shown line that was not printed, None if all were.

    ``...`` stands for any text in a line, and alone for any lines. Blanks
    and dashes of tables may be as many as the contents need.
    """
    wanted = [_pattern(line) for line in shown if line.strip()]
    lines = [line.rstrip() for line in printed.splitlines() if line.strip()]
    place = 0
    for index, (text, pattern) in enumerate(wanted):
        if text.strip() == "...":
            if index == len(wanted) - 1:
                return None
            following = wanted[index + 1][1]
            while place < len(lines) and not following.fullmatch(lines[place]):
                place += 1
            continue
        if place >= len(lines) or not pattern.fullmatch(lines[place]):
            return text
        place += 1
    return lines[place] if place < len(lines) else None


def _pattern(line):
    parts = [re.escape(part) for part in line.split("...")]
    pattern = ".*".join(parts)
    pattern = re.sub(r"(\\-){3,}", "-+", pattern)
    return line, re.compile(re.sub(r"(\\ )+", " +", pattern))


class Shell:
    """A bash that remembers, as a terminal does."""

    def __init__(self, directory, environment):
        self._lines = queue.Queue()
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=directory,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self._bash.stdout:
            self._lines.put(line)

    def run(self, command, seconds):
        """Return exit code and output of a command.

        :raises AssertionError: it takes too long; the shell is stopped.
        """
        mark = uuid.uuid4().hex
        self._bash.stdin.write(f"{command}\necho {mark} $?\n")
        self._bash.stdin.flush()
        printed = []
        while True:
            try:
                line = self._lines.get(timeout=seconds)
            except queue.Empty:
                self.close()
                raise AssertionError(
                    f"not within {seconds} s: {command}"
                ) from None
            if mark in line:
                before, _mark, code = line.partition(mark)
                return int(code), "".join([*printed, before])
            printed.append(line)

    def close(self):
        """End the shell, whatever runs in it."""
        self._bash.kill()
        self._bash.wait()
