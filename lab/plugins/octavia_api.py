# SPDX-License-Identifier: Apache-2.0
"""Octavia's API with the lab's provider behind every provider name.

Octavia itself registers ``amphora``; a second entry point of that name
would be ambiguous. So the names are resolved before they are looked up.
"""

from octavia.api.drivers import driver_factory
from octavia.common import exceptions
from oslo_config import cfg

_load = driver_factory.get_driver


def resolve(provider):
    """Return the lab's driver under the name that was asked for."""
    settings = cfg.CONF.api_settings
    name = provider or settings.default_provider_driver
    if name not in settings.enabled_provider_drivers:
        raise exceptions.ProviderNotEnabled(prov=name)
    driver = _load("lab")
    driver.name = name
    return driver


driver_factory.get_driver = resolve

from octavia.wsgi import api  # noqa: E402  the application is made here

application = api.application
