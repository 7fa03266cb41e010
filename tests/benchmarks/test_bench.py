"""The harness of the benchmark, with small stand-ins for its workers. What it measures is not tested."""

import csv
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks import runs
from benchmarks.bench import Bench, PlannedCell, full_plan, make_plan, parse_arguments
from benchmarks.report import write_report
from benchmarks.runs import CORE, SETFIT, Results, Setup, source_hash
from benchmarks.samples import prepare_job, setfit_pairs, setfit_steps
from benchmarks.summary import summarize
from benchmarks.targets import TARGETS, judge, judged_only

SETUP = Setup(cpu="a processor", threads=1, body="b0d1", source="50c3", test_rows=50)


def run(side, dataset="cr", per_class=8, seed=0, *, classes=2, accuracy=70.0, embedding=10.0, **changes):
    """A record as a run leaves it."""
    limited = changes.get("max_steps") is not None
    record = {
        "kind": "run",
        "side": side,
        "key": f"{dataset}-{per_class}-{seed}",
        "dataset": dataset,
        "per_class": per_class,
        "seed": seed,
        "regime": "default" if side == CORE else None,
        "max_steps": None,
        "classes": classes,
        "test_texts": 50,
        "setfit_steps": 1000,
        "cpu": SETUP.cpu,
        "threads": 1,
        "body": SETUP.body,
        "test_rows": 50,
        "accuracy": {} if limited else {"logistic": accuracy},
        "seconds": {"start": 5.0, "embedding_phase": embedding},
        "work": {"texts": 200, "positions": 3000, "tokens": 2000},
        "steps": 100 if limited else 1000,
        "step_seconds": 0.5,
        "peak_memory_kib": 1024 * 1000,
        "versions": {"python": "3.11", side: "1.0"},
    }
    if side == CORE:
        record |= {"source": SETUP.source, "distinct_tokens": 400}
    if not limited:
        record["seconds"] |= {"logistic_head": 0.2, "predict": 2.0, "whole_process": 20.0}
    return record | changes


def target(name, number):
    return next(each for each in TARGETS if each.name.startswith(name) and each.number == number)


@pytest.mark.parametrize(
    ("classes", "per_class", "pairs", "steps"),
    [(2, 8, 144, 9), (2, 64, 8_320, 520), (6, 8, 1_920, 120), (6, 64, 122_880, 7_680), (77, 8, 374_528, 23_408)],
)
def test_setfit_steps(classes, per_class, pairs, steps):
    labels = [label for label in range(classes) for _ in range(per_class)]
    assert setfit_pairs(labels) == pairs
    assert setfit_steps(labels) == steps


def test_setfit_steps_of_unequal_classes():
    assert setfit_pairs([0, 0, 0, 1]) == 2 * (6 + 1)  # 3 negative ones are repeated


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data" / "toys"
    folder.mkdir(parents=True)
    for name, first in (("train", 0), ("test", 100)):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label", "label_name"])
            writer.writerows([f"text {first + i}", i % 2, "ab"[i % 2]] for i in range(40))
    return folder.parent


def test_samples_depend_on_the_seed_alone(data):
    job = prepare_job(data, "toys", 4, 0, 10)
    assert job == prepare_job(data, "toys", 4, 0, 10)
    assert job["key"] == "afa17b0417e292cb"  # as ever, so that earlier results count
    assert sorted(job["train_labels"]) == [0] * 4 + [1] * 4
    assert sorted(job["test_labels"]) == [0] * 5 + [1] * 5
    other = prepare_job(data, "toys", 4, 1, 10)
    assert other["train_texts"] != job["train_texts"]
    assert other["test_texts"] == job["test_texts"]


WORKER = """
import json, sys
from pathlib import Path

job = json.loads(Path(sys.argv[1]).read_text())
assert "test_labels" not in job
with open({log!r}, "a") as file:
    file.write(f"{side} {{job['seed']}} {{job['max_steps']}} {{job['differentiable_head']}}\\n")
if Path({log!r} + ".fail").exists():
    sys.exit("it broke")
seconds = {{"start": 1.0, "embedding_phase": 10.0}}
result = {{"seconds": seconds, "work": {{"texts": 1, "positions": 1, "tokens": 1}}, "steps": 3, "step_seconds": 3000.0}}
result |= {{"peak_memory_kib": 1, "versions": {{"{side}": "1"}}}}
if job["differentiable_head"]:
    seconds["differentiable_head"] = 1.0
if job["max_steps"] is None:
    seconds |= {{"logistic_head": 1.0, "predict": 1.0, "whole_process": 13.0}}
    result["predictions"] = {{"logistic": [0] * len(job["test_texts"])}}
Path(sys.argv[2]).write_text(json.dumps(result))
"""


@pytest.fixture
def start(data, tmp_path, monkeypatch):
    """Runs a plan with stand-ins for the workers; returns what was run: side, seed, max_steps, differentiable."""
    log = tmp_path / "log"
    for side in (SETFIT, CORE):
        worker = tmp_path / f"{side}.py"
        worker.write_text(WORKER.format(log=str(log), side=side), encoding="utf-8")
        monkeypatch.setitem(runs.WORKERS, side, worker)
    body, out = tmp_path / "body", tmp_path / "out"
    body.mkdir()
    out.mkdir()
    (body / "model.safetensors").write_bytes(b"weights")

    def run_plan(*plan, source="50c3", options=()):
        log.write_text("")
        places = ["--data", str(data), "--body", str(body), "--out", str(out), "--setfit-python", sys.executable]
        bench = Bench(parse_arguments([*places, "--test-rows", "10", *options]))
        bench.setup = Setup(**{**vars(bench.setup), "source": source})
        bench.run_plan(list(plan))
        return bench, log.read_text().split("\n")[:-1]

    return run_plan


def test_sides_take_turns_and_finished_runs_are_not_repeated(start):
    plan = PlannedCell("toys", 8, 2, 1)
    bench, ran = start(plan)
    assert ran == [
        "setfit 0 None True",
        "setfit-core 0 None True",
        "setfit-core 1 None False",
        "setfit 1 None False",
    ]
    assert [record["accuracy"]["logistic"] for record in bench.results.records] == [50.0] * 4
    assert start(plan)[1] == []
    assert start(PlannedCell("toys", 8, 2, 0))[1] == []  # less is asked for than there is
    assert start(PlannedCell("toys", 8, 2, 2))[1] == ["setfit-core 1 None True", "setfit 1 None True"]


def test_changed_project_is_measured_again_and_setfit_is_not(start):
    plan = PlannedCell("toys", 8, 1, 0)
    start(plan)
    assert start(plan, source="changed")[1] == ["setfit-core 0 None False"]


def test_other_threads_are_measured_apart(start):
    plan = PlannedCell("toys", 8, 1, 0)
    start(plan)
    assert len(start(plan, options=["--threads", "2"])[1]) == 2


def test_half_a_line_does_not_count(start):
    plan = PlannedCell("toys", 8, 1, 0)
    bench, _ = start(plan)
    path = bench.results.path
    path.write_text(path.read_text()[:-20])  # killed while it wrote
    bench, ran = start(plan)
    assert ran == ["setfit-core 0 None False"]
    assert [record["side"] for record in Results(path).records] == [SETFIT, CORE]


def test_failed_run_is_reported_and_tried_again(start, tmp_path, capsys):
    plan = PlannedCell("toys", 8, 1, 0)
    (tmp_path / "log.fail").touch()
    bench, ran = start(plan)
    assert bench.failed == 2
    assert "it broke" in capsys.readouterr().err
    (tmp_path / "log.fail").unlink()
    assert start(plan)[1] == ran


def test_setfit_is_limited_where_it_would_take_too_long(start, monkeypatch):
    monkeypatch.setattr("benchmarks.bench.LIMITED_STEPS", 2)
    # 9 steps of a second each, as long as nothing is known; then 3,000 seconds each, as the stand-in says.
    assert start(PlannedCell("toys", 8, 1, 0))[1] == ["setfit 0 None False", "setfit-core 0 None False"]
    assert "setfit 0 2 False" in start(PlannedCell("toys", 9, 1, 0))[1]
    assert start(PlannedCell("toys", 9, 1, 0))[1] == []
    assert start(PlannedCell("toys", 9, 1, 0), options=["--whole-minutes", "9999"])[1] == ["setfit 0 None False"]
    # setfit's own regime is about accuracy, which a limited run does not have.
    assert start(PlannedCell("toys", 10, 1, 0), options=["--regime", "pairs"])[1] == []


def test_plan():
    args = parse_arguments(["--data", "data", "--body", "body", "--cells", "sst2:8", "trec:64"])
    assert make_plan(args) == [PlannedCell("sst2", 8, 10, 2), PlannedCell("trec", 64, 3, 2)]
    args.cells = ["nowhere:8"]
    with pytest.raises(SystemExit, match="no cell nowhere:8"):
        make_plan(args)
    args.cells, args.short = None, True
    assert {cell.name for cell in make_plan(args)} < {cell.name for cell in full_plan(1, 1, 1)}


def test_source_hash_follows_the_source_and_not_its_tests(tmp_path):
    for name in ("setfit_core/model.py", "plugins/a/a/head.py", "plugins/a/tests/test_a.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x = 1\n")
    before = source_hash(tmp_path)
    (tmp_path / "plugins/a/tests/test_a.py").write_text("x = 2\n")
    assert source_hash(tmp_path) == before
    (tmp_path / "plugins/a/a/head.py").write_text("x = 2\n")
    assert source_hash(tmp_path) != before


def row(report, title, cell):
    section = report.split(f"### {title}\n")[1].split("###")[0]
    return next(line for line in section.splitlines() if line.startswith(f"| {cell} |"))


def test_report_compares_seed_by_seed():
    records = [
        run(SETFIT, seed=0, accuracy=70.0, embedding=20.0),
        run(SETFIT, seed=1, accuracy=60.0, embedding=40.0),
        run(SETFIT, seed=2, accuracy=10.0, embedding=900.0),  # has no partner yet
        run(CORE, seed=0, accuracy=72.0, embedding=5.0),
        run(CORE, seed=1, accuracy=66.0, embedding=10.0),
    ]
    report = write_report(records, SETUP)
    assert (
        row(report, "Accuracy, logistic head", "cr, 8") == "| cr, 8 | 50 | 2 | 65.0 (7.1) | 69.0 (4.2) | +4.0 ± 2.0 |"
    )
    assert row(report, "Embedding phase", "cr, 8").startswith("| cr, 8 | 2 | 30.0 | 7.50 | 4.00x | 1,000 / 1,000 |")
    assert row(report, "Prediction", "cr, 8") == "| cr, 8 | 25.0 | 25.0 | 1.00x |"
    assert "≈" not in row(report, "Embedding phase", "cr, 8")


def test_report_extrapolates_limited_runs_and_marks_them():
    limited = run(SETFIT, embedding=60.0, max_steps=100)  # 60 s, and 900 more steps of half a second
    report = write_report([limited, run(CORE)], SETUP)
    line = row(report, "Embedding phase", "cr, 8")
    assert line.startswith("| cr, 8 | 1 | ≈510 | 10.0 | ≈51.0x | ≈1,000 / 1,000 | ≈2,000 / 200 | ≈30,000 / 3,000 |")
    assert row(report, "Accuracy, logistic head", "cr, 8") == "| cr, 8 | 50 | 0 | — | 70.0 | — |"
    whole = run(SETFIT, embedding=600.0)
    for records in ([limited, whole, run(CORE)], [whole, limited, run(CORE)]):  # a whole run wins
        assert "| 600 | 10.0 | 60.0x |" in row(write_report(records, SETUP), "Embedding phase", "cr, 8")


def test_report_gives_the_floor():
    machine = {"kind": "machine", "cpu": SETUP.cpu, "body": SETUP.body, "torch": "2"}
    machine |= {"gflops": {"float32": 100.0, "bfloat16": 200.0}, "linear_parameters": 10_000_000}
    report = write_report([machine, run(SETFIT, embedding=24.0), run(CORE, embedding=2.4)], SETUP)
    line = row(report, "Embedding phase beside its floor", "cr, 8")  # 6 * 10 M * 400 tokens
    assert line == "| cr, 8 | 400 | 24 | 0.24 | 0.12 | 100.0 / 200.0 | 10.0 / 20.0 |"


@pytest.mark.parametrize("change", [{"cpu": "another"}, {"threads": 2}, {"body": "other"}, {"source": "old"}])
def test_report_leaves_out_what_is_not_comparable(change):
    report = write_report([run(SETFIT), run(CORE, **change)], SETUP)
    assert "1 stored runs of another setup or source are left out" in report
    assert "| 1 | 70.0 |" not in report


def test_seed_with_other_samples_is_no_pair():
    (cell,) = summarize([run(SETFIT, key="before the data changed"), run(CORE)], SETUP)
    assert cell.paired("embedding_phase") == []


def test_regimes_are_reported_apart():
    records = [run(SETFIT), run(CORE, accuracy=75.0), run(CORE, accuracy=71.0, regime="pairs")]
    defaults, pairs = write_report(records, SETUP).split("## With this project on setfit's own regime")
    assert row(defaults, "Accuracy, logistic head", "cr, 8").endswith("| +5.0 |")
    assert row(pairs, "Accuracy, logistic head", "cr, 8").endswith("| +1.0 |")


@pytest.mark.parametrize(
    ("seconds", "met", "word"), [(19.0, True, "**yes**, but not in 1 of 2"), (13.0, False, "**no**")]
)
def test_ratio_target_is_met_by_the_geometric_mean_of_the_cells(seconds, met, word):
    fast = [run(SETFIT, embedding=30.0), run(CORE, embedding=10.0)]
    slow = [run(SETFIT, "sst2", embedding=seconds), run(CORE, "sst2", embedding=10.0)]
    wanted = target("embedding phase, 8 a class, 2 classes", "embedding_phase")
    cells = summarize(fast + slow, SETUP)
    verdict = judge(wanted, cells)
    assert (verdict.met, verdict.word) == (met, word)
    assert verdict.reached == f"{(3 * seconds / 10) ** 0.5:.2f}x ({seconds / 10:.2f}x to 3.00x)"
    assert judge(wanted, judged_only(cells)).word == "**yes**"  # sst2 was tuned on
    assert judge(target("embedding phase, 64", "embedding_phase"), cells).met is None


def test_gain_target_is_met_by_the_mean_of_the_cells():
    records = [run(SETFIT), run(CORE, accuracy=70.5), run(SETFIT, "sms_spam"), run(CORE, "sms_spam", accuracy=71.4)]
    wanted = target("accuracy, 8 a class, 2 classes", "accuracy logistic")
    verdict = judge(wanted, summarize(records, SETUP))
    assert (verdict.met, verdict.reached, verdict.cells) == (False, "+0.95", 2)
    records += [run(CORE, "sms_spam", accuracy=71.6)]
    assert judge(wanted, summarize(records, SETUP)).met is True


def test_memory_target_is_met_only_in_every_cell():
    records = [run(SETFIT), run(CORE, peak_memory_kib=1024 * 1001)]
    records += [run(SETFIT, "sst2"), run(CORE, "sst2", peak_memory_kib=1024 * 100)]
    assert judge(target("peak memory", "peak memory"), summarize(records, SETUP)).met is False
    report = write_report(records, SETUP)
    assert re.search(r"peak memory.*≥ 1x \| all \| 2 \| 3\.16x .*\*\*no\*\*", report)
