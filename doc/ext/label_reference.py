# SPDX-License-Identifier: Apache-2.0
"""Directives that list Magnum labels from where the driver declares them.

``magnum-labels`` lists the supported ones, ``retired-labels`` those of older
drivers that mean nothing here.
"""

from typing import Any

from docutils import nodes
from docutils import statemachine
from sphinx.util import docutils as sphinx_docutils
from sphinx.util import nodes as sphinx_nodes

from magnum_k8s_driver.model import labels
from magnum_k8s_driver.model import retired_labels


class LabelDirective(sphinx_docutils.SphinxDirective):
    """Base: subclasses return reStructuredText."""

    def lines(self) -> list[str]:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        text = statemachine.StringList(self.lines(), source="labels")
        section = nodes.section()
        section.document = self.state.document
        sphinx_nodes.nested_parse_with_titles(self.state, text, section)
        return section.children


class MagnumLabels(LabelDirective):
    """Every supported label with type, default and help."""

    def lines(self) -> list[str]:
        found = []
        for opt in labels.OPTS:
            found += [f"``{opt.name}``", f"   {opt.help}", ""]
            told = f"Must be {opt.type.wants}."
            if opt.default not in (None, ""):
                told += f" Default: ``{opt.default}``."
            aliases = [
                a for a, name in labels.ALIASES.items() if name == opt.name
            ]
            if aliases:
                told += f" Also written ``{aliases[0]}``."
            found += [f"   {told}", ""]
        return found


class RetiredLabels(LabelDirective):
    """Every retired label with the reason that is logged."""

    def lines(self) -> list[str]:
        found = []
        for name, reason in sorted(retired_labels.RETIRED.items()):
            found += [f"``{name}``", f"   {reason}", ""]
        return found


def setup(app: Any) -> dict[str, Any]:
    app.add_directive("magnum-labels", MagnumLabels)
    app.add_directive("retired-labels", RetiredLabels)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
