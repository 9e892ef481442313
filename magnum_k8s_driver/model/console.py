# SPDX-License-Identifier: Apache-2.0
"""What a server's console tells of a node that does not report. Pure.

Texts are of an Ubuntu, Debian, Rocky or Flatcar boot; the node program's
markers are described in doc/source/contributor/protocols.rst.
"""

import dataclasses
import json
import re

from magnum_k8s_driver.model import causes

MARKER = "MAGNUM-NODE"
_FAILED = re.compile(rf"^{MARKER} failed (\{{.*\}})\s*$", re.MULTILINE)
_PHASE = re.compile(rf"^{MARKER} phase (\{{.*\}})\s*$", re.MULTILINE)
_WORD = re.compile(rf"^{MARKER} (\w+) ", re.MULTILINE)
_LIMIT = 200


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """What a console shows."""

    message: str
    """Completes "Node X failed: ", without a full stop."""
    cure: str = ""
    """A sentence."""
    phase: str = ""
    """Of the node program, when it says it."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Sign:
    """Something to look for."""

    name: str
    pattern: str
    message: str
    """``{0}`` stands for the first group of the pattern."""
    cure: str


def _sign(name: str, pattern: str, message: str, cure: str) -> Sign:
    return Sign(name=name, pattern=pattern, message=message, cure=cure)


SIGNS = (
    _sign(
        "Kernel panic",
        r"Kernel panic - not syncing: ([^\n\[]+)",
        "its kernel panicked: {0}",
        "Try the image by itself with this flavor; choose another image or "
        "more memory.",
    ),
    _sign(
        "No bootable disk",
        r"(No bootable device|Boot failed: not a bootable disk|"
        r"grub rescue>|error: no such (?:partition|device)[^\n]*)",
        "it cannot boot: {0}",
        "The image is no disk image for this hypervisor; check its "
        "disk_format and hw_firmware_type.",
    ),
    _sign(
        "Root file system",
        r"((?:ALERT!  ?\S+ does not exist|You are in emergency mode|"
        r"Entering emergency mode|dracut-initqueue[^\n]*timeout|"
        r"Unable to mount root fs)[^\n]*)",
        "it stopped before the system came up: {0}",
        "Try the image by itself; its root file system was not found or is "
        "damaged.",
    ),
    _sign(
        "Disk full",
        r"No space left on device",
        "its disk is full",
        "Choose a flavor with a larger disk or set the label "
        "boot_volume_size.",
    ),
    _sign(
        "Out of memory",
        r"Out of memory: Killed process \d+ \(([^)\n]+)\)",
        "it ran out of memory and killed {0}",
        "Choose a flavor with more memory.",
    ),
    _sign(
        "No address",
        r"(No DHCPOFFERS received|DHCP(?:v4)?[^\n]*(?:timed out|no lease)|"
        r"Failed to start [^\n]*[Ww]ait[- ](?:online|for Network)[^\n]*)",
        "it got no address: {0}",
        "Check that the subnet has DHCP, that its DHCP agent or OVN works "
        "on the server's hypervisor, and security groups.",
    ),
    _sign(
        "No network",
        r"(Network is unreachable|No route to host|"
        r"Temporary failure in name resolution)",
        "it has no network: {0}",
        "Check the subnet's gateway, router and dns_nameserver.",
    ),
    _sign(
        "No metadata",
        r"(No instance datasource found|DataSourceNone|"
        r"Used fallback datasource|169\.254\.169\.254[^\n]*(?:timed out|"
        r"Max retries|No route|Connection refused))",
        "cloud-init found no metadata service: {0}",
        "Check that the subnet has a gateway or DHCP that leads to the "
        "metadata service, and the metadata agent.",
    ),
    _sign(
        "Wrong user data",
        r"cloud-init[^\n]*((?:Failed loading yaml|Unhandled non-multipart|"
        r"Failed at merging in cloud config)[^\n]*)",
        "cloud-init could not read its orders: {0}",
        "The image's cloud-init is too old; use a current image.",
    ),
    _sign(
        "cloud-init failed",
        r"cloud-init[^\n]*(?:ERROR|CRITICAL|Traceback)[^\n]*?[:\]] *"
        r"([^\n]{4,})",
        "cloud-init failed: {0}",
        "Log in with the key pair and look at /var/log/cloud-init.log.",
    ),
    _sign(
        "Ignition failed",
        r"(Ignition failed[^\n]*|ignition\[\d+\]: CRITICAL[^\n]*)",
        "Ignition could not set it up: {0}",
        "The image's Ignition is too old or cannot reach its source; use a "
        "current image.",
    ),
)
"""In order of how much they explain."""

SYSTEM_UP = re.compile(r"\blogin:\s*$", re.MULTILINE)


def read(text: str) -> Finding | None:
    """Return what a console tells, None when it tells nothing.

    The node program's own words win, then what keeps a system from
    starting, then how far the node program was.
    """
    own = _last(_FAILED, text)
    if own.get("message"):
        return Finding(
            phase=_plain(own.get("phase")),
            message=_plain(own["message"]).rstrip("."),
            cure=_plain(own.get("hint")),
        )
    for sign in SIGNS:
        found = re.search(sign.pattern, text)
        if found:
            word = found.group(1) if found.re.groups else ""
            return Finding(
                message=sign.message.format(_plain(word).rstrip(". ")),
                cure=sign.cure,
            )
    reached = _plain(_last(_PHASE, text).get("phase"))
    if reached:
        return Finding(
            message=f"its console has been silent since phase {reached}",
            cure="Log in with the key pair and look at /var/log/magnum.",
        )
    if SYSTEM_UP.search(text):
        return Finding(
            message="its system is up but the node program never started",
            cure="Use an image with cloud-init or Ignition; check that the "
            "metadata service gives it its user data.",
        )
    return None


def is_ready(text: str) -> bool:
    """Tell whether the node program's last word is that it is ready."""
    found = _WORD.findall(text)
    return bool(found) and found[-1] == "ready"


def phases(text: str) -> tuple[tuple[str, float], ...]:
    """Return the phases that the node program did, with their seconds."""
    found: dict[str, float] = {}
    for content in _PHASE.findall(text):
        try:
            one = json.loads(content)
            # A later boot finds everything done: keep the real times.
            found.setdefault(_plain(one["phase"]), float(one["seconds"]))
        except (LookupError, TypeError, ValueError):
            continue
    return tuple(found.items())


def silence(seconds: float, has_console: bool) -> Finding:
    """Return what to say of a node that nothing is known of."""
    minutes = round(seconds / 60)
    if not has_console:
        return Finding(
            message=f"it has not reported for {minutes} minutes and its "
            "console is empty or cannot be read",
            cure="Check that the image boots on this cloud and that nodes "
            "reach Keystone and Heat.",
        )
    return Finding(
        message=f"it has not reported for {minutes} minutes; its console "
        "shows no error",
        cure="Check that nodes reach Keystone and Heat from their subnet: "
        "router, DNS, security groups, proxies.",
    )


def _last(pattern: re.Pattern[str], text: str) -> dict[str, object]:
    """Return the content of the last marker of a kind."""
    for found in reversed(pattern.findall(text)):
        try:
            content = json.loads(found)
        except ValueError:
            continue
        if isinstance(content, dict):
            return content
    return {}


def _plain(value: object) -> str:
    """Return printable words without secrets; users will see them."""
    text = value if isinstance(value, str) else ""
    words = " ".join(
        "".join(c if c.isprintable() else " " for c in text).split()
    )
    return causes.masked(words)[:_LIMIT]
