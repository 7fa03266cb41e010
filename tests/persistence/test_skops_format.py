"""skops heads: whatever scikit-learn trains comes back, and nothing else is built."""

import collections
import datetime
import functools
import operator
import os
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse
import sklearn.calibration
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LinearRegression, LogisticRegression, SGDClassifier
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.multiclass import OneVsOneClassifier, OneVsRestClassifier, OutputCodeClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier
from sklearn.neighbors import KNeighborsClassifier, RadiusNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, Normalizer, StandardScaler
from sklearn.semi_supervised import LabelPropagation, SelfTrainingClassifier
from sklearn.svm import SVC, LinearSVC, NuSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils import all_estimators

from setfit_core.errors import ModelFormatError, UnsavableHeadError, UntrustedTypesError
from setfit_core.persistence.head import read_head, write_head

with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
    warnings.simplefilter("ignore")  # what other libraries deprecate while they are imported is their business
    patch.syspath_prepend(str(Path(__file__).parent))
    from hostile import skops_cases, skops_types_cases
    from hostile.skops_files import edit_schema

#: Every classifier of scikit-learn that needs more than its class to be built here, and settings beyond the usual.
SETTINGS = {
    "AdaBoostClassifier, deep": AdaBoostClassifier(DecisionTreeClassifier(max_depth=4), n_estimators=4),
    "BaggingClassifier, features": BaggingClassifier(
        DecisionTreeClassifier(), n_estimators=4, max_features=0.4, random_state=0
    ),
    "BaggingClassifier, neighbours": BaggingClassifier(KNeighborsClassifier(), n_estimators=3, random_state=0),
    "CalibratedClassifierCV, isotonic": CalibratedClassifierCV(LinearSVC(), method="isotonic", cv=2),
    "ClassifierChain": ClassifierChain(LogisticRegression()),
    "ClassifierChain, trees": ClassifierChain(DecisionTreeClassifier()),
    "DecisionTreeClassifier, leaves": DecisionTreeClassifier(max_leaf_nodes=5, max_features=2, random_state=0),
    "DecisionTreeClassifier, pruned": DecisionTreeClassifier(ccp_alpha=0.02, random_state=0),
    "DecisionTreeClassifier, stump": DecisionTreeClassifier(max_depth=1),
    "DecisionTreeClassifier, weights": DecisionTreeClassifier(class_weight={0: 1.0, 1: 2.0, 2: 1.0}),
    "ExtraTreesClassifier, bootstrap": ExtraTreesClassifier(4, bootstrap=True, oob_score=False, random_state=0),
    "FixedThresholdClassifier, two": FixedThresholdClassifier(LogisticRegression(), threshold=0.4),
    "GaussianProcessClassifier, kernels": GaussianProcessClassifier(1.0 * RBF() + WhiteKernel()),
    "GradientBoostingClassifier, two": GradientBoostingClassifier(n_estimators=3, subsample=0.5, random_state=0),
    "GradientBoostingClassifier, exponential": GradientBoostingClassifier(n_estimators=3, loss="exponential"),
    "GradientBoostingClassifier, zero": GradientBoostingClassifier(n_estimators=3, init="zero", max_leaf_nodes=4),
    "HistGradientBoostingClassifier, small": HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=2),
    "HistGradientBoostingClassifier, features": HistGradientBoostingClassifier(
        max_iter=3, max_features=0.5, min_samples_leaf=2, random_state=0
    ),
    "HistGradientBoostingClassifier, early": HistGradientBoostingClassifier(max_iter=3, early_stopping=True),
    "KNeighborsClassifier, cosine": KNeighborsClassifier(metric="cosine"),
    "KNeighborsClassifier, several outputs": KNeighborsClassifier(weights="distance"),
    "LabelPropagation, neighbours": LabelPropagation(kernel="knn"),
    "MLPClassifier, layers": MLPClassifier((8, 4), max_iter=10, random_state=np.random.RandomState(3)),
    "MLPClassifier, lbfgs": MLPClassifier((4,), solver="lbfgs", max_iter=20, random_state=0),
    "MLPClassifier, sgd": MLPClassifier((4,), solver="sgd", max_iter=5, early_stopping=True, random_state=0),
    "MultiOutputClassifier": MultiOutputClassifier(LogisticRegression()),
    "MultiOutputClassifier, boosting": MultiOutputClassifier(GradientBoostingClassifier(n_estimators=2)),
    "NuSVC, probability": NuSVC(nu=0.2, probability=True, random_state=0),
    "OneVsOneClassifier": OneVsOneClassifier(LogisticRegression()),
    "OneVsRestClassifier": OneVsRestClassifier(LogisticRegression()),
    "OneVsRestClassifier, forest": OneVsRestClassifier(RandomForestClassifier(2, random_state=0)),
    "OneVsRestClassifier, svc": OneVsRestClassifier(SVC()),
    "OutputCodeClassifier": OutputCodeClassifier(LogisticRegression(), random_state=0),
    "RandomForestClassifier, several outputs": RandomForestClassifier(3, random_state=0),
    "SGDClassifier, huber": SGDClassifier(loss="modified_huber", average=True, random_state=0),
    "SGDClassifier, log": SGDClassifier(loss="log_loss", random_state=0),
    "SVC, linear": SVC(kernel="linear", class_weight="balanced"),
    "SVC, poly": SVC(kernel="poly", degree=2, probability=True, random_state=0),
    "SVC, sigmoid": SVC(kernel="sigmoid", break_ties=True),
    "SVC, two": SVC(probability=True, random_state=0),
    "SelfTrainingClassifier": SelfTrainingClassifier(LogisticRegression()),
    "StackingClassifier": StackingClassifier([("a", LogisticRegression()), ("b", DecisionTreeClassifier())], cv=2),
    "VotingClassifier": VotingClassifier([("a", KNeighborsClassifier()), ("b", RandomForestClassifier(2))]),
    "VotingClassifier, soft": VotingClassifier(
        [("a", LogisticRegression()), ("b", SVC(probability=True))], voting="soft"
    ),
    "pipeline": make_pipeline(StandardScaler(), PCA(4), Normalizer(), KNeighborsClassifier(algorithm="kd_tree")),
    **{
        f"KNeighborsClassifier, {algorithm}, {metric}, {p}, {weights}": KNeighborsClassifier(
            algorithm=algorithm, metric=metric, p=p, weights=weights, leaf_size=3
        )
        for algorithm in ("brute", "kd_tree", "ball_tree")
        for metric, p, weights in (
            ("minkowski", 1, "uniform"),
            ("minkowski", 2, "distance"),
            ("minkowski", 3, "uniform"),
            ("euclidean", 2, "uniform"),
            ("manhattan", 2, "distance"),
            ("chebyshev", 2, "uniform"),
        )
    },
}
if hasattr(sklearn.calibration, "_TemperatureScaling"):  # since scikit-learn 1.8
    SETTINGS["CalibratedClassifierCV, temperature"] = CalibratedClassifierCV(
        LogisticRegression(), method="temperature", cv=2
    )
#: What these need to know, they don't ask of `fit`: a base estimator, two classes, counts, or the caller's trust.
ASKED_ELSEWHERE = {
    *("ClassifierChain", "MultiOutputClassifier", "StackingClassifier", "VotingClassifier", "SelfTrainingClassifier"),
    *("OneVsOneClassifier", "OneVsRestClassifier", "OutputCodeClassifier"),
    *("FixedThresholdClassifier", "TunedThresholdClassifierCV", "RadiusNeighborsClassifier"),
}
DEFAULTS = {name: kind for name, kind in all_estimators("classifier") if name not in ASKED_ELSEWHERE}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "head").mkdir()
    return tmp_path / "head"


@pytest.fixture
def back(folder):
    """Write a head and read it again."""

    def back(trained, **options):
        return read_head(folder, write_head(folder, trained, None, None), device="cpu", **options)[0]

    return back


def targets(name, classes, label_rows):
    if name.startswith(("ClassifierChain", "MultiOutput")) or "several outputs" in name:
        return label_rows
    if name == "SelfTrainingClassifier":
        return classes - 1  # -1 is a text without a label
    return classes > 0 if name.endswith((", two", ", exponential")) else classes


def assert_same(loaded, head, x):
    assert type(loaded) is type(head)
    compared = 0
    for method in ("predict", "predict_proba", "decision_function"):
        if hasattr(head, method):
            one, other = getattr(head, method)(x), getattr(loaded, method)(x)
            for expected, got in zip(*[[y] if isinstance(y, np.ndarray) else y for y in (one, other)], strict=True):
                np.testing.assert_array_equal(got, expected)
                compared += 1
    assert compared


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("name", DEFAULTS)
def test_every_classifier_comes_back_without_trust(name, back, embeddings, classes):
    x = abs(embeddings.astype(int)) if name.endswith("NB") else embeddings.astype(np.float64)
    few = {"n_estimators": 10} if "n_estimators" in DEFAULTS[name]().get_params() else {}
    head = DEFAULTS[name](**few).fit(x[:, :8], classes)
    assert_same(back(head), head, x[:, :8])


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_classifier_of_other_settings_comes_back_without_trust(name, dtype, back, embeddings, classes, label_rows):
    x = embeddings[:, :8].astype(dtype)
    head = SETTINGS[name].fit(x, targets(name, classes, label_rows))
    assert_same(back(head), head, x)


def test_a_tree_that_knows_missing_values_comes_back(back, embeddings, classes):
    x = embeddings.copy()
    x[::3, 0] = np.nan
    for head in (DecisionTreeClassifier(), RandomForestClassifier(3), HistGradientBoostingClassifier(max_iter=2)):
        assert_same(back(head.fit(x, classes)), head, x)
    assert DecisionTreeClassifier().fit(x, classes).tree_.missing_go_to_left.any()


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_an_untrained_classifier_comes_back(back):
    for name, kind in DEFAULTS.items():
        assert type(back(kind())).__name__ == name


@pytest.mark.parametrize("names", [["b", "a", "\u00fc"], [3, -1, 7], [True, False, True]])
def test_classes_of_any_type_come_back(names, back, embeddings, classes):
    head = LogisticRegression().fit(embeddings, np.array(names)[classes])
    loaded = back(head)
    assert loaded.classes_.dtype == head.classes_.dtype
    assert_same(loaded, head, embeddings)


def test_weights_by_class_come_back(back, embeddings, classes):
    for weights in ({0: 1.0, 1: 2.0, 2: 1.5}, {np.int64(0): 1.0, np.int64(1): np.float64(2.0), np.int64(2): 1}):
        head = RandomForestClassifier(2, class_weight=weights, random_state=0).fit(embeddings, classes)
        loaded = back(head)
        assert loaded.class_weight == weights
        assert_same(loaded, head, embeddings)


class Kept:
    """A head of somebody's own."""

    def __init__(self, kept=None):
        self.kept = kept

    def fit(self, x, y):
        return self

    def predict(self, x):
        return np.zeros(len(x), int)

    def predict_proba(self, x):
        return np.ones((len(x), 1))


def test_plain_attributes_of_a_class_of_the_users_own_need_no_further_trust(back):
    kept = {
        "numbers": [1, 2.5, True, None, 2**80, float("inf")],
        "text": ("a", "\u00fc", ""),
        "data": [b"\0\1", bytearray(b"2"), slice(1, None, 2), {1, 2}],
        1: np.float32(1.5),
        "types": [np.float32, int],
        "arrays": [np.zeros((0, 3)), np.arange(3, dtype=object), np.array([["a", None]], dtype=object)],
        "counts": collections.defaultdict(list, a=[1]),
        "order": collections.OrderedDict(b=1, a=2),
        "masked": np.ma.MaskedArray([1, 2], [True, False]),
        "times": np.array(["2024-01-01"], dtype="datetime64[D]"),
        "random": [np.random.RandomState(3), np.random.default_rng(3)],
    }
    loaded = back(Kept(kept), head=Kept).kept
    expected = kept["random"][0].normal(), kept["random"][1].normal()
    assert (loaded["random"][0].normal(), loaded["random"][1].normal()) == expected
    for name in ("numbers", "text", "data", 1, "types", "counts", "order"):
        assert loaded[name] == kept[name]
        assert type(loaded[name]) is type(kept[name])
    for one, other in zip([*loaded["arrays"], loaded["times"]], [*kept["arrays"], kept["times"]], strict=True):
        np.testing.assert_array_equal(one, other)
    assert loaded["masked"].tolist() == [None, 2]


# Trust


@pytest.mark.parametrize(
    ("kept", "name"),
    [
        (os.getcwd, r"(posix|nt)\.getcwd"),
        (np.tanh, r"numpy\.tanh"),
        (FunctionTransformer(np.log1p), "FunctionTransformer"),
        (functools.partial(int, base=2), r"functools\.partial"),
        (operator.attrgetter("a"), r"operator\.attrgetter"),
        (scipy.sparse.eye(2).tocsr(), r"scipy\.sparse\._csr\.csr_matrix"),
        (LogisticRegression().fit, r"LogisticRegression\.fit"),
        (datetime.timedelta(1), r"datetime\.timedelta"),
        (Exception, r"builtins\.Exception"),
        (np.dtype("f4"), r"numpy\.dtype"),
        (LinearRegression(), "LinearRegression"),
    ],
    ids=str,
)
def test_what_is_not_on_the_list_is_named_and_loads_with_trust(kept, name, folder):
    record = write_head(folder, Kept(kept), None, None)
    with pytest.raises(UntrustedTypesError, match=name) as caught:
        read_head(folder, record, head=Kept, device="cpu")
    loaded = read_head(folder, record, head=Kept, trusted=caught.value.types, device="cpu")[0]
    assert type(loaded.kept) is type(kept)


def test_a_classifier_whose_input_can_not_be_checked_takes_trust(back, embeddings, classes):
    head = RadiusNeighborsClassifier(9.0).fit(embeddings, classes)
    name = "sklearn.neighbors._classification.RadiusNeighborsClassifier"
    with pytest.raises(UntrustedTypesError) as caught:
        back(head)
    assert caught.value.types == (name,)
    assert_same(back(head, trusted=[name]), head, embeddings)


def test_a_name_that_is_trusted_as_one_thing_is_not_trusted_as_another(folder):
    record = write_head(folder, Kept(LogisticRegression()), None, None)
    edit_schema(
        folder / "head.skops", lambda schema: schema["content"]["content"]["kept"].update(__loader__="FunctionNode")
    )
    with pytest.raises(UntrustedTypesError, match="LogisticRegression"):
        read_head(folder, record, head=Kept, device="cpu")


# Files that skops doesn't write

REASONS = {
    "calls_os_system": r"loaded: os\.system",
    "calls_eval": r"loaded: builtins\.eval",
    "calls_exec_of_a_code_object": r"loaded: types\.CodeType",
    "calls_popen": r"loaded: subprocess\.Popen",
    "calls_numpy_load": r"loaded: numpy\.load",
    "calls_joblib_load": r"loaded: joblib\.load",
    "calls_memmap": r"loaded: numpy\.memmap",
    "is_a_function": r"loaded: os\.system",
    "is_a_ufunc": r"loaded: numpy\.frompyfunc",
    "is_a_function_of_scikit_learn": r"loaded: sklearn\.datasets\._base\.load_files",
    "is_a_type_that_imports": r"loaded: evil\.Evil",
    "is_an_object_of_a_module_in_the_way": r"loaded: sklearn\._loss\._loss\.CyEvil",
    "is_a_partial": r"loaded: functools\.partial, os\.system",
    "is_a_methodcaller": r"loaded: operator\.methodcaller",
    "is_a_method": r"loaded: sklearn\._loss\.link\.LogitLink, sklearn\._loss\.link\.LogitLink\.inverse",
    "is_a_default_dict_that_calls": r"loaded: os\.getcwd",
    "is_a_function_transformer": r"loaded: sklearn\..*FunctionTransformer",
    "is_of_an_unknown_loader": r"loaded: os\.system",
    "is_of_an_old_protocol": "protocol is 0, not 2",
    "has_keys_of_a_type_that_is_called": r"a key of a dict is a os\.system",
    "has_keys_that_are_called_by_number": "stands for two objects",
    "has_two_objects_of_one_number": "stands for two objects",
    "holds_itself": "an object holds itself",
    "refers_to_what_was_never_built": r"loaded: builtins\.list",
    "brings_its_own_method": "brings 'decision_function', which is a part of its class",
    "archive_of_a_pickle": "no archive",
    "archive_that_is_cut_off": "cut off",
    "archive_with_paths": "which skops doesn't write",
    "archive_with_a_member_twice": "'schema.json' twice",
    "archive_with_a_second_end_in_its_comment": "no archive",
    "archive_whose_list_is_elsewhere": "more members than a head needs",
    "archive_with_another_name_inside": "BadZipFile",
    "archive_that_is_encrypted": "is encrypted",
    "archive_that_is_a_bomb": "is compressed",
    "archive_whose_members_overlap": "larger than itself",
    "archive_with_a_million_members": "more members than a head needs",
    "archive_larger_than_any_head": "is larger than",
    "archive_that_is_a_pipe": "is no file",
    "schema_nested_too_deeply": "RecursionError",
    "schema_of_lists_in_lists": "nested more than 80 deep",
    "schema_of_empty_lists": "more than 400,000 objects",
    "schema_that_doubles": "more than 400,000 objects",
    "schema_that_is_a_number": "is no object",
    "schema_of_false_kinds": "is no string",
    "schema_with_a_name_without_end": "a type is called",
    "array_that_is_a_pickle": "is no array",
    "array_of_objects": "its type is object",
    "array_that_is_an_archive": "is no array",
    "array_larger_than_its_file": "bytes don't hold",
    "array_of_nothing_without_end": "its type is <U0",
    "array_with_a_header_of_code": "is no array",
    "array_with_a_nested_header": "is no array",
    "array_held_by_thousands": "two objects hold",
    "array_of_arrays_that_multiply": "array of several dimensions",
}
CASES = {case.__name__: case for module in (skops_cases, skops_types_cases) for case in module.CASES}


def test_every_case_has_a_reason():
    assert set(REASONS) == set(CASES)


@pytest.mark.parametrize("name", CASES)
def test_a_hostile_file_is_refused_and_says_why(name, folder, tmp_path, embeddings, classes):
    record = write_head(folder, LogisticRegression().fit(embeddings, classes), None, None)
    CASES[name](tmp_path)
    with pytest.raises(ModelFormatError, match=REASONS[name]) as caught:
        read_head(folder, record, device="cpu")
    assert "head.skops" in str(caught.value)
    assert len(str(caught.value)) < 1500


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no pipes among its files")
def test_reading_does_not_wait_for_a_pipe(folder):
    record = write_head(folder, LogisticRegression(), None, None)
    (folder / "head.skops").unlink()
    os.mkfifo(folder / "head.skops")
    with pytest.raises(ModelFormatError, match="is no file"):
        read_head(folder, record, device="cpu")


def test_what_can_not_be_read_back_is_not_saved(folder, monkeypatch):
    deep = []
    for _ in range(100):
        deep = [deep]
    with pytest.raises(UnsavableHeadError, match="nested more than 80 deep"):
        write_head(folder, Kept(deep), None, None)
    head = SVC(kernel="precomputed").fit(np.eye(4), [0, 1, 0, 1])
    with pytest.raises(UnsavableHeadError, match="kernel is computed by somebody else"):
        write_head(folder, head, None, None)
    monkeypatch.setattr("setfit_core.persistence.skops.archive.MAX_BYTES", 1000)
    with pytest.raises(UnsavableHeadError, match="no more than 1,000 are read"):
        write_head(folder, LogisticRegression(), None, None)
    assert not list(folder.iterdir())
