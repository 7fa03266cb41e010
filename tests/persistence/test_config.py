"""`config_setfit.json`: what it may hold, and what is said about each way of being wrong."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from setfit_core.errors import ModelFormatError, PersistenceError
from setfit_core.persistence import load_config


@pytest.fixture
def folder(save):
    return save(LogisticRegression())


def test_every_setting_comes_back(save):
    labels = {"names": ["b", "ä"], "classes": [1, 0], "nested": {"weight": 0.5, "none": None}}
    folder = save(
        LogisticRegression(),
        labels=labels,
        normalize_embeddings=True,
        multi_target_strategy="one-vs-rest",
    )
    config = load_config(folder)
    assert config.labels == labels
    assert config.normalize_embeddings is True
    assert config.multi_target_strategy == "one-vs-rest"
    assert config.format_version == 2
    assert config.core_version == "0.1.0"
    assert config.head.metadata == {"format": "skops"}


def test_a_folder_without_the_file_has_no_configuration(minilm_path):
    assert load_config(minilm_path) is None


def test_numpy_scalars_and_tuples_become_plain(save):
    labels = {"classes": (np.int64(3), np.float32(0.5), np.str_("a"), np.bool_(True))}
    assert load_config(save(LogisticRegression(), labels=labels)).labels == {"classes": [3, 0.5, "a", True]}


@pytest.mark.parametrize(
    ("labels", "named"),
    [
        ({"names": {"a", "b"}}, "a set"),
        ({"names": np.array([1, 2])}, "a ndarray"),
        ({"names": {1: "a"}}, "the key 1"),
        ({"names": ["a\ud800"]}, r"labels\[0\] is 'a.ud800'.*surrogate"),
        ({"deep": [{"weight": float("nan")}]}, r"label_encoding\.deep\[0\]\.weight is nan"),
    ],
)
def test_what_json_can_not_give_back_is_refused_by_its_place(save, labels, named, tmp_path):
    with pytest.raises(PersistenceError, match=named):
        save(LogisticRegression(), labels=labels)
    assert list(tmp_path.iterdir()) == []


def test_parameters_that_json_can_not_hold_are_not_recorded(save):
    from setfit_core.heads.construction import head_recipe

    recipe = head_recipe("logistic", {"class_weight": {0: 2.0}})
    record = load_config(save(recipe.build()[0], recipe=recipe)).head
    assert record.params is None
    assert record.name == "logistic"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "isn't valid JSON"),
        (b'{"format_version": 1', "isn't valid JSON"),
        (b"\xff\xfe\x00", "isn't valid JSON"),
        (b"[" * 200_000, "isn't valid JSON"),
        (b"[1]", "holds a JSON list"),
        (b"null", "holds a JSON NoneType"),
        (b"{}", "no 'format_version'"),
    ],
)
def test_a_damaged_file_is_named(folder, content, said):
    (folder / "config_setfit.json").write_bytes(content)
    with pytest.raises(ModelFormatError, match=said) as caught:
        load_config(folder)
    assert str(folder / "config_setfit.json") in str(caught.value)


@pytest.mark.parametrize(
    ("keys", "value", "said"),
    [
        (["format_version"], 5, "format version 5.*newer version.*pip install --upgrade setfit-core"),
        (["format_version"], 0, "never existed"),
        (["format_version"], True, "'format_version' must be int"),
        (["format_version"], "1", "'format_version' must be int"),
        (["labels"], {"a": 1}, "'labels' must be list or null"),
        (["label_encoding"], [1], "'label_encoding' must be dict or null"),
        (["training"], "long", "'training' must be dict or null"),
        (["normalize_embeddings"], 1, "'normalize_embeddings' must be bool"),
        (["normalize_embeddings"], None, "'normalize_embeddings' must be bool"),
        (["multi_label_strategy"], 3, "'multi_label_strategy' must be str or null"),
        (["core_version"], None, "'core_version' must be str"),
        (["head"], None, "'head' must be dict"),
        (["head", "class_name"], None, r"'head\.class_name' must be str"),
        (["head", "metadata"], [], r"'head\.metadata' must be dict"),
        (["head", "metadata"], {}, r"no 'head\.metadata\.format'"),
        (["head", "metadata"], {"format": 1}, r"'head\.metadata\.format' must be str"),
        (["head", "params"], "C=1", r"'head\.params' must be dict or null"),
        (["head", "name"], "logistic", "doesn't name its head properly"),
        (["head", "distribution"], "setfit-head-logistic", "doesn't name its head properly"),
    ],
)
def test_a_wrong_value_is_named(folder, edit_json, keys, value, said):
    def change(content):
        *parents, last = keys
        for key in parents:
            content = content[key]
        content[last] = value

    edit_json(folder / "config_setfit.json", change)
    with pytest.raises(ModelFormatError, match=said) as caught:
        load_config(folder)
    assert str(folder / "config_setfit.json") in str(caught.value)


@pytest.mark.parametrize(
    "key",
    [
        "labels",
        "label_encoding",
        "normalize_embeddings",
        "multi_label_strategy",
        "training",
        "head",
        "core_version",
    ],
)
def test_a_missing_key_is_named(folder, edit_json, key):
    edit_json(folder / "config_setfit.json", lambda content: content.pop(key))
    with pytest.raises(ModelFormatError, match=f"no '{key}'"):
        load_config(folder)


@pytest.mark.parametrize("key", ["name", "distribution", "version", "class_name", "metadata", "params"])
def test_a_missing_key_of_the_head_is_named(folder, edit_json, key):
    edit_json(folder / "config_setfit.json", lambda content: content["head"].pop(key))
    with pytest.raises(ModelFormatError, match=rf"no 'head\.{key}'"):
        load_config(folder)


def test_a_name_that_a_shell_would_run_never_reaches_a_message_for_copying(folder, edit_json):
    head = {"name": "logistic", "distribution": "x; rm -rf ~", "version": "1"}
    edit_json(folder / "config_setfit.json", lambda content: content["head"].update(head))
    with pytest.raises(ModelFormatError, match="doesn't name its head properly") as caught:
        load_config(folder)
    assert "pip install" not in str(caught.value)
