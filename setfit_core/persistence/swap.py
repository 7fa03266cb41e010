"""A folder that is replaced as a whole: written beside its place, made durable, and swapped in.

While a model is saved to `model`, a workspace `.model.XXXXXXXX.saving` lies beside it, with these entries:

- `lock`, which the process that writes holds as long as it lives;
- `new`, what is being written, and after an exchange what was there before;
- `old`, only where the system can't exchange two folders in one step: the model that had to make room. It is always
  whole, so whoever finds no model at `model` may put it back. Before it is deleted, it loses this name.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import logging
import os
import re
import secrets
import shutil
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import safetensors

from setfit_core.errors import PersistenceError, SetFitError

logger = logging.getLogger(__name__)

T = TypeVar("T")

_SUFFIX = ".saving"
_LOCK, _NEW, _OLD = "lock", "new", "old"
#: How often something is tried again that another process got in the way of.
_TRIES = 100
_LOOKS = 10
#: For how many seconds a process that swaps is waited for.
_LONGEST_TURN = 10.0
#: What systems say that have no exchange, or not on this file system. Some sandboxes answer EPERM.
_NO_EXCHANGE = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM})
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_AT_FDCWD = -100
_EXCHANGE = 2  # RENAME_EXCHANGE on Linux, RENAME_SWAP on macOS


@contextlib.contextmanager
def replacing(target: Path, *, at_least: int = 0) -> Iterator[Path]:
    """Give a new folder to write into, which takes the target's place when the block ends without an error.

    A process that dies at any moment leaves the old folder or the new one at the target, never a mixture. What is in
    the old folder goes, except entries whose name starts with a dot (such as `.git`); they are carried over, links as
    links. Of several processes that replace one target at the same time, the last one wins.

    Args:
        target: Where the folder is to be; an absolute path without symbolic links. Parents are created.
        at_least: How many bytes will be written at least; for the message of a full disk.

    Yields:
        An empty folder on the file system of the target.

    Raises:
        PersistenceError: If it can't be written. What was there before is still there.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target)
        with _workspace(target) as workspace:
            written = workspace / _NEW
            # A folder of its own: the workspace is readable by its owner only.
            written.mkdir()
            yield written
            _flush(written)
            with _turn(target.parent), _kept_working_directory(target):
                if target.exists():
                    shutil.copymode(target, written)
                    _carry_over(target, written)
                _place(written, target, workspace / _OLD)
            with contextlib.suppress(OSError):
                _sync(target.parent)
    except SetFitError:
        raise
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        raise PersistenceError(_failure(target, reason, at_least)) from error


def recovered(folder: str | os.PathLike[str]) -> bool:
    """Put an old model back in its place if a process died just while it swapped in the new one.

    That can only have happened where the system can't exchange two folders in one step.

    Returns:
        Whether there was something to put back.
    """
    target = Path(os.path.realpath(folder))
    for _ in range(_LOOKS):
        if os.path.lexists(target):
            return False
        for old in _set_aside(target):
            # Anything else that may be at the target by now is whole, too, and a folder never replaces a full one.
            with contextlib.suppress(OSError):
                old.rename(target)
                logger.warning("The model that a save had moved aside is back in its place, %s.", target)
                return True
        if not _workspaces(target):
            return False
        # Between the two looks, somebody who saves may have come to the end of it, or to the next save.
    return False


def read_whole(folder: Path, read: Callable[[Path], T]) -> T:
    """Read from a folder that other processes may replace meanwhile, all of it from the same one.

    Args:
        folder: The folder.
        read: Called with the folder, and again if the folder was replaced before it was done.

    Returns:
        What `read` returned.

    Raises:
        PersistenceError: If the folder is replaced faster than it can be read.
        Exception: Whatever `read` raised, if the folder was not replaced.
    """
    for _ in range(_TRIES):
        recovered(folder)
        with _held(folder):
            before = _identity(folder)
            try:
                result = read(folder)
            except Exception:
                if not recovered(folder) and _identity(folder) == before:
                    raise
            else:
                if before is not None and _identity(folder) == before:
                    return result
    raise PersistenceError(f"{folder} is being replaced all the time. Load it when nothing saves to it.")


@contextlib.contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Keep a folder's number from being given to another one, by holding it open."""
    with contextlib.ExitStack() as opened:
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                opened.callback(os.close, os.open(folder, os.O_RDONLY | os.O_DIRECTORY))
        yield


def _identity(folder: Path) -> tuple[int, int, int] | None:
    """Return what another folder at this path would not have; None if there is no folder.

    The time changes when the folder is moved, so that it also shows when it was away for a moment.
    """
    with contextlib.suppress(OSError):
        found = folder.stat()
        return found.st_dev, found.st_ino, found.st_ctime_ns
    return None


# Workspaces


def _prefix(target: Path) -> str:
    name = os.fsencode(target.name)
    # A long name leaves no room for more in a file name.
    return f".{target.name if len(name) < 200 else hashlib.sha256(name).hexdigest()}."


def _workspaces(target: Path) -> list[Path]:
    pattern = re.compile(re.escape(_prefix(target)) + "[0-9a-f]{8}" + re.escape(_SUFFIX))
    try:
        with os.scandir(target.parent) as entries:
            return [
                Path(entry.path)
                for entry in entries
                if pattern.fullmatch(entry.name) and entry.is_dir(follow_symlinks=False)
            ]
    except OSError:
        return []


@contextlib.contextmanager
def _workspace(target: Path) -> Iterator[Path]:
    for _ in range(_TRIES):
        workspace = target.parent / f"{_prefix(target)}{secrets.token_hex(4)}{_SUFFIX}"
        workspace.mkdir(mode=0o700)
        try:
            lock = os.open(workspace / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue  # another process took it for a left-over one
        except OSError:
            with contextlib.suppress(OSError):
                workspace.rmdir()
            raise
        try:
            try:
                if not _try_lock(lock) or not os.fstat(lock).st_nlink:
                    continue  # another process is just sweeping it
            except OSError:
                # Where there are no locks, nobody can take it for a left-over one either.
                logger.debug("No locks beside %s.", target, exc_info=True)
            try:
                yield workspace
            finally:
                _clear(workspace, target)
            return
        finally:
            _unlock(lock, workspace)
    raise PersistenceError(f"Nothing can be written beside {target}: whatever is made there is removed at once.")


def sweep(target: Path) -> None:
    """Remove the workspaces that dead processes left beside a target."""
    for workspace in _workspaces(target):
        with contextlib.suppress(OSError):
            if sys.platform != "win32" and workspace.stat().st_uid != os.geteuid():
                continue  # never delete by a path that somebody else may point elsewhere
            if not os.path.lexists(workspace / _LOCK):
                workspace.rmdir()  # if it isn't empty, it isn't one of ours
                continue
            lock = os.open(workspace / _LOCK, os.O_RDWR)
            try:
                if _try_lock(lock):
                    _clear(workspace, target)
            finally:
                _unlock(lock, workspace)


def _clear(workspace: Path, target: Path) -> None:
    """Remove a workspace whose lock is held; what it can't remove is left for the next save.

    The old model in it goes back if the target is missing, and is never removed before it is known that the target
    is there.
    """
    old = workspace / _OLD
    if os.path.lexists(old):
        with contextlib.suppress(OSError):
            if not os.path.lexists(target):
                old.rename(target)
        if not os.path.lexists(target):
            return
        with contextlib.suppress(OSError):
            _drop(old)
        if os.path.lexists(old):
            return
    with contextlib.suppress(OSError):
        for entry in workspace.iterdir():
            # The lock comes last: without it, nobody would ever remove the rest.
            if entry.name != _LOCK:
                shutil.rmtree(entry, ignore_errors=True)
    if sys.platform != "win32":
        _remove_emptied(workspace)


def _unlock(lock: int, workspace: Path) -> None:
    os.close(lock)
    if sys.platform == "win32":
        _remove_emptied(workspace)  # no open file can be removed there


def _remove_emptied(workspace: Path) -> None:
    with contextlib.suppress(OSError):
        if [entry.name for entry in workspace.iterdir()] == [_LOCK]:
            (workspace / _LOCK).unlink()
            workspace.rmdir()


def _drop(old: Path) -> None:
    """Remove an old model that is no longer needed; a half removed one never has the name of a whole one."""
    junk = old.parent / secrets.token_hex(4)
    with contextlib.suppress(FileNotFoundError):  # somebody put it back
        old.rename(junk)
    shutil.rmtree(junk, ignore_errors=True)


def _set_aside(target: Path) -> list[Path]:
    """Return the old models in workspaces, the newest first."""
    found = []
    for workspace in _workspaces(target):
        with contextlib.suppress(OSError):
            if (workspace / _OLD).is_dir():
                found.append((workspace.stat().st_mtime_ns, workspace / _OLD))
    return [old for _, old in sorted(found, reverse=True)]


def _try_lock(descriptor: int) -> bool:
    """Lock an open file until it is closed or the process ends; say False if somebody else has it locked.

    Raises:
        OSError: If the file system has no locks.
    """
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK):
            return False
        raise
    return True


@contextlib.contextmanager
def _turn(parent: Path) -> Iterator[None]:
    """Wait until no other process is swapping something into this folder.

    Only carrying over relies on it: who looks for hidden entries just while another process has moved the old folder
    aside would find none. So where a folder can't be locked, or somebody keeps it locked, it goes on without.
    """
    with contextlib.ExitStack() as opened:
        if sys.platform != "win32":
            with contextlib.suppress(OSError):
                descriptor = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
                opened.callback(os.close, descriptor)
                deadline = time.monotonic() + _LONGEST_TURN
                while not _try_lock(descriptor) and time.monotonic() < deadline:
                    time.sleep(0.005)
        yield


# Swapping


def _place(written: Path, target: Path, aside: Path) -> None:
    for _ in range(_TRIES):
        with contextlib.suppress(FileNotFoundError):  # nothing is there, or not any more
            if _exchange(written, target):
                return
            target.rename(aside)
        try:
            written.rename(target)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            # Another process was faster, so what had to make room has been replaced anyway.
            _drop(aside)
        else:
            return
    raise PersistenceError(f"{target} is being replaced all the time. Save when nothing else saves to it.")


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two folders in one step; say False where the system can't.

    Raises:
        OSError: If the system can, but not these.
    """
    paths = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            failed = library.renamex_np(paths[0], paths[1], ctypes.c_uint(_EXCHANGE))
        else:
            failed = library.renameat2(_AT_FDCWD, paths[0], _AT_FDCWD, paths[1], ctypes.c_uint(_EXCHANGE))
    except (AttributeError, TypeError):
        return False  # an old C library; on Windows there is no such library
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in _NO_EXCHANGE:
        return False
    raise OSError(code, os.strerror(code), str(one), None, str(other))


@contextlib.contextmanager
def _kept_working_directory(target: Path) -> Iterator[None]:
    """If this process works in the target, let it work in the new one: the old one is about to go."""
    try:
        here = Path.cwd()
    except OSError:
        here = None
    yield
    if here is not None and here.is_relative_to(target):
        os.chdir(here if here.is_dir() else target)


def _carry_over(target: Path, written: Path) -> None:
    for entry in target.iterdir():
        copy = written / entry.name
        if not entry.name.startswith(".") or os.path.lexists(copy):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.copytree(entry, copy, symlinks=True, copy_function=_link)
            _flush(copy)
        else:
            _link(entry, copy)
    _sync(written)


def _link(source: str | os.PathLike[str], copy: str | os.PathLike[str]) -> None:
    """Give a file a second name, so that nothing of it is read or changed; copy it where that isn't possible."""
    try:
        os.link(source, copy, follow_symlinks=False)
    except (OSError, NotImplementedError):
        mode = os.lstat(source).st_mode
        if stat.S_ISREG(mode) or stat.S_ISLNK(mode):
            shutil.copy2(source, copy, follow_symlinks=False)
            _sync(Path(copy))


# Durability


def _flush(folder: Path) -> None:
    """Have everything in a folder written to the disk, so that a power cut after the swap leaves no empty files."""
    for place, _, names in os.walk(folder, topdown=False):
        for name in names:
            _sync(Path(place, name))
        _sync(Path(place))


def _sync(path: Path) -> None:
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode) and (sys.platform == "win32" or not stat.S_ISDIR(mode)):
        return
    try:
        descriptor = os.open(path, os.O_RDWR if sys.platform == "win32" else os.O_RDONLY)
    except PermissionError:
        return  # carried over from somebody else; this process hasn't written it
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Not every file system can do this with a folder.
        if stat.S_ISREG(mode) or error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(descriptor)


# Errors


def _reason(error: Exception) -> OSError | safetensors.SafetensorError | None:
    """Return the failure of the file system that an error tells of, or None."""
    if isinstance(error, (OSError, safetensors.SafetensorError)):
        return error
    # Libraries in Rust raise types of their own with the system's number in the text. And what fails to close its
    # file on a full disk may raise anything after the error that counts.
    cause: BaseException | None = error
    while cause is not None:
        code = _code(cause)
        if code is not None and (cause is error or code in _FULL):
            return cause if isinstance(cause, OSError) else OSError(code, os.strerror(code))
        cause = cause.__cause__ or cause.__context__
    return None


def _code(error: BaseException) -> int | None:
    if isinstance(error, OSError):
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def _failure(target: Path, reason: Exception, at_least: int) -> str:
    text = f"The model could not be saved to {target}: {reason}."
    code = _code(reason)
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        text += f" It is written beside its place first, so {target.parent} must be writable."
    elif code in (errno.EBUSY, errno.EXDEV):
        text += " The system can't move that folder: a mount point, or part of a read-only layer. Choose another place."
    elif code == errno.ENOSPC:
        with contextlib.suppress(OSError):
            needed = f", and its weights alone need {_readable(at_least)}" if at_least else ""
            text += f" There are {_readable(shutil.disk_usage(target.parent).free)} free now{needed}."
    aside = [] if os.path.lexists(target) else _set_aside(target)
    if aside:
        return f"{text} What was there before is now in {aside[0]}; move it back."
    return f"{text} What was there before is unchanged."


def _readable(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.1f} kB"
