# SPDX-License-Identifier: Apache-2.0
"""The ports of one call for one cluster, opened together."""

import dataclasses

from magnum_k8s_driver.ports import certificates as certificates_port
from magnum_k8s_driver.ports import compute as compute_port
from magnum_k8s_driver.ports import facts as facts_port
from magnum_k8s_driver.ports import heat as heat_port
from magnum_k8s_driver.ports import identity as identity_port
from magnum_k8s_driver.ports import leftovers as leftovers_port


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Cloud:
    """Everything outside, as the service identity sees a project."""

    heat: heat_port.HeatPort
    compute: compute_port.ComputePort
    identity: identity_port.IdentityPort
    certificates: certificates_port.CertificatesPort
    leftovers: leftovers_port.LeftoversPort
    facts: facts_port.FactsPort
