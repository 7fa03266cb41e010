"""The command line, as a process of its own and called in this one; texts, and a model trained on them."""

import csv
import os
import site
import subprocess
import sys
from pathlib import Path

import pytest

import setfit_core
from setfit_core.cli import main

PROGRAM = "import sys; from setfit_core.cli import main; sys.exit(main())"
# Also says on the last line of stderr which of some modules are loaded by then.
WATCHED = """
import atexit, sys
def tell():
    names = ("torch", "numpy", "sklearn", "sentence_transformers", "rich", "pyarrow", "tqdm",
             "plugin_module", "setfit_head_linear")
    sys.stderr.write("LOADED " + " ".join(name for name in names if name in sys.modules) + "\\n")
atexit.register(tell)
from setfit_core.cli import main
sys.exit(main())
"""


TEXTS = [
    ("The goalkeeper saved a penalty in the last minute", "sport"),
    ("Our striker scored twice and the team won the cup", "sport"),
    ("The tennis final went to five sets", "sport"),
    ("The coach praised the defence after the match", "sport"),
    ("Bake the bread at two hundred degrees", "food"),
    ("Add garlic, butter and a pinch of salt", "food"),
    ("Stir the soup until the onions are soft", "food"),
    ("Crème brûlée needs more sugar and eggs", "food"),
    ("The compiler reports a missing semicolon", "tech"),
    ("Reboot the server and check the log files", "tech"),
    ("My laptop can't connect to the wireless network", "tech"),
    ("The database query returns duplicate rows", "tech"),
]
NEW_TEXTS = [
    ("The referee showed a red card to the goalkeeper in the match", "sport"),
    ("Chop the onions 🧅 and melt the butter for the soup", "food"),
    ("The network server lost its database log", "tech"),
]


def clean_environment():
    unwanted = ("SETFIT_", "PYTHON", "COLUMNS", "FORCE_COLOR", "NO_COLOR", "TTY_", "TERM")
    return {name: value for name, value in os.environ.items() if not name.startswith(unwanted)}


@pytest.fixture
def environment():
    return clean_environment()


@pytest.fixture
def run(environment):
    """A function that runs `setfit-core` with arguments and returns the finished process, text captured."""

    def run(*arguments, program=PROGRAM, options=(), **variables):
        return subprocess.run(
            [sys.executable, *options, "-c", program, *arguments],
            env={**environment, **variables},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run


@pytest.fixture
def loaded_by(run):
    """A function that runs `setfit-core` and returns the finished process and the heavy modules it loaded."""

    def loaded_by(*arguments, **variables):
        done = run(*arguments, program=WATCHED, **variables)
        *_, last = done.stderr.splitlines()
        assert last.startswith("LOADED"), done.stderr
        return done, last.split()[1:]

    return loaded_by


@pytest.fixture
def make_distribution(tmp_path):
    """A function that writes a distribution with heads into a folder for PYTHONPATH, and returns the folder."""

    def make(name, entry_points, *, version="1.0", requires=(), source="raise SystemExit('imported')"):
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        requirements = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{requirements}")
        lines = "".join(f"{head} = {target}\n" for head, target in entry_points.items())
        (folder / "entry_points.txt").write_text(f"[setfit.heads]\n{lines}")
        (tmp_path / "plugin_module.py").write_text(source)
        return str(tmp_path)

    return make


@pytest.fixture
def site_without_heads(tmp_path):
    """A folder with everything that is installed except the distributions that offer heads."""
    folder = tmp_path / "site"
    folder.mkdir()
    for packages in site.getsitepackages():
        for entry in Path(packages).iterdir():
            if not entry.name.startswith(("setfit_head", "setfit_core")) and not (folder / entry.name).exists():
                (folder / entry.name).symlink_to(entry)
    (folder / "setfit_core").symlink_to(Path(setfit_core.__file__).parent)
    return str(folder)


# In this process, where a process of its own would add nothing but the time to import torch


@pytest.fixture
def call(capfd):
    """A function that calls `main` and returns the exit status, stdout and stderr."""

    def call(*arguments):
        try:
            status = main(list(map(str, arguments)))
        except SystemExit as end:
            status = end.code
        printed = capfd.readouterr()
        return status, printed.out, printed.err

    return call


@pytest.fixture(scope="session")
def write_csv():
    """A function that writes rows under a header into a CSV file, and returns the file."""

    def write(file, header, rows):
        with file.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows([header, *rows])
        return file

    return write


@pytest.fixture(scope="session")
def body_folder(static_body_factory, tmp_path_factory):
    """A folder with a body of static word vectors."""
    folder = tmp_path_factory.mktemp("body")
    static_body_factory().save_pretrained(str(folder), create_model_card=False)
    return folder


@pytest.fixture(scope="session")
def train_file(write_csv, tmp_path_factory):
    """Twelve texts of three topics, as CSV."""
    return write_csv(tmp_path_factory.mktemp("data") / "train.csv", ("text", "label"), TEXTS)


@pytest.fixture(scope="session")
def test_file(write_csv, tmp_path_factory):
    """Three more texts, with the columns id, utterance and intent."""
    rows = [(f"00{row}", *example) for row, example in enumerate(NEW_TEXTS)]
    return write_csv(tmp_path_factory.mktemp("data") / "test.csv", ("id", "Utterance", "INTENT"), rows)


@pytest.fixture(scope="session")
def model_folder(body_folder, train_file, tmp_path_factory):
    """A model of three topics, trained by the command line on the body as it is."""
    folder = tmp_path_factory.mktemp("models") / "topics"
    with pytest.raises(SystemExit) as end:
        main(["train", str(train_file), "--out", str(folder), "--body", str(body_folder), "--freeze-body"])
    assert end.value.code == 0
    return folder
