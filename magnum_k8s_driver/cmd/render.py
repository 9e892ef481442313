# SPDX-License-Identifier: Apache-2.0
"""``magnum-k8s-render``: what a specification would send, offline.

Nothing is asked and nothing is changed: what a cloud would have answered
stands in the file or is guessed, and secrets are dummies.
"""

import argparse
import pathlib
import sys

import yaml

from magnum_k8s_driver import exceptions
from magnum_k8s_driver.cmd import documents as documents_module
from magnum_k8s_driver.cmd import specification
from magnum_k8s_driver.model import fields
from magnum_k8s_driver.model import inputs as inputs_module
from magnum_k8s_driver.model import problems as problems_module
from magnum_k8s_driver.model import spec as spec_module
from magnum_k8s_driver.render import materials
from magnum_k8s_driver.render import releases

_DEFAULT_TIMEOUT = 60


def render(text: str) -> documents_module.Documents:
    """Return every document of a specification file.

    :raises InvalidClusterSpec: with every problem there is.
    """
    given = specification.read(text)
    spec = _spec(given)
    timeout = given.inputs.create_timeout_minutes or _DEFAULT_TIMEOUT
    return documents_module.documents(spec, timeout)


def bill_of_materials(text: str) -> str:
    """Return what a specification file needs to be mirrored, as YAML.

    :raises InvalidClusterSpec: with every problem there is.
    """
    found = materials.bill(_spec(specification.read(text)))
    return yaml.safe_dump(found, sort_keys=False, width=100)


def main(words: list[str] | None = None) -> int:
    """Run the command.

    :returns: exit code: 0, 1 for a specification with problems, 2 for a
        file that cannot be read or written.
    """
    options = _parse(words)
    try:
        return _run(options)
    except BrokenPipeError:
        # Whoever reads has seen enough; nothing is left to be flushed.
        sys.stdout = None
        return 0
    except (OSError, UnicodeDecodeError) as exc:
        print(f"magnum-k8s-render: {exc}", file=sys.stderr)
        return 2


def _parse(words: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="magnum-k8s-render",
        description="Print every document that creating a cluster would "
        "send to Heat and to its nodes, without a cloud. Secrets are dummies.",
    )
    parser.add_argument(
        "spec", metavar="SPEC.yaml", help="cluster specification, - for stdin"
    )
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        metavar="DIR",
        help="write files below this directory instead of printing them",
    )
    parser.add_argument(
        "--bill-of-materials",
        action="store_true",
        help="print, as YAML, only which container images, charts and files "
        "the cluster needs, for a mirror",
    )
    return parser.parse_args(words)


def _run(options: argparse.Namespace) -> int:
    if options.spec == "-":
        text = sys.stdin.read()
    else:
        text = pathlib.Path(options.spec).read_text(encoding="utf-8")
    try:
        if options.bill_of_materials:
            print(bill_of_materials(text), end="")
            return 0
        found = render(text)
    except exceptions.InvalidClusterSpec as exc:
        for problem in exc.problems:
            print(problem, file=sys.stderr)
        return 1
    for sentence in _warnings(text):
        print(sentence, file=sys.stderr)
    if options.output:
        _write(options.output, found)
    else:
        _print(found)
        sys.stdout.flush()
    return 0


def _spec(given: specification.Specification) -> spec_module.ClusterSpec:
    """Return the validated specification.

    :raises InvalidClusterSpec: with the problems of the file, too.
    """
    problems: list[problems_module.Problem] = list(given.problems)
    try:
        spec = inputs_module.to_spec(given.inputs, given.facts, _site())
    except exceptions.InvalidClusterSpec as exc:
        problems += exc.problems
    if problems:
        raise exceptions.InvalidClusterSpec(problems)
    return spec


def _site() -> fields.Site:
    return fields.Site(
        kubernetes_versions={
            minor: release.kubernetes_version
            for minor, release in releases.read_releases().items()
        }
    )


def _warnings(text: str) -> list[str]:
    return inputs_module.warnings(specification.read(text).inputs, _site())


def _write(directory: pathlib.Path, found: documents_module.Documents) -> None:
    for path, content in found.items():
        file = directory / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    print(f"{len(found)} files below {directory}")


def _print(found: documents_module.Documents) -> None:
    for path, content in found.items():
        if path.endswith("/user-data"):
            # Their files follow, readable.
            continue
        print(f"##### {path}")
        print(content.decode("utf-8", "backslashreplace").rstrip("\n"))
        print()


if __name__ == "__main__":
    sys.exit(main())
