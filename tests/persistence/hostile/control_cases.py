"""What the harness must notice: cases that do harm for certain, by changing the process that loads the folder."""

from __future__ import annotations

import ctypes
import os
import pickle
import socket
from collections.abc import Callable
from pathlib import Path

import setfit_core.saved
from hostile.bait import command, marker


def _on_loading(harm: Callable[[], object]) -> None:
    # Only the fork that made this folder goes on with the changed function.
    load_body = setfit_core.saved.load_body

    def harmful(*arguments: object, **keywords: object) -> object:
        harm()
        return load_body(*arguments, **keywords)  # type: ignore[arg-type]  # passed through

    setfit_core.saved.load_body = harmful  # type: ignore[assignment]  # the harm of this case


def runs_a_command(folder: Path) -> None:
    _on_loading(lambda: os.system(command(folder)))


def unpickles(folder: Path) -> None:
    content = pickle.dumps(os.getcwd)
    _on_loading(lambda: pickle.loads(content))


def writes_a_file(folder: Path) -> None:
    _on_loading(marker(folder).touch)


def runs_code_of_the_folder(folder: Path) -> None:
    (folder / "code.py").write_text("x = 1", encoding="utf-8")
    _on_loading(lambda: exec(compile("x = 1", str(folder / "code.py"), "exec")))


def asks_the_network(folder: Path) -> None:
    _on_loading(lambda: socket.socket(socket.AF_UNIX).connect_ex(str(folder / "nobody")))


def crashes(folder: Path) -> None:
    _on_loading(lambda: ctypes.string_at(0))


def takes_too_much(folder: Path) -> None:
    _on_loading(lambda: bytearray(3 * 2**30))


def raises_a_stranger(folder: Path) -> None:
    _on_loading(lambda: {}["missing"])


def does_nothing(folder: Path) -> None:
    pass


CASES = (
    runs_a_command,
    unpickles,
    writes_a_file,
    runs_code_of_the_folder,
    asks_the_network,
    crashes,
    takes_too_much,
    raises_a_stranger,
    does_nothing,
)
