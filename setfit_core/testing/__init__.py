"""The conformance suite: is this a head, what is wrong if not, and how is it mended?

The same checks in three forms: the function `check_head`, the class `HeadConformance` for pytest, and the command
`setfit-core check`. Needs the extra `testing`: `pip install "setfit-core[testing]"`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import setfit_core.testing.strategies as strategies
    from setfit_core.testing.check import SUITE_VERSION, Check
    from setfit_core.testing.checks import list_checks
    from setfit_core.testing.findings import CheckResult
    from setfit_core.testing.report import Report
    from setfit_core.testing.runner import check_head
    from setfit_core.testing.testcase import HeadConformance

_HOMES = {
    "SUITE_VERSION": "check",
    "Check": "check",
    "CheckResult": "findings",
    "HeadConformance": "testcase",
    "Report": "report",
    "check_head": "runner",
    "list_checks": "checks",
}

__all__ = [
    "SUITE_VERSION",
    "Check",
    "CheckResult",
    "HeadConformance",
    "Report",
    "check_head",
    "list_checks",
    "strategies",
]


def __getattr__(name: str) -> Any:
    if name == "strategies":
        return importlib.import_module(f"{__name__}.strategies")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
