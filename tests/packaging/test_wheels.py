"""What the wheels of the workspace carry and ask for."""

from __future__ import annotations

import zipfile
from email.parser import Parser

import pytest
from packaging.requirements import Requirement

HEADS = ("catboost", "knn", "lightgbm", "linear", "logistic", "mlp", "prototype", "xgboost")
PACKAGES = ["setfit_core", *(f"setfit_head_{head}" for head in HEADS)]
#: What the core requires; all others it doesn't even suggest.
FIRST = ("setfit-head-logistic", "setfit-head-linear")


@pytest.fixture(scope="module")
def opened(wheels):
    """The wheels by package, opened."""
    return {package: zipfile.ZipFile(path) for package, path in wheels.items()}


def metadata(wheel):
    name = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return Parser().parsestr(wheel.read(name).decode())


def requirements(wheel):
    parsed = [Requirement(line) for line in metadata(wheel).get_all("Requires-Dist")]
    return {requirement.name: requirement for requirement in parsed if requirement.marker is None}


def test_installing_the_core_alone_brings_the_two_first_party_heads(opened):
    needed = requirements(opened["setfit_core"])
    for name in FIRST:
        version = metadata(opened[name.replace("-", "_")])["Version"]
        assert version in needed[name].specifier


def test_every_project_of_the_workspace_is_looked_at(opened):
    assert sorted(opened) == PACKAGES


@pytest.mark.parametrize("plugin", PACKAGES[1:])
def test_a_head_does_not_depend_on_the_core(opened, plugin):
    assert "setfit-core" not in requirements(opened[plugin])


@pytest.mark.parametrize("package", PACKAGES)
def test_a_wheel_is_typed_licensed_and_holds_its_package_alone(opened, package):
    names = opened[package].namelist()
    assert f"{package}/py.typed" in names
    assert any(name.endswith("LICENSE") for name in names)
    assert {name.split("/")[0].split("-")[0] for name in names} == {package}
    assert metadata(opened[package])["Requires-Python"] == ">=3.10"
    assert metadata(opened[package])["License-Expression"] == "Apache-2.0"


def test_torch_is_a_range_and_hypothesis_is_not_needed(opened):
    needed = requirements(opened["setfit_core"])
    assert "2.13.0" in needed["torch"].specifier
    assert "2.20.0" in needed["torch"].specifier
    assert "hypothesis" not in needed
    assert "pytest" not in needed


def test_nothing_asks_for_the_other_heads_and_xgboost_is_the_canonical_one(opened):
    assert {name for name in requirements(opened["setfit_core"]) if name.startswith("setfit-head")} == {*FIRST}
    assert sorted(requirements(opened["setfit_head_xgboost"])) == ["numpy", "pluggy", "scikit-learn", "xgboost"]
