# SPDX-License-Identifier: Apache-2.0
"""Add-ons, with an API server that is a directory."""

import json

from magnum_k8s_driver.addons import addon
from magnum_k8s_driver.render import addon_orders
from tests import node_samples
from tests import samples
from tests.unit.node import base

PLACE = addon.Place(network_id="n", subnet_id="s")
OWN = "prod-7d1b1b8e6a0c-cp-0"
CREDENTIAL = node_samples.secrets().cloud

# Lists and objects are files; what is applied is kept, one a line. Jobs are
# what the test says of them.
API = """
api="$MAGNUM_ROOT/api"; mkdir -p "$api/job"
case "$*" in
    *"get configmap magnum-addons "*'{{.order}}'*) cat "$api/order" ;;
    *"get configmap magnum-addons "*)
        words="$*"; name="${words##*index . \\"}"
        cat "$api/text/${name%%\\"*}" ;;
    *"get configmap magnum-addon-states"*)
        cat "$api/states" 2>/dev/null || true ;;
    *"get lease"*) cat "$api/lease" 2>/dev/null || true ;;
    *"create --filename"*|*"replace --filename"*) cat >/dev/null
        echo "$HOLDER 2026-01-01T00:00:00Z 300 1" >"$api/lease" ;;
    *"get job "*) shift 8; cat "$api/job/$1" 2>/dev/null || true ;;
    *"get pods"*) cat "$api/pods" 2>/dev/null || true ;;
    *"delete job"*) [[ ! -e "$api/keeps" ]] || exit 1
        echo "$*" >>"$api/deleted" ;;
    *"apply --server-side"*) [[ ! -e "$api/refuses" ]] ||
            { echo "error: the API is full" >&2; exit 1; }
        cat >>"$api/applied"; echo >>"$api/applied" ;;
    *) echo "unexpected: $*" >&2; exit 9 ;;
esac
"""


class AddonsTest(base.NodeTestCase):
    def setUp(self):
        super().setUp()
        self.machine = self.control_plane()
        self.entries = addon_orders.entries(samples.spec(), PLACE)
        data = json.loads(addon_orders.config_map(self.entries))["data"]
        self.api("order", data.pop("order"))
        for name, text in data.items():
            self.api(f"text/{name}", text)

    def api(self, name, text):
        self.machine.write(f"/api/{name}", text)

    def job(self, name, conditions=""):
        self.api(
            f"job/magnum-addon-{name}", f"{self.identity(name)}{conditions}"
        )

    def identity(self, name):
        return next(one.id for one in self.entries if one.name == name)

    def states(self, **states):
        lines = [
            f"{name.replace('_', '-')} {state}"
            for name, state in states.items()
        ]
        self.api("states", "\n".join([*lines, "serial "]) + "\n")

    def run_task(self):
        (self.machine.root / "api/applied").unlink(missing_ok=True)
        result = self.machine.run(
            "task", "addons", stubs={"kubectl": API}, HOLDER=OWN
        )
        self.assert_ok(result)
        return result

    def applied(self, result):
        text = result.text("/api/applied")
        return [json.loads(one) for one in text.splitlines() if one]

    def told(self, result):
        *_, last = self.applied(result)
        self.assertEqual("magnum-addon-states", last["metadata"]["name"])
        return {
            name: text.partition(" ")[2]
            for name, text in last["data"].items()
            if name != "serial"
        }

    def kinds(self, result):
        return [
            [one["kind"] for one in found["items"]]
            for found in self.applied(result)
            if found["kind"] == "List"
        ]

    def test_objects_at_once_then_one_job_at_a_time(self):
        result = self.run_task()
        told = self.told(result)
        self.assertEqual(
            ["access", "calico", "cinder-csi", "cloud-config"]
            + ["cloud-controller", "metrics-server"]
            + ["snapshot-class", "snapshot-controller"],
            [*told],
        )
        self.assertEqual(
            ["done", "installing"] + ["waiting"] + ["done"] + ["waiting"] * 4,
            [told[name] for name in told],
        )
        self.assertEqual(
            [
                ["ServiceAccount", "ClusterRoleBinding"],
                ["Secret"],
                ["Namespace", "Secret", "Job"],
            ],
            self.kinds(result),
        )

    def test_credential_comes_from_the_sealed_secrets(self):
        found = self.applied(self.run_task())[1]["items"][0]["stringData"]
        self.assertIn(
            f'application-credential-id="{CREDENTIAL["id"]}"',
            found["cloud.conf"],
        )
        self.assertIn(CREDENTIAL["secret"], found["cinder-csi.conf"])
        self.assertNotIn("@", found["cloud.conf"])

    def test_goes_on_when_a_job_is_done(self):
        self.states(
            access=f"{self.identity('access')} done",
            cloud_config=f"{self.identity('cloud-config')} done",
            calico=f"{self.identity('calico')} installing",
        )
        self.job("calico", " SuccessCriteriaMet=True Complete=True")
        result = self.run_task()
        told = self.told(result)
        self.assertEqual("done", told["calico"])
        self.assertEqual("installing", told["cloud-controller"])
        self.assertEqual([["Secret", "Job"]], self.kinds(result))
        self.assertIn("magnum-addon-calico", result.text("/api/deleted"))

    def test_done_even_if_the_job_cannot_be_removed(self):
        self.job("calico", " Complete=True")
        self.api("keeps", "")
        self.assertEqual("done", self.told(self.run_task())["calico"])

    def test_failure_is_told_in_helms_last_line(self):
        self.states(calico=f"{self.identity('calico')} installing")
        self.job("calico", " FailureTarget=True Failed=True")
        self.api("pods", "Release exists\n \nError: chart not found\n\n")
        result = self.run_task()
        told = self.told(result)
        self.assertEqual("failed Error: chart not found", told["calico"])
        self.assertEqual("installing", told["cloud-controller"])
        self.assertEqual("", result.text("/api/deleted"))

    def test_message_of_a_job_that_runs(self):
        self.job("calico")
        self.api("pods", 'Back-off pulling image "helm"\n')
        result = self.run_task()
        told = self.told(result)
        self.assertEqual(
            'installing Back-off pulling image "helm"', told["calico"]
        )
        self.assertEqual("waiting", told["cloud-controller"])

    def test_changed_addon_gets_another_job(self):
        self.states(calico="0123456789ab done")
        self.api("job/magnum-addon-calico", "0123456789ab Complete=True")
        result = self.run_task()
        self.assertIn("magnum-addon-calico", result.text("/api/deleted"))
        self.assertEqual("installing", self.told(result)["calico"])

    def test_silent_when_all_is_over(self):
        self.states(
            **{
                one.name.replace("-", "_"): f"{one.id} "
                + ("failed Error: no" if one.name == "calico" else "done")
                for one in self.entries
            }
        )
        result = self.run_task()
        self.assertEqual([], self.applied(result))
        self.assertEqual("", result.text("/api/lease"))

    def test_other_secrets_are_put_into_objects_again(self):
        self.test_silent_when_all_is_over()
        self.api("states", f"serial old\n{self.text_of_states()}")
        result = self.run_task()
        self.assertEqual(
            [["ServiceAccount", "ClusterRoleBinding"], ["Secret"]]
            + [["VolumeSnapshotClass"]],
            self.kinds(result),
        )
        *_, last = self.applied(result)
        self.assertEqual("", last["data"]["serial"])

    def text_of_states(self):
        text = (self.machine.root / "api/states").read_text()
        return text.replace("serial \n", "")

    def test_waits_for_who_has_the_lease(self):
        self.api("lease", "other 2999-01-01T00:00:00Z 300 1")
        self.assertEqual([], self.applied(self.run_task()))

    def test_nothing_ordered(self):
        self.api("order", "")
        self.assertEqual([], self.applied(self.run_task()))

    def test_refused_objects_are_tried_again(self):
        self.api("refuses", "")
        result = self.machine.run(
            "task", "addons", stubs={"kubectl": API}, HOLDER=OWN
        )
        self.assert_fails(result, "states are not noted")
        self.assertEqual("", result.text("/api/applied"))
