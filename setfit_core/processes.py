"""The processes that train one model together, as `torchrun` and `accelerate launch` start them.

A process on its own is the main one of one.
"""

from __future__ import annotations

import atexit
import os
import pickle
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final, TypeVar

import torch
from torch import distributed

from setfit_core.errors import SetFitError

T = TypeVar("T")

_PATIENCE: Final = timedelta(days=7)


def launched() -> int:
    """Return how many processes a launcher has started, whether or not they have met."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def joined(device: torch.device) -> torch.device:
    """Join the other processes, if a launcher has started several, and return the device that is this process's.

    Args:
        device: Where the body is. On a CPU the processes talk with gloo; of several GPUs each process has its own.
    """
    if launched() < 2:
        return device
    from accelerate import PartialState  # 1 s of import that a process on its own spares

    own = not distributed.is_initialized()
    # What the main process does alone, such as choosing a head, may take longer than torch would wait for it.
    state = PartialState(cpu=device.type == "cpu", timeout=_PATIENCE)
    if own:
        # A process that ends without it can crash over the connections of one that has ended before.
        atexit.register(_left)
    return device if device.type == "cpu" else torch.device(state.device)


def count() -> int:
    """Return how many processes there are."""
    return distributed.get_world_size() if _several() else 1


def rank() -> int:
    """Return the number of this process, from 0 on."""
    return distributed.get_rank() if _several() else 0


def is_main() -> bool:
    """Tell whether this is the process that writes files and trains heads."""
    return rank() == 0


def once(do: Callable[[], T]) -> T:
    """Do something in the main process, and return its result in all of them.

    Args:
        do: What to do. Its result, or the exception that it raises, is sent to the other processes as a pickle.

    Raises:
        Exception: What `do` raises, in every process.
        SetFitError: If its result can't be pickled.
    """
    if not _several():
        return do()
    outcome: list[Any] = [None, None]
    if is_main():
        try:
            outcome[0] = _pickled(do())
        except Exception as error:  # the others wait for whatever comes
            outcome[1] = _sendable(error)
    distributed.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        raise outcome[1]
    result: T = pickle.loads(outcome[0])  # noqa: S301  # from a process of this training
    return result


def _pickled(result: Any) -> bytes:
    try:
        return pickle.dumps(result)
    except Exception as error:  # a foreign head may hold anything
        msg = (
            f"What the main process has trained can't be sent to the others, for it can't be pickled ({error}). Take "
            "out what can't, such as lambdas and open files, or train in one process."
        )
        raise SetFitError(msg) from error


def _sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301  # our own
    except Exception:  # an exception of a head's library may do anything
        return SetFitError(f"{type(error).__name__}: {error}")
    return error


def gathered(mine: T) -> list[T]:
    """Return what each process has, in their order."""
    if not _several():
        return [mine]
    everyones: list[Any] = [None] * count()
    distributed.all_gather_object(everyones, mine)
    return everyones


def _left() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1
