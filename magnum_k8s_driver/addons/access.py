# SPDX-License-Identifier: Apache-2.0
"""The account with which Helm's Jobs act."""

from magnum_k8s_driver.addons import addon

ACCOUNT = "magnum-addons"


def _objects(setting: addon.Setting) -> list[addon.Object]:
    return [
        {
            "apiVersion": "v1",
            "kind": "ServiceAccount",
            "metadata": {"name": ACCOUNT, "namespace": addon.SYSTEM},
        },
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": ACCOUNT},
            "roleRef": {
                "apiGroup": "rbac.authorization.k8s.io",
                "kind": "ClusterRole",
                "name": "cluster-admin",
            },
            "subjects": [
                {
                    "kind": "ServiceAccount",
                    "name": ACCOUNT,
                    "namespace": addon.SYSTEM,
                }
            ],
        },
    ]


ADDON = addon.Addon(
    name="access",
    title="Account of the Jobs that install add-ons",
    wanted=lambda spec: True,
    asked_by="always",
    required=True,
    objects=_objects,
)
