"""No file of a model folder is given to an unpickler, whatever the head and the body are."""

import json
import shutil
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

FOLDERS = Path(__file__).parent / "saved_folders"

LOAD = """
import json, pickle, sys
import joblib
import numpy as np
import sentence_transformers
import torch

used = []
def refuse(name):
    def refused(*arguments, **keywords):
        used.append(name)
        raise AssertionError(name + " was called")
    return refused

sys.addaudithook(lambda event, arguments: used.append(event) if event == "pickle.find_class" else None)
pickle.load, pickle.loads = refuse("pickle.load"), refuse("pickle.loads")
pickle.Unpickler = type("Unpickler", (pickle.Unpickler,), {"load": refuse("pickle.Unpickler")})
pickle._Unpickler.load = refuse("pickle._Unpickler")
torch_load = torch.load
def careful(*arguments, weights_only=False, **keywords):
    return torch_load(*arguments, weights_only=True, **keywords) if weights_only is True else refuse("torch.load")()
torch.load = careful
joblib.load = joblib.numpy_pickle.load = refuse("joblib.load")
load_array = np.load
def plain(*arguments, allow_pickle=False, **keywords):
    return refuse("np.load")() if allow_pickle else load_array(*arguments, **keywords)
np.load = plain

from setfit_core import SetFitModel
predicted = {}
for folder in json.loads(FOLDERS):
    model = SetFitModel.from_pretrained(folder, device="cpu")
    predicted[folder] = [len(model.predict(["a goal", "soup"])), list(model.predict_proba(["a goal"]).shape)]
print(json.dumps({"used": used, "predicted": predicted}))
"""


@pytest.fixture(scope="module")
def folders(tmp_path_factory, minilm_path):
    """A saved model of every format that is read by default: ours, setfit's, and a body of torch's own weights."""
    import torch
    from safetensors.torch import load_file

    directory = tmp_path_factory.mktemp("no-pickle")
    transformer = directory / "transformer"
    shutil.copytree(minilm_path, transformer)
    weights = load_file(transformer / "model.safetensors")
    (transformer / "model.safetensors").unlink()
    torch.save(weights, transformer / "pytorch_model.bin")
    shutil.copytree(FOLDERS / "version-2" / "linear" / "head", transformer / "head")
    config = json.loads((FOLDERS / "version-2" / "linear" / "config_setfit.json").read_text(encoding="utf-8"))
    (transformer / "config_setfit.json").write_text(json.dumps(config), encoding="utf-8")
    _widen(transformer / "head")
    return [
        transformer,
        _setfits(directory / "setfit"),
        _xgboosts(directory / "xgboost"),
        *sorted(path for path in (FOLDERS / "version-2").iterdir() if path.is_dir()),
    ]


def _setfits(folder):
    """Save a model as setfit does, with its head in a pickle and nowhere else."""
    from setfit_core import SetFitModel

    model = SetFitModel.from_pretrained(FOLDERS / "version-2" / "logistic", device="cpu")
    model.save_pretrained(folder, setfit_compatible=True)
    shutil.rmtree(folder / "head")
    settings = {"labels": model.labels, "normalize_embeddings": False}
    (folder / "config_setfit.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def _xgboosts(folder):
    """Save a model with a head in a plugin's own format."""
    from setfit_core import SetFitModel

    body = SetFitModel.from_pretrained(FOLDERS / "version-2" / "logistic", device="cpu").model_body
    model = SetFitModel(body, "xgboost")
    model.fit(["goal team", "soup butter", "code bug"] * 4, ["sport", "food", "tech"] * 4)
    return model.save_pretrained(folder)


def _widen(head):
    """Give a head for embeddings of 12 numbers the 384 of the transformer."""
    import torch
    from safetensors.torch import load_file, save_file

    weights = load_file(head / "head.safetensors")
    save_file({**weights, "linear.weight": torch.zeros(3, 384)}, head / "head.safetensors")
    record = json.loads((head / "head.json").read_text(encoding="utf-8"))
    record["arguments"]["in_features"] = 384
    (head / "head.json").write_text(json.dumps(record), encoding="utf-8")


def test_nothing_is_unpickled(folders, run_python):
    code = LOAD.replace("FOLDERS)", f"{json.dumps([str(folder) for folder in folders])!r})")
    result, _ = run_python(code)
    assert result["used"] == []
    assert len(result["predicted"]) == len(folders)
    assert {tuple(shape) for _, shape in result["predicted"].values()} == {(1, 3), (1, 4)}


def test_the_watch_sees_whoever_unpickles(run_python):
    calls = [
        "pickle.loads(b'N.')",
        "pickle.Unpickler(io.BytesIO(b'N.')).load()",
        "torch.load('x')",
        "joblib.load('x')",
        "np.load('x', allow_pickle=True)",
    ]
    spy = "\nimport contextlib, io\n" + "".join(
        f"with contextlib.suppress(AssertionError):\n    {call}\n" for call in calls
    )
    used, _ = run_python(LOAD.replace("FOLDERS)", "'[]')") + spy + "print(json.dumps(used))")
    assert used == ["pickle.loads", "pickle.Unpickler", "torch.load", "joblib.load", "np.load"]
