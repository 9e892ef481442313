# SPDX-License-Identifier: Apache-2.0
"""The files shipped under ``templates/``, complete as they lie.

In a checkout ``templates/`` stands beside the package; a wheel carries it as
``magnum_k8s_driver/templates``. They are read when this module is: a
conductor goes on with those of its own code while a new package is put in
their place.
"""

from collections.abc import Iterator, Mapping
from importlib import resources
from importlib.resources import abc as resources_abc
import pathlib
import types


def root() -> resources_abc.Traversable:
    """Return the directory of the shipped templates.

    :raises FileNotFoundError: the installation is incomplete.
    """
    packaged = resources.files("magnum_k8s_driver") / "templates"
    if packaged.is_dir():
        return packaged
    beside = pathlib.Path(__file__).resolve().parents[2] / "templates"
    if beside.is_dir():
        return beside
    raise FileNotFoundError("The driver's templates are not installed.")


def read_text(path: str) -> str:
    """Return the text of a file.

    :param path: below ``templates/``, such as ``heat/cluster.yaml``.
    """
    return _TEXTS[path]


def list_files(path: str) -> tuple[str, ...]:
    """Return the paths of all files below a directory, sorted.

    :param path: directory below ``templates/``.
    :returns: paths below ``templates/``.
    """
    return tuple(one for one in _TEXTS if one.startswith(f"{path}/"))


def _read(
    directory: resources_abc.Traversable, path: str = ""
) -> Iterator[tuple[str, str]]:
    """Return path and text of every file below a directory."""
    for entry in directory.iterdir():
        if entry.name.startswith(("__", ".")):
            continue
        below = f"{path}{entry.name}"
        if entry.is_dir():
            yield from _read(entry, f"{below}/")
        else:
            yield below, entry.read_text(encoding="utf-8")


_TEXTS: Mapping[str, str] = types.MappingProxyType(dict(sorted(_read(root()))))
