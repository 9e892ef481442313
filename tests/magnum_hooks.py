# SPDX-License-Identifier: Apache-2.0
"""Signatures of the hooks in the source of a release of Magnum.

The one release that is installed can be inspected; of another only the
source is read, because two releases cannot be installed side by side.
"""

import ast

MODULE = "magnum/drivers/common/driver.py"
"""Path of the base class of drivers below Magnum's root."""


def signatures(source: str) -> dict[str, str]:
    """Return method name -> parameters as written, of the class ``Driver``.

    :param source: text of :data:`MODULE`.
    """
    tree = ast.parse(source)
    (base,) = (
        node
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name == "Driver"
    )
    return {
        node.name: ast.unparse(node.args)
        for node in base.body
        if isinstance(node, ast.FunctionDef)
    }
