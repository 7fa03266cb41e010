"""`README.md` of a saved model: metadata that the hub reads, and Markdown for people."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import huggingface_hub
from huggingface_hub import EvalResult

from setfit_core.labels import Label
from setfit_core.model_card.data import ModelCardData, is_hub_id
from setfit_core.model_card.facts import CardFacts
from setfit_core.model_card.markdown import code, inline, label_text, shorten, string_literal, table, visible
from setfit_core.model_card.record import DataSource, Measurement, TrainingRecord

if TYPE_CHECKING:
    from setfit_core.persistence.config import HeadRecord

#: Tables with more rows are folded, and end after so many rows.
FOLDED_FROM: Final = 30
MOST_ROWS: Final = 1000

_TITLE: Final = "SetFit model for text classification"
_HUB: Final = "https://huggingface.co"
_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_METRIC: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_ .-]{0,63}")
_STORED: Final = {
    "safetensors": "`safetensors`, with the arguments that build the head as JSON",
    "skops": "`skops`; types beyond a list of known ones are refused unless you name them with `trusted=[...]`",
}
_KINDS: Final = {str: "strings", bool: "booleans", int: "integers", float: "numbers"}


def render_card(
    facts: CardFacts,
    *,
    head: HeadRecord,
    labels: Sequence[Label] | None,
    normalize_embeddings: bool,
    multi_target_strategy: str | None,
    trained: bool = True,
    probabilities: bool = False,
    max_seq_length: float | None = None,
    setfit_compatible: bool = False,
    calibration: str | None = None,
    thresholds: Sequence[float] | None = None,
) -> str:
    """Return the text of `README.md`: the same for the same arguments, and no figure that was not measured.

    Labels, texts and names may be anything: they can't end a table, a code block or the metadata, and make no links.

    Args:
        facts: What is known about the training, and what the user said.
        head: What the configuration says about the head.
        labels: The labels in the order of the probability columns; None if they aren't known yet.
        normalize_embeddings: Whether embeddings are scaled to length 1 before they reach the head.
        multi_target_strategy: How several labels a text are predicted; None for one label a text.
        trained: Whether the model can predict.
        probabilities: Whether it can predict probabilities.
        max_seq_length: How many tokens of a text the body reads; None or infinity if it has no limit.
        setfit_compatible: Whether `setfit` loads the folder, too, which then holds a pickle of the head besides.
        calibration: How the probabilities were calibrated; None if they are the head's own.
        thresholds: How likely each of several labels has to be; None leaves that to the head.
    """
    card = facts.card or ModelCardData()
    training = facts.published_training or TrainingRecord()
    base_model = card.st_id or facts.base_model
    title = card.model_name or (card.model_id or _TITLE).rpartition("/")[2]
    names = list(labels or ())
    if training.labels is not None and len(training.labels) != len(names):
        training = TrainingRecord()  # of other labels, so not of this head
    description = _description(card, head, names, training, base_model, normalize_embeddings, multi_target_strategy)
    if max_seq_length is not None and math.isfinite(max_seq_length):
        description.append(["Longest text", f"{max_seq_length} tokens; what follows is not read"])
    if calibration is not None:
        description.append(["Probabilities calibrated by", code(calibration)])
    sections = [
        f"# {inline(title)}",
        "A text classifier. A [sentence-transformers](https://sbert.net) body turns a text into an embedding, and a "
        "classification head turns the embedding into "
        + ("a label." if multi_target_strategy is None else "any number of labels."),
        table(["", ""], description),
        "## How to use it",
        _use(card, head, training, trained=trained, probabilities=probabilities, setfit_compatible=setfit_compatible),
        "## Labels",
        _labels(names, training, several=multi_target_strategy is not None, thresholds=thresholds),
        "## Evaluation",
        _evaluation(training.measurements, card),
        "## Training",
        _training(training, card),
        "## Files",
        _files(head, setfit_compatible=setfit_compatible),
    ]
    metadata = _metadata(card, training, base_model, title, setfit_compatible=setfit_compatible)
    return f"---\n{metadata.to_yaml()}\n---\n\n" + "\n\n".join(sections) + "\n"


# Metadata


def _metadata(
    card: ModelCardData, training: TrainingRecord, base_model: str | None, title: str, *, setfit_compatible: bool
) -> huggingface_hub.ModelCardData:
    """Return what the hub reads.

    The hub shows how to load a model by its `library_name`, and takes a tag that names a library for one where the
    name is missing. `setfit` would load a folder of ours with a new, random head, so the name and the tag `setfit`
    are for folders that it can read. A name that the hub doesn't know is a tag like others.
    """
    library = "setfit" if setfit_compatible else "setfit-core"
    results = [result for each in training.measurements if (result := _eval_result(each, card)) is not None]
    sources = [card.dataset_id, None if training.source is None else training.source.id]
    datasets = [source for source in sources if source is not None and is_hub_id(source, with_owner=False)]
    metrics = [each.metric for each in training.measurements if _METRIC.fullmatch(each.metric)]
    examples = [label.examples[0] for label in training.labels or () if any(label.examples[:1])]
    optional: dict[str, Any] = {"widget": [{"text": text} for text in examples[:3]]} if examples else {}
    languages = list(card.languages)
    return huggingface_hub.ModelCardData(
        language=languages[0] if len(languages) == 1 else languages or None,
        license=card.license,
        library_name=library,
        pipeline_tag="text-classification",
        tags=[library, "sentence-transformers", "text-classification", "few-shot", *card.tags],
        base_model=base_model,
        datasets=list(dict.fromkeys(datasets)) or None,
        metrics=list(dict.fromkeys(metrics)) or None,
        eval_results=results or None,
        model_name=title if results else None,
        **optional,
    )


def _eval_result(measurement: Measurement, card: ModelCardData) -> EvalResult | None:
    """Return a measurement for the hub's lists; None if it says too little of the data, or was no test.

    The hub wants the id of the data set. What was measured on the training texts, or on a part of a split, would be
    compared with what it can't be compared with.
    """
    source = measurement.source or DataSource()
    # What the data set says about itself goes before what the user said.
    by_user = source.id is None and source.name is None
    dataset_id = card.dataset_id if by_user else source.id
    part = source.rows is not None and source.rows != measurement.texts
    if measurement.on_training_data or part or dataset_id is None or not is_hub_id(dataset_id, with_owner=False):
        return None
    if not _METRIC.fullmatch(measurement.metric):
        return None
    pretty = card.dataset_name if dataset_id == card.dataset_id else None
    split = source.split or (card.dataset_split if by_user else None)
    revision = card.dataset_revision if by_user else source.revision
    return EvalResult(
        task_type="text-classification",
        dataset_type=dataset_id,
        dataset_name=pretty or visible(source.name or dataset_id),
        dataset_config=None if source.config is None else visible(source.config),
        dataset_split=None if split is None else visible(split),
        dataset_revision=None if revision is None else visible(revision),
        metric_type=measurement.metric,
        metric_value=measurement.value,
        metric_args={visible(name): _plain(value) for name, value in measurement.options.items()} or None,
    )


def _plain(value: Any) -> Any:
    return visible(value) if isinstance(value, str) else value


# What it is


def _description(
    card: ModelCardData,
    head: HeadRecord,
    labels: list[Label],
    training: TrainingRecord,
    base_model: str | None,
    normalize_embeddings: bool,
    multi_target_strategy: str | None,
) -> list[list[str]]:
    source = _dataset(card, training.source)
    params = json.dumps(head.params, sort_keys=True, ensure_ascii=False) if head.params else None
    kind = f"{len(labels)} {_KINDS[type(labels[0])]}" if labels else "not known yet"
    several = "no" if multi_target_strategy is None else f"yes, {code(multi_target_strategy)}"
    rows = [
        ("Body, before training", None if base_model is None else _link(base_model)),
        ("Head", _head(head)),
        ("Parameters of the head", None if params is None else code(shorten(params, 500))),
        ("Labels", kind),
        ("Several labels a text", several),
        ("Embeddings scaled to length 1", "yes" if normalize_embeddings else "no"),
        ("Language", ", ".join(map(code, card.languages)) or None),
        ("License", None if card.license is None else code(card.license)),
        ("Data set", source),
    ]
    return [[name, value] for name, value in rows if value is not None]


def _link(repo_id: str, folder: str = "") -> str:
    return f"[{code(repo_id)}]({_HUB}/{folder}{repo_id})"


def _head(head: HeadRecord) -> str:
    kind = code(head.class_name)
    if head.name is None:
        return f"{kind}, which no distribution offered under a name"
    version = "" if head.version is None else f" {code(head.version)}"
    return f"{code(head.name)} of {code(head.distribution or '')}{version}, a {kind}"


def _dataset(card: ModelCardData, source: DataSource | None) -> str | None:
    source = source or DataSource()
    dataset_id = card.dataset_id or source.id
    name = card.dataset_name or source.name
    linked = None if dataset_id is None or not is_hub_id(dataset_id, with_owner=False) else dataset_id
    parts = [inline(name)] if name is not None else []
    if linked is not None:
        parts.append(_link(linked, "datasets/"))
    return ", ".join(parts) or None


# How to use it


def _use(
    card: ModelCardData,
    head: HeadRecord,
    training: TrainingRecord,
    *,
    trained: bool,
    probabilities: bool,
    setfit_compatible: bool,
) -> str:
    needed = ["setfit-core"]
    if head.name is not None and head.distribution is not None and _PLAIN_NAME.fullmatch(head.distribution):
        needed.append(head.distribution)
    where = string_literal(card.model_id) if card.model_id else '"."'
    note = "" if card.model_id else "  # this folder; or give its path, or its id on the hub"
    before, argument = _own_class(head)
    lines = ["from setfit_core import SetFitModel", *before, ""]
    lines.append(f"model = SetFitModel.from_pretrained({where}{argument}){note}")
    examples = [text for label in training.labels or () for text in label.examples if text]
    # The shortest, and the first among those.
    text = string_literal(min(examples, key=len)) if examples else '"A text to classify"'
    if trained:
        lines.append(f"print(model.predict([{text}]))")
    if trained and probabilities:
        lines.append(f"print(model.predict_proba([{text}]))  # columns in the order of model.labels")
    parts = [
        f"```bash\npip install {' '.join(needed)}\n```",
        "```python\n" + "\n".join(lines) + "\n```",
    ]
    package = _package(head)
    if _is_own(head) and package != "__main__":
        parts.append(f"The class of the head comes from the package {code(package)}, which must be installed, too.")
    if not trained:
        parts.append("The model has not been trained: it can't predict yet.")
    if setfit_compatible:
        parts.append("`setfit` loads it, too: import `SetFitModel` from there. See below for what that runs.")
    return "\n\n".join(parts)


def _own_class(head: HeadRecord) -> tuple[list[str], str]:
    """Return the import and the argument that loading needs where no distribution offers the class under a name."""
    module, _, name = head.class_name.partition(":")
    if not _is_own(head):
        return [], ""
    if not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
        return ["# The head is of a class that was made inside a function: pass it as head=TheClass."], ""
    top, _, _ = name.partition(".")
    if module == "__main__":
        return [f"# {top}, the class of the head, was defined in a script: define it here."], f", head={name}"
    return [f"from {module} import {top}  # the class of the head"], f", head={name}"


def _is_own(head: HeadRecord) -> bool:
    """Tell whether neither a distribution's name for the head nor scikit-learn brings its class."""
    return head.name is None and _package(head) != "sklearn"


def _package(head: HeadRecord) -> str:
    return head.class_name.partition(":")[0].partition(".")[0]


# Labels


def _labels(labels: list[Label], training: TrainingRecord, *, several: bool, thresholds: Sequence[float] | None) -> str:
    if not labels:
        return "They are not known yet."
    shown, counted, notes = labels[:MOST_ROWS], training.labels, []
    columns = {"Label": [code(label_text(label)) for label in shown]}
    if len(labels) > MOST_ROWS:
        notes.append(f"These are the first {MOST_ROWS} of {len(labels)} labels; `config_setfit.json` has them all.")
    if thresholds is not None:
        columns["Threshold"] = [f"{threshold:.4f}" for threshold in thresholds[:MOST_ROWS]]
    if counted is not None:
        columns["Training texts"] = [str(label.count) for label in counted[:MOST_ROWS]]
        if any(label.examples for label in counted):
            columns["Examples"] = ["<br>".join(map(code, label.examples)) for label in counted[:MOST_ROWS]]
        if several:
            notes.append("A text may have several labels.")
        if any(label.count == 0 for label in counted):
            notes.append("A label without training texts is never predicted.")
    if thresholds is not None:
        notes.append("A text gets each label whose probability is above its threshold.")
    rows = [list(cells) for cells in zip(*columns.values(), strict=True)]
    return "\n\n".join([_folded(table(list(columns), rows), len(labels)), *([" ".join(notes)] if notes else [])])


def _folded(text: str, rows: int) -> str:
    if rows <= FOLDED_FROM:
        return text
    return f"<details>\n<summary>All {rows} labels</summary>\n\n{text}\n\n</details>"


# Evaluation


def _evaluation(measurements: Sequence[Measurement], card: ModelCardData) -> str:
    if not measurements:
        return "Nothing was measured."
    rows = [
        [_metric(each), f"{each.value:.4f}" if isinstance(each.value, float) else str(each.value), _data(each, card)]
        for each in measurements
    ]
    text = table(["Metric", "Value", "Measured on"], rows)
    if any(each.on_training_data for each in measurements):
        text += "\n\nFigures on the training texts don't tell how well the model does on others."
    return text


def _metric(measurement: Measurement) -> str:
    options = ", ".join(f"{name}={value!r}" for name, value in sorted(measurement.options.items()))
    return code(measurement.metric) + (f" ({code(options)})" if options else "")


def _data(measurement: Measurement, card: ModelCardData) -> str:
    if measurement.on_training_data:
        return f"the {measurement.texts} training texts"
    source = measurement.source or DataSource()
    unknown = source.id is None and source.name is None
    name = _dataset(card, None) if unknown else _dataset(ModelCardData(), source)
    split = source.split or (card.dataset_split if unknown else None)
    parts = [f"{measurement.texts} texts"]
    if source.rows is not None and source.rows != measurement.texts:
        parts[0] = f"{measurement.texts} of {source.rows} texts"
    parts += [] if name is None else [name]
    parts += [] if split is None else [f"split {code(split)}"]
    return ", ".join(parts)


# Training


def _training(training: TrainingRecord, card: ModelCardData) -> str:
    parts = []
    if training.texts is not None:
        source = training.source or DataSource()
        name = _dataset(card, source)
        of_which = "" if name is None else f", from {name}"
        split = "" if source.split is None else f", split {code(source.split)}"
        parts.append(f"The head was trained on {training.texts} texts{of_which}{split}.")
    phases = [("Embedding phase", training.embedding_phase), ("Head phase", training.head_phase)]
    known = [(title, arguments) for title, arguments in phases if arguments is not None]
    if known:
        names = sorted({name for _, arguments in known for name in arguments})
        rows = [
            [code(name), *(code(_setting(phase[name])) if name in phase else "" for _, phase in known)]
            for name in names
        ]
        parts.append(table(["Argument", *(title for title, _ in known)], rows))
    if training.head_phase is not None and training.embedding_phase is None:
        parts.append("This training had no embedding phase: the body was not fine-tuned on pairs of texts.")
    if training.versions:
        rows = [[code(name), code(version)] for name, version in sorted(training.versions.items())]
        parts += ["Versions in training:", table(["", ""], rows)]
    return "\n\n".join(parts) or "Nothing is known about it."


def _setting(value: Any) -> str:
    return value if isinstance(value, str) and value else repr(value)


# Files


def _files(head: HeadRecord, *, setfit_compatible: bool) -> str:
    saved_as = str(head.metadata["format"])
    stored = _STORED.get(saved_as, f"{code(saved_as)}, a format of its own plugin")
    text = f"The head is in the folder `head`, as {stored}. Labels and settings are in `config_setfit.json`."
    if setfit_compatible:
        text += (
            " For `setfit` the head is there once more, in `model_head.pkl`: a pickle, which runs whatever it says "
            "when `setfit` loads it. `setfit-core` doesn't read that file."
        )
    else:
        text += " There is no pickle."
    return text + " `setfit-core` runs no code from these files unless you allow it."
