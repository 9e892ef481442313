# SPDX-License-Identifier: Apache-2.0
"""Second half of ``lab/demo``, by the lab's Python: create and watch."""

from collections.abc import Mapping
import itertools
import os
import sys
import time
from typing import Any

from keystoneauth1 import exceptions as keystone_exceptions
import openstack
from openstack import connection
import requests

from lab import failure
from lab import progress
from lab.tour import client
from lab.tour import options as options_module
from lab.tour import screen as screen_module
from lab.tour import timing
from lab.tour import view
from lab.tour import watch
from magnum_k8s_driver import exceptions

TEMPLATE = "k8s-demo"
IMAGE = "ubuntu-24.04-kube-v1.36.4"
INTERVAL = 1.5
"""Seconds between two looks."""

FIELDS = (
    "status",
    "status_reason",
    "api_address",
    "master_addresses",
    "node_addresses",
    "coe_version",
    "health_status",
    "health_status_reason",
)
HEALTH_SECONDS = 45.0
"""Magnum asks for the health of complete clusters every ten seconds."""

TROUBLE = (
    exceptions.K8sDriverError,
    keystone_exceptions.ClientException,
    openstack.exceptions.SDKException,
    requests.RequestException,
)


def run(options: options_module.Options) -> int:
    cloud = openstack.connect()
    name = _free_name(cloud, options.name)
    _ensure_template(cloud)
    watcher = watch.Watcher(cloud, _create(cloud, options, name))
    stopwatch = timing.Stopwatch()
    last = _follow(watcher, stopwatch, options.timeout * 60)
    if last.status == "CREATE_COMPLETE":
        _await_health(watcher)
    print()
    _show(name)
    _show_times(stopwatch)
    code = _verdict(name, last, stopwatch)
    if options.delete:
        return _delete(watcher, name, options.timeout * 60) or code
    print(_advice(name, code == 0))
    return code


def _clusters(cloud: connection.Connection) -> list[Mapping[str, Any]]:
    answer = cloud.container_infrastructure_management.get("/clusters")
    answer.raise_for_status()
    found: list[Mapping[str, Any]] = answer.json()["clusters"]
    return found


def _free_name(cloud: connection.Connection, wanted: str) -> str:
    """Return the name to use.

    :raises LabError: the name asked for is taken.
    """
    taken = {one["name"]: one["status"] for one in _clusters(cloud)}
    if wanted in taken:
        raise failure.LabError(
            f"The cluster {wanted} exists already and is {taken[wanted]}; "
            f"choose another --name, or delete it with: openstack coe cluster "
            f"delete {wanted}"
        )
    if wanted:
        return wanted
    numbered = (f"demo-{number}" for number in itertools.count(2))
    candidates = itertools.chain(("demo",), numbered)
    return next(one for one in candidates if one not in taken)


def _ensure_template(cloud: connection.Connection) -> None:
    answer = cloud.container_infrastructure_management.get(
        f"/clustertemplates/{TEMPLATE}"
    )
    if answer.status_code == 200:
        print(f"The cluster template {TEMPLATE} is there already.")
        return
    options = {
        "coe": "kubernetes",
        "image": IMAGE,
        "external-network": "public",
        "master-flavor": "m1.medium",
        "flavor": "m1.medium",
        "network-driver": "calico",
        "dns-nameserver": "192.0.2.53",
    }
    words = [
        word for key, value in options.items() for word in (f"--{key}", value)
    ]
    client.run(
        "openstack", "coe", "cluster", "template", "create", TEMPLATE, *words
    )


def _create(
    cloud: connection.Connection, options: options_module.Options, name: str
) -> str:
    words = ["--cluster-template", TEMPLATE, "--keypair", "lab"]
    words += ["--master-count", str(options.masters)]
    words += ["--node-count", str(options.workers)]
    if options.load_balancer:
        words.append("--master-lb-enabled")
    client.run("openstack", "coe", "cluster", "create", name, *words)
    for one in _clusters(cloud):
        if one["name"] == name:
            return str(one["uuid"])
    raise failure.LabError(f"Magnum does not know the new cluster {name}.")


def _follow(
    watcher: watch.Watcher, stopwatch: timing.Stopwatch, limit: float
) -> view.Snapshot:
    """Show the cluster until Magnum is done with it or time is up."""
    screen = screen_module.choose()
    snapshot = watcher.look()
    while True:
        stopwatch.note(snapshot)
        screen.show(snapshot)
        if snapshot.is_over or stopwatch.elapsed > limit:
            return snapshot
        time.sleep(INTERVAL)
        snapshot = watcher.look()


def _await_health(watcher: watch.Watcher) -> None:
    print("Waiting for Magnum's first look at the health.", flush=True)
    deadline = time.monotonic() + HEALTH_SECONDS
    while time.monotonic() < deadline:
        if watcher.cluster().get("health_status") in ("HEALTHY", "UNHEALTHY"):
            return
        time.sleep(INTERVAL)


def _show(name: str) -> None:
    cluster = client.run_json("openstack", "coe", "cluster", "show", name)
    for field in FIELDS:
        value = cluster.get(field)
        if isinstance(value, list):
            value = ", ".join(map(str, value))
        print(f"  {field:20}  {value}")


def _show_times(stopwatch: timing.Stopwatch) -> None:
    print("\nSeconds since the request, when each step was done:")
    print("\n".join(stopwatch.step_table()))
    print("\nSeconds of each node: when its server ran, its phases, ready:")
    print("\n".join(stopwatch.node_table()))


def _verdict(
    name: str, last: view.Snapshot, stopwatch: timing.Stopwatch
) -> int:
    if last.status == "CREATE_COMPLETE":
        print(f"\nCluster {name} is CREATE_COMPLETE.")
        return 0
    if last.is_over:
        text = f"Cluster {name} is {last.status}: {last.reason}"
    else:
        text = (
            f"Cluster {name} is still {last.status} after "
            f"{stopwatch.elapsed / 60:.0f} minutes: {last.reason}"
        )
    progress.warn(f"\n{text}")
    return 1


def _delete(watcher: watch.Watcher, name: str, limit: float) -> int:
    print()
    client.run("openstack", "coe", "cluster", "delete", name)
    stopwatch = timing.Stopwatch()
    told = ""
    while cluster := watcher.cluster():
        status = cluster["status"]
        text = f"{status}: {cluster['status_reason'] or ''}"
        if text != told:
            print(f"[{stopwatch.elapsed:6.1f} s] {text}", flush=True)
            told = text
        if status == "DELETE_FAILED" or stopwatch.elapsed > limit:
            progress.warn(f"Cluster {name} is not deleted: {text}")
            return 1
        time.sleep(INTERVAL)
    print(f"Cluster {name} is deleted after {stopwatch.elapsed:.0f} s.")
    return 0


def _advice(name: str, is_complete: bool) -> str:
    root = os.environ["LAB_ROOT"]
    lines = ["", "What to try next", f"  . {root}/openrc"]
    if is_complete:
        lines += [
            f"  mkdir {name}",
            f"  openstack coe cluster config {name} --dir {name}",
            f"  kubectl --kubeconfig {name}/config get nodes",
            f"  openstack coe ca show {name}",
            "  openstack stack list; openstack server list",
        ]
    lines += [
        "  openstack console log show SERVER     # what a node says of itself",
        "  python3 -m lab logs magnum-conductor -f",
        f"  openstack coe cluster resize {name} 4",
        f"  openstack coe nodegroup create {name} extra --node-count 2",
        f"  openstack coe cluster delete {name}",
        "  lab/demo --masters 3 --load-balancer --workers 5 --delete",
        "  python3 -m lab status; python3 -m lab down",
        "The nodes are hollow: they boot, report and join as real ones do, "
        "but run no",
        "containers.",
    ]
    return "\n".join(lines)


def main(words: list[str]) -> int:
    try:
        return run(options_module.parse(words))
    except failure.LabError as exc:
        progress.warn(str(exc))
    except TROUBLE as exc:
        progress.warn(f"The lab does not answer as it should: {exc}")
    except KeyboardInterrupt:
        progress.warn("\nStopped watching; Magnum goes on by itself.")
        return 130
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
