# SPDX-License-Identifier: Apache-2.0
"""The DevStack plugin, phase by phase, as stack.sh calls it.

DevStack's functions are replaced by ones of the same meaning: settings are
written, calls that reach out are recorded. With DEVSTACK_DIR set to a
checkout of DevStack its own functions are used, and only programs replaced.
"""

import configparser
import os
import pathlib
import re
import subprocess
import tempfile

from oslo_config import cfg
import testtools
import yaml

from magnum_k8s_driver import conf
from magnum_k8s_tempest import config as tempest_config

ROOT = pathlib.Path(__file__).parents[2]
PLUGIN = ROOT / "devstack"
DEVSTACK = os.environ.get("DEVSTACK_DIR", "")

OURS = """
function iniset {
    touch "$1"
    grep -q "^\\[$2\\]" "$1" || printf '\\n[%s]\\n' "$2" >>"$1"
    sed -i "/^\\[$2\\]/,/^\\[/ { /^$3 = /d }" "$1"
    sed -i "/^\\[$2\\]/a $3 = $4" "$1"
}
function trueorfalse { local value=${!2:-$1}; echo "$value"; }
function define_plugin { :; }
function plugin_requires { :; }
function is_service_enabled {
    local one
    for one in "$@"; do
        [[ ",$ENABLED_SERVICES," == *",$one,"* ]] && return 0
    done
    return 1
}
function get_or_create_domain {
    openstack --os-cloud devstack-system-admin domain create "$1" \\
        --description "$2" --or-show -f value -c id
}
function get_or_add_user_project_role {
    openstack --os-cloud devstack-system-admin role add "$1" --user "$2" \\
        --project "$3" --user-domain "$4" --project-domain "$5"
}
function upload_image {
    record upload_image "$@"
}
function die { echo "[ERROR] $2" >&2; exit 1; }
function echo_summary { echo "$@"; }
"""

THEIRS = """
TOP_DIR=$DEVSTACK_DIR
source $TOP_DIR/functions
function upload_image { record upload_image "$@"; }
function echo_summary { echo "$@"; }
"""

ALWAYS = """
function record { printf '%s\\n' "$*" >>"$CALLS"; }
function openstack { record openstack "$@"; echo an-id; }
function setup_develop { record setup_develop "$@"; }
function pip_uninstall { record pip_uninstall "$@"; }
function magnum-k8s-manage { record magnum-k8s-manage "$@"; return "$CHECK"; }
set -o errexit
source "$PLUGIN/settings"
for phase in "$@"; do

    source "$PLUGIN/plugin.sh" ${phase/:/ }
done
"""

PHASES = (
    "source",
    "stack:pre-install",
    "stack:install",
    "stack:post-config",
    "stack:extra",
    "stack:test-config",
)
SERVICES = "key,magnum-api,magnum-cond,h-eng,tempest"
IMAGE = "https://images.example.com/noble-kube-v1.36.4.qcow2"


class PluginTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.place = pathlib.Path(temporary.name)
        self.calls = self.place / "calls"

    def run_phases(self, *phases, **settings):
        """Source the plugin as run_phase does; return the bash's result."""
        self.calls.write_text("")
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.place),
            "CALLS": str(self.calls),
            "CHECK": "0",
            "DEST": "/opt/stack",
            "DEVSTACK_DIR": DEVSTACK,
            "ENABLED_SERVICES": SERVICES,
            "HEAT_CONF": str(self.place / "heat.conf"),
            "MAGNUM_CONF": str(self.place / "magnum.conf"),
            "MAGNUM_K8S_DRIVER_DIR": str(ROOT),
            "PLUGIN": str(PLUGIN),
            "PUBLIC_NETWORK_NAME": "public",
            "REGION_NAME": "RegionOne",
            "SERVICE_DOMAIN_NAME": "Default",
            "SERVICE_PROJECT_NAME": "service",
            "TEMPEST_CONFIG": str(self.place / "tempest.conf"),
            **settings,
        }
        functions = THEIRS if DEVSTACK else OURS
        return subprocess.run(
            ["bash", "-c", functions + ALWAYS, "stack.sh", *phases],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def stack(self, **settings):
        done = self.run_phases(*PHASES, **settings)
        self.assertEqual(0, done.returncode, done.stderr)
        return self.calls.read_text().splitlines()

    def options(self, name):
        """Return a configuration file as oslo.config reads it."""
        found = cfg.ConfigOpts()
        conf.register(found)
        found([], default_config_files=[str(self.place / name)])
        return found

    def test_magnum_is_configured(self):
        self.stack(REGION_NAME="RegionTwo")
        options = self.options("magnum.conf").k8s_driver
        self.assertEqual("RegionTwo", options.region_name)
        self.assertEqual("magnum", options.cluster_domain)
        for roles in (options.service_roles, options.cluster_roles):
            self.assertEqual(["member", "load-balancer_member"], roles)
        self.assertEqual("", options.artifact_mirror)
        text = (self.place / "magnum.conf").read_text()
        self.assertIn("default_driver = k8s_kubeadm_v1", text)

    def test_every_option_exists(self):
        """A typo would be an option that nobody reads."""
        self.stack(MAGNUM_K8S_ARTIFACT_MIRROR="http://mirror.example/")
        text = (self.place / "magnum.conf").read_text()
        ours = re.search(r"\[k8s_driver\]\n((?:\w+ *=.*\n)+)", text).group(1)
        names = {line.split("=")[0].strip() for line in ours.splitlines()}
        self.assertEqual(5, len(names), names)
        known = {option.name for option in conf.OPTIONS}
        self.assertLessEqual(names, known)

    def test_heat_forgets_signals(self):
        self.stack()
        plugins = ROOT / "lab/heat_plugins"
        text = (self.place / "heat.conf").read_text()
        self.assertIn(str(plugins), text)
        self.assertTrue((plugins / "finished_threads.py").is_file())

    def test_heat_may_be_left_alone(self):
        self.stack(MAGNUM_K8S_HEAT_PLUGIN="False")
        self.assertFalse((self.place / "heat.conf").exists())

    def test_calls(self):
        calls = self.stack()
        self.assertEqual(f"setup_develop {ROOT}", calls[0])
        told = "\n".join(calls)
        self.assertIn("domain create magnum --description", told)
        self.assertRegex(
            told,
            "role add admin --user magnum --project service "
            "--user-domain Default --project-domain Default",
        )
        self.assertIn(
            f"magnum-k8s-manage check --config-file {self.place}/magnum.conf",
            calls,
        )
        self.assertNotIn("upload_image", told)
        self.assertFalse((self.place / "tempest.conf").exists())

    def test_image_gets_its_properties(self):
        calls = self.stack(
            MAGNUM_K8S_IMAGE_URL=IMAGE,
            MAGNUM_K8S_IMAGE_KUBE_VERSION="v1.36.4",
        )
        self.assertIn(f"upload_image {IMAGE}", calls)
        self.assertIn(
            "openstack --os-cloud devstack-admin image set --property "
            "os_distro=ubuntu --property kube_version=v1.36.4 "
            "noble-kube-v1.36.4",
            calls,
        )
        tempest = configparser.ConfigParser()
        tempest.read(self.place / "tempest.conf")
        for group in ("magnum", "magnum_k8s"):
            self.assertEqual("noble-kube-v1.36.4", tempest[group]["image_id"])

    def test_image_of_stack_is_not_uploaded_again(self):
        """DevStack would make a second one of the same name."""
        for listed in (f"x.img,{IMAGE}", f"{IMAGE}, x.img", IMAGE):
            told = "\n".join(
                self.stack(MAGNUM_K8S_IMAGE_URL=IMAGE, IMAGE_URLS=listed)
            )
            self.assertNotIn("upload_image", told)
            self.assertIn("os_distro=ubuntu noble-kube-v1.36.4", told)

    def test_plain_image_has_no_version(self):
        calls = self.stack(MAGNUM_K8S_IMAGE_URL="file:///tmp/noble.img")
        self.assertIn(
            "openstack --os-cloud devstack-admin image set --property "
            "os_distro=ubuntu noble",
            calls,
        )

    def test_strange_image_is_refused(self):
        done = self.run_phases(
            "stack:extra", MAGNUM_K8S_IMAGE_URL="http://example.com/x.iso"
        )
        self.assertNotEqual(0, done.returncode)
        self.assertIn("must end in .qcow2, .img or .raw", done.stderr)
        self.assertNotIn("upload_image", self.calls.read_text())

    def test_findings_do_not_stop_the_stack(self):
        done = self.run_phases("stack:test-config", CHECK="1")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertIn("clusters cannot be made yet", done.stdout)

    def test_without_magnum_nothing_happens(self):
        calls = self.stack(ENABLED_SERVICES="key,h-eng")
        self.assertEqual([], calls)

    def test_clean(self):
        done = self.run_phases("clean")
        self.assertEqual(0, done.returncode, done.stderr)
        self.assertEqual(
            "pip_uninstall magnum-k8s-driver\n", self.calls.read_text()
        )

    def test_twice_is_once(self):
        self.stack()
        before = (self.place / "magnum.conf").read_text()
        self.stack()
        self.assertEqual(before, (self.place / "magnum.conf").read_text())


class SamplesTest(testtools.TestCase):
    def test_samples(self):
        """Each sets nothing that no plugin reads, and loads us last."""
        known = set(
            re.findall(
                r"^(MAGNUM_K8S_\w+)=", (PLUGIN / "settings").read_text(), re.M
            )
        )
        samples = sorted((PLUGIN / "samples").glob("*.conf"))
        self.assertEqual(2, len(samples))
        for sample in samples:
            text = sample.read_text()
            used = set(re.findall(r"^(MAGNUM_K8S_\w+)=", text, re.M))
            self.assertLessEqual(used, known, sample)
            plugins = re.findall(r"^enable_plugin (\S+)", text, re.M)
            self.assertEqual("magnum-k8s-driver", plugins[-1])
            self.assertLessEqual({"heat", "octavia", "magnum"}, set(plugins))
            body = text.partition("[[local|localrc]]")[2]
            done = subprocess.run(
                ["bash", "-n"],
                input=body,
                text=True,
                capture_output=True,
                check=False,
            )
            self.assertEqual(0, done.returncode, done.stderr)


class ZuulTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        document = yaml.safe_load((ROOT / ".zuul.yaml").read_text())
        (job,) = [one["job"] for one in document if "job" in one]
        self.variables = job["vars"]

    def test_plugins_are_where_the_roles_look(self):
        """Zuul puts a repository where DevStack takes its plugin from."""
        settings = (PLUGIN / "settings").read_text()
        name = re.search(r"^define_plugin (\S+)", settings, re.M).group(1)
        self.assertIn(f"$DEST/{name}", settings)
        self.assertIn(name, self.variables["devstack_plugins"])
        self.assertIn(name, self.variables["tempest_plugins"])

    def test_every_option_exists(self):
        local = self.variables["devstack_local_conf"]["test-config"]
        used = local["$TEMPEST_CONFIG"]["magnum_k8s"]
        known = {option.name for option in tempest_config.OPTIONS}
        self.assertLessEqual({*used}, known)

    def test_settings_exist(self):
        known = (PLUGIN / "settings").read_text()
        for name in self.variables["devstack_localrc"]:
            self.assertIn(f"\n{name}=", known)
