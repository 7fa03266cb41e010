"""What the wheels of the workspace carry and ask for."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
PROJECTS = {
    "setfit_core": ROOT,
    "setfit_head_logistic": ROOT / "plugins" / "setfit-head-logistic",
    "setfit_head_linear": ROOT / "plugins" / "setfit-head-linear",
}


@pytest.fixture(scope="module")
def wheels(tmp_path_factory):
    """The workspace's wheels by package, opened."""
    folder = tmp_path_factory.mktemp("wheels")
    code = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    for project in PROJECTS.values():
        subprocess.run([sys.executable, "-c", code, str(folder)], cwd=project, check=True, env=dict(os.environ))
    return {path.name.split("-")[0]: zipfile.ZipFile(path) for path in folder.glob("*.whl")}


def metadata(wheel):
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def requirements(wheel):
    parsed = [Requirement(line) for line in metadata(wheel).get_all("Requires-Dist")]
    return {requirement.name: requirement for requirement in parsed if requirement.marker is None}


def test_installing_the_core_alone_brings_the_two_first_party_heads(wheels):
    needed = requirements(wheels["setfit_core"])
    for name in ("setfit-head-logistic", "setfit-head-linear"):
        version = metadata(wheels[name.replace("-", "_")])["Version"]
        assert version in needed[name].specifier


@pytest.mark.parametrize("plugin", ["setfit_head_logistic", "setfit_head_linear"])
def test_a_first_party_head_does_not_depend_on_the_core(wheels, plugin):
    assert "setfit-core" not in requirements(wheels[plugin])


@pytest.mark.parametrize("package", PROJECTS)
def test_a_wheel_is_typed_licensed_and_holds_its_package_alone(wheels, package):
    names = wheels[package].namelist()
    assert f"{package}/py.typed" in names
    assert any(name.endswith("LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {package}
    assert metadata(wheels[package])["Requires-Python"] == ">=3.10"
    assert metadata(wheels[package])["License-Expression"] == "Apache-2.0"


def test_torch_is_a_range_and_hypothesis_is_not_needed(wheels):
    needed = requirements(wheels["setfit_core"])
    assert "2.13.0" in needed["torch"].specifier
    assert "2.20.0" in needed["torch"].specifier
    assert "hypothesis" not in needed
    assert "pytest" not in needed
