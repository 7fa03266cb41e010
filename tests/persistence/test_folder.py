"""The folder as a whole: written completely or not at all, and what is said when something is missing."""

import functools
import os
import stat
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from setfit_head_linear import SetFitHead
from sklearn.cluster import KMeans
from sklearn.ensemble import BaggingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.preprocessing import FunctionTransformer
from torch import nn

from setfit_core.errors import (
    ArgumentError,
    HeadParameterError,
    ModelFormatError,
    PersistenceError,
    UnknownHeadError,
    UnsavableHeadError,
)
from setfit_core.heads.construction import head_recipe
from setfit_core.persistence import load_body, load_config


class Torch(nn.Module):
    """A differentiable head; its constructor argument is to be found in the way a test wants it."""

    def __init__(self, in_features=4, extra=None):
        super().__init__()
        self.in_features = in_features
        self.layer = nn.Linear(in_features, 2)

    def forward(self, features):
        return {"logits": self.layer(features["sentence_embedding"])}

    def predict(self, embeddings):
        return self.predict_proba(embeddings).argmax(-1)

    def predict_proba(self, embeddings):
        return self.layer(embeddings).softmax(-1)

    def get_loss_fn(self):
        return nn.CrossEntropyLoss()


class Plain:
    """A non-differentiable head that keeps whatever it is given."""

    def __init__(self, kept=None):
        self.kept = kept

    def fit(self, x, y):
        return self

    def predict(self, x):
        return np.zeros(len(x), dtype=int)

    def predict_proba(self, x):
        return np.ones((len(x), 1))


class Helper:
    pass


def content_of(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


# Where a model may be saved


def test_the_folder_holds_the_body_the_configuration_and_one_folder_for_the_head(save, tmp_path):
    folder = save(LogisticRegression(), tmp_path / "deep" / "er" / "model")
    assert folder.is_absolute()
    assert {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} == {
        "config_sentence_transformers.json",
        "config_setfit.json",
        "head/head.skops",
        "model.safetensors",
        "modules.json",
        "tokenizer.json",
    }
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_the_folder_is_as_readable_as_any_other(save, tmp_path):
    (tmp_path / "other").mkdir()
    folder = save(LogisticRegression())
    assert stat.S_IMODE(folder.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)


def test_a_model_is_replaced_as_a_whole_but_for_hidden_entries(save, load, embeddings, classes):
    folder = save(SetFitHead(32, 3, device="cpu"))
    (folder / "pytorch_model.bin").write_bytes(b"left over")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main")
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs")
    save(GaussianNB().fit(embeddings, classes))
    assert sorted(path.name for path in (folder / "head").iterdir()) == ["head.skops"]
    assert not (folder / "pytorch_model.bin").exists()
    assert (folder / ".git" / "HEAD").read_text() == "ref: refs/heads/main"
    assert (folder / ".gitattributes").read_text() == "*.safetensors filter=lfs"
    assert isinstance(load(folder)[0], GaussianNB)
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_an_empty_folder_and_a_link_to_one_are_filled(save, load, tmp_path):
    place = tmp_path / "place"
    place.mkdir()
    link = tmp_path / "link"
    link.symlink_to(place)
    assert save(LogisticRegression(), link) == place
    assert link.is_symlink()
    assert isinstance(load(link)[0], LogisticRegression)


def test_a_plain_body_may_be_replaced_by_a_model(save, static_body, tmp_path):
    static_body.save_pretrained(str(tmp_path / "model"), create_model_card=False)
    assert load_config(save(LogisticRegression())) is not None


def test_a_folder_of_other_files_is_left_alone(save, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.tex").write_text("ten years of work")
    with pytest.raises(PersistenceError, match="holds files but no model"):
        save(LogisticRegression())
    assert content_of(tmp_path) == {Path("model/thesis.tex"): b"ten years of work"}


def test_a_file_in_the_way_is_left_alone(save, tmp_path):
    (tmp_path / "model").write_text("a file")
    with pytest.raises(PersistenceError, match="is a file"):
        save(LogisticRegression())
    assert (tmp_path / "model").read_text() == "a file"


def test_a_file_in_place_of_a_parent_is_our_error(save, tmp_path):
    (tmp_path / "parent").write_text("a file")
    with pytest.raises(PersistenceError, match="could not be saved"):
        save(LogisticRegression(), tmp_path / "parent" / "model")


# Failures while saving


@pytest.mark.parametrize(
    "failing",
    [
        {"head": Plain(lambda x: x)},
        {"labels": {"names": {"a", "set"}}},
    ],
    ids=["head", "labels"],
)
def test_a_failed_save_leaves_the_old_model_as_it_was(save, load, tmp_path, embeddings, classes, failing):
    head = LogisticRegression().fit(embeddings, classes)
    folder = save(head)
    before = content_of(folder)
    with pytest.raises(PersistenceError):
        save(**{"head": head, **failing})
    assert content_of(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    np.testing.assert_array_equal(load(folder)[0].predict(embeddings), head.predict(embeddings))


def test_a_body_that_can_not_be_saved_leaves_the_old_model_as_it_was(save, static_body_factory, tmp_path):
    folder = save(LogisticRegression())
    before = content_of(folder)
    body = static_body_factory()

    def fail(*arguments, **keywords):
        (Path(arguments[0]) / "model.safetensors").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    body[0].save = fail
    with pytest.raises(PersistenceError, match=r"No space left on device.*unchanged"):
        save(GaussianNB(), body=body)
    assert content_of(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


DIE_WHILE_SAVING = """
import json, os, sys
from pathlib import Path
from sklearn.naive_bayes import GaussianNB
from setfit_core.persistence import load_body, save_folder
folder = Path({folder!r})
body = load_body(folder, device="cpu")
body[0].save = lambda *arguments, **keywords: print("[]", flush=True) or os._exit(0)
save_folder(folder, body=body, head=GaussianNB(), recipe=None, built_with=None, labels=None,
            normalize_embeddings=False, multi_target_strategy=None)
"""


def test_a_process_that_dies_while_saving_leaves_the_old_model_as_it_was(save, load, run_python):
    folder = save(LogisticRegression())
    before = content_of(folder)
    run_python(DIE_WHILE_SAVING.format(folder=str(folder)))
    assert content_of(folder) == before
    assert isinstance(load(folder)[0], LogisticRegression)


# Heads without a safe format


@pytest.mark.parametrize(
    "kept",
    [lambda x: x, threading.Lock(), type("Local", (), {})(), (item for item in "abc")],
    ids=["lambda", "lock", "local class", "generator"],
)
def test_what_skops_can_not_give_back_is_refused_when_saving(save, kept, tmp_path):
    with pytest.raises(UnsavableHeadError, match=r"test_folder\.Plain can't be saved without pickle.*setfit_save_head"):
        save(Plain(kept))
    assert list(tmp_path.iterdir()) == []


def test_a_head_that_contains_itself_is_refused_when_saving(save):
    head = Plain()
    head.kept = head
    with pytest.raises(UnsavableHeadError, match="can't be saved without pickle"):
        save(head)


def test_a_torch_head_whose_arguments_nobody_knows_is_refused_with_the_remedy(save):
    with pytest.raises(UnsavableHeadError, match=r"no attribute for extra\. Give Torch a method get_config_dict\(\)"):
        save(Torch())


def test_a_torch_head_whose_arguments_json_can_not_hold_is_refused_with_the_remedy(save):
    head = Torch()
    head.extra = nn.ReLU()
    with pytest.raises(UnsavableHeadError, match=r"extra is ReLU\(\).*get_config_dict"):
        save(head)


@pytest.mark.parametrize("described", [None, ["in_features"]])
def test_a_wrong_get_config_dict_is_named(save, described):
    head = Torch()
    head.get_config_dict = lambda: described
    with pytest.raises(UnsavableHeadError, match="must return a dict"):
        save(head)


def test_what_the_head_says_of_itself_comes_before_what_it_was_built_with(save, load):
    head = Torch(4)
    head.get_config_dict = lambda: {"in_features": 4, "device": "cpu"}
    _, _, built_with = load(save(head, built_with={"in_features": 9, "extra": "kept"}), head=Torch)
    assert built_with == {"in_features": 4, "extra": "kept"}


def test_a_torch_head_without_sizes_is_refused_with_the_remedy(save):
    with pytest.raises(UnsavableHeadError, match="has no size yet"):
        save(SetFitHead(device="cpu"))


def test_a_state_that_is_no_tensor_is_refused(save):
    head = Torch()
    head.extra = None
    head.get_extra_state = lambda: {"a": 1}
    type(head).get_extra_state = lambda self: {"a": 1}
    try:
        with pytest.raises(UnsavableHeadError, match="_extra_state"):
            save(head)
    finally:
        del type(head).get_extra_state


def test_weights_that_safetensors_can_not_hold_are_refused(save):
    head = Torch()
    head.extra = None
    head.register_buffer("sparse", torch.eye(3).to_sparse())
    with pytest.raises(UnsavableHeadError, match="weights of"):
        save(head)


# Missing and damaged pieces


def test_a_head_of_no_installed_distribution_gives_the_line_that_installs_it(save, load, edit_json):
    folder = save(LogisticRegression())
    head = {"name": "forest", "distribution": "setfit-head-forest", "version": "3.1"}
    edit_json(folder / "config_setfit.json", lambda content: content["head"].update(head))
    with pytest.raises(UnknownHeadError, match=r"setfit-head-forest 3\.1.*pip install setfit-head-forest$"):
        load(folder)


def test_a_head_of_another_major_version_gives_the_line_that_installs_a_fitting_one(save, load, edit_json):
    head, built_with = head_recipe("logistic").build()
    folder = save(head.fit([[0.0], [1.0]], [0, 1]), recipe=head_recipe("logistic"), built_with=built_with)
    edit_json(folder / "config_setfit.json", lambda content: content["head"].update(version="3.1.4"))
    with pytest.raises(
        ModelFormatError, match=r'another major version.*pip install "setfit-head-logistic>=3\.1\.4,<4"'
    ):
        load(folder)
    assert load(folder, head="logistic")[0].predict([[1.0]]) == [1]
    # Numbers after the first one are no breach; and what is no version is no reason to refuse.
    for version in ("0.0.1", "0.99", "a", None):
        edit_json(folder / "config_setfit.json", lambda content, v=version: content["head"].update(version=v))
        assert load(folder)[0].predict([[1.0]]) == [1]


def test_a_torch_head_without_a_name_asks_for_its_class(save, load):
    head = Torch()
    head.extra = None
    folder = save(head)
    with pytest.raises(ModelFormatError, match=r"test_folder:Torch.*head=Torch\."):
        load(folder)
    assert isinstance(load(folder, head=Torch)[0], Torch)
    assert isinstance(load(folder, head=functools.partial(Torch))[0], Torch)


def test_the_class_name_in_the_folder_is_never_imported(save, load, edit_json, tmp_path, monkeypatch):
    (tmp_path / "trap.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    head = Torch()
    head.extra = None
    for saved in (head, GaussianNB()):
        folder = save(saved)
        edit_json(folder / "config_setfit.json", lambda content: content["head"].update(class_name="trap:Head"))
        if saved is head:
            with pytest.raises(ModelFormatError, match="trap:Head"):
                load(folder)
        else:
            load(folder)
    assert "trap" not in sys.modules


def test_types_that_are_not_trusted_are_named_and_load_with_trusted(save, load):
    head = Plain(Helper())
    folder = save(head)
    names = [f"{__name__}.Helper", f"{__name__}.Plain"]
    with pytest.raises(ModelFormatError, match="types that are not trusted") as caught:
        load(folder)
    assert f"trusted={names!r}" in str(caught.value)
    with pytest.raises(ModelFormatError, match="types that are not trusted") as caught:
        load(folder, head=Plain)
    assert f"trusted={names[:1]!r}" in str(caught.value)
    assert isinstance(load(folder, head=Plain, trusted=names[:1])[0].kept, Helper)
    assert isinstance(load(folder, trusted=names)[0], Plain)


def test_types_that_are_not_trusted_are_not_even_imported(save, load, tmp_path, monkeypatch):
    (tmp_path / "bait.py").write_text("class Bait: pass")
    monkeypatch.syspath_prepend(tmp_path)
    import bait

    folder = save(Plain(bait.Bait()))
    del sys.modules["bait"], bait
    with pytest.raises(ModelFormatError, match=r"bait\.Bait"):
        load(folder, head=Plain)
    assert "bait" not in sys.modules


def test_functions_and_unlisted_scikit_learn_types_are_not_trusted(save, load):
    folder = save(Plain(FunctionTransformer(os.getcwd)))
    with pytest.raises(ModelFormatError, match=r"posix\.getcwd|nt\.getcwd"):
        load(folder, head=Plain)
    folder = save(BaggingClassifier(KMeans(2)))
    with pytest.raises(ModelFormatError, match="KMeans"):
        load(folder)


def test_trust_in_the_folder_itself_counts_for_nothing(save, load, edit_json):
    folder = save(Plain(Helper()))
    names = [f"{__name__}.Helper", f"{__name__}.Plain"]
    edit_json(folder / "config_setfit.json", lambda content: content["head"]["metadata"].update(trusted=names))
    with pytest.raises(ModelFormatError, match="types that are not trusted"):
        load(folder)


@pytest.mark.parametrize("trusted", ["sklearn.svm.SVC", [GaussianNB], None])
def test_trusted_must_be_names(save, load, trusted):
    with pytest.raises(ArgumentError, match="trusted must be a list"):
        load(save(GaussianNB()), trusted=trusted)


def test_another_head_than_the_saved_one_is_refused(save, load):
    folder = save(GaussianNB())
    for asked in ("logistic", LogisticRegression, "sklearn.linear_model:LogisticRegression"):
        with pytest.raises(ModelFormatError, match="GaussianNB, not the LogisticRegression"):
            load(folder, head=asked)
    with pytest.raises(ModelFormatError, match=r"doesn't fit|can't be built again|not the"):
        load(save(SetFitHead(4, device="cpu")), head=Torch)


def test_a_class_inside_a_multi_label_wrapper_can_be_passed(save, load):
    from sklearn.multiclass import OneVsRestClassifier

    folder = save(OneVsRestClassifier(Plain()), multi_target_strategy="one-vs-rest")
    assert isinstance(load(folder, head=Plain)[0], OneVsRestClassifier)


@pytest.mark.parametrize("name", ["head.safetensors", "head.json"])
def test_a_missing_file_of_a_torch_head_is_named(save, load, name):
    folder = save(SetFitHead(4, device="cpu"))
    (folder / "head" / name).unlink()
    with pytest.raises(ModelFormatError, match=f"{name} is missing"):
        load(folder)


@pytest.mark.parametrize("kept", [0, 7, 200, -1])
def test_a_truncated_file_is_named(save, load, kept, embeddings, classes):
    for head, name in [
        (SetFitHead(32, 3, device="cpu"), "head.safetensors"),
        (LogisticRegression().fit(embeddings, classes), "head.skops"),
    ]:
        folder = save(head)
        file = folder / "head" / name
        file.write_bytes(file.read_bytes()[:kept])
        with pytest.raises(ModelFormatError, match=f"{name} can't be read.*damaged"):
            load(folder)


def test_a_missing_head_is_named(save, load):
    folder = save(LogisticRegression())
    (folder / "head" / "head.skops").unlink()
    with pytest.raises(ModelFormatError, match=r"head\.skops.*incomplete"):
        load(folder)
    (folder / "head").rmdir()
    with pytest.raises(ModelFormatError, match="head is missing"):
        load(folder)


def test_weights_of_another_size_are_named(save, load, edit_json):
    folder = save(SetFitHead(4, 2, device="cpu"))
    edit_json(folder / "head" / "head.json", lambda content: content["arguments"].update(in_features=5))
    with pytest.raises(ModelFormatError, match=r"linear\.weight.*\[2, 4\].*\[2, 5\]"):
        load(folder)


def test_missing_and_surplus_weights_are_named(save, load, edit_json):
    folder = save(SetFitHead(4, 2, device="cpu"))
    edit_json(folder / "head" / "head.json", lambda content: content["arguments"].update(bias=False))
    with pytest.raises(ModelFormatError, match=r'Unexpected key\(s\) in state_dict: "linear\.bias"'):
        load(folder)
    folder = save(SetFitHead(4, 2, bias=False, device="cpu"))
    edit_json(folder / "head" / "head.json", lambda content: content["arguments"].update(bias=True))
    with pytest.raises(ModelFormatError, match=r'Missing key\(s\) in state_dict: "linear\.bias"'):
        load(folder)


@pytest.mark.parametrize("change", [{"unknown": 1}, {"temperature": -1}])
def test_arguments_that_the_class_refuses_are_named(save, load, edit_json, change):
    folder = save(SetFitHead(4, 2, device="cpu"))
    edit_json(folder / "head" / "head.json", lambda content: content["arguments"].update(change))
    with pytest.raises(ModelFormatError, match="can't be built again with the arguments"):
        load(folder)


def test_arguments_that_are_no_object_are_named(save, load, edit_json):
    folder = save(SetFitHead(4, 2, device="cpu"))
    edit_json(folder / "head" / "head.json", lambda content: content.update(arguments=[1]))
    with pytest.raises(ModelFormatError, match="no object 'arguments'"):
        load(folder)


def test_a_format_that_nobody_reads_is_named(save, load, edit_json):
    folder = save(SetFitHead(4, 2, device="cpu"))
    edit_json(folder / "config_setfit.json", lambda content: content["head"]["metadata"].update(format="ubj"))
    with pytest.raises(ModelFormatError, match=r"the format 'ubj'.*setfit-head-linear"):
        load(folder)


def test_a_recorded_parameter_that_the_head_no_longer_takes_does_not_keep_it_from_loading(save, load, edit_json):
    from setfit_core.heads.construction import head_recipe

    recipe = head_recipe("logistic", {"C": 2.0})
    folder = save(recipe.build()[0], recipe=recipe)
    edit_json(folder / "config_setfit.json", lambda content: content["head"]["params"].update(gone=1))
    loaded, found, _ = load(folder)
    assert loaded.C == 2.0
    assert found.info.qualified_name == "setfit-head-logistic:logistic"
    with pytest.raises(HeadParameterError):
        head_recipe("logistic", {"gone": 1})


# The body


def test_a_damaged_body_is_named(save):
    folder = save(LogisticRegression())
    (folder / "model.safetensors").write_bytes(b"\x00" * 20)
    with pytest.raises(ModelFormatError, match=r"The body in .* can't be loaded"):
        load_body(folder, device="cpu")


def test_code_in_the_folder_does_not_run_unless_trusted(save, edit_json):
    folder = save(LogisticRegression())
    (folder / "modeling_evil.py").write_text("raise SystemExit('ran')")
    edit_json(folder / "modules.json", lambda modules: modules[0].update(type="modeling_evil.Evil"))
    with pytest.raises(ModelFormatError, match="trust_remote_code=True"):
        load_body(folder, device="cpu")


def test_an_argument_that_sentence_transformers_does_not_take_is_named(minilm_path):
    with pytest.raises(ArgumentError, match="no argument trucate_dim"):
        load_body(minilm_path, device="cpu", trucate_dim=8)
    assert load_body(minilm_path, device="cpu", truncate_dim=8).encode("a").shape == (8,)
