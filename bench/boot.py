# SPDX-License-Identifier: Apache-2.0
"""How long nodes boot, against kubeadm by hand on the same machines.

Both sides are system containers of the lab with real Kubernetes (KUBE_DIST)
and the same image. A boot begins when the server's first process starts and
ends when its Node is ready. Of ours the API server knows that moment to the
second, rounded down, so half a second is added; what the node program does
after it (the last reports) is told beside it and not counted. By hand means:
containerd is started, then ``kubeadm init`` or ``kubeadm join`` with a
configuration that was ready before.
"""

from collections.abc import Iterator, Mapping
import contextlib
import dataclasses
import datetime
import json
import os
import pathlib
import re
import statistics
import subprocess
import time
from typing import Any
import uuid

from bench import clusters
from lab import failure
from lab import process
from lab import settings as lab_settings
from lab.containers import __main__ as inside
from lab.containers import distribution
from lab.containers import machines
from lab.seeding import cloud as seeding

COMMAND_TIMEOUT = 600
_IMAGE_CONFIG = "/etc/containerd/config.toml"
_LABELS = {"cloud_provider_enabled": "false", "cinder_csi_enabled": "false"}
_FLOOR_CONFIG = """\
apiVersion: kubeadm.k8s.io/v1beta4
kind: ClusterConfiguration
kubernetesVersion: {version}
networking: {{podSubnet: 10.100.0.0/16, serviceSubnet: 10.254.0.0/16}}
---
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
cgroupDriver: systemd
"""
_READY = (
    "until kubectl --kubeconfig {config} get node $(uname -n) --output "
    "'jsonpath={{.status.conditions[?(@.type==\"Ready\")].status}}' "
    "2>/dev/null | grep -qx True; do sleep 0.2; done"
)

_BOOTED = (
    "until systemctl show --property Version >/dev/null 2>&1; do sleep 0.1; "
    "done; cloud-init status --wait >/dev/null || true"
)
_READY_SINCE = (
    "kubectl --kubeconfig /etc/kubernetes/admin.conf get node {name} --output "
    "'jsonpath={{.status.conditions[?(@.type==\"Ready\")].lastTransitionTime}}'"
)

# What the API server cuts off, on average.
_HALF_A_SECOND = 0.5


@dataclasses.dataclass(frozen=True)
class Boot:
    """One boot: seconds by step, in their order, and altogether."""

    steps: Mapping[str, float]
    total: float


class Bench:
    """Servers of one lab, and what runs in them."""

    def __init__(self) -> None:
        self._found = distribution.find()
        if self._found is None:
            raise SystemExit(
                "Booting is measured with real Kubernetes only: set KUBE_DIST."
            )
        settings = lab_settings.read()
        if "containers" not in settings.extras:
            raise SystemExit(
                "The lab has no container nodes: python3 -m lab up "
                "--with containers."
            )
        self._machines = machines.Machines(settings)
        self._clusters = clusters.Clusters(settings)
        self._cloud = self._clusters.cloud

    @property
    def version(self) -> str:
        """Return the version of Kubernetes."""
        assert self._found is not None
        return self._found.version

    def run(self, runs: int) -> dict[str, list[Boot]]:
        """Boot all kinds of nodes; return the boots by kind."""
        found: dict[str, list[Boot]] = {}
        image = seeding.CONTAINER_IMAGE.format(self.version)
        with self._clusters.template(image, _LABELS) as template:
            for number in range(runs):
                with self._cluster(template, number) as (made, name):
                    for kind, boot in self._one_run(made, name):
                        found.setdefault(kind, []).append(boot)
                        _tell(kind, boot)
        return found

    def _one_run(self, made: str, name: str) -> Iterator[tuple[str, Boot]]:
        control_plane = self._server(name, "cp-0")
        yield "control plane, ours", self._told(control_plane, control_plane)
        self._clusters.act(made, "resize", node_count=1)
        worker = self._server(name, "worker-0")
        yield "worker, ours", self._told(worker, control_plane)
        config = self._run(control_plane, f"cat {_IMAGE_CONFIG}")
        with self._bare(name, control_plane, "init") as first:
            yield "control plane, by hand", self._init(first, config)
            join = self._run(
                first,
                "kubeadm token create --print-join-command "
                "--kubeconfig /etc/kubernetes/admin.conf",
            )
            with self._bare(name, control_plane, "join") as second:
                yield "worker, by hand", self._join(second, config, join)

    @contextlib.contextmanager
    def _cluster(
        self, template: str, number: int
    ) -> Iterator[tuple[str, str]]:
        """Give id and name of a cluster without workers.

        Else one would boot beside the control plane and take its time.
        """
        name = f"boot-{number}-{uuid.uuid4().hex[:8]}"
        made = self._clusters.create(name, template, 0)
        try:
            self._clusters.complete(made, "CREATE_COMPLETE")
            yield made, name
        finally:
            self._clusters.delete(made)

    def _server(self, cluster: str, member: str) -> Any:
        [found] = [
            one
            for one in self._cloud.compute.servers()
            if re.fullmatch(
                f"{re.escape(cluster)}-[0-9a-f]+-{member}", one.name
            )
        ]
        return found

    @contextlib.contextmanager
    def _bare(self, cluster: str, like: Any, word: str) -> Iterator[Any]:
        """Boot a server beside a cluster's with nothing to do."""
        [port] = self._cloud.network.ports(device_id=like.id)
        made = self._cloud.compute.create_server(
            name=f"{cluster}-{word}",
            image_id=like.image.id,
            flavor_id=self._cloud.compute.find_flavor("m1.medium").id,
            networks=[{"uuid": port.network_id}],
        )
        try:
            made = self._cloud.compute.wait_for_server(made, wait=120)
            yield made
        finally:
            self._cloud.compute.delete_server(made)
            self._cloud.compute.wait_for_delete(made, wait=120)

    def _told(self, server: Any, control_plane: Any) -> Boot:
        """Return the boot of a node of ours, as it noted its phases."""
        moment = self._run(
            control_plane, _READY_SINCE.format(name=server.name)
        )
        since = datetime.datetime.fromisoformat(moment.strip()).timestamp()
        since += _HALF_A_SECOND
        text = self._run(
            server,
            "cd /var/lib/magnum/seconds && "
            "for one in $(ls -tr); do echo $one $(<$one) "
            "$(stat --format %.Y $one); done",
        )
        lines = [line.split() for line in text.splitlines()]
        steps = {name: float(seconds) for name, seconds, _at in lines}
        began, ended = self._began(server), float(lines[-1][2])
        name, seconds, at = lines[0]
        steps = {"boot": float(at) - float(seconds) - began, **steps}
        # Negative where the Node was ready before the program was done.
        steps["ready"] = since - ended
        return Boot(steps=steps, total=since - began)

    def _init(self, server: Any, config: str) -> Boot:
        content = _FLOOR_CONFIG.format(version=self.version)
        return self._by_hand(
            server,
            {_IMAGE_CONFIG: config, "/root/kubeadm.yaml": content},
            "kubeadm init --config /root/kubeadm.yaml",
            "/etc/kubernetes/admin.conf",
        )

    def _join(self, server: Any, config: str, join: str) -> Boot:
        return self._by_hand(
            server,
            {_IMAGE_CONFIG: config},
            join.strip(),
            "/etc/kubernetes/kubelet.conf",
        )

    def _by_hand(
        self,
        server: Any,
        files: Mapping[str, str],
        kubeadm: str,
        kubeconfig: str,
    ) -> Boot:
        self._run(server, _BOOTED)
        marks = [self._began(server), time.time()]
        for path, content in files.items():
            parent = pathlib.Path(path).parent
            self._run(server, f"mkdir -p {parent}; cat >{path}", content)
        # What kubeadm asks of a machine before it does anything.
        self._run(server, "sysctl --quiet --write net.ipv4.ip_forward=1")
        paused = time.time() - marks[-1]
        ready = _READY.format(config=kubeconfig)
        for text in ("systemctl restart containerd", kubeadm, ready):
            self._run(server, text)
            marks.append(time.time())
        # What was to be there before is not counted.
        marks = [*marks[:2], *(mark - paused for mark in marks[2:])]
        names = ("boot", "containerd", "kubeadm", "ready")
        steps = {
            name: end - begin
            for name, begin, end in zip(
                names, marks[:-1], marks[1:], strict=True
            )
        }
        return Boot(steps=steps, total=marks[-1] - marks[0])

    def _began(self, server: Any) -> float:
        """Return when a server's first process started, since the epoch."""
        fields = process.stat_fields(self._machines.first_process(server.id))
        # proc(5): starttime is field 22; pid and comm are cut off.
        ticks = int(fields[19]) / os.sysconf("SC_CLK_TCK")
        for line in pathlib.Path("/proc/stat").read_text().splitlines():
            if line.startswith("btime "):
                return int(line.split()[1]) + ticks
        raise failure.LabError("/proc/stat does not tell when this booted.")

    def _run(self, server: Any, text: str, stdin: str = "") -> str:
        first = self._machines.first_process(server.id)
        done = subprocess.run(
            inside.command(first, ["bash", "-c", text]),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"{server.name}: {text}: {done.stderr}")
        return done.stdout


def run(runs: int, output: pathlib.Path | None) -> int:
    """Measure, print the ratios, and write everything as JSON."""
    bench = Bench()
    found = bench.run(runs)
    print()
    for role in ("control plane", "worker"):
        ours = _median(found[f"{role}, ours"])
        floor = _median(found[f"{role}, by hand"])
        waits = statistics.median(
            one.steps.get("secrets", 0.0) for one in found[f"{role}, ours"]
        )
        print(
            f"{role}: {ours:.1f} s against {floor:.1f} s by hand, "
            f"{_percent(ours, floor)}; without waiting for its secrets "
            f"{_percent(ours - waits, floor)}"
        )
    if output is not None:
        document = {
            "kubernetes": bench.version,
            "boots": {
                kind: [dataclasses.asdict(one) for one in boots]
                for kind, boots in found.items()
            },
        }
        output.write_text(json.dumps(document, indent=1) + "\n")
    return 0


def _tell(kind: str, boot: Boot) -> None:
    steps = ", ".join(f"{n} {s:.1f}" for n, s in boot.steps.items())
    print(f"{kind}: {boot.total:.1f} s ({steps})", flush=True)


def _median(boots: list[Boot]) -> float:
    return statistics.median(one.total for one in boots)


def _percent(ours: float, floor: float) -> str:
    return f"{(ours / floor - 1) * 100:+.0f} %"
