# SPDX-License-Identifier: Apache-2.0
"""Barbican's API; its own WSGI module knows no place but /etc/barbican."""

import os

from paste import deploy

# Barbican's many config objects look for barbican.conf in the home
# directory, which is the directory of its configuration here.
_directory = os.path.expanduser("~")
application = deploy.loadapp(f"config:{_directory}/barbican-api-paste.ini")
