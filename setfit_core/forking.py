"""What a process that was forked needs in order to go on: locks that are free, and no threads that it hasn't got."""

from __future__ import annotations

import os
import threading

import torch


def fork_safe_lock() -> threading.RLock:
    """Return a lock that no forked process finds held by a thread that only its parent has."""
    lock = threading.RLock()
    if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
        os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=lock.release)
    return lock


def compute_alone_in_forks() -> None:
    """Let every process that is forked from this one compute with one thread of torch.

    OpenMP's threads don't live on in a forked process. GNU's OpenMP, which torch uses on Linux, waits for them all the
    same as soon as it needs more than one thread, so the process would hang in its first large operation. The workers
    of torch's data loader compute with one thread, too. A process whose parent has computed nothing may call
    `torch.set_num_threads` itself.
    """
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: torch.set_num_threads(1))
