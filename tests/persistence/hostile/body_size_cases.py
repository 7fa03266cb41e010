"""Hostile bodies: sizes that their files claim, weights that lie, and tokenizers that never end."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile import bodies
from hostile.bodies import edit, evil_weights, write

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
    _of_size(model_type="albert", inner_group_num=10**6),
    _of_size(model_type="distilbert", dim=2500, sinusoidal_pos_embds=True, max_position_embeddings=10**6),
    _of_size(model_type="gpt_neo", attention_types=[[["global"], 10**9]]),
    _of_size(model_type="longformer", attention_window=2**30),
    _of_size(model_type="stablelm"),
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


def module_many_times(folder: Path) -> None:
    edit(
        folder / "modules.json",
        lambda modules: modules.extend({**modules[0], "name": str(number)} for number in range(1, 9)),
    )


def json_nested_too_deeply(folder: Path) -> None:
    bodies.transformer(folder)
    text = (folder / "config.json").read_text(encoding="utf-8")
    (folder / "config.json").write_text(f'{text[:-1]}, "x": {"[" * 10**5}{"]" * 10**5}}}', encoding="utf-8")


def json_with_two_meanings(folder: Path) -> None:
    bodies.transformer(folder)
    evil_weights(folder / "model.safetensors", folder)
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


def tokenizer_that_makes_texts_longer_by_bytes(folder: Path) -> None:
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    _tokenizer(folder, pre_tokenizer={"type": "Sequence", "pretokenizers": [level] * 30})


def tokenizer_that_makes_texts_longer_by_a_charsmap(folder: Path) -> None:
    charsmap = base64.b64encode(struct.pack("<II", 4, 0) + b"x" * 2**24).decode()
    _tokenizer(folder, normalizer={"type": "Precompiled", "precompiled_charsmap": charsmap})


def tokenizer_that_adds_tokens(folder: Path) -> None:
    bodies.transformer(folder)
    token = {"id": "[CLS]", "ids": [2] * 10**6, "tokens": ["[CLS]"] * 10**6}
    piece = {"SpecialToken": {"id": "[CLS]", "type_id": 0}}
    template = {"single": [piece] * 100, "pair": [], "special_tokens": {"[CLS]": token}}
    _tokenizer(folder, post_processor={"type": "TemplateProcessing", **template})


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
    *SIZES,
    weights_that_are_not_there,
    dense_layer_of_any_size,
    lstm_of_any_size,
    cnn_of_any_size,
    word_vectors_unfolded,
    modules_by_the_million,
    module_many_times,
    json_nested_too_deeply,
    json_with_two_meanings,
    header_longer_than_the_file,
    header_of_an_oversized_tensor,
    header_of_tensors_that_overlap,
    header_of_a_negative_shape,
    weights_that_are_not_finite,
    tokenizer_that_makes_texts_longer,
    tokenizer_that_makes_texts_longer_by_bytes,
    tokenizer_that_makes_texts_longer_by_a_charsmap,
    tokenizer_that_adds_tokens,
    tokenizer_that_pads,
    tokenizer_that_aborts,
    tokenizer_with_an_endless_regular_expression,
    tokenizer_that_panics,
    tokenizer_with_words_out_of_range,
    tokenizer_nested_too_deeply,
    tokenizer_with_files_of_its_own,
)
