"""Bodies of many kinds, small and good, that take the place of the one in a saved model: the models to spoil.

Each gives embeddings of 12 numbers, as the head of the saved model expects.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file, save_file

from hostile.bait import command

SIZE = 12
LAYERS = 2
MODULES = "sentence_transformers.models"

_WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "team", "branch", "merge", "penalty", "won", "text"]


def write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")


def edit(path: Path, change: Callable[[Any], object]) -> None:
    """Change a JSON file with a function."""
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    write(path, content)


def modules(folder: Path, *names_and_paths: tuple[str, str]) -> None:
    """Write the list of modules: their classes and folders."""
    write(
        folder / "modules.json",
        [
            {"idx": number, "name": str(number), "path": path, "type": f"{MODULES}.{name}"}
            for number, (name, path) in enumerate(names_and_paths)
        ],
    )


def tensors(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
    generator = np.random.default_rng(0)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: generator.normal(size=shape).astype(np.float32) / 4 for name, shape in shapes.items()},
        path,
        metadata={"format": "pt"},
    )


def torch_weights(weights: Path) -> Path:
    """Save the same weights as torch does, in the place of the safetensors, and return the file."""
    import torch

    path = weights.with_name("pytorch_model.bin")
    torch.save({name: torch.from_numpy(array) for name, array in load_file(weights).items()}, path)
    weights.unlink()
    return path


class Call:
    """What a pickle calls as it is read."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


def evil_weights(weights: Path, folder: Path) -> None:
    """Replace weights by torch's file with a call in its pickle."""
    import torch

    weights.unlink()
    torch.save({"weight": Call(os.system, command(folder))}, weights.with_name("pytorch_model.bin"))


def transformer(folder: Path) -> Path:
    """A BERT of two layers with a pooling, as sentence-transformers 2 saved it; return its folder."""
    _remove_body(folder)
    modules(folder, ("Transformer", ""), ("Pooling", "1_Pooling"))
    write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": SIZE, "pooling_mode_mean_tokens": True})
    write(folder / "sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": False})
    write(
        folder / "config.json",
        {
            "_name_or_path": "/somewhere/else",
            "architectures": ["BertModel"],
            "model_type": "bert",
            "hidden_act": "gelu",
            "hidden_size": SIZE,
            "intermediate_size": SIZE,
            "max_position_embeddings": 32,
            "num_attention_heads": 2,
            "num_hidden_layers": LAYERS,
            "type_vocab_size": 2,
            "vocab_size": len(_WORDS),
        },
    )
    tokenizer(folder)
    square, line = (SIZE, SIZE), (SIZE,)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (len(_WORDS), SIZE),
        "embeddings.position_embeddings.weight": (32, SIZE),
        "embeddings.token_type_embeddings.weight": (2, SIZE),
    }
    parts = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        place = f"encoder.layer.{layer}"
        parts += [f"{place}.attention.output.LayerNorm", f"{place}.output.LayerNorm"]
        for part in ("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"):
            shapes |= {f"{place}.{part}.weight": square, f"{place}.{part}.bias": line}
        for part in ("intermediate.dense", "output.dense"):
            shapes |= {f"{place}.{part}.weight": square, f"{place}.{part}.bias": line}
    shapes |= {f"{part}.{kind}": line for part in parts for kind in ("weight", "bias")}
    tensors(folder / "model.safetensors", shapes)
    return folder


def tokenizer(folder: Path) -> None:
    """A tokenizer of whole words, as transformers saves it."""
    write(
        folder / "tokenizer.json",
        {
            "version": "1.0",
            "truncation": None,
            "padding": None,
            "added_tokens": [],
            "normalizer": {"type": "Lowercase"},
            "pre_tokenizer": {"type": "Whitespace"},
            "post_processor": None,
            "decoder": None,
            "model": {
                "type": "WordLevel",
                "unk_token": "[UNK]",
                "vocab": {word: number for number, word in enumerate(_WORDS)},
            },
        },
    )
    special = {f"{name.lower()}_token": f"[{name}]" for name in ("PAD", "UNK", "CLS", "SEP", "MASK")}
    write(folder / "tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast", **special})


def dense(folder: Path) -> Path:
    """A transformer with a dense layer on top; return the folder of that layer."""
    transformer(folder)
    modules(folder, ("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense"))
    layer = folder / "2_Dense"
    activation = "torch.nn.modules.activation.Tanh"
    write(
        layer / "config.json",
        {"in_features": SIZE, "out_features": SIZE, "bias": True, "activation_function": activation},
    )
    tensors(layer / "model.safetensors", {"linear.weight": (SIZE, SIZE), "linear.bias": (SIZE,)})
    return layer


def words(folder: Path) -> Path:
    """Word vectors in a folder of their own, through an LSTM and a CNN; return the folder of the vectors."""
    _remove_body(folder)
    modules(
        folder,
        ("WordEmbeddings", "0_WordEmbeddings"),
        ("LSTM", "1_LSTM"),
        ("CNN", "2_CNN"),
        ("Pooling", "3_Pooling"),
        ("LayerNorm", "4_LayerNorm"),
    )
    place = folder / "0_WordEmbeddings"
    home = f"{MODULES}.tokenizer.WhitespaceTokenizer.WhitespaceTokenizer"
    write(place / "wordembedding_config.json", {"tokenizer_class": home, "update_embeddings": False})
    write(place / "whitespacetokenizer_config.json", {"vocab": _WORDS, "stop_words": [], "do_lower_case": True})
    tensors(place / "model.safetensors", {"emb_layer.weight": (len(_WORDS), SIZE)})
    write(folder / "1_LSTM" / "lstm_config.json", {"word_embedding_dimension": SIZE, "hidden_dim": 4, "num_layers": 2})
    tensors(
        folder / "1_LSTM" / "model.safetensors",
        {
            f"encoder.{name}_l{layer}{direction}": shape
            for layer, inputs in enumerate((SIZE, 8))
            for direction in ("", "_reverse")
            for name, shape in {
                "weight_ih": (16, inputs),
                "weight_hh": (16, 4),
                "bias_ih": (16,),
                "bias_hh": (16,),
            }.items()
        },
    )
    write(
        folder / "2_CNN" / "cnn_config.json",
        {"in_word_embedding_dimension": 8, "out_channels": 6, "kernel_sizes": [1, 3], "stride_sizes": [1, 1]},
    )
    tensors(
        folder / "2_CNN" / "model.safetensors",
        {
            f"convs.{number}.{name}": shape
            for number, width in enumerate((1, 3))
            for name, shape in {"weight": (6, 8, width), "bias": (6,)}.items()
        },
    )
    write(folder / "3_Pooling" / "config.json", {"embedding_dimension": SIZE, "pooling_mode": "mean"})
    write(folder / "4_LayerNorm" / "config.json", {"dimension": SIZE})
    tensors(folder / "4_LayerNorm" / "model.safetensors", {"norm.weight": (SIZE,), "norm.bias": (SIZE,)})
    return place


def router(folder: Path) -> Path:
    """One of two routes, each with word vectors; return the folder of the router."""
    static = [(folder / name).read_bytes() for name in ("tokenizer.json", "model.safetensors")]
    _remove_body(folder)
    modules(folder, ("Router", ""))
    places = ["query_0_StaticEmbedding", "document_0_StaticEmbedding"]
    for place in places:
        (folder / place).mkdir()
        (folder / place / "tokenizer.json").write_bytes(static[0])
        (folder / place / "model.safetensors").write_bytes(static[1])
    write(
        folder / "router_config.json",
        {
            "types": dict.fromkeys(places, f"{MODULES}.StaticEmbedding"),
            "structure": {"query": places[:1], "document": places[1:]},
            "parameters": {"default_route": "query", "allow_empty_key": True},
        },
    )
    return folder


def bag_of_words(folder: Path) -> Path:
    """Counts of words; return their folder."""
    _remove_body(folder)
    modules(folder, ("BoW", "0_BoW"))
    write(
        folder / "0_BoW" / "config.json",
        {"vocab": _WORDS, "word_weights": {"team": 2.0}, "unknown_word_weight": 1, "cumulative_term_frequency": True},
    )
    return folder / "0_BoW"


def _remove_body(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name not in ("config_setfit.json", "head", "config_sentence_transformers.json"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
