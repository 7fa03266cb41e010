"""The command line as a process of its own."""

import os
import site
import subprocess
import sys
from pathlib import Path

import pytest

import setfit_core

PROGRAM = "import sys; from setfit_core.cli import main; sys.exit(main())"
# Also says on the last line of stderr which of some modules are loaded by then.
WATCHED = """
import atexit, sys
def tell():
    names = ("torch", "numpy", "sklearn", "sentence_transformers", "rich.table", "plugin_module", "setfit_head_linear")
    sys.stderr.write("LOADED " + " ".join(name for name in names if name in sys.modules) + "\\n")
atexit.register(tell)
from setfit_core.cli import main
sys.exit(main())
"""


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
