"""`HeadConformance` under a real pytest of its own, outside the repository."""

import json
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ElementTree

import pytest
from sklearn.naive_bayes import GaussianNB

from setfit_core.testing import HeadConformance, list_checks

pytestmark = pytest.mark.slow

STRICT = ["--strict-markers", "--strict-config", "-W", "error", "-p", "no:cacheprovider"]


@pytest.fixture
def run(tmp_path):
    """Write test modules and run pytest on them; returns the outcome of each test, and the output."""

    def run(*arguments, **modules):
        for name, source in modules.items():
            (tmp_path / f"{name}.py").write_text(textwrap.dedent(source))
        results = tmp_path / "results.xml"
        command = [sys.executable, "-m", "pytest", *STRICT, f"--junit-xml={results}", *arguments]
        child = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        output = child.stdout + child.stderr
        outcomes = {}
        for case in ElementTree.parse(results).iter("testcase") if results.exists() else ():
            (outcome,) = [element for element in case if element.tag in ("failure", "error", "skipped")] or [None]
            told = "" if outcome is None else f"{outcome.get('message')}\n{outcome.text}"
            outcomes[case.get("name")] = ("passed" if outcome is None else outcome.tag, told)
        return child.returncode, outcomes, output

    return run


def name_of(check):
    return f"test_{check.id.replace('-', '_')}"


@pytest.mark.slow
def test_a_class_without_tests_of_its_own_runs_every_check_outside_the_repository(run, tmp_path):
    status, outcomes, output = run(
        test_mine="""
            from sklearn.naive_bayes import GaussianNB
            from setfit_core.testing import HeadConformance

            class Mine(GaussianNB):
                pass

            class TestMine(HeadConformance):
                make_head = Mine
        """
    )
    assert status == 0, output
    assert set(outcomes) == {name_of(check) for check in list_checks()}
    skipped = {name: told for name, (outcome, told) in outcomes.items() if outcome == "skipped"}
    others = {name_of(check) for check in list_checks() if "non-differentiable" not in check.contracts}
    assert all("a check of the other contract" in skipped[name] for name in others)
    further = {"explain", "multi_label", "open_set", "partial_fit", "sample_weight", "search_space"}
    assert set(skipped) - others == {f"test_{capability}" for capability in further}
    # Nothing is left lying about beside the author's own files.
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"test_mine.py", "results.xml"}


@pytest.mark.slow
def test_it_runs_on_several_processes(run):
    status, outcomes, output = run(
        "--numprocesses=2",
        test_mine="""
            from setfit_core.testing import HeadConformance

            class TestLinear(HeadConformance):
                make_head = "linear"
        """,
    )
    assert status == 0, output
    assert set(outcomes) == {name_of(check) for check in list_checks()}


def test_a_failing_check_says_what_it_means_what_was_seen_and_how_to_mend_it(run):
    status, outcomes, output = run(
        "-k",
        "learns or contract or unfitted",
        test_mine="""
            from sklearn.naive_bayes import GaussianNB
            from setfit_core.testing import HeadConformance

            class Mine(GaussianNB):
                def predict(self, X):
                    return super().predict(X) * 0

            class TestMine(HeadConformance):
                make_head = Mine
        """,
    )
    assert status == 1
    assert {name: outcome for name, (outcome, _) in outcomes.items()} == {
        "test_contract": "passed",
        "test_learns_separable": "failure",
        "test_unfitted": "passed",
    }
    told = outcomes["test_learns_separable"][1]
    check = next(check for check in list_checks() if check.id == "learns-separable")
    assert check.title in told
    assert check.remedy in told
    assert "unseen examples are classified rightly" in told
    assert "Traceback" not in told
    assert "runner.py" not in output


def test_expected_failures_need_reasons_and_have_to_happen(run):
    module = """
        from sklearn.naive_bayes import GaussianNB
        from setfit_core.testing import HeadConformance

        class Mine(GaussianNB):
            def predict(self, X):
                return super().predict(X) * 0

        class TestMine(HeadConformance):
            make_head = Mine
            expected_failures = {EXPECTED}
    """
    select = ["-k", "learns or contract"]
    expected = '{"learns-separable": "always the first class"}'
    status, outcomes, output = run(*select, test_mine=module.replace("{EXPECTED}", expected))
    assert status == 0, output
    assert outcomes["test_learns_separable"][0] == "skipped"  # what JUnit calls an expected failure
    assert "always the first class" in outcomes["test_learns_separable"][1]

    status, outcomes, _ = run(*select, test_mine=module.replace("{EXPECTED}", '{"contract": "outdated"}'))
    assert status == 1
    assert "it passes, although it was expected to fail" in outcomes["test_contract"][1]

    for wrong, told in (('{"learn": "x"}', "There is no check 'learn'"), ('{"contract": ""}', "has no reason")):
        status, outcomes, _ = run(*select, test_mine=module.replace("{EXPECTED}", wrong))
        assert status == 1
        assert all(told in message for _, message in outcomes.values())


@pytest.mark.parametrize("how", ["def test_unfitted(self): pass", "test_unfitted = None"])
def test_an_overridden_check_is_an_error_that_names_it(run, how):
    status, _, output = run(
        test_mine=f"""
            from sklearn.naive_bayes import GaussianNB
            from setfit_core.testing import HeadConformance

            class TestMine(HeadConformance):
                make_head = GaussianNB
                {how}
        """
    )
    assert status == 2
    assert "TestMine overrides test_unfitted, the test of the check 'unfitted'" in output
    assert "expected_failures = {'unfitted': 'the reason'}" in output


def test_a_check_overridden_by_another_base_class_is_found_too():
    with pytest.raises(TypeError, match="overrides test_unfitted"):

        class TestMine(type("Mixin", (), {"test_unfitted": lambda self: None}), HeadConformance):
            make_head = GaussianNB


def test_tests_of_the_authors_own_may_stand_beside_the_checks(run):
    status, outcomes, output = run(
        "-k",
        "contract or own",
        test_mine="""
            from sklearn.naive_bayes import GaussianNB
            from setfit_core.testing import HeadConformance

            class TestMine(HeadConformance):
                make_head = GaussianNB

                def test_of_my_own(self):
                    assert self.make_head().get_params()
        """,
    )
    assert status == 0, output
    assert set(outcomes) == {"test_contract", "test_of_my_own"}


@pytest.mark.parametrize(
    "make_head",
    [
        "make_head = 'logistic'",
        "make_head = GaussianNB()",
        "make_head = functools.partial(GaussianNB, var_smoothing=1e-8)",
        "make_head = lambda: GaussianNB()",
        "make_head = staticmethod(lambda: GaussianNB())",
        "def make_head(self): return GaussianNB()",
    ],
)
def test_make_head_is_whatever_the_function_takes_or_a_method(run, make_head):
    status, outcomes, output = run(
        "-k",
        "learns or contract",
        test_mine=f"""
            import functools
            from sklearn.naive_bayes import GaussianNB
            from setfit_core.testing import HeadConformance

            class TestMine(HeadConformance):
                {make_head}
        """,
    )
    assert status == 0, output
    assert len(outcomes) == 2


def test_a_class_without_a_head_says_so(run):
    status, outcomes, _ = run(
        "-k",
        "contract",
        test_mine="""
            from setfit_core.testing import HeadConformance

            class TestMine(HeadConformance):
                pass
        """,
    )
    assert status == 1
    assert "TestMine has no make_head" in outcomes["test_contract"][1]


@pytest.mark.slow
def test_function_class_and_command_agree_check_by_check(run, tmp_path):
    source = """
        from sklearn.naive_bayes import GaussianNB

        class Mine(GaussianNB):
            def predict(self, X):
                ids = super().predict(X)
                print(ids[:1])
                return ids[:, None]
    """
    (tmp_path / "mine.py").write_text(textwrap.dedent(source))
    program = "import sys; from setfit_core.cli import main; sys.exit(main())"
    child = subprocess.run(
        [sys.executable, "-c", program, "check", "mine:Mine", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 1, child.stderr
    command = {result["id"]: result["status"] for result in json.loads(child.stdout)["results"]}
    program = (
        "import json, mine; from setfit_core.testing import check_head\n"
        "print(json.dumps({result.check.id: result.status for result in check_head(mine.Mine).results}))"
    )
    child = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    function = json.loads(child.stdout)
    _, outcomes, _ = run(
        test_mine="""
            from mine import Mine
            from setfit_core.testing import HeadConformance

            class TestMine(HeadConformance):
                make_head = Mine
        """
    )
    words = {"passed": "passed", "failure": "failed", "skipped": "skipped"}
    of_class = {check.id: words[outcomes[name_of(check)][0]] for check in list_checks("non-differentiable")}
    assert command == function == of_class
    assert "failed" in function.values()
    assert "passed" in function.values()
