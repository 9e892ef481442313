#!/usr/bin/env bash
# Build wheel and sdist, install each alone into an empty virtual environment
# and try there what needs the shipped files.
#
#   tests/package.sh DIRECTORY      DIRECTORY is made anew
#
# PYTHON has the package `build` with pbr and setuptools; UV installs faster
# than pip where it is set.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
work=$1
python=${PYTHON:-python3}
sample=$PWD/doc/source/user/samples/small.yaml
constraints=$PWD/lab/requirements.lock
uv=${UV:-}

main() {
    rm -rf "$work"
    mkdir -p "$work/source" "$work/dist"
    copy_source
    "$python" -m build --no-isolation --outdir "$work/dist" "$work/source" \
        >"$work/build.log" 2>&1 || { tail -n 20 "$work/build.log"; exit 1; }
    local package
    for package in "$work"/dist/*.whl "$work"/dist/*.tar.gz; do
        try "$package"
    done
}

# PBR asks git for the version and for the list of files, so the copy is a
# repository of its own with all files of this checkout, committed or not.
copy_source() {
    if [[ ! -e .git ]]; then
        export PBR_VERSION=0.0.1
        tar --exclude=./.tox --exclude=./build -cf - . |
            tar -xf - -C "$work/source"
    else
        git clone -q . "$work/source"
        git -C "$work/source" rm -rq --cached .
        git ls-files -z --cached --others --exclude-standard |
            while IFS= read -r -d '' path; do
                [[ ! -e $path ]] || printf '%s\0' "$path"
            done | tar --null -T - -cf - | tar -xf - -C "$work/source"
        git -C "$work/source" add -A
    fi
}

# Install one package with nothing but its own requirements.
try() {
    local kind=wheel package=$1
    [[ $package == *.whl ]] || kind=sdist
    local venv=$work/$kind
    if [[ -n $uv ]]; then
        "$uv" venv -q --python "$python" "$venv"
        "$uv" pip install -q --python "$venv/bin/python" -c "$constraints" \
            "$package"
    else
        "$python" -m venv "$venv"
        "$venv/bin/pip" install -q -c "$constraints" "$package"
    fi
    (cd / && check "$venv")
    echo "$kind: $(basename "$package") works in an empty environment"
    beside_magnum "$venv"
    echo "$kind: Magnum 23 finds the driver beside it"
}

# Magnum itself lists what it finds.
beside_magnum() {
    local magnum found
    magnum=$(grep '^magnum==' "$constraints")
    if [[ -n $uv ]]; then
        "$uv" pip install -q --python "$1/bin/python" -c "$constraints" \
            "$magnum"
    else
        "$1/bin/pip" install -q -c "$constraints" "$magnum"
    fi
    found=$(cd / && "$1/bin/magnum-driver-manage" list-drivers 2>/dev/null)
    grep -w k8s_kubeadm_v1 <<<"$found"
}

check() {
    "$1/bin/magnum-k8s-render" "$sample" >"$work/rendered.txt"
    grep -q 'OS::Nova::Server' "$work/rendered.txt"
    grep -q '/opt/magnum/' "$work/rendered.txt"
    [[ -x $1/bin/magnum-k8s-manage && -x $1/bin/magnum-k8s-preflight ]]
    "$1/bin/magnum-k8s-preflight" --help >"$work/preflight.txt"
    "$1/bin/python" - <<'END'
from importlib import metadata, resources
from magnum_k8s_driver.render import files
templates = resources.files("magnum_k8s_driver") / "templates"
assert files.root() == templates, files.root()
assert len(files.list_files("heat")) >= 2 and files.list_files("node")
points = {one.name: one for one in metadata.entry_points().select(
    value="magnum_k8s_driver.driver:Driver", group="magnum.drivers")}
assert "k8s_kubeadm_v1" in points, points
plugins = metadata.entry_points(group="tempest.test_plugins")
assert "magnum_k8s_tempest" in plugins.names, plugins
END
}

main
