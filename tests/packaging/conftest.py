"""The wheels of every distribution of the workspace."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheels(tmp_path_factory):
    """The paths of the wheels, by the package in them."""
    folder = tmp_path_factory.mktemp("wheels")
    code = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    for project in (ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))):
        subprocess.run([sys.executable, "-c", code, str(folder)], cwd=project, check=True, env=dict(os.environ))
    return {path.name.split("-")[0]: path for path in folder.glob("*.whl")}
