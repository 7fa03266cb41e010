"""Try the conformance suite on every specimen, and write down what it finds.

python tests/testing/kill_matrix.py            write docs/kill-matrix.md
python tests/testing/kill_matrix.py --check    compare the page with what is found; exit 1 if they differ
python tests/testing/kill_matrix.py --json     print all results, and the page, as JSON
python tests/testing/kill_matrix.py --only NAME [NAME ...]    print what the checks see on some specimens
"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import os
import sys
import warnings
from collections.abc import Collection
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Before anything imports numpy or torch: one thread a process, no spinning, no network.
os.environ.update(
    HF_HUB_OFFLINE="1",
    MKL_NUM_THREADS="1",
    OMP_NUM_THREADS="1",
    OMP_WAIT_POLICY="PASSIVE",
    OPENBLAS_NUM_THREADS="1",
    TOKENIZERS_PARALLELISM="false",
)
HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "specimens" / "distribution")]

PAGE = HERE.parents[1] / "docs" / "kill-matrix.md"
WORKERS = 2


@dataclass(frozen=True)
class Outcome:
    """What the suite says about one specimen.

    Attributes:
        table: `"faulty"`, `"correct"` or `"estimators"`.
        name: The specimen's name.
        contract: The contract that it was examined for; empty if that can't be told.
        ok: Whether the report says that the head conforms.
        counts: How many checks have each status.
        failed: What was seen, by the id of each check that fails.
        skipped: The reason, by the id of each check that was skipped.
        disturbed: What of the process is not as it was before.
    """

    table: str
    name: str
    contract: str
    ok: bool
    counts: dict[str, int]
    failed: dict[str, str]
    skipped: dict[str, str]
    disturbed: list[str]


def examine(table: str, name: str) -> Outcome:
    """Run the whole suite on one specimen; called in a process of the pool."""
    from specimens.catalogue import TABLES

    from setfit_core.testing import check_head

    specimen = TABLES[table][name]
    before = _process_state()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report = check_head(specimen.make_head, **specimen.options)
    after = _process_state()
    return Outcome(
        table=table,
        name=name,
        contract=report.contract or "",
        ok=report.ok,
        counts=dict(sorted(report.counts.items())),
        failed={result.check.id: result.seen for result in report.results if result.status in ("failed", "xpassed")},
        skipped={result.check.id: result.seen for result in report.results if result.status == "skipped"},
        disturbed=[key for key, value in before.items() if after[key] != value],
    )


def examine_all(names: Collection[str] = ()) -> list[Outcome]:
    """Run the suite on every specimen, or on those named, in a pool of processes; sorted by table and name."""
    from specimens.catalogue import TABLES

    # Those that take longest first, so that no process waits for another in the end.
    tasks = [(table, name) for table in ("estimators", "correct", "faulty") for name in TABLES[table]]
    tasks = [task for task in tasks if not names or task[1] in names]
    unknown = set(names) - {name for _, name in tasks}
    if unknown:
        raise SystemExit(f"there is no specimen named {', '.join(sorted(unknown))}")
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(WORKERS, len(tasks)), mp_context=context, initializer=_mute) as pool:
        futures = [pool.submit(examine, *task) for task in tasks]
        outcomes = [future.result() for future in as_completed(futures)]
    return sorted(outcomes, key=lambda outcome: (outcome.table, outcome.name))


def _mute() -> None:
    """Send what heads write to standard output, at whatever level, to nowhere: the script's own output goes there."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def _process_state() -> dict[str, Any]:
    """Return what a head might change and the suite must put back."""
    import numpy as np
    import torch

    return {
        "working directory": str(Path.cwd()),
        "environment variables": dict(os.environ),
        "sys.stdout": id(sys.stdout),
        "sys.path": list(sys.path),
        "warnings filters": list(warnings.filters),
        "level of the root logger": logging.getLogger().level,
        "np.seterr": np.geterr(),
        "NumPy's print options": repr(np.get_printoptions()),
        "torch's default dtype": str(torch.get_default_dtype()),
        "torch's grad mode": torch.is_grad_enabled(),
        "torch's threads": torch.get_num_threads(),
        "deterministic algorithms": torch.are_deterministic_algorithms_enabled(),
    }


def main() -> int:
    """Run the script."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare the page instead of writing it")
    parser.add_argument("--json", action="store_true", help="print all results, the page and how it differs, as JSON")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="print what is seen on these specimens")
    options = parser.parse_args()
    outcomes = examine_all(options.only)
    if options.only:
        for outcome in outcomes:
            print(json.dumps(asdict(outcome), indent=2, ensure_ascii=False))
        return 0
    from specimens.page import differences, render

    page = render(outcomes)
    difference = differences(PAGE.read_text(encoding="utf-8") if PAGE.exists() else "", page)
    if options.json:
        results = [asdict(outcome) for outcome in outcomes]
        print(json.dumps({"outcomes": results, "page": page, "difference": difference}, ensure_ascii=False))
        return 0
    if options.check:
        print("\n".join(difference or ["docs/kill-matrix.md is up to date."]))
        return int(bool(difference))
    PAGE.write_text(page, encoding="utf-8")
    print(f"wrote {PAGE.relative_to(HERE.parents[1])}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
