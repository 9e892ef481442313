# SPDX-License-Identifier: Apache-2.0
"""What clusters are told of add-ons."""

import configparser
import dataclasses
import itertools
import json
import pathlib
import re

import testtools
import yaml

from magnum_k8s_driver.addons import addon
from magnum_k8s_driver.addons import catalogue
from magnum_k8s_driver.addons import cloud_config
from magnum_k8s_driver.addons import cluster_autoscaler
from magnum_k8s_driver.addons import keystone_auth
from magnum_k8s_driver.addons import manila_csi
from magnum_k8s_driver.addons import octavia_ingress
from magnum_k8s_driver.model import balancer_classes
from magnum_k8s_driver.model import orders
from magnum_k8s_driver.render import addon_orders
from magnum_k8s_driver.render import apiserver
from magnum_k8s_driver.render import materials
from magnum_k8s_driver.render import node_document
from magnum_k8s_driver.render import releases
from magnum_k8s_driver.render import userdata
from tests import node_samples
from tests import samples

PLACE = addon.Place(network_id="net-1", subnet_id="subnet-1")
KEY = node_samples.secrets().board_key
CNIS = ("calico", "cilium", "flannel")
CLASSES = balancer_classes.Classes()(
    "internetFacing:floating-network-id=c57af0a0-da92-49be-a98a-345ceca004b3"
    ":floating-subnet-id=f90d2440-d3c6-417a-a696-04e55eeb9279 "
    r"dmz:floating-subnet=~^dmz-\d+:v4"
)
MINORS = ("1.35", "1.36", "1.37")
EVERYTHING = {
    "auto_scaling_enabled": True,
    "gpu_operator_enabled": True,
    "grafana_admin_passwd": "secret",
    "ingress_controller": "octavia",
    "keystone_auth_enabled": True,
    "manila_csi_enabled": True,
    "manila_share_network": "0" * 32,
    "monitoring_enabled": True,
    "monitoring_ingress_enabled": True,
    "monitoring_storage_class_name": "cinder",
    "npd_enabled": True,
}
"""Labels that switch on what is off by itself."""
KEYS = pathlib.Path(__file__).parents[2] / "data/chart-keys.yaml"
DISTROS = ("ubuntu", "debian", "rocky", "flatcar", "fcos")
MIRROR = {
    "container_infra_prefix": "mirror.example:5000/k8s/",
    "chart_mirror": "https://mirror.example/charts",
}
ADDRESS = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:io|com|org|dev|github)")
HOST = re.compile(r"https?://([^/:\"'\s]+)")
OWN = {"192.0.2.1", "10.0.0.9", "0.0.0.0", "127.0.0.1"}
"""Heat, the API endpoint, and addresses to listen at."""
NAMES = (
    "storageclass.kubernetes.io",
    "node.kubernetes.io",
    "magnum.openstack",
)


def spec_of(minor="1.36", cni="calico", distro="ubuntu", labels=None):
    version = releases.read_releases()[minor].kubernetes_version
    spec = samples.spec()
    return dataclasses.replace(
        spec,
        kubernetes_version=version,
        network=dataclasses.replace(spec.network, cni=cni),
        control_plane=dataclasses.replace(
            spec.control_plane, kubernetes_version=version, distro=distro
        ),
        cloud=dataclasses.replace(
            spec.cloud, volume_types=("__DEFAULT__", "Fast SSD", "hdd")
        ),
        labels=dataclasses.replace(spec.labels, **(labels or {})),
    )


def job(entry):
    (found,) = [one for one in entry.objects if one["kind"] == "Job"]
    return found


def container(entry):
    return job(entry)["spec"]["template"]["spec"]["containers"][0]


def values(entry):
    (found,) = [
        one
        for one in entry.objects
        if one["kind"] == "Secret" and "values.json" in one["stringData"]
    ]
    return json.loads(found["stringData"]["values.json"])


def by_name(spec, **options):
    found = addon_orders.entries(spec, PLACE, **options)
    return {one.name: one for one in found}


class EveryClusterTest(testtools.TestCase):
    def test_every_minor_network_and_distro(self):
        minors = [*releases.read_releases()]
        self.assertEqual(["1.35", "1.36", "1.37"], minors)
        kinds = [*itertools.product(minors, CNIS, DISTROS)]
        self.assertEqual(45, len(kinds))
        for minor, cni, distro in kinds:
            spec = spec_of(minor, cni, distro)
            found = addon_orders.entries(spec, PLACE)
            self.assertEqual(
                ["access", "cloud-config", cni, "cloud-controller"]
                + ["cinder-csi", "metrics-server"]
                + ["snapshot-controller", "snapshot-class"],
                [one.name for one in found],
            )
            self.assertFalse(any(one.required for one in found[-3:]))
            self.assertTrue(all(one.required for one in found[:-3]))
            text = addon_orders.config_map(found)
            self.assertEqual(text, addon_orders.config_map(found))
            wanted = orders.Orders(seq=1, addons=text)
            metadata = orders.encode(wanted, KEY)
            # Beside sealed secrets there is room for twice as much.
            self.assertLess(len(metadata), 25)
            self.assertEqual(wanted, orders.decode(metadata, KEY))

    def test_everything_at_once_fits_into_metadata(self):
        for cni, more in itertools.product(CNIS, ({}, MIRROR)):
            spec = spec_of("1.36", cni, labels={**EVERYTHING, **more})
            spec = dataclasses.replace(
                spec,
                cloud=dataclasses.replace(
                    spec.cloud,
                    ca_certificate=node_samples.full_pki()["ca.crt"],
                ),
            )
            found = addon_orders.entries(spec, PLACE)
            self.assertEqual(17, len(found))
            wanted = orders.Orders(
                seq=1, addons=addon_orders.config_map(found)
            )
            metadata = orders.encode(wanted, KEY)
            self.assertLess(len(metadata), 50)

    def test_left_out_with_what_it_needs(self):
        found = by_name(
            spec_of(labels=EVERYTHING),
            left_out=("snapshot-controller", "csi-nfs"),
        )
        self.assertNotIn("snapshot-class", found)
        self.assertNotIn("manila-csi", found)
        self.assertIn("monitoring", found)

    def test_table_knows_every_chart(self):
        charts = {one.name for one in catalogue.ALL if one.has_chart}
        for release in releases.read_releases().values():
            self.assertEqual(charts, {*release.addons})
            for component in release.addons.values():
                if component.chart:
                    self.assertRegex(component.repository, "^(https|oci)://")

    def test_names_are_names(self):
        names = [one.name for one in catalogue.ALL]
        self.assertEqual(len(names), len({*names}))
        for name in names:
            self.assertRegex(name, "^[a-z][a-z0-9-]{1,40}$")
            self.assertNotEqual(addon_orders.ORDER, name)


class JobTest(testtools.TestCase):
    def test_helm(self):
        command = container(by_name(spec_of())["calico"])["command"]
        self.assertEqual(["sh", "-c"], command[:2])
        self.assertEqual(
            ["tigera-operator", "calico", "tigera-operator", "--repo"]
            + ["https://docs.tigera.io/calico/charts", "--version", "v3.31.7"]
            + ["--values", "/values/values.json"]
            + ["--disable-openapi-validation", "--wait", "--timeout", "5m"],
            command[4:],
        )

    def test_runs_before_there_is_a_network(self):
        pod = job(by_name(spec_of())["calico"])["spec"]["template"]["spec"]
        self.assertTrue(pod["hostNetwork"])
        self.assertEqual(
            {
                "node-role.kubernetes.io/control-plane",
                "node.kubernetes.io/not-ready",
                "node.cloudprovider.kubernetes.io/uninitialized",
            },
            {one["key"] for one in pod["tolerations"]},
        )

    def test_id_changes_with_the_values_only(self):
        one = by_name(spec_of())
        two = by_name(spec_of(labels={"calico_ipv4pool_ipip": "Always"}))
        self.assertNotEqual(one["calico"].id, two["calico"].id)
        for name in one.keys() - {"calico"}:
            self.assertEqual(one[name].id, two[name].id)

    def test_id_of_what_failed_changes_with_each_try(self):
        one = by_name(spec_of())
        ids = {name: entry.id for name, entry in one.items()}
        for attempt in (7, 9):
            history = addon_orders.History(
                ids=ids, failed=("calico",), attempt=attempt
            )
            found = by_name(spec_of(), history=history)
            self.assertEqual(
                {**ids, "calico": f"{one['calico'].id}-{attempt}"},
                {name: entry.id for name, entry in found.items()},
            )
            ids = {name: entry.id for name, entry in found.items()}
        # And it keeps that one from then on.
        history = addon_orders.History(ids=ids)
        found = by_name(spec_of(), history=history)
        self.assertEqual(ids["calico"], found["calico"].id)

    def test_proxy(self):
        proxy = dataclasses.replace(
            spec_of().proxy,
            https="http://proxy:3128",
            no_proxy=("10.0.0.0/8",),
        )
        spec = dataclasses.replace(spec_of(), proxy=proxy)
        self.assertEqual(
            [
                {"name": "HTTPS_PROXY", "value": "http://proxy:3128"},
                {"name": "NO_PROXY", "value": "10.0.0.0/8,.svc"},
            ],
            container(by_name(spec)["cinder-csi"])["env"],
        )


class SwitchTest(testtools.TestCase):
    def test_switched_off_is_removed_first(self):
        ids = {name: one.id for name, one in by_name(spec_of()).items()}
        history = addon_orders.History(ids=ids)
        spec = spec_of(labels={"metrics_server_enabled": False})
        first, *rest = addon_orders.entries(spec, PLACE, history=history)
        self.assertEqual("metrics-server", first.name)
        self.assertTrue(first.removes)
        self.assertFalse(first.required)
        self.assertEqual(
            ["helm", "uninstall", "metrics-server", "--namespace"]
            + ["kube-system", "--ignore-not-found", "--wait"],
            container(first)["command"][:7],
        )
        self.assertNotIn("metrics-server", [one.name for one in rest])

    def test_left_out_by_the_operator(self):
        found = by_name(spec_of(), left_out=("calico", "cinder-csi"))
        self.assertNotIn("calico", found)
        self.assertIn("cloud-controller", found)
        charts = [one.name for one in catalogue.ALL if one.has_chart]
        self.assertEqual(
            ["cloud-config"], [*by_name(spec_of(), left_out=charts)]
        )

    def test_no_cloud(self):
        labels = {"cloud_provider_enabled": False, "cinder_csi_enabled": False}
        self.assertEqual(
            ["access", "calico", "metrics-server"],
            [*by_name(spec_of(labels=labels))],
        )


class ValuesTest(testtools.TestCase):
    def test_calico(self):
        spec = spec_of(labels={"calico_ipv4pool_ipip": "CrossSubnet"})
        network = values(by_name(spec)["calico"])["installation"]
        (pool,) = network["calicoNetwork"]["ipPools"]
        self.assertEqual("IPIPCrossSubnet", pool["encapsulation"])
        self.assertEqual(spec.network.pod_cidr, pool["cidr"])

    def test_flannel(self):
        spec = spec_of(cni="flannel", labels={"flannel_backend": "host-gw"})
        found = values(by_name(spec)["flannel"])
        self.assertEqual("host-gw", found["flannel"]["backend"])
        self.assertEqual(spec.network.pod_cidr, found["podCidr"])

    def test_cloud_controller_manager(self):
        found = values(by_name(spec_of())["cloud-controller"])
        self.assertEqual({"name": samples.CLUSTER_UUID}, found["cluster"])
        self.assertEqual("cloud-config", found["secret"]["name"])

    def test_storage_classes(self):
        found = [
            one
            for one in by_name(spec_of())["cinder-csi"].objects
            if one["kind"] == "StorageClass"
        ]
        self.assertEqual(
            {
                "cinder": {},
                "cinder-default": {"type": "__DEFAULT__"},
                "cinder-fast-ssd": {"type": "Fast SSD"},
                "cinder-hdd": {"type": "hdd"},
            },
            {one["metadata"]["name"]: one["parameters"] for one in found},
        )
        defaults = [
            one["metadata"]["name"]
            for one in found
            if "true" in one["metadata"]["annotations"].values()
        ]
        self.assertEqual(["cinder"], defaults)


class AutoscalerTest(testtools.TestCase):
    LABELS = {"auto_scaling_enabled": True}

    def files(self, **changes):
        spec = spec_of(labels=self.LABELS)
        cloud = dataclasses.replace(spec.cloud, **changes)
        spec = dataclasses.replace(spec, cloud=cloud)
        found = by_name(spec)["cluster-autoscaler"].objects
        return found[0]["stringData"]

    def test_only_when_asked_for(self):
        self.assertNotIn("cluster-autoscaler", by_name(spec_of()))
        found = by_name(spec_of(labels=self.LABELS))["cluster-autoscaler"]
        self.assertFalse(found.required)

    def test_reads_its_own_secret(self):
        entry = by_name(spec_of(labels=self.LABELS))["cluster-autoscaler"]
        found = values(entry)
        self.assertEqual("magnum", found["cloudProvider"])
        self.assertEqual(
            {"clusterName": samples.CLUSTER_UUID}
            | {"roles": ["worker", "autoscaling"]},
            found["autoDiscovery"],
        )
        (volume,) = found["extraVolumeSecrets"].values()
        self.assertEqual(entry.objects[0]["metadata"]["name"], volume["name"])
        path = found["extraArgs"]["cloud-config"]
        self.assertEqual(f"{volume['mountPath']}/cloud-config", path)
        # Nobody else has the password.
        others = by_name(spec_of())
        text = json.dumps([one.objects for one in others.values()])
        self.assertNotIn("@cloud-password@", text)

    def test_every_key_is_known(self):
        for changes in ({}, {"ca_certificate": "PEM"}, {"verify": False}):
            files = self.files(**changes)
            parser = configparser.ConfigParser(interpolation=None)
            parser.read_string(files["cloud-config"])
            self.assertEqual(["Global"], parser.sections())
            keys = set(parser["Global"])
            self.assertLessEqual(keys, cluster_autoscaler.KNOWN_KEYS)
            self.assertLessEqual(
                {"user-id", "password", "tenant-id", "auth-url"}, keys
            )
            self.assertEqual("ca_certificate" in changes, "ca.pem" in files)


class CredentialTest(testtools.TestCase):
    def test_who_uses_it_starts_anew(self):
        spec = spec_of(labels={"auto_scaling_enabled": True})
        one, two = (by_name(spec, credential=name) for name in "ab")
        changed = {name for name in one if one[name].id != two[name].id}
        self.assertEqual(
            {"cloud-controller", "cinder-csi", "cluster-autoscaler"}, changed
        )
        for name in changed:
            self.assertIn(
                '"magnum.openstack.org/credential": "b"',
                json.dumps(values(two[name])),
            )


class CloudConfigTest(testtools.TestCase):
    def files(self, **changes):
        spec = spec_of(labels=changes.pop("labels", None))
        cloud = dataclasses.replace(spec.cloud, **changes)
        spec = dataclasses.replace(spec, cloud=cloud)
        (secret,) = by_name(spec)["cloud-config"].objects
        return secret["stringData"]

    def read(self, text):
        parser = configparser.ConfigParser(interpolation=None)
        parser.optionxform = str
        parser.read_string(text)
        return {
            section: {k: v.strip('"') for k, v in parser[section].items()}
            for section in parser.sections()
        }

    def test_every_key_is_recorded(self):
        for changes in (
            {},
            {"ca_certificate": "PEM"},
            {"verify": False},
            {"labels": {"octavia_provider": "ovn"}},
            {"labels": {"load_balancer_classes": CLASSES}},
        ):
            files = self.files(**changes)
            for name in ("cloud.conf", "cinder-csi.conf"):
                for section, found in self.read(files[name]).items():
                    section = section.partition(" ")[0]
                    known = cloud_config.KNOWN_KEYS[section]
                    self.assertLessEqual(set(found), known)

    def test_access(self):
        found = self.read(self.files(ca_certificate="PEM")["cloud.conf"])
        self.assertEqual(
            {
                "auth-url": "https://keystone.example.com/v3",
                "region": "RegionOne",
                "application-credential-id": "@cloud-id@",
                "application-credential-secret": "@cloud-secret@",
                "ca-file": "/etc/config/ca.pem",
            },
            found["Global"],
        )
        found = self.read(self.files(ca_certificate="PEM")["cinder-csi.conf"])
        self.assertEqual("/etc/config/ca.pem", found["Global"]["ca-file"])
        self.assertEqual("PEM", self.files(ca_certificate="PEM")["ca.pem"])

    def test_balancers(self):
        labels = {"octavia_provider": "ovn"}
        found = self.read(self.files(labels=labels)["cloud.conf"])
        self.assertEqual(
            {
                "floating-network-id": samples.external_network().id,
                "subnet-id": "subnet-1",
                "lb-provider": "ovn",
                "create-monitor": "true",
                "manage-security-groups": "true",
                "lb-method": "SOURCE_IP_PORT",
            },
            found["LoadBalancer"],
        )

    def test_classes_of_balancers(self):
        labels = {"load_balancer_classes": CLASSES}
        found = self.read(self.files(labels=labels)["cloud.conf"])
        self.assertEqual(
            {
                "floating-network-id": "c57af0a0-da92-49be-a98a-345ceca004b3",
                "floating-subnet-id": "f90d2440-d3c6-417a-a696-04e55eeb9279",
            },
            found['LoadBalancerClass "internetFacing"'],
        )
        # gcfg undoes the backslash.
        self.assertEqual(
            {"floating-subnet": r"~^dmz-\\d+:v4"},
            found['LoadBalancerClass "dmz"'],
        )

    def test_the_controller_starts_anew_with_other_classes(self):
        def annotation(**labels):
            found = by_name(spec_of("1.36", "calico", labels=labels))
            pod = values(found["cloud-controller"])["podAnnotations"]
            return pod["magnum.openstack.org/cloud-config"]

        self.assertEqual(annotation(), annotation(npd_enabled=True))
        self.assertNotEqual(
            annotation(), annotation(load_balancer_classes=CLASSES)
        )


class ChartKeysTest(testtools.TestCase):
    """Everything we set is something that the chart knows.

    The list was made from the charts themselves, see its head. The one of
    Cilium could not be had.
    """

    def test_every_key_is_recorded(self):
        recorded = yaml.safe_load(KEYS.read_text())
        seen = set()
        for minor, cni, more in itertools.product(MINORS, CNIS, ({}, MIRROR)):
            table = releases.read_releases()[minor].addons
            spec = spec_of(minor, cni, labels={**EVERYTHING, **more})
            for entry in by_name(spec).values():
                one = table.get(entry.name)
                if not one or not one.chart or entry.name == "cilium":
                    continue
                chart = f"{one.chart} {one.version}"
                seen.add(chart)
                keys = recorded[chart]["keys"]
                self.assertEqual(
                    [],
                    [
                        path
                        for path in _paths(values(entry))
                        if not any(_covers(key, path) for key in keys)
                    ],
                    chart,
                )
        self.assertEqual(set(recorded), seen)


def _paths(data, above=()):
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from _paths(value, (*above, key))
    else:
        yield ".".join(above)


def _covers(key, path):
    key = key.removesuffix(".*")
    return path == key or path.startswith(f"{key}.")


class MirrorTest(testtools.TestCase):
    def test_nothing_outside_the_mirror(self):
        for minor, cni in itertools.product(("1.35", "1.37"), CNIS):
            spec = spec_of(minor, cni, labels=MIRROR | EVERYTHING)
            for entry in by_name(spec).values():
                if not entry.job:
                    continue
                text = json.dumps([container(entry), values(entry)])
                hosts = {
                    one
                    for one in ADDRESS.findall(text)
                    if not one.startswith(NAMES) and one != "kubernetes.io"
                }
                hosts -= {
                    "app.kubernetes.io",
                    "keystone.example.com",
                    "networking.k8s.io",
                    "rbac.authorization.k8s.io",
                    "node-role.kubernetes.io",
                }
                hosts -= {"node.cloudprovider.kubernetes.io"}
                self.assertEqual(set(), hosts, entry.name)
                if catalogue.named(entry.name).values:
                    self.assertIn("https://mirror.example/charts", text)
                self.assertEqual(
                    "mirror.example:5000/k8s/helm:4.2.3",
                    container(entry)["image"],
                )

    def test_user_data_name_nothing_outside(self):
        labels = MIRROR | EVERYTHING
        for minor, distro in itertools.product(MINORS, ("ubuntu", "flatcar")):
            spec = spec_of(minor, "calico", distro, labels=labels)
            group = spec.control_plane
            values = node_samples.control_plane_values(
                artifact_mirror="https://mirror.example/files/"
            )
            document = node_document.control_plane_document(spec, values)
            text = userdata.user_data(spec, group, document)
            found = set()
            for path, content in userdata.parse_files(text).items():
                # The program names no address: it takes them from here.
                if not path.startswith("/opt/"):
                    found.update(HOST.findall(content.decode(errors="ignore")))
            self.assertEqual({"mirror.example"}, found - OWN, (minor, distro))

    def test_calico_takes_registry_and_path(self):
        found = values(by_name(spec_of(labels=MIRROR))["calico"])
        self.assertEqual(
            ("mirror.example:5000/", "k8s"),
            (
                found["installation"]["registry"],
                found["installation"]["imagePath"],
            ),
        )
        self.assertEqual(
            {"registry": "mirror.example:5000", "image": "k8s/operator"},
            found["tigeraOperator"],
        )

    def test_registry_of_charts(self):
        labels = {"chart_mirror": "oci://mirror.example/charts/"}
        command = container(by_name(spec_of(labels=labels))["calico"])
        self.assertEqual(
            ["oci://mirror.example/charts/tigera-operator", "--version"],
            command["command"][6:8],
        )

    def test_bill_names_what_values_name(self):
        for minor, cni in itertools.product(("1.35", "1.36", "1.37"), CNIS):
            spec = spec_of(minor, cni, labels=EVERYTHING)
            bill = materials.bill(spec)
            images = {one["image"] for one in bill["images"]}
            self.assertIn("docker.io/alpine/helm", images)
            self.assertIn("registry.k8s.io/kube-apiserver", images)
            for entry in by_name(spec).values():
                if entry.job:
                    for one in _repositories(values(entry)):
                        # Some name the last parts apart.
                        known = any(image.startswith(one) for image in images)
                        self.assertTrue(known, one)
            self.assertEqual(
                [
                    one.name
                    for one in by_name(spec).values()
                    if one.job and catalogue.named(one.name).values
                ],
                [one["used_by"] for one in bill["charts"]],
            )
            self.assertTrue(
                all(one["digest"] is None for one in bill["images"])
            )


def _repositories(data):
    for key, value in data.items() if isinstance(data, dict) else ():
        if key == "repository":
            registry = data.get("registry")
            yield f"{registry}/{value}" if registry else value
        yield from _repositories(value)


class OwnChartTest(testtools.TestCase):
    """What has no chart of anybody's is installed by Helm all the same."""

    LABELS = {
        "keystone_auth_enabled": True,
        "ingress_controller": "octavia",
    }

    def entry(self, name, **changes):
        spec = spec_of(labels=self.LABELS)
        cloud = dataclasses.replace(spec.cloud, **changes)
        return by_name(dataclasses.replace(spec, cloud=cloud))[name]

    def objects(self, name, **changes):
        return {
            one["kind"]: one
            for one in values(self.entry(name, **changes))["objects"]
        }

    def test_chart_lies_where_helm_looks(self):
        for name in ("keystone-auth", "octavia-ingress"):
            entry = self.entry(name)
            (volume,) = job(entry)["spec"]["template"]["spec"]["volumes"]
            paths = {
                one["key"]: one["path"] for one in volume["secret"]["items"]
            }
            self.assertEqual("values.json", paths["values.json"])
            self.assertEqual("chart/Chart.yaml", paths["Chart.yaml"])
            (secret,) = [
                one
                for one in entry.objects
                if one["metadata"]["name"] == volume["secret"]["secretName"]
                and one["kind"] == "Secret"
            ]
            self.assertEqual(paths.keys(), secret["stringData"].keys())
            about = json.loads(secret["stringData"]["Chart.yaml"])
            self.assertEqual(name, about["name"])
            command = container(entry)["command"]
            self.assertIn("/values/chart", command)
            self.assertNotIn("--repo", command)

    def test_keystone_answers_on_loopback(self):
        found = self.objects("keystone-auth", ca_certificate="PEM")
        pod = found["DaemonSet"]["spec"]["template"]["spec"]
        arguments = pod["containers"][0]["args"]
        self.assertIn("--listen=127.0.0.1:8443", arguments)
        self.assertIn("--keystone-ca-file=/etc/config/ca.pem", arguments)
        self.assertEqual(
            {
                one["mountPath"]: one["name"]
                for one in pod["containers"][0]["volumeMounts"]
            }.keys(),
            {"/etc/tls", "/etc/config"},
        )
        (cluster,) = apiserver.webhook()["clusters"]
        self.assertEqual(
            "https://127.0.0.1:8443/webhook", cluster["cluster"]["server"]
        )

    def test_policy_is_for_the_project(self):
        for one in keystone_auth.policy(spec_of()):
            self.assertIn(samples.PROJECT_ID, json.dumps(one))

    def test_api_server_asks_only_when_asked_to(self):
        flags = apiserver.arguments(spec_of().labels, balanced=True)
        self.assertNotIn("authorization-config", flags)
        flags = apiserver.arguments(
            spec_of(labels=self.LABELS).labels, balanced=True
        )
        self.assertEqual(
            f"{apiserver.DIRECTORY}/authorization.yaml",
            flags["authorization-config"],
        )
        kubeconfig = flags["authentication-token-webhook-config-file"]
        *first, last = apiserver.authorization()["authorizers"]
        self.assertEqual(["Node", "RBAC"], [one["type"] for one in first])
        # A cluster is made before there is anybody to ask.
        self.assertEqual("NoOpinion", last["webhook"]["failurePolicy"])
        self.assertEqual(
            kubeconfig, last["webhook"]["connectionInfo"]["kubeConfigFile"]
        )

    def test_ingress_configuration(self):
        for changes in ({}, {"ca_certificate": "PEM"}, {"verify": False}):
            found = self.objects("octavia-ingress", **changes)
            files = found["Secret"]["stringData"]
            read = yaml.safe_load(files["config.yaml"])
            self.assertEqual(samples.CLUSTER_UUID, read.pop("cluster-name"))
            for section, known in octavia_ingress.KNOWN_KEYS.items():
                self.assertLessEqual(set(read.pop(section)), known)
            self.assertEqual({}, read)
            self.assertEqual("ca_certificate" in changes, "ca.pem" in files)

    def test_manila_secret(self):
        spec = spec_of(labels={"manila_csi_enabled": True})
        for changes in ({}, {"ca_certificate": "PEM"}, {"verify": False}):
            cloud = dataclasses.replace(spec.cloud, **changes)
            found = by_name(dataclasses.replace(spec, cloud=cloud))
            secret, storage_class, *_ = found["manila-csi"].objects
            keys = set(secret["stringData"]) - {"ca.pem"}
            self.assertLessEqual(keys, manila_csi.KNOWN_KEYS)
            self.assertEqual("default", storage_class["parameters"]["type"])
