"""`setfit-core compare` and `setfit-core search`: heads tried on the same texts."""

import json

import pytest

pytestmark = pytest.mark.slow


@pytest.fixture
def tried(call, train_file, body_folder):
    """A function that compares or searches on the static body, with few folds."""

    def tried(command, *options):
        return call(command, train_file, "--body", body_folder, "--folds", "2", "--repeats", "1", *options)

    return tried


def test_a_comparison(tried, tmp_path):
    options = ("--heads", "logistic,linear", "--head-param", "logistic.C=50", "--plot", tmp_path / "heads.svg")
    status, out, err = tried("compare", *options)
    assert (status, err) == (0, "")
    assert "12 texts, 1 x 2-fold cross-validation, compared by accuracy" in out
    assert {line.split()[0] for line in out.splitlines() if "±" in line} >= {"logistic", "linear"}
    assert "<svg" in (tmp_path / "heads.svg").read_text()
    told = json.loads(tried("compare", *options, "--json", "--overwrite")[1])
    assert {row["name"]: row["params"].get("C") for row in told["rows"]} == {"logistic": 50, "linear": None}
    _, out, _ = tried("compare", "--heads", "logistic", "--markdown", "--metric", "log_loss")
    assert "| logistic |" in out
    assert "compared by log loss" in out


def test_all_means_what_is_installed_and_a_broken_head_is_a_row(tried, monkeypatch):
    monkeypatch.setenv("SETFIT_HEADS_ALLOW", "logistic,linear")
    import setfit_core

    setfit_core.refresh_heads()
    try:
        told = json.loads(tried("compare", "--json", "--head-param", "linear.no_such=1")[1])
    finally:
        monkeypatch.undo()
        setfit_core.refresh_heads()
    assert [row["name"] for row in told["rows"]] == ["logistic", "linear"]
    assert "no_such" in told["rows"][1]["error"]


def test_several_labels_a_text(call, body_folder, tmp_path, write_csv):
    rows = [("goal", "a"), ("soup", "b"), ("goal soup", "a|b"), ("match", "a"), ("salt", "b"), ("salt goal", "a|b")]
    data = write_csv(tmp_path / "several.csv", ("text", "labels"), rows)
    options = ("--body", body_folder, "--folds", "2", "--repeats", "1", "--heads", "logistic", "--json")
    status, out, err = call("compare", data, "--multi-label", *options)
    assert status == 0, err
    (row,) = json.loads(out)["rows"]
    assert (row["name"], row["error"]) == ("logistic", None)


def test_a_search(tried):
    options = ("--heads", "logistic", "--trials", "3", "--json")
    status, out, err = tried("search", *options)
    assert (status, err) == (0, "")
    told = json.loads(out)
    assert len(told["trials"]) == 3
    assert len({json.dumps(trial["params"]) for trial in told["trials"]}) > 1


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        (("--heads", "logistics"), 0, "Did you mean 'logistic'"),  # a row with its error
        (("--heads", ","), 2, "there is none"),
        (("--heads", "logistic", "--head-param", "linear.C=1"), 2, "'linear' is none of the heads that are tried"),
        (("--head-param", "C=1"), 2, "'C' names no head. Write HEAD.NAME=VALUE."),
        (("--json", "--markdown"), 2, "excludes --markdown"),
        (("--plot", "nowhere/plot.png"), 1, "there is no folder 'nowhere'"),
        (("--label-column", "lable"), 1, "Did you mean 'label'"),
    ],
)
def test_what_is_wrong(tried, options, status, said):
    found, out, err = tried("compare", *options)
    assert found == status
    assert said in out + err
