"""Prediction for streams of texts: the same as for lists, as they come, in memory that doesn't grow."""

from __future__ import annotations

import tracemalloc
from itertools import chain, count, islice, repeat

import numpy as np
import pytest
import torch
from sklearn.svm import LinearSVC

from setfit_core import SetFitModel
from setfit_core.errors import ArgumentError, HeadError, InputError, NoProbabilitiesError, UnfittedHeadError

pytestmark = pytest.mark.slow


def trained(body, texts, labels, head=None, **options):
    model = SetFitModel(body, head, **options)
    model.fit(texts, labels, show_progress_bar=False)
    return model


@pytest.fixture(scope="module")
def model(static_body_factory, texts, topics):
    return trained(static_body_factory(), texts, topics)


@pytest.mark.parametrize("head", ["logistic", "linear"])
@pytest.mark.parametrize("chunk_size", [1, 5, 1000])
@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("names", {}),
        ("numbers", {}),
        ("numbers", {"as_numpy": True}),
        ("names", {"use_labels": False}),
        ("several", {"batch_size": 2}),
        ("several names", {}),
    ],
)
def test_a_stream_gives_what_a_list_gives(body, texts, topics, ids, new_texts, head, chunk_size, kind, options):
    labels = {
        "names": topics,
        "numbers": [10 * number for number in ids],
        "several": [[number == 0, number > 0] for number in ids],
        "several names": [[topic] if topic == "food" else [topic, "other"] for topic in topics],
    }[kind]
    strategy = "one-vs-rest" if kind.startswith("several") else None
    model = trained(body, texts, labels, head, multi_target_strategy=strategy)
    inputs = [*new_texts, *texts]
    expected = model.predict(inputs, **options)
    got = list(model.predict_stream(iter(inputs), chunk_size=chunk_size, **options))
    assert list(map(type, got)) == list(map(type, expected))
    assert [np.asarray(entry).tolist() for entry in got] == [np.asarray(entry).tolist() for entry in expected]
    options.pop("use_labels", None)
    rows = list(model.predict_proba_stream(iter(inputs), chunk_size=chunk_size, **options))
    expected = model.predict_proba(inputs, **options)
    assert {type(row) for row in rows} == {type(expected)}
    np.testing.assert_allclose(np.stack([np.asarray(row) for row in rows]), np.asarray(expected), atol=0.002)


def test_texts_of_no_label_are_told_in_a_stream(body, texts, topics, new_texts):
    model = trained(body, texts, topics, "prototype", head_params={"false_rejection_rate": 0.5})
    inputs = [*new_texts, "Interest rates of mortgages"]
    expected = model.predict(inputs, none_label="none")
    assert "none" in expected
    assert list(model.predict_stream(iter(inputs), none_label="none", chunk_size=2)) == expected


def test_texts_are_read_as_results_are_asked_for(model, new_texts):
    read = []

    def endless():
        for number in count():
            read.append(number)
            yield new_texts[number % 3]

    stream = model.predict_stream(endless(), chunk_size=4)
    assert read == []
    assert list(islice(stream, 5)) == ["sport", "food", "tech", "sport", "food"]
    assert len(read) == 8


def test_memory_does_not_grow_with_the_stream(model, new_texts):
    def peak(rows):
        stream = model.predict_proba_stream(islice(repeat(new_texts[0]), rows), chunk_size=64)
        tracemalloc.start()
        try:
            assert sum(1 for _ in stream) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(64)
    few = peak(2 * 64)
    assert peak(40 * 64) < few + 16 * 1024


def test_the_lines_of_a_file_are_a_stream(model, new_texts, tmp_path):
    file = tmp_path / "texts.txt"
    file.write_text("\n".join(new_texts) + "\n", encoding="utf-8")
    with file.open(encoding="utf-8") as lines:
        assert list(model.predict_stream(line.rstrip("\n") for line in lines)) == model.predict(new_texts)


@pytest.mark.parametrize("bad", [None, b"bytes", 7, "half \ud83d"])
@pytest.mark.parametrize("chunk_size", [2, 3, 1000])
def test_what_comes_before_a_bad_text_is_predicted(model, new_texts, bad, chunk_size):
    stream = model.predict_stream(chain(new_texts, [bad], new_texts), chunk_size=chunk_size)
    assert [next(stream) for _ in new_texts] == model.predict(new_texts)
    with pytest.raises(InputError, match="row 3 "):
        next(stream)
    assert list(stream) == []


def test_what_comes_before_the_source_fails_is_predicted(model, new_texts):
    def source():
        yield from new_texts
        raise ConnectionError("gone")

    stream = model.predict_stream(source())
    assert [next(stream) for _ in new_texts] == model.predict(new_texts)
    with pytest.raises(ConnectionError, match="gone"):
        next(stream)


def test_other_errors_say_in_which_part_they_are(body, texts, topics, new_texts):
    model = trained(body, texts, topics)
    stream = model.predict_stream(iter(new_texts * 2), chunk_size=3)
    assert list(islice(stream, 3)) == model.predict(new_texts)
    with torch.no_grad():
        model.model_body[0].embedding.weight.fill_(float("nan"))
    with pytest.raises(InputError, match="starts at row 3: .* row 0 .*NaN"):
        next(stream)


@pytest.mark.parametrize("inputs", ["a text", {"text": ["a"]}, 7, b"bytes"])
def test_what_is_no_stream_of_texts_is_found_at_once(model, inputs):
    with pytest.raises(InputError, match="Expected a list of texts"):
        model.predict_stream(inputs)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"chunk_size": 0}, ArgumentError),
        ({"chunk_size": True}, ArgumentError),
        ({"batch_size": 0}, ArgumentError),
        ({"none_label": "none"}, HeadError),
        ({"none_label": []}, ArgumentError),
    ],
)
def test_wrong_arguments_are_found_at_once(model, new_texts, options, error):
    with pytest.raises(error):
        model.predict_stream(iter(new_texts), **options)


def test_a_head_that_cannot_answer_is_found_at_once(body, texts, topics, new_texts):
    with pytest.raises(UnfittedHeadError):
        SetFitModel(body).predict_stream(iter(new_texts))
    with pytest.raises(NoProbabilitiesError):
        trained(body, texts, topics, LinearSVC()).predict_proba_stream(iter(new_texts))
