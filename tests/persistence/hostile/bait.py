"""What hostile files try to do: leave a mark, by means that a test can see."""

from __future__ import annotations

from pathlib import Path


def marker(folder: Path) -> Path:
    """The file that exists as soon as code from a hostile folder has run, or written outside of the folder."""
    return folder.parent / "ran"


def command(folder: Path) -> str:
    """A shell command that leaves the mark."""
    return f"touch {marker(folder)}"


def statement(folder: Path) -> str:
    """A Python statement that leaves the mark."""
    return f"open({str(marker(folder))!r}, 'w').close()"
