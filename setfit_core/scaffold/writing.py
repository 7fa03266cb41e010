"""Writing the package of a new head, whole or not at all."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from setfit_core.errors import ArgumentError
from setfit_core.scaffold.naming import HeadNames

if TYPE_CHECKING:
    from collections.abc import Mapping

_TEMPLATES: Final = Path(__file__).parent / "templates"
#: Template files end with this, so that no tool takes them for code or configuration of setfit-core.
_SUFFIX: Final = ".template"
#: The templates are the package of this head; its names are what is replaced, in contents and in paths.
_PLACEHOLDER: Final = HeadNames("placeholder")
_PLACEHOLDER_AUTHOR: Final = f"The {_PLACEHOLDER.distribution} developers"


def write_package(
    names: HeadNames, directory: Path, *, differentiable: bool = False, author: str | None = None
) -> None:
    """Write the package of a head that works.

    Everything is written into a temporary folder and then moved. After any failure nothing is left of it.

    Args:
        names: The names of the head.
        directory: Where to write: a folder that is empty, or does not exist but its parent does.
        differentiable: Whether the head is a torch module instead of a classifier on arrays.
        author: Who writes the head, for `pyproject.toml`; None stands for "the developers".

    Raises:
        ArgumentError: If the directory holds something, is no directory or can't be written.
    """
    replacements = {
        _PLACEHOLDER.distribution: names.distribution,
        _PLACEHOLDER.package: names.package,
        _PLACEHOLDER.class_name: names.class_name,
        _PLACEHOLDER.head: names.head,
    }
    if author is not None:
        # TOML's strings have the escapes of JSON's.
        replacements[_PLACEHOLDER_AUTHOR] = json.dumps(author, ensure_ascii=False)[1:-1]
    target = directory.expanduser().resolve()
    try:
        _check_target(target)
        # On the same file system, so that moving is renaming.
        beside = target if target.exists() else target.parent
        with tempfile.TemporaryDirectory(prefix=f".{names.package}.", dir=beside) as workspace:
            # A folder of its own and not the temporary one: that one is readable by its owner only.
            written = Path(workspace, "new")
            _fill("common", written, replacements)
            _fill("differentiable" if differentiable else "non-differentiable", written, replacements)
            _move(written, target)
    except OSError as error:
        raise ArgumentError(
            f"The package can't be written to {target}: {error.strerror or error}. Nothing was left there. Choose "
            "another folder."
        ) from error


def _check_target(target: Path) -> None:
    if not target.parent.is_dir():
        raise ArgumentError(f"{target} can't be made, because there is no folder {target.parent}. Make that one first.")
    if target.exists() and not target.is_dir():
        raise ArgumentError(f"{target} is a file, and it is not overwritten. Choose another folder.")
    if target.exists() and any(target.iterdir()):
        raise ArgumentError(
            f"The folder {target} is not empty, and nothing in it is overwritten. Choose another folder, or empty "
            "this one."
        )


def _fill(templates: str, written: Path, replacements: Mapping[str, str]) -> None:
    """Write the files of a set of templates, with the names of the new head."""
    # In one pass: a new name may contain an old one.
    pattern = re.compile("|".join(map(re.escape, replacements)))

    def filled(text: str) -> str:
        return pattern.sub(lambda match: replacements[match[0]], text)

    for template in _TEMPLATES.joinpath(templates).rglob(f"*{_SUFFIX}"):
        relative = template.relative_to(_TEMPLATES / templates).as_posix()
        path = written / filled(relative.removesuffix(_SUFFIX))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(filled(template.read_text(encoding="utf-8")), encoding="utf-8", newline="\n")


def _move(written: Path, target: Path) -> None:
    if not target.exists():
        written.rename(target)
        return
    # An empty folder stays the one that it is: it may be somebody's working directory.
    moved: list[Path] = []
    try:
        moved.extend(entry.rename(target / entry.name) for entry in written.iterdir())
    except BaseException:
        for entry in moved:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        raise
