# SPDX-License-Identifier: Apache-2.0
"""Stages of nodes, and the words of Heat and Nova for users."""

import dataclasses

import hypothesis
from hypothesis import strategies as st
import testtools

from magnum_k8s_driver.converge import addon_states
from magnum_k8s_driver.converge import readiness
from magnum_k8s_driver.converge import sentences
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import record as record_module
from magnum_k8s_driver.model import state as state_module
from magnum_k8s_driver.ports import heat
from tests.unit.converge import states
from tests.unit.converge import test_plan

NO_HOST = "No valid host was found. There are not enough hosts available."
NO_HOST_CURE = (
    "Choose a smaller flavor or another availability_zone, or ask the "
    "operator for capacity."
)


class TestPlain(testtools.TestCase):
    def check(self, expected, reason):
        self.assertEqual(expected, sentences.plain(reason))

    def test_nova(self):
        self.check(
            "No valid host was found",
            "ResourceInError: resources.kube_minions.resources[1]: Went to "
            'status ERROR due to "Message: No valid host was found., Code: '
            '500"',
        )
        self.check(
            NO_HOST.rstrip("."),
            "Resource CREATE failed: ResourceInError: "
            "resources.kube_minions.resources.0: Went to status ERROR due to "
            f'"Message: {NO_HOST}, Code: 500"',
        )
        self.check(
            "Unknown",
            "ResourceInError: resources[0]: Went to status ERROR due to "
            '"Unknown"',
        )

    def test_validation(self):
        self.check(
            "Error validating value 'm9.huge': The Flavor (m9.huge) could "
            "not be found",
            "StackValidationFailed: resources.control_plane: Property error: "
            "resources.0.properties.flavor: Error validating value "
            "'m9.huge': The Flavor (m9.huge) could not be found.",
        )

    def test_quota(self):
        self.check(
            "Quota exceeded for resources: ['port']",
            "OverQuotaClient: resources.endpoint_port: Quota exceeded for "
            "resources: ['port'].\nNeutron server returns request_ids: "
            "['req-8f']",
        )
        self.check(
            "Quota exceeded for cores: Requested 2, but already used 20 of "
            "20 cores",
            "Forbidden: resources.kube_minions.resources.3: Quota exceeded "
            "for cores: Requested 2, but already used 20 of 20 cores "
            "(HTTP 403) (Request-ID: req-1)",
        )

    def test_plain_words_stay(self):
        for words in (
            "Timed out",
            "Stack CREATE started",
            "Flavor: m1 is gone",
            'CREATE aborted (Task create from Server "0")',
        ):
            self.check(words, words)

    def test_nothing(self):
        for reason in ("", " ", ".", "Forbidden: "):
            self.assertNotEqual("", sentences.plain(reason))
        self.check("no reason was given", "")

    @test_plan.settings
    @hypothesis.given(st.text())
    def test_anything(self, reason):
        words = sentences.plain(reason)
        self.assertTrue(words.strip())
        self.assertTrue(words.isprintable())
        self.assertFalse(words.endswith("."))

    def test_quoted_answers(self):
        for said, expected in (
            (
                "500-{'error': {'code': 500, 'message': 'It broke.'}}.",
                "It broke.",
            ),
            ('{"error": {"message": "No."}}', "No"),
            ("503-{'message': \"It's away\", 'code': 503}", "It's away"),
            (
                "502-<html><head><title>502 Bad Gateway</title></head>"
                "<body>nginx</body></html>.",
                "502 Bad Gateway.",
            ),
            ("{}", "{}"),
            ("{'code': 500}", "{'code': 500}"),
        ):
            self.assertEqual(
                f"The network could not be made: {expected}",
                sentences.bounded(f"The network could not be made: {said}"),
            )

    @test_plan.settings
    @hypothesis.given(st.text(max_size=5000))
    def test_bounded(self, reason):
        words = sentences.bounded(reason)
        self.assertLess(len(words), 2000)
        self.assertTrue(words.isprintable())
        self.assertLessEqual(
            len(sentences.short(reason)), sentences.MAX_DETAIL + 4
        )


def addon(required, **said):
    """Return a cluster with one add-on of which that is said."""
    observed = states.finished()
    cluster = observed.cluster
    orders = dataclasses.replace(
        cluster.state.orders,
        addons={"cni": state_module.OrderedAddon(id="1", required=required)},
    )
    one = cluster.boards["0"]
    told = board.AddonState(**{"id": "1", **said})
    digest = dataclasses.replace(one.digest, addons={"cni": told})
    return dataclasses.replace(
        observed,
        cluster=dataclasses.replace(
            cluster,
            state=dataclasses.replace(cluster.state, orders=orders),
            boards={"0": dataclasses.replace(one, digest=digest)},
        ),
    )


class TestProblems(testtools.TestCase):
    def with_stack(self, observed, **changes):
        stack = dataclasses.replace(observed.cluster.stack, **changes)
        return dataclasses.replace(
            observed,
            cluster=dataclasses.replace(observed.cluster, stack=stack),
        )

    def test_none(self):
        self.assertEqual((), readiness.problems(states.finished()))

    def test_resource_of_a_stack(self):
        observed = self.with_stack(
            states.finished(), phase=heat.StackPhase.FAILED
        )
        failure = heat.StackResource(
            name="0",
            type="OS::Nova::Server",
            physical_id="",
            status="CREATE_FAILED",
            reason="ResourceInError: resources.0: Went to status ERROR due "
            f'to "Message: {NO_HOST}, Code: 500"',
            stack_id="x",
            parent="control_plane",
        )
        observed = dataclasses.replace(
            observed,
            cluster=dataclasses.replace(observed.cluster, failures=(failure,)),
        )
        self.assertEqual(
            (
                "Heat could not make OS::Nova::Server 0 of stack "
                f"{states.PREFIX}: {NO_HOST} {NO_HOST_CURE}",
            ),
            readiness.problems(observed),
        )

    def test_server_in_error(self):
        observed = states.finished()
        name = f"{states.PREFIX}-worker-1"
        server = dataclasses.replace(
            observed.servers[name], status="ERROR", fault=NO_HOST
        )
        observed = dataclasses.replace(
            observed, servers={**observed.servers, name: server}
        )
        self.assertEqual(
            (f"Nova put server {name} into ERROR: {NO_HOST} {NO_HOST_CURE}",),
            readiness.problems(observed),
        )

    def test_addons(self):
        failed = "Add-on cni failed: no image."
        for required in (True, False):
            observed = addon(required, state="failed", message="no image.")
            problems = readiness.problems(observed)
            self.assertEqual((failed,) if required else (), problems)
            self.assertEqual(not required, readiness.is_complete(observed))
            told = addon_states.complaints(observed)
            self.assertEqual(() if required else (failed,), told)

    def test_required_addon_that_is_waited_for(self):
        observed = addon(True, state="installing", message="pulling")
        self.assertEqual((), readiness.problems(observed))
        self.assertFalse(readiness.is_complete(observed))
        self.assertEqual(("cni (pulling)",), addon_states.waiting(observed))

    def test_what_is_said_of_an_older_addon_does_not_count(self):
        observed = addon(True, id="0", state="failed")
        self.assertEqual((), readiness.problems(observed))
        self.assertFalse(readiness.is_complete(observed))

    def test_addons_of_other_labels_are_due(self):
        observed = states.finished()
        self.assertFalse(addon_states.is_due(observed))
        record = dataclasses.replace(observed.record, addons_from="new")
        changed = dataclasses.replace(observed, record=record)
        self.assertTrue(addon_states.is_due(changed))
        self.assertFalse(readiness.is_complete(changed))

    def test_failed_addon_is_tried_again_by_a_resize(self):
        for state, again in (("failed", True), ("done", False)):
            removal = record_module.Removal(group_uuid="any")
            observed = dataclasses.replace(
                addon(False, state=state), removal=removal
            )
            self.assertEqual(again, addon_states.is_due(observed))


class TestNodes(testtools.TestCase):
    def view(self, observed, index=0):
        group = observed.record.control_plane
        return readiness.nodes(observed, group)[index]

    def with_board(self, **changes):
        observed = states.finished()
        one = observed.cluster.boards["0"]
        changed = dataclasses.replace(
            one, report=dataclasses.replace(one.report, **changes)
        )
        return dataclasses.replace(
            observed,
            cluster=dataclasses.replace(
                observed.cluster, boards={"0": changed}
            ),
        )

    def test_failed_report_wins(self):
        error = board.NodeError(phase="init", message="no disk")
        observed = self.with_board(state=board.NodeState.FAILED, error=error)
        view = self.view(observed)
        self.assertIs(readiness.Stage.FAILED, view.stage)
        self.assertEqual(
            (readiness.node_sentence(view),), readiness.problems(observed)
        )

    def test_report_of_an_earlier_server_is_ignored(self):
        observed = self.with_board(
            state=board.NodeState.FAILED, server_id="earlier"
        )
        self.assertIs(readiness.Stage.READY, self.view(observed).stage)

    def test_unsigned_ready_initialises_nothing(self):
        self.assertTrue(readiness.is_initialised(states.finished()))
        for change in (
            {"signed": False},
            {"state": board.NodeState.BOOTING},
        ):
            observed = self.with_board(**change)
            # A signed digest with a ready node says the same as a report.
            self.assertTrue(readiness.is_initialised(observed))
            boards = {
                name: dataclasses.replace(one, digest=None)
                for name, one in observed.cluster.boards.items()
            }
            cluster = dataclasses.replace(observed.cluster, boards=boards)
            observed = dataclasses.replace(observed, cluster=cluster)
            self.assertFalse(readiness.is_initialised(observed))

    @test_plan.settings
    @hypothesis.given(states.states())
    def test_every_member_has_a_stage(self, observed):
        for group in observed.record.groups:
            views = readiness.nodes(observed, group)
            members = observed.members_of(group).all
            self.assertEqual(len(members), len(views))
            for view in views:
                sentence = readiness.node_sentence(view)
                self.assertRegex(sentence, r"(?s)\A[A-Z].*\.\Z")
