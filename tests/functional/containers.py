# SPDX-License-Identifier: Apache-2.0
"""Clusters whose servers really boot: system containers of the lab.

systemd, cloud-init, containerd, kubectl and the node program are real. With
KUBE_DIST so is Kubernetes; without it stand-ins take its place.
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
from lab.containers import distribution
from lab.containers import image
from lab.containers import machines
from lab.containers import preload
from lab.seeding import cloud as seeding
from tests.functional import base

STAND_IN_IMAGE = "debian-13-kube-v1.36.4"
UP_SECONDS = 600
CREATE_SECONDS = 900
COMMAND_SECONDS = 180

CONTROL_PLANE_PHASES = frozenset(
    (
        "seal",
        "secrets",
        "prepare-host",
        "runtime",
        "binaries",
        "kubelet",
        "firewall",
        "init",
        "report",
    )
)
JOINER_PHASES = CONTROL_PLANE_PHASES - {"init"} | {"join-control-plane"}
WORKER_PHASES = CONTROL_PLANE_PHASES - {"seal", "secrets", "init"} | {
    "join-worker"
}


def without_containers(reason):
    raise unittest.SkipTest(f"Servers cannot be containers here: {reason}")


def is_real():
    """Tell whether there is real Kubernetes."""
    return distribution.find() is not None


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
    preload.prepare()
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


def image_name():
    """Return the Glance image whose servers are containers."""
    found = distribution.find()
    if found:
        return seeding.CONTAINER_IMAGE.format(found.version)
    return STAND_IN_IMAGE


class NodesTest(base.LabTest):
    """A cluster of containers; its class says of what shape."""

    MASTERS = 1
    WORKERS = 1
    LABELS: dict[str, str] = {}

    @classmethod
    def setUpClass(cls):
        check_machine()
        super().setUpClass()
        prepare_lab()
        cls.machines = machines.Machines(base.settings())
        cls.name = base.unique("boxes")
        rule = {"match": f"^{cls.name}-", "container": True}
        base.write_behaviour(**base.FAST, rules=[rule])
        cls.uuid = cls.create(
            cls.name, cls.make_template(**cls.template_fields())
        )
        cls.cluster = cls.magnum.await_status(
            cls.uuid, "CREATE_COMPLETE", seconds=CREATE_SECONDS
        )
        cls.find_servers()

    @classmethod
    def template_fields(cls):
        """Return what the cluster's template says."""
        return {
            "image_id": image_name(),
            "master_lb_enabled": True,
            "labels": {
                "cloud_provider_enabled": "false",
                "cinder_csi_enabled": "false",
                "master_lb_floating_ip_enabled": "true",
                # No charts can be had without a mirror.
                "metrics_server_enabled": str(not is_real()),
                **cls.LABELS,
            },
        }

    @classmethod
    def find_servers(cls):
        """Know the servers the cluster has now."""
        prefix = base.prefix(cls.cluster)
        cls.servers = {
            one.name.removeprefix(f"{prefix}-"): one
            for one in cls.demo.compute.servers()
            if one.name.startswith(prefix)
        }
        cls.control_planes = cls.with_role("cp")
        cls.workers = cls.with_role("worker")
        cls.control_plane = cls.control_planes[0]
        cls.worker = cls.workers[0]

    @classmethod
    def with_role(cls, word):
        names = sorted(cls.servers)
        return [cls.servers[n] for n in names if n.startswith(f"{word}-")]

    @classmethod
    def create(cls, name, template):
        """Ask as users do, and return the id."""
        answer = base.command(
            *("coe", "cluster", "create", name),
            *("--cluster-template", template, "--timeout", "20"),
            *("--master-count", str(cls.MASTERS)),
            *("--node-count", str(cls.WORKERS)),
        )
        assert answer.code == 0, answer
        found = cls.magnum.get(f"/clusters/{name}")["uuid"]
        cls.addClassCleanup(cls.remove, found)
        return found

    def try_in(self, server, text, stdin=b""):
        """Return how a shell in a server ended and what it printed."""
        first = self.machines.first_process(server.id)
        self.assertTrue(first, f"{server.name} is off")
        done = subprocess.run(
            inside.command(first, ["bash", "-c", text]),
            input=stdin,
            capture_output=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        return base.Answer(
            done.returncode,
            done.stdout.decode(errors="replace"),
            done.stderr.decode(errors="replace"),
        )

    def run_in(self, server, text, stdin=b""):
        """Return what a shell prints in a server."""
        done = self.try_in(server, text, stdin)
        self.assertEqual(0, done.code, done)
        return done.out

    def kubectl(self, text, stdin=b""):
        """Return what kubectl prints for the administrator."""
        return self.run_in(
            self.control_plane,
            f"kubectl --kubeconfig /etc/kubernetes/admin.conf {text}",
            stdin,
        )

    def get(self, what):
        """Return an object or a list of objects."""
        return json.loads(self.kubectl(f"get {what} --output json"))

    def node(self, server):
        """Return the Node that a server is."""
        return self.get(f"node {shlex.quote(server.name)}")

    def is_ready(self, server):
        conditions = self.node(server)["status"]["conditions"]
        return {"Ready": "True"}.items() <= {
            one["type"]: one["status"] for one in conditions
        }.items()

    def document(self, server):
        """Return the node document of a server, with what came sealed."""
        text = self.run_in(server, "cat /etc/magnum/node.json")
        if server not in self.control_planes:
            return json.loads(text)
        sealed = self.run_in(server, "cat /var/lib/magnum/secrets.json")
        return json.loads(text) | json.loads(sealed)

    def phases(self, server):
        """Return the phases a server goes through."""
        if server not in self.control_planes:
            return WORKER_PHASES
        first = self.document(server)["init"]
        return CONTROL_PLANE_PHASES if first else JOINER_PHASES
