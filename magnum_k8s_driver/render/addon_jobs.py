# SPDX-License-Identifier: Apache-2.0
"""Kubernetes Jobs that let Helm install, change and remove charts.

One Job runs on a control-plane node in the host's network, so that it works
before there is a pod network. Its last line of output is what people are
told when it fails.
"""

from collections.abc import Collection
import json
from typing import Any

from magnum_k8s_driver.addons import access
from magnum_k8s_driver.addons import addon
from magnum_k8s_driver.model import spec as spec_module

IDENTITY_LABEL = "magnum.openstack.org/addon-id"
"""What of an add-on a Job installs; another id, another Job."""
_ATTEMPTS = 3
_DEADLINE_SECONDS = 900
_WAIT = "5m"
_VALUES = "values.json"
_OCI = "oci://"
_OWN_CHART = "/values/chart"
_OWN_VERSION = "1.0.0"
_OBJECTS = "{{ range .Values.objects }}---\n{{ toYaml . }}\n{{ end }}"

_PLACES = {
    "Chart.yaml": "chart/Chart.yaml",
    "objects.yaml": "chart/templates/objects.yaml",
    "more.yaml": "chart/templates/more.yaml",
}
"""Where the files of a chart of ours lie."""

# A Job that was killed leaves a release that Helm refuses to touch.
_INSTALL = """\
n="$1"; r="$2"; shift 2
case "$(helm status "$r" --namespace "$n" 2>/dev/null)" in
*"STATUS: pending-install"*|*"STATUS: uninstalling"*)
  helm uninstall "$r" --namespace "$n" ;;
*"STATUS: pending-"*) helm rollback "$r" --namespace "$n" ;;
esac
exec helm upgrade --install "$r" --namespace "$n" "$@"
"""


def job_name(name: str) -> str:
    """Return the name of an add-on's Job and of the Secret of its values."""
    return f"magnum-addon-{name}"


def install(
    one: addon.Addon,
    setting: addon.Setting,
    helm: addon.Image,
    identity: str,
) -> list[addon.Object]:
    """Return what has to be applied so that Helm installs a chart.

    :param helm: image of the Job.
    :param identity: changes when anything of the add-on does.
    """
    files = _files(one, setting)
    arguments = [one.namespace, one.name, *_chart(one, setting)]
    arguments += ["--values", f"/values/{_VALUES}"]
    # An API server that has just begun does not describe itself yet; it
    # checks what it is given all the same.
    arguments += ["--disable-openapi-validation"]
    if one.wait:
        arguments += ["--wait", "--timeout", _WAIT]
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": job_name(one.name), "namespace": addon.SYSTEM},
        "stringData": files,
    }
    command = ["sh", "-c", _INSTALL, "helm", *arguments]
    return [
        *namespace(one),
        secret,
        _job(one.name, setting.spec, helm, identity, command, files=files),
    ]


def _files(one: addon.Addon, setting: addon.Setting) -> dict[str, str]:
    """Return what Helm reads: the values, perhaps with a chart for them.

    A slash is not possible in the name of a file of a Secret.
    """
    if one.released is None:
        values = one.values(setting) if one.values else {}
        return {_VALUES: json.dumps(values, sort_keys=True)}
    about = {"apiVersion": "v2", "name": one.name, "version": _OWN_VERSION}
    values = {"objects": one.released(setting)}
    files = {
        _VALUES: json.dumps(values, sort_keys=True),
        "Chart.yaml": json.dumps(about),
        "objects.yaml": _OBJECTS,
    }
    return {**files, "more.yaml": one.template} if one.template else files


def _chart(one: addon.Addon, setting: addon.Setting) -> list[str]:
    """Return the arguments that name a chart."""
    if one.released is not None:
        return [_OWN_CHART]
    component = setting.component
    mirror = setting.spec.labels.chart_mirror.rstrip("/")
    repository = mirror or component.repository
    chart = [component.chart, "--repo", repository]
    if repository.startswith(_OCI):
        chart = [f"{repository}/{component.chart}"]
    return [*chart, "--version", component.version]


def remove(
    one: addon.Addon,
    spec: spec_module.ClusterSpec,
    helm: addon.Image,
    identity: str,
) -> list[addon.Object]:
    """Return what has to be applied so that Helm removes a chart."""
    command = ["helm", "uninstall", one.name, "--namespace", one.namespace]
    command += ["--ignore-not-found", "--wait", "--timeout", _WAIT]
    # The Secret of the values may be gone; the Job does not need it.
    return [_job(one.name, spec, helm, identity, command)]


def namespace(one: addon.Addon) -> list[addon.Object]:
    """Return the namespace of an add-on, nothing for Kubernetes' own."""
    if one.namespace == addon.SYSTEM:
        return []
    metadata: dict[str, Any] = {"name": one.namespace}
    if one.privileged:
        # Whatever a cluster's default is: it is part of the machine.
        metadata["labels"] = {
            "pod-security.kubernetes.io/enforce": "privileged"
        }
    return [{"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}]


def _job(
    name: str,
    spec: spec_module.ClusterSpec,
    helm: addon.Image,
    identity: str,
    command: list[str],
    *,
    files: Collection[str] = (),
) -> addon.Object:
    labels = {IDENTITY_LABEL: identity}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": job_name(name),
            "namespace": addon.SYSTEM,
            "labels": labels,
        },
        "spec": {
            "backoffLimit": _ATTEMPTS - 1,
            "activeDeadlineSeconds": _DEADLINE_SECONDS,
            "template": {
                "metadata": {"labels": labels},
                "spec": {
                    "restartPolicy": "Never",
                    "hostNetwork": True,
                    "serviceAccountName": access.ACCOUNT,
                    "nodeSelector": addon.on_control_plane(),
                    "tolerations": addon.tolerations(),
                    **_pod(job_name(name), spec, helm, command, files),
                },
            },
        },
    }


def _pod(
    secret: str,
    spec: spec_module.ClusterSpec,
    helm: addon.Image,
    command: list[str],
    files: Collection[str],
) -> dict[str, Any]:
    container: dict[str, Any] = {
        "name": "helm",
        "image": str(helm),
        "command": command,
        # What Helm says last is what the board tells.
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }
    environment = _proxy(spec)
    if environment:
        container["env"] = environment
    found: dict[str, Any] = {"containers": [container]}
    if files:
        container["volumeMounts"] = [
            {"name": "values", "mountPath": "/values", "readOnly": True}
        ]
        source: dict[str, Any] = {"secretName": secret}
        if len(files) > 1:
            source["items"] = [
                {"key": one, "path": _PLACES.get(one, one)} for one in files
            ]
        found["volumes"] = [{"name": "values", "secret": source}]
    return found


def _proxy(spec: spec_module.ClusterSpec) -> list[dict[str, str]]:
    proxy = spec.proxy
    direct = ",".join(dict.fromkeys((*proxy.no_proxy, ".svc")))
    pairs = {
        "HTTP_PROXY": proxy.http,
        "HTTPS_PROXY": proxy.https,
        "NO_PROXY": direct if proxy.http or proxy.https else "",
    }
    return [
        {"name": name, "value": value}
        for name, value in pairs.items()
        if value
    ]
