# SPDX-License-Identifier: Apache-2.0
"""Run python-openstackclient and show what is run."""

import json
import shlex
import subprocess
from typing import Any

from lab import failure


def run(*words: str) -> str:
    """Show a command, run it, return what it prints.

    :raises LabError: with the client's own message when it fails.
    """
    print(f"$ {_shown(words)}", flush=True)
    return ask(*words)


def ask(*words: str) -> str:
    """Run a command without showing it."""
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()
        reason = said[-1] if said else f"exit code {done.returncode}"
        command = " ".join(words[:5])
        raise failure.LabError(f"`{command}` failed: {reason}")
    return done.stdout


def run_json(*words: str) -> dict[str, Any]:
    """Show a command that prints one object; return the object."""
    print(f"$ {_shown(words)}", flush=True)
    found: dict[str, Any] = json.loads(ask(*words, "-f", "json"))
    return found


def _shown(words: tuple[str, ...]) -> str:
    """Return the command with one option a line when it is long."""
    text = shlex.join(words)
    if len(text) < 79:
        return text
    lines = [""]
    for word in words:
        if word.startswith("--"):
            lines.append("   ")
        lines[-1] += f" {shlex.quote(word)}"
    return " \\\n".join(lines).lstrip()
