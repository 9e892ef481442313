# SPDX-License-Identifier: Apache-2.0
"""Tests of magnum_k8s_driver.model.labels and its types."""

import dataclasses
import unittest

import hypothesis
from hypothesis import strategies as st

from magnum_k8s_driver.model import labels
from magnum_k8s_driver.model import retired_labels

# Every label of Magnum 22.0.0's Heat driver (k8s_fedora_coreos_v1).
HEAT_DRIVER_LABELS = """
kube_tag hyperkube_prefix kube_image_digest container_infra_prefix etcd_tag
coredns_tag container_runtime containerd_version containerd_tarball_url
containerd_tarball_sha256 cgroup_driver use_podman selinux_mode ostree_remote
ostree_commit heat_container_agent_tag kubelet_options kubeapi_options
kubecontroller_options kubescheduler_options kubeproxy_options
admission_control_list system_pods_initial_delay system_pods_timeout
service_cluster_ip_range flannel_tag flannel_cni_tag flannel_network_cidr
flannel_network_subnetlen flannel_backend calico_tag calico_ipv4pool
calico_ipv4pool_ipip fixed_subnet_cidr availability_zone
master_lb_floating_ip_enabled master_lb_allowed_cidrs octavia_provider
octavia_lb_algorithm octavia_lb_healthcheck boot_volume_size boot_volume_type
etcd_volume_size etcd_volume_type docker_volume_type cloud_provider_enabled
cloud_provider_tag cinder_csi_enabled cinder_csi_plugin_tag csi_attacher_tag
csi_provisioner_tag csi_snapshotter_tag csi_resizer_tag
csi_node_driver_registrar_tag csi_liveness_probe_tag keystone_auth_enabled
k8s_keystone_auth_tag cert_manager_api kube_dashboard_enabled
metrics_scraper_tag influx_grafana_dashboard_enabled heapster_enabled
metrics_server_enabled metrics_server_chart_tag monitoring_enabled
monitoring_retention_days monitoring_retention_size
monitoring_interval_seconds monitoring_storage_class_name
monitoring_ingress_enabled cluster_basic_auth_secret cluster_root_domain_name
prometheus_operator_chart_tag prometheus_adapter_enabled
prometheus_adapter_chart_tag prometheus_adapter_configmap
prometheus_monitoring prometheus_tag grafana_tag grafana_admin_passwd
ingress_controller ingress_controller_role traefik_ingress_controller_tag
octavia_ingress_controller_tag nginx_ingress_controller_tag
nginx_ingress_controller_chart_tag helm_client_url helm_client_sha256
helm_client_tag auto_healing_enabled auto_healing_controller
magnum_auto_healer_tag draino_tag auto_scaling_enabled autoscaler_tag
min_node_count max_node_count npd_enabled node_problem_detector_tag
""".split()

NAMES = tuple(opt.name for opt in labels.OPTS)


def parsed(name, value):
    result = labels.parse({name: value})
    if result.problems:
        raise AssertionError(result.problems)
    return getattr(result.labels, name)


def sentence(name, value):
    (problem,) = labels.parse({name: value}).problems
    return problem.sentence


class RegistryTests(unittest.TestCase):
    def test_every_label_of_the_heat_driver_has_an_answer(self):
        self.assertEqual(99, len(set(HEAT_DRIVER_LABELS)))
        for name in HEAT_DRIVER_LABELS:
            with self.subTest(name):
                self.assertNotEqual(
                    name in NAMES, name in retired_labels.RETIRED
                )

    def test_options_and_fields_have_the_same_names(self):
        fields = [field.name for field in dataclasses.fields(labels.Labels)]
        self.assertEqual(sorted(fields), sorted(NAMES))
        for opt in labels.OPTS:
            self.assertTrue(opt.help, opt.name)

    def test_no_labels_are_the_defaults(self):
        result = labels.parse({})
        self.assertEqual(labels.Labels(), result.labels)
        self.assertEqual(((), ()), (result.problems, result.warnings))

    def test_retired_reasons_are_sentences(self):
        for name, reason in retired_labels.RETIRED.items():
            self.assertTrue(reason.endswith("."), name)
            self.assertTrue(reason[0].isupper() or reason[:7] == "kubeadm")

    def test_defaults_parse_to_themselves(self):
        for opt in labels.OPTS:
            value = getattr(labels.Labels(), opt.name)
            if value not in (None, "", ()):
                self.assertEqual(value, opt.type(value), opt.name)


class ParseTests(unittest.TestCase):
    def test_booleans_in_any_spelling(self):
        for text in ("True", "true", " TRUE ", "1", "yes", "on"):
            self.assertIs(True, parsed("monitoring_enabled", text))
        for text in ("False", "0", "no"):
            self.assertIs(False, parsed("cinder_csi_enabled", text))

    def test_empty_is_unset(self):
        result = labels.parse({"boot_volume_size": "", "kube_tag": "  "})
        self.assertEqual(labels.Labels(), result.labels)
        self.assertEqual((), result.problems)

    def test_names_in_any_case(self):
        result = labels.parse({" Kube_Tag ": "v1.36.4"})
        self.assertEqual("v1.36.4", result.labels.kube_tag)

    def test_a_number_that_is_none(self):
        self.assertEqual(
            "Label boot_volume_size is '-4' but must be an integer of at "
            "least 0.",
            sentence("boot_volume_size", "-4"),
        )
        for text in ("1_0", "1.5", "٣", "0x10", "4 GB"):
            self.assertIn(
                "must be an integer", sentence("max_node_count", text)
            )

    def test_lists(self):
        wanted = ("10.0.0.0/8", "192.0.2.7/32", "2001:db8::/32")
        for text in (
            "10.0.0.0/8,192.0.2.7, 2001:db8::/32",
            '["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]',
            "['10.0.0.0/8', '192.0.2.7', '2001:db8::/32']",
            "[10.0.0.0/8, 192.0.2.7, 2001:db8::/32]",
        ):
            with self.subTest(text):
                self.assertEqual(
                    wanted, parsed("master_lb_allowed_cidrs", text)
                )
        self.assertEqual((), parsed("master_lb_allowed_cidrs", "[]"))
        for text in ("10.0.0.0/33", "[", "{}", "[[1]]", "['x'", "anybody"):
            self.assertIn(
                "must be networks", sentence("master_lb_allowed_cidrs", text)
            )

    def test_horizons_name_for_allowed_cidrs(self):
        alias = "api_master_lb_allowed_cidrs"
        result = labels.parse({alias: "10.0.0.0/8"})
        self.assertEqual(
            ("10.0.0.0/8",), result.labels.master_lb_allowed_cidrs
        )
        result = labels.parse(
            {alias: "10.0.0.0/8", "master_lb_allowed_cidrs": "192.0.2.0/24"}
        )
        self.assertEqual(
            ("192.0.2.0/24",), result.labels.master_lb_allowed_cidrs
        )

    def test_flags(self):
        self.assertEqual(
            (("v", "2"), ("node-labels", "a=b,c=d e"), ("profiling", "true")),
            parsed(
                "kubelet_options",
                "--v=2 --node-labels='a=b,c=d e' --profiling",
            ),
        )
        for text in (
            "v=2",
            "--v 2",
            "-v=2",
            "--a='",
            "--a; reboot",
            "--=x",
            "--a=$(x)\nb",
        ):
            with self.subTest(text):
                self.assertIn("--flag", sentence("kubelet_options", text))

    def test_networks(self):
        self.assertEqual(
            "10.1.0.0/16", parsed("calico_ipv4pool", "10.1.2.3/16")
        )
        for text in ("10.0.0.0/8", "10.0.0.0", "fd00::/108", "x"):
            self.assertIn(
                "must be an IPv4 network from /12 to /28",
                sentence("service_cluster_ip_range", text),
            )

    def test_registry_prefix_ends_in_a_slash(self):
        for text in (
            "reg.example.com:5000/magnum",
            "reg.example.com:5000/magnum/",
        ):
            self.assertEqual(
                "reg.example.com:5000/magnum/",
                parsed("container_infra_prefix", text),
            )
        for text in ("https://reg/", "reg/a b/", "reg/$(id)/", "reg/../x"):
            self.assertIn("must be", sentence("container_infra_prefix", text))

    def test_choices_keep_their_spelling(self):
        self.assertEqual(
            "CrossSubnet", parsed("calico_ipv4pool_ipip", "crosssubnet")
        )
        self.assertEqual("octavia", parsed("ingress_controller", "Octavia"))
        self.assertIn("Helm", sentence("ingress_controller", "traefik"))
        self.assertIn(
            "one of systemd, cgroupfs", sentence("cgroup_driver", "both")
        )

    def test_the_health_monitor_cannot_be_turned_off(self):
        self.assertIn("because", sentence("octavia_lb_healthcheck", "False"))

    def test_urls_and_digests(self):
        url = "https://mirror.example.com/containerd-2.1.9-linux-amd64.tar.gz"
        self.assertEqual(url, parsed("containerd_tarball_url", url))
        for text in ("ftp://x/y", "https://x/;id", "https://x/$(id)", "x"):
            self.assertIn("URL", sentence("containerd_tarball_url", text))
        self.assertIn(
            "64 hexadecimal", sentence("containerd_tarball_sha256", "abc")
        )

    def test_long_values_are_cut(self):
        self.assertLess(len(sentence("kube_tag", "x" * 5000)), 200)

    def test_secrets_are_not_repeated(self):
        self.assertNotIn(
            "hun\nter", sentence("grafana_admin_passwd", "hun\nter")
        )
        self.assertNotIn("hun", sentence("grafana_admin_passwd", "hun\nter"))


class WarningTests(unittest.TestCase):
    def warnings(self, **raw):
        return labels.parse(raw).warnings

    def test_retired(self):
        (text,) = self.warnings(calico_tag="v3.21.2")
        self.assertIn("Label calico_tag is ignored: Versions", text)

    def test_retired_and_off_is_no_news(self):
        self.assertEqual((), self.warnings(kube_dashboard_enabled="False"))

    def test_unknown_with_the_nearest_name(self):
        self.assertEqual(
            ("Label kube_tga is unknown and ignored. Did you mean kube_tag?",),
            self.warnings(kube_tga="x"),
        )
        (text,) = self.warnings(team="blue")
        self.assertEqual("Label team is unknown and ignored.", text)


class ClassesTests(unittest.TestCase):
    SUBNET = "f90d2440-d3c6-417a-a696-04e55eeb9279"

    def parse(self, text):
        result = labels.parse({"load_balancer_classes": text}, {})
        if result.problems:
            self.assertIn("NAME:KEY=VALUE", str(result.problems[0]))
            return None
        return result.labels.load_balancer_classes

    def test_classes(self):
        text = (
            f"dmz:floating-subnet-id={self.SUBNET}  "
            "office:floating-subnet=~^of:v4$:floating-subnet-tags=&a,!b"
        )
        self.assertEqual(
            (
                ("dmz", (("floating-subnet-id", self.SUBNET),)),
                (
                    "office",
                    (
                        ("floating-subnet", "~^of:v4$"),
                        ("floating-subnet-tags", "&a,!b"),
                    ),
                ),
            ),
            self.parse(text),
        )
        self.assertEqual((), self.parse(""))

    def test_refused(self):
        good = f"floating-subnet-id={self.SUBNET}"
        for text in (
            "dmz",
            "dmz:",
            f":{good}",
            f"{good}",
            f'd"mz:{good}',
            "dmz:floating-subnet-id=office",
            f"dmz:{good}:{good}",
            f"dmz:{good} dmz:{good}",
            f"dmz:floating-network-id={self.SUBNET}",
            f"dmz:{good}:lb-provider=ovn",
            "dmz:floating-subnet=",
        ):
            self.assertIsNone(self.parse(text), text)


class DefaultsTests(unittest.TestCase):
    def test_operators_default(self):
        defaults = {
            "octavia_provider": "ovn",
            "boot_volume_size": 20,
            "cinder_csi_enabled": False,
            "master_lb_allowed_cidrs": ("10.0.0.0/8",),
            "availability_zone": None,
        }
        result = labels.parse({"octavia_provider": "amphora"}, defaults)
        self.assertEqual((), result.problems)
        self.assertEqual("amphora", result.labels.octavia_provider)
        self.assertEqual(20, result.labels.boot_volume_size)
        self.assertIs(False, result.labels.cinder_csi_enabled)
        self.assertEqual("", result.labels.availability_zone)

    def test_zero_is_a_value(self):
        result = labels.parse(
            {"boot_volume_size": "0"}, {"boot_volume_size": 20}
        )
        self.assertEqual(0, result.labels.boot_volume_size)


class PropertyTests(unittest.TestCase):
    @hypothesis.given(
        st.dictionaries(
            st.sampled_from(NAMES) | st.text(max_size=20), st.text()
        )
    )
    def test_parse_never_raises_and_names_the_label(self, raw):
        result = labels.parse(raw)
        written = {name.strip().lower() for name in raw}
        for problem in result.problems:
            name = problem.subject.removeprefix("label ")
            self.assertIn(name, written)
            self.assertIn(f"Label {name} is ", problem.sentence)
            self.assertTrue(problem.sentence.endswith("."))
            self.assertNotIn("\n", problem.sentence)

    @hypothesis.given(st.text(alphabet="[]{}()'\",0123456789./: \\x-"))
    def test_lists_never_raise(self, text):
        labels.parse({"master_lb_allowed_cidrs": text})
