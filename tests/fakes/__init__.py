# SPDX-License-Identifier: Apache-2.0
"""A simulated cloud behind the driver's own Protocols."""

from tests.fakes import calls
from tests.fakes import heat
from tests.fakes import nodes
from tests.fakes import world

Behaviour = nodes.Behaviour
Call = calls.Call
FakeCloud = world.FakeCloud
FakeStack = heat.FakeStack
