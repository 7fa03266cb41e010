"""In which precision a body computes: float32, or bfloat16 where the processor is faster with it."""

from __future__ import annotations

from functools import cache
from typing import Any, Final, Literal, cast, get_args

import torch

from setfit_core.values import one_of

Precision = Literal["auto", "float32", "bfloat16"]

PRECISIONS: Final[tuple[str, ...]] = get_args(Precision)


def checked_precision(value: Any) -> Precision:
    """Return a precision, or raise `ArgumentError`."""
    one_of("precision", value, PRECISIONS)
    return cast("Precision", value)


def resolved_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """Return the type that a body on a device computes in: `torch.float32` or `torch.bfloat16`.

    `"auto"` is bfloat16 where the processor itself multiplies bfloat16, which is then faster than float32: CPUs with
    AVX512-BF16 or AMX-BF16, and GPUs that need no emulation. Everywhere else, and where torch can't tell, it is
    float32.
    """
    if precision == "float32":
        return torch.float32
    if precision == "bfloat16" or _multiplies_bfloat16(device.type):
        return torch.bfloat16
    return torch.float32


@cache
def _multiplies_bfloat16(device_type: str) -> bool:
    if device_type == "cpu":
        return _cpu_multiplies_bfloat16()
    if device_type == "cuda":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return False


def _cpu_multiplies_bfloat16() -> bool:
    # Newer versions of torch list what the processor can; 2.6 has a private question for it. A version with neither
    # computes in float32, which is right everywhere.
    listed = getattr(torch.cpu, "get_capabilities", None)
    if listed is not None:
        capabilities = listed()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    asked = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return asked is not None and bool(asked())
