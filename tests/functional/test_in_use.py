# SPDX-License-Identifier: Apache-2.0
"""Day two of a cluster of real Kubernetes while somebody uses it.

One cluster goes through all tests, in the order of their numbers. Its users
ask ten times a second: a Service of the cluster, the API behind the load
balancer as a user, as a kubelet and as a pod does. KUBE_DIST names the
version it begins with, KUBE_DIST_NEXT the one it is upgraded to.
"""

import dataclasses
import time

from lab.containers import distribution
from tests.functional import base
from tests.functional import containers
from tests.functional import kubernetes

PLAIN = "ubuntu-24.04"
"""An image without Kubernetes, for Glance: both versions are welcome."""
PATIENCE = 2400
"""Seconds for one operation; three control planes share two processors."""
RESTART_SECONDS = 60.0
"""How long an API server that is exchanged may be away."""
LOSS_SECONDS = 30.0
"""How long a balancer may believe in an API server that died."""
HEALING_DELAY = 60
BEGINNING_SECONDS = 60

SHOP = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: shop}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: shop}}}}
  template:
    metadata: {{labels: {{app: shop}}}}
    spec:
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: ScheduleAnyway
        labelSelector: {{matchLabels: {{app: shop}}}}
      containers:
      - name: shop
        image: {kubernetes.PICTURE}
        imagePullPolicy: Never
        command: [/bin/sh, -c]
        args: [echo open >/tmp/index.html; exec httpd -f -p 8080 -h /tmp]
        readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}
        lifecycle: {{preStop: {{sleep: {{seconds: 10}}}}}}
        volumeMounts: [{{name: tmp, mountPath: /tmp}}]
      volumes: [{{name: tmp, emptyDir: {{}}}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: shop}}
spec:
  minAvailable: 1
  selector: {{matchLabels: {{app: shop}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: shop}}
spec:
  selector: {{app: shop}}
  ports: [{{port: 80, targetPort: 8080}}]
"""

ASK = """\
systemctl stop ask-{name} 2>/dev/null
rm -f /root/{name}.answered /root/{name}.lost
systemd-run --quiet --expand-environment=no --unit ask-{name} bash -c '
    while :; do
        at=$EPOCHREALTIME
        {before}
        said=$(curl --silent --show-error --fail --max-time 2 \
            --output /dev/null {request} 2>&1) &&
            echo $at >>/root/{name}.answered || echo $at $said \
            >>/root/{name}.lost
        sleep 0.1
    done'
"""
KUBELET = "/var/lib/kubelet/pki/kubelet-client-current.pem"
AS_ANYBODY = "--cacert /etc/magnum/cluster-ca.pem"
AS_KUBELET = f"{AS_ANYBODY} --cert {KUBELET} --key {KUBELET}"
ENTER_POD = (
    "cd /var/lib/kubelet/pods/{uid}/volumes/kubernetes.io~projected/"
    "kube-api-access-*/"
)
AS_POD = '--cacert ca.crt --header "Authorization: Bearer $(cat token)"'


@dataclasses.dataclass(frozen=True)
class Told:
    """What somebody who asks all the time was told.

    :ivar lost: what was wrong, by seconds since the start.
    :ivar away: seconds from failed requests to the ones after them.
    """

    answered: int
    lost: dict[float, str]
    away: float

    @classmethod
    def read(cls, answered, lost, began):
        """Return what the files that ASK writes tell."""
        times = [float(line) for line in answered.splitlines()]
        failed = {}
        for line in lost.splitlines():
            at, _, said = line.partition(" ")
            failed[float(at)] = said
        moments = sorted([*times, *failed])
        ends = dict(zip(moments, moments[1:], strict=False))
        return cls(
            len(times),
            {round(at - began, 1): said for at, said in failed.items()},
            sum(ends.get(at, at) - at for at in failed),
        )


class InUseTest(containers.NodesTest):
    """A cluster that is used all the time."""

    MASTERS = 3
    WORKERS = 2
    LABELS = {
        "auto_healing_enabled": "true",
        "auto_healing_delay": str(HEALING_DELAY),
    }

    @classmethod
    def setUpClass(cls):
        base.needs_time()
        if not containers.is_real():
            containers.without_containers(
                f"{kubernetes.NOT_PROVEN} day two of a cluster in use"
            )
        super().setUpClass()

    @classmethod
    def template_fields(cls, version=""):
        """Return the fields of a template for a version, else the older."""
        found = super().template_fields()
        tag = version or distribution.find().version
        labels = {**found["labels"], "kube_tag": tag}
        return found | {"image_id": PLAIN, "labels": labels}

    pods_are_there = False
    give_picture = kubernetes.KubernetesChecks.give_picture
    start_pods = kubernetes.KubernetesChecks.start_pods
    local_url = kubernetes.KubernetesChecks.local_url

    def setUp(self):
        super().setUp()
        self.find_servers()
        if not self.pods_are_there:
            self.start_pods()
            self.kubectl("apply --validate=false --filename -", SHOP.encode())
        self.kubectl("rollout status deployment/shop --timeout 120s")
        service = self.get("service shop")["spec"]["clusterIP"]
        self.asking = {"shop": self.control_plane, "user": self.worker}
        self.run_in(
            self.control_plane,
            "curl --silent --fail --retry 30 --retry-delay 1 "
            f"--retry-connrefused --output /dev/null http://{service}/",
        )
        self.ask("shop", f"http://{service}/")
        # Its floating IP is each machine's own address: on loopback here.
        self.ask("user", f"{AS_ANYBODY} {self.local_url()}/livez")
        self.began = time.time()

    def ask(self, name, request, before=":"):
        """Ask for a URL ten times a second from then on."""
        server = self.asking[name]
        self.run_in(
            server, ASK.format(name=name, request=request, before=before)
        )
        self.addCleanup(self.try_in, server, f"systemctl stop ask-{name}")

    def told(self, name):
        """Return what somebody was told since the test began."""
        answered, lost = (
            self.run_in(
                self.asking[name], f"cat /root/{name}.{ending} || true"
            )
            for ending in ("answered", "lost")
        )
        return Told.read(answered, lost, self.began)

    def assert_served(self, *names, away=0.0):
        """Nobody missed a shop, nor the API for more than some seconds."""
        found = {name: self.told(name) for name in ("shop", "user", *names)}
        summary = {
            name: f"{one.answered} answered, {len(one.lost)} lost in "
            f"{one.away:.1f} s"
            for name, one in found.items()
        }
        print(self.id(), summary, flush=True)
        for name, one in found.items():
            self.assertGreater(one.answered, 100, name)
            if name != "user":
                self.assertEqual({}, one.lost, summary)
        self.assertLessEqual(found["user"].away, away, found["user"].lost)

    def ask_magnum(self, *words):
        """Give a command and wait until the cluster is as it says."""
        answer = base.command("coe", "cluster", *words)
        self.assertEqual(0, answer.code, answer)
        self.settled()

    def settled(self, beginning=BEGINNING_SECONDS):
        """Wait until what was asked for has begun and is done."""
        self.magnum.await_status(
            self.uuid, "UPDATE_IN_PROGRESS", seconds=beginning
        )
        self.magnum.await_status(
            self.uuid, "UPDATE_COMPLETE", seconds=PATIENCE
        )
        time.sleep(5)
        type(self).find_servers()

    def test_1_next_minor(self):
        following = distribution.find_next()
        if following is None:
            self.skipTest(f"{kubernetes.NOT_PROVEN} KUBE_DIST_NEXT is empty.")
        template = self.make_template(
            **self.template_fields(following.version)
        )
        self.ask_magnum(
            *("upgrade", self.uuid, template, "--max-batch-size", "1")
        )
        for server in self.servers.values():
            told = self.node(server)["status"]["nodeInfo"]["kubeletVersion"]
            self.assertEqual(following.version, told)
        # Three API servers behind a balancer; each goes once.
        self.assert_served(away=RESTART_SECONDS * self.MASTERS)

    def test_2_one_more_and_one_less(self):
        before = {*self.servers}
        self.ask_magnum("resize", self.uuid, str(self.WORKERS + 1))
        (new,) = {*self.servers} - before
        self.assertTrue(self.is_ready(self.servers[new]))
        # Pods that move to it need their picture.
        self.give_picture(self.servers[new])
        # Not the first one: somebody asks from there.
        gone = self.workers[1]
        self.ask_magnum(
            *("resize", self.uuid, str(self.WORKERS)),
            *("--nodes-to-remove", gone.id),
        )
        self.assertEqual({*before, new}, {*self.servers, self.short(gone)})
        self.assert_served()

    def short(self, server):
        """Return a server's name within the cluster."""
        return server.name.removeprefix(f"{base.prefix(self.cluster)}-")

    def test_3_new_authorities(self):
        worker = self.worker
        self.asking |= {"kubelet": worker, "pod": worker}
        url = f"{self.local_url()}/api/v1/nodes/{worker.name}"
        self.ask("kubelet", f"{AS_KUBELET} {url}")
        service = self.get("service kubernetes")["spec"]["clusterIP"]
        (uid,) = (
            one["metadata"]["uid"]
            for one in self.get("pods --selector app=probe")["items"]
            if one["spec"]["nodeName"] == worker.name
        )
        enter = ENTER_POD.format(uid=uid)
        self.ask("pod", f"{AS_POD} https://{service}/version", enter)
        old = self.magnum.get(f"/certificates/{self.uuid}")["pem"]
        response = self.magnum.call("PATCH", f"/certificates/{self.uuid}")
        self.assertEqual(202, response.status_code, response.text)
        self.settled()
        new = self.magnum.get(f"/certificates/{self.uuid}")["pem"]
        self.assertNotEqual(old, new)
        for server in self.servers.values():
            trusted = self.run_in(server, "cat /etc/magnum/cluster-ca.pem")
            self.assertEqual(new.strip(), trusted.strip(), server.name)
            self.assertTrue(self.is_ready(server))
        self.assert_served("kubelet", "pod")

    def test_4_control_plane_dies(self):
        dead = self.control_planes[1]
        self.demo.compute.stop_server(dead)
        self.settled(beginning=PATIENCE)
        self.assertNotIn(dead.id, {one.id for one in self.servers.values()})
        self.assertEqual(self.MASTERS, len(self.control_planes))
        for server in self.control_planes:
            self.assertTrue(self.is_ready(server), server.name)
        names = {one.name for one in self.control_planes}
        self.assertEqual(names, self.voters())
        self.assert_served(away=LOSS_SECONDS)

    def voters(self):
        """Return the names of etcd's members."""
        directory = "/etc/kubernetes/pki/etcd"
        text = self.kubectl(
            "--namespace kube-system exec "
            f"etcd-{self.control_plane.name} -- etcdctl "
            f"--cacert {directory}/ca.crt --cert {directory}/server.crt "
            f"--key {directory}/server.key member list"
        )
        return {line.split(", ")[2] for line in text.splitlines()}
