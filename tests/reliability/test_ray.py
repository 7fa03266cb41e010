"""Scoring a Ray data set with two workers: every row comes back once and as one process says, whoever dies."""

from __future__ import annotations

import importlib
import os
import re
import secrets
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn.svm import LinearSVC

from setfit_core import SetFitModel, Trainer, TrainingArguments
from setfit_core.errors import (
    ArgumentError,
    InputError,
    NoProbabilitiesError,
    PersistenceError,
    SetFitError,
    UnfittedHeadError,
)
from setfit_core.scoring import score_dataset

PAGE = Path(__file__).parents[2] / "docs" / "many-machines.md"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings(r"ignore:::ray\."),  # its own modules use what it has deprecated
]


@pytest.fixture(scope="module")
def ray():
    """Ray with a cluster on this machine that counts eight CPUs, so that what reads and writes rows never waits."""
    settings = {
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listen on the loopback address only
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(),  # otherwise Ray keeps one in the home folder
    }
    with pytest.MonkeyPatch.context() as patch, tempfile.TemporaryDirectory(prefix="ray") as folder:
        for name, value in settings.items():
            patch.setenv(name, value)
        ray = pytest.importorskip("ray", reason="Ray isn't installed: there may be no wheel for this machine")
        importlib.import_module("ray.data")
        options = {"include_dashboard": False, "log_to_driver": False, "logging_level": "error"}
        ray.init(num_cpus=8, object_store_memory=200 * 2**20, _temp_dir=folder, **options)
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield ray
        ray.shutdown()


def trained(model, texts, labels):
    arguments = TrainingArguments(show_progress_bar=False)
    Trainer(model=model, args=arguments, train_dataset=(texts, labels)).train_classifier()
    return model


@pytest.fixture(scope="module")
def model(static_body_factory, texts, topics):
    return trained(SetFitModel(static_body_factory()), texts, topics)


def many(texts, count):
    """Many texts, all different."""
    return [f"{texts[place % len(texts)]}, and {texts[place * 7 % 11].lower()} ({place})" for place in range(count)]


def write(folder, texts, files):
    """Write texts into Parquet files, each row with a number and a column that Ray has no type of its own for."""
    folder.mkdir()
    rows = pa.table({"number": range(len(texts)), "text": pa.array(texts, pa.string())})
    rows = rows.append_column("also", pa.array([{"of": [place, None]} for place in range(len(texts))]))
    size = -(-len(texts) // files)
    for file in range(files):
        pq.write_table(rows.slice(file * size, size), folder / f"{file}.parquet")
    return rows


def test_parquet_goes_in_and_comes_out_as_the_page_says(ray, model, texts, tmp_path, monkeypatch):
    model.save_pretrained(tmp_path / "model")
    rows = write(tmp_path / "texts", many(texts, 5000), files=3)
    listings = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    listing = next(code for code in listings if "score_dataset" in code)
    for shown, here in (("/shared", tmp_path.as_posix()), ("100_000", "1_500")):
        assert shown in listing
        listing = listing.replace(shown, here)
    monkeypatch.setattr(ray.data.DataContext.get_current().execution_options, "preserve_order", True)
    exec(compile(listing, PAGE.name, "exec"), {})
    labels = pa.array(model.predict(rows["text"].to_pylist()))
    assert len(list((tmp_path / "labelled").iterdir())) > 1
    assert pq.read_table(tmp_path / "labelled").equals(rows.append_column("label", labels))


@pytest.mark.skipif(sys.platform == "win32", reason="Windows doesn't show what a worker of Ray is at")
def test_a_worker_that_is_killed_at_work_loses_no_row_and_doubles_none(ray, minilm_path, texts, topics, tmp_path):
    model = trained(SetFitModel.from_pretrained(minilm_path, device="cpu"), texts, topics)
    rows = write(tmp_path / "texts", many(texts, 1200), files=2)
    out, killed = tmp_path / "labelled", tmp_path / "killed"
    driver = os.getpid()

    def hold_back_until_a_worker_is_killed(block):
        """Let the first rows wait until a worker that is at work on others has died."""
        deadline = time.monotonic() + 120
        while 0 in block["number"].to_pylist() and not killed.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
            for process in psutil.Process(driver).children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    if "(_Worker)).submit" in "".join(process.cmdline()):
                        process.kill()
                        killed.write_text(str(process.pid))
                        break
        return block

    blocks = ray.data.read_parquet(tmp_path / "texts").repartition(target_num_rows_per_block=100)
    blocks = blocks.map_batches(hold_back_until_a_worker_is_killed, batch_format="pyarrow", batch_size=None)
    score_dataset(model, blocks, num_workers=2, batch_size=50).write_parquet(out)
    assert not psutil.pid_exists(int(killed.read_text()))
    written = pq.read_table(out).sort_by("number")
    assert written.equals(rows.append_column("label", pa.array(model.predict(rows["text"].to_pylist()))))


def test_rows_without_a_text_stop_the_run_or_are_left_out(ray, static_body_factory, texts, topics, tmp_path):
    several = [[topic, "first"] if row % 4 == 0 else [topic] for row, topic in enumerate(topics)]
    model = SetFitModel(static_body_factory(), multi_target_strategy="one-vs-rest")
    trained(model, texts, several)
    given = [*many(texts, 300), None, "  ", *texts]
    rows = write(tmp_path / "texts", given, files=1)
    dataset = ray.data.read_parquet(tmp_path / "texts")
    stopped = score_dataset(model, dataset, num_workers=1)
    with pytest.raises(
        ray.exceptions.RayTaskError, match=r"InputError: The text in the row \{'number': 300, .* is missing"
    ):
        stopped.materialize()
    scored = score_dataset(model, dataset, label_column="topics", probabilities=True, skip_bad_rows=True)
    found = pa.concat_tables(scored.iter_batches(batch_format="pyarrow", batch_size=None))
    good = rows.filter(pa.array([place not in (300, 301) for place in range(len(given))]))
    assert found.select(rows.column_names).equals(good)
    kept = good["text"].to_pylist()
    assert found["topics"].to_pylist() == [sorted(names) for names in model.predict(kept)]
    assert {len(names) for names in found["topics"].to_pylist()} >= {1, 2}
    expected = model.predict_proba(kept, as_numpy=True)
    assert found.column_names[4:] == [f"probability {label}" for label in model.labels]
    for column, label in zip(expected.T, model.labels, strict=True):
        assert found[f"probability {label}"].to_pylist() == pytest.approx(column, abs=1e-6)


def refusals(ray, model, untrained, folder):
    """What is refused: the error, what it says, and a call."""
    rows = [{"text": "a", "other": 1, "probability food": 0.5}]
    dataset = ray.data.from_arrow(pa.Table.from_pylist(rows))
    nothing = ray.data.from_arrow(pa.table({"other": [1]}))
    twice = ray.data.from_arrow(pa.table({"text": ["a"], "title": ["b"]}))
    margins = SetFitModel(model.model_body, LinearSVC(), labels=["food", "sport"])
    trained(margins, ["soup", "cake", "goal", "cup"], ["food", "food", "sport", "sport"])
    return [
        (ArgumentError, "num_workers is 0", lambda: score_dataset(model, dataset, num_workers=0)),
        (ArgumentError, "num_workers is .3, 2.", lambda: score_dataset(model, dataset, num_workers=(3, 2))),
        (ArgumentError, "num_workers is True", lambda: score_dataset(model, dataset, num_workers=True)),
        (ArgumentError, "num_cpus is -1", lambda: score_dataset(model, dataset, num_cpus=-1)),
        (ArgumentError, "num_gpus is 'all'", lambda: score_dataset(model, dataset, num_gpus="all")),
        (ArgumentError, "batch_size is 0", lambda: score_dataset(model, dataset, batch_size=0)),
        (ArgumentError, "8 workers need 9 CPUs, 1 of them", lambda: score_dataset(model, dataset, num_workers=8)),
        (InputError, "dataset is a list", lambda: score_dataset(model, rows)),
        (InputError, "no column named text", lambda: score_dataset(model, nothing)),
        (InputError, "has 'text' and 'title'", lambda: score_dataset(model, twice)),
        (
            InputError,
            "no column 'txet'. Did you mean 'text'",
            lambda: score_dataset(model, dataset, text_column="txet"),
        ),
        (InputError, "'other' holds int64", lambda: score_dataset(model, dataset, text_column="other")),
        (InputError, "column 'other' already", lambda: score_dataset(model, dataset, label_column="other")),
        (InputError, "'probability food' already", lambda: score_dataset(model, dataset, probabilities=True)),
        (UnfittedHeadError, "not been trained", lambda: score_dataset(untrained, dataset)),
        (NoProbabilitiesError, "LinearSVC", lambda: score_dataset(margins, dataset, probabilities=True)),
        (PersistenceError, "no folder", lambda: score_dataset(folder / "none", dataset)),
    ]


def test_what_is_wrong_is_said_before_the_cluster_works(ray, model, static_body_factory, tmp_path, monkeypatch):
    cases = refusals(ray, model, SetFitModel(static_body_factory()), tmp_path)
    monkeypatch.setattr("ray.data.Dataset.map_batches", None)  # nothing that is refused gets so far
    for error, message, call in cases:
        with pytest.raises(error, match=message):
            call()


def test_without_ray_the_extra_is_named(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(SetFitError, match=r'pip install "setfit-core\[ray\]"'):
        score_dataset(model, None)
