# SPDX-License-Identifier: Apache-2.0
"""Horizon's application, which serves its scripts and styles itself."""

from django.contrib.staticfiles import handlers
from openstack_dashboard import wsgi

application = handlers.StaticFilesHandler(wsgi.application)
