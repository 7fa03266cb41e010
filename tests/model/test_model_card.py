"""The model card: what the hub reads, what people read, and that nothing in it was made up."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from huggingface_hub import ModelCard
from markdown_it import MarkdownIt
from sklearn.ensemble import RandomForestClassifier

from setfit_core import SetFitModel, Trainer, TrainingArguments
from setfit_core.errors import ArgumentError, LabelError, ModelFormatError
from setfit_core.model_card import (
    CardFacts,
    DataSource,
    LabelTexts,
    Measurement,
    ModelCardData,
    TrainingRecord,
    base_model_of,
    record_training,
    render_card,
)
from setfit_core.persistence.config import HeadRecord

LOGISTIC = HeadRecord(
    name="logistic",
    distribution="setfit-head-logistic",
    version="0.1.0",
    class_name="sklearn.linear_model._logistic:LogisticRegression",
    metadata={"format": "skops"},
    params={"C": 10.0},
)
RECORD = TrainingRecord(
    texts=3,
    labels=(LabelTexts(2, ("A goal", "A draw")), LabelTexts(1, ("A soup",))),
    embedding_phase={"batch_size": 16, "loss": "CosineSimilarityLoss"},
    head_phase={"max_length": None, "seed": 42},
    versions={"python": "3.11.7", "torch": "2.13.0+cpu"},
)
NO_FACTS = CardFacts()
ACCURACY = Measurement("accuracy", 0.875, 8)

HOSTILE = [
    "a | b",
    "a \\| b",
    "tail\\",
    "`code` and ``more``",
    "|",
    "` |` |",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[click](http://evil.example)",
    "![](http://evil.example/x.png)",
    "http://evil.example www.evil.example me@evil.example",
    "<http://evil.example>",
    "one\ntwo\r\nthree\x0bfour\u2028five\u2029six\x85seven",
    "---\nlicense: other\n---",
    "# Title",
    "```\n</details>",
    "&lt;b&gt; &#124; &amp;",
    "\u202egnorw\u202c \u2066x\u2069 \u200f",
    "nul \x00 bell \x07 escape \x1b[31m",
    "\ud800 lone",
    "*bold* _it_ ~~no~~ $x$ {{ template }} {% raw %}",
    " edges ",
    "",
    " ",
    "'quote' \"double\" '''",
    "\ufeffbom \u200b zero \U000e0041",
    "ש\u200cל 家族 👩\u200d👩\u200d👧",
    "x" * 500,
]


@pytest.fixture
def render():
    def make(facts=NO_FACTS, *, head=LOGISTIC, labels=("sport", "food"), **options):
        settings = {"normalize_embeddings": False, "multi_target_strategy": None, **options}
        return render_card(facts, head=head, labels=labels, **settings)

    return make


@pytest.fixture
def saved(tmp_path):
    """A function that saves a model, and returns the folder and the card in it."""

    def save(model, card=None):
        if card is not None:
            model.card_facts = replace(model.card_facts, card=card)
        folder = model.save_pretrained(tmp_path / "a place" / "model")
        return folder, (folder / "README.md").read_text(encoding="utf-8")

    return save


def trained(model, texts, labels, **options):
    args = TrainingArguments(show_progress_bar=False, max_steps=1)
    trainer = Trainer(model=model, args=args, train_dataset=(texts, labels), **options)
    trainer.train()
    return trainer


def loaded(text, tmp_path):
    path = tmp_path / "card.md"
    path.write_text(text, encoding="utf-8")
    return ModelCard.load(path)


def columns_of(values):
    return np.asarray(values, dtype=np.int64)


def tokens(text):
    """The tokens of the Markdown after the metadata, in a flat list."""
    flat = []
    for token in MarkdownIt("commonmark").enable("table").parse(text.partition("\n---\n")[2]):
        flat.append(token)
        flat += token.children or []
    return flat


def cells(text, heading):
    """The rows of the table under a heading, as the text that a reader sees in each cell."""
    rows, inside, row = [], False, None
    found = MarkdownIt("commonmark").enable("table").parse(text.partition("\n---\n")[2])
    for place, token in enumerate(found):
        if token.type == "heading_open":
            inside = found[place + 1].content == heading
        elif inside and token.type == "tr_open":
            row = []
        elif inside and token.type == "tr_close":
            rows.append(row)
            row = None
        elif inside and row is not None and token.type == "inline":
            shown = "".join("\n" if child.type == "html_inline" else child.content for child in token.children)
            row.append(shown)
    return rows[1:]


# Metadata


def test_the_hub_reads_the_metadata(render, tmp_path):
    card = ModelCardData(
        language=["en", "de"],
        license="apache-2.0",
        tags=["support"],
        model_name="Router of messages",
        dataset_id="owner/messages",
        dataset_name="Messages",
        dataset_split="test",
    )
    record = RECORD.with_measurements([ACCURACY, Measurement("f1", 0.5, 8, {"average": "macro"})])
    text = render(CardFacts(record, card, "sentence-transformers/all-MiniLM-L6-v2"))
    read = loaded(text, tmp_path)
    assert str(read) == text  # the hub's client writes it back as it is
    data = read.data
    assert data.language == ["en", "de"]
    assert data.license == "apache-2.0"
    assert data.library_name == "setfit-core"
    assert data.pipeline_tag == "text-classification"
    assert data.tags == ["setfit-core", "sentence-transformers", "text-classification", "few-shot", "support"]
    assert data.base_model == "sentence-transformers/all-MiniLM-L6-v2"
    assert data.datasets == ["owner/messages"]
    assert data.metrics == ["accuracy", "f1"]
    assert data.widget == [{"text": "A goal"}, {"text": "A soup"}]
    assert data.model_name == "Router of messages"
    first, second = data.eval_results
    assert (first.dataset_type, first.dataset_name, first.dataset_split) == ("owner/messages", "Messages", "test")
    assert (first.task_type, first.metric_type, first.metric_value) == ("text-classification", "accuracy", 0.875)
    assert (second.metric_type, second.metric_args) == ("f1", {"average": "macro"})


def test_nothing_is_said_that_is_not_known(render, tmp_path):
    data = loaded(render(), tmp_path).data.to_dict()
    assert set(data) == {"library_name", "pipeline_tag", "tags"}
    text = render()
    assert "Nothing was measured." in text
    assert "Nothing is known about it." in text


def test_a_language_that_yaml_takes_for_no_stays_one(render, tmp_path):
    assert loaded(render(CardFacts(card=ModelCardData(language="no"))), tmp_path).data.language == "no"


def test_a_folder_for_setfit_is_called_one(render, tmp_path):
    # With this name the hub tells people to load a model with setfit, which gives a folder of ours a random head.
    text = render(setfit_compatible=True)
    assert loaded(text, tmp_path).data.library_name == "setfit"
    assert "in `model_head.pkl`: a pickle" in text
    assert "setfit" not in loaded(render(), tmp_path).data.tags
    assert "There is no pickle" in render()


@pytest.mark.parametrize(
    "wrong",
    [
        {"language": "English"},
        {"language": ["en", 3]},
        {"license": "Apache 2.0"},
        {"license": "mit\ntags: x"},
        {"tags": "support"},
        {"tags": ["two\nlines"]},
        {"model_name": ""},
        {"model_name": "turned \u202eround"},
        {"model_name": "x" * 201},
        {"model_id": "no-owner"},
        {"model_id": "/home/me/model"},
        {"dataset_id": "a/b/c"},
        {"st_id": "../up"},
        {"dataset_split": 3},
        {"examples": "yes"},
    ],
    ids=str,
)
def test_what_the_hub_could_not_take_is_refused(wrong):
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        ModelCardData(**wrong)


# Figures


def test_figures_come_from_measuring_alone(body, texts, topics, new_texts, saved, tmp_path):
    model = SetFitModel(body)
    card = ModelCardData(dataset_id="owner/topics")
    trainer = trained(model, texts, topics, eval_dataset=(new_texts, ["sport", "food", "tech"]))
    before = loaded(saved(model, card)[1], tmp_path)
    assert before.data.eval_results is None
    assert before.data.metrics is None
    assert "Nothing was measured." in before.text
    value = trainer.evaluate()["accuracy"]
    after = loaded(saved(model, card)[1], tmp_path)
    assert [result.metric_value for result in after.data.eval_results] == [value]
    assert cells(str(after), "Evaluation") == [["accuracy", f"{value:.4f}", "3 texts, owner/topics"]]


def test_the_training_texts_are_no_test(render, tmp_path):
    card = ModelCardData(dataset_id="owner/topics")
    text = render(CardFacts(RECORD.with_measurements([replace(ACCURACY, on_training_data=True)]), card))
    assert loaded(text, tmp_path).data.eval_results is None
    assert cells(text, "Evaluation") == [["accuracy", "0.8750", "the 8 training texts"]]
    assert "don't tell how well" in text


def test_a_part_of_a_split_is_not_compared_with_the_whole(render, tmp_path):
    def card_of(rows):
        source = DataSource(id="owner/topics", name="topics", split="test", rows=rows)
        return render(CardFacts(RECORD.with_measurements([replace(ACCURACY, source=source)])))

    assert loaded(card_of(2000), tmp_path).data.eval_results is None
    assert "8 of 2000 texts" in card_of(2000)
    (result,) = loaded(card_of(8), tmp_path).data.eval_results
    assert (result.dataset_type, result.dataset_name, result.dataset_split) == ("owner/topics", "topics", "test")


def test_without_the_data_sets_id_a_figure_stays_in_the_text(render, tmp_path):
    text = render(CardFacts(RECORD.with_measurements([ACCURACY])))
    assert loaded(text, tmp_path).data.eval_results is None
    assert cells(text, "Evaluation") == [["accuracy", "0.8750", "8 texts"]]


def test_the_last_value_of_a_metric_counts():
    other = replace(ACCURACY, source=DataSource(name="other"))
    macro = Measurement("f1", 0.25, 8, {"average": "macro"})
    record = TrainingRecord().with_measurements([ACCURACY, other, macro])
    record = record.with_measurements([replace(ACCURACY, value=0.5), replace(macro, options={"average": "micro"})])
    assert [(each.metric, each.value) for each in record.measurements] == [
        ("accuracy", 0.875),
        ("f1", 0.25),
        ("accuracy", 0.5),
        ("f1", 0.25),
    ]
    assert record.measurements[0] is other


# Labels and texts


def test_labels_have_their_counts_and_examples(body, texts, topics, saved):
    model = SetFitModel(body, labels=["tech", "sport", "food", "other"])
    trained(model, texts, topics)
    _, text = saved(model)
    assert cells(text, "Labels") == [
        ["tech", "4", "\n".join(texts[8:11])],
        ["sport", "4", "\n".join(texts[:3])],
        ["food", "4", "\n".join(texts[4:7])],
        ["other", "0", ""],
    ]
    assert "never predicted" in text
    assert "trained on 12 texts" in text


def test_counts_follow_the_columns_when_labels_are_renamed(body, texts, topics, saved):
    model = SetFitModel(body)
    trained(model, texts[2:], topics[2:])
    model.labels = ["Küche", "Sport", "Technik"]
    assert [row[:2] for row in cells(saved(model)[1], "Labels")] == [["Küche", "4"], ["Sport", "2"], ["Technik", "4"]]


def test_long_texts_are_cut_and_repeated_ones_shown_once(texts):
    long = "word " * 100
    record = record_training(["a  b", "a\nb", long, long + "!", "c"], columns_of([0] * 5), 1)
    (label,) = record.labels
    assert label.count == 5
    assert label.examples[0] == "a b"
    assert label.examples[1].endswith("word…")
    assert len(label.examples[1]) <= 120
    assert label.examples[2] == "c"


def test_training_texts_can_be_left_out(body, texts, topics, saved):
    model = SetFitModel(body)
    trained(model, texts, topics)

    def files_with_training_texts(folder):
        # The body's weights are the same with and without.
        files = {
            path.name: path.read_bytes()
            for path in folder.rglob("*")
            if path.suffix != ".safetensors" and path.is_file()
        }
        return sorted(name for name, content in files.items() if any(text.encode() in content for text in texts))

    folder, text = saved(model, ModelCardData(examples=False))
    assert files_with_training_texts(folder) == []
    assert cells(text, "Labels") == [["food", "4"], ["sport", "4"], ["tech", "4"]]
    again, _ = saved(SetFitModel.from_pretrained(folder))
    assert files_with_training_texts(again) == []
    folder, _ = saved(model, ModelCardData(examples=True))
    assert files_with_training_texts(folder) == ["README.md", "config_setfit.json"]


@pytest.mark.parametrize("count", [30, 31, 150, 1500])
def test_many_labels_stay_readable(render, count):
    names = [f"intent_{place:04}" for place in range(count)]
    record = TrainingRecord(texts=count, labels=tuple(LabelTexts(1, (f"text {place}",)) for place in range(count)))
    text = render(CardFacts(record), labels=names)
    rows = cells(text, "Labels")
    assert [row[0] for row in rows] == names[:1000]
    assert ("<details>" in text) == (count > 30)
    assert (f"first 1000 of {count}" in text) == (count > 1000)
    assert cells(text, "Evaluation") == []
    assert "Nothing was measured." in text


@pytest.mark.parametrize("hostile", HOSTILE, ids=range(len(HOSTILE)))
def test_texts_mean_themselves_whatever_they_are(render, tmp_path, hostile):
    source = DataSource(id=hostile, name=hostile, config=hostile, split=hostile, revision=hostile)
    measured = Measurement(hostile, 0.5, 2, {hostile: hostile}, source)
    record = TrainingRecord(
        texts=2,
        labels=record_training([hostile, "plain"], columns_of([0, 1]), 2).labels,
        source=source,
        embedding_phase={hostile: hostile},
        head_phase={"seed": 1},
        measurements=(measured, replace(measured, source=replace(source, id="owner/name"), metric="f1")),
        versions={hostile: hostile},
    )
    head = replace(
        LOGISTIC,
        version=hostile,
        distribution=hostile,
        class_name=hostile,
        params={hostile: hostile},
        metadata={"format": hostile},
    )
    card = ModelCardData(license="mit")
    try:
        card = replace(card, model_name=hostile, dataset_name=hostile, dataset_split=hostile, tags=[hostile])
    except ArgumentError:
        assert len(hostile) > 200 or hostile != repr(hostile)[1:-1] or hostile.strip() != hostile or not hostile
    text = render(CardFacts(record, card), head=head, labels=[hostile, "plain"])
    data = loaded(text, tmp_path).data
    assert data.license == "mit"
    assert data.library_name == "setfit-core"
    assert [result.dataset_type for result in data.eval_results] == ["owner/name"]
    found = tokens(text)
    links = {token.attrs.get("href", token.attrs.get("src")) for token in found if token.type in ("link_open", "image")}
    assert links <= {"https://sbert.net", "https://huggingface.co/datasets/owner/name"} | (
        {f"https://huggingface.co/datasets/{hostile}"} if hostile == "x" * 500 else set()
    )
    assert {token.content for token in found if token.type in ("html_inline", "html_block")} <= {"<br>"}
    # Outside of code nothing is left that a renderer could make more of.
    plain = "".join(token.content for token in found if token.type == "text")
    assert not re.search(r"evil|alert|license: other|\x1b|\{\{", plain)
    headings = [found[place + 1].content for place, token in enumerate(found) if token.type == "heading_open"]
    assert headings[1:] == ["How to use it", "Labels", "Evaluation", "Training", "Files"]
    (shown, count, example), other = cells(text, "Labels")
    assert (count, other) == ("1", ["plain", "1", "plain"])
    assert len(shown) <= 100
    if len(hostile) <= 100:
        assert shown.strip("'\"") == repr(hostile)[1:-1] or shown in (hostile, hostile.strip(), repr(hostile))
    assert len(example) <= 120 + len("*(empty)*")
    assert all(char.isprintable() or char in "\n\u200c\u200d" for char in text)
    text.encode()


# The code


@pytest.mark.parametrize(
    ("head", "strategy", "kind"),
    [
        ("logistic", None, "names"),
        ("linear", None, "numbers"),
        (RandomForestClassifier(n_estimators=3), None, "names"),
        ("logistic", "one-vs-rest", "rows"),
        ("linear", "multi-output", "rows"),
    ],
    ids=str,
)
def test_the_code_runs(body, texts, topics, ids, saved, monkeypatch, capsys, head, strategy, kind):
    labels = {"names": topics, "numbers": [10 * i for i in ids], "rows": [[topic] for topic in topics]}[kind]
    model = SetFitModel(body, head, multi_target_strategy=strategy)
    trained(model, texts, labels)
    folder, text = saved(model)
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.chdir(folder)
    names = {"__name__": "card"}
    exec(compile(block, "README.md", "exec"), names)
    example = min((example for label in model.card_facts.training.labels for example in label.examples), key=len)
    assert capsys.readouterr().out.startswith(str(model.predict([example])))
    assert names["model"].labels == model.labels


def test_the_code_of_a_hostile_example_runs(render, capsys):
    class Recorder:
        @classmethod
        def from_pretrained(cls, place):
            return cls()

        def predict(self, given):
            asked.append(given)

    for text in HOSTILE:
        asked = []
        (example,) = record_training([text], columns_of([0]), 1).labels[0].examples
        record = TrainingRecord(texts=1, labels=(LabelTexts(1, (example,)), LabelTexts(0)))
        card = render(CardFacts(record))
        assert [token.info for token in tokens(card) if token.type == "fence"] == ["bash", "python"]
        # Many tools look for the end of the code like this.
        (block,) = re.findall(r"```python\n(.*?)```", card, flags=re.DOTALL)
        exec(
            compile(block.replace("from setfit_core import SetFitModel", ""), "README.md", "exec"),
            {"SetFitModel": Recorder},
        )
        assert asked == [[example or "A text to classify"]]


def test_an_untrained_model_is_not_asked(body, saved, monkeypatch):
    model = SetFitModel(body, "linear", labels=["a", "b"])
    folder, text = saved(model)
    assert "can't predict yet" in text
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    monkeypatch.chdir(folder)
    exec(compile(block, "README.md", "exec"), {})
    assert cells(text, "Labels") == [["a"], ["b"]]


def test_the_head_brings_its_distribution_or_its_class(render):
    def lines(head):
        fences = [token.content for token in tokens(render(head=head)) if token.type == "fence"]
        return "".join(fences)

    assert "pip install setfit-core setfit-head-logistic\n" in lines(LOGISTIC)
    assert 'from_pretrained(".")' in lines(LOGISTIC)
    own = replace(LOGISTIC, name=None, distribution=None, version=None, class_name="my_heads.torch:Big.Head")
    assert "pip install setfit-core\n" in lines(own)
    assert "from my_heads.torch import Big " in lines(own)
    assert 'from_pretrained(".", head=Big.Head)' in lines(own)
    assert "the package `my_heads`" in render(head=own)
    script = replace(own, class_name="__main__:Head")
    assert "import Head" not in lines(script)
    assert "head=Head)" in lines(script)
    inner = replace(own, class_name="my_heads:make.<locals>.Head")
    assert "pass it as head=TheClass" in lines(inner)
    forest = replace(own, class_name="sklearn.ensemble._forest:RandomForestClassifier")
    assert 'from_pretrained(".")' in lines(forest)
    named = CardFacts(card=ModelCardData(model_id="me/router"))
    assert "from_pretrained('me/router')\n" in render(named)


def test_the_head_and_its_origin_are_named(render):
    text = render(multi_target_strategy="one-vs-rest", normalize_embeddings=True, max_seq_length=256)
    rows = [
        "| Head | `logistic` of `setfit-head-logistic` `0.1.0`, a `sklearn.linear_model._logistic:LogisticRegression` |",  # noqa: E501  # one row of the table
        '| Parameters of the head | `{"C": 10.0}` |',
        "| Labels | 2 strings |",
        "| Several labels a text | yes, `one-vs-rest` |",
        "| Embeddings scaled to length 1 | yes |",
        "| Longest text | 256 tokens; what follows is not read |",
    ]
    assert [row for row in rows if row not in text] == []
    assert "Longest text" not in render(max_seq_length=math.inf)
    assert "3 integers" in render(labels=[3, 7, 9])
    assert cells(render(labels=[3, 7, 9]), "Labels") == [["3"], ["7"], ["9"]]
    assert cells(render(labels=[False, True]), "Labels") == [["False"], ["True"]]
    assert "They are not known yet." in render(labels=None)


# Facts


def test_no_path_of_the_machine_is_told(body, texts, topics, saved, tmp_path, monkeypatch):
    from sentence_transformers import SentenceTransformer

    monkeypatch.chdir(tmp_path)
    body.save_pretrained("bodies/mine", create_model_card=False)
    model = SetFitModel(SentenceTransformer("bodies/mine", device="cpu"))
    args = TrainingArguments(str(tmp_path / "checkpoints"), show_progress_bar=False, max_steps=1)
    Trainer(model=model, args=args, train_dataset=(texts, topics)).train()
    _, text = saved(model)
    assert base_model_of("bodies/mine", model.model_body) is None
    assert loaded(text, tmp_path).data.base_model is None
    for path in (str(tmp_path), "bodies", "checkpoints", "/home", "/tmp"):
        assert path not in text


def test_a_body_of_the_hub_is_named(body):
    assert base_model_of("owner/body", body) == "owner/body"
    assert base_model_of("body", body) is None  # whose body that is, the hub alone could say
    assert base_model_of(None, body) is None
    body.model_card_data.base_model = "owner/other"  # as sentence-transformers does
    assert base_model_of(None, body) == "owner/other"


def test_the_same_training_gives_the_same_card(static_body_factory, texts, topics, saved):
    cards = []
    for _ in range(2):
        model = SetFitModel(static_body_factory())
        trainer = trained(model, texts, topics)
        trainer.evaluate((texts, topics))
        cards.append(saved(model)[1])
    assert cards[0] == cards[1]


def test_a_model_keeps_its_card_through_the_disk(body, texts, topics, saved, tmp_path):
    card = ModelCardData(language="en", license="mit", dataset_id="owner/topics", model_name="Topics")
    model = SetFitModel(body, "linear", model_card_data=card)
    trained(model, texts, topics, eval_dataset=(["A goal", "A pie"], ["sport", "food"])).evaluate()
    folder, text = saved(model)
    loaded_model = SetFitModel.from_pretrained(folder)
    assert loaded_model.card_facts == model.card_facts
    assert saved(loaded_model)[1] == text
    other = SetFitModel.from_pretrained(folder, model_card_data=replace(card, license="apache-2.0"))
    assert loaded(saved(other)[1], tmp_path).data.license == "apache-2.0"


def test_what_is_said_of_a_head_goes_with_it(body, texts, topics, saved):
    model = SetFitModel(body)
    model.fit(texts[2:], topics[2:])
    training = model.card_facts.training
    assert [label.count for label in training.labels] == [4, 2, 4]
    assert (training.embedding_phase, training.head_phase) == (None, None)
    folder, text = saved(model, ModelCardData(license="mit"))
    assert "| Argument |" not in text
    own = RandomForestClassifier(n_estimators=2)
    assert SetFitModel.from_pretrained(folder, head=own).card_facts == replace(model.card_facts, training=None)
    with pytest.raises(LabelError):
        model.fit(texts, [None] * 12)
    assert model.card_facts.training is training
    model.model_head = "linear"
    assert model.card_facts == CardFacts(card=ModelCardData(license="mit"))


def test_facts_survive_json():
    source = DataSource("owner/data", "data", "plain", "test", "c0ffee", 8)
    record = replace(RECORD, source=source).with_measurements(
        [ACCURACY, Measurement("f1", 1, 3, {"average": None}, source, on_training_data=True)]
    )
    card = ModelCardData(language=["en"], tags=["a"], model_id="me/router", license="mit", examples=True)
    for facts in (CardFacts(record, card, "owner/body"), CardFacts(record), CardFacts(card=card), CardFacts()):
        assert CardFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts
    assert CardFacts().to_json() is None
    assert TrainingRecord.from_json(json.loads(json.dumps(record.to_json()))) == record


def changed(**changes):
    content = CardFacts(RECORD.with_measurements([ACCURACY]), ModelCardData(), "owner/body").to_json()
    for path, value in changes.items():
        place = content
        *parents, last = path.split("__")
        for parent in parents:
            place = place[int(parent) if parent.isdigit() else parent]
        place[last] = value
    return content


@pytest.mark.parametrize(
    "changes",
    [
        {"record": [1]},
        {"record__texts": -1},
        {"record__texts": True},
        {"record__labels": {"a": 1}},
        {"record__labels": [3]},
        {"record__labels__0__count": "many"},
        {"record__labels__0__examples": "text"},
        {"record__labels__0__examples": [1]},
        {"record__source": "here"},
        {"record__source": {"rows": 1.5}},
        {"record__source": {"name": ["x"]}},
        {"record__embedding_phase": {"loss": {"deep": []}}},
        {"record__head_phase": {"rate": math.nan}},
        {"record__measurements": None},
        {"record__measurements__0__value": "best"},
        {"record__measurements__0__value": math.inf},
        {"record__measurements__0__on_training_data": 1},
        {"record__measurements__0__options": {"average": [1]}},
        {"record__versions": {"torch": 2}},
        {"card": "x"},
        {"card__license": "a\nb"},
        {"card__tags": 3},
        {"card__language": 3},
        {"base_model": "/home/me"},
        {"base_model": 3},
    ],
    ids=str,
)
def test_damaged_facts_are_told(changes):
    CardFacts.from_json(changed())
    with pytest.raises(ModelFormatError, match="damaged"):
        CardFacts.from_json(changed(**changes))


def test_long_examples_in_a_file_are_cut():
    content = changed(record__labels__0__examples=["x" * 10_000] * 50)
    label = CardFacts.from_json(content).training.labels[0]
    assert len(label.examples) == 3
    assert {len(text) for text in label.examples} == {120}


def test_what_is_unknown_to_this_version_is_passed_over():
    content = changed(record__later=1, card__later=2, later=3)
    assert CardFacts.from_json(content) == CardFacts.from_json(changed())


def test_a_record_of_other_labels_is_left_out(render):
    text = render(CardFacts(RECORD.with_measurements([ACCURACY])), labels=["a", "b", "c"])
    assert cells(text, "Labels") == [["a"], ["b"], ["c"]]
    assert "Nothing was measured." in text
