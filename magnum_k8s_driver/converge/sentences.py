# SPDX-License-Identifier: Apache-2.0
"""Make sentences for users of what Heat, Nova and nodes say: pure."""

from collections.abc import Sequence
import re

from magnum_k8s_driver.model import causes
from magnum_k8s_driver.model import record
from magnum_k8s_driver.model import spec

MAX_LENGTH = 1900
"""Characters of a reason; records cuts at 2,000 without mercy."""
MAX_DETAIL = 160
"""Characters of a node's words where several nodes share one reason."""

_NOISE = re.compile(
    r"""
    (?: [A-Z][a-z]+(?:[A-Z]+[a-z]*)+      # ResourceInError, BadRequest
      | Conflict | Error | Exception | Forbidden | Unauthorized
      | Build[ ]of[ ]instance[ ]\S+[ ]aborted
      | Resource[ ](?:CREATE|UPDATE|DELETE|CHECK)[ ]failed
      | Property[ ]error
      | resources (?:\.[\w-]+|\[\w+\])+   # resources.kube_minions.resources.1
      | [\w-]+ (?:\.[\w-]+|\[\w+\])*\.properties (?:\.[\w-]+|\[\w+\])*
    ):\s+
    """,
    re.VERBOSE,
)
_SERVER = re.compile(
    r'Went to status \w+ due to "(?:Message: )?(.*?)(?:, Code: \w+)?"$'
)
_TRAIL = re.compile(
    r"""
    \s* (?: \(HTTP\ \d+\) | \(Request-ID:[^)]*\)
          | Neutron\ server\ returns\ request_ids:.*$ )
    """,
    re.VERBOSE,
)
_BODY = re.compile(
    r"""
    (?:\b\d{3}-)?
    (?: \{ [^{}]* (?:\{ [^{}]*)?          # {'error': {'message': 'why'}}
        ["']message["']:\ (?P<quote>["']) (?P<message>.*?) (?P=quote)
        [^{}]* \}+
      | <html.*? <title> (?P<title>.*?) </title> .*? </html> )
    """,
    re.VERBOSE | re.IGNORECASE,
)
"""What a service or a proxy before it answered, as other services quote it."""


def one_line(text: str) -> str:
    """Return text without line breaks and what cannot be printed."""
    plain = "".join(c if c.isprintable() else " " for c in text)
    return " ".join(plain.split())


def plain(reason: str) -> str:
    """Return Heat's reason without the names of its exception classes.

    :returns: words without a full stop at the end.
    """
    words = one_line(reason)
    while found := _NOISE.match(words):
        words = words[found.end() :]
    words = _TRAIL.sub("", words)
    found = _SERVER.fullmatch(words.rstrip(".").strip())
    if found:
        words = found.group(1)
    return words.rstrip(". ") or "no reason was given"


def short(text: str, length: int = MAX_DETAIL) -> str:
    """Return the beginning of a text, cut at a word."""
    words = one_line(text)
    if len(words) <= length:
        return words
    return f"{words[:length].rsplit(' ', 1)[0].rstrip('.,:; ')} ..."


def capitalised(text: str) -> str:
    """Return words as a sentence."""
    return f"{text[:1].upper()}{text[1:]}."


def bounded(reason: str) -> str:
    """Return a reason as it may be shown: one line, not too long.

    Of an answer that somebody quotes as it came only the message is shown.
    """
    words = _BODY.sub(_message, causes.masked(one_line(reason)))
    if len(words) <= MAX_LENGTH:
        return words
    return f"{short(words, MAX_LENGTH).removesuffix(' ...')}, and more."


def _message(body: re.Match[str]) -> str:
    return (body["message"] or body["title"]).rstrip(". ")


def joined(*found: str) -> str:
    """Return sentences as one text; empty ones are left out."""
    return " ".join(one for one in found if one)


def listed(names: Sequence[str], most: int = 3) -> str:
    """Return the first names, and how many more there are."""
    more = len(names) - most
    return f"{', '.join(names[:most])}{f' and {more} more' * (more > 0)}"


def title(group: record.GroupRecord) -> str:
    """Return what people call a group."""
    if group.role is spec.Role.CONTROL_PLANE:
        return "control plane"
    return "workers" if group.is_default else f"node group {group.name}"
