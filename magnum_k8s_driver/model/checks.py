# SPDX-License-Identifier: Apache-2.0
"""What checks of one node group work with."""

import dataclasses

from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import problems as problems_module


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checks:
    """Everything needed to check a group, and where problems are put."""

    cluster: fields.ClusterInputs
    facts: facts_module.CloudFacts
    site: fields.Site
    problems: list[problems_module.Problem]

    def tell(self, subject: str, sentence: str) -> None:
        """Note a problem."""
        self.problems.append(
            problems_module.Problem(subject=subject, sentence=sentence)
        )
