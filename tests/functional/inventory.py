# SPDX-License-Identifier: Apache-2.0
"""Everything a cluster may leave behind, listed; for before and after.

Each kind maps what it finds to a few words about it, so that a difference
tells at once what was left.
"""

from tests.functional import base

_NEUTRON = {
    "network": "networks",
    "subnet": "subnets",
    "router": "routers",
    "port": "ports",
    "security group": "security_groups",
    "floating IP": "ips",
}


_NEUTRONS_OWN = "default Default security group"


def take():
    """Return the inventory of the whole cloud."""
    admin = base.connect("admin")
    found = {
        "stack": _stacks(),
        "software config": _rows("heat", "software_config", "id", "name"),
        "server": _listed(admin.compute.servers(all_projects=True)),
        "server group": _server_groups(),
        "load balancer": _listed(admin.load_balancer.load_balancers()),
        "listener": _listed(admin.load_balancer.listeners()),
        "pool": _listed(admin.load_balancer.pools()),
        "volume": _listed(admin.block_storage.volumes(all_projects=True)),
        "user": _users(admin),
        "role assignment": _assignments(admin),
        "project tag": _tags(admin),
        "trust": _rows("keystone", "trust", "id", "trustor_user_id", _ALIVE),
        "x509keypair": _rows("magnum", "x509keypair", "uuid", "project_id"),
        "cluster": _rows("magnum", "cluster", "uuid", "name"),
        "node group": _rows("magnum", "nodegroup", "uuid", "name"),
        "file": _files(),
    }
    for kind, name in _NEUTRON.items():
        found[kind] = _listed(getattr(admin.network, name)())
    # Neutron makes each project's own when somebody first looks for it.
    found["security group"] = {
        key: text
        for key, text in found["security group"].items()
        if text != _NEUTRONS_OWN
    }
    return found


def difference(before, after):
    """Return what is more or less than before, as one line each."""
    lines = []
    for kind in sorted({*before, *after}):
        old, new = before.get(kind, {}), after.get(kind, {})
        lines += [f"+ {kind} {k}: {new[k]}" for k in new if k not in old]
        lines += [f"- {kind} {k}: {old[k]}" for k in old if k not in new]
    return lines


def assert_same(before, seconds=30, ignoring=()):
    """Fail with what is left of something; services clean up in a while.

    :param ignoring: beginnings of lines that may be different.
    """
    lines = []

    def same():
        lines[:] = [
            one
            for one in difference(before, take())
            if not one.startswith(tuple(ignoring))
        ]
        return not lines

    base.until(same, seconds, lambda: "\n".join(["left:", *lines]), 3.0)


_ALIVE = "deleted_at IS NULL"


def _listed(resources):
    return {
        one.id: f"{one.name or ''} {getattr(one, 'description', '') or ''}"
        for one in resources
    }


def _rows(database, table, key, text, where="1=1"):
    rows = base.sql(
        database, f"SELECT `{key}`, `{text}` FROM `{table}` WHERE {where}"
    )
    return {str(one[0]): str(one[1]) for one in rows}


def _stacks():
    # Nested ones too; no API lists those of a stack that is gone.
    return _rows("heat", "stack", "id", "name", _ALIVE)


def _server_groups():
    return {
        row[0]: row[1]
        for row in base.sql(
            "nova_api", "SELECT uuid, name FROM instance_groups"
        )
    }


def _users(admin):
    found = {}
    for domain in ("magnum", "heat"):
        known = admin.identity.find_domain(domain)
        for one in admin.identity.users(domain_id=known.id):
            found[one.id] = f"{domain}/{one.name}"
    return found


def _assignments(admin):
    found = {}
    for one in admin.identity.role_assignments():
        actor = (one.user or one.group)["id"]
        found[f"{actor} {one.role['id']} {one.scope}"] = ""
    return found


def _tags(admin):
    return {
        f"{project.id} {tag}": project.name
        for project in admin.identity.projects()
        for tag in project.tags or ()
    }


def _files():
    """List files of Magnum and of the driver, wherever it keeps its own.

    The driver's state path is the machine's: other labs and tests use it.
    """
    found = [
        *(base.ROOT / "state/magnum").rglob("*"),
        *(base.ROOT / "home").rglob("*"),
    ]
    shared = base.pathlib.Path("/var/lib/magnum").rglob("*")
    found += [x for x in shared if any(one in x.name for one in base.MADE)]
    return {
        str(path): ""
        for path in found
        if path.is_file()
        and "/." not in str(path)
        # Counts of processes, also of those that are gone, are kept.
        and path.parent.name != "metrics"
    }
