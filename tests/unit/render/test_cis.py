# SPDX-License-Identifier: Apache-2.0
"""The CIS Kubernetes benchmark over what is rendered.

Numbers are those of the CIS Kubernetes Benchmark 1.10, sections 1 to 4. What
kubeadm sets by itself (certificates, authorization mode, files of its own) can
only be seen on real nodes. A rule that is not kept stands in ``EXCEPTIONS``
with the reason, and must really not be kept: who keeps it one day takes it off
the list.
"""

import dataclasses

import testtools
import yaml

from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.render import node_document
from magnum_k8s_driver.render import node_files
from tests import node_samples
from tests import samples

EXCEPTIONS = {
    "1.2.1": "probes and load balancers ask /livez, /readyz and /healthz "
    "without a name; structured authentication allows nothing else",
    "1.2.3": "Services with externalIPs are the users' business; the label "
    "admission_control_list adds DenyServiceExternalIPs",
    "1.2.5": "serving certificates of kubelets are their own: nobody but a "
    "cloud's operator could approve them",
    "1.2.9": "EventRateLimit needs limits that only users know; the label "
    "admission_control_list adds it",
    "1.2.11": "AlwaysPullImages makes every start need the registry",
    "1.2.29": "Go's own choice of cipher suites is kept; it has no weak ones "
    "and goes with the release",
    "4.2.9": "as 1.2.5",
    "4.2.12": "as 1.2.29, from TLS 1.2 on",
    "4.2.13": "a limit of process ids breaks workloads that are fine; the "
    "label kubelet_options sets one",
    "4.2.14": "Kubernetes' own default of seccomp is kept; the label "
    "kubelet_options changes it",
}
WITHOUT = {
    "1.2.2": "token-auth-file",
    "1.2.4": "kubelet-https",
    "1.2.20": "request-timeout",
}
"""Flags that must not be set, because their default is right."""
FORBIDDEN_PLUGINS = {"1.2.10": "AlwaysAdmit"}
KEPT_PLUGINS = {
    "1.2.12": "ServiceAccount",
    "1.2.13": "NamespaceLifecycle",
}
"""On by default; must not be turned off."""
EXACT = {
    "1.2.15": ("profiling", "false"),
    "1.2.27": (
        "encryption-provider-config",
        "/etc/magnum/apiserver/encryption.yaml",
    ),
}
LEAST = {
    "1.2.17": ("audit-log-maxage", 30),
    "1.2.18": ("audit-log-maxbackup", 10),
    "1.2.19": ("audit-log-maxsize", 100),
}


def rendered(role=spec_module.Role.CONTROL_PLANE, spec=None):
    """Return the files of a node by path."""
    spec = spec or samples.spec()
    if role is spec_module.Role.CONTROL_PLANE:
        group = spec.control_plane
        document = node_document.control_plane_document(
            spec, node_samples.control_plane_values()
        )
    else:
        group = spec.workers[0]
        document = node_document.worker_document(
            spec, group, node_samples.worker_values()
        )
    found = node_files.node_files(spec, group, document)
    found += (node_files.document_file(document),)
    return {one.path: one for one in found}


def documents(files, path):
    """Return the documents of a file by kind."""
    return {
        one["kind"]: one for one in yaml.safe_load_all(files[path].content)
    }


def flags(component):
    return {one["name"]: one["value"] for one in component["extraArgs"]}


class CisTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.files = rendered()
        self.init = documents(self.files, "/etc/magnum/kubeadm/init.yaml")
        self.cluster = self.init["ClusterConfiguration"]
        self.kubelet = self.init["KubeletConfiguration"]

    def rule(self, number, kept):
        """A rule is kept, or is an exception and really is not kept."""
        self.assertIs(number not in EXCEPTIONS, bool(kept), number)


class FlagsTest(CisTest):
    def test_api_server(self):
        found = flags(self.cluster["apiServer"])
        plugins = found["enable-admission-plugins"].split(",")
        off = found.get("disable-admission-plugins", "").split(",")
        for number, name in WITHOUT.items():
            self.rule(number, name not in found)
        for number, (name, value) in EXACT.items():
            self.rule(number, found.get(name) == value)
        for number, (name, least) in LEAST.items():
            self.rule(number, int(found.get(name, "0")) >= least)
        for number, name in FORBIDDEN_PLUGINS.items():
            self.rule(number, name not in plugins)
        for number, name in KEPT_PLUGINS.items():
            self.rule(number, name not in off)
        self.rule("1.2.1", found.get("anonymous-auth") == "false")
        self.rule("1.2.3", "DenyServiceExternalIPs" in plugins)
        self.rule("1.2.5", "kubelet-certificate-authority" in found)
        mode = found.get("authorization-mode", "Node,RBAC").split(",")
        self.rule("1.2.6", "AlwaysAllow" not in mode)
        self.rule("1.2.7", "Node" in mode)
        self.rule("1.2.8", "RBAC" in mode)
        self.rule("1.2.9", "EventRateLimit" in plugins)
        self.rule("1.2.11", "AlwaysPullImages" in plugins)
        self.rule("1.2.14", "NodeRestriction" in plugins)
        self.rule("1.2.16", found.get("audit-log-path"))
        self.rule("1.2.21", found.get("service-account-lookup") != "false")
        self.rule("1.2.29", "tls-cipher-suites" in found)

    def test_who_may_ask_without_a_name(self):
        """What takes the place of rule 1.2.1."""
        path = flags(self.cluster["apiServer"])["authentication-config"]
        anonymous = yaml.safe_load(self.files[path].content)["anonymous"]
        self.assertEqual(
            {"/livez", "/readyz", "/healthz"},
            {one["path"] for one in anonymous["conditions"]},
        )

    def test_encryption(self):
        spec = samples.spec()
        values = node_samples.control_plane_values(
            secrets=node_samples.secrets()
        )
        document = node_document.control_plane_document(spec, values)
        text = document["secrets"]["encryption_config"]
        (resource,) = yaml.safe_load(text)["resources"]
        first = next(iter(resource["providers"][0]))
        self.rule(
            "1.2.28",
            first in ("aescbc", "kms", "secretbox")
            and "secrets" in resource["resources"],
        )

    def test_audit_policy(self):
        path = flags(self.cluster["apiServer"])["audit-policy-file"]
        rules = yaml.safe_load(self.files[path].content)["rules"]
        self.rule("3.2.1", rules)
        # Nobody's changes and no requests for secrets are left out.
        silent = [one for one in rules if one["level"] == "None"]
        for one in silent:
            reads = set(one.get("verbs", ())) <= {"get", "list", "watch"}
            harmless = "resources" in one or "nonResourceURLs" in one
            self.rule("3.2.2", (reads and one.get("verbs")) or harmless)
            for group in one.get("resources", ()):
                self.assertNotIn("secrets", group["resources"])
        self.assertEqual({"level": "Metadata"}, rules[-1])

    def test_controller_manager_and_scheduler(self):
        manager = flags(self.cluster["controllerManager"])
        scheduler = flags(self.cluster["scheduler"])
        self.rule("1.3.2", manager.get("profiling") == "false")
        own = manager.get("use-service-account-credentials", "true")
        self.rule("1.3.3", own == "true")
        gates = manager.get("feature-gates", "")
        self.rule("1.3.6", "RotateKubeletServerCertificate=false" not in gates)
        self.rule(
            "1.3.7", manager.get("bind-address", "127.0.0.1")[:4] == "127."
        )
        self.rule("1.4.1", scheduler.get("profiling") == "false")
        self.rule(
            "1.4.2", scheduler.get("bind-address", "127.0.0.1")[:4] == "127."
        )

    def test_monitoring_opens_metrics_only_when_wanted(self):
        labels = dataclasses.replace(
            samples.spec().labels, monitoring_enabled=True
        )
        spec = dataclasses.replace(samples.spec(), labels=labels)
        files = rendered(spec=spec)
        init = documents(files, "/etc/magnum/kubeadm/init.yaml")
        manager = flags(init["ClusterConfiguration"]["controllerManager"])
        self.assertEqual("0.0.0.0", manager["bind-address"])

    def test_etcd(self):
        etcd = self.cluster["etcd"]["local"]
        given = {one["name"] for one in etcd.get("extraArgs", ())}
        for number, name in (
            ("2.1", "cert-file"),
            ("2.2", "client-cert-auth"),
            ("2.3", "auto-tls"),
            ("2.5", "peer-client-cert-auth"),
            ("2.6", "peer-auto-tls"),
        ):
            # kubeadm's own are right.
            self.rule(number, name not in given)
        secrets = node_samples.secrets().pki
        self.rule("2.7", {"etcd/ca.crt", "ca.crt"} <= set(secrets))


class KubeletTest(CisTest):
    def test_kubelet(self):
        """kubeadm fills in authentication and authorization by itself."""
        found = self.kubelet
        own = found.get("authentication", {})
        self.rule("4.2.1", not own.get("anonymous", {}).get("enabled"))
        mode = found.get("authorization", {}).get("mode", "Webhook")
        self.rule("4.2.2", mode == "Webhook")
        self.rule("4.2.4", found["readOnlyPort"] == 0)
        idle = found.get("streamingConnectionIdleTimeout", "4h")
        self.rule("4.2.5", idle not in (0, "0", "0s"))
        self.rule("4.2.6", found.get("makeIPTablesUtilChains", True))
        self.rule("4.2.8", found.get("eventRecordQPS", 50) > 0)
        self.rule("4.2.9", found.get("tlsCertFile"))
        self.rule("4.2.10", found["rotateCertificates"])
        gates = found.get("featureGates", {})
        self.rule("4.2.11", gates.get("RotateKubeletServerCertificate", True))
        self.rule("4.2.12", found.get("tlsCipherSuites"))
        self.assertEqual("VersionTLS12", found["tlsMinVersion"])
        self.rule("4.2.13", found.get("podPidsLimit", -1) > 0)
        self.rule("4.2.14", found.get("seccompDefault"))

    def test_arguments_of_kubelets(self):
        for role in spec_module.Role:
            files = rendered(role)
            join = documents(files, "/etc/magnum/kubeadm/join.yaml")
            registration = join["JoinConfiguration"]["nodeRegistration"]
            given = {one["name"] for one in registration["kubeletExtraArgs"]}
            self.rule("4.2.7", "hostname-override" not in given)
            for name in (
                "anonymous-auth",
                "authorization-mode",
                "read-only-port",
            ):
                self.assertNotIn(name, given, role)


class FilesTest(testtools.TestCase):
    """Sections 1.1 and 4.1, as far as user data write files."""

    def test_configuration_of_the_kubelet(self):
        for role in spec_module.Role:
            for path, one in rendered(role).items():
                if "/kubelet.conf.d/" in path:
                    self.assertEqual(0o600, one.mode, f"4.1.9 {path}")

    def test_nobody_else_writes(self):
        for role in spec_module.Role:
            for path, one in rendered(role).items():
                self.assertEqual(0, one.mode & 0o022, path)

    def test_what_is_secret_is_for_root_only(self):
        """Whatever holds a token, a key or a rule of the API server."""
        for role in spec_module.Role:
            for path, one in rendered(role).items():
                secret = (
                    node_samples.TOKEN.encode() in one.content
                    or b"PRIVATE KEY" in one.content
                    or b"password" in one.content
                    or path.startswith("/etc/magnum/apiserver/")
                )
                if secret:
                    self.assertEqual(0o600, one.mode, path)


class ExceptionsTest(testtools.TestCase):
    def test_each_has_a_reason(self):
        for number, reason in EXCEPTIONS.items():
            self.assertRegex(number, r"^\d(\.\d+)+$")
            self.assertGreater(len(reason.split()), 1, number)
