# SPDX-License-Identifier: Apache-2.0
"""Documents for kubeadm and the files of the API server."""

import dataclasses

import testtools
import yaml

from magnum_k8s_driver.model import labels as labels_module
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.render import apiserver
from magnum_k8s_driver.render import ca_hash
from magnum_k8s_driver.render import cluster_stack
from magnum_k8s_driver.render import kubeadm
from tests import node_samples
from tests import samples

# Fields of kubeadm.k8s.io/v1beta4; kubeadm decodes strictly.
ARGUMENT = {"name": None, "value": None}
REGISTRATION = {
    "name": None,
    "criSocket": None,
    "taints": [{"key": None, "value": None, "effect": None}],
    "kubeletExtraArgs": [ARGUMENT],
    "ignorePreflightErrors": None,
    "imagePullPolicy": None,
    "imagePullSerial": None,
}
TIMEOUTS = dict.fromkeys(
    (
        "controlPlaneComponentHealthCheck",
        "kubeletHealthCheck",
        "kubernetesAPICall",
        "etcdAPICall",
        "tlsBootstrap",
        "discovery",
        "upgradeManifests",
    )
)
HEAD = {"apiVersion": None, "kind": None}
VOLUME = dict.fromkeys(
    ("name", "hostPath", "mountPath", "readOnly", "pathType")
)
COMPONENT = {"extraArgs": [ARGUMENT], "extraVolumes": [VOLUME]}
ENDPOINT = dict.fromkeys(("advertiseAddress", "bindPort"))
FIELDS = {
    "InitConfiguration": HEAD
    | {
        "localAPIEndpoint": ENDPOINT,
        "nodeRegistration": REGISTRATION,
        "timeouts": TIMEOUTS,
    },
    "JoinConfiguration": HEAD
    | {
        "discovery": {"file": {"kubeConfigPath": None}},
        "controlPlane": {"localAPIEndpoint": ENDPOINT},
        "nodeRegistration": REGISTRATION,
        "timeouts": TIMEOUTS,
    },
    "ClusterConfiguration": HEAD
    | {
        "clusterName": None,
        "kubernetesVersion": None,
        "controlPlaneEndpoint": None,
        "imageRepository": None,
        "networking": dict.fromkeys(
            ("podSubnet", "serviceSubnet", "dnsDomain")
        ),
        "etcd": {"local": {"dataDir": None, "extraArgs": [ARGUMENT]}},
        "apiServer": COMPONENT | {"certSANs": None},
        "controllerManager": COMPONENT,
        "scheduler": COMPONENT,
    },
}


def with_labels(**changes):
    spec = samples.spec()
    labels = dataclasses.replace(spec.labels, **changes)
    return dataclasses.replace(
        spec,
        labels=labels,
        control_plane=dataclasses.replace(spec.control_plane, labels=labels),
        workers=tuple(
            dataclasses.replace(one, labels=labels) for one in spec.workers
        ),
    )


def given(arguments):
    return {one["name"]: one["value"] for one in arguments}


class StructureTest(testtools.TestCase):
    def test_only_fields_that_kubeadm_knows(self):
        spec = with_labels(
            monitoring_enabled=True, kubelet_options=(("v", "3"),)
        )
        taint = spec_module.Taint(key="gpu", value="yes", effect="NoSchedule")
        group = dataclasses.replace(spec.workers[0], taints=(taint,))
        for document in (
            kubeadm.init_configuration(spec),
            kubeadm.join_configuration(spec, spec.control_plane),
            kubeadm.join_configuration(spec, group),
            kubeadm.cluster_configuration(spec, node_samples.ENDPOINT),
        ):
            self.assertEqual("kubeadm.k8s.io/v1beta4", document["apiVersion"])
            self._known(document, FIELDS[document["kind"]], document["kind"])

    def _known(self, value, fields, where):
        if isinstance(fields, dict):
            self.assertIsInstance(value, dict, where)
            self.assertLessEqual(set(value), set(fields), where)
            for key, below in value.items():
                self._known(below, fields[key], f"{where}.{key}")
        elif isinstance(fields, list):
            for one in value:
                self._known(one, fields[0], where)

    def test_survives_yaml(self):
        document = kubeadm.cluster_configuration(
            samples.spec(), node_samples.ENDPOINT
        )
        self.assertEqual(document, yaml.safe_load(yaml.safe_dump(document)))

    def test_argument_values_are_text(self):
        document = kubeadm.cluster_configuration(
            samples.spec(), node_samples.ENDPOINT
        )
        for part in ("apiServer", "controllerManager", "scheduler"):
            for one in document[part]["extraArgs"]:
                self.assertIsInstance(one["value"], str)


class ClusterTest(testtools.TestCase):
    def _cluster(self, spec=None, endpoint=node_samples.ENDPOINT):
        return kubeadm.cluster_configuration(spec or samples.spec(), endpoint)

    def test_name_is_the_uuid(self):
        self.assertEqual(samples.CLUSTER_UUID, self._cluster()["clusterName"])

    def test_certificate_covers_every_address(self):
        self.assertEqual(
            ["10.0.0.9", "172.24.4.9", "127.0.0.1", "localhost"],
            self._cluster()["apiServer"]["certSANs"],
        )

    def test_ipv6_endpoint_has_brackets(self):
        endpoint = kubeadm.Endpoint(host="2001:db8::9", port=443)
        document = self._cluster(endpoint=endpoint)
        self.assertEqual("[2001:db8::9]:443", document["controlPlaneEndpoint"])
        self.assertIn("2001:db8::9", document["apiServer"]["certSANs"])

    def test_images_come_from_the_prefix(self):
        spec = with_labels(container_infra_prefix="reg.example.org/k8s/")
        self.assertEqual(
            "reg.example.org/k8s", self._cluster(spec)["imageRepository"]
        )

    def test_cloud_provider_is_external_only_when_wanted(self):
        for wanted in (True, False):
            spec = with_labels(cloud_provider_enabled=wanted)
            manager = given(
                self._cluster(spec)["controllerManager"]["extraArgs"]
            )
            join = kubeadm.join_configuration(spec, spec.workers[0])
            kubelet = given(join["nodeRegistration"]["kubeletExtraArgs"])
            self.assertEqual(wanted, "cloud-provider" in manager)
            self.assertEqual(wanted, "cloud-provider" in kubelet)

    def test_users_flags_win(self):
        spec = with_labels(
            kubeapi_options=(("audit-log-maxage", "7"), ("v", "4"))
        )
        arguments = self._cluster(spec)["apiServer"]["extraArgs"]
        names = [one["name"] for one in arguments]
        self.assertEqual(len(names), len(set(names)))
        self.assertEqual("7", given(arguments)["audit-log-maxage"])
        self.assertEqual("4", given(arguments)["v"])

    def test_admission_plugins_add_up(self):
        spec = with_labels(admission_control_list=("AlwaysPullImages",))
        arguments = given(self._cluster(spec)["apiServer"]["extraArgs"])
        self.assertEqual(
            "NodeRestriction,AlwaysPullImages",
            arguments["enable-admission-plugins"],
        )

    def test_oidc_replaces_our_authentication(self):
        spec = with_labels(
            kubeapi_options=(("oidc-issuer-url", "https://idp"),)
        )
        arguments = given(self._cluster(spec)["apiServer"]["extraArgs"])
        self.assertNotIn("authentication-config", arguments)

    def test_flannels_share_of_addresses(self):
        spec = with_labels(flannel_network_subnetlen=26)
        network = dataclasses.replace(spec.network, cni="flannel")
        spec = dataclasses.replace(spec, network=network)
        manager = given(self._cluster(spec)["controllerManager"]["extraArgs"])
        self.assertEqual("26", manager["node-cidr-mask-size"])

    def test_monitoring_can_scrape(self):
        document = self._cluster(with_labels(monitoring_enabled=True))
        for part in ("controllerManager", "scheduler"):
            arguments = given(document[part]["extraArgs"])
            self.assertEqual("0.0.0.0", arguments["bind-address"])
        self.assertNotIn(
            "bind-address", given(self._cluster()["scheduler"]["extraArgs"])
        )


class JoinTest(testtools.TestCase):
    def test_control_plane_only_where_it_is_one(self):
        spec = samples.spec()
        join = kubeadm.join_configuration(spec, spec.control_plane)
        self.assertIn("controlPlane", join)
        join = kubeadm.join_configuration(spec, spec.workers[0])
        self.assertNotIn("controlPlane", join)

    def test_worker_has_labels_and_taints_from_the_start(self):
        taint = spec_module.Taint(key="gpu", effect="NoSchedule")
        group = samples.node_group(
            node_labels={"disk": "fast"}, taints=(taint,)
        )
        join = kubeadm.join_configuration(samples.spec(), group)
        registration = join["nodeRegistration"]
        self.assertEqual(
            [{"key": "gpu", "effect": "NoSchedule"}], registration["taints"]
        )
        self.assertEqual(
            "disk=fast,magnum.openstack.org/nodegroup=default-worker,"
            "magnum.openstack.org/role=worker",
            given(registration["kubeletExtraArgs"])["node-labels"],
        )

    def test_worker_without_taints_says_so(self):
        spec = samples.spec()
        join = kubeadm.join_configuration(spec, spec.workers[0])
        self.assertEqual([], join["nodeRegistration"]["taints"])

    def test_control_plane_keeps_its_taint(self):
        init = kubeadm.init_configuration(samples.spec())
        (taint,) = init["nodeRegistration"]["taints"]
        self.assertEqual("node-role.kubernetes.io/control-plane", taint["key"])

    def test_worker_discovers_with_its_token(self):
        document = kubeadm.discovery_file(
            node_samples.ENDPOINT,
            spec_module.Role.WORKER,
            node_samples.TOKEN,
        )
        cluster = document["clusters"][0]["cluster"]
        self.assertEqual("https://10.0.0.9:6443", cluster["server"])
        self.assertIn("certificate-authority", cluster)
        # kubeadm does not read tokenFile.
        self.assertEqual(
            {"token": node_samples.TOKEN}, document["users"][0]["user"]
        )

    def test_control_plane_discovers_with_its_certificate(self):
        document = kubeadm.discovery_file(
            node_samples.ENDPOINT, spec_module.Role.CONTROL_PLANE
        )
        self.assertNotIn("token", document["users"][0]["user"])


class ProxyTest(testtools.TestCase):
    def test_flags_become_fields(self):
        spec = with_labels(
            kubeproxy_options=(
                ("proxy-mode", "nftables"),
                ("conntrack-max-per-core", "0"),
                ("masquerade-all", "true"),
                ("unknown", "x"),
            )
        )
        document = kubeadm.kube_proxy_configuration(spec)
        self.assertEqual("nftables", document["mode"])
        self.assertEqual({"maxPerCore": 0}, document["conntrack"])
        self.assertEqual({"masqueradeAll": True}, document["iptables"])


class ApiServerTest(testtools.TestCase):
    def test_anonymous_only_on_health_paths(self):
        anonymous = apiserver.authentication()["anonymous"]
        self.assertEqual(
            ["/livez", "/readyz", "/healthz"],
            [one["path"] for one in anonymous["conditions"]],
        )

    def test_encrypts_first_and_reads_plain_last(self):
        for provider in ("secretbox", "aescbc"):
            document = apiserver.encryption(b"k" * 32, provider)
            providers = document["resources"][0]["providers"]
            self.assertEqual(
                [provider, "identity"], [*map(next, map(iter, providers))]
            )

    def test_refuses_a_wrong_key(self):
        self.assertRaises(ValueError, apiserver.encryption, b"short")
        self.assertRaises(ValueError, apiserver.encryption, b"k" * 32, "rot13")

    def test_audit_log_never_holds_contents(self):
        levels = {one["level"] for one in apiserver.audit_policy()["rules"]}
        self.assertEqual({"None", "Metadata"}, levels)

    def test_serves_until_the_balancer_has_noticed(self):
        flag = "shutdown-delay-duration"
        for balanced in (True, False):
            found = apiserver.arguments(
                labels_module.Labels(), balanced=balanced
            )
            self.assertEqual("20s" if balanced else None, found.get(flag))
        template = cluster_stack.template()
        monitor = template["resources"]["monitor"]["properties"]
        noticed = monitor["delay"] * monitor["max_retries"]
        self.assertGreater(apiserver.LEAVING_SECONDS, noticed)

    def test_every_file_it_is_told_of_is_mounted(self):
        arguments = apiserver.arguments(labels_module.Labels(), balanced=True)
        mounts = [one["mountPath"] for one in apiserver.volumes()]
        files = [one for one in arguments.values() if one.startswith("/")]
        self.assertEqual(5, len(files))
        for file in files:
            self.assertTrue(any(file.startswith(f"{m}/") for m in mounts))


class CaHashTest(testtools.TestCase):
    def test_hash_of_the_public_key(self):
        # openssl x509 -pubkey | openssl pkey -pubin -outform DER | sha256sum
        self.assertEqual(
            "sha256:dda9293e0c2ca9ea2fe090f1e57d820f65bba38c89c03724f578dbf6c6585ef3",
            ca_hash.ca_hash(node_samples.CA),
        )
