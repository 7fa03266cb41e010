"""What a user of an outside head goes through, with wheels alone, where nobody has seen the checkout."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: The build of XGBoost without NCCL, where there is one.
XGBOOST = "xgboost-cpu" if sys.platform == "linux" else "xgboost"

TEXTS = {
    "cooking": [
        "Chop the onions finely and fry them in butter until they are golden.",
        "Let the dough rise under a damp cloth for an hour.",
        "Season the lentils with cumin, salt and a squeeze of lemon.",
        "Roast the potatoes with rosemary until the edges turn crisp.",
        "Whisk the egg whites until they stand in stiff peaks.",
        "Simmer the tomato sauce gently and stir now and then.",
        "Grate the cheese over the pasta just before serving.",
        "Marinate the chicken overnight in yoghurt and garlic.",
        "Peel the apples, core them and cut them into thin slices.",
        "The soup needs more pepper and a spoon of cream.",
    ],
    "football": [
        "The goalkeeper saved a penalty in the last minute.",
        "Our striker scored twice before half-time.",
        "The referee showed the defender a second yellow card.",
        "They drew nil-nil away from home and stayed top of the league.",
        "The midfielder hit the post with a free kick from thirty yards.",
        "The coach brought on two substitutes to protect the lead.",
        "A late equaliser sent the cup final into extra time.",
        "The winger crossed and the captain headed the ball in.",
        "The club has signed a young left-back on a four-year contract.",
        "Fans sang until long after the final whistle.",
    ],
    "weather": [
        "Heavy rain is expected along the coast on Tuesday.",
        "Temperatures will fall below freezing overnight.",
        "Fog in the valleys will lift by noon.",
        "A warm front brings clouds and drizzle from the west.",
        "Strong winds may bring down trees this evening.",
        "It stays dry and sunny over the whole weekend.",
        "Thunderstorms with hail are possible in the afternoon.",
        "Snow will settle above eight hundred metres.",
        "The heat wave ends tomorrow as cooler air moves in.",
        "Expect scattered showers and a light breeze.",
    ],
}
UNSEEN = {
    "Knead the bread and bake it for forty minutes.": "cooking",
    "Add a clove of garlic to the frying pan.": "cooking",
    "The visitors won the match with a goal in stoppage time.": "football",
    "The team sacked its coach after six defeats.": "football",
    "Tonight will be cloudy with rain later.": "weather",
    "Frost and icy winds are forecast for the north.": "weather",
}

ASK = """
import json, sys
from pathlib import Path
import setfit_core, setfit_head_xgboost
from setfit_core import SetFitModel, Trainer, TrainingArguments

for module in (setfit_core, setfit_head_xgboost):
    assert Path(module.__file__).is_relative_to(sys.prefix), module.__file__
folder, action, data = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
if action == "train":
    model = SetFitModel.from_pretrained(head="xgboost", head_params={"colsample_bynode": 0.1}, device="cpu")
    arguments = TrainingArguments(num_iterations=1, show_progress_bar=False)
    Trainer(model=model, args=arguments, train_dataset=(data["texts"], data["labels"])).train()
    model.save_pretrained(folder)
else:
    model = SetFitModel.from_pretrained(folder, device="cpu")
print(json.dumps({
    "head": type(model.model_head).__name__,
    "labels": model.labels,
    "predicted": model.predict(data["unseen"]),
    "probabilities": model.predict_proba(data["unseen"]).tolist(),
}))
"""
REFUSED = """
import json, sys
from setfit_core import SetFitModel
from setfit_core.errors import UnknownHeadError

said = []
for arguments in ({"model_id": sys.argv[1]}, {"head": "xgboost"}):
    try:
        SetFitModel.from_pretrained(**arguments)
    except UnknownHeadError as error:
        said.append(str(error))
print(json.dumps(said))
"""


class Environment:
    """A new virtual environment in a folder of its own; whatever runs in it runs in that folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder / "venv", with_pip=True)
        self.bin = folder / "venv" / ("Scripts" if os.name == "nt" else "bin")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SETFIT_", "HF_"))}
        self.variables = {**kept, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub")}

    def run(self, command: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.bin / command, *map(str, arguments)],
            cwd=self.folder,
            env=self.variables,
            capture_output=True,
            text=True,
        )

    def succeed(self, command: str, *arguments: object) -> str:
        done = self.run(command, *arguments)
        assert done.returncode == 0, f"{command} {arguments}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def pip(self, *arguments: object) -> str:
        return self.succeed("python", "-m", "pip", "--disable-pip-version-check", *arguments)


@pytest.fixture
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clean")
    assert not folder.is_relative_to(ROOT)
    return Environment(folder)


@pytest.mark.slow
def test_an_outside_head_from_its_wheel_to_its_removal(environment, wheels):
    plugin = wheels["setfit_head_xgboost"]
    ours = [wheels["setfit_head_linear"], wheels["setfit_head_logistic"]]
    # As `make install` does it: PyTorch alone and first; the outside head last, without the `xgboost` it asks for.
    # Our own distributions are given as files: an index must not get to answer for their names.
    environment.pip("install", "--constraint", ROOT / "constraints.txt", *shlex.split(os.environ.get("TORCH", "torch")))
    core = f"{wheels['setfit_core']}[embedded,testing]"
    environment.pip("install", "--constraint", ROOT / "constraints.txt", core, *ours, XGBOOST)
    environment.pip("install", "--no-deps", plugin)
    installed = {entry["name"] for entry in json.loads(environment.pip("list", "--format", "json"))}
    assert {"setfit-core", "setfit-head-linear", "setfit-head-logistic", "setfit-head-xgboost", XGBOOST} <= installed

    data = {
        "texts": [text for texts in TEXTS.values() for text in texts],
        "labels": [topic for topic, texts in TEXTS.items() for _ in texts],
        "unseen": [*UNSEEN],
    }
    model = environment.folder / "model"
    trained = json.loads(environment.succeed("python", "-I", "-c", ASK, model, "train", json.dumps(data)))
    assert trained["head"] == "XGBoostHead"
    assert trained["labels"] == [*TEXTS]
    right = sum(label == topic for label, topic in zip(trained["predicted"], UNSEEN.values(), strict=True))
    assert right >= 5
    assert sorted(path.name for path in (model / "head").iterdir()) == ["head.json", "model.json"]

    assert json.loads(environment.succeed("python", "-I", "-c", ASK, model, "load", json.dumps(data))) == trained

    checked = environment.run("setfit-core", "check", "xgboost")
    assert checked.returncode == 0, f"{checked.stdout}\n{checked.stderr}"
    assert "setfit-head-xgboost 0.1.0" in checked.stdout

    environment.pip("uninstall", "--yes", "setfit-head-xgboost")
    of_the_model, of_the_name = json.loads(environment.succeed("python", "-I", "-c", REFUSED, model))
    assert of_the_model.startswith("The saved model needs the head 'xgboost' of setfit-head-xgboost 0.1.0")
    assert of_the_name.startswith("No installed distribution offers a head named 'xgboost'")
    assert of_the_model.endswith("pip install setfit-head-xgboost")
    assert of_the_name.endswith("pip install setfit-head-xgboost")

    environment.pip("install", "--no-deps", plugin)
    assert json.loads(environment.succeed("python", "-I", "-c", ASK, model, "load", json.dumps(data))) == trained
