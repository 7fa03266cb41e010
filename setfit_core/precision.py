"""In which precision the body computes: float32, or bfloat16 where the processor is faster with it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Final, Literal

import torch

from setfit_core.values import one_of

Precision = Literal["auto", "float32", "bfloat16"]

PRECISIONS: Final = ("auto", "float32", "bfloat16")


def check_precision(value: object) -> Precision:
    """Return a precision.

    Raises:
        ArgumentError: If it is none.
    """
    one_of("precision", value, PRECISIONS)
    return value  # type: ignore[return-value]  # one of them, as was just checked


def uses_bfloat16(precision: Precision, device: torch.device) -> bool:
    """Return whether matrices are multiplied in bfloat16: if asked for, or if `"auto"` finds that it pays."""
    return precision == "bfloat16" or (precision == "auto" and _has_fast_bfloat16(device.type))


def mixed_precision(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which matrices are multiplied in the given precision; weights stay as they are."""
    return torch.autocast(device.type, torch.bfloat16, enabled=uses_bfloat16(precision, device))


def _has_fast_bfloat16(device_type: str) -> bool:
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device_type != "cpu":
        return False
    # Private names, which not every version of PyTorch has: without them, float32 is always right.
    questions = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, question, bool)()) for question in questions)
