# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration of the documentation."""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "doc/ext"))

project = "magnum_k8s_driver"
copyright = "the magnum_k8s_driver maintainers"
extensions = [
    "cause_reference",
    "addon_reference",
    "label_reference",
    "metric_reference",
    "openstackdocstheme",
    "oslo_config.sphinxext",
    "site_reference",
]
html_theme = "openstackdocs"
openstackdocs_auto_name = False
openstackdocs_repo_name = "magnum-k8s-driver"
openstackdocs_use_storyboard = False
exclude_patterns = ["user/samples"]
nitpicky = False
# Commands have dashes.
smartquotes = False
