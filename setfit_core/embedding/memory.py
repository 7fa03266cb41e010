"""Running out of memory: how it shows, and what is raised when nothing smaller can be tried."""

from __future__ import annotations

import torch

#: What a RuntimeError says: torch has a class of its own for CUDA alone. The last two are oneDNN's, which says the same
#: of operations that it can't do at all.
_SIGNS = (
    "DefaultCPUAllocator",
    "out of memory",
    "std::bad_alloc",
    "could not create a primitive",
    "could not execute a primitive",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error says that the memory of the CPU, a GPU or another device doesn't suffice."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def release_cached_memory(device: torch.device) -> None:
    """Give memory that torch keeps for later back to a device: what is free may lie in too small pieces."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
