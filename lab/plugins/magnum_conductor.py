# SPDX-License-Identifier: Apache-2.0
"""Start magnum-conductor; on request it makes clusters that were refused.

Preflight says no before anything is made, so nobody sees whether it was
right. With ``LAB_FORCED`` in the environment, a regular expression, clusters
whose names it finds are made all the same: the cloud itself has to refuse
them. Only a lab has this; the driver has no such option.
"""

from collections.abc import Callable
import os
import re
import sys
from typing import Any

VARIABLE = "LAB_FORCED"


def force(pattern: str) -> None:
    """Let the driver make clusters of some names whatever is wrong."""
    # Magnum 22 patches threading when it is imported: it comes first.
    from magnum_k8s_driver import exceptions
    from magnum_k8s_driver.converge import preflight
    from magnum_k8s_driver.model import inputs as inputs_module

    def forced(
        checked: Callable[..., Any], unchecked: Callable[..., Any]
    ) -> Callable[..., Any]:
        def make(inputs: Any, *more: Any) -> Any:
            try:
                return checked(inputs, *more)
            except exceptions.InvalidClusterSpec:
                if not re.search(pattern, inputs.name):
                    raise
                spec = unchecked(inputs, *more)
                if spec is None:
                    raise
                return spec

        return make

    preflight.create = forced(
        preflight.create,
        lambda *arguments: preflight.examine(*arguments).spec,
    )
    inputs_module.to_spec = forced(
        inputs_module.to_spec,
        lambda *arguments: inputs_module.draft(*arguments)[0],
    )


def main() -> int | None:
    from magnum.cmd import conductor

    pattern = os.environ.get(VARIABLE, "")
    if pattern:
        force(pattern)
    sys.argv[0] = "magnum-conductor"
    status: int | None = conductor.main()
    return status


if __name__ == "__main__":
    sys.exit(main())
