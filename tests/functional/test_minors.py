# SPDX-License-Identifier: Apache-2.0
"""From one minor of Kubernetes to the next while somebody uses the cluster.

KUBE_DIST names the older one, KUBE_DIST_NEXT the newer one.
"""

import time

from lab.containers import distribution
from tests.functional import base
from tests.functional import containers
from tests.functional import kubernetes

PLAIN = "ubuntu-24.04"
"""An image without Kubernetes, for Glance: both versions are welcome."""
UPGRADE_SECONDS = 2400
RESTART_SECONDS = 60.0
"""How long an API server that is exchanged may be away."""

WEB = f"""\
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
systemd-run --quiet --expand-environment=no --unit ask-{name} bash -c '
    while :; do
        at=$EPOCHREALTIME
        curl --silent --fail --max-time 2 --output /dev/null {options} {url} &&
            echo $at >>/root/{name}.answered || echo $at >>/root/{name}.lost
        sleep 0.1
    done'
"""


class MinorsTest(containers.NodesTest):
    """A cluster that is used all the time."""

    MASTERS = 3
    WORKERS = 2

    @classmethod
    def setUpClass(cls):
        base.needs_time()
        if distribution.find_next() is None:
            containers.without_containers(
                f"{kubernetes.NOT_PROVEN} an upgrade to the next minor, "
                "which takes KUBE_DIST_NEXT, too"
            )
        super().setUpClass()

    @classmethod
    def template_fields(cls, version=""):
        """Return the fields of a template for a version, else the older."""
        found = super().template_fields()
        tag = version or distribution.find().version
        labels = {**found["labels"], "kube_tag": tag}
        return found | {"image_id": PLAIN, "labels": labels}

    start_pods = kubernetes.KubernetesChecks.start_pods
    pods_are_there = False

    def ask(self, name, url, options=""):
        """Ask for a URL ten times a second from a control plane."""
        self.run_in(
            self.control_plane,
            ASK.format(name=name, url=url, options=options),
        )

    def moments(self, name, ending):
        """Return when somebody asked, in seconds since the epoch."""
        text = self.run_in(
            self.control_plane, f"cat /root/{name}.{ending} || true"
        )
        return [float(line) for line in text.split()]

    def test_upgrade(self):
        self.start_pods()
        self.kubectl("apply --filename -", WEB.encode())
        self.kubectl("rollout status deployment/shop --timeout 120s")
        service = self.get("service shop")["spec"]["clusterIP"]
        self.ask("shop", f"http://{service}/")
        endpoint = self.cluster["api_address"]
        self.ask("api", f"{endpoint}/livez", "--insecure")
        began = time.time()
        following = distribution.find_next().version
        template = self.make_template(**self.template_fields(following))
        answer = base.command(
            *("coe", "cluster", "upgrade", self.uuid, template),
            *("--max-batch-size", "1"),
        )
        self.assertEqual(0, answer.code, answer)
        self.magnum.await_status(
            self.uuid, "UPDATE_COMPLETE", seconds=UPGRADE_SECONDS
        )
        time.sleep(5)
        for server in self.servers.values():
            told = self.node(server)["status"]["nodeInfo"]["kubeletVersion"]
            self.assertEqual(following, told)
        lost = self.moments("shop", "lost")
        self.assertGreater(len(self.moments("shop", "answered")), 100)
        away = [round(at - began, 1) for at in self.moments("api", "lost")]
        self.assertEqual([], lost, f"the API was away at {away}")
        # Three API servers behind a balancer; each goes once.
        self.assertLess(len(away) / 10, RESTART_SECONDS * self.MASTERS, away)
