"""Models that `setfit` saved predict here what they predicted there, and the other way round."""

import importlib.util
import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from torch import nn

from setfit_core import SetFitModel
from setfit_core.errors import (
    ArgumentError,
    ModelFormatError,
    PersistenceError,
    SetFitError,
    UnfittedHeadError,
    UnsavableHeadError,
    UntrustedTypesError,
)
from setfit_core.heads.adapters import adapter_for
from setfit_core.labelling import Labelling
from setfit_core.persistence.setfit.folder import is_setfit_folder, read_setfit_folder

FOLDERS = Path(__file__).parent / "setfit_folders"
SAVED = sorted(path.parent.relative_to(FOLDERS).as_posix() for path in FOLDERS.glob("*/*/model_head.pkl"))
NAMES = ["film", "sport", "weather"]


@pytest.fixture(scope="session")
def with_setfit():
    """The script that writes folders and asks for predictions where setfit is installed; and its texts."""
    spec = importlib.util.spec_from_file_location("with_setfit", FOLDERS / "with_setfit.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def folder_of(tmp_path):
    """Make a whole model folder of a case that setfit saved, or of a head and settings."""

    def folder_of(case=None, head=None, **settings):
        folder = tmp_path / f"model-{len(list(tmp_path.iterdir()))}"
        shutil.copytree(FOLDERS / "body", folder)
        if case is not None:
            shutil.copy(FOLDERS / case / "model_head.pkl", folder)
            shutil.copy(FOLDERS / case / "config_setfit.json", folder)
        else:
            written = json.dumps({"labels": None, "normalize_embeddings": False, **settings})
            (folder / "config_setfit.json").write_text(written, encoding="utf-8")
        if head is not None:
            joblib.dump(head, folder / "model_head.pkl")
        return folder

    return folder_of


@pytest.fixture
def train(with_setfit):
    """Train a head on the texts, and return the model."""
    from sentence_transformers import SentenceTransformer

    def train(head, targets, strategy=None, **arguments):
        body = SentenceTransformer(str(FOLDERS / "body"), device="cpu")
        model = SetFitModel(body, head, strategy, **arguments)
        texts = [text for group in with_setfit.SEEN.values() for text in group]
        model.fit(texts, targets, num_epochs=3, show_progress_bar=False, head_learning_rate=0.5)
        return model

    return train


def listed(values):
    return values if isinstance(values, list) else values.tolist()


def setfits_probabilities(expected, model):
    """Arrange what setfit gave for its classes by the labels of the model."""
    found = np.asarray(expected["predict_proba"])
    if found.ndim == 3:  # multi-output: how likely a label is not, and how likely it is
        return found[:, :, 1]
    if model.multi_target_strategy is not None:
        return found
    classes = expected["classes"] or range(found.shape[1])
    names = expected["labels"]
    columns = [known if isinstance(known, str) or names is None else names[known] for known in classes]
    arranged = np.zeros((len(found), len(model.labels)))
    arranged[:, [model.labels.index(column) for column in columns]] = found
    return arranged


def assert_same_predictions(model, expected, texts):
    model.precision = "float32"  # what setfit computes in
    assert listed(model.predict(texts)) == expected["predict"]
    probabilities = setfits_probabilities(expected, model)
    np.testing.assert_allclose(model.predict_proba(texts, as_numpy=True), probabilities, atol=1e-5)


# Reading


def test_every_version_has_a_folder_of_every_kind():
    kinds = {}
    for place in SAVED:
        kinds.setdefault(place.partition("/")[0], set()).add(place.partition("/")[2])
    assert set(kinds) == {"setfit-1.0.3", "setfit-1.1.3", "setfit-1.2.0"}
    assert kinds["setfit-1.0.3"] == kinds["setfit-1.1.3"]
    assert kinds["setfit-1.1.3"] - kinds["setfit-1.2.0"] == {"ovr", "liblinear", "multinomial_of_two"}
    for place in SAVED:
        expected = json.loads((FOLDERS / place / "expected.json").read_text(encoding="utf-8"))
        assert place.startswith(f"setfit-{expected['versions']['setfit']}/")


@pytest.mark.parametrize("case", SAVED)
def test_a_folder_of_setfit_predicts_what_it_predicted_there(case, folder_of, with_setfit):
    expected = json.loads((FOLDERS / case / "expected.json").read_text(encoding="utf-8"))
    model = SetFitModel.from_pretrained(folder_of(case), device="cpu")
    assert_same_predictions(model, expected, with_setfit.TEXTS)


def test_the_strategy_is_that_of_the_head(folder_of):
    strategies = {
        name: read_setfit_folder(folder_of(f"setfit-1.2.0/{name}"), device="cpu").multi_target_strategy
        for name in ("strings", "one_vs_rest_of_single_labels", "one_vs_rest", "multi_output", "chain", "torch")
    }
    assert strategies == {
        "strings": None,
        "one_vs_rest_of_single_labels": None,
        "one_vs_rest": "one-vs-rest",
        "multi_output": "multi-output",
        "chain": "classifier-chain",
        "torch": None,
    }
    assert read_setfit_folder(folder_of("setfit-1.2.0/torch_multi_label"), device="cpu").multi_target_strategy


@pytest.mark.parametrize("case", ["strings", "ovr", "torch", "one_vs_rest", "multi_output", "chain"])
def test_a_loaded_model_can_be_trained_again_and_saved(case, folder_of, with_setfit, tmp_path):
    model = SetFitModel.from_pretrained(folder_of(f"setfit-1.0.3/{case}"), device="cpu")
    texts = [text for group in with_setfit.SEEN.values() for text in group]
    labels = [name for name in NAMES for _ in range(5)]
    rows = [[place == index // 5 for place in range(3)] for index in range(15)]
    model.fit(texts, rows if model.multi_target_strategy else labels, num_epochs=1, show_progress_bar=False)
    model.save_pretrained(tmp_path / "again")
    loaded = SetFitModel.from_pretrained(tmp_path / "again", device="cpu")
    assert listed(loaded.predict(texts)) == listed(model.predict(texts))


def test_settings_of_an_old_logistic_regression_are_kept(folder_of):
    head = LogisticRegression(C=7, max_iter=50, class_weight={"a": 2, "b": 1.5}, solver="saga", random_state=3)
    head.fit(np.eye(16), list("ab" * 8))
    settings = {"l2": {}, None: {"C": np.inf}, "none": {"C": np.inf}, "l1": {"l1_ratio": 1.0}}
    for penalty, changed in settings.items():
        head.penalty, head.n_jobs, head.verbose = penalty, 4, 5
        read = read_setfit_folder(folder_of(head=head), device="cpu").head
        kept = {name: getattr(read, name) for name in ("C", "max_iter", "class_weight", "solver", "random_state")}
        assert kept == {
            "C": changed.get("C", 7),
            "max_iter": 50,
            "class_weight": {"a": 2, "b": 1.5},
            "solver": "saga",
            "random_state": 3,
        }
        assert read.l1_ratio == changed.get("l1_ratio", 0.0)
        # A file that somebody else made starts no processes and prints nothing.
        assert (read.n_jobs, read.verbose) == (None, 0)


def test_names_that_setfit_would_not_count(folder_of, caplog):
    cases = {
        ("torch", ("a", "b", "c", "d")): ["a", "b", "c"],
        ("torch_without_names", ("a", "b")): ["a", "b"],
        ("torch_multi_label", ("a", "b")): [0, 1, 2],
        ("chain", ("a", "b")): None,
        ("chain", ("a", "b", "c")): ["a", "b", "c"],
        ("strings", ()): None,
    }
    for (name, labels), kept in cases.items():
        folder = folder_of(f"setfit-1.2.0/{name}")
        settings = json.dumps({"labels": labels, "normalize_embeddings": False, "span_context": 3})
        (folder / "config_setfit.json").write_text(settings, encoding="utf-8")
        caplog.clear()
        assert read_setfit_folder(folder, device="cpu").labels == kept
        assert bool(caplog.messages) == (kept != (list(labels) or None))


def test_fewer_names_than_outputs_leave_the_surplus_out(folder_of, with_setfit):
    folder = folder_of("setfit-1.2.0/torch")
    (folder / "config_setfit.json").write_text('{"labels": ["a", "b"]}', encoding="utf-8")
    model = SetFitModel.from_pretrained(folder, device="cpu", precision="float32")
    probabilities = model.predict_proba(with_setfit.TEXTS, as_numpy=True)
    expected = np.asarray(json.loads((FOLDERS / "setfit-1.2.0/torch/expected.json").read_text())["predict_proba"])
    kept = expected[:, :2] / expected[:, :2].sum(axis=1, keepdims=True)
    np.testing.assert_allclose(probabilities, kept, atol=1e-5)


def test_names_that_do_not_fit_the_classes_are_told(folder_of):
    head = LogisticRegression().fit(np.eye(16), list("abcd" * 4))
    with pytest.raises(ModelFormatError, match=r"config_setfit\.json names labels.* 4 classes"):
        SetFitModel.from_pretrained(folder_of(head=head, labels=["a", "b"]), device="cpu")


def test_numbers_from_one_are_names_in_their_order(folder_of, with_setfit):
    """setfit takes the class 3 of 1, 2 and 3 for the fourth of three labels, and fails."""
    head = LogisticRegression().fit(np.eye(16)[:15], [1, 2, 3] * 5)
    model = SetFitModel.from_pretrained(folder_of(head=head, labels=NAMES), device="cpu")
    embeddings = model.model_body.encode(with_setfit.TEXTS)
    assert model.predict(with_setfit.TEXTS) == [NAMES[number - 1] for number in head.predict(embeddings)]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_a_torch_head_keeps_its_precision(dtype, folder_of, with_setfit):
    folder = folder_of("setfit-1.2.0/torch")
    model = SetFitModel.from_pretrained(folder, device="cpu")
    model.model_head.to(dtype)
    model.save_pretrained(folder, setfit_compatible=True)
    shutil.rmtree(folder / "head")
    (folder / "config_setfit.json").write_text(json.dumps({"labels": NAMES}), encoding="utf-8")
    loaded = SetFitModel.from_pretrained(folder, device="cpu")
    assert {parameter.dtype for parameter in loaded.model_head.parameters()} == {dtype}
    assert loaded.predict(with_setfit.TEXTS) == model.predict(with_setfit.TEXTS)
    for mine, theirs in zip(loaded.model_head.parameters(), model.model_head.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_an_untrained_head_of_setfit_says_so(folder_of):
    for head in (LogisticRegression(), OneVsRestClassifier(LogisticRegression())):
        folder = folder_of(head=head)
        assert type(read_setfit_folder(folder, device="cpu").head) is type(head)
        with pytest.raises(UnfittedHeadError):
            SetFitModel.from_pretrained(folder, device="cpu").predict(["a film"])


def test_a_folder_without_head_has_none(folder_of):
    folder = folder_of(labels=["a", "b"], normalize_embeddings=True)
    saved = read_setfit_folder(folder, device="cpu")
    assert (saved.head, saved.labels, saved.normalize_embeddings) == (None, ["a", "b"], True)


def test_folders_are_told_apart(folder_of, tmp_path, train):
    assert is_setfit_folder(folder_of("setfit-1.2.0/torch"))
    assert is_setfit_folder(folder_of(labels=None))
    without_settings = folder_of("setfit-1.2.0/torch")
    (without_settings / "config_setfit.json").unlink()
    assert is_setfit_folder(without_settings)
    assert read_setfit_folder(without_settings, device="cpu").labels == [0, 1, 2]
    assert not is_setfit_folder(FOLDERS / "body")
    model = train(LogisticRegression(), NAMES * 5)
    assert not is_setfit_folder(model.save_pretrained(tmp_path / "ours", setfit_compatible=True))


@pytest.mark.parametrize(
    "settings",
    [{"labels": "abc"}, {"labels": {"0": "a"}}, {"labels": [["a"], ["b"]]}, {"normalize_embeddings": "yes"}],
)
def test_settings_of_the_wrong_type_are_refused(settings, folder_of):
    with pytest.raises(ModelFormatError, match=next(iter(settings))):
        read_setfit_folder(folder_of(head=LogisticRegression(), **settings), device="cpu")


def test_a_head_for_other_embeddings_is_refused(folder_of):
    head = LogisticRegression().fit(np.eye(8), list("abcd" * 2))
    with pytest.raises(SetFitError, match="8 features"):
        SetFitModel.from_pretrained(folder_of(head=head), device="cpu").predict(["a film"])


def test_trust_lets_another_head_in(folder_of, with_setfit):
    embeddings = np.eye(16)
    forest = RandomForestClassifier(5, random_state=0).fit(embeddings, list("abcd" * 4))
    folder = folder_of(head=forest)
    with pytest.raises(UntrustedTypesError) as caught:
        SetFitModel.from_pretrained(folder, device="cpu")
    assert caught.value.types == ("sklearn.ensemble._forest.RandomForestClassifier",)
    model = SetFitModel.from_pretrained(folder, device="cpu", trust_pickle=True)
    found = model.model_body.encode(with_setfit.TEXTS)
    assert model.predict(with_setfit.TEXTS) == forest.predict(found).tolist()


def test_trust_finds_the_strategy_of_another_head(folder_of):
    rows = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 0], [1, 1, 0]] * 4)
    heads = {
        "one-vs-rest": OneVsRestClassifier(RandomForestClassifier(3)),
        "multi-output": RandomForestClassifier(3),
    }
    for strategy, head in heads.items():
        saved = read_setfit_folder(folder_of(head=head.fit(np.eye(16), rows)), device="cpu", trust_pickle=True)
        assert saved.multi_target_strategy == strategy


def test_trust_runs_nothing_that_can_be_read_without(folder_of, tmp_path):
    assert read_setfit_folder(folder_of("setfit-1.0.3/torch"), device="cpu", trust_pickle=True).head is not None


def test_trust_names_the_module_that_is_missing(folder_of):
    folder = folder_of(labels=None)
    (folder / "model_head.pkl").write_bytes(b"\x80\x04cno_such_module\nHead\n)\x81.")
    with pytest.raises(PersistenceError, match="'no_such_module'"):
        read_setfit_folder(folder, device="cpu", trust_pickle=True)
    (folder / "model_head.pkl").write_bytes(b"\x80\x04cbuiltins\nnothing\n)\x81.")
    with pytest.raises(ModelFormatError, match="can't be unpickled"):
        read_setfit_folder(folder, device="cpu", trust_pickle=True)


def test_damaged_heads_raise_our_errors_only(folder_of):
    """Change bytes of good heads: the head is refused, or it predicts, or fails with an error of ours."""
    rng = random.Random(0)
    folder = folder_of(labels=None)
    heads = [(FOLDERS / place / "model_head.pkl").read_bytes() for place in SAVED if not place.startswith("setfit-1.1")]
    refused = 0
    for _ in range(600):
        content = bytearray(rng.choice(heads))
        for _ in range(rng.choice((1, 1, 2, 8))):
            place = rng.randrange(2, len(content))
            action = rng.randrange(4)
            if action == 0:
                content[place] = rng.randrange(256)
            elif action == 1:
                content[place] ^= 1 << rng.randrange(8)
            elif action == 2:
                del content[place : place + rng.choice((1, 4, 40))]
            else:
                start = rng.randrange(2, len(content))
                content[place:place] = content[start : start + rng.choice((1, 8, 60))]
        (folder / "model_head.pkl").write_bytes(content)
        try:
            saved = read_setfit_folder(folder, device="cpu")
            head, several = saved.head, saved.multi_target_strategy is not None
            differentiable = isinstance(head, nn.Module)
            codec = Labelling(saved.labels, multi_label=several).known_to(head, differentiable=differentiable)
            embeddings = torch.ones(2, 16) if differentiable else np.ones((2, 16), dtype=np.float32)
            if codec is not None:
                adapter_for(head).class_ids(embeddings, codec)
                adapter_for(head).probabilities(embeddings, codec)
        except SetFitError:
            refused += 1
    assert 200 < refused < 600


# Writing

ONE_LABEL = {
    "strings": (LogisticRegression(), [name for name in NAMES for _ in range(5)], {}),
    "strings_in_another_order": (
        LogisticRegression(),
        [name for name in NAMES for _ in range(5)],
        {"labels": ["weather", "film", "sport"]},
    ),
    "more_labels_than_seen": (LogisticRegression(), ["sport"] * 8 + ["film"] * 7, {"labels": ["a", *NAMES]}),
    "numbers": (LogisticRegression(), [0, 1, 2] * 5, {}),
    "numbers_with_gaps": (LogisticRegression(), [3, 9, -1] * 5, {}),
    "places": (LogisticRegression(), [2, 1, 0] * 5, {"labels": NAMES}),
    "booleans": (LogisticRegression(), [True, False, True] * 5, {}),
    "normalized": (LogisticRegression(), NAMES * 5, {"normalize_embeddings": True}),
    "forest": (RandomForestClassifier(5, random_state=0), NAMES * 5, {"labels": ["x", *NAMES[::-1]]}),
    "calibrated": (CalibratedClassifierCV(LogisticRegression(), cv=2), NAMES * 5, {"labels": ["x", *NAMES]}),
    "torch": ("linear", NAMES * 5, {}),
    "torch_with_more_labels": ("linear", ["film", "sport", "film"] * 5, {"labels": ["a", *NAMES[::-1]]}),
    "torch_without_bias": ("linear", NAMES * 5, {"head_params": {"bias": False, "temperature": 3.0}}),
}
ROWS = [[int(index % 3 == 0), int(index // 5 == 1), int(index % 2)] for index in range(15)]
SEVERAL_LABELS = {
    "one_vs_rest": ("logistic", ROWS, "one-vs-rest", {}),
    "multi_output": ("logistic", ROWS, "multi-output", {"labels": NAMES}),
    "chain": ("logistic", ROWS, "classifier-chain", {}),
    "torch_several": ("linear", ROWS, "one-vs-rest", {"labels": NAMES}),
    "torch_never_and_always": ("linear", [[*row[:1], 0, 1, row[2]] for row in ROWS], "multi-output", {}),
}


@pytest.fixture
def trained(train):
    """Train the model of one of the cases above."""

    def trained(name):
        if name in ONE_LABEL:
            head, labels, arguments = ONE_LABEL[name]
            return train(head, labels, **arguments)
        head, rows, strategy, arguments = SEVERAL_LABELS[name]
        return train(head, rows, strategy, **arguments)

    return trained


def as_setfit_reads(folder):
    """Leave of a folder what setfit knows: the body, two settings and the pickle."""
    shutil.rmtree(folder / "head")
    config = json.loads((folder / "config_setfit.json").read_text(encoding="utf-8"))
    kept = {"labels": config["labels"], "normalize_embeddings": config["normalize_embeddings"]}
    (folder / "config_setfit.json").write_text(json.dumps(kept), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", [*ONE_LABEL, *SEVERAL_LABELS])
def test_what_is_written_for_setfit_reads_the_same_here(name, trained, with_setfit, tmp_path):
    model = trained(name)
    folder = as_setfit_reads(model.save_pretrained(tmp_path / "model", setfit_compatible=True))
    loaded = SetFitModel.from_pretrained(folder, device="cpu", trust_pickle=name in ("forest", "calibrated"))
    assert loaded.labels == model.labels
    assert listed(loaded.predict(with_setfit.TEXTS)) == listed(model.predict(with_setfit.TEXTS))
    expected = model.predict_proba(with_setfit.TEXTS, as_numpy=True)
    np.testing.assert_allclose(loaded.predict_proba(with_setfit.TEXTS, as_numpy=True), expected, atol=1e-6)


def test_writing_for_setfit_leaves_the_model_as_it_was(trained, with_setfit, tmp_path):
    for name in ("more_labels_than_seen", "torch_with_more_labels"):
        model = trained(name)
        before = model.predict_proba(with_setfit.TEXTS, as_numpy=True)
        model.save_pretrained(tmp_path / name, setfit_compatible=True)
        assert np.array_equal(model.predict_proba(with_setfit.TEXTS, as_numpy=True), before)
        saved = SetFitModel.from_pretrained(tmp_path / name, device="cpu")
        assert np.array_equal(saved.predict_proba(with_setfit.TEXTS, as_numpy=True), before)


def test_a_renamed_head_of_setfit_goes_back_under_its_new_names(folder_of, with_setfit):
    folder = folder_of("setfit-1.2.0/strings")
    model = SetFitModel.from_pretrained(folder, device="cpu")
    model.labels = ["Film", "Sport", "Wetter"]
    predicted = model.predict(with_setfit.TEXTS)
    as_setfit_reads(model.save_pretrained(folder, setfit_compatible=True))
    again = SetFitModel.from_pretrained(folder, device="cpu")
    assert again.predict(with_setfit.TEXTS) == predicted
    assert set(predicted) <= {"Film", "Sport", "Wetter"}


def test_scikit_learn_before_1_8_finds_its_argument_in_what_is_written(trained, tmp_path):
    single = trained("strings").save_pretrained(tmp_path / "single", setfit_compatible=True)
    assert joblib.load(single / "model_head.pkl").multi_class == "auto"
    several = trained("chain")
    several.save_pretrained(tmp_path / "several", setfit_compatible=True)
    parts = joblib.load(tmp_path / "several" / "model_head.pkl").estimators_
    assert [part.multi_class for part in parts] == ["auto"] * 3
    if "multi_class" not in LogisticRegression().get_params():
        assert not hasattr(several.model_head.estimators_[0], "multi_class")


class OwnHead(nn.Module):
    """A torch head that setfit doesn't know."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.in_features, self.out_features = in_features, out_features
        self.layer = nn.Linear(in_features, out_features)

    def forward(self, features):
        return {"logits": self.layer(features["sentence_embedding"])}

    def predict_proba(self, embeddings):
        return self.layer(embeddings).softmax(-1)

    def predict(self, embeddings):
        return self.predict_proba(embeddings).argmax(-1)

    def get_loss_fn(self):
        return nn.CrossEntropyLoss()


@pytest.mark.parametrize(
    ("head", "labels", "arguments", "told"),
    [
        (OwnHead, NAMES * 5, {}, "setfit has no head OwnHead"),
        ("xgboost", NAMES * 5, {}, "need .*xgboost"),
        (MLPClassifier((2,), max_iter=2000), NAMES * 5, {"labels": ["x", *NAMES]}, "be renumbered"),
        ("logistic", [[*row[:2], 0] for row in ROWS], {"strategy": "one-vs-rest"}, "no output for them"),
        ("logistic", [[row[0], 1, row[2]] for row in ROWS], {"strategy": "chain"}, "no output for them"),
        ("logistic", [[row[0]] for row in ROWS], {"strategy": "one-vs-rest"}, "single label"),
    ],
)
def test_what_setfit_cannot_express_is_refused(head, labels, arguments, told, train, tmp_path):
    strategy = {"chain": "classifier-chain"}.get(arguments.pop("strategy", None), "one-vs-rest")
    multi = isinstance(labels[0], list)
    model = train(head, labels, strategy if multi else None, **arguments)
    with pytest.raises(UnsavableHeadError, match=told):
        model.save_pretrained(tmp_path / "model", setfit_compatible=True)
    assert not (tmp_path / "model").exists()
    model.save_pretrained(tmp_path / "model")


def test_a_head_that_pickle_cannot_write_is_refused(train, tmp_path):
    head = make_pipeline(FunctionTransformer(lambda embeddings: embeddings), LogisticRegression())
    model = train(head, NAMES * 5)
    with pytest.raises(UnsavableHeadError):
        model.save_pretrained(tmp_path / "model", setfit_compatible=True)


def test_an_untrained_head_is_not_written_for_setfit(tmp_path):
    model = SetFitModel.from_pretrained(FOLDERS / "body", device="cpu")
    with pytest.raises(ArgumentError, match="not trained"):
        model.save_pretrained(tmp_path / "model", setfit_compatible=True)


# setfit itself: one process installs it, so both tests belong on the same one


@pytest.fixture(scope="session")
def setfits_python(tmp_path_factory, with_setfit):
    """Run the script of the folders with setfit 1.2.0, which is installed beside everything else."""
    place = tmp_path_factory.mktemp("setfit")
    packages = ["setfit==1.2.0", "evaluate==0.4.6"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    subprocess.run([*pip, "--target", str(place), *packages], check=True, capture_output=True, text=True)

    def run(*arguments):
        done = subprocess.run(
            [sys.executable, str(FOLDERS / "with_setfit.py"), *map(str, arguments)],
            env={**os.environ, "PYTHONPATH": str(place), "HF_HOME": str(place / "hub")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.mark.slow
@pytest.mark.xdist_group("setfit")
def test_what_setfit_writes_now_predicts_the_same_here(setfits_python, with_setfit, tmp_path):
    setfits_python("write", FOLDERS / "body", tmp_path)
    folders = sorted(path.parent for path in tmp_path.glob("*/model_head.pkl"))
    assert len(folders) >= 16
    for folder in folders:
        expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
        assert expected["versions"]["setfit"] == "1.2.0"
        assert_same_predictions(SetFitModel.from_pretrained(folder, device="cpu"), expected, with_setfit.TEXTS)


@pytest.mark.slow
@pytest.mark.xdist_group("setfit")
def test_setfit_predicts_the_same_with_what_is_written_for_it(setfits_python, trained, with_setfit, tmp_path):
    models = {name: trained(name) for name in [*ONE_LABEL, *SEVERAL_LABELS]}
    for name, model in models.items():
        model.save_pretrained(tmp_path / name, setfit_compatible=True)
    answers = json.loads(setfits_python("predict", *(tmp_path / name for name in models)).splitlines()[-1])
    for name, model in models.items():
        expected = answers[str(tmp_path / name)]
        assert expected["labels"] == model.labels, name
        assert_same_predictions(model, expected, with_setfit.TEXTS)


def test_a_head_that_is_asked_for_by_name_must_be_the_saved_one(folder_of):
    folder = folder_of("setfit-1.2.0/torch")
    expected = SetFitModel.from_pretrained(folder, device="cpu").predict(["a film"])
    asked = SetFitModel.from_pretrained(folder, use_differentiable_head=True, device="cpu")
    assert repr(asked.predict(["a film"])) == repr(expected)
    with pytest.raises(ModelFormatError, match="holds a SetFitHead, not the LogisticRegression"):
        SetFitModel.from_pretrained(folder, head="logistic", device="cpu")
    # An instance starts anew, on the body alone.
    fresh = SetFitModel.from_pretrained(folder, head=LogisticRegression(), device="cpu")
    with pytest.raises(UnfittedHeadError):
        fresh.predict(["a film"])
