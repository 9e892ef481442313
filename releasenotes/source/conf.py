# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration of the release notes."""

project = "magnum_k8s_driver release notes"
copyright = "the magnum_k8s_driver maintainers"
extensions = ["openstackdocstheme", "reno.sphinxext"]
html_theme = "openstackdocs"
openstackdocs_auto_name = False
openstackdocs_repo_name = "magnum-k8s-driver"
openstackdocs_use_storyboard = False
