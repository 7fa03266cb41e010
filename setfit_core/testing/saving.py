"""Saving and loading the heads of a trial as the core saves and loads them."""

from __future__ import annotations

import functools
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from setfit_core.errors import UnsavableHeadError, UntrustedTypesError
from setfit_core.heads.construction import HeadRecipe
from setfit_core.persistence.config import HeadRecord
from setfit_core.persistence.head import read_head, write_head
from setfit_core.testing.target import Copies
from setfit_core.testing.trial import Trial
from setfit_core.testing.verdicts import CheckFailed, CheckSkipped

__all__ = ["Saver", "saver_of", "temporary_folder"]


@dataclass(frozen=True)
class Saver:
    """Saves and loads the heads of a trial as the core does.

    Attributes:
        trial: The trial.
        recipe: How the head was built; None if it was given as it is.
        built_with: The keywords that it was built with; None if it was given as it is.
        named: What a user passes as `head=` to load it; None if the saved model says which head it is.
    """

    trial: Trial
    recipe: HeadRecipe | None
    built_with: Mapping[str, Any] | None
    named: Any

    def write(self, folder: Path, head: Any) -> HeadRecord:
        """Save a head into an empty folder.

        Raises:
            CheckFailed: If it can't be saved.
            CheckSkipped: If that is for want of a place where its class could be found again.
        """
        try:
            return write_head(folder, head, self.recipe, self.built_with)
        except UnsavableHeadError as error:
            if "<locals>" in type(head).__qualname__ and not self.trial.differentiable:
                raise CheckSkipped(
                    "the head's class is defined inside a function, where no file format finds it again; define it in "
                    "a module to have it tried"
                ) from error
            raise CheckFailed(str(error)) from error

    def read(self, folder: Path, record: HeadRecord) -> tuple[Any, tuple[str, ...]]:
        """Load a head; return it and the types that had to be trusted for that."""
        read = functools.partial(read_head, folder, record, head=self.named, device="cpu")
        try:
            return read()[0], ()
        except UntrustedTypesError as error:
            return read(trusted=error.types)[0], error.types


def saver_of(trial: Trial, head: Any, built_with: Mapping[str, Any]) -> tuple[Saver, str]:
    """Return what saves a head that was built with these keywords, and a note for the report where one is due."""
    recipe = trial.recipe
    built = Saver(trial, recipe, built_with, recipe.factory if recipe.info is None else None)
    if not isinstance(recipe.factory, Copies):
        return built, ""
    given = Saver(trial, None, None, type(head))
    try:
        with temporary_folder() as folder:
            given.write(folder, head)
    except CheckFailed as failure:
        if trial.differentiable:
            # What it was built with can't be seen from outside; a user who passes a factory can save it all the same.
            return built, f"it can be saved only if it is built by a class or function: {failure.seen}"
    except Exception:  # said by the check, where it matters
        return given, ""
    return given, ""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Yield a new folder, which goes away with all that is in it; nor does its name get into a report."""
    with tempfile.TemporaryDirectory(prefix="setfit-core-", ignore_cleanup_errors=True) as folder:
        try:
            yield Path(folder)
        except CheckFailed as failure:
            raise CheckFailed(failure.seen.replace(f"{folder}{os.sep}", ""), failure.remedy) from failure
