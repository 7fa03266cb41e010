"""Embeddings kept on disk: the same as without, or computed anew."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
import torch

from setfit_core import EmbeddingCache, SetFitModel
from setfit_core.embedding.cache import FILE_NAME
from setfit_core.embedding.embed import embed
from setfit_core.errors import ArgumentError

pytestmark = pytest.mark.slow

TEXTS = ["a goalkeeper", "a striker", "garlic", "soup", "a goalkeeper"]


@pytest.fixture
def cache(tmp_path):
    return EmbeddingCache(tmp_path / "cache")


@pytest.mark.parametrize("precision", ["auto", "float32", "bfloat16"])
def test_texts_that_were_embedded_before_don_t_run_the_body(minilm, passes, cache, precision):
    shapes = passes(minilm)
    first = embed(minilm, TEXTS, precision=precision, cache=cache)
    assert sum(rows for rows, _ in shapes) == 4
    assert torch.equal(embed(minilm, TEXTS, precision=precision, cache=EmbeddingCache(cache.folder)), first)
    assert torch.equal(embed(minilm, TEXTS[2:], precision=precision, cache=cache), first[2:])
    assert sum(rows for rows, _ in shapes) == 4
    embed(minilm, ["new", *TEXTS], precision=precision, cache=cache)
    assert shapes[-1][0] == 1


def test_without_a_cache_nothing_is_kept(minilm, passes):
    shapes = passes(minilm)
    embed(minilm, TEXTS)
    embed(minilm, TEXTS)
    assert len(shapes) == 2


def changed_weights(body):
    with torch.no_grad():
        body[0].embedding.weight[0, 0] += 1


def changed_prompt(body):
    body.prompts, body.default_prompt_name = {"query": "search: "}, "query"


def changed_size(body):
    body.truncate_dim = 32


def changed_truncation(body):
    body[0].tokenizer.enable_truncation(1)


@pytest.mark.parametrize("change", [changed_weights, changed_prompt, changed_size, changed_truncation])
def test_a_body_that_changed_is_another_body(static_body_factory, passes, cache, change):
    body = static_body_factory()
    embed(body, TEXTS, cache=cache)
    change(body)
    shapes = passes(body)
    assert torch.equal(embed(body, TEXTS, cache=cache), embed(body, TEXTS))
    assert len(shapes) == 2


def test_settings_of_a_call_are_kept_apart(minilm, passes, cache):
    shapes = passes(minilm)
    ways = [{"precision": "float32"}, {"precision": "bfloat16"}, {"normalize": True}]
    for way in ways:
        embed(minilm, TEXTS, cache=cache, **way)
    minilm.max_seq_length = 3
    try:
        short = embed(minilm, TEXTS, cache=cache)
    finally:
        minilm.max_seq_length = 256
    assert len(shapes) == 4
    assert not torch.equal(short, embed(minilm, TEXTS, cache=cache))
    assert len(shapes) == 4


def test_a_body_with_a_module_that_can_t_be_told_is_not_cached(static_body_factory, passes, cache, caplog):
    body = static_body_factory()
    body.append(torch.nn.Identity())
    shapes = passes(body)
    embed(body, TEXTS, cache=cache)
    embed(body, TEXTS, cache=cache)
    assert len(shapes) == 2
    assert "aren't cached" in caplog.text


def flipped(path):
    with sqlite3.connect(path) as database:
        for key, value in database.execute("SELECT key, value FROM embeddings").fetchall():
            database.execute("UPDATE embeddings SET value = ? WHERE key = ?", (bytes([value[0] ^ 1]) + value[1:], key))


def shortened(path):
    with sqlite3.connect(path) as database:
        database.execute("UPDATE embeddings SET value = substr(value, 1, 8)")


def swapped(path):
    """Give each text the value and checksum of another one."""
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT key, value, checksum FROM embeddings").fetchall()
        for (key, *_), (_, value, checksum) in zip(rows, rows[1:] + rows[:1], strict=True):
            database.execute("UPDATE embeddings SET value = ?, checksum = ? WHERE key = ?", (value, checksum, key))


def another_table(path):
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE embeddings")
        database.execute("CREATE TABLE embeddings (something TEXT)")


def no_database(path):
    path.write_bytes(b"something else" * 1000)


def cut_off(path):
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize("damage", [flipped, shortened, swapped, another_table, no_database, cut_off])
def test_a_damaged_file_costs_time_and_nothing_else(static_body_factory, passes, cache, damage):
    body = static_body_factory()
    expected = embed(body, TEXTS, cache=cache)
    damage(cache.folder / FILE_NAME)
    shapes = passes(body)
    assert torch.equal(embed(body, TEXTS, cache=cache), expected)
    assert len(shapes) == 1


def test_a_folder_that_can_t_be_made_is_a_warning(static_body_factory, tmp_path, caplog):
    (tmp_path / "file").write_text("not a folder")
    body = static_body_factory()
    assert torch.equal(embed(body, TEXTS, cache=EmbeddingCache(tmp_path / "file" / "cache")), embed(body, TEXTS))
    assert "What it lacks is computed" in caplog.text


WRITER = """
import sys
import torch
from setfit_core import EmbeddingCache

cache, which = EmbeddingCache(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
for turn in range(int(sys.argv[3])):
    texts = [f"{turn} {text}" for text in range(which * 10, which * 10 + 20)]
    cache.completed(texts, b"conditions", lambda part: torch.tensor([[float(len(t)), 0.5] for t in part]))
print("done", flush=True)
"""


def writer(folder, which, rounds):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(which), str(rounds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def refused(part):
    raise AssertionError(part)


def test_two_processes_write_at_once(cache):
    processes = [writer(cache.folder, which, 40) for which in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    for process in processes:
        output, errors = process.communicate(timeout=100)
        assert output == "done\n", errors
        assert "can't be" not in errors
    texts = [f"{turn} {text}" for turn in range(40) for text in range(30)]
    values = cache.completed(texts, b"conditions", refused)
    assert values[:, 0].tolist() == [float(len(text)) for text in texts]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_process_leaves_a_cache_that_works(cache):
    process = writer(cache.folder, 0, 10**6)
    process.stdout.readline()
    process.stdin.write("go\n")
    process.stdin.flush()
    while not (cache.folder / FILE_NAME).exists() or (cache.folder / FILE_NAME).stat().st_size < 20_000:
        assert process.poll() is None
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    texts = [f"0 {text}" for text in range(20)]
    assert cache.completed(texts, b"conditions", refused)[:, 0].tolist() == [float(len(text)) for text in texts]
    new = cache.completed(["new"], b"conditions", lambda part: torch.ones(1, 2))
    assert torch.equal(cache.completed(["new"], b"conditions", refused), new)


def test_a_model_uses_its_cache(static_body_factory, passes, cache, tmp_path):
    body = static_body_factory()
    shapes = passes(body)
    model = SetFitModel(body, embedding_cache=cache)
    labels = ["sport", "sport", "food", "food"]
    model.fit(TEXTS[:4], labels)
    fitted = len(shapes)
    assert model.predict(TEXTS) == [*labels, "sport"]
    assert len(shapes) == fitted
    model.embedding_cache = None
    plain = model.predict_proba(TEXTS, as_numpy=True)
    assert len(shapes) == fitted + 1
    model.embedding_cache = cache
    np.testing.assert_array_equal(model.predict_proba(TEXTS, as_numpy=True), plain)
    model.save_pretrained(tmp_path / "model")
    assert SetFitModel.from_pretrained(tmp_path / "model").embedding_cache is None
    assert SetFitModel.from_pretrained(tmp_path / "model", embedding_cache=cache).embedding_cache is cache


def test_what_is_no_cache(static_body_factory):
    with pytest.raises(ArgumentError, match="embedding_cache is a str"):
        SetFitModel(static_body_factory(), embedding_cache="folder")
    with pytest.raises(ArgumentError, match="folder is a int"):
        EmbeddingCache(3)
