"""All specimens: importing this module fills the tables."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from . import (
    correct_arrays,
    correct_estimators,
    correct_modules,
    faulty_batches,
    faulty_claims,
    faulty_inputs,
    faulty_labels,
    faulty_learning,
    faulty_lives,
    faulty_modules,
    faulty_modules_state,
    faulty_modules_training,
    faulty_outputs,
    faulty_process,
    faulty_sizes,
    own_formats,
    survivors,
)
from .estimators import ESTIMATORS
from .registry import CORRECT, FAULTY

__all__ = ["CORRECT", "ESTIMATORS", "FAULTY", "TABLES"]

#: Every specimen, by table and name.
TABLES: Mapping[str, Mapping[str, Any]] = {"faulty": FAULTY, "correct": CORRECT, "estimators": ESTIMATORS}

_MODULES = (
    faulty_outputs,
    faulty_sizes,
    faulty_batches,
    faulty_inputs,
    faulty_learning,
    faulty_process,
    faulty_labels,
    faulty_lives,
    faulty_claims,
    own_formats,
    survivors,
    faulty_modules,
    faulty_modules_state,
    faulty_modules_training,
    correct_arrays,
    correct_modules,
    correct_estimators,
)
