"""A plugin that brings a file format of its own, as an installed distribution."""

import sys
import textwrap
import zlib

import numpy as np
import pytest
from sklearn.naive_bayes import GaussianNB

from setfit_core.errors import ModelFormatError, PersistenceError, UnsavableHeadError
from setfit_core.heads.construction import head_recipe
from setfit_core.persistence import load_config
from setfit_core.registry import refresh_heads

PLUGIN = """
import json
import numpy as np
import pluggy

hookimpl = pluggy.HookimplMarker("setfit")

class Prior:
    def __init__(self, strength=1.0):
        self.strength = strength

    def fit(self, x, y):
        counts = np.bincount(y) + self.strength
        self.prior_ = counts / counts.sum()

    def predict(self, x):
        return self.predict_proba(x).argmax(1)

    def predict_proba(self, x):
        return np.tile(self.prior_, (len(x), 1))

class Sibling(Prior):
    pass

@hookimpl
def setfit_head_factory():
    return Prior

@hookimpl
def setfit_save_head({takes[0]}):
{save}

@hookimpl
def setfit_load_head({takes[1]}):
{load}
"""
TAKES = ("head, directory, params", "directory, metadata, factory, device, trusted")
SAVE = """
(directory / "prior.json").write_text(json.dumps(head.prior_.tolist()))
return {"format": "prior-json", "params": dict(params or {})}
"""
LOAD = """
assert metadata["format"] == "prior-json"
head = factory(**metadata["params"])
head.prior_ = np.array(json.loads((directory / "prior.json").read_text()))
return head
"""


@pytest.fixture
def install(tmp_path, monkeypatch, request):
    """Install a distribution whose head has these hooks; give its qualified name."""
    count = iter(range(9))

    def install(save=SAVE, load=LOAD, takes=TAKES):
        name = f"own_format_{zlib.crc32(request.node.name.encode()):x}_{next(count)}"
        site = tmp_path / "site"
        info = site / f"{name}-2.5.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.5\n")
        (info / "entry_points.txt").write_text(f"[setfit.heads]\nprior = {name}\n")
        code = PLUGIN.format(
            save=textwrap.indent(textwrap.dedent(save), "    "),
            load=textwrap.indent(textwrap.dedent(load), "    "),
            takes=takes,
        )
        (site / f"{name}.py").write_text(code)
        monkeypatch.syspath_prepend(site)
        refresh_heads()
        return f"{name.replace('_', '-')}:prior"

    yield install
    monkeypatch.undo()
    refresh_heads()


@pytest.fixture
def fitted(embeddings, classes):
    def fitted(name, **params):
        recipe = head_recipe(name, params)
        head, built_with = recipe.build()
        head.fit(embeddings, classes)
        return {"head": head, "recipe": recipe, "built_with": built_with}

    return fitted


def test_its_hooks_come_before_the_cores_formats(install, fitted, save, load, embeddings):
    name = install()
    arguments = fitted(name, strength=2.0)
    folder = save(**arguments)
    assert [path.name for path in (folder / "head").iterdir()] == ["prior.json"]
    record = load_config(folder).head
    assert record.qualified_name == name
    assert record.version == "2.5"
    assert record.metadata == {"format": "prior-json", "params": {"strength": 2.0}}
    loaded, recipe, built_with = load(folder)
    assert loaded.strength == 2.0
    assert recipe == arguments["recipe"]
    assert built_with is None
    np.testing.assert_array_equal(loaded.predict_proba(embeddings), arguments["head"].predict_proba(embeddings))


def test_hooks_written_before_an_argument_was_added_still_work(install, fitted, save, load, embeddings):
    name = install(
        save="""
        (directory / "prior.json").write_text(json.dumps(head.prior_.tolist()))
        return {"format": "prior-json"}
        """,
        load="""
        head = Prior()
        head.prior_ = np.array(json.loads((directory / "prior.json").read_text()))
        return head
        """,
        takes=("head, directory", "directory"),
    )
    arguments = fitted(name)
    loaded, _, _ = load(save(**arguments))
    np.testing.assert_array_equal(loaded.predict_proba(embeddings), arguments["head"].predict_proba(embeddings))


def test_its_format_is_found_for_an_instance_of_its_class_too(install, fitted, save, load):
    name = install()
    head = fitted(name)["head"]
    folder = save(head)
    assert load_config(folder).head.qualified_name == name
    loaded, _, _ = load(folder, head=type(head))
    assert type(loaded) is type(head)


def test_another_class_of_the_same_package_is_not_recorded_under_its_name(install, fitted, save):
    kind = type(fitted(install())["head"])
    sibling = sys.modules[kind.__module__].Sibling()
    assert load_config(save(sibling)).head.name is None


def test_a_stranger_is_not_imported_to_find_out_whose_a_head_is(install, save):
    module = install().partition(":")[0].replace("-", "_")
    save(GaussianNB())
    assert module not in sys.modules


def test_a_hook_that_declines_leaves_the_head_to_the_cores_formats(install, fitted, save, load):
    name = install(save="return None", load="return None")
    folder = save(**fitted(name))
    assert load_config(folder).head.metadata == {"format": "skops"}
    assert load(folder)[0].strength == 1.0


def test_a_plugins_format_is_not_asked_about_other_heads(install, fitted, save):
    name = install(save="raise AssertionError('asked')")
    head_recipe(name).build()  # loads the plugin
    save(**fitted("logistic"))


@pytest.mark.parametrize(
    ("hook", "error", "said"),
    [
        ("raise KeyError('oops')", UnsavableHeadError, r"setfit_save_head \(own-format-.*\) raised KeyError: 'oops'"),
        ("raise ValueError('train it first')", UnsavableHeadError, r"own-format-.* says: train it first$"),
        ("return {'no': 'format'}", PersistenceError, "must return a dict with a string 'format'"),
        ("return ['format']", PersistenceError, "must return a dict with a string 'format'"),
        ("return {'format': 'x', 'set': {1, 2}}", PersistenceError, r"metadata\.set is \{1, 2\}"),
    ],
)
def test_a_faulty_save_hook_is_named_and_nothing_is_left(install, fitted, save, tmp_path, hook, error, said):
    with pytest.raises(error, match=said):
        save(**fitted(install(save=hook)))
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_a_faulty_load_hook_is_named(install, fitted, save, load):
    folder = save(**fitted(install(load="raise KeyError('oops')")))
    with pytest.raises(ModelFormatError, match=r"can't be loaded: KeyError: 'oops'.*own-format-"):
        load(folder)


def test_a_plugin_reads_what_its_earlier_major_versions_wrote(install, fitted, save, load, edit_json):
    folder = save(**fitted(install()))
    edit_json(folder / "config_setfit.json", lambda content: content["head"].update(version="1.0"))
    assert load(folder)[0].strength == 1.0


def test_what_the_plugin_returns_when_loading_is_checked_for_presence(install, fitted, save, load):
    folder = save(**fitted(install(load="return None")))
    with pytest.raises(ModelFormatError, match=r"Nothing installed reads the format 'prior-json'.*own-format-.* 2\.5"):
        load(folder)
