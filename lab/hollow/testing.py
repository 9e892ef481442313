# SPDX-License-Identifier: Apache-2.0
"""Doors for the unit tests: a clock that jumps, a Heat in memory."""

import base64
from collections.abc import Callable
from collections.abc import Mapping
from concurrent import futures
import datetime
import functools
import json
import pathlib
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives import serialization
from cryptography import x509
from cryptography.x509 import oid
import yaml

from lab.hollow import document
from lab.hollow import node as node_module
from lab.hollow import scheduler
from lab.hollow import signals
from lab.hollow import world as world_module
from magnum_k8s_driver.model import board
from magnum_k8s_driver.model import join_token
from magnum_k8s_driver.render import ca_hash

CLUSTER = "11111111-2222-4333-8444-555555555555"
JOIN_ROOT = bytes(range(32))
BOARD_KEY = bytes(range(32, 64))
VERSION = "v1.36.4"
NOW = 1763800000.0


class ManualScheduler(scheduler.Scheduler):
    """Time passes only when a test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = 1000.0

    def monotonic(self) -> float:
        return self.clock

    def wall(self) -> float:
        return NOW + self.clock

    def advance(self, seconds: float) -> None:
        """Let time pass, running every event at its own moment."""
        end = self.clock + seconds
        while True:
            wait = self.run_due()
            if wait is None or self.clock + wait > end:
                self.clock = end
                return
            self.clock += wait + 1e-6


class Inline(futures.Executor):
    """Run at once what a pool would run later."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any):
        future: futures.Future[Any] = futures.Future()
        future.set_result(fn(*args, **kwargs))
        return future


class FakeHeat:
    """Handles by name, each with the metadata Heat would keep."""

    def __init__(self) -> None:
        self.handles: dict[str, dict[str, Any]] = {}
        self.deployed: dict[str, str] = {}
        self.posts = 0
        self.down = False

    def configs(self, credentials: Mapping[str, Any], key: str) -> list[str]:
        if self.down:
            raise OSError("Heat is away")
        return [self.deployed[key]] if key in self.deployed else []

    def post(
        self, credentials: Mapping[str, Any], body: Mapping[str, Any]
    ) -> None:
        if self.down:
            raise OSError("Heat is away")
        self.posts += 1
        entry = {k: v for k, v in body.items() if k != "id"}
        handle = self.handles.setdefault(credentials["alarm_url"], {})
        handle[body["id"]] = entry

    def board(self, name: str) -> board.Board:
        return board.read_board(self.handles.get(name, {}), BOARD_KEY)


@functools.cache
def authority() -> tuple[str, str]:
    """Return certificate and key of a CA."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, "ca")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return (
        certificate.public_bytes(serialization.Encoding.PEM).decode(),
        _private(key),
    )


def _private(key: ec.EllipticCurvePrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def client_certificate() -> str:
    """Return certificate and key of a user of the cluster."""
    issuer = x509.load_pem_x509_certificate(authority()[0].encode())
    signer = serialization.load_pem_private_key(authority()[1].encode(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(oid.NameOID.COMMON_NAME, "admin")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(2)
        .not_valid_before(issuer.not_valid_before_utc)
        .not_valid_after(issuer.not_valid_after_utc)
        .sign(signer, hashes.SHA256())
    )
    return certificate.public_bytes(
        serialization.Encoding.PEM
    ).decode() + _private(key)


def node_document(role: str = "worker", **changes: Any) -> dict[str, Any]:
    """Return a node document, control planes with their secrets."""
    ca, ca_key = authority()
    found: dict[str, Any] = {
        "v": 1,
        "cluster": {"uuid": CLUSTER, "name": "prod"},
        "operation": "create-1",
        "role": role,
        "group": "default-worker",
        "kubernetes_version": VERSION,
        "endpoint": {"host": "10.0.0.9", "port": 6443},
        "signals": {"distress": {"alarm_url": "distress"}},
    }
    if role == "worker":
        token = join_token.join_token(JOIN_ROOT, CLUSTER, NOW)
        found["join"] = {"token": token, "ca_hashes": [ca_hash.ca_hash(ca)]}
    else:
        found |= {"group": "default-master", "init": False, "member": "0"}
        found["signals"]["board"] = {"alarm_url": "board-0"}
        found["secrets"] = {
            "pki": {"ca.crt": ca, "ca.key": ca_key},
            "join_root": JOIN_ROOT.hex(),
            "board_key": BOARD_KEY.hex(),
        }
    return {**found, **changes}


def control_plane(member: str, init: bool, **changes: Any) -> dict[str, Any]:
    """Return the document of one control-plane member."""
    found = node_document("control-plane", **changes)
    found |= {"member": member, "init": init}
    found["signals"]["board"] = {"alarm_url": f"board-{member}"}
    return found


def user_data(content: Mapping[str, Any]) -> bytes:
    """Wrap a node document in a cloud-config."""
    encoded = base64.b64encode(json.dumps(content).encode()).decode()
    one = {"path": document.PATH, "encoding": "b64", "content": encoded}
    text = yaml.safe_dump({"write_files": [one]})
    return f"#cloud-config\n{text}".encode()


class Lab:
    """A world with a manual clock, a fake Heat and no jitter."""

    def __init__(self, root: pathlib.Path) -> None:
        self.root = root
        self.heat = FakeHeat()
        self.scheduler = ManualScheduler()
        self.behave()
        sender = signals.Sender(self.scheduler, self.heat, Inline())
        self.world = world_module.World(root, self.scheduler, sender)

    def behave(self, **content: Any) -> None:
        """Write the behaviour file."""
        path = self.root / "state/hollow/behaviour.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"jitter": 0, **content}))

    def boot(
        self, name: str, content: Mapping[str, Any], **metadata: str
    ) -> None:
        """Boot a server whose id is its name with ``id-`` before."""
        server = node_module.Server(f"id-{name}", name, "10.0.0.7")
        self.world.boot(server, user_data(content), metadata)

    def run(self, seconds: float) -> None:
        self.scheduler.advance(seconds)

    def state(self) -> dict[str, Any]:
        """Return the cluster's state file."""
        path = self.root / f"state/hollow/clusters/{CLUSTER}.json"
        found: dict[str, Any] = json.loads(path.read_text())
        return found
