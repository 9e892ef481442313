# SPDX-License-Identifier: Apache-2.0
"""Clusters whose servers really boot; see containers.py.

With KUBE_DIST every test runs against real Kubernetes. Without it there is
one cluster of stand-ins, and each check of kubernetes.py is skipped with what
was not proven.
"""

import json
import time

from tests.functional import base
from tests.functional import clocks
from tests.functional import containers
from tests.functional import kubernetes

READY_SECONDS = 180
LATER = 3 * 3600
"""Seconds; tokens live for two hours."""
KEEPER_SECONDS = 60
METADATA_SECONDS = 60
"""nova-metadata itself remembers an answer for 15 seconds."""

STATE = (
    "find /etc /opt/magnum /var/lib/kubelet -type f "
    "! -name '*.json' ! -name '*.db' ! -path '*/cni/*' "
    "! -path '/var/lib/kubelet/pods/*' "
    "! -path '/var/lib/kubelet/*_manager_state' "
    "-exec sha256sum {} + | sort -k 2"
)
"""What phases write; standin.json holds the nodes' heartbeats."""

LOGS = (
    "cat /var/log/*.log /var/log/*.jsonl /var/log/magnum/* 2>/dev/null; "
    "journalctl --no-pager --output=cat"
)


class ContainerNodesTest(kubernetes.KubernetesChecks, containers.NodesTest):
    """One control plane behind a load balancer and workers."""

    WORKERS = 2 if containers.is_real() else 1

    def test_nodes_are_ready(self):
        for server in self.servers.values():
            found = self.node(server)
            self.assertTrue(self.is_ready(server), found)
            self.assertEqual(
                f"openstack:///{server.id}", found["spec"]["providerID"]
            )

    def test_console_shows_markers(self):
        for server in self.servers.values():
            phases = self.phases(server)
            answer = base.command("console", "log", "show", server.id)
            seen = {}
            for line in answer.out.splitlines():
                _, mark, rest = line.partition("MAGNUM-NODE ")
                kind, _, text = rest.partition(" ")
                if mark and kind in ("phase", "ready"):
                    seen.setdefault(kind, []).append(json.loads(text))
            self.assertEqual(phases, {one["phase"] for one in seen["phase"]})
            self.assertEqual(phases, set(seen["ready"][-1]["seconds"]))

    def test_board_tells_phases_with_seconds(self):
        stack_id = self.cluster["stack_id"]
        found = []
        for one in base.stack_resources(self.demo, stack_id):
            if one["resource_type"] != "OS::Heat::WaitConditionHandle":
                continue
            links = {link["rel"]: link["href"] for link in one["links"]}
            answer = self.demo.orchestration.get(f"{links['self']}/metadata")
            report = answer.json()["metadata"].get("report")
            if report:
                data = report["data"] if isinstance(report, dict) else report
                found.append(json.loads(data))
        self.assertEqual(["ready"], [one["state"] for one in found])
        self.assertEqual(
            containers.CONTROL_PLANE_PHASES, set(found[0]["seconds"])
        )
        for seconds in found[0]["seconds"].values():
            self.assertGreaterEqual(seconds, 0)

    def test_metadata_service_answers_live(self):
        read = (
            "curl -sf http://169.254.169.254/openstack/latest/meta_data.json"
        )
        before = json.loads(self.run_in(self.worker, read))
        self.assertEqual(self.worker.id, before["uuid"])
        self.demo.compute.set_server_metadata(self.worker.id, lab_test="1")
        base.until(
            lambda: (
                "lab_test"
                in json.loads(self.run_in(self.worker, read))["meta"]
            ),
            METADATA_SECONDS,
        )
        self.demo.compute.delete_server_metadata(
            self.worker.id, keys=["lab_test"]
        )

    def test_secrets_stay_secret(self):
        for server in self.servers.values():
            mode = self.run_in(server, "stat -c %a /etc/magnum/node.json")
            self.assertEqual("600", mode.strip())
            text = self.run_in(server, "cat /etc/magnum/node.json")
            self.assertNotIn("secrets", json.loads(text))
            secrets = secrets_of(self.document(server))
            self.assertGreater(len(secrets), 0)
            logs = self.run_in(server, LOGS)
            logs += self.machines.console(server.id)
            logs += self.run_in(
                server, "cat /proc/[0-9]*/cmdline | tr -d \\\\0"
            )
            # Their names only: assertNotIn would show the secret itself.
            shown = [name for name, one in secrets.items() if one in logs]
            self.assertEqual([], shown, server.name)

    def test_phases_twice_change_nothing(self):
        for server in self.servers.values():
            before = self.run_in(server, STATE)
            for phase in sorted(self.phases(server)):
                self.run_in(server, f"/opt/magnum/magnum-node phase {phase}")
            self.assertEqual(before, self.run_in(server, STATE))
            self.assertTrue(self.is_ready(server))

    def test_worker_comes_back_from_a_reboot(self):
        before = self.node(self.worker)["status"]["nodeInfo"]["bootID"]
        self.demo.compute.reboot_server(self.worker.id, "SOFT")

        def is_back():
            info = self.node(self.worker)["status"]["nodeInfo"]
            return info["bootID"] != before and self.is_ready(self.worker)

        base.until(is_back, READY_SECONDS)
        base.until(
            lambda: (
                self.demo.compute.get_server(self.worker.id).status == "ACTIVE"
            ),
            READY_SECONDS,
        )

    def test_worker_joins_three_hours_later(self):
        """The clocks of driver and keeper are moved, Kubernetes' is not."""
        if not containers.is_real():
            base.needs_time()
        self.enterContext(clocks.moved(self, LATER))
        base.until(
            lambda: self.status_with(self.token(time.time() + LATER)) != "401",
            KEEPER_SECONDS,
        )
        count = len(self.workers) + 1
        answer = base.command(
            "coe", "cluster", "resize", self.name, str(count)
        )
        self.assertEqual(0, answer.code, answer)
        self.magnum.await_status(
            self.uuid, "UPDATE_COMPLETE", seconds=containers.CREATE_SECONDS
        )
        type(self).find_servers()
        self.assertEqual(count, len(self.workers))
        late = self.workers[-1]
        self.assertTrue(self.is_ready(late))
        self.assertEqual(
            self.token(time.time() + LATER),
            self.document(late)["join"]["token"],
        )


class ThreeControlPlanesTest(
    kubernetes.KubernetesChecks, containers.NodesTest
):
    """Three control planes with an etcd member each, and one worker."""

    MASTERS = 3

    @classmethod
    def setUpClass(cls):
        if not containers.is_real():
            containers.without_containers(
                f"{kubernetes.NOT_PROVEN} three control planes"
            )
        super().setUpClass()

    def test_every_control_plane_has_an_etcd_member(self):
        directory = "/etc/kubernetes/pki/etcd"
        listed = self.kubectl(
            "--namespace kube-system exec "
            f"etcd-{self.control_plane.name} -- etcdctl "
            f"--cacert {directory}/ca.crt --cert {directory}/server.crt "
            f"--key {directory}/server.key member list"
        )
        members = [line.split(", ") for line in listed.splitlines()]
        self.assertEqual(
            {(one.name, "started", "false") for one in self.control_planes},
            {(one[2], one[1], one[5]) for one in members},
        )


def secrets_of(document):
    """Return every secret of a node document by its name."""
    found = {
        f"signals.{name}": signal["password"]
        for name, signal in document["signals"].items()
        if signal.get("password")
    }
    if document["join"].get("token"):
        found["join.token"] = document["join"]["token"]
    secrets = document.get("secrets") or {}
    for name in ("join_root", "board_key"):
        if secrets.get(name):
            found[name] = secrets[name]
    for path, text in (secrets.get("pki") or {}).items():
        if path.endswith(".key"):
            found[path] = text.splitlines()[2]
    return found
