# SPDX-License-Identifier: Apache-2.0
"""Signed orders, with an API server that is a directory."""

import datetime
import json

from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import orders
from tests import node_samples
from tests.unit.node import base
from tests.unit.node import test_lib

KEY = node_samples.secrets().board_key
PREFIX = "prod-7d1b1b8e6a0c"
OWN = f"{PREFIX}-cp-0"
WORKER = f"{PREFIX}-worker-0"

# Keeps the Lease and the ConfigMap as files and refuses what is outdated.
API = """
api="$MAGNUM_ROOT/api"; mkdir -p "$api"
case "$*" in
    *"get lease"*) cat "$api/lease" 2>/dev/null || true ;;
    *"create --filename"*) [[ ! -e "$api/lease" ]] || exit 1
        cat >"$MAGNUM_ROOT/lease.json"
        echo "$HOLDER 2026-01-01T00:00:00Z 300 1" >"$api/lease" ;;
    *"replace --filename"*) cat >"$MAGNUM_ROOT/lease.json" ;;
    *"get configmap magnum-orders"*) cat "$api/map" 2>/dev/null || true ;;
    *"apply --server-side"*) cat >>"$MAGNUM_ROOT/maps"
        echo >>"$MAGNUM_ROOT/maps" ;;
    *"get node "*) cat "$api/nodes/$7" 2>/dev/null || true ;;
    *"member list"*) cat "$api/etcd" ;;
    *"endpoint health"*) cat "$api/health"; exit 1 ;;
    *"taint "*-) echo 'error: taint "x" not found' >&2; exit 1 ;;
esac
"""


class OrdersCase(base.NodeTestCase):
    def setUp(self):
        super().setUp()
        self.machine = self.control_plane()
        self.api("nodes/" + WORKER, f"node/{WORKER}")

    def api(self, name, text):
        self.machine.write(f"/api/{name}", text)

    def order(self, key=KEY, **wanted):
        """Put orders into the metadata."""
        self.give(orders.encode(orders.Orders(**wanted), key))

    def give(self, metadata):
        own = base.CONTROL_PLANE_METADATA
        meta = own["meta"] | metadata
        text = json.dumps(own | {"meta": meta})
        self.machine.write("/run/magnum/meta_data.json", text)

    def obey(self, kubectl=API, without=()):
        """Run the task; the metadata are those of before."""
        return self.machine.run(
            "task",
            "orders",
            stubs={
                "kubectl": kubectl,
                "curl": 'case "${*: -1}" in */meta_data.json) exit 7 ;; esac\n'
                + test_lib.KEEP_POSTS,
            },
            without=without,
            HOLDER=OWN,
        )

    def acknowledged(self, result):
        body = test_lib.sent(result)[-1]
        document = board.decode(body["data"])
        found = board.read_board({"report": {"data": body["data"]}}, KEY)
        self.assertTrue(found.report.signed)
        return orders.acknowledgement(document)

    def maps(self, result):
        return [json.loads(one) for one in result.text("/maps").splitlines()]

    def kubectl(self, result, *words):
        return [
            call
            for call in result.calls_of("kubectl")
            if all(word in call for word in words)
        ]


class ExecuteTest(OrdersCase):
    def test_labels_taints_and_deletes(self):
        self.order(
            seq=4,
            node_labels={WORKER: {"tier": "gold", "old": None, "empty": ""}},
            node_taints={WORKER: ("k=v:NoSchedule", "gone-")},
            delete_nodes=(f"{PREFIX}-worker-9",),
        )
        result = self.obey()
        self.assert_ok(result)
        (call,) = self.kubectl(result, "label")
        self.assertEqual((WORKER, "empty=", "old-", "tier=gold"), call[-4:])
        taints = [call[-1] for call in self.kubectl(result, "taint")]
        self.assertIn("k=v:NoSchedule", taints)
        self.assertIn("gone-", taints)
        (call,) = self.kubectl(result, "delete")
        self.assertIn(f"{PREFIX}-worker-9", call)
        found = self.acknowledged(result)
        self.assertEqual((4, "done", ""), (found.seq, found.state, ""))
        self.assertEqual(
            ["running", "done"],
            [m["data"]["state"] for m in self.maps(result)],
        )

    def test_is_silent_when_it_was_acknowledged(self):
        self.order(seq=4)
        self.obey()
        result = self.obey()
        self.assert_ok(result)
        self.assertEqual([], result.calls_of("kubectl"))
        self.assertEqual(1, len(test_lib.sent(result)))

    def test_reads_them_without_python(self):
        self.order(seq=4, delete_nodes=(f"{PREFIX}-worker-9",))
        result = self.obey(without=("python3",))
        self.assert_ok(result)
        self.assertEqual(4, self.acknowledged(result).seq)

    def test_a_node_that_is_gone_needs_no_label(self):
        self.order(seq=4, node_labels={f"{PREFIX}-worker-9": {"a": "b"}})
        result = self.obey()
        self.assertEqual([], self.kubectl(result, "label"))
        self.assertEqual("done", self.acknowledged(result).state)

    def test_what_fails_is_told_and_the_rest_done(self):
        self.order(
            seq=4,
            node_labels={WORKER: {"a": "b"}},
            delete_nodes=(f"{PREFIX}-worker-9", OWN),
        )
        fails = (
            'case "$*" in *"label "*) echo "no such luck" >&2; exit 1;; esac'
        )
        result = self.obey(fails + API)
        self.assert_ok(result)
        self.assertEqual(1, len(self.kubectl(result, "delete")))
        found = self.acknowledged(result)
        self.assertEqual("failed", found.state)
        self.assertIn("no such luck", found.message)

    def test_an_api_that_is_away_is_no_failure_yet(self):
        self.order(seq=4)
        result = self.obey("exit 1")
        self.assert_fails(result, "API does not answer")
        self.assertEqual([], test_lib.sent(result))
        self.assertEqual(4, self.acknowledged(self.obey()).seq)

    def test_a_lost_acknowledgement_is_sent_again(self):
        self.order(seq=4)
        stub = {"kubectl": API, "curl": "exit 7"}
        self.machine.run("task", "orders", stubs=stub, HOLDER=OWN)
        self.api("map", "4|done||||")
        result = self.obey()
        self.assertEqual(4, self.acknowledged(result).seq)

    def test_keeps_what_the_last_report_said(self):
        self.machine.write(
            "/var/lib/magnum/reported",
            "failed\nupgrade\nIt broke.\nMend it.\n",
        )
        self.order(seq=4)
        (body,) = test_lib.sent(self.obey())
        report = board.decode(body["data"])
        self.assertEqual("failed", report["state"])
        self.assertEqual("It broke.", report["error"]["message"])


class TurnTest(OrdersCase):
    def lease(self, holder, age=0):
        then = datetime.datetime.now(datetime.UTC)
        then -= datetime.timedelta(seconds=age)
        text = then.strftime("%Y-%m-%dT%H:%M:%S.000000Z")
        self.api("lease", f"{holder} {text} 300 77")

    def test_waits_while_another_member_has_the_lease(self):
        self.lease(f"{PREFIX}-cp-1", age=100)
        self.order(seq=4, delete_nodes=(WORKER,))
        result = self.obey()
        self.assertEqual([], self.kubectl(result, "delete"))
        self.assertEqual([], test_lib.sent(result))

    def test_takes_a_lease_that_ended(self):
        self.lease(f"{PREFIX}-cp-1", age=400)
        self.order(seq=4)
        result = self.obey()
        self.assertEqual(4, self.acknowledged(result).seq)
        lease = json.loads(result.text("/lease.json"))
        self.assertEqual("77", lease["metadata"]["resourceVersion"])

    def test_loses_a_race_for_it(self):
        self.lease(f"{PREFIX}-cp-1", age=400)
        self.order(seq=4, delete_nodes=(WORKER,))
        refuse = 'case "$*" in *"replace --filename"*) exit 1 ;; esac\n'
        result = self.obey(refuse + API)
        self.assertEqual([], self.kubectl(result, "delete"))

    def test_gives_its_own_back(self):
        self.order(seq=4)
        result = self.obey()
        lease = json.loads(result.text("/lease.json"))
        self.assertEqual(OWN, lease["spec"]["holderIdentity"])
        self.assertEqual(1, lease["spec"]["leaseDurationSeconds"])

    def test_acknowledges_what_another_member_did(self):
        self.api("map", "4|failed|||label x: no")
        self.order(seq=4, delete_nodes=(WORKER,))
        result = self.obey()
        self.assertEqual([], self.kubectl(result, "delete"))
        found = self.acknowledged(result)
        self.assertEqual(
            ("failed", "label x: no"), (found.state, found.message)
        )

    def test_goes_on_where_another_member_died(self):
        self.api("map", "4|running|||")
        self.order(seq=4, delete_nodes=(WORKER,))
        result = self.obey()
        self.assertEqual(1, len(self.kubectl(result, "delete")))

    def test_never_executes_older_orders(self):
        for state, sent in (("done", 1), ("running", 0)):
            self.machine = self.control_plane()
            self.api("map", f"7|{state}|||")
            self.order(seq=4, delete_nodes=(WORKER,))
            result = self.obey()
            self.assertEqual([], self.kubectl(result, "delete"))
            self.assertEqual(sent, len(test_lib.sent(result)))


class TamperTest(OrdersCase):
    def refused(self, metadata, words):
        self.give(metadata)
        result = self.obey()
        self.assert_fails(result, words)
        self.assertEqual([], result.calls_of("kubectl"))
        self.assertEqual([], test_lib.sent(result))

    def test_unsigned_and_incomplete_orders_are_refused(self):
        wanted = orders.Orders(seq=4, delete_nodes=(WORKER,))
        good = orders.encode(wanted, KEY)
        self.refused(orders.encode(wanted, bytes(32)), "signature")
        first = good["magnum_orders_0"]
        changed = first[:20] + ("A" if first[20] != "A" else "B") + first[21:]
        self.refused(good | {"magnum_orders_0": changed}, "signature")
        self.refused(good | {"magnum_orders_0": first[:-1]}, "not complete")
        self.refused(good | {"magnum_orders": "1:x"}, "header")
        header = good["magnum_orders"].replace("1:", "2:", 1)
        self.refused(good | {"magnum_orders": header}, "signature")


class ExpectedTest(OrdersCase):
    def test_is_told_to_every_member(self):
        self.order(seq=4, expected=frozenset({"a-1", "a-2"}))
        first = self.maps(self.obey())[0]
        self.assertEqual("a-1 a-2", first["data"]["expected"])
        self.assertEqual("true", first["data"]["restrict"])

    def test_may_be_nobody(self):
        self.order(seq=4, expected=frozenset())
        data = self.maps(self.obey())[0]["data"]
        self.assertEqual(("", "true"), (data["expected"], data["restrict"]))

    def test_stays_when_orders_do_not_speak_of_it(self):
        self.api("map", "3|done|true|a-1|")
        self.order(seq=4)
        data = self.maps(self.obey())[0]["data"]
        self.assertEqual(("a-1", "true"), (data["expected"], data["restrict"]))


class EtcdTest(OrdersCase):
    MEMBERS = (
        f"11, started, {OWN}, https://10.0.0.5:2380, https://10.0.0.5:2379, "
        f"false\n12, started, {PREFIX}-cp-1, https://10.0.0.6:2380, "
        f"https://10.0.0.6:2379, false\n13, started, {PREFIX}-cp-2, "
        "https://10.0.0.7:2380, https://10.0.0.7:2379, false\n"
    )

    def remove(self, name, healthy=("10.0.0.5", "10.0.0.6")):
        self.api("etcd", self.MEMBERS)
        lines = [f"https://{one}:2379 is healthy: ok\n" for one in healthy]
        self.api("health", "".join(lines))
        self.order(seq=4, remove_etcd=(name,))
        return self.obey()

    def test_removes_a_member_by_its_name(self):
        result = self.remove(f"{PREFIX}-cp-2")
        (call,) = self.kubectl(result, "remove")
        self.assertEqual("13", call[-1])
        self.assertIn(f"etcd-{OWN}", call)
        self.assertEqual("done", self.acknowledged(result).state)

    def test_never_below_quorum(self):
        result = self.remove(f"{PREFIX}-cp-2", ("10.0.0.5", "10.0.0.7"))
        self.assertEqual([], self.kubectl(result, "remove"))
        found = self.acknowledged(result)
        self.assertEqual("failed", found.state)
        self.assertIn("only 1 of the 2 others", found.message)

    def test_a_member_that_is_gone_is_done(self):
        result = self.remove(f"{PREFIX}-cp-7")
        self.assertEqual([], self.kubectl(result, "remove"))
        self.assertEqual("done", self.acknowledged(result).state)

    def test_leaves_its_own_removal_to_the_others(self):
        result = self.remove(OWN)
        self.assertEqual([], self.kubectl(result, "remove"))
        self.assertEqual([], test_lib.sent(result))
