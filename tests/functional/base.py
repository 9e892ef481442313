# SPDX-License-Identifier: Apache-2.0
"""A lab's cloud as its users see it, and clusters that are cleaned up.

Everything goes through real clients of the real services. Without a lab in
LAB_ROOT the tests are skipped, unless CI is set: then they fail.
"""

import contextlib
import dataclasses
import functools
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest
import uuid

import openstack
from openstack import exceptions as sdk_exceptions
import pymysql
import testtools
import yaml

from lab import settings as lab_settings
from magnum_k8s_driver.model import names

ROOT = pathlib.Path(
    os.environ.get("LAB_ROOT", lab_settings.DEFAULT_ROOT)
).absolute()
FLAVOR = "m1.small"
MASTER_FLAVOR = "m1.medium"
IMAGE = "ubuntu-24.04-kube-v1.36.4"
VERSION = "v1.36.4"
CREATE_SECONDS = 420
DELETE_SECONDS = 300
HEALTH_SECONDS = 120
MICROVERSION = "1.11"

MADE = set()
"""Ids of the clusters this process has asked for."""

FAST = {
    "speed": 4.0,
    "digest_seconds": 1.0,
    "poll_seconds": 1.0,
    "retry_seconds": 2.0,
}
"""Hollow nodes of the tests; see lab/hollow/README.rst."""


def without_lab(reason):
    """Skip, or fail in CI, for want of a lab."""
    sentence = (
        f"These tests need a lab in {ROOT}; `python3 -m lab up` brings one: "
        f"{reason}"
    )
    if os.environ.get("CI", "").lower() in ("1", "true", "yes"):
        raise AssertionError(sentence)
    raise unittest.SkipTest(sentence)


@functools.cache
def settings():
    """Return the settings of the lab, wherever its ports are."""
    try:
        clouds = yaml.safe_load((ROOT / "clouds.yaml").read_text())["clouds"]
    except (OSError, KeyError, TypeError, yaml.YAMLError) as exc:
        without_lab(f"{exc}.")
    url = clouds["admin"]["auth"]["auth_url"]
    found = int(url.split(":")[2].split("/")[0])
    offset = found - lab_settings.BASE_PORTS["keystone"]
    return lab_settings.Settings(ROOT, offset)


@functools.cache
def connect(name):
    """Return the connection of a user of clouds.yaml."""
    settings()
    config = openstack.config.OpenStackConfig(
        config_files=[str(ROOT / "clouds.yaml")], load_envvars=False
    )
    cloud = openstack.connection.Connection(config=config.get_one(cloud=name))
    try:
        cloud.authorize()
    except sdk_exceptions.SDKException as exc:
        without_lab(f"Keystone does not answer: {exc}.")
    return cloud


def sql(database, statement, *arguments):
    """Return rows of the lab's database, for what no API shows."""
    connection = pymysql.connect(
        host=lab_settings.HOST,
        port=settings().port("mariadb"),
        user="lab",
        password=lab_settings.PASSWORD,
        database=database,
        autocommit=True,
    )
    with contextlib.closing(connection), connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return list(cursor.fetchall())


def until(wanted, seconds, describe=lambda: "", interval=1.0):
    """Return the first true value; fail with a description otherwise."""
    end = time.monotonic() + seconds
    while True:
        found = wanted()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {describe()}")
        time.sleep(interval)


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a command printed."""

    code: int
    out: str
    err: str


def command(*arguments, user="demo", timeout=120, cwd=None):
    """Run ``openstack`` as a user would."""
    environment = {
        **{k: v for k, v in os.environ.items() if not k.startswith("OS_")},
        "OS_CLIENT_CONFIG_FILE": str(ROOT / "clouds.yaml"),
        "OS_CLOUD": user,
        "PYTHONWARNINGS": "ignore",
        # `coe cluster config` fails with "'SHELL'" where that is not set.
        "SHELL": "/bin/bash",
    }
    beside = pathlib.Path(sys.executable).with_name("openstack")
    program = beside if beside.exists() else settings().program("openstack")
    done = subprocess.run(
        [str(program), *arguments],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    return Answer(done.returncode, done.stdout.strip(), done.stderr.strip())


class Magnum:
    """Magnum's API with the rights of one user."""

    def __init__(self, user="demo"):
        self.cloud = connect(user)

    def _adapter(self):
        return self.cloud.container_infrastructure_management

    def call(self, method, path, body=None, version=MICROVERSION):
        """Return the response, whatever its code."""
        return self._adapter().request(
            path,
            method,
            json=body,
            raise_exc=False,
            headers={"OpenStack-API-Version": f"container-infra {version}"},
            timeout=90,
        )

    def get(self, path):
        """Return a document, None when there is none (yet)."""
        response = self.call("GET", path)
        # A cluster without node groups has no master_count: HTTP 400.
        if response.status_code in (400, 404):
            return None
        assert response.ok, response.text
        return response.json()

    def cluster(self, cluster_id):
        return self.get(f"/clusters/{cluster_id}")

    def exists(self, cluster_id):
        path = f"/clusters/{cluster_id}"
        return self.call("GET", path).status_code != 404

    def groups(self, cluster_id):
        """Return the node groups by name, with all their fields."""
        listed = self.get(f"/clusters/{cluster_id}/nodegroups")
        found = [
            self.get(f"/clusters/{cluster_id}/nodegroups/{one['uuid']}")
            for one in listed["nodegroups"]
        ]
        # One that was being deleted may have gone since it was listed.
        return {one["name"]: one for one in found if one is not None}

    def template(self, **changes):
        """Create a cluster template."""
        body = {
            "name": unique("t"),
            "coe": "kubernetes",
            "image_id": IMAGE,
            "external_network_id": "public",
            "flavor_id": FLAVOR,
            "master_flavor_id": MASTER_FLAVOR,
            "keypair_id": "lab",
            "floating_ip_enabled": False,
            **changes,
        }
        response = self.call("POST", "/clustertemplates", body)
        assert response.status_code == 201, response.text
        return response.json()

    def create(self, template_id, **changes):
        """Ask for a cluster and return its id."""
        response = self.post(template_id, **changes)
        assert response.status_code == 202, response.text
        MADE.add(response.json()["uuid"])
        return response.json()["uuid"]

    def post(self, template_id, **changes):
        body = {
            "name": unique("c"),
            "cluster_template_id": template_id,
            "master_count": 1,
            "node_count": 1,
            "create_timeout": 15,
            **changes,
        }
        return self.call("POST", "/clusters", body)

    def delete(self, cluster_id):
        """Ask for the end of a cluster; gone is fine."""
        return self.call("DELETE", f"/clusters/{cluster_id}").status_code

    def await_status(self, cluster_id, *wanted, seconds=CREATE_SECONDS):
        """Return the cluster once it has one of these states."""
        last = {}

        def look():
            last.update(self.cluster(cluster_id) or {})
            status = last.get("status", "")
            if status.endswith("_FAILED") and status not in wanted:
                raise AssertionError(_told(last))
            return dict(last) if status in wanted else None

        return until(look, seconds, lambda: _told(last))

    def await_gone(self, *cluster_ids, seconds=DELETE_SECONDS):
        """Wait until the clusters are no more."""
        left = set(cluster_ids)
        last = {}

        def look():
            for one in [*left]:
                if not self.exists(one):
                    left.discard(one)
                    continue
                last.update(self.cluster(one) or {})
                if last.get("status") == "DELETE_FAILED":
                    raise AssertionError(_told(last))
            return not left

        until(look, seconds, lambda: _told(last))


def _told(cluster):
    return (
        f"cluster {cluster.get('name')} {cluster.get('uuid')} is "
        f"{cluster.get('status')}: {cluster.get('status_reason')}"
    )


def needs_time():
    """Skip what takes minutes and is not part of every run."""
    if not os.environ.get("LAB_LONG"):
        raise unittest.SkipTest("LAB_LONG is not set; this takes minutes.")


def unique(word):
    """Return a name nobody else has."""
    return f"{word}-{uuid.uuid4().hex[:8]}"


def prefix(cluster):
    """Return what the names of a cluster's things begin with."""
    return names.cluster_prefix(cluster["name"], cluster["uuid"])


def write_behaviour(**content):
    """Tell the hollow nodes how to be; without arguments as usual."""
    path = ROOT / "state/hollow/behaviour.json"
    if not content:
        path.unlink(missing_ok=True)
        return
    new = path.with_suffix(".new")
    new.write_text(json.dumps(content))
    os.replace(new, path)


class LabTest(testtools.TestCase):
    """A test that needs a lab; its class may share what is dear."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.demo = connect("demo")
        cls.admin = connect("admin")
        cls.magnum = Magnum()
        cls.project_id = cls.demo.current_project_id
        write_behaviour(**FAST)
        cls.addClassCleanup(write_behaviour)

    @classmethod
    def make_template(cls, **changes):
        """Create a template that goes when the class is done."""
        made = cls.magnum.template(**changes)["uuid"]
        path = f"/clustertemplates/{made}"
        cls.addClassCleanup(cls.magnum.call, "DELETE", path)
        return made

    @classmethod
    def make_cluster(cls, template_id, **changes):
        """Ask for a cluster that goes when the class is done."""
        made = cls.magnum.create(template_id, **changes)
        cls.addClassCleanup(cls.remove, made)
        return made

    @classmethod
    def remove(cls, *cluster_ids):
        """Delete clusters, all at once."""
        for one in cluster_ids:
            cls.magnum.delete(one)
        cls.magnum.await_gone(*cluster_ids)

    def assert_sentence(self, text):
        """A reason is a sentence for people."""
        self.assertIsInstance(text, str)
        self.assertRegex(text, r"(?s)^[A-Z][^\n]{9,}\.$")
        for noise in ("Traceback", "Exception", "None", "{", "<"):
            self.assertNotIn(noise, text)


def stack_resources(cloud, stack_id):
    """Return every resource of a stack, those of nested stacks too."""
    response = cloud.orchestration.get(
        f"/stacks/{stack_id}/resources", params={"nested_depth": 3}
    )
    response.raise_for_status()
    return response.json()["resources"]


def stack(cloud, stack_id):
    """Return a stack with its outputs and parameters."""
    response = cloud.orchestration.get(f"/stacks/{stack_id}")
    response.raise_for_status()
    return response.json()["stack"]


def outputs(found):
    """Return a stack's outputs by name."""
    return {
        one["output_key"]: one.get("output_value")
        for one in found.get("outputs", ())
    }
