"""The processes that train one model together, as `torchrun` and `accelerate launch` start them.

A process on its own is the main one of one.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import distributed

T = TypeVar("T")


def joined(device: torch.device) -> torch.device:
    """Join the other processes, if a launcher has started several, and return the device that is this process's.

    Args:
        device: Where the body is. On a CPU the processes talk with gloo; of several GPUs each process has its own.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return device
    from accelerate import PartialState  # 1 s of import that a process on its own spares

    own = not distributed.is_initialized()
    state = PartialState(cpu=device.type == "cpu")
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
    """
    if not _several():
        return do()
    outcome: list[Any] = [None, None]
    if is_main():
        try:
            outcome[0] = do()
        except Exception as error:  # the others wait for whatever comes
            outcome[1] = error
    distributed.broadcast_object_list(outcome, src=0)
    if outcome[1] is not None:
        raise outcome[1]
    result: T = outcome[0]
    return result


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
