"""`--config FILE.toml`: options from a file, read and refused like those of the command line."""

import json

import pytest

from setfit_core import SetFitModel

pytestmark = pytest.mark.slow


@pytest.fixture
def config(tmp_path):
    """A function that writes a configuration file, and returns it."""

    def config(text):
        file = tmp_path / "setfit.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return config


def test_a_training_from_a_file(call, config, train_file, body_folder, tmp_path):
    file = config(f"""
        [train]
        data = "{train_file}"
        out = "{tmp_path / "model"}"
        body = "{body_folder}"
        head = "linear"
        head-param = {{ C = 4.0, solver = "newton-cg" }}
        arg = ["max_length=32"]
        freeze-body = true
        samples-per-class = 3

        [predict]
        to = "jsonl"
    """)
    status, out, err = call("train", "--config", file, "--head", "logistic", "--samples-per-class", "2")
    assert status == 0, err
    assert "on 6 texts" in out  # the command line wins
    params = SetFitModel.from_pretrained(tmp_path / "model").model_head.get_params()
    assert (params["C"], params["solver"]) == (4.0, "newton-cg")
    (tmp_path / "new.txt").write_text("A goal\n")
    status, out, err = call("predict", tmp_path / "model", tmp_path / "new.txt", "--config", file)
    assert json.loads(out) == {"text": "A goal", "label": "sport"}, err


def test_tables_of_commands_of_a_group(call, config):
    file = config("[heads]\njson = true\n[heads.info]\njson = true\n")
    assert isinstance(json.loads(call("heads", "--config", file)[1]), list)
    assert json.loads(call("heads", "info", "logistic", "--config", file)[1])["name"] == "logistic"
    assert call("heads", "info", "logistic")[1].startswith("name ")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[trane]\n", "'trane' in {file} is no command. Did you mean 'train'"),
        ("seed = 3\n", "'seed' in {file} is no command."),
        ("[train]\nhed = 'linear'\n", "'hed' in {file} is no option of train. Did you mean 'head'"),
        ("[train]\nconfig = 'other.toml'\n", "'config' in {file} is no option of train."),
        ("train = 3\n", "'train' in {file} is no table. Write it as [train]."),
        ("[train]\nseed = [1, 2]\n", "'seed' in {file} takes one value, not several."),
        ("[train]\nseed = 'three'\n", "'--seed'"),
        ("[train]\nseed = true\n", "'--seed'"),
        ("[train]\nseed = -1\n", "'--seed'"),
        ("[train]\nfreeze-body = 'perhaps'\n", "'--freeze-body'"),
        ("[train]\nclass-weight = 'even'\n", "'--class-weight'"),
        ("[train\n", "is no TOML"),
    ],
)
def test_what_is_wrong_in_a_file(call, config, train_file, tmp_path, text, said):
    file = config(text)
    status, out, err = call("train", train_file, "--out", tmp_path / "model", "--config", file)
    assert (status, out) == (2, "")
    assert said.format(file=file) in err
    assert not (tmp_path / "model").exists()


def test_a_file_that_is_not_there(call, tmp_path):
    status, _, err = call("heads", "--config", tmp_path / "no.toml")
    assert (status, "can't be read: No such file or directory" in err) == (2, True)
