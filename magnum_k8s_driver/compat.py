# SPDX-License-Identifier: Apache-2.0
"""What differs between the supported releases of Magnum."""

import importlib.util

_DISTRIBUTIONS = ("ubuntu", "debian", "rocky", "almalinux", "flatcar")
_IN_TREE = "fedora-coreos"


def distributions() -> tuple[str, ...]:
    """Return the values of ``os_distro`` that this driver serves.

    Up to Magnum 22 the in-tree driver owns Fedora CoreOS, and of two drivers
    that offer the same the last one loaded would win.
    """
    # Programs of ours run without Magnum, too.
    magnum = importlib.util.find_spec("magnum")
    in_tree = magnum and importlib.util.find_spec("magnum.drivers.heat")
    return _DISTRIBUTIONS if in_tree else (*_DISTRIBUTIONS, _IN_TREE)
