# SPDX-License-Identifier: Apache-2.0
"""Stands in for the kubelet, and where it should run an API server for it.

It takes the real flags and files, gets its certificate by the real way
(bootstrap token, request, approval), registers its Node and keeps it ready
while containerd answers. It runs no pods.
"""

import argparse
import base64
import http.server
import json
import pathlib
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error

import yaml

from standins import api
from standins import client
from standins import pki
from standins import record
from standins import store

KUBERNETES = pathlib.Path("/etc/kubernetes")
MANIFEST = KUBERNETES / "manifests/kube-apiserver.yaml"
BOOT_ID = pathlib.Path("/proc/sys/kernel/random/boot_id")
HEALTH_PORT = 10248
BEAT_SECONDS = 10
FIRST_BEATS = 1.0
CLIENT_USAGES = ["digital signature", "client auth"]


def parse(words: list[str]):
    parser = argparse.ArgumentParser(prog="kubelet", allow_abbrev=False)
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--config")
    parser.add_argument("--config-dir")
    parser.add_argument("--kubeconfig")
    parser.add_argument("--bootstrap-kubeconfig")
    parser.add_argument("--node-labels", default="")
    parser.add_argument("--register-with-taints", default="")
    parser.add_argument("--node-ip", default="")
    options, rest = parser.parse_known_args(words)
    options.rest = rest
    return options


def configuration(options) -> dict:
    """Return the configuration with its drop-ins in order.

    :raises OSError: kubeadm has not written it yet.
    """
    found = yaml.safe_load(pathlib.Path(options.config).read_text())
    if options.config_dir:
        for path in sorted(pathlib.Path(options.config_dir).glob("*.conf")):
            dropin = yaml.safe_load(path.read_text())
            if dropin.get("kind") != "KubeletConfiguration":
                raise ValueError(f"{path} is no KubeletConfiguration")
            found = store.merge(found, dropin)
    return found


def bootstrap(options) -> None:
    """Get a certificate with the bootstrap token, once."""
    target = pathlib.Path(options.kubeconfig)
    if target.exists():
        return
    joiner = client.Client(options.bootstrap_kubeconfig)
    name = f"system:node:{socket.gethostname()}"
    request, key = pki.request((name, "system:nodes"))
    body = {
        "metadata": {"generateName": "csr-"},
        "spec": {
            "request": client.encode(request),
            "signerName": "kubernetes.io/kube-apiserver-client-kubelet",
            "usages": CLIENT_USAGES,
        },
    }
    made = client.until(
        lambda: joiner.call("POST", client.REQUESTS, body), 300
    )
    path = f"{client.REQUESTS}/{made['metadata']['name']}"
    while True:
        found = client.until(lambda: joiner.call("GET", path), 300)
        signed = found.get("status", {}).get("certificate")
        if signed:
            break
        time.sleep(0.5)
    certificate = base64.b64decode(signed).decode()
    user = {
        "client-certificate-data": client.encode(certificate),
        "client-key-data": client.encode(key),
    }
    new = target.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_text(client.config(joiner.server, joiner.ca, user))
    new.rename(target)


def node(options, settings: dict) -> dict:
    """Return the Node as a kubelet registers it."""
    name = socket.gethostname()
    labels = dict(
        one.split("=", 1) for one in options.node_labels.split(",") if one
    )
    labels["kubernetes.io/hostname"] = name
    labels["kubernetes.io/os"] = "linux"
    if MANIFEST.exists():
        labels["node-role.kubernetes.io/control-plane"] = ""
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": {
            "providerID": settings.get("providerID", ""),
            "taints": [
                _taint(one)
                for one in options.register_with_taints.split(",")
                if one
            ],
        },
        "status": status(options, settings),
    }


def _taint(text: str) -> dict:
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return {"key": key, "value": value, "effect": effect}


def status(options, settings: dict) -> dict:
    well = containerd_answers()
    now = store.now()
    address = {"type": "InternalIP", "address": options.node_ip}
    return {
        "addresses": [
            *([address] if options.node_ip else []),
            {"type": "Hostname", "address": socket.gethostname()},
        ],
        "conditions": [
            {
                "type": "Ready",
                "status": "True" if well else "False",
                "reason": "KubeletReady" if well else "KubeletNotReady",
                "message": "stand-in; no pod is run",
                "lastHeartbeatTime": now,
                "lastTransitionTime": now,
            }
        ],
        "nodeInfo": {
            "kubeletVersion": record.version(),
            "bootID": BOOT_ID.read_text().strip(),
            "containerRuntimeVersion": "containerd",
            "operatingSystem": "linux",
        },
    }


def containerd_answers() -> bool:
    done = subprocess.run(
        ["ctr", "--connect-timeout", "5s", "version"],
        capture_output=True,
        check=False,
    )
    return done.returncode == 0


def register(kubelet: client.Client, wanted: dict) -> None:
    try:
        kubelet.call("POST", f"{client.CORE}/nodes", wanted)
    except urllib.error.HTTPError as exc:
        if exc.code != 409:
            raise


def beat_forever(kubelet: client.Client, options, settings: dict) -> None:
    path = f"{client.CORE}/nodes/{socket.gethostname()}"
    while True:
        change = {"status": status(options, settings)}
        try:
            kubelet.call("PATCH", path, change)
            time.sleep(BEAT_SECONDS)
        except OSError as exc:
            print(f"the API cannot be told: {exc}", file=sys.stderr)
            time.sleep(FIRST_BEATS)


def serve_health() -> None:
    class Healthy(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, format, *args) -> None:
            """Be quiet."""

    server = http.server.HTTPServer(("127.0.0.1", HEALTH_PORT), Healthy)
    threading.Thread(target=server.serve_forever, daemon=True).start()


def api_port() -> int:
    manifest = yaml.safe_load(MANIFEST.read_text())
    for word in manifest["spec"]["containers"][0]["command"]:
        if word.startswith("--secure-port="):
            return int(word.partition("=")[2])
    return 6443


def run(options) -> None:
    settings = configuration(options)
    print(json.dumps({"configuration": settings, "rest": options.rest}))
    sys.stdout.flush()
    serve_health()
    if MANIFEST.exists():
        api.start(api_port())
    bootstrap(options)
    kubelet = client.Client(options.kubeconfig)
    wanted = node(options, settings)
    client.until(lambda: register(kubelet, wanted), 600)
    beat_forever(kubelet, options, settings)


def main() -> int:
    record.call("kubelet")
    # systemd does not split a variable's value at quoted blanks as a shell.
    words = [part for one in sys.argv[1:] for part in shlex.split(one)]
    options = parse(words)
    if options.version:
        print(f"Kubernetes {record.version()}")
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        run(options)
    except (OSError, ValueError, KeyError, TypeError) as exc:
        print(f"error: {type(exc).__name__}: {exc}", file=sys.stderr)
        return 1
    return 0
