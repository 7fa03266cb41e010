"""What happens when installed heads are loaded: each in a process of its own, so that none can harm another.

A head may exit, crash the interpreter or never come back while it is imported. None of that ends the diagnosis.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from setfit_core.conformance import check_contract
from setfit_core.errors import HeadError, IncompatibleHeadError, NonConformingHeadError
from setfit_core.registry.registry import HeadInfo, HeadRegistry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Diagnosis", "diagnose"]

Health = Literal["ok", "disabled", "ambiguous", "broken", "incompatible", "non-conforming", "crashed", "timed-out"]

_CHILD: Final = """
import sys
sys.path[:] = {path!r}
from setfit_core.registry.diagnosis import load_and_tell
load_and_tell({name!r}, {result!r})
"""


@dataclass(frozen=True)
class Diagnosis:
    """What loading one head came to.

    Attributes:
        info: What its metadata say.
        status: `"ok"` if it loads and, where its entry point leads to a class, the class keeps a contract. A head that
            the metadata rule out (`"disabled"`, `"ambiguous"`, `"incompatible"`, `"broken"`) isn't loaded.
        message: What is wrong and what to do; empty if nothing is.
        seconds: Processor seconds that loading it took; None if it wasn't loaded to the end.
        exit_code: How its process ended, a negative number for a signal; None if there was none, or it was stopped.
        contract: The contract that its class keeps; None if it wasn't loaded, or if a function builds it, which shows
            only when it is built.
    """

    info: HeadInfo
    status: Health
    message: str = ""
    seconds: float | None = None
    exit_code: int | None = None
    contract: str | None = None


def diagnose(heads: Iterable[HeadInfo], *, time_limit: float) -> Iterator[Diagnosis]:
    """Load heads one after another, and yield what came of each.

    Args:
        heads: The heads.
        time_limit: Seconds of the wall clock after which a head that hasn't been loaded is given up.
    """
    for info in heads:
        if info.status == "available":
            yield _loaded_in_child(info, time_limit)
        else:
            yield Diagnosis(info, info.status, str(info.error()))


def load_and_tell(name: str, result: str) -> None:
    """Load a head and write what came of it into a file, as JSON; this is what the child process runs."""
    registry = HeadRegistry()
    registry.heads()  # the scan isn't the head's fault
    start = time.process_time()
    told: dict[str, Any] = {"status": "ok", "message": "", "contract": None}
    try:
        factory = registry.get(name).factory
        if isinstance(factory, type):
            report = check_contract(factory)
            report.raise_for_problems()
            told["contract"] = report.contract
    except HeadError as error:
        kinds: dict[type, Health] = {
            NonConformingHeadError: "non-conforming",
            IncompatibleHeadError: "incompatible",
        }
        told |= {"status": kinds.get(type(error), "broken"), "message": str(error)}
    told["seconds"] = time.process_time() - start
    Path(result).write_text(json.dumps(told), encoding="utf-8")


def _loaded_in_child(info: HeadInfo, time_limit: float) -> Diagnosis:
    with tempfile.TemporaryDirectory() as folder:
        # A file, because whatever a plugin prints goes to the child's stdout.
        result = Path(folder) / "result.json"
        code = _CHILD.format(path=sys.path, name=info.qualified_name, result=str(result))
        try:
            child = subprocess.run(  # noqa: S603  # this interpreter, with arguments of ours
                [sys.executable, "-c", code],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=time_limit,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return Diagnosis(
                info,
                "timed-out",
                f"Loading the head {info.qualified_name!r} hadn't ended after {time_limit:g} s. Switch it off with "
                f"SETFIT_HEADS_DENY={info.qualified_name}, and tell its authors.",
            )
        try:
            told = json.loads(result.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return _crashed(info, child)
    return Diagnosis(info, told["status"], told["message"], told["seconds"], child.returncode, told["contract"])


def _crashed(info: HeadInfo, child: subprocess.CompletedProcess[bytes]) -> Diagnosis:
    said = (child.stderr.decode(errors="replace").strip().splitlines() or ["without a word"])[-1]
    return Diagnosis(
        info,
        "crashed",
        f"Loading the head {info.qualified_name!r} ended the interpreter with exit code {child.returncode} ({said}). "
        f"Switch it off with SETFIT_HEADS_DENY={info.qualified_name}, and tell its authors.",
        exit_code=child.returncode,
    )
