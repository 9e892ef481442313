# SPDX-License-Identifier: Apache-2.0
"""What services say when something fails, what it means and what to do.

A service's own words are kept; this adds the way out. The catalogue in the
user guide is made of :data:`CAUSES` and of the consoles' findings.
"""

import dataclasses
import re

_SECRETS = re.compile(
    r"""
    (?<![\w.]) [a-z0-9]{6}\.[a-z0-9]{16} (?![\w.])       # bootstrap token
    | -----BEGIN\ [^-]+-----.*?(?:-----END\ [^-]+-----|$)
    | (?<=\bpassword[=:]) \s*\S+ | (?<=\btoken[=:]) \s*\S+
    | (?<=\bsecret[=:]) \s*\S+
    | \bgAAAA[\w=-]{20,}                                 # fernet token
    | (?<![\w/+-]) (?=[\w/+]*\d) (?=[\w/+]*[A-Z]) (?=[\w/+]*[a-z])
      [A-Za-z0-9/+]{40,}={0,2} (?![\w/+])                # base64
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Cause:
    """One kind of failure."""

    name: str
    """Short name for the catalogue."""
    pattern: str
    """Regular expression that finds it in what a service said."""
    meaning: str
    """What happened, as a sentence."""
    cure: str
    """What to do, as a sentence."""


def _cause(name: str, pattern: str, meaning: str, cure: str) -> Cause:
    return Cause(name=name, pattern=pattern, meaning=meaning, cure=cure)


CAUSES = (
    _cause(
        "Placement policy",
        r"ServerGroup policy|affinity.* policy was violated|"
        r"[Aa]nti-affinity",
        "The policy of the server group leaves no hypervisor.",
        "Set the label server_group_policy to soft-anti-affinity or choose "
        "fewer nodes.",
    ),
    _cause(
        "No valid host",
        r"No valid host",
        "Nova found no hypervisor that can run the server.",
        "Choose a smaller flavor or another availability_zone, or ask the "
        "operator for capacity.",
    ),
    _cause(
        "Every hypervisor failed",
        r"Exceeded max(imum)? (number of retries|scheduling attempts)",
        "Each hypervisor that Nova tried could not start the server.",
        "Try again; when it repeats, the operator finds why in the logs of "
        "nova-compute.",
    ),
    _cause(
        "Port binding",
        r"[Bb]inding failed for port|Virtual Interface creation failed|"
        r"vif_plugging|PortBindingFailed",
        "Neutron could not connect the server's port on its hypervisor.",
        "The operator should look at the network agent of that hypervisor.",
    ),
    _cause(
        "Quota",
        r"[Qq]uota exceeded|OverQuota|exceeds allowed .*quota|quota.* "
        r"exceeded|Quota has been met|[Mm]aximum number of .* exceeded|"
        r"exceed.* quota|over quota",
        "A quota of the project is used up.",
        "Free what is not needed or ask for a higher quota; "
        "magnum-k8s-preflight tells how much is needed.",
    ),
    _cause(
        "Image",
        r"[Ii]mage \S+ (could not be found|is unacceptable|is not active)|"
        r"[Ii]mage .*(deactivated|not found)|"
        r"[Dd]ownload .*image .* (forbidden|denied)",
        "The image is gone, not active, or not for this project.",
        "Upgrade to a template with an image that is active, or let the "
        "image's owner activate or share it.",
    ),
    _cause(
        "Root disk too small",
        r"disk is too small|smaller than the (minimum )?size|"
        r"is smaller than .*minDisk|Image virtual size is",
        "The root disk cannot hold the image.",
        "Set the label boot_volume_size or choose a flavor with a larger "
        "disk.",
    ),
    _cause(
        "Volume zone",
        r"[Aa]vailability zone .* is invalid|not in the same "
        r"availability_zone|cross_az_attach",
        "Cinder does not have the availability zone of the servers.",
        "Choose an availability_zone that Nova and Cinder have, or boot from "
        "the hypervisor's disk without volumes.",
    ),
    _cause(
        "Volume type",
        r"[Vv]olume.type.*(not be found|not found|invalid)",
        "The volume type does not exist or is not for this project.",
        "Correct the label that names it (boot_volume_type, "
        "docker_volume_type, etcd_volume_type).",
    ),
    _cause(
        "Volume failed",
        r"Went to status error due to|did not finish being created|"
        r"Could not find any available weighted backend|"
        r"No valid (backend|weighed)|Block Device Mapping is Invalid|"
        r"[Vv]olume .*(in error|error state)|InvalidVolume|"
        r"Volume .* failed",
        "Cinder could not make a volume.",
        "Try again or choose another volume type; the operator finds why in "
        "the logs of cinder-volume.",
    ),
    _cause(
        "Subnet full",
        r"No more IP addresses|IpAddressGenerationFailure|"
        r"[Nn]o more fixed IP",
        "The subnet has no free address.",
        "Free addresses, choose a larger subnet or fewer nodes.",
    ),
    _cause(
        "No floating IP left",
        r"External network .* exhausted|[Nn]o (more )?floating",
        "The external network has no free floating IP.",
        "Turn floating_ip_enabled off or ask the operator for addresses.",
    ),
    _cause(
        "No way to the external network",
        r"is not reachable from subnet",
        "No router joins the nodes' subnet to the external network.",
        "Connect the subnet to a router with a gateway on the external "
        "network, or turn floating IPs off.",
    ),
    _cause(
        "Subnet overlaps",
        r"overlaps with (cidr|another)|Cidr .* overlaps",
        "The router has another subnet with these addresses.",
        "Choose another fixed_subnet_cidr.",
    ),
    _cause(
        "Network in use",
        r"ports? have an IP allocation|ports? still in use|"
        r"Security Group .* in use|[Rr]outer .* (has ports|in use)|"
        r"still has ports",
        "Something that is not part of the cluster uses its network.",
        "Remove what is on the network or security group, then repeat the "
        "delete.",
    ),
    _cause(
        "Load balancer busy",
        r"immutable and cannot be updated",
        "Octavia is changing the load balancer and refuses other changes.",
        "Wait until it is ACTIVE and resize to the same size; when it stays "
        "PENDING the operator has to reset it.",
    ),
    _cause(
        "Load balancer provider",
        r"[Pp]rovider .* (is not enabled|not found|is not supported)",
        "Octavia does not have this provider.",
        "Correct the label octavia_provider.",
    ),
    _cause(
        "Load balancer failed",
        r"[Ll]oad ?[Bb]alancer.*ERROR",
        "Octavia could not make the load balancer.",
        "Try again; when it repeats, the operator finds why in the logs of "
        "octavia-worker.",
    ),
    _cause(
        "Not allowed",
        r"Policy doesn't allow|not authorized|[Ff]orbidden|HTTP 403|"
        r"disallowed by policy",
        "A role is missing.",
        "The operator should check service_roles and cluster_roles of "
        "[k8s_driver] against the policies of that service.",
    ),
    _cause(
        "Trust or user gone",
        r"Could not find trust|[Tt]rust .*not (be )?found|"
        r"user .* (disabled|not be found)|Authentication (failed|required)|"
        r"requires authentication",
        "An identity that Heat acts with is gone or was disabled.",
        "Resize to the same size: that gives the stacks a new one.",
    ),
    _cause(
        "Flavor gone",
        r"[Ff]lavor .*(could not be found|not found)",
        "The flavor was removed.",
        "Make a node group with another flavor, or let the operator make the "
        "flavor again.",
    ),
    _cause(
        "Network gone",
        r"([Nn]etwork|[Ss]ubnet|[Pp]ort) \S+ could not be found",
        "Something of the network was removed by hand.",
        "When it is the cluster's own, delete the cluster and create it "
        "again.",
    ),
    _cause(
        "Heat engine stopped",
        r"Engine went down|[Ee]ngine .* (stopped|killed)",
        "Heat was restarted in the middle of the work.",
        "Resize to the same size to go on; a create has to be repeated.",
    ),
    _cause(
        "Too many resources",
        r"Maximum resources per stack exceeded|maximum stacks per tenant",
        "Heat's own limit is reached.",
        "Use more and smaller node groups, or let the operator raise it in "
        "heat.conf and in [k8s_driver].",
    ),
    _cause(
        "Service did not answer",
        r"MessagingTimeout|[Tt]imed out waiting for a reply|"
        r"Gateway Time-?out|Service Unavailable|Unable to establish "
        r"connection|HTTP 50[0234]",
        "A service of the cloud did not answer.",
        "Resize to the same size when the service works again; a create has "
        "to be repeated.",
    ),
    _cause(
        "Heat timed out",
        r"(Create|Update|Delete|Stack \S+) timed out|^Timed out",
        "The stack was not ready within its timeout.",
        "Look at what was still in progress; create again with a larger "
        "--timeout when it was only slow.",
    ),
)


def find(words: str) -> Cause | None:
    """Return the first cause that the words of a service show."""
    for one in CAUSES:
        if re.search(one.pattern, words):
            return one
    return None


def with_cure(words: str) -> str:
    """Return a service's words as a sentence, with what to do.

    :param words: without a full stop at the end.
    """
    found = find(words)
    return f"{words}. {found.cure}" if found else f"{words}."


def masked(text: str) -> str:
    """Return text without what may be a secret."""
    return _SECRETS.sub("***", text)
