"""`check_head`: what it takes, what it refuses, and what it reports."""

import os
import random
import re
import subprocess
import sys
import textwrap
import warnings
from typing import ClassVar

import numpy as np
import pytest
import torch
from setfit_head_linear import SetFitHead
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.svm import LinearSVC
from torch import nn

from setfit_core.errors import ArgumentError, BrokenHeadError, NonConformingHeadError, UnknownHeadError
from setfit_core.testing import SUITE_VERSION, check_head, list_checks

pytestmark = pytest.mark.slow

QUICK = ["contract", "declaration", "learns-separable", "unfitted", "determinism"]


class Exits(GaussianNB):
    """Leaves the program whenever it is asked."""

    def predict(self, X):
        raise SystemExit("goodbye")

    predict_proba = predict


class Undeclared(GaussianNB):
    setfit_head: ClassVar = {"multi_lable": True}


class FixedSize(nn.Module):
    """Its sizes are its own."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(48, 5)

    def forward(self, features):
        return {"logits": self.linear(features["sentence_embedding"])}

    def predict_proba(self, embeddings):
        return self.linear(embeddings).softmax(-1)

    def predict(self, embeddings):
        return self.linear(embeddings).argmax(-1)

    def get_loss_fn(self):
        return nn.CrossEntropyLoss()


def statuses(report):
    return {result.check.id: result.status for result in report.results}


def named(report, identifier):
    return next(result for result in report.results if result.check.id == identifier)


@pytest.mark.parametrize(
    ("make_head", "subject", "contract"),
    [
        ("logistic", "logistic", "non-differentiable"),
        ("setfit-head-linear:linear", "setfit-head-linear:linear", "differentiable"),
        ("sklearn.naive_bayes:GaussianNB", "sklearn.naive_bayes:GaussianNB", "non-differentiable"),
        (GaussianNB, "sklearn.naive_bayes:GaussianNB", "non-differentiable"),
        (GaussianNB(), "sklearn.naive_bayes:GaussianNB", "non-differentiable"),
        (SetFitHead(16, 3, device="cpu"), "setfit_head_linear:SetFitHead", "differentiable"),
        (FixedSize, f"{__name__}:FixedSize", None),
        (lambda: FixedSize(), f"{__name__}:<lambda>", "differentiable"),
    ],
)
def test_a_head_is_given_by_name_path_class_function_or_object(make_head, subject, contract):
    report = check_head(make_head, only=["contract", "learns-separable"])
    assert (report.subject, report.contract) == (subject, contract)
    # A class that can't be told its sizes has to be given as an instance or a function, as everywhere in the core.
    assert report.ok is (contract is not None), str(report)


def test_an_object_is_left_as_it_was():
    given = LogisticRegression()
    assert check_head(given, only=QUICK).ok
    assert not hasattr(given, "coef_")
    module = FixedSize()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    assert check_head(module, only=["learns-separable", "determinism"]).ok
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())


def test_the_report_names_distribution_contract_and_settings():
    report = check_head("logistic", only=["contract"], seed=3, max_examples=7)
    assert (report.distribution, report.version) == ("setfit-head-logistic", "0.1.0")
    assert (report.suite_version, report.seed, report.max_examples, report.complete) == (SUITE_VERSION, 3, 7, False)
    assert {"setfit-core", "python", "numpy", "torch", "hypothesis"} <= set(report.environment)
    assert report.capabilities == {}
    assert check_head("linear", only=["contract"]).capabilities["multi_label"] is True


def test_the_suite_goes_on_to_the_end_whatever_a_head_does():
    report = check_head(Exits)
    assert [result.check for result in report.results] == list(list_checks("non-differentiable"))
    assert not report.ok
    failed = named(report, "learns-separable")
    assert failed.status == "failed"
    assert "SystemExit: goodbye (test_check_head.py, line " in failed.seen
    assert "in predict)" in failed.seen
    assert statuses(report)["contract"] == "passed"


def test_what_is_no_head_is_told_by_one_check_and_the_others_say_so():
    report = check_head(object())
    assert statuses(report)["contract"] == "failed"
    assert "`fit` is missing" in named(report, "contract").seen
    others = [result for result in report.results if result.check.id != "contract"]
    assert {(result.status, result.seen) for result in others} == {
        ("skipped", "there is no head to try, see 'contract'")
    }
    declared = check_head(Undeclared, only=["contract", "declaration", "determinism"])
    assert statuses(declared) == {"contract": "skipped", "declaration": "failed", "determinism": "skipped"}
    assert "'multi_lable'" in named(declared, "declaration").seen


def test_a_head_without_probabilities_fails_on_that_and_is_tried_on_the_rest():
    report = check_head(LinearSVC)
    assert [result.check.id for result in report.failures] == ["contract"]
    assert statuses(report)["learns-separable"] == "passed"
    assert named(report, "proba-sums").status == "skipped"
    assert named(report, "proba-sums").seen == "the head has no predict_proba, see 'contract'"
    assert "`predict_proba` is missing" in named(report, "contract").seen
    assert "CalibratedClassifierCV(LinearSVC())" in named(report, "contract").remedy


def test_a_failing_report_can_be_raised():
    check_head("logistic", only=["contract"]).raise_for_failures()
    with pytest.raises(NonConformingHeadError, match="learns-separable"):
        check_head(Exits, only=["learns-separable"]).raise_for_failures()


def test_an_expected_failure_needs_a_reason_and_has_to_happen():
    report = check_head(Exits, only=["learns-separable"], expected_failures={"learns-separable": "it leaves early"})
    (result,) = report.results
    assert (result.status, result.reason) == ("xfailed", "it leaves early")
    assert "SystemExit" in result.seen
    assert report.ok
    report = check_head(GaussianNB, only=["learns-separable"], expected_failures={"learns-separable": "outdated"})
    assert statuses(report) == {"learns-separable": "xpassed"}
    assert not report.ok
    assert report.failures == report.results
    with pytest.raises(ArgumentError, match="no reason"):
        check_head(GaussianNB, expected_failures={"learns-separable": "  "})
    with pytest.raises(ArgumentError, match=r"no check 'learn-separable'.*Did you mean 'learns-separable'"):
        check_head(GaussianNB, expected_failures={"learn-separable": "typing error"})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"only": ["learns"]}, "no check 'learns'"),
        ({"only": "contract"}, r"\['contract'\]"),
        ({"only": ["logits"]}, "applies to a non-differentiable head"),
        ({"seed": -1}, "seed is -1"),
        ({"max_examples": 0}, "max_examples is 0"),
        ({"suite_version": SUITE_VERSION + 1}, "newer setfit-core"),
        ({"suite_version": 0}, "suite_version is 0"),
        ({"import_budget": 0}, "import_budget is 0"),
        ({"embedding_size": 0}, "embedding_size is 0"),
        ({"capabilities": {"multilabel": True}}, "unknown key 'multilabel'"),
        ({"expected_failures": ["quiet"]}, "must map check ids to reasons"),
    ],
)
def test_arguments_without_a_meaning_are_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        check_head(GaussianNB, **arguments)


def test_checks_that_there_are_not_are_told_before_a_head_is_built():
    built = []
    for only in (["learns"], "contract"):
        with pytest.raises(ArgumentError):
            check_head(lambda: built.append(1) or GaussianNB(), only=only)
    assert built == []


def test_a_name_that_leads_nowhere_is_an_error_and_no_report():
    with pytest.raises(UnknownHeadError, match="xgbost"):
        check_head("xgbost")
    with pytest.raises(BrokenHeadError, match="no_such_module"):
        check_head("no_such_module.heads:Head")


def test_sizes_of_a_head_that_has_its_own_are_found_or_told():
    report = check_head(FixedSize())
    assert statuses(report)["learns-separable"] == "passed"
    assert named(report, "large-embeddings").seen == "the head is built for embeddings of size 48 only"
    assert named(report, "many-classes").seen == "the head is built with 5 outputs only"
    told = check_head(FixedSize(), embedding_size=48, num_classes=5, only=["learns-separable"])
    assert told.ok
    wrong = check_head(FixedSize(), embedding_size=47, num_classes=5, only=["learns-separable"])
    assert "[64, 47]" in wrong.results[0].seen or "47" in wrong.results[0].seen


def test_the_same_seed_gives_the_same_report():
    def outcome(seed):
        return [(r.check.id, r.status, r.seen) for r in check_head(GaussianNB, only=QUICK, seed=seed).results]

    assert outcome(1) == outcome(1)


def test_nothing_of_the_process_is_left_changed(capfd):
    class Careless(GaussianNB):
        def fit(self, X, y):
            np.random.seed(0)
            random.seed(0)
            torch.manual_seed(0)
            np.seterr(all="ignore")
            os.environ["CARELESS"] = "1"
            torch.set_grad_enabled(False)
            torch.set_default_dtype(torch.float64)
            warnings.simplefilter("ignore")
            print("fitting")
            return super().fit(X, y)

    settings = np.geterr(), dict(os.environ), torch.is_grad_enabled(), torch.get_default_dtype(), list(warnings.filters)
    draws = np.random.random(), random.random(), torch.rand(1)
    np.random.seed(5)
    random.seed(5)
    torch.manual_seed(5)
    expected = np.random.random(), random.random(), torch.rand(1)
    np.random.seed(5)
    random.seed(5)
    torch.manual_seed(5)
    check_head(Careless, only=["learns-separable", "imbalanced-classes"])
    assert settings == (
        np.geterr(),
        dict(os.environ),
        torch.is_grad_enabled(),
        torch.get_default_dtype(),
        list(warnings.filters),
    )
    assert (np.random.random(), random.random(), torch.rand(1)) == expected != draws
    assert capfd.readouterr().out == ""


def test_a_warning_of_a_head_is_no_failure():
    class Warns(GaussianNB):
        def fit(self, X, y):
            warnings.warn("old-fashioned", DeprecationWarning, stacklevel=1)
            return super().fit(X, y)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_head(Warns, only=["learns-separable"]).ok


def test_an_older_version_of_the_suite_can_be_asked_for():
    first = {check.id for check in list_checks(suite_version=1)}
    assert first <= {check.id for check in list_checks()}
    assert {check.id for check in list_checks() if check.since == 1} == first
    report = check_head(GaussianNB, suite_version=1, only=["contract"])
    assert report.suite_version == 1


def test_ids_are_unique_and_every_check_says_what_it_means_and_how_to_mend():
    checks = list_checks()
    assert len({check.id for check in checks}) == len(checks)
    for check in checks:
        assert check.id == check.id.lower().replace("_", "-").replace(" ", "-")
        assert check.title.endswith(".")
        assert check.remedy.endswith(".")
        assert 1 <= check.since <= SUITE_VERSION


@pytest.mark.parametrize(
    "work", ["time.sleep(4)", "start = time.process_time()\nwhile time.process_time() - start < 1.5: pass"]
)
def test_a_module_that_works_or_waits_while_it_is_imported_is_over_the_budget(tmp_path, monkeypatch, work):
    source = f"""
import time

from sklearn.naive_bayes import GaussianNB

{work}

class Head(GaussianNB):
    pass
"""
    (tmp_path / "slow_head.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        (result,) = check_head("slow_head:Head", only=["import-time"], import_budget=0.3).results
        assert result.status == "failed"
        assert re.fullmatch(r"importing slow_head takes \d+\.\d s, more than 0\.3 s", result.seen)
        assert check_head("slow_head:Head", only=["import-time"], import_budget=30).ok
    finally:
        sys.modules.pop("slow_head", None)


def test_a_module_that_can_not_be_imported_alone_is_told(tmp_path, monkeypatch):
    (tmp_path / "needy_head.py").write_text(
        "import sys\nassert 'needed_before' in sys.modules, 'import needed_before first'\n"
        "from sklearn.naive_bayes import GaussianNB as Head\n"
        "class Mine(Head): pass\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "needed_before", sys)
    try:
        (result,) = check_head("needy_head:Mine", only=["import-time"]).results
        assert result.status == "failed"
        assert "AssertionError: import needed_before first" in result.seen
    finally:
        sys.modules.pop("needy_head", None)


def test_importing_the_suite_is_left_to_those_who_use_it():
    code = """
        import sys
        import setfit_core.testing
        loaded = {"torch", "numpy", "hypothesis", "pytest", "sklearn"} & set(sys.modules)
        assert not loaded, loaded
        import setfit_core.testing.runner
        loaded = {"sentence_transformers", "transformers", "datasets"} & set(sys.modules)
        assert not loaded, loaded
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(code)], check=True)
