# SPDX-License-Identifier: Apache-2.0
"""Stands in for kubeadm: init, join of workers, certs renew, version.

It reads the real configuration files, refuses what the real preflight
refuses, writes the files the real one writes and waits for what the real
one waits for. Static pods are not run: the kubelet's stand-in serves the
API itself.
"""

import argparse
import json
import os
import pathlib
import secrets
import shlex
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request

import yaml

from standins import client
from standins import pki
from standins import record

KUBERNETES = pathlib.Path("/etc/kubernetes")
MANIFESTS = KUBERNETES / "manifests"
PKI = KUBERNETES / "pki"
KUBELET = pathlib.Path("/var/lib/kubelet")
COMPONENTS = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
)
ADMIN = ("kubernetes-admin", "kubeadm:cluster-admins")
WAIT_SECONDS = 120
JOIN_SECONDS = 240


class Failed(Exception):
    """What goes wrong, as the real program would say it."""


def init(options) -> None:
    documents = read(options.config)
    cluster = documents["ClusterConfiguration"]
    registration = documents["InitConfiguration"]["nodeRegistration"]
    endpoint = cluster["controlPlaneEndpoint"]
    port = documents["InitConfiguration"]["localAPIEndpoint"]["bindPort"]
    data = pathlib.Path(cluster["etcd"]["local"]["dataDir"])
    preflight(
        options,
        {
            **_absent("manifests", *(f"{one}.yaml" for one in COMPONENTS)),
            "DirAvailable--var-lib-etcd-data": not _filled(data),
            f"Port-{port}": not _is_open(port),
        },
    )
    certificates(cluster, endpoint)
    ca = (PKI / "ca.crt").read_text()
    authority = _authority()
    server = f"https://{endpoint}"
    node = f"system:node:{socket.gethostname()}", "system:nodes"
    for name, subject in (("admin", ADMIN), ("kubelet", node)):
        _kubeconfig(name, server, ca, authority.issue(subject))
    for name in COMPONENTS:
        _put(MANIFESTS / f"{name}.yaml", _manifest(name, cluster, port))
    data.joinpath("member").mkdir(parents=True, exist_ok=True)
    start_kubelet(documents["KubeletConfiguration"], registration)
    _wait_for_api(port)
    # The load balancer needs a moment to see it.
    admin = client.Client(KUBERNETES / "admin.conf")
    client.until(lambda: admin.call("GET", "/version"), WAIT_SECONDS)
    _furnish(admin, documents)
    print("Your Kubernetes control-plane has initialized successfully!")


def join(options) -> None:
    documents = read(options.config)
    wanted = documents["JoinConfiguration"]
    if "controlPlane" in wanted:
        raise Failed("this stand-in joins workers only")
    preflight(options, _absent("", "kubelet.conf", "pki/ca.crt"))
    discovery = wanted["discovery"]["file"]["kubeConfigPath"]
    joiner = client.Client(discovery)
    path = f"{client.CORE}/namespaces/kube-system/configmaps/"
    try:
        found = client.until(
            lambda: joiner.call("GET", f"{path}kubelet-config"), WAIT_SECONDS
        )
    except OSError as exc:
        raise Failed(f"couldn't validate the identity: {exc}") from exc
    _put(PKI / "ca.crt", joiner.ca)
    _put(
        KUBERNETES / "bootstrap-kubelet.conf",
        client.config(joiner.server, joiner.ca, {"token": joiner.token}),
        0o600,
    )
    start_kubelet(
        yaml.safe_load(found["data"]["kubelet"]), wanted["nodeRegistration"]
    )
    end = time.monotonic() + JOIN_SECONDS
    while not (KUBERNETES / "kubelet.conf").exists():
        if time.monotonic() > end:
            raise Failed("timed out waiting for the TLS bootstrap")
        time.sleep(0.5)
    (KUBERNETES / "bootstrap-kubelet.conf").unlink()
    print("This node has joined the cluster.")


def preflight(options, checks: dict[str, bool]) -> None:
    ignored = set((options.ignore_preflight_errors or "").split(","))
    failed = [
        name
        for name, passed in checks.items()
        if not passed and not ignored & {name, "all"}
    ]
    for name in failed:
        print(f"\t[ERROR {name}]: the check failed", file=sys.stderr)
    if failed:
        raise Failed("[preflight] Some fatal errors occurred")


def certificates(cluster: dict, endpoint: str) -> None:
    """Make the API server's certificate; the CA has to be there."""
    if not (PKI / "ca.key").exists():
        raise Failed(f"{PKI}/ca.key is missing; the driver delivers the CA")
    names = [
        socket.gethostname(),
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        endpoint.rpartition(":")[0].strip("[]"),
        *_own_addresses(),
        *cluster["apiServer"].get("certSANs", ()),
    ]
    made = _authority().issue(
        ("kube-apiserver",), list(dict.fromkeys(names)), pki.SERVER
    )
    _put(PKI / "apiserver.crt", made[0])
    _put(PKI / "apiserver.key", made[1], 0o600)


def start_kubelet(configuration: dict, registration: dict) -> None:
    _put(KUBELET / "config.yaml", yaml.safe_dump(configuration))
    flags = [
        f"--{one['name']}={one['value']}"
        for one in registration.get("kubeletExtraArgs", ())
    ]
    taints = [
        f"{one['key']}={one.get('value', '')}:{one['effect']}"
        for one in registration.get("taints", ())
    ]
    if taints:
        flags.append(f"--register-with-taints={','.join(taints)}")
    _put(
        KUBELET / "kubeadm-flags.env",
        f'KUBELET_KUBEADM_ARGS="{shlex.join(flags)}"\n',
    )
    subprocess.run(["systemctl", "restart", "kubelet"], check=True)


def read(path: str) -> dict[str, dict]:
    """Return the documents of a configuration file by kind."""
    loaded = yaml.safe_load_all(pathlib.Path(path).read_text())
    documents = {one["kind"]: one for one in loaded}
    for kind, one in documents.items():
        group = one["apiVersion"]
        if kind.startswith(("Init", "Cluster", "Join")) and (
            group != "kubeadm.k8s.io/v1beta4"
        ):
            raise Failed(f"{kind} has the unknown version {group}")
    return documents


def renew(options) -> None:
    """Renew nothing but say so; no test lives for eleven months."""
    print("stand-in: certificates are left as they are")


def _furnish(admin: client.Client, documents: dict) -> None:
    """Make the objects that kubeadm leaves in a new cluster."""
    space = f"{client.CORE}/namespaces/kube-system"
    number, secret = secrets.token_hex(3), secrets.token_hex(8)
    kubelet = yaml.safe_dump(documents["KubeletConfiguration"])
    cluster = yaml.safe_dump(documents["ClusterConfiguration"])
    binding = {"metadata": {"name": "kubeadm:node-autoapprove-bootstrap"}}
    for path, body in (
        (f"{client.CORE}/namespaces", {"metadata": {"name": "kube-system"}}),
        (f"{client.CORE}/namespaces", {"metadata": {"name": "default"}}),
        (f"{space}/configmaps", _map("kubelet-config", kubelet=kubelet)),
        (
            f"{space}/configmaps",
            _map("kubeadm-config", ClusterConfiguration=cluster),
        ),
        ("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding),
        (
            f"{space}/secrets",
            {
                "type": "bootstrap.kubernetes.io/token",
                "metadata": {"name": f"bootstrap-token-{number}"},
                "stringData": {"token-id": number, "token-secret": secret},
            },
        ),
    ):
        try:
            client.until(lambda p=path, b=body: _post(admin, p, b), 30)
        except urllib.error.HTTPError as exc:
            raise Failed(f"{path}: {exc}") from exc


def _post(admin: client.Client, path: str, body: dict) -> None:
    try:
        admin.call("POST", path, body)
    except urllib.error.HTTPError as exc:
        if exc.code != 409:
            raise


def _map(name: str, **data: str) -> dict:
    return {"metadata": {"name": name}, "data": data}


def _manifest(name: str, cluster: dict, port: int) -> str:
    section = {
        "kube-apiserver": "apiServer",
        "kube-controller-manager": "controllerManager",
        "kube-scheduler": "scheduler",
    }.get(name)
    extra = cluster.get(section, {}).get("extraArgs", ()) if section else ()
    command = [name, *(f"--{one['name']}={one['value']}" for one in extra)]
    if name == "kube-apiserver":
        command.append(f"--secure-port={port}")
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "kube-system"},
            "spec": {"containers": [{"name": name, "command": command}]},
        }
    )


def _kubeconfig(name: str, server: str, ca: str, pair) -> None:
    user = {
        "client-certificate-data": client.encode(pair[0]),
        "client-key-data": client.encode(pair[1]),
    }
    text = client.config(server, ca, user)
    _put(KUBERNETES / f"{name}.conf", text, 0o600)


def _authority() -> pki.Authority:
    return pki.Authority(
        (PKI / "ca.crt").read_bytes(), (PKI / "ca.key").read_bytes()
    )


def _absent(directory: str, *names: str) -> dict[str, bool]:
    found = {}
    for name in names:
        path = KUBERNETES / directory / name
        check = str(path).lower().replace("/", "-")
        found[f"FileAvailable-{check}"] = not path.exists()
    return found


def _filled(directory: pathlib.Path) -> bool:
    return directory.exists() and any(directory.iterdir())


def _is_open(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _own_addresses() -> list[str]:
    listed = subprocess.run(
        ["ip", "-json", "address", "show", "scope", "global"],
        capture_output=True,
        check=True,
    ).stdout
    return [
        address["local"]
        for link in json.loads(listed)
        for address in link.get("addr_info", ())
        if address.get("family") == "inet"
    ]


def _wait_for_api(port: int) -> None:
    trusting = ssl.create_default_context(cafile=str(PKI / "ca.crt"))
    url = f"https://127.0.0.1:{port}/livez"

    def ask() -> None:
        urllib.request.urlopen(url, timeout=5, context=trusting).close()

    client.until(ask, WAIT_SECONDS, 0.5)


def _put(path: pathlib.Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def parse(words: list[str]):
    parser = argparse.ArgumentParser(prog="kubeadm")
    commands = parser.add_subparsers(dest="command", required=True)
    shown = commands.add_parser("version")
    shown.add_argument("-o", "--output", default="")
    shown.set_defaults(run=lambda options: print(record.version()))
    for name, run in (("init", init), ("join", join)):
        one = commands.add_parser(name)
        one.add_argument("--config", required=True)
        one.add_argument("--ignore-preflight-errors", default="")
        one.add_argument("--skip-token-print", action="store_true")
        one.set_defaults(run=run)
    certs = commands.add_parser("certs")
    certs.add_argument("words", nargs="*")
    certs.set_defaults(run=renew)
    return parser.parse_args(words)


def main() -> int:
    record.call("kubeadm")
    options = parse(sys.argv[1:])
    try:
        options.run(options)
    except (Failed, OSError, KeyError, subprocess.SubprocessError) as exc:
        print(f"error: {type(exc).__name__}: {exc}", file=sys.stderr)
        return 1
    return 0
