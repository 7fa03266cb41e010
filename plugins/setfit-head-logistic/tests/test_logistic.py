import subprocess
import sys
from importlib.metadata import entry_points, requires

import pluggy
import setfit_head_logistic
from sklearn.linear_model import LogisticRegression


def test_the_entry_point_leads_to_a_module_whose_hook_gives_scikit_learns_class():
    (point,) = (
        point
        for point in entry_points(group="setfit.heads", name="logistic")
        if point.dist.name == "setfit-head-logistic"
    )
    assert point.value == "setfit_head_logistic"

    manager = pluggy.PluginManager("setfit")
    manager.register(point.load())
    specification = manager.hook.setfit_head_factory
    assert specification() == [LogisticRegression]


def test_importing_the_plugin_imports_neither_scikit_learn_nor_the_core():
    code = (
        "import sys, setfit_head_logistic\n"
        "assert not {'sklearn', 'numpy', 'torch', 'setfit_core'} & sys.modules.keys(), sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_does_not_depend_on_the_core():
    assert not [line for line in requires("setfit-head-logistic") if line.startswith("setfit")]


def test_the_package_is_typed():
    from importlib.resources import files

    assert (files(setfit_head_logistic) / "py.typed").is_file()
