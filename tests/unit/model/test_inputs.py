# SPDX-License-Identifier: Apache-2.0
"""Tests of magnum_k8s_driver.model.inputs and the modules it checks with."""

import dataclasses
import unittest

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.model import addon_rules
from magnum_k8s_driver.model import facts as facts_module
from magnum_k8s_driver.model import inputs
from magnum_k8s_driver.model import spec
from tests import catalogue
from tests import samples

MISSING = facts_module.Missing()


def make(*, facts=None, site=samples.SITE, **changes):
    return inputs.to_spec(
        samples.inputs(**changes), facts or samples.facts(), site
    )


def problems(*, facts=None, site=samples.SITE, **changes):
    """Return the sentences a request is refused with."""
    try:
        make(facts=facts, site=site, **changes)
    except exceptions.InvalidClusterSpec as error:
        found = [problem.sentence for problem in error.problems]
        unlisted = [one for one in found if not catalogue.holds(one)]
        assert not unlisted, f"not in the user guide: {unlisted}"
        return found
    return []


def with_labels(**labels):
    return {"kube_tag": samples.VERSION, **labels}


def groups(*workers, **control_plane):
    return (
        samples.control_plane_inputs(**control_plane),
        *(workers or (samples.node_group_inputs(),)),
    )


class TestCase(unittest.TestCase):
    def assert_refused(self, part, **request):
        found = problems(**request)
        self.assertEqual(1, len(found), found)
        self.assertIn(part, found[0])
        self.assertRegex(found[0], r"^[A-Z][^\n]*\.$")


class WholeTests(TestCase):
    def test_a_plain_cluster(self):
        cluster = make()
        self.assertEqual(samples.CLUSTER_UUID, cluster.uuid)
        self.assertEqual("v1.36.4", cluster.kubernetes_version)
        self.assertEqual(samples.PUBLIC_KEY, cluster.ssh_public_key)
        self.assertEqual("cinder", cluster.volume_driver)
        self.assertEqual("RegionOne", cluster.cloud.region)
        self.assertEqual(spec.ProxySpec(), cluster.proxy)
        (worker,) = cluster.workers
        self.assertEqual(2, worker.count)
        self.assertEqual("ubuntu", worker.distro)
        self.assertIsNone(worker.image_kubernetes_version)
        self.assertTrue(worker.floating_ip)

    def test_everything_is_told_at_once(self):
        found = problems(
            facts=facts_module.CloudFacts(),
            labels={"kube_tag": "latest", "boot_volume_size": "-1"},
            tls_disabled=True,
            fixed_network="office",
        )
        for part in (
            "Label kube_tag",
            "Label boot_volume_size",
            "tls_disabled",
            "Image ubuntu-24.04",
            "Flavor m1.medium",
            "External network public",
            "Network office",
            "Key pair tester",
        ):
            self.assertTrue(any(part in one for one in found), part)
        self.assertEqual(len(found), len(set(found)))

    def test_refused_fields(self):
        for part, change in (
            ("65 characters", {"name": "a" * 65}),
            ("tls_disabled", {"tls_disabled": True}),
            ("registry_enabled", {"registry_enabled": True}),
            ("devicemapper", {"docker_storage_driver": "devicemapper"}),
            ("Server type bm", {"server_type": "bm"}),
            ("swarm", {"coe": "swarm"}),
            ("rexray", {"volume_driver": "rexray"}),
            ("insecure_registry", {"insecure_registry": "http://x y"}),
            ("weave", {"network_driver": "weave"}),
            ("apiserver_port", {"apiserver_port": 70000}),
            ("dns_nameserver", {"dns_nameserver": "192.0.2.1,dns.example"}),
            ("http_proxy", {"http_proxy": "proxy:3128"}),
            ("external_network_id", {"external_network": ""}),
        ):
            with self.subTest(part):
                self.assert_refused(part, **change)

    def test_accepted_fields(self):
        for change in (
            {"name": "a" * 64},
            {"docker_storage_driver": "overlay2"},
            {"docker_storage_driver": "overlay"},
            {"volume_driver": ""},
            {"insecure_registry": "10.0.0.5:5000"},
        ):
            self.assertEqual([], problems(**change))

    def test_exactly_one_control_plane(self):
        self.assert_refused("has 0 node groups", node_groups=())

    def test_references(self):
        wanted = inputs.references(
            samples.inputs(
                fixed_network="office",
                fixed_subnet="office-v4",
                labels=with_labels(availability_zone="az2"),
            ),
            inputs.Site(label_defaults={"boot_volume_type": "ssd"}),
        )
        self.assertEqual({"ubuntu-24.04"}, wanted.images)
        self.assertEqual({"public", "office"}, wanted.networks)
        self.assertEqual({"office-v4"}, wanted.subnets)
        self.assertEqual("tester", wanted.keypair)
        self.assertTrue(wanted.availability_zones)
        self.assertTrue(wanted.volume_types)

    def test_references_of_bad_labels_do_not_raise(self):
        inputs.references(samples.inputs(labels={"kube_tag": "?"}))

    def test_warnings(self):
        cluster = samples.inputs(
            labels={"etcd_tag": "x"},
            node_groups=groups(
                samples.node_group_inputs(labels={"etcd_tag": "x"})
            ),
        )
        self.assertEqual(1, len(inputs.warnings(cluster)))


class VersionTests(TestCase):
    def facts(self, kube_version):
        image = samples.image(kubernetes_version=kube_version)
        return samples.facts(images={"ubuntu-24.04": image})

    def test_label_then_image_then_newest(self):
        self.assertEqual(
            "v1.35.2", make(labels={"kube_tag": "1.35.2"}).kubernetes_version
        )
        baked = make(labels={}, facts=self.facts("1.35.3"))
        self.assertEqual("v1.35.3", baked.kubernetes_version)
        self.assertEqual("v1.35.3", baked.workers[0].image_kubernetes_version)
        self.assertEqual("v1.36.4", make(labels={}).kubernetes_version)

    def test_nothing_says_a_version(self):
        self.assert_refused("Set the label", labels={}, site=inputs.Site())

    def test_image_of_another_minor(self):
        self.assert_refused(
            "holds Kubernetes v1.35.1", facts=self.facts("v1.35.1")
        )

    def test_image_of_another_patch_is_fine(self):
        cluster = make(facts=self.facts("v1.36.1"))
        self.assertEqual("v1.36.4", cluster.kubernetes_version)

    def test_image_with_nonsense(self):
        self.assert_refused("kube_version", facts=self.facts("newest"))

    def test_unsupported(self):
        self.assert_refused(
            "choose a version of 1.35, 1.36",
            labels={"kube_tag": "v1.23.3-rancher1".partition("-")[0]},
        )

    def test_skew_of_a_group(self):
        newer = samples.node_group_inputs(labels={"kube_tag": "v1.36.4"})
        self.assert_refused(
            "may not be newer",
            labels={"kube_tag": "v1.35.8"},
            node_groups=groups(newer),
        )


class GroupTests(TestCase):
    def test_a_groups_own_labels_win_and_others_are_inherited(self):
        gpu = samples.node_group_inputs(
            name="gpu",
            labels={
                "availability_zone": "az2",
                "server_group_policy": "anti-affinity",
                "boot_volume_size": "",
            },
        )
        cluster = make(
            labels=with_labels(
                boot_volume_size="50",
                boot_volume_type="ssd",
                availability_zone="nova",
            ),
            node_groups=groups(samples.node_group_inputs(), gpu),
        )
        default, special = cluster.workers
        self.assertEqual("nova", default.availability_zone)
        self.assertEqual(
            spec.VolumeSpec(size_gib=50, volume_type="ssd"),
            default.boot_volume,
        )
        self.assertEqual("az2", special.availability_zone)
        self.assertEqual("anti-affinity", special.server_group_policy)
        self.assertIsNone(special.boot_volume)
        self.assertEqual("v1.36.4", special.kubernetes_version)

    def test_volumes(self):
        cluster = make(
            labels=with_labels(
                docker_volume_type="hdd",
                etcd_volume_size="5",
                etcd_volume_type="ssd",
            ),
            node_groups=groups(
                samples.node_group_inputs(docker_volume_size_gib=30)
            ),
        )
        self.assertEqual(
            spec.VolumeSpec(size_gib=30, volume_type="hdd"),
            cluster.workers[0].container_volume,
        )
        self.assertIsNone(cluster.workers[0].etcd_volume)
        self.assertEqual(5, cluster.control_plane.etcd_volume.size_gib)
        self.assertIsNone(cluster.control_plane.container_volume)

    def test_volume_problems(self):
        self.assert_refused(
            "without etcd_volume_size",
            labels=with_labels(etcd_volume_type="ssd"),
        )
        self.assert_refused(
            "Volume type gold",
            labels=with_labels(boot_volume_size="20", boot_volume_type="gold"),
        )
        self.assert_refused(
            "no block storage",
            labels=with_labels(boot_volume_size="20"),
            volume_driver="",
            facts=samples.facts(block_storage=False),
        )
        self.assert_refused(
            "needs 10 GiB", labels=with_labels(boot_volume_size="9")
        )

    def test_flavor_problems(self):
        for part, change, labels in (
            ("has 1 vCPU; control plane", {"vcpus": 1}, {}),
            ("1024 MiB of memory; control", {"ram_mib": 1024}, {}),
            ("has no disk", {"disk_gib": 0}, {}),
            ("a disk of 5 GiB", {"disk_gib": 5}, {}),
        ):
            with self.subTest(part):
                flavors = {"m1.medium": samples.flavor(**change)}
                self.assert_refused(
                    part,
                    facts=samples.facts(flavors=flavors),
                    labels=with_labels(**labels),
                )

    def test_a_flavor_without_disk_boots_from_a_volume(self):
        flavors = {"m1.medium": samples.flavor(disk_gib=0)}
        cluster = make(
            facts=samples.facts(flavors=flavors),
            labels=with_labels(boot_volume_size="20"),
        )
        self.assertEqual(20, cluster.control_plane.boot_volume.size_gib)

    def test_image_problems(self):
        for part, change in (
            ("no property os_distro", {"distro": ""}),
            ("is deactivated", {"status": "deactivated"}),
            ("needs 8192 MiB", {"min_ram_mib": 8192}),
        ):
            images = {"ubuntu-24.04": samples.image(**change)}
            self.assert_refused(part, facts=samples.facts(images=images))

    def test_ambiguous_names(self):
        images = {"ubuntu-24.04": facts_module.AMBIGUOUS}
        self.assert_refused(
            "give the id instead", facts=samples.facts(images=images)
        )

    def test_zones(self):
        self.assert_refused(
            "zone mars is not available; this cloud has az2, nova",
            labels=with_labels(availability_zone="mars"),
        )
        self.assertEqual(
            [],
            problems(
                labels=with_labels(availability_zone="mars"),
                facts=samples.facts(availability_zones=None),
            ),
        )

    def test_control_plane_counts(self):
        for count in (1, 3, 5, 7):
            self.assertEqual(
                [], problems(node_groups=groups(count=count)), count
            )
        for count in (0, 2, 4, 9):
            self.assert_refused(
                "choose 1, 3, 5 or 7", node_groups=groups(count=count)
            )
        self.assert_refused(
            "needs a load balancer",
            node_groups=groups(count=3),
            master_lb_enabled=False,
        )

    def test_labels_and_taints(self):
        taint = {"key": "gpu", "effect": "NoSchedule", "value": "yes"}
        group = samples.node_group_inputs(
            role_name="ingress",
            node_labels={"team": "blue"},
            node_taints=(taint,),
        )
        (worker,) = make(node_groups=groups(group)).workers
        self.assertEqual(
            {"magnum.openstack.org/role": "ingress", "team": "blue"},
            worker.node_labels,
        )
        self.assertEqual(["gpu=yes:NoSchedule"], list(map(str, worker.taints)))
        bad = dataclasses.replace(group, node_taints=({"key": "x"},))
        self.assert_refused("has a taint 'x'", node_groups=groups(bad))

    def test_max_below_min(self):
        group = samples.node_group_inputs(min_count=5)
        self.assert_refused(
            "raise max_node_count",
            labels=with_labels(max_node_count="3"),
            node_groups=groups(group),
        )


class NetworkTests(TestCase):
    def test_existing_network(self):
        for change in (
            {"fixed_network": "office"},
            {"fixed_subnet": "office-v4"},
            {"fixed_network": "office", "fixed_subnet": "office-v4"},
        ):
            network = make(**change).network
            self.assertEqual(samples.network().id, network.network_id)
            self.assertEqual(samples.subnet().id, network.subnet_id)
            self.assertEqual("192.168.10.0/24", network.subnet_cidr)

    def test_new_network(self):
        network = make(
            labels=with_labels(fixed_subnet_cidr="172.16.0.0/22")
        ).network
        self.assertIsNone(network.network_id)
        self.assertEqual("172.16.0.0/22", network.subnet_cidr)
        self.assertEqual(("192.0.2.53",), network.dns_nameservers)

    def test_network_problems(self):
        two = samples.network(
            subnets=(samples.subnet(), samples.subnet(id="x"))
        )
        elsewhere = samples.subnet(network_id="other")
        for part, change, request in (
            ("has 2 IPv4 subnets", {"networks": {"office": two}}, {}),
            (
                "has 0 IPv4 subnets",
                {"networks": {"office": samples.network(subnets=())}},
                {},
            ),
            (
                "does not belong",
                {"subnets": {"office-v4": elsewhere}},
                {"fixed_subnet": "office-v4"},
            ),
            (
                "Subnet office-v4 does not exist",
                {"subnets": {"office-v4": MISSING}},
                {"fixed_subnet": "office-v4"},
            ),
            (
                "is IPv6",
                {"subnets": {"office-v4": samples.subnet(ip_version=6)}},
                {"fixed_subnet": "office-v4"},
            ),
        ):
            with self.subTest(part):
                networks = {
                    **samples.facts().networks,
                    **change.pop("networks", {}),
                }
                self.assert_refused(
                    part,
                    facts=samples.facts(networks=networks, **change),
                    fixed_network="office",
                    **request,
                )

    def test_external_network_must_be_external(self):
        networks = {"public": samples.network()}
        self.assert_refused(
            "not marked as external", facts=samples.facts(networks=networks)
        )

    def test_pod_ranges_by_network_driver(self):
        labels = with_labels(
            calico_ipv4pool="10.101.0.0/16",
            cilium_ipv4pool="10.102.0.0/16",
            flannel_network_cidr="10.103.0.0/16",
        )
        for driver, cidr in (
            ("calico", "10.101.0.0/16"),
            ("cilium", "10.102.0.0/16"),
            ("flannel", "10.103.0.0/16"),
        ):
            network = make(labels=labels, network_driver=driver).network
            self.assertEqual((driver, cidr), (network.cni, network.pod_cidr))

    def test_pod_range_too_small_for_nodes(self):
        self.assert_refused(
            "from /8 to /24", labels=with_labels(calico_ipv4pool="10.1.0.0/25")
        )
        self.assert_refused(
            "from /12 to /28",
            labels=with_labels(
                flannel_network_cidr="11.0.0.0/8",
                flannel_network_subnetlen="28",
            ),
            network_driver="flannel",
        )

    def test_overlaps(self):
        self.assert_refused(
            "node network 10.0.0.0/24 and the pod addresses 10.0.0.0/16 "
            "overlap",
            labels=with_labels(calico_ipv4pool="10.0.0.0/16"),
        )
        self.assert_refused(
            "pod addresses 10.100.0.0/16 and the Service addresses",
            labels=with_labels(service_cluster_ip_range="10.100.4.0/24"),
        )

    def test_addresses_of_a_range(self):
        # Sixteen without network, router and broadcast; one control plane
        # node and the load balancer beside the workers.
        labels = with_labels(fixed_subnet_cidr="10.0.0.0/28")
        eleven, twelve = (
            groups(samples.node_group_inputs(count=count))
            for count in (11, 12)
        )
        self.assertEqual([], problems(labels=labels, node_groups=eleven))
        self.assert_refused(
            "has 13 addresses but the cluster needs 14",
            labels=labels,
            node_groups=twelve,
        )

    def test_addresses_of_a_subnet(self):
        small = samples.subnet(addresses=3)
        facts = samples.facts(subnets={"office-v4": small})
        self.assert_refused(
            "Subnet office-v4 has 3 addresses but the cluster needs 4",
            facts=facts,
            fixed_subnet="office-v4",
        )
        unknown = samples.facts(subnets={"office-v4": samples.subnet()})
        self.assertEqual([], problems(facts=unknown, fixed_subnet="office-v4"))

    def test_addresses_that_others_have(self):
        subnet = samples.subnet(addresses=6, taken=3)
        facts = samples.facts(subnets={"office-v4": subnet})
        self.assert_refused(
            "Subnet office-v4 has 6 addresses, 3 of them taken, but the "
            "cluster needs 4",
            facts=facts,
            fixed_subnet="office-v4",
        )

    def test_no_router_to_the_external_network(self):
        def told(outside, **changes):
            subnet = samples.subnet(outside=outside)
            facts = samples.facts(subnets={"office-v4": subnet})
            return problems(facts=facts, fixed_subnet="office-v4", **changes)

        external = samples.facts().networks["public"].id
        self.assertEqual([], told(None))
        self.assertEqual([], told(frozenset((external,))))
        self.assertIn("has no router to the exter", told(frozenset("n"))[0])
        private = {"floating_ip_enabled": False}
        self.assertEqual([], told(frozenset(), **private))
        label = with_labels(master_lb_floating_ip_enabled="true")
        self.assertEqual(1, len(told(frozenset(), labels=label, **private)))

    def test_networks_of_balancer_classes(self):
        missing = "c57af0a0-da92-49be-a98a-345ceca004b3"
        ours = samples.network()

        def told(network):
            labels = with_labels(
                load_balancer_classes=f"dmz:floating-network-id={network}"
                ":floating-subnet=dmz-*"
            )
            found = inputs.references(samples.inputs(labels=labels))
            self.assertIn(network, found.networks)
            facts = samples.facts()
            networks = {**facts.networks, ours.id: ours}
            facts = dataclasses.replace(facts, networks=networks)
            return problems(facts=facts, labels=labels)

        (sentence,) = told(missing)
        self.assertIn(f"Network {missing}, floating-network-id of", sentence)
        (sentence,) = told(ours.id)
        self.assertIn(
            "class dmz (label load_balancer_classes), is not m", sentence
        )

    def test_draft_goes_on_after_problems(self):
        found, told = inputs.draft(
            samples.inputs(name="n" * 65), samples.facts(), samples.SITE
        )
        self.assertEqual(2, found.workers[0].count)
        self.assertEqual(1, len(told))
        nothing, told = inputs.draft(
            samples.inputs(node_groups=()), samples.facts(), samples.SITE
        )
        self.assertIsNone(nothing)
        self.assertIn("has 0 node groups", told[0].sentence)

    def test_architecture(self):
        for architecture in ("", "x86_64", "aarch64"):
            image = samples.image(architecture=architecture)
            facts = samples.facts(images={"ubuntu-24.04": image})
            self.assertEqual([], problems(facts=facts))
        image = samples.image(architecture="s390x")
        self.assert_refused(
            "Image ubuntu-24.04 is for s390x",
            facts=samples.facts(images={"ubuntu-24.04": image}),
        )


class EndpointTests(TestCase):
    def test_floating_ips_of_nodes_and_of_the_api_are_separate(self):
        for nodes, label, api in (
            (True, None, True),
            (False, None, False),
            (True, "false", False),
            (False, "true", True),
        ):
            labels = with_labels(master_lb_floating_ip_enabled=label or "")
            cluster = make(labels=labels, floating_ip_enabled=nodes)
            self.assertEqual(api, cluster.endpoint.floating_ip)
            self.assertEqual(nodes, cluster.workers[0].floating_ip)
            self.assertEqual(nodes, cluster.control_plane.floating_ip)

    def test_without_a_load_balancer_the_endpoint_decides(self):
        cluster = make(master_lb_enabled=False)
        self.assertFalse(cluster.endpoint.load_balancer)
        self.assertTrue(cluster.endpoint.floating_ip)
        self.assertFalse(cluster.control_plane.floating_ip)

    def test_port_and_allowed_networks(self):
        endpoint = make(
            apiserver_port=8443,
            labels=with_labels(master_lb_allowed_cidrs="192.0.2.0/24"),
        ).endpoint
        self.assertEqual(8443, endpoint.port)
        self.assertEqual(("192.0.2.0/24",), endpoint.allowed_cidrs)
        self.assertEqual(6443, make().endpoint.port)

    def test_algorithm(self):
        ovn = with_labels(octavia_provider="ovn")
        self.assertEqual("ROUND_ROBIN", make().endpoint.algorithm)
        self.assertEqual("SOURCE_IP_PORT", make(labels=ovn).endpoint.algorithm)
        self.assert_refused(
            "only knows", labels={**ovn, "octavia_lb_algorithm": "source_ip"}
        )

    def test_octavia(self):
        self.assert_refused(
            "no load balancer service",
            facts=samples.facts(load_balancing=False),
        )
        self.assert_refused(
            "this cloud has amphora, ovn",
            labels=with_labels(octavia_provider="f5"),
        )
        self.assertEqual(
            [],
            problems(
                facts=samples.facts(load_balancing=False),
                master_lb_enabled=False,
            ),
        )


class ProxyTests(TestCase):
    def test_the_cluster_itself_is_never_behind_it(self):
        proxy = make(
            http_proxy="http://proxy.example.com:3128",
            no_proxy="registry.example.com, localhost",
        ).proxy
        self.assertEqual("http://proxy.example.com:3128", proxy.http)
        self.assertEqual(
            (
                "registry.example.com",
                "localhost",
                "10.0.0.0/24",
                "10.100.0.0/16",
                "10.254.0.0/16",
                "127.0.0.1",
                "169.254.169.254",
                ".svc",
                ".cluster.local",
            ),
            proxy.no_proxy,
        )


class KeyTests(TestCase):
    def test_the_known_key_wins(self):
        for public_key in ("other", MISSING, None):
            facts = samples.facts(
                public_key=public_key, known_public_key="known"
            )
            self.assertEqual("known", make(facts=facts).ssh_public_key)

    def test_no_key(self):
        facts = samples.facts(public_key=None)
        self.assertEqual("", make(facts=facts, keypair="").ssh_public_key)

    def test_unreadable_keys(self):
        self.assert_refused(
            "Key pair tester does not exist",
            facts=samples.facts(public_key=MISSING),
        )
        self.assert_refused(
            "repeat the request as that user",
            facts=samples.facts(public_key=None),
        )


class AddonTests(TestCase):
    SCALED = with_labels(auto_scaling_enabled="true", max_node_count="5")

    def test_autoscaler_needs_the_cloud_controller_manager(self):
        self.assert_refused(
            "set cloud_provider_enabled",
            floating_ip_enabled=False,
            labels={**self.SCALED, "cloud_provider_enabled": "false"},
        )

    def test_autoscaler_takes_volumes_for_nodes(self):
        part = "would take the volumes and floating IPs of node group"
        self.assert_refused(part, labels=self.SCALED)
        direct = {"labels": self.SCALED, "floating_ip_enabled": False}
        self.assertEqual([], problems(**direct))
        worker = samples.node_group_inputs(
            docker_volume_size_gib=10, labels=self.SCALED
        )
        self.assert_refused(part, **direct, node_groups=groups(worker))
        # Without a most it is not scaled; nor is anything without autoscaler.
        labels = with_labels(auto_scaling_enabled="true")
        worker = dataclasses.replace(worker, labels=labels)
        self.assertEqual(
            [], problems(labels=labels, node_groups=groups(worker))
        )
        worker = dataclasses.replace(worker, max_count=3)
        self.assert_refused(part, labels=labels, node_groups=groups(worker))
        self.assertEqual([], problems(node_groups=groups(worker)))

    def test_autoscaler_without_sealed_secrets_from_the_beginning(self):
        off, on = (
            make(
                labels=with_labels(auto_scaling_enabled=one),
                floating_ip_enabled=False,
            )
            for one in ("false", "true")
        )
        self.assertEqual([], addon_rules.upgrade_problems(off, on))
        bare = dataclasses.replace(on, seals_secrets=False)
        (found,) = addon_rules.upgrade_problems(off, bare)
        self.assertTrue(catalogue.holds(found.sentence))
        self.assertEqual([], addon_rules.upgrade_problems(on, bare))
