# SPDX-License-Identifier: Apache-2.0
"""Cloud-config against cloud-init's own schema, where it is installed."""

import json
import os
import pathlib

import jsonschema
import testtools
import yaml

from magnum_k8s_driver.render import node_document
from magnum_k8s_driver.render import userdata
from tests import node_samples
from tests import samples

SCHEMA = pathlib.Path(
    os.environ.get(
        "CLOUD_INIT_SCHEMA",
        "/usr/lib/python3/dist-packages/cloudinit/config/schemas/"
        "schema-cloud-config-v1.json",
    )
)


class CloudInitSchemaTest(testtools.TestCase):
    def setUp(self):
        super().setUp()
        if not SCHEMA.is_file():
            self.skipTest(
                "cloud-init is not installed: apt install cloud-init"
            )

    def test_cloud_init_accepts_it(self):
        spec = samples.spec()
        group = spec.workers[0]
        worker = node_document.worker_document(
            spec, group, node_samples.worker_values()
        )
        control_plane = node_document.control_plane_document(
            spec, node_samples.control_plane_values()
        )
        schema = json.loads(SCHEMA.read_text())
        for one, document in (
            (group, worker),
            (spec.control_plane, control_plane),
        ):
            text = userdata.cloud_config(spec, one, document)
            jsonschema.Draft4Validator(schema).validate(yaml.safe_load(text))
