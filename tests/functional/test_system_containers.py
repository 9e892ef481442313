# SPDX-License-Identifier: Apache-2.0
"""A cluster whose servers really boot: system containers of the lab.

systemd, cloud-init, containerd, kubectl and the node program are real. With
KUBE_DIST so is Kubernetes; without it stand-ins take its place, and
test_what_was_not_proven says what that leaves open.
"""

import json
import os
import pathlib
import shlex
import shutil
import subprocess
import sys
import unittest

from lab import failure
from lab.containers import __main__ as inside
from lab.containers import image
from lab.containers import machines
from tests.functional import base

IMAGE = "debian-13-kube-v1.36.4"
UP_SECONDS = 300
READY_SECONDS = 120
METADATA_SECONDS = 60
"""nova-metadata itself remembers an answer for 15 seconds."""

CONTROL_PLANE_PHASES = {
    "secrets",
    "prepare-host",
    "runtime",
    "binaries",
    "kubelet",
    "firewall",
    "init",
    "report",
}
WORKER_PHASES = CONTROL_PLANE_PHASES - {"secrets", "init"} | {"join-worker"}

NOT_PROVEN = (
    "KUBE_DIST is not set, so kubeadm, kubelet and the API server were "
    "stand-ins. Not proven: kubeadm's own checks of its documents, static "
    "pods and etcd, encryption at rest, the audit log, CNI, Services, pods "
    "kept from the metadata service, further control-plane members."
)

STATE = (
    "find /etc /opt/magnum /var/lib/kubelet /var/lib/etcd -type f "
    "! -name '*.json' ! -name '*.db' ! -path '*/cni/*' "
    "-exec sha256sum {} + | sort -k 2"
)
"""What phases write; standin.json holds the nodes' heartbeats."""

LOGS = (
    "cat /var/log/*.log /var/log/*.jsonl /var/log/magnum/*; "
    "journalctl --no-pager --output=cat"
)


def without_containers(reason):
    raise unittest.SkipTest(f"Servers cannot be containers here: {reason}")


def check_machine():
    """Skip where namespaces cannot be made."""
    if os.geteuid() != 0:
        without_containers("that takes root.")
    for program in ("unshare", "nsenter", "ip", "setpriv", "debootstrap"):
        if not shutil.which(program):
            without_containers(f"there is no {program}.")
    done = subprocess.run(
        ["unshare", "--mount", "--pid", "--net", "--fork", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        without_containers(done.stderr.strip())
    if not pathlib.Path("/sys/fs/cgroup/systemd").is_dir():
        without_containers("the control groups are not version 1.")


def prepare_lab():
    """Build the image and start what containers need beside the lab."""
    try:
        image.build()
    except failure.LabError as exc:
        without_containers(str(exc))
    settings = base.settings()
    environment = {
        **os.environ,
        "LAB_ROOT": str(settings.root),
        "LAB_PORT_OFFSET": str(settings.port_offset),
    }
    subprocess.run(
        [sys.executable, "-m", "lab", "up", "--with", "containers"],
        env=environment,
        cwd=pathlib.Path(__file__).parents[2],
        check=True,
        timeout=UP_SECONDS,
    )


class ContainerNodesTest(base.LabTest):
    """One control plane behind a load balancer and one worker."""

    @classmethod
    def setUpClass(cls):
        check_machine()
        super().setUpClass()
        prepare_lab()
        cls.machines = machines.Machines(base.settings())
        name = base.unique("boxes")
        rule = {"match": f"^{name}-", "container": True}
        base.write_behaviour(**base.FAST, rules=[rule])
        template = cls.make_template(
            image_id=IMAGE,
            master_lb_enabled=True,
            labels={
                "cloud_provider_enabled": "false",
                "cinder_csi_enabled": "false",
            },
        )
        cls.uuid = cls.create(name, template)
        cls.cluster = cls.magnum.await_status(cls.uuid, "CREATE_COMPLETE")
        prefix = base.prefix(cls.cluster)
        cls.servers = {
            one.name.removeprefix(f"{prefix}-"): one
            for one in cls.demo.compute.servers()
            if one.name.startswith(prefix)
        }
        cls.control_plane = cls.servers["cp-0"]
        cls.worker = cls.servers["worker-0"]

    @classmethod
    def create(cls, name, template):
        """Ask as users do, and return the id."""
        answer = base.command(
            *("coe", "cluster", "create", name),
            *("--cluster-template", template, "--timeout", "15"),
            *("--master-count", "1", "--node-count", "1"),
        )
        assert answer.code == 0, answer
        found = cls.magnum.get(f"/clusters/{name}")["uuid"]
        cls.addClassCleanup(cls.remove, found)
        return found

    def run_in(self, server, text):
        """Return what a shell prints in a server."""
        first = self.machines.first_process(server.id)
        self.assertTrue(first, f"{server.name} is off")
        done = subprocess.run(
            inside.command(first, ["bash", "-c", text]),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=180,
            check=False,
        )
        self.assertEqual(0, done.returncode, done)
        return done.stdout

    def node(self, server):
        """Return the Node that a server is."""
        text = self.run_in(
            self.control_plane,
            "kubectl --kubeconfig /etc/kubernetes/admin.conf get node "
            f"{shlex.quote(server.name)} --output json",
        )
        return json.loads(text)

    def is_ready(self, server):
        conditions = self.node(server)["status"]["conditions"]
        return {"Ready": "True"}.items() <= {
            one["type"]: one["status"] for one in conditions
        }.items()

    def test_nodes_are_ready(self):
        for server in (self.control_plane, self.worker):
            found = self.node(server)
            self.assertTrue(self.is_ready(server), found)
            self.assertEqual(
                f"openstack:///{server.id}", found["spec"]["providerID"]
            )

    def test_console_shows_markers(self):
        for server, phases in (
            (self.control_plane, CONTROL_PLANE_PHASES),
            (self.worker, WORKER_PHASES),
        ):
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
        self.assertEqual(CONTROL_PLANE_PHASES, set(found[0]["seconds"]))
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
        for server in (self.control_plane, self.worker):
            mode = self.run_in(server, "stat -c %a /etc/magnum/node.json")
            self.assertEqual("600", mode.strip())
            text = self.run_in(server, "cat /etc/magnum/node.json")
            secrets = secrets_of(json.loads(text))
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
        for server, phases in (
            (self.control_plane, CONTROL_PLANE_PHASES),
            (self.worker, WORKER_PHASES),
        ):
            before = self.run_in(server, STATE)
            for phase in sorted(phases):
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

    def test_what_was_not_proven(self):
        if image.distribution() is None:
            self.skipTest(NOT_PROVEN)


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
    for name in ("join_root", "board_key", "encryption_key"):
        if secrets.get(name):
            found[name] = secrets[name]
    for path, text in (secrets.get("pki") or {}).items():
        if path.endswith(".key"):
            found[path] = text.splitlines()[2]
    return found
