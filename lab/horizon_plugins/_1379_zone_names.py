# SPDX-License-Identifier: Apache-2.0
"""Switch zone_names on."""

FEATURE = "zone_names"
ADD_INSTALLED_APPS = ["zone_names"]
