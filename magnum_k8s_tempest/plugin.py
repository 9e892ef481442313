# SPDX-License-Identifier: Apache-2.0
"""What tempest loads: tests of what magnum-tempest-plugin has no tests of.

Run them on a cloud of your own with ``[magnum_k8s] image_id`` set:
``tempest run --regex magnum_k8s_tempest``.
"""

import pathlib

from tempest.test_discover import plugins

from magnum_k8s_tempest import config


class Plugin(plugins.TempestPlugin):
    """Tests of day two: resize, node groups, upgrade, health, rotation."""

    def load_tests(self):
        """Return the directory of the tests and where imports begin."""
        here = pathlib.Path(__file__).resolve().parent
        return str(here / "tests"), str(here.parent)

    def register_opts(self, conf):
        conf.register_opt(config.SERVICE, group="service_available")
        conf.register_group(config.GROUP)
        conf.register_opts(config.OPTIONS, group=config.GROUP)
        conf.register_group(config.FEATURES)
        conf.register_opts(config.FEATURE_OPTIONS, group=config.FEATURES)

    def get_opt_lists(self):
        return [
            ("service_available", [config.SERVICE]),
            (config.GROUP.name, config.OPTIONS),
            (config.FEATURES.name, config.FEATURE_OPTIONS),
        ]
