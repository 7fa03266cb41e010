"""What is saved comes back and predicts the same, bit for bit."""

import json

import numpy as np
import pytest
import torch
from setfit_head_linear import SetFitHead
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import ExtraTreesClassifier, GradientBoostingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC, LinearSVC
from torch import nn

from setfit_core.heads.construction import head_recipe
from setfit_core.persistence import load_body, load_config

SINGLE = {
    "logistic": LogisticRegression(),
    "forest": RandomForestClassifier(8, random_state=0),
    "extra trees": ExtraTreesClassifier(8, random_state=0),
    "boosting": GradientBoostingClassifier(n_estimators=3, random_state=0),
    "mlp": MLPClassifier((8,), max_iter=400, random_state=0),
    "mlp, sgd": MLPClassifier((8,), solver="sgd", max_iter=5, early_stopping=True, random_state=0),
    "neighbours": KNeighborsClassifier(),
    "neighbours, k-d tree": KNeighborsClassifier(algorithm="kd_tree", p=1),
    "neighbours, ball tree": KNeighborsClassifier(algorithm="ball_tree", p=3),
    "neighbours, maximum": KNeighborsClassifier(algorithm="kd_tree", metric="chebyshev"),
    "linear svc": LinearSVC(),
    "svc": SVC(),
    "sgd": SGDClassifier(loss="modified_huber", random_state=0),
    "bayes": GaussianNB(),
    "calibrated": CalibratedClassifierCV(LinearSVC()),
    "calibrated, isotonic": CalibratedClassifierCV(LinearSVC(), method="isotonic"),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
}
MULTIPLE = {
    "one-vs-rest": OneVsRestClassifier(LogisticRegression()),
    "multi-output": MultiOutputClassifier(LogisticRegression()),
    "chain": ClassifierChain(LogisticRegression()),
    "forest": RandomForestClassifier(4, random_state=0),
    "one-vs-rest, svc": OneVsRestClassifier(LinearSVC()),
}


def assert_same_predictions(loaded, head, embeddings):
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(head, method):
            one, other = getattr(head, method)(embeddings), getattr(loaded, method)(embeddings)
            if not isinstance(one, list):
                one, other = [one], [other]
            assert len(one) == len(other)
            for expected, got in zip(one, other, strict=True):
                assert expected.dtype == got.dtype
                np.testing.assert_array_equal(got, expected)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", SINGLE)
def test_a_scikit_learn_head_predicts_the_same(name, save, load, embeddings, classes):
    head = SINGLE[name].fit(embeddings, classes)
    loaded, recipe, built_with = load(save(head))
    assert type(loaded) is type(head)
    assert (recipe, built_with) == (None, None)
    assert_same_predictions(loaded, head, embeddings)


@pytest.mark.parametrize("name", MULTIPLE)
def test_a_multi_label_head_predicts_the_same(name, save, load, embeddings, label_rows):
    head = MULTIPLE[name].fit(embeddings, label_rows)
    loaded, _, _ = load(save(head))
    assert_same_predictions(loaded, head, embeddings)


def test_a_class_that_every_text_has_is_no_obstacle(save, load, embeddings, label_rows):
    label_rows[:, 1] = 1
    with pytest.warns(UserWarning, match="is present in all training examples"):
        head = OneVsRestClassifier(LogisticRegression()).fit(embeddings, label_rows)
    loaded, _, _ = load(save(head))
    assert_same_predictions(loaded, head, embeddings)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.float64])
@pytest.mark.parametrize("multitarget", [False, True])
def test_the_linear_head_comes_back_with_every_argument(save, load, embeddings, dtype, multitarget):
    head = SetFitHead(32, 3, temperature=0.5, eps=1e-3, bias=False, device="cpu", multitarget=multitarget).to(dtype)
    loaded, recipe, built_with = load(save(head))
    assert type(loaded) is SetFitHead
    assert loaded.get_config_dict() == head.get_config_dict()
    assert recipe.info.qualified_name == "setfit-head-linear:linear"
    assert built_with == {
        "in_features": 32,
        "out_features": 3,
        "temperature": 0.5,
        "eps": 1e-3,
        "bias": False,
        "multitarget": multitarget,
    }
    assert loaded.linear.weight.dtype == dtype
    inputs = torch.from_numpy(embeddings)
    assert torch.equal(loaded.predict_proba(inputs), head.predict_proba(inputs))


def test_a_linear_head_that_took_its_size_from_the_data_comes_back(save, load, embeddings):
    head = SetFitHead(out_features=3, device="cpu")
    inputs = torch.from_numpy(embeddings)
    head.predict(inputs)
    loaded, _, _ = load(save(head))
    assert torch.equal(loaded.predict_proba(inputs), head.predict_proba(inputs))


class Layered(nn.Module):
    """A head of the user's: shared and strided weights, buffers of several types, dropout."""

    def __init__(self, size, classes=3, *, dropout=0.25):
        super().__init__()
        self.size, self.classes, self.rate = size, classes, dropout
        self.first = nn.Linear(size, size)
        self.second = nn.Linear(size, size)
        self.second.weight = self.first.weight
        self.output = nn.Linear(size, classes)
        self.output.weight = nn.Parameter(torch.randn(size, classes).T)
        self.norm = nn.BatchNorm1d(size)
        self.drop = nn.Dropout(dropout)
        self.register_buffer("seen", torch.tensor([1, 2, 3], dtype=torch.int32))
        self.register_buffer("rows", torch.zeros(1, 4).expand(3, 4))

    @property
    def dropout(self):
        return self.rate

    def forward(self, features):
        hidden = self.second(torch.relu(self.first(features["sentence_embedding"])))
        return {"logits": self.output(self.drop(self.norm(hidden)))}

    def predict(self, embeddings):
        return self.predict_proba(embeddings).argmax(-1)

    def predict_proba(self, embeddings):
        return self({"sentence_embedding": embeddings})["logits"].softmax(-1)

    def get_loss_fn(self):
        return nn.CrossEntropyLoss()


def test_a_torch_head_of_the_users_own_comes_back_when_its_class_is_passed(save, load, embeddings):
    head = Layered(32, dropout=0.5)
    inputs = torch.from_numpy(embeddings)
    head({"sentence_embedding": inputs})  # moves the running averages of the norm
    head.seen[0] = 7
    before = {name: value.clone() for name, value in head.state_dict().items()}
    folder = save(head)
    assert head.training
    assert head.second.weight is head.first.weight

    random_state = torch.get_rng_state()
    loaded, recipe, built_with = load(folder, head=Layered)
    assert torch.equal(torch.get_rng_state(), random_state)
    assert built_with == {"size": 32, "classes": 3, "dropout": 0.5}
    assert recipe is None  # its size has no name that the core knows
    assert not loaded.training
    assert loaded.second.weight is loaded.first.weight
    assert loaded.seen.dtype == torch.int32
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert torch.equal(loaded.predict_proba(inputs), head.eval().predict_proba(inputs))


class Lazy(nn.Module):
    def __init__(self, classes=3):
        super().__init__()
        self.classes = classes
        self.layer = nn.LazyLinear(classes)

    def forward(self, features):
        return {"logits": self.layer(features["sentence_embedding"])}

    def predict(self, embeddings):
        return self.predict_proba(embeddings).argmax(-1)

    def predict_proba(self, embeddings):
        return self({"sentence_embedding": embeddings})["logits"].softmax(-1)

    def get_loss_fn(self):
        return nn.CrossEntropyLoss()


def test_a_head_of_lazy_layers_comes_back(save, load, embeddings):
    head = Lazy()
    inputs = torch.from_numpy(embeddings).double()
    head.double().predict(inputs)
    loaded, _, _ = load(save(head), head=Lazy)
    assert torch.equal(loaded.predict_proba(inputs), head.predict_proba(inputs))


def test_a_saved_head_can_be_saved_again(save, load, tmp_path, embeddings):
    head = Layered(32)
    del head.rate  # so that only what it was built with tells its arguments
    folder = save(head, built_with={"size": 32, "dropout": 0.125, "device": "cpu"})
    loaded, recipe, built_with = load(folder, head=Layered)
    del loaded.rate
    again, _, _ = load(save(loaded, tmp_path / "again", recipe=recipe, built_with=built_with), head=Layered)
    assert again.drop.p == 0.125
    inputs = torch.from_numpy(embeddings)
    assert torch.equal(again.predict_proba(inputs), loaded.predict_proba(inputs))


def test_the_installed_head_is_recorded_and_found_again(save, load, embeddings, classes):
    recipe = head_recipe("logistic", {"C": 3.0})
    head, built_with = recipe.build()
    head.fit(embeddings, classes)
    folder = save(head, recipe=recipe, built_with=built_with)
    record = load_config(folder).head
    assert (record.name, record.distribution) == ("logistic", "setfit-head-logistic")
    assert record.version == recipe.info.version
    assert record.class_name == "sklearn.linear_model._logistic:LogisticRegression"
    loaded, found, _ = load(folder)
    assert found == recipe
    assert_same_predictions(loaded, head, embeddings)


def test_an_installed_class_that_was_given_as_an_instance_is_recorded_under_its_name(save):
    record = load_config(save(SetFitHead(8, device="cpu"))).head
    assert (record.name, record.distribution) == ("linear", "setfit-head-linear")
    record = load_config(save(type("Mine", (SetFitHead,), {})(8, device="cpu"))).head
    assert (record.name, record.distribution, record.version) == (None, None, None)


class Nearest:
    """An estimator of the user's own, with nothing of scikit-learn in it."""

    def fit(self, x, y):
        self.centres_ = np.stack([x[np.asarray(y) == label].mean(0) for label in sorted(set(y))])
        return self

    def predict(self, x):
        return self.predict_proba(x).argmax(1)

    def predict_proba(self, x):
        scores = np.exp(x @ self.centres_.T)
        return scores / scores.sum(1, keepdims=True)


def test_an_estimator_of_the_users_own_comes_back_when_its_class_is_passed(save, load, embeddings, classes):
    head = Nearest().fit(embeddings, classes)
    loaded, _, _ = load(save(head), head=Nearest)
    assert type(loaded) is Nearest
    assert_same_predictions(loaded, head, embeddings)


def test_an_instance_takes_the_place_of_the_saved_head(save, load, embeddings, classes):
    folder = save(LogisticRegression().fit(embeddings, classes))
    other = GaussianNB()
    assert load(folder, head=other) == (other, None, None)


def test_the_static_body_comes_back(save, static_body):
    texts = ["The film was a delight.", "", "Zwei Worte"]
    body = load_body(save(LogisticRegression()), device="cpu")
    assert not body.training
    np.testing.assert_array_equal(body.encode(texts), static_body.encode(texts))


def test_a_transformer_body_comes_back(save, minilm_path):
    texts = ["The film was a delight.", "", "Zwei Worte"]
    original = load_body(minilm_path, device="cpu")
    with torch.no_grad():
        original[0].auto_model.embeddings.word_embeddings.weight.mul_(1.5)
    body = load_body(save(LogisticRegression(), body=original), device="cpu")
    assert not body.training
    assert body.max_seq_length == original.max_seq_length
    np.testing.assert_array_equal(body.encode(texts), original.encode(texts))


LOAD_WITH_EVERY_UNPICKLER_BROKEN = """
import json, pickle, sys
found = []
sys.addaudithook(lambda event, arguments: found.append(arguments) if event == "pickle.find_class" else None)
import joblib, torch
def refuse(*arguments, **keywords):
    raise AssertionError("something was unpickled")
from setfit_core.persistence import load_body, load_config, load_head
import sklearn.ensemble, setfit_head_linear
del found[:]  # what libraries unpickle of their own while they are imported is their own
pickle.load = pickle.loads = refuse
class Refusing(pickle.Unpickler):
    __init__ = refuse
pickle.Unpickler = pickle._Unpickler = Refusing
joblib.load = torch.load = refuse
for folder in sys.argv[1:]:
    load_body(folder, device="cpu")
    load_head(folder, load_config(folder), device="cpu")
print(json.dumps(found))
"""


def test_nothing_is_unpickled_while_loading(save, tmp_path, minilm_path, run_python, embeddings, classes):
    folders = [
        save(RandomForestClassifier(3).fit(embeddings, classes), tmp_path / "forest"),
        save(SetFitHead(32, 3, device="cpu"), tmp_path / "linear", body=load_body(minilm_path, device="cpu")),
        save(KNeighborsClassifier(algorithm="kd_tree").fit(embeddings, classes), tmp_path / "neighbours"),
    ]
    code = LOAD_WITH_EVERY_UNPICKLER_BROKEN.replace("sys.argv[1:]", json.dumps([str(folder) for folder in folders]))
    found, _ = run_python(code)
    assert found == []
    suffixes = {path.suffix for folder in folders for path in folder.rglob("*") if path.is_file()}
    assert suffixes == {".json", ".safetensors", ".skops"}


def test_the_configuration_is_written_in_one_way(save):
    folder = save(SetFitHead(8, 3, device="cpu"), labels={"b": 1, "a": [2, "ü"]})
    text = (folder / "config_setfit.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert "ü" in text
    content = json.loads(text)
    assert text == json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
