"""Whatever a text is, it gets an answer or an error of ours: never another exception, never no answer."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter
from functools import partial

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding

from setfit_core import SetFitError, SetFitModel, Trainer, TrainingArguments, compare_heads
from setfit_core.cli import main
from setfit_core.errors import InputError

pytestmark = pytest.mark.slow

LONG = 100_000  # characters
HEADS = ("logistic", "linear", "knn", "prototype")
SPECIMENS = [
    "",
    " ",
    "\n\t\r\n",
    "\0",
    "NUL\0inside",
    "".join(map(chr, range(32))),
    "".join(map(chr, range(127, 160))),
    "שלום עולם \u202e مرحبا",
    "👩‍👩‍👧‍👦🇩🇪❤️",
    "a" + "\u0301" * 1000,
    "\ufeff\u200d\ufffe\uffff\U0010ffff",
    "[CLS] [SEP] [PAD] <s> </s>",
    "https://example.org/cat.png",
    "data:audio/wav;base64,AAAA",
    'quotes " and, commas',
    '{"text": null}',
    "line\u2028line\x85line\rline",
]
LONG_TEXTS = ["word " * (LONG // 5), "a" * LONG, " " * LONG, "😀" * LONG, "\0" * LONG]
OTHERS = [
    "half \ud83d",
    "\udce9",
    b"bytes",
    b"\xff",
    bytearray(b"bytes"),
    np.bytes_(b"bytes"),
    None,
    float("nan"),
    np.nan,
    3,
    True,
    ["a text"],
    ("a", "pair"),
    {"text": "a text"},
    object(),
]

texts_of_any_kind = st.one_of(
    st.sampled_from(SPECIMENS), st.text(max_size=40), st.text(max_size=8).map(np.str_), st.sampled_from(("a", "b"))
)
things = st.one_of(texts_of_any_kind, st.sampled_from(OTHERS))
examples = partial(
    settings, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=False
)


def labelled(kind):
    return st.lists(st.tuples(kind, st.sampled_from(("yes", "no"))), min_size=1, max_size=6)


def is_text(thing):
    return isinstance(thing, str) and not any("\ud800" <= character <= "\udfff" for character in thing)


def first_that_is_none(things):
    return next((row for row, thing in enumerate(things) if not is_text(thing)), None)


@pytest.fixture(scope="module")
def build_body(static_body_factory):
    """A function that returns a small body of static word vectors."""
    whole = static_body_factory()[0]

    def build():
        weights = whole.embedding.weight.detach()[:, :32].clone()
        return SentenceTransformer(modules=[StaticEmbedding(whole.tokenizer, embedding_weights=weights)], device="cpu")

    return build


@pytest.fixture(scope="module")
def models(build_body, texts, topics):
    body = build_body()
    models = {head: SetFitModel(body, head, random_state=0) for head in HEADS}
    for model in models.values():
        model.fit(texts, topics, num_epochs=1, show_progress_bar=False)
    return models


@pytest.fixture(scope="module")
def on_a_transformer(minilm_path, texts, topics):
    model = SetFitModel.from_pretrained(minilm_path, device="cpu")
    model.fit(texts, topics, show_progress_bar=False)
    return model


def check_answers(model, given_texts):
    """The answers for texts are the same one by one, in another order, in a stream, and for each copy of a text."""
    n, labels = len(given_texts), model.labels
    predicted = model.predict(given_texts)
    probabilities = model.predict_proba(given_texts, as_numpy=True)
    assert len(predicted) == n
    assert set(predicted) <= set(labels)
    assert probabilities.shape == (n, len(labels))
    embeddings = np.asarray(model.encode(given_texts))
    assert embeddings.shape == (n, model.model_body.get_embedding_dimension())
    assert [model.predict(text) for text in given_texts] == predicted
    assert list(model.predict_stream(iter(given_texts), chunk_size=2)) == predicted
    assert model.predict(given_texts[::-1]) == predicted[::-1]
    backwards = model.predict_proba(given_texts[::-1], as_numpy=True)[::-1]
    np.testing.assert_allclose(backwards, probabilities, atol=0.002)
    for row, text in enumerate(given_texts):
        first = given_texts.index(text)
        np.testing.assert_allclose(model.predict_proba(text, as_numpy=True), probabilities[row], atol=0.002)
        np.testing.assert_array_equal(embeddings[first], embeddings[row])
        np.testing.assert_allclose(probabilities[first], probabilities[row], rtol=1e-5)


@pytest.mark.parametrize("head", HEADS)
@examples(max_examples=25)
@given(given_texts=st.lists(texts_of_any_kind, max_size=5))
def test_texts_get_the_same_answer_however_they_are_asked_about(models, head, given_texts):
    check_answers(models[head], given_texts)


@examples(max_examples=10)
@given(given_texts=st.lists(texts_of_any_kind, max_size=4))
def test_a_transformer_gives_the_same_answer_however_it_is_asked(on_a_transformer, given_texts):
    check_answers(on_a_transformer, given_texts)


@examples(max_examples=60)
@given(given_things=st.lists(things, min_size=1, max_size=5))
def test_what_is_no_text_is_named_by_its_row_whatever_is_asked(models, given_things):
    model, row = models["knn"], first_that_is_none(given_things)
    labels = ["sport", "food"] * 5
    asked = [
        model.predict,
        model.predict_proba,
        model.encode,
        model.explain,
        lambda texts: list(model.predict_stream(texts, chunk_size=2)),
        lambda texts: list(model.predict_proba_stream(texts)),
        lambda texts: Trainer(model=model, eval_dataset=(texts, labels[: len(texts)])).evaluate(),
    ]
    for ask in asked:
        if row is None:
            ask(given_things)
        else:
            with pytest.raises(InputError, match=rf"text in row {row} "):
                ask(given_things)


def test_long_texts_get_the_same_answer_however_they_are_asked_about(models, on_a_transformer):
    check_answers(models["logistic"], LONG_TEXTS)
    check_answers(on_a_transformer, LONG_TEXTS)


def test_one_text_many_times(models, on_a_transformer, texts):
    for model in (*models.values(), on_a_transformer):
        assert Counter(model.predict([texts[0]] * 50_000)) == {model.predict(texts[0]): 50_000}


def outcome(act):
    """Return what something returns, or the error of ours that it raises; any other error is a failure."""
    try:
        return act()
    except SetFitError as error:
        return error


@pytest.mark.parametrize("head", HEADS)
@examples(max_examples=16)
@given(rows=labelled(texts_of_any_kind) | labelled(things))
def test_a_head_learns_from_strange_texts_and_is_saved_or_says_why_not(build_body, tmp_path_factory, head, rows):
    given_texts, labels = map(list, zip(*rows, strict=True))
    model = SetFitModel(build_body(), head, random_state=0)
    failed = outcome(lambda: model.fit(given_texts, labels, num_epochs=1, show_progress_bar=False))
    row = first_that_is_none(given_texts)
    if row is not None:
        assert f"text in row {row} " in str(failed)
    elif len(set(labels)) == 2:
        assert failed is None
    if failed is None:
        check_answers(model, given_texts)
        folder = model.save_pretrained(tmp_path_factory.mktemp("saved") / "model")
        loaded = SetFitModel.from_pretrained(folder, device="cpu")
        np.testing.assert_array_equal(loaded.predict_proba(given_texts), model.predict_proba(given_texts))
        if head == "knn":
            assert loaded.explain(given_texts) == model.explain(given_texts)


def short_training(folder):
    return TrainingArguments(
        max_steps=2, batch_size=4, output_dir=str(folder), show_progress_bar=False, report_to="none"
    )


strange_labels = st.one_of(
    st.text(max_size=3), st.integers(), st.floats(), st.booleans(), st.sampled_from([*SPECIMENS, *OTHERS])
)


@examples(max_examples=40)
@given(labels=st.lists(strange_labels, min_size=4, max_size=4) | st.lists(st.text(max_size=2), min_size=4, max_size=4))
def test_strange_labels_are_predicted_or_refused(build_body, tmp_path_factory, texts, labels):
    model = SetFitModel(build_body())
    failed = outcome(lambda: model.fit(texts[:4], labels, show_progress_bar=False))
    if failed is None:
        predicted = model.predict(texts[:4])
        assert set(np.asarray(predicted).tolist()) <= set(np.asarray(model.labels).tolist())
        folder = outcome(lambda: model.save_pretrained(tmp_path_factory.mktemp("saved") / "model"))
        if not isinstance(folder, SetFitError):
            assert SetFitModel.from_pretrained(folder, device="cpu").labels == model.labels


def test_training_and_evaluation_take_any_text(minilm_path, tmp_path):
    model = SetFitModel.from_pretrained(minilm_path, device="cpu")
    given_texts = [*SPECIMENS, *LONG_TEXTS]
    labels = (["even", "odd"] * len(given_texts))[: len(given_texts)]
    trainer = Trainer(
        model=model,
        args=short_training(tmp_path),
        train_dataset=(given_texts, labels),
        eval_dataset=(given_texts[::-1], labels),
    )
    trainer.train()
    assert 0 <= trainer.evaluate()["accuracy"] <= 1
    check_answers(model, SPECIMENS)


@examples(max_examples=8)
@given(
    given_texts=st.lists(texts_of_any_kind, min_size=2, max_size=6) | st.lists(things, min_size=1, max_size=6),
    same=st.booleans(),
)
def test_training_takes_texts_or_names_what_is_none(build_body, tmp_path_factory, given_texts, same):
    given_texts = given_texts[:1] * 6 if same else given_texts
    labels = (["yes", "no"] * 3)[: len(given_texts)]
    model, args = SetFitModel(build_body()), short_training(tmp_path_factory.mktemp("out"))
    failed = outcome(lambda: Trainer(model=model, args=args, train_dataset=(given_texts, labels)).train())
    row = first_that_is_none(given_texts)
    if row is not None:
        assert f"text in row {row} " in str(failed)
    elif len(given_texts) > 1:
        assert not isinstance(failed, SetFitError)
        check_answers(model, given_texts)


@examples(max_examples=4)
@given(given_texts=st.lists(texts_of_any_kind, min_size=8, max_size=8) | st.lists(things, min_size=8, max_size=8))
def test_heads_are_compared_on_any_text(models, given_texts):
    labels = ["yes", "no"] * 4
    compared = outcome(
        lambda: compare_heads(
            models["logistic"], given_texts, labels, heads=["logistic", "knn", "prototype"], folds=2, repeats=1
        )
    )
    row = first_that_is_none(given_texts)
    if row is None:
        assert not isinstance(compared, SetFitError)
        assert all(found.error is None for found in compared.rows)
    else:
        assert f"text in row {row} " in str(compared)


@pytest.fixture(scope="module")
def model_folder(models, tmp_path_factory):
    return models["logistic"].save_pretrained(tmp_path_factory.mktemp("models") / "topics")


def as_csv(given_texts):
    stream = io.StringIO()
    csv.writer(stream).writerows([["text"], *([text] for text in given_texts)])
    return stream.getvalue().encode()


def as_jsonl(given_texts):
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in given_texts)


def as_lines(given_texts):
    return "".join(f"{text}\n" for text in given_texts).encode()


WRITTEN = {"csv": as_csv, "jsonl": as_jsonl, "text": as_lines}
tables = st.sampled_from(sorted(WRITTEN)).flatmap(
    lambda kind: st.tuples(
        st.just(kind),
        st.lists(texts_of_any_kind, max_size=4).map(WRITTEN[kind])
        | st.binary(max_size=40)
        | st.sampled_from(
            [
                b'{"text": "\\ud83d"}',
                b'{"text": NaN}',
                b'{"text": ["a"]}',
                b'{"text": "a", "label": 1}',
                b"[" * LONG,
                b'{"text": "a", "n": ' + b"9" * 5000 + b"}",
                b'text\n"no end',
                b"text\n" + b"x" * (2 * LONG),
                b"text\nnul \0\n",
                b"text,text\na,b\n",
                b"\xef\xbb\xbftext\nafter a byte order mark\n",
                *map(WRITTEN[kind], ([text] for text in LONG_TEXTS)),
            ]
        ),
    )
)


@examples(max_examples=25)
@example(table=("jsonl", b'{"text": "\\ud83d"}'), piped=False, options=())
@given(table=tables, piped=st.booleans(), options=st.sampled_from([(), ("--skip-bad-rows",), ("--probabilities",)]))
def test_the_command_line_labels_a_table_or_says_why_not(
    model_folder, tmp_path_factory, capfd, monkeypatch, table, piped, options
):
    kind, content = table
    folder = tmp_path_factory.mktemp("table")
    source, target = folder / "texts", folder / "labels.jsonl"
    source.write_bytes(content)
    command = ["predict", str(model_folder), "-" if piped else str(source), "--format", kind, "--out", str(target)]
    with source.open(encoding="utf-8") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdin", stream)
        try:
            status = main([*command, *options])
        except SystemExit as end:
            status = end.code
    said = capfd.readouterr().err.splitlines()
    if status == 0:
        rows = [json.loads(line) for line in target.read_text(encoding="utf-8").split("\n")[:-1]]
        assert all(row["label"] in ("food", "sport", "tech") for row in rows)
        assert all(row["text"].strip() for row in rows)
        assert said == [] or said[-1].startswith("Left out ")
    else:
        assert status == 1
        assert len(said) == 1
        assert said[0].startswith("Error: ")
        assert "That is a bug" not in said[0]
        assert not target.exists()
