# SPDX-License-Identifier: Apache-2.0
"""What only real Kubernetes can show, of a cluster of any shape."""

import base64
import datetime
import json
import pathlib
import shutil
import subprocess
import tempfile
import time

from cryptography import x509

from lab import oci
from lab.containers import distribution
from lab.containers import image
from magnum_k8s_driver.model import join_token
from tests.functional import base
from tests.functional import containers

NOT_PROVEN = "Not proven without KUBE_DIST:"

HOUR = 3600
POD_SECONDS = 180
KEEPER_SECONDS = 30
"""The keeper looks for requests every ten."""

PICTURE = "lab.example/busybox:1"
PODS = f"""\
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: web
        image: {PICTURE}
        imagePullPolicy: Never
        command: [/bin/sh, -c]
        args:
        - echo served >/tmp/index.html; exec httpd -f -p 8080 -h /tmp
        volumeMounts: [{{name: tmp, mountPath: /tmp}}]
      volumes: [{{name: tmp, emptyDir: {{}}}}]
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 8080}}]
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {{name: probe}}
spec:
  selector: {{matchLabels: {{app: probe}}}}
  template:
    metadata: {{labels: {{app: probe}}}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: probe
        image: {PICTURE}
        imagePullPolicy: Never
        command: [/bin/sleep, "100000"]
"""
APPLETS = ("sh", "echo", "sleep", "httpd", "wget", "cat", "nslookup")

REQUEST = {
    "apiVersion": "certificates.k8s.io/v1",
    "kind": "CertificateSigningRequest",
}
KUBELET_SIGNER = "kubernetes.io/kube-apiserver-client-kubelet"
WAY = "curl --silent --cacert /etc/magnum/cluster-ca.pem"


class KubernetesChecks:
    """Mixed into a class that has made a cluster."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pods_are_there = False

    def setUp(self):
        super().setUp()
        checks = vars(KubernetesChecks)
        if self._testMethodName in checks and not containers.is_real():
            what = self._testMethodName.removeprefix("test_")
            self.skipTest(f"{NOT_PROVEN} {what.replace('_', ' ')}")

    def start_pods(self):
        """Run a web service and, on every worker, a pod to ask it from."""
        if self.pods_are_there:
            return
        self.give_picture(*self.workers)
        self.kubectl("apply --validate=false --filename -", PODS.encode())
        for what in ("deployment/web", "daemonset/probe"):
            self.kubectl(f"rollout status {what} --timeout {POD_SECONDS}s")
        self.kubectl(
            "--namespace kube-system rollout status deployment/coredns "
            f"--timeout {POD_SECONDS}s"
        )
        type(self).pods_are_there = True

    def give_picture(self, *servers):
        """Bring the pods' image to servers."""
        program = image.base() / "usr/bin/busybox"
        with tempfile.TemporaryDirectory() as directory:
            archive = pathlib.Path(directory, "busybox.tar")
            oci.build(
                archive,
                PICTURE,
                {f"/bin/{name}": program for name in APPLETS},
                {"Env": ["PATH=/bin"]},
            )
            for server in servers:
                self.run_in(
                    server,
                    "ctr --namespace k8s.io images import -",
                    archive.read_bytes(),
                )

    def probes(self):
        """Return the pod of each worker."""
        self.start_pods()
        found = {
            one["spec"]["nodeName"]: one["metadata"]["name"]
            for one in self.get("pods --selector app=probe")["items"]
        }
        self.assertEqual({one.name for one in self.workers}, {*found})
        return [found[one.name] for one in self.workers]

    def test_kubernetes_runs_on_itself(self):
        def everything_is_ready():
            pods = self.get("--namespace kube-system pods")["items"]
            return [
                one["metadata"]["name"]
                for one in pods
                if not any(
                    condition["type"] == "Ready"
                    and condition["status"] == "True"
                    for condition in one["status"].get("conditions", ())
                )
            ] == []

        base.until(
            everything_is_ready,
            POD_SECONDS,
            lambda: self.kubectl("--namespace kube-system get pods"),
        )
        version = distribution.find().version
        for server in self.servers.values():
            told = self.node(server)["status"]["nodeInfo"]["kubeletVersion"]
            self.assertEqual(version, told)

    def test_pods_on_each_worker_reach_a_service(self):
        for pod in self.probes():
            answers = {
                self.kubectl(f"exec {pod} -- wget -T 20 -q -O - {address}")
                for address in (
                    "http://web.default.svc.cluster.local/",
                    "http://web.default.svc.cluster.local/index.html",
                )
            }
            self.assertEqual({"served\n"}, answers)

    def test_pods_do_not_reach_the_metadata_service(self):
        ask = "http://169.254.169.254/openstack/latest/meta_data.json"
        for server, pod in zip(self.workers, self.probes(), strict=True):
            self.run_in(server, f"curl --silent --fail {ask}")
            before = self.dropped(server)
            done = self.try_in(
                self.control_plane,
                "kubectl --kubeconfig /etc/kubernetes/admin.conf "
                f"exec {pod} -- wget -T 5 -q -O - {ask}",
            )
            self.assertNotEqual(0, done.code, done)
            self.assertNotIn("uuid", done.out)
            self.assertGreater(self.dropped(server), before)

    def dropped(self, server):
        """Return how many packets a node's firewall has dropped."""
        text = self.run_in(server, "nft --json list table inet magnum")
        return sum(
            part["counter"]["packets"]
            for one in json.loads(text)["nftables"]
            for part in one.get("rule", {}).get("expr", ())
            if "counter" in part
        )

    def test_users_kubeconfig_works(self):
        home = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, home)
        answer = base.command(
            *("coe", "cluster", "config", self.name, "--dir", home, "--force")
        )
        self.assertEqual(0, answer.code, answer)
        done = subprocess.run(
            [str(distribution.find().programs["kubectl"])]
            + ["--kubeconfig", f"{home}/config", "get", "nodes"]
            + ["--output", "name"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        self.assertEqual(0, done.returncode, done)
        self.assertEqual(
            {f"node/{one.name}" for one in self.servers.values()},
            {*done.stdout.split()},
        )

    def test_certificates_are_valid(self):
        now = datetime.datetime.now(datetime.UTC)
        for server in self.control_planes:
            text = self.run_in(server, "cat /etc/kubernetes/pki/apiserver.crt")
            found = x509.load_pem_x509_certificate(text.encode())
            self.assertLess(now, found.not_valid_after_utc)
            self.assertGreater(now, found.not_valid_before_utc)
            names = found.extensions.get_extension_for_class(
                x509.SubjectAlternativeName
            ).value
            self.assertIn(
                self.cluster["api_address"].split("//")[1].split(":")[0],
                {
                    str(one)
                    for one in names.get_values_for_type(x509.IPAddress)
                },
            )
            for name in ("apiserver", "apiserver-kubelet-client"):
                self.run_in(
                    server,
                    "cd /etc/kubernetes/pki && openssl verify -CAfile ca.crt "
                    f"{name}.crt",
                )
        for server in self.servers.values():
            self.run_in(
                server,
                "openssl verify -CAfile /etc/magnum/cluster-ca.pem "
                "/var/lib/kubelet/pki/kubelet-client-current.pem",
            )

    def test_secrets_are_encrypted_in_etcd(self):
        self.kubectl(
            "create secret generic plain --from-literal word=cleartext-word"
        )
        self.addCleanup(self.kubectl, "delete secret plain")
        directory = "/etc/kubernetes/pki/etcd"
        stored = self.kubectl(
            "--namespace kube-system exec "
            f"etcd-{self.control_plane.name} -- etcdctl "
            f"--cacert {directory}/ca.crt --cert {directory}/server.crt "
            f"--key {directory}/server.key "
            "get /registry/secrets/default/plain"
        )
        self.assertIn("k8s:enc:secretbox:v1:key1", stored)
        self.assertNotIn("cleartext-word", stored)
        read = self.get("secret plain")["data"]["word"]
        self.assertEqual(b"cleartext-word", base64.b64decode(read))

    def test_only_health_is_answered_to_anybody(self):
        url = self.local_url()
        for path, code in (
            ("/readyz", "200"),
            ("/livez", "200"),
            ("/version", "401"),
            ("/api/v1/nodes", "401"),
        ):
            self.assertEqual(
                code,
                self.run_in(
                    self.worker,
                    f"{WAY} --output /dev/null "
                    f"--write-out '%{{http_code}}' {url}{path}",
                ),
                path,
            )

    def test_audit_log_is_written(self):
        for server in self.control_planes:
            text = self.run_in(
                server, "tail -n 5 /var/log/kubernetes/audit/audit.log"
            )
            levels = {json.loads(one)["level"] for one in text.splitlines()}
            self.assertEqual({"Metadata"}, levels)

    def test_old_tokens_are_refused(self):
        now = time.time()
        self.assertEqual("403", self.status_with(self.token(now)))
        self.assertEqual("401", self.status_with(self.token(now - 3 * HOUR)))
        # One that was good once, as the node program left it.
        number, secret = self.token(now - 3 * HOUR).split(".")
        ended = datetime.datetime.fromtimestamp(now - HOUR, datetime.UTC)
        document = {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "bootstrap.kubernetes.io/token",
            "metadata": {
                "name": f"bootstrap-token-{number}",
                "namespace": "kube-system",
            },
            "stringData": {
                "token-id": number,
                "token-secret": secret,
                "expiration": ended.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "usage-bootstrap-authentication": "true",
            },
        }
        self.kubectl(
            "apply --validate=false --filename -",
            json.dumps(document).encode(),
        )
        self.assertEqual("401", self.status_with(f"{number}.{secret}"))
        base.until(
            lambda: (
                document["metadata"]["name"]
                not in self.kubectl(
                    "--namespace kube-system get secrets --output name"
                )
            ),
            POD_SECONDS,
        )

    def token(self, at):
        """Return the token of the hour of a time."""
        secrets = self.document(self.control_plane)["secrets"]
        return join_token.join_token(
            bytes.fromhex(secrets["join_root"]), self.uuid, at
        )

    def status_with(self, token):
        """Return what the API server says to a token: 401 not to know it."""
        return self.run_in(
            self.worker,
            f"{WAY} --output /dev/null --write-out '%{{http_code}}' "
            f"--header @- {self.local_url()}/api/v1/nodes",
            f"Authorization: Bearer {token}".encode(),
        )

    def local_url(self):
        """Return the API's URL as the nodes know it."""
        endpoint = self.document(self.worker)["endpoint"]
        return f"https://{endpoint['host']}:{endpoint['port']}"

    def test_wrong_names_are_not_approved(self):
        prefix = base.prefix(self.cluster)
        wrong = ["stranger", f"{prefix}-cp-77", self.worker.name]
        for name in wrong:
            self.ask_for(name, f"wrong-{name}")
        time.sleep(KEEPER_SECONDS)
        for name in wrong:
            found = self.get(f"certificatesigningrequest wrong-{name}")
            self.assertEqual({}, found.get("status", {}), name)

    def ask_for(self, node, request):
        """Ask for a node's certificate with a token that is good now."""
        made = self.run_in(
            self.worker,
            "openssl req -new -newkey rsa:2048 -nodes -keyout /dev/null "
            f"-subj /O=system:nodes/CN=system:node:{node}",
        )
        document = {
            **REQUEST,
            "metadata": {"name": request},
            "spec": {
                "request": base64.b64encode(made.encode()).decode(),
                "signerName": KUBELET_SIGNER,
                "usages": ["digital signature", "client auth"],
            },
        }
        url = f"{self.local_url()}/apis/certificates.k8s.io/v1"
        token = self.token(time.time())
        self.addCleanup(
            self.kubectl, f"delete certificatesigningrequest {request}"
        )
        code = self.run_in(
            self.worker,
            f"cat >/tmp/request.json; {WAY} --output /dev/null "
            f"--header @<(echo Authorization: Bearer {token}) "
            "--header 'Content-Type: application/json' "
            "--data-binary @/tmp/request.json --write-out '%{http_code}' "
            f"{url}/certificatesigningrequests",
            json.dumps(document).encode(),
        )
        self.assertEqual("201", code)
