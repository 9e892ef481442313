# SPDX-License-Identifier: Apache-2.0
"""Labels that ask for an add-on which this release cannot install."""

from magnum_k8s_driver.model import labels as labels_module
from magnum_k8s_driver.model import problems as problems_module

UNBUILT = {
    "ingress_controller": "an ingress controller",
    "keystone_auth_enabled": "a login with Keystone",
}
"""Label to what it asks for."""


def problems(
    labels: labels_module.Labels,
) -> list[problems_module.Problem]:
    """Return a problem for each add-on that is asked for in vain."""
    return [
        problems_module.Problem(
            subject=f"label {name}",
            sentence=(
                f"Label {name} asks for {what}, which this release of the "
                "driver cannot install; unset it and install that from its "
                "Helm chart."
            ),
        )
        for name, what in UNBUILT.items()
        if getattr(labels, name)
    ]
