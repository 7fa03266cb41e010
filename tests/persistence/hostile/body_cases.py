"""Hostile bodies: code, places and sizes that the files of a SentenceTransformer can name."""

from __future__ import annotations

import base64
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile import bodies
from hostile.bait import command, statement
from hostile.bodies import edit, write


class _Call:
    """What a pickle calls as it is read."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def _evil_weights(weights: Path, folder: Path) -> None:
    """Replace weights by torch's file with a call in its pickle."""
    import torch

    weights.unlink()
    torch.save({"weight": _Call(os.system, command(folder))}, weights.with_name("pytorch_model.bin"))


def _outside(folder: Path, name: str) -> Path:
    return folder.parent / f"outside-{name}"


# Code that a name leads to


def module_with_code_in_the_folder(folder: Path) -> None:
    (folder / "modeling_evil.py").write_text(statement(folder), encoding="utf-8")
    edit(folder / "modules.json", lambda modules: modules[0].update(type="modeling_evil.Evil"))


def module_that_is_a_function(folder: Path) -> None:
    edit(folder / "modules.json", lambda modules: modules[0].update(type="os.system", path=command(folder)))


def module_that_downloads(folder: Path) -> None:
    edit(folder / "modules.json", lambda modules: modules[0].update(type="sentence_transformers.util.http_get"))


def module_that_is_a_whole_model(folder: Path) -> None:
    edit(
        folder / "modules.json",
        lambda modules: modules[0].update(
            type="sentence_transformers.sentence_transformer.model.SentenceTransformer", path="inner"
        ),
    )
    write(folder / "inner" / "modules.json", [{"idx": 0, "name": "0", "path": "", "type": "os.system"}])


def module_of_no_type(folder: Path) -> None:
    edit(folder / "modules.json", lambda modules: modules[0].update(type=["os.system"]))


def auto_map_with_code_in_the_folder(folder: Path) -> None:
    bodies.transformer(folder)
    (folder / "modeling.py").write_text(statement(folder), encoding="utf-8")
    edit(
        folder / "config.json",
        lambda config: config.update(
            auto_map={"AutoConfig": "modeling.EvilConfig", "AutoModel": "modeling.EvilModel"}, model_type="evil"
        ),
    )


def auto_map_beside_a_known_model(folder: Path) -> None:
    bodies.transformer(folder)
    (folder / "modeling.py").write_text(statement(folder), encoding="utf-8")
    edit(folder / "config.json", lambda config: config.update(auto_map={"AutoModel": "modeling.Evil"}))


def auto_map_of_a_tokenizer(folder: Path) -> None:
    bodies.transformer(folder)
    (folder / "tokenization.py").write_text(statement(folder), encoding="utf-8")
    auto = {"AutoTokenizer": ["tokenization.Evil", None]}
    edit(folder / "tokenizer_config.json", lambda config: config.update(auto_map=auto, tokenizer_class="Evil"))


def auto_map_of_a_processor(folder: Path) -> None:
    bodies.transformer(folder)
    (folder / "processing.py").write_text(statement(folder), encoding="utf-8")
    write(folder / "processor_config.json", {"auto_map": {"AutoProcessor": "processing.Evil"}})


def activation_that_is_a_function(folder: Path) -> None:
    layer = bodies.dense(folder)
    edit(layer / "config.json", lambda config: config.update(activation_function="os.system"))


def activation_that_is_a_module_of_torch(folder: Path) -> None:
    layer = bodies.dense(folder)
    name = "torch.utils.bottleneck.__main__.main"
    edit(layer / "config.json", lambda config: config.update(activation_function=name))


def word_tokenizer_of_any_name(folder: Path) -> None:
    place = bodies.words(folder)
    (place / "evil.py").write_text(statement(folder), encoding="utf-8")
    edit(place / "wordembedding_config.json", lambda config: config.update(tokenizer_class="evil.Tokenizer"))


def tokenizer_class_that_unpickles(folder: Path) -> None:
    bodies.transformer(folder)
    (folder / "psgs.pkl").write_bytes(pickle.dumps(_Call(os.system, command(folder))))
    edit(folder / "tokenizer_config.json", lambda config: config.update(tokenizer_class="RagRetriever"))


def processor_class_of_any_name(folder: Path) -> None:
    bodies.transformer(folder)
    edit(folder / "tokenizer_config.json", lambda config: config.update(processor_class="RagRetriever"))


def route_with_code(folder: Path) -> None:
    bodies.router(folder)
    (folder / "modeling_evil.py").write_text(statement(folder), encoding="utf-8")
    edit(
        folder / "router_config.json",
        lambda config: config["types"].update(document_0_StaticEmbedding="modeling_evil.Evil"),
    )


def method_of_the_model_that_writes(folder: Path) -> None:
    bodies.transformer(folder)
    edit(
        folder / "sentence_bert_config.json",
        lambda config: config.update(
            modality_config={"text": {"method": "save_pretrained", "method_output_name": None}},
            module_output_name="token_embeddings",
        ),
    )


def attention_from_the_hub(folder: Path) -> None:
    bodies.transformer(folder)
    edit(folder / "config.json", lambda config: config.update(_attn_implementation="evil/kernel:function"))


def quantization_by_a_package(folder: Path) -> None:
    bodies.transformer(folder)
    edit(folder / "config.json", lambda config: config.update(quantization_config={"quant_method": "bitsandbytes"}))


# Pickles


def arguments_that_turn_the_unpickler_loose(folder: Path) -> None:
    bodies.transformer(folder)
    _evil_weights(folder / "model.safetensors", folder)
    edit(folder / "sentence_bert_config.json", lambda config: config.update(model_args={"weights_only": False}))


def arguments_that_turn_the_unpickler_loose_by_another_name(folder: Path) -> None:
    bodies.transformer(folder)
    _evil_weights(folder / "model.safetensors", folder)
    (folder / "sentence_bert_config.json").unlink()
    write(folder / "sentence_roberta_config.json", {"model_kwargs": {"weights_only": 0}})


def pickle_as_weights(folder: Path) -> None:
    bodies.transformer(folder)
    _evil_weights(folder / "model.safetensors", folder)


def pickle_as_weights_of_a_dense_layer(folder: Path) -> None:
    layer = bodies.dense(folder)
    _evil_weights(layer / "model.safetensors", folder)


def pickle_as_weights_of_an_lstm(folder: Path) -> None:
    bodies.words(folder)
    _evil_weights(folder / "1_LSTM" / "model.safetensors", folder)


def pickle_as_word_vectors(folder: Path) -> None:
    place = bodies.words(folder)
    _evil_weights(place / "model.safetensors", folder)


def pickle_as_static_embedding(folder: Path) -> None:
    _evil_weights(folder / "model.safetensors", folder)


def pickle_as_shard(folder: Path) -> None:
    bodies.transformer(folder)
    _evil_weights(folder / "model.safetensors", folder)
    (folder / "pytorch_model.bin").rename(folder / "pytorch_model-00001-of-00001.bin")
    index = {"metadata": {}, "weight_map": {"weight": "pytorch_model-00001-of-00001.bin"}}
    write(folder / "pytorch_model.bin.index.json", index)


def pickle_as_adapter(folder: Path) -> None:
    bodies.transformer(folder)
    write(folder / "adapter_config.json", {"peft_type": "LORA", "base_model_name_or_path": "evil/base"})
    (folder / "adapter_model.bin").write_bytes(pickle.dumps(_Call(os.system, command(folder))))


def pickle_of_the_first_torch(folder: Path) -> None:
    bodies.transformer(folder)
    import torch

    weights = bodies.torch_weights(folder / "model.safetensors")
    content = torch.load(weights, weights_only=True)
    torch.save({**content, "x": _Call(os.system, command(folder))}, weights, _use_new_zipfile_serialization=False)


def pickle_of_a_plain_kind(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Call(os.system, command(folder))))


def _evil_pickle(folder: Path, content: bytes) -> None:
    """Put a pickle into a torch file that is sound otherwise."""
    weights = bodies.torch_weights(folder / "model.safetensors")
    with zipfile.ZipFile(weights) as archive:
        parts = {member.filename: archive.read(member) for member in archive.infolist()}
    with zipfile.ZipFile(weights, "w") as archive:
        for name, part in parts.items():
            archive.writestr(name, content if name.endswith("data.pkl") else part)


def pickle_that_asks_for_memory(folder: Path) -> None:
    # Torch's restricted unpickler calls bytearray, with any argument.
    _evil_pickle(folder, b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.")


def pickle_of_an_endless_expansion(folder: Path) -> None:
    bodies.words(folder)
    place = folder / "0_WordEmbeddings"
    weights = bodies.torch_weights(place / "model.safetensors")
    import torch

    torch.save({"emb_layer.weight": torch.zeros(1).expand(10**6, 10**6)}, weights)


def torch_file_that_is_compressed(folder: Path) -> None:
    bodies.words(folder)
    weights = folder / "0_WordEmbeddings" / "model.safetensors"
    weights = bodies.torch_weights(weights)
    with zipfile.ZipFile(weights) as archive:
        parts = {member.filename: archive.read(member) for member in archive.infolist()}
    with zipfile.ZipFile(weights, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts.items():
            archive.writestr(name, bytes(2**28) if "/data/" in name else part)


# Places


def module_path_upwards(folder: Path) -> None:
    shutil.copytree(folder, _outside(folder, "model"))
    edit(folder / "modules.json", lambda modules: modules[0].update(path="../outside-model"))


def module_path_from_the_root(folder: Path) -> None:
    shutil.copytree(folder, _outside(folder, "model"))
    edit(folder / "modules.json", lambda modules: modules[0].update(path=str(_outside(folder, "model"))))


def module_path_of_windows(folder: Path) -> None:
    edit(folder / "modules.json", lambda modules: modules[0].update(path="..\\..\\model"))


def route_upwards(folder: Path) -> None:
    bodies.router(folder)
    shutil.copytree(folder / "document_0_StaticEmbedding", _outside(folder, "route"))

    def change(config: dict[str, Any]) -> None:
        config["types"]["../outside-route"] = config["types"].pop("document_0_StaticEmbedding")
        config["structure"]["document"] = ["../outside-route"]

    edit(folder / "router_config.json", change)


def tokenizer_from_elsewhere(folder: Path) -> None:
    bodies.transformer(folder)
    shutil.copytree(folder, _outside(folder, "tokenizer"))
    place = str(_outside(folder, "tokenizer"))
    edit(folder / "sentence_bert_config.json", lambda config: config.update(tokenizer_name_or_path=place))


def shard_from_elsewhere(folder: Path) -> None:
    bodies.transformer(folder)
    (folder / "model.safetensors").rename(_outside(folder, "weights.safetensors"))
    index = {"metadata": {}, "weight_map": {"x": "../outside-weights.safetensors"}}
    write(folder / "model.safetensors.index.json", index)


def weights_file_from_elsewhere(folder: Path) -> None:
    bodies.transformer(folder)
    edit(folder / "config.json", lambda config: config.update(transformers_weights="../outside.safetensors"))


def gguf_from_elsewhere(folder: Path) -> None:
    bodies.transformer(folder)
    edit(folder / "sentence_bert_config.json", lambda config: config.update(model_args={"gguf_file": "/etc/passwd"}))


def link_out_of_the_folder(folder: Path) -> None:
    (folder / "model.safetensors").rename(_outside(folder, "weights"))
    (folder / "model.safetensors").symlink_to(_outside(folder, "weights"))


def link_to_a_folder_outside(folder: Path) -> None:
    bodies.dense(folder)
    (folder / "2_Dense").rename(_outside(folder, "dense"))
    (folder / "2_Dense").symlink_to(_outside(folder, "dense"), target_is_directory=True)


def link_to_blobs_that_are_not_its_own(folder: Path) -> None:
    blobs = folder.parent.parent / f"blobs-of-{folder.parent.name}"
    blobs.mkdir()
    (folder / "tokenizer.json").rename(blobs / "blob")
    (folder / "tokenizer.json").symlink_to(blobs / "blob")


def link_without_an_end(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").symlink_to("tokenizer.json")


def weights_are_a_pipe(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    os.mkfifo(folder / "model.safetensors")


def tokenizer_is_endless(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").symlink_to("/dev/zero")


def model_card_is_a_pipe(folder: Path) -> None:
    (folder / "README.md").unlink(missing_ok=True)
    os.mkfifo(folder / "README.md")


# Sizes


def _of_size(**sizes: Any) -> Callable[[Path], None]:
    def case(folder: Path) -> None:
        bodies.transformer(folder)
        edit(folder / "config.json", lambda config: config.update(sizes))

    case.__name__ = f"transformer_of_{'_'.join(sizes)}"
    return case


SIZES = [
    _of_size(num_hidden_layers=10**6),
    _of_size(hidden_size=10**6),
    _of_size(vocab_size=10**9),
    _of_size(max_position_embeddings=2**31 - 1),
    _of_size(num_labels=10**9),
    _of_size(is_decoder=True, add_cross_attention=True, intermediate_size=10**6),
    _of_size(dtype="float64"),
]


def weights_that_are_not_there(folder: Path) -> None:
    # Transformers fills in what the weights lack, and takes the memory for it.
    bodies.transformer(folder)
    bodies.tensors(folder / "model.safetensors", {"nothing": (1,)})
    edit(folder / "config.json", lambda config: config.update(vocab_size=10**8))


def dense_layer_of_any_size(folder: Path) -> None:
    layer = bodies.dense(folder)
    edit(layer / "config.json", lambda config: config.update(out_features=10**9))


def lstm_of_any_size(folder: Path) -> None:
    bodies.words(folder)
    edit(folder / "1_LSTM" / "lstm_config.json", lambda config: config.update(num_layers=10**6, hidden_dim=1))


def cnn_of_any_size(folder: Path) -> None:
    bodies.words(folder)
    edit(folder / "2_CNN" / "cnn_config.json", lambda config: config.update(out_channels=10**6, kernel_sizes=[999]))


def word_vectors_unfolded(folder: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    tables = {"embeddings": np.zeros((1, 10**5), np.float32), "mapping": np.zeros(10**5, np.int64)}
    save_file(tables, folder / "model.safetensors")


def modules_by_the_million(folder: Path) -> None:
    module = {"idx": 0, "path": "", "type": "sentence_transformers.models.Normalize"}
    write(folder / "modules.json", [{**module, "name": str(number)} for number in range(100_000)])


def json_nested_too_deeply(folder: Path) -> None:
    bodies.transformer(folder)
    text = (folder / "config.json").read_text(encoding="utf-8")
    (folder / "config.json").write_text(f'{text[:-1]}, "x": {"[" * 10**5}{"]" * 10**5}}}', encoding="utf-8")


def json_with_two_meanings(folder: Path) -> None:
    bodies.transformer(folder)
    _evil_weights(folder / "model.safetensors", folder)
    text = '{"model_args": {"weights_only": false}, "model_args": {}}'
    (folder / "sentence_bert_config.json").write_text(text, encoding="utf-8")


# Weights that lie


def _header(folder: Path, header: Any, data: bytes = b"", length: int | None = None) -> None:
    text = json.dumps(header).encode()
    path = folder / "model.safetensors"
    path.write_bytes(struct.pack("<Q", len(text) if length is None else length) + text + data)


def header_longer_than_the_file(folder: Path) -> None:
    _header(folder, {}, length=2**62)


def header_of_an_oversized_tensor(folder: Path) -> None:
    _header(folder, {"embedding.weight": {"dtype": "F32", "shape": [10**9, 10**9], "data_offsets": [0, 4]}}, bytes(4))


def header_of_tensors_that_overlap(folder: Path) -> None:
    tensor = {"dtype": "F32", "shape": [29, 12], "data_offsets": [0, 4 * 29 * 12]}
    _header(folder, {"embedding.weight": tensor, "other": tensor}, bytes(4 * 29 * 12))


def header_of_a_negative_shape(folder: Path) -> None:
    _header(folder, {"embedding.weight": {"dtype": "F32", "shape": [-1, -1], "data_offsets": [0, 4]}}, bytes(4))


def weights_that_are_not_finite(folder: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    save_file({"embedding.weight": np.full((29, 12), np.nan, np.float32)}, folder / "model.safetensors")


# Tokenizers


def _tokenizer(folder: Path, **changes: Any) -> None:
    edit(folder / "tokenizer.json", lambda tokenizer: tokenizer.update(changes))


def tokenizer_that_makes_texts_longer(folder: Path) -> None:
    tenfold = {"type": "Replace", "pattern": {"String": "a"}, "content": "a" * 10}
    _tokenizer(folder, normalizer={"type": "Sequence", "normalizers": [tenfold] * 12})


def tokenizer_that_pads(folder: Path) -> None:
    bodies.transformer(folder)
    padding = {"strategy": {"Fixed": 10**10}, "direction": "Right", "pad_to_multiple_of": None}
    _tokenizer(folder, padding={**padding, "pad_id": 0, "pad_type_id": 0, "pad_token": "[PAD]"})


def tokenizer_that_aborts(folder: Path) -> None:
    charsmap = base64.b64encode(b"\xff" * 24).decode()
    _tokenizer(folder, normalizer={"type": "Precompiled", "precompiled_charsmap": charsmap})


def tokenizer_with_an_endless_regular_expression(folder: Path) -> None:
    split = {"type": "Split", "pattern": {"Regex": "([a-z ]+)+$"}, "behavior": "Isolated", "invert": False}
    _tokenizer(folder, pre_tokenizer=split)


def tokenizer_that_panics(folder: Path) -> None:
    template = {"type": "TemplateProcessing", "pair": [], "special_tokens": {}}
    bodies.transformer(folder)
    _tokenizer(folder, post_processor={**template, "single": [{"SpecialToken": {"id": "[X]", "type_id": 0}}]})


def tokenizer_with_words_out_of_range(folder: Path) -> None:
    edit(folder / "tokenizer.json", lambda tokenizer: tokenizer["model"]["vocab"].update({"[UNK]": 4_000_000_000}))


def tokenizer_nested_too_deeply(folder: Path) -> None:
    normalizer: Any = {"type": "Lowercase"}
    for _ in range(60):
        normalizer = {"type": "Sequence", "normalizers": [normalizer]}
    _tokenizer(folder, normalizer=normalizer)


def tokenizer_with_files_of_its_own(folder: Path) -> None:
    bodies.transformer(folder)
    edit(
        folder / "tokenizer_config.json",
        lambda config: config.update(gguf_file="../../evil.gguf", fast_tokenizer_files=["../../tokenizer.5.0.json"]),
    )


CASES = (
    module_with_code_in_the_folder,
    module_that_is_a_function,
    module_that_downloads,
    module_that_is_a_whole_model,
    module_of_no_type,
    auto_map_with_code_in_the_folder,
    auto_map_beside_a_known_model,
    auto_map_of_a_tokenizer,
    auto_map_of_a_processor,
    activation_that_is_a_function,
    activation_that_is_a_module_of_torch,
    word_tokenizer_of_any_name,
    tokenizer_class_that_unpickles,
    processor_class_of_any_name,
    route_with_code,
    method_of_the_model_that_writes,
    attention_from_the_hub,
    quantization_by_a_package,
    arguments_that_turn_the_unpickler_loose,
    arguments_that_turn_the_unpickler_loose_by_another_name,
    pickle_as_weights,
    pickle_as_weights_of_a_dense_layer,
    pickle_as_weights_of_an_lstm,
    pickle_as_word_vectors,
    pickle_as_static_embedding,
    pickle_as_shard,
    pickle_as_adapter,
    pickle_of_the_first_torch,
    pickle_of_a_plain_kind,
    pickle_that_asks_for_memory,
    pickle_of_an_endless_expansion,
    torch_file_that_is_compressed,
    module_path_upwards,
    module_path_from_the_root,
    module_path_of_windows,
    route_upwards,
    tokenizer_from_elsewhere,
    shard_from_elsewhere,
    weights_file_from_elsewhere,
    gguf_from_elsewhere,
    link_out_of_the_folder,
    link_to_a_folder_outside,
    link_to_blobs_that_are_not_its_own,
    link_without_an_end,
    weights_are_a_pipe,
    tokenizer_is_endless,
    model_card_is_a_pipe,
    *SIZES,
    weights_that_are_not_there,
    dense_layer_of_any_size,
    lstm_of_any_size,
    cnn_of_any_size,
    word_vectors_unfolded,
    modules_by_the_million,
    json_nested_too_deeply,
    json_with_two_meanings,
    header_longer_than_the_file,
    header_of_an_oversized_tensor,
    header_of_tensors_that_overlap,
    header_of_a_negative_shape,
    weights_that_are_not_finite,
    tokenizer_that_makes_texts_longer,
    tokenizer_that_pads,
    tokenizer_that_aborts,
    tokenizer_with_an_endless_regular_expression,
    tokenizer_that_panics,
    tokenizer_with_words_out_of_range,
    tokenizer_nested_too_deeply,
    tokenizer_with_files_of_its_own,
)
