"""Seeing what is written to standard output, by Python or past it."""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Final, TextIO

__all__ = ["StdoutWatch", "flush", "watched_stdout"]

_STDOUT: Final = 1


@dataclass
class StdoutWatch:
    """What has been written to standard output, of which nothing gets through.

    Attributes:
        python: Takes the place of `sys.stdout`.
        file: Takes the place of the file descriptor; None if the process has none.
    """

    python: io.TextIOWrapper
    file: IO[bytes] | None
    _read: int = 0

    def taken(self) -> tuple[str, str]:
        """Return what Python has written to `sys.stdout`, and what came to the descriptor, since the last time."""
        written = ""
        with contextlib.suppress(ValueError):  # whoever has closed the stream prints no more
            self.python.seek(0)
            written = self.python.read()
            self.python.seek(0)
            self.python.truncate()
        if self.file is None:
            return written, ""
        flush(sys.__stdout__)
        self.file.seek(self._read)
        below = self.file.read()
        self._read += len(below)
        return written, below.decode("utf-8", "replace")


@contextmanager
def watched_stdout() -> Iterator[StdoutWatch]:
    """Keep everything that is written to standard output in this block, also by C code and child processes."""
    python = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="replace", write_through=True)
    with contextlib.ExitStack() as stack:
        try:
            stdout = os.dup(_STDOUT)
        except OSError:  # closed: nothing can be written there, and it must not become another file's number
            file = None
        else:
            stack.callback(os.close, stdout)
            # For appending, so that reading it moves nobody's place to write.
            file = stack.enter_context(tempfile.TemporaryFile(mode="a+b"))
            flush(sys.__stdout__)
            os.dup2(file.fileno(), _STDOUT)
            stack.callback(os.dup2, stdout, _STDOUT)
            stack.callback(flush, sys.__stdout__)
        with contextlib.redirect_stdout(python):
            yield StdoutWatch(python, file)


def flush(*streams: TextIO | None) -> None:
    """Let out what waits above the descriptor: in Python's streams, and in the C library, which Python doesn't know of.

    Args:
        streams: Python's streams; None stands for one that the process doesn't have.
    """
    for stream in streams:
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()  # type: ignore[union-attr]  # None has no flush, as is suppressed
    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).fflush(None)
