# SPDX-License-Identifier: Apache-2.0
"""Start nova-compute with the hollow driver.

Nova imports drivers below ``nova.virt`` only; this gives ours a name there.
"""

from nova.cmd import compute  # isort: skip; it patches threading first

import sys

from lab.hollow import driver

if __name__ == "__main__":
    sys.modules["nova.virt.hollow"] = driver
    sys.argv[0] = "nova-compute"
    sys.exit(compute.main())
