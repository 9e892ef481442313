# SPDX-License-Identifier: Apache-2.0
"""A client of the API for the other stand-ins, by a kubeconfig file."""

import base64
import json
import pathlib
import ssl
import tempfile
import time
import urllib.error
import urllib.request

import yaml

CORE = "/api/v1"
REQUESTS = "/apis/certificates.k8s.io/v1/certificatesigningrequests"
SECONDS = 10


class Client:
    """One kubeconfig's cluster and user."""

    def __init__(self, path: str | pathlib.Path) -> None:
        config = yaml.safe_load(pathlib.Path(path).read_text())
        cluster = config["clusters"][0]["cluster"]
        user = config["users"][0]["user"]
        self.server = cluster["server"]
        self.ca = _content(cluster, "certificate-authority")
        self.token = user.get("token", "")
        self._context = ssl.create_default_context(cadata=self.ca)
        certificate = _content(user, "client-certificate")
        if certificate:
            with tempfile.NamedTemporaryFile("w") as file:
                file.write(certificate + _content(user, "client-key"))
                file.flush()
                self._context.load_cert_chain(file.name)

    def call(self, method: str, path: str, body=None):
        """Return the answer's document.

        :raises urllib.error.HTTPError: the API refuses.
        :raises OSError: it cannot be reached.
        """
        headers = {"Content-Type": "application/json"}
        if method == "PATCH":
            headers["Content-Type"] = "application/merge-patch+json"
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        asked = urllib.request.Request(
            self.server + path,
            data=None if body is None else json.dumps(body).encode(),
            headers=headers,
            method=method,
        )
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}),
            urllib.request.HTTPSHandler(context=self._context),
        )
        with opener.open(asked, timeout=SECONDS) as answer:
            return json.loads(answer.read() or "null")


def config(server: str, ca: str, user: dict) -> str:
    """Return the text of a kubeconfig."""
    cluster = {"server": server, "certificate-authority-data": encode(ca)}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "kubernetes", "cluster": cluster}],
            "users": [{"name": "user", "user": user}],
            "contexts": [
                {
                    "name": "default",
                    "context": {"cluster": "kubernetes", "user": "user"},
                }
            ],
            "current-context": "default",
        }
    )


def encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def until(action, seconds: float, pause: float = 1.0):
    """Return what an action returns once it does not raise OSError.

    HTTP errors are such errors, too.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            return action()
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(pause)


def _content(section: dict, key: str) -> str:
    if section.get(f"{key}-data"):
        return base64.b64decode(section[f"{key}-data"]).decode()
    path = section.get(key)
    return pathlib.Path(path).read_text() if path else ""
