"""Bodies: those that people have load, and nothing in their files runs, reads elsewhere or reaches an unpickler."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from setfit_core.errors import ModelFormatError
from setfit_core.persistence import load_body
from setfit_core.persistence.body.check import MODULE_TYPES

HERE = Path(__file__).parent
SAVED = HERE / "saved_folders" / "version-2" / "logistic"

with pytest.MonkeyPatch.context() as patch:
    patch.syspath_prepend(str(HERE))
    from hostile import bodies, body_cases, body_size_cases

TEXTS = ["the team won a penalty", "merge the branch"]


def as_it_is(folder):
    return folder


KINDS = [as_it_is, bodies.transformer, bodies.dense, bodies.words, bodies.router, bodies.bag_of_words]


@pytest.fixture
def folder(tmp_path):
    return Path(shutil.copytree(SAVED, tmp_path / "model"))


def embeddings(folder, **options):
    return load_body(folder, device="cpu", **options).encode(TEXTS)


def own_weights(folder):
    return [path for path in folder.rglob("model.safetensors") if "head" not in path.parts]


# What loads


@pytest.mark.parametrize("make", KINDS)
def test_a_body_loads_with_safetensors_and_with_the_weights_of_torch(folder, make):
    make(folder)
    expected = embeddings(folder)
    assert expected.shape == (2, 12)
    assert not np.allclose(expected[0], expected[1])
    for weights in own_weights(folder):
        bodies.torch_weights(weights)
    np.testing.assert_allclose(embeddings(folder), expected, rtol=1e-6)


@pytest.mark.parametrize("make", KINDS)
def test_a_body_that_was_saved_again_loads(folder, make, tmp_path):
    make(folder)
    body = load_body(folder, device="cpu")
    body.save_pretrained(str(tmp_path / "again"), create_model_card=False)
    np.testing.assert_allclose(embeddings(tmp_path / "again"), body.encode(TEXTS), rtol=1e-5)


def test_every_type_on_the_list_is_a_module_of_sentence_transformers():
    from sentence_transformers.base.modules import Module
    from sentence_transformers.util import import_from_string

    found = {way: import_from_string(way) for way in MODULE_TYPES}
    assert all(issubclass(module, Module) for module in found.values())
    assert {way: module.__name__ for way, module in found.items()} == {
        way: "Router" if name == "Asym" else name for way, name in MODULE_TYPES.items()
    }


@pytest.mark.parametrize("safe", [True, False])
def test_weights_in_several_files_load(folder, safe):
    import torch
    from safetensors.torch import load_file, save_file

    bodies.transformer(folder)
    expected = embeddings(folder)
    tensors = sorted(load_file(folder / "model.safetensors").items())
    (folder / "model.safetensors").unlink()
    name, save = ("model.safetensors", save_file) if safe else ("pytorch_model.bin", torch.save)
    stem, suffix = Path(name).stem, Path(name).suffix
    shards = {f"{stem}-{number}{suffix}": dict(tensors[number::2]) for number in range(2)}
    for shard, content in shards.items():
        save(content, folder / shard)
    weight_map = {tensor: shard for shard, content in shards.items() for tensor in content}
    bodies.write(folder / f"{name}.index.json", {"metadata": {}, "weight_map": weight_map})
    np.testing.assert_allclose(embeddings(folder), expected, rtol=1e-6)
    (folder / f"{stem}-1{suffix}").unlink()
    with pytest.raises(ModelFormatError, match=rf"{stem}-1{suffix} is missing"):
        load_body(folder, device="cpu")


def test_a_model_of_transformers_alone_loads(folder):
    bodies.transformer(folder)
    expected = embeddings(folder)
    for name in ("modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"):
        (folder / name).unlink()
    np.testing.assert_allclose(embeddings(folder), expected, rtol=1e-6)


def test_a_transformer_in_a_folder_of_its_own_loads(folder):
    bodies.transformer(folder)
    expected = embeddings(folder)
    (folder / "0_Transformer").mkdir()
    for name in ("config.json", "model.safetensors", "sentence_bert_config.json", "tokenizer.json"):
        (folder / name).rename(folder / "0_Transformer" / name)
    (folder / "tokenizer_config.json").rename(folder / "0_Transformer" / "tokenizer_config.json")
    bodies.modules(folder, ("Transformer", "0_Transformer"), ("Pooling", "1_Pooling"))
    np.testing.assert_allclose(embeddings(folder), expected, rtol=1e-6)


def test_a_vocabulary_without_tokenizer_json_loads(folder):
    bodies.transformer(folder)
    words = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(words))
    bodies.edit(folder / "tokenizer_config.json", lambda config: config.update(tokenizer_class="BertTokenizer"))
    assert embeddings(folder).shape == (2, 12)


def test_what_is_common_in_configurations_does_no_harm(folder):
    bodies.dense(folder)
    bodies.edit(
        folder / "config.json",
        lambda config: config.update(
            {
                "_name_or_path": "/root/.cache/torch/sentence_transformers/model/",
                "attn_implementation": "sdpa",
                "auto_map": {"AutoModel": "modeling_bert.BertModel", "AutoModelForMaskedLM": "modeling_bert.Other"},
                "classifier_dropout": None,
                "directionality": "bidi",
                "gradient_checkpointing": False,
                "id2label": {"0": "LABEL_0"},
                "label2id": {"LABEL_0": 0},
                "max_position_embeddings": 32,
                "output_past": True,
                "pad_token_id": 0,
                "pooler_num_fc_layers": 3,
                "pooler_size_per_head": 128,
                "position_embedding_type": "absolute",
                "quantization_config": None,
                "rope_theta": 1_000_000,
                "task_specific_params": {"summarization": {"max_length": 10**6}},
                "torch_dtype": "float32",
                "use_cache": True,
            }
        ),
    )
    bodies.edit(
        folder / "sentence_bert_config.json",
        lambda config: config.update(model_args={"torch_dtype": "float32"}, tokenizer_args={"padding_side": "right"}),
    )
    bodies.edit(
        folder / "tokenizer_config.json",
        lambda config: config.update(
            {
                "added_tokens_decoder": {},
                "chat_template": "{{ messages }}",
                "init_inputs": [],
                "model_max_length": 10**30,
                "name_or_path": "/home/somebody/model",
                "pad_to_multiple_of": None,
                "special_tokens_map_file": "/root/.cache/special_tokens_map.json",
                "tokenizer_file": "/root/.cache/tokenizer.json",
            }
        ),
    )
    padding = {"strategy": {"Fixed": 128}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0}
    truncation = {"max_length": 128, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}
    bodies.edit(
        folder / "tokenizer.json",
        lambda tokenizer: tokenizer.update(
            padding={**padding, "pad_type_id": 0, "pad_token": "[PAD]"}, truncation=truncation
        ),
    )
    activation = "torch.nn.modules.linear.Identity"
    bodies.edit(
        folder / "2_Dense" / "config.json",
        lambda config: config.update(activation_function=activation, a_key_of_tomorrow=1),
    )
    assert embeddings(folder).shape == (2, 12)


@pytest.mark.parametrize(
    "regex",
    [
        r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}]*[\p{Ll}\p{M}]+(?i:'s|'t|'re)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s+",
        r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+| ?[\p{P}\p{S}]+[\r\n]*",
        r"<\|startoftext\|>|<\|endoftext\|>|'s|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
        r"\d{1,3}(?=(?:\d{3})*\b)|\w+",
        r" ?[^(\s|[.,!?])]+",
    ],
)
def test_regular_expressions_in_use_load(folder, regex):
    split = {"type": "Split", "pattern": {"Regex": regex}, "behavior": "Isolated", "invert": False}
    bodies.edit(folder / "tokenizer.json", lambda tokenizer: tokenizer.update(pre_tokenizer=split))
    assert embeddings(folder).shape == (2, 12)


@pytest.mark.parametrize(
    "regex", [r"(a+)+$", r"(a|aa)+$", r"((a)*)*", r"(\w+)\1", r"a*a*a*a*a*b", r"(a?){50}", r"(?:[a-z]+\.)*x"]
)
def test_regular_expressions_that_never_end_are_refused(folder, regex):
    replace = {"type": "Replace", "pattern": {"Regex": regex}, "content": "x"}
    sequence = {"type": "Sequence", "normalizers": [{"type": "Lowercase"}, replace]}
    bodies.edit(folder / "tokenizer.json", lambda tokenizer: tokenizer.update(normalizer=sequence))
    with pytest.raises(ModelFormatError, match="can take any time"):
        load_body(folder, device="cpu")


# Places


def snapshot_in_a_cache(cache, *, shared=False):
    """Put the saved model into a hub cache, as huggingface_hub does, and return the snapshot."""
    repository = cache / "models--somebody--model"
    snapshot = repository / "snapshots" / ("0" * 40)
    blobs = repository / "blobs"
    blobs.mkdir(parents=True)
    for path in (path for path in SAVED.rglob("*") if path.is_file()):
        place = snapshot / path.relative_to(SAVED)
        place.parent.mkdir(parents=True, exist_ok=True)
        blob = blobs / path.relative_to(SAVED).as_posix().replace("/", "-")
        if shared:
            store = cache / "blobs" / "ab" / blob.name
            store.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, store)
            blob.symlink_to(os.path.relpath(store, blobs))
        else:
            shutil.copy(path, blob)
        place.symlink_to(os.path.relpath(blob, place.parent))
    return snapshot


@pytest.mark.parametrize("shared", [False, True])
def test_a_snapshot_of_the_hubs_cache_reads_the_blobs_of_its_repository(tmp_path, shared):
    snapshot = snapshot_in_a_cache(tmp_path / "hub", shared=shared)
    np.testing.assert_array_equal(embeddings(snapshot), embeddings(SAVED))
    (tmp_path / "link").symlink_to(snapshot)
    assert embeddings(tmp_path / "link").shape == (2, 12)


def test_a_snapshot_reads_no_other_blobs(tmp_path):
    snapshot = snapshot_in_a_cache(tmp_path / "hub", shared=True)
    store = tmp_path / "hub" / "blobs" / "ab" / "tokenizer.json"
    (snapshot / "tokenizer.json").unlink()
    (snapshot / "tokenizer.json").symlink_to(store)
    with pytest.raises(ModelFormatError, match=r"tokenizer\.json is a link to .*outside of the model folder"):
        load_body(snapshot, device="cpu")


def test_a_folder_that_only_looks_like_a_snapshot_reads_nothing_else(tmp_path):
    repository = snapshot_in_a_cache(tmp_path / "hub").parent.parent
    renamed = repository.rename(repository.with_name("model"))
    with pytest.raises(ModelFormatError, match="outside of the model folder"):
        load_body(renamed / "snapshots" / ("0" * 40), device="cpu")


def test_links_inside_the_folder_and_what_nobody_reads_are_no_matter(folder, tmp_path):
    (folder / "weights").mkdir()
    (folder / "model.safetensors").rename(folder / "weights" / "model.safetensors")
    (folder / "model.safetensors").symlink_to("weights/model.safetensors")
    (folder / ".git").mkdir()
    (folder / ".git" / "out").symlink_to(tmp_path)
    assert embeddings(folder).shape == (2, 12)


# What doesn't load

REASONS = {
    body_cases.module_with_code_in_the_folder: r"modules\.json has a module of type 'modeling_evil\.Evil'",
    body_cases.module_that_downloads: "a module of type 'sentence_transformers.util.http_get'",
    body_cases.auto_map_with_code_in_the_folder: r"config\.json has 'model_type': 'evil'",
    body_cases.auto_map_beside_a_known_model: r"config\.json has 'auto_map': .*modeling\.Evil.*trust_remote_code=True",
    body_cases.auto_map_of_a_tokenizer: r"tokenizer_config\.json has 'tokenizer_class': 'Evil'",
    body_cases.auto_map_of_a_processor: r"processor_config\.json has 'auto_map'",
    body_cases.activation_that_is_a_function: "'activation_function': 'os.system'",
    body_cases.activation_that_is_a_module_of_torch: "'activation_function': 'torch.utils.bottleneck",
    body_cases.word_tokenizer_of_any_name: r"'tokenizer_class': 'evil\.Tokenizer'",
    body_cases.tokenizer_class_that_unpickles: "'tokenizer_class': 'RagRetriever'",
    body_cases.route_with_code: r"router_config\.json has a module of type 'modeling_evil\.Evil'",
    body_cases.method_of_the_model_that_writes: r"'modality_config': .*save_pretrained",
    body_cases.template_that_every_text_goes_through: "'modality_config': .*'message'",
    body_cases.template_of_a_model_without_modules: "has a chat template, which is a program",
    body_cases.attention_from_the_hub: "'_attn_implementation': evil/kernel",
    body_cases.arguments_that_turn_the_unpickler_loose: r"sentence_bert_config\.json has 'model_args': .*weights_only",
    body_cases.pickle_as_weights: r"pytorch_model\.bin is no sound .*names (posix|nt)\.system",
    body_cases.pickle_as_weights_of_a_dense_layer: r"2_Dense.pytorch_model\.bin is no sound .*names (posix|nt)\.system",
    body_cases.pickle_as_shard: r"00001-of-00001\.bin is no sound .*names (posix|nt)\.system",
    body_cases.pickle_as_adapter: "holds an adapter",
    body_cases.pickle_that_asks_for_memory: r"names builtins\.bytearray",
    body_cases.pickle_of_an_endless_expansion: r"shape \(1000000, 1000000\) in 4 bytes",
    body_cases.torch_file_that_is_compressed: "its content is compressed",
    body_cases.module_path_upwards: r"names the folder '\.\./outside-model', outside of the model",
    body_cases.module_path_from_the_root: "names the folder .*outside of the model",
    body_cases.module_path_of_windows: "names the folder .*outside of the model",
    body_cases.route_upwards: r"names the folder '\.\./outside-route', outside of the model",
    body_cases.tokenizer_from_elsewhere: "'tokenizer_name_or_path'",
    body_cases.shard_from_elsewhere: r"names the weight file '\.\./outside-weights\.safetensors'",
    body_cases.link_out_of_the_folder: r"model\.safetensors is a link to .*outside of the model folder",
    body_cases.link_to_a_folder_outside: "2_Dense is a link to .*outside of the model folder",
    body_cases.weights_are_a_pipe: r"model\.safetensors is a named pipe",
    body_size_cases.SIZES[0]: "'num_hidden_layers': 1000000",
    body_size_cases.SIZES[1]: "describes a model of .* parameters",
    body_size_cases.weights_that_are_not_there: "the weights are incomplete",
    body_size_cases.dense_layer_of_any_size: "'out_features': 1000000000",
    body_size_cases.lstm_of_any_size: r"lstm_config\.json describes a module of .* numbers",
    body_size_cases.cnn_of_any_size: r"cnn_config\.json describes a module of .* numbers",
    body_size_cases.word_vectors_unfolded: "unfolds 1 word vectors to 100000",
    body_size_cases.modules_by_the_million: "lists 100000 modules",
    body_size_cases.module_many_times: "loads the folder '' more than once",
    body_size_cases.json_with_two_meanings: "the key 'model_args' is there twice",
    body_size_cases.json_nested_too_deeply: r"config\.json isn't valid JSON",
    body_size_cases.header_longer_than_the_file: "its header claims",
    body_size_cases.header_of_tensors_that_overlap: "overlap or leave gaps",
    body_size_cases.weights_that_are_not_finite: "no row of finite numbers",
    body_size_cases.tokenizer_that_makes_texts_longer: "make a text up to .* times longer",
    body_size_cases.tokenizer_that_makes_texts_longer_by_bytes: "make a text up to .* times longer",
    body_size_cases.tokenizer_that_makes_texts_longer_by_a_charsmap: "make a text up to .* times longer",
    body_size_cases.tokenizer_that_adds_tokens: "adds 1000000 characters or tokens",
    body_size_cases.tokenizer_that_pads: r"'padding\.strategy\.Fixed': 10000000000",
    body_size_cases.tokenizer_that_aborts: "'precompiled_charsmap' that claims 4294967295 bytes",
    body_size_cases.tokenizer_that_panics: "PanicException",
    body_size_cases.tokenizer_with_words_out_of_range: "takes value 4000000000",
}


@pytest.mark.parametrize("case", REASONS, ids=lambda case: case.__name__)
def test_the_error_names_what_is_refused_and_why(folder, case):
    case(folder)
    with pytest.raises(ModelFormatError, match=rf"(?s)The body in .* can't be loaded: .*{REASONS[case]}"):
        load_body(folder, device="cpu")
    assert not (folder.parent / "ran").exists()


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "model.safetensors", "1_Pooling/config.json", "2_Dense/config.json"]
)
@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_bytes(path.read_bytes()[:-9])])
def test_a_file_that_is_missing_or_cut_off_is_an_error(folder, name, harm):
    bodies.dense(folder)
    harm(folder / name)
    with pytest.raises(ModelFormatError, match="missing|has no|isn't valid JSON|no sound safetensors|embedding_dim"):
        load_body(folder, device="cpu")


@pytest.mark.parametrize("torch_file", [False, True])
def test_weights_that_lack_a_tensor_are_an_error(folder, torch_file):
    from safetensors.numpy import load_file, save_file

    bodies.transformer(folder)
    weights = folder / "model.safetensors"
    tensors = load_file(weights)
    del tensors["encoder.layer.1.output.LayerNorm.bias"]
    save_file(tensors, weights, metadata={"format": "pt"})
    if torch_file:
        bodies.torch_weights(weights)
    with pytest.raises(ModelFormatError, match="weights are incomplete"):
        load_body(folder, device="cpu")


@pytest.mark.parametrize(("keys", "reason"), [({"path": None}, "outside"), ({"name": "1"}, "two modules of one name")])
def test_a_damaged_list_of_modules_is_an_error(folder, keys, reason):
    bodies.transformer(folder)
    bodies.edit(folder / "modules.json", lambda modules: modules[0].update(keys))
    with pytest.raises(ModelFormatError, match=reason):
        load_body(folder, device="cpu")


@pytest.mark.parametrize("content", [{}, [], [1], [{"name": "0", "path": ""}]])
def test_modules_that_are_no_list_of_modules_are_an_error(folder, content):
    bodies.write(folder / "modules.json", content)
    with pytest.raises(ModelFormatError, match=r"modules\.json"):
        load_body(folder, device="cpu")


def test_another_kind_of_model_is_named(folder):
    bodies.edit(folder / "config_sentence_transformers.json", lambda config: config.update(model_type="SparseEncoder"))
    with pytest.raises(ModelFormatError, match="the model is a 'SparseEncoder'"):
        load_body(folder, device="cpu")


# Trust


def test_trust_runs_code_of_the_folder_and_reads_nothing_else(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    code = (
        "from pathlib import Path\n"
        "from sentence_transformers.sentence_transformer.modules import StaticEmbedding\n"
        f"Path({str(tmp_path / 'ran')!r}).touch()\n"
        "class Own(StaticEmbedding): pass\n"
    )
    (folder / "modeling_own.py").write_text(code)
    bodies.edit(folder / "modules.json", lambda modules: modules[0].update(type="modeling_own.Own"))
    with pytest.raises(ModelFormatError, match=r"'modeling_own\.Own'.*trust_remote_code=True"):
        load_body(folder, device="cpu")
    assert not (tmp_path / "ran").exists()
    assert embeddings(folder, trust_remote_code=True).shape == (2, 12)
    assert (tmp_path / "ran").exists()
    shutil.copytree(folder, tmp_path / "outside")
    bodies.edit(folder / "modules.json", lambda modules: modules[0].update(path="../outside"))
    with pytest.raises(ModelFormatError, match="outside of the model"):
        load_body(folder, device="cpu", trust_remote_code=True)


# Unpicklers


def test_no_file_of_a_body_is_given_to_an_unpickler(folder, tmp_path, run_python):
    makers = (as_it_is, bodies.transformer, bodies.dense, bodies.words)
    for make in makers:
        place = shutil.copytree(folder, tmp_path / make.__name__)
        make(place)
        for weights in own_weights(place):
            bodies.torch_weights(weights)
    code = f"""
import json, pickle, sys, warnings
warnings.simplefilter("ignore")
import joblib, torch
from setfit_core.persistence import load_body
load_body({str(folder)!r}, device="cpu")

def refuse(*arguments, **keywords):
    raise AssertionError("an unpickler was called")

class Unpickler:
    def __init__(self, *arguments, **keywords):
        refuse()

restricted, real = [], torch.load

def load(*arguments, **keywords):
    restricted.append(keywords.get("weights_only") is True)
    return real(*arguments, **keywords)

pickle.load = pickle.loads = joblib.load = refuse
pickle.Unpickler = pickle._Unpickler = Unpickler
torch.load = load
events = []
sys.addaudithook(lambda event, arguments: events.append(str(arguments)) if event == "pickle.find_class" else None)
for name in {[make.__name__ for make in makers]!r}:
    load_body({str(tmp_path)!r} + "/" + name, device="cpu")
print(json.dumps({{"events": events, "restricted": restricted}}))
"""
    outcome, _ = run_python(code)
    assert outcome["events"] == []
    # Each file is read twice: once for the shapes alone.
    assert len(outcome["restricted"]) >= 2 * 7
    assert all(outcome["restricted"])


def test_a_path_that_is_no_folder_is_an_error(tmp_path):
    with pytest.raises(ModelFormatError, match="can't be read"):
        load_body(tmp_path / "nothing", device="cpu")
