# SPDX-License-Identifier: Apache-2.0
"""What Magnum 22's in-tree ``k8s_fedora_coreos_v1`` needs besides a cloud.

Its nodes run an agent that answers Heat's software deployments, and it asks
an etcd discovery service for a URL. Here both answers come at once, so what
is measured is the driver and the cloud, as with hollow nodes of ours.
"""

from collections.abc import Iterator
import contextlib
import functools
import http.server
import json
import logging
import threading
import time
from typing import Any

from lab import database
from lab import settings as lab_settings

LOG = logging.getLogger(__name__)
IMAGE = "fedora-coreos"
"""Name and ``os_distro`` of an image that only this driver takes."""
_POLL_SECONDS = 0.5
_AGAIN_SECONDS = 20.0
_DEPLOYMENTS = (
    "SELECT d.id, HEX(c.config) FROM heat.software_deployment d "
    "JOIN heat.software_config c ON c.id = d.config_id "
    "WHERE d.status = 'IN_PROGRESS'"
)


@contextlib.contextmanager
def image(cloud: Any) -> Iterator[str]:
    """Make the image, give its id, and delete it."""
    made = cloud.image.create_image(
        name=IMAGE,
        data=b"an image that never boots",
        disk_format="raw",
        container_format="bare",
        os_distro=IMAGE,
        wait=False,
    )
    try:
        yield made.id
    finally:
        cloud.image.delete_image(made)


@contextlib.contextmanager
def nodes(settings: lab_settings.Settings, cloud: Any) -> Iterator[None]:
    """Answer for all nodes of this user's clusters meanwhile."""
    stop = threading.Event()
    answer = functools.partial(_answer, settings, cloud, stop)
    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _answer(
    settings: lab_settings.Settings, cloud: Any, stop: threading.Event
) -> None:
    """Send the signal each node would, seeing from Heat's database when."""
    asked: dict[str, float] = {}
    while not stop.wait(_POLL_SECONDS):
        for line in database.query(settings, _DEPLOYMENTS).splitlines():
            deployment, config = line.split("\t")
            now = time.monotonic()
            if now - asked.get(deployment, -_AGAIN_SECONDS) < _AGAIN_SECONDS:
                continue
            if _signal(cloud, json.loads(bytes.fromhex(config))):
                asked[deployment] = now


def _signal(cloud: Any, config: dict[str, Any]) -> bool:
    inputs = {one["name"]: one.get("value") for one in config["inputs"]}
    path = (
        f"/stacks/{inputs['deploy_stack_id']}/resources/"
        f"{inputs['deploy_resource_name']}/signal"
    )
    success = {
        "deploy_status_code": 0,
        "deploy_stdout": "",
        "deploy_stderr": "",
    }
    answer = cloud.orchestration.post(path, json=success)
    if not answer.ok:
        LOG.warning("Heat answers a signal with %s", answer.text[:200])
    return bool(answer.ok)


class _Discovery(http.server.BaseHTTPRequestHandler):
    """One control-plane node, whatever the token."""

    def do_GET(self) -> None:
        body = b'{"node": {"value": "1"}}'
        self.send_response(http.HTTPStatus.OK)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        """Say nothing: the benchmark prints tables."""


@contextlib.contextmanager
def discovery() -> Iterator[str]:
    """Serve an etcd discovery URL for one control-plane node."""
    address = (lab_settings.HOST, 0)
    with http.server.ThreadingHTTPServer(address, _Discovery) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            host, port = server.server_address[:2]
            yield f"http://{host!s}:{port}/one"
        finally:
            server.shutdown()
