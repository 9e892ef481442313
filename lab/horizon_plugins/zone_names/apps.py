# SPDX-License-Identifier: Apache-2.0
"""Let magnum-ui 19 find the names of availability zones in Horizon 27.

Horizon 27 asks Nova with openstacksdk and calls a zone's name ``name``;
magnum-ui 19 still looks for ``zoneName``. Its form for a cluster then offers
the zone "undefined" only, which it does not accept, so that nobody can create
a cluster. This application gives zones both names.

Copy this package to where Horizon's Python finds it, and
``_1379_zone_names.py`` to ``openstack_dashboard/local/enabled``.
"""

from django import apps


class ZoneNames(apps.AppConfig):
    name = "zone_names"

    def ready(self):
        from openstack_dashboard.api.rest import nova

        view = nova.AvailabilityZones
        if getattr(view, "with_both_names", False):
            return
        plain = nova.api.nova.availability_zone_list

        def both(request, detailed=False):
            return [_Zone(one) for one in plain(request, detailed)]

        nova.api.nova.availability_zone_list = both
        view.with_both_names = True


class _Zone:
    """A zone as it is, and as magnum-ui reads it."""

    def __init__(self, zone):
        self._zone = zone

    def __getattr__(self, name):
        return getattr(self._zone, "name" if name == "zoneName" else name)

    def to_dict(self):
        found = self._zone.to_dict()
        return {**found, "zoneName": found.get("zoneName", self._zone.name)}
