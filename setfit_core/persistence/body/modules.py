"""Vetting of the modules of a body that aren't transformers: what they ask for, against what their weights hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from setfit_core.errors import ModelFormatError
from setfit_core.persistence.body.tokenizer import (
    TOKENIZER_FILE,
    VOCABULARY_LIMIT,
    check_tokenizer,
    check_tokenizer_file,
)
from setfit_core.persistence.body.transformer import check_config, check_processors
from setfit_core.persistence.body.weights import elements, weight_shapes
from setfit_core.persistence.files import read_json_object

ModuleCheck = Callable[[Path, str], None]

#: Activation functions without arguments; anything else would be a name to import and call.
ACTIVATIONS: Final = frozenset(
    f"torch.nn.modules.{module}.{name}"
    for module, names in {
        "activation": "CELU ELU GELU Hardshrink Hardsigmoid Hardswish Hardtanh LeakyReLU LogSigmoid Mish PReLU ReLU "
        "ReLU6 RReLU SELU SiLU Sigmoid Softplus Softshrink Softsign Tanh Tanhshrink",
        "linear": "Identity",
    }.items()
    for name in names.split()
)
_WORD_TOKENIZERS: Final = {
    "WhitespaceTokenizer": ("whitespace", "whitespacetokenizer_config.json"),
    "PhraseTokenizer": ("phrase", "phrasetokenizer_config.json"),
    "TransformersTokenizerWrapper": ("word", ""),
}
_WORD_HOMES: Final = (
    "sentence_transformers.models.tokenizer",
    "sentence_transformers.sentence_transformer.modules.tokenizer",
)
#: Numbers that a table of word vectors may have after it was unfolded.
_UNFOLDED_LIMIT: Final = 2**28
_LARGEST_NUMBER: Final = 2**24


def integer(path: Path, content: Mapping[str, Any], *keys: str, default: int | None = None) -> int:
    """Return the number under the first of these keys (a module's old and new name for it)."""
    for key in keys:
        if key in content:
            value = content[key]
            if type(value) is int and 0 <= value <= _LARGEST_NUMBER:
                return value
            raise ModelFormatError(f"{path} has {key!r}: {str(value)[:100]}, which can't be; the file is damaged.")
    if default is None:
        raise ModelFormatError(f"{path} has no {keys[0]!r}: the file is incomplete. Download or save the model again.")
    return default


def _check_numbers(name: str = "config.json") -> ModuleCheck:
    """Return a check for a module without weights: its numbers are of a size that models have."""

    def check(root: Path, subfolder: str) -> None:
        path = root / subfolder / name
        if path.is_file():
            content = read_json_object(path)
            for key, value in content.items():
                if type(value) is int:
                    integer(path, content, key)

    return check


def _check_fit(path: Path, needed: int) -> None:
    """Refuse a configuration that describes more numbers than the weights beside it hold."""
    there = elements(weight_shapes(path.parent))
    if needed > there:
        raise ModelFormatError(
            f"{path} describes a module of {needed} numbers, and its weights hold {there}: they don't belong together. "
            "Download or save the model again."
        )


def _check_dense(root: Path, subfolder: str) -> None:
    path = root / subfolder / "config.json"
    content = read_json_object(path)
    activation = content.get("activation_function", "torch.nn.modules.activation.Tanh")
    if activation not in ACTIVATIONS:
        raise ModelFormatError(
            f"{path} has 'activation_function': {activation!r}, which is none of torch's activation functions but a "
            "name to import and call. trust_remote_code=True does that; use it only if you have read the code."
        )
    _check_fit(path, integer(path, content, "in_features") * integer(path, content, "out_features"))


def _check_layer_norm(root: Path, subfolder: str) -> None:
    path = root / subfolder / "config.json"
    _check_fit(path, 2 * integer(path, read_json_object(path), "dimension"))


def _check_lstm(root: Path, subfolder: str) -> None:
    path = root / subfolder / "lstm_config.json"
    content = read_json_object(path)
    hidden = integer(path, content, "hidden_dim")
    inputs = integer(path, content, "embedding_dimension", "word_embedding_dimension")
    layers = integer(path, content, "num_layers", default=1)
    directions = 2 if content.get("bidirectional", True) else 1
    deeper = max(layers - 1, 0) * (directions * hidden + hidden + 2)
    _check_fit(path, max(layers, 4 * hidden * directions * (inputs + hidden + 2 + deeper)))


def _check_cnn(root: Path, subfolder: str) -> None:
    path = root / subfolder / "cnn_config.json"
    content = read_json_object(path)
    width = integer(path, content, "in_embedding_dimension", "in_word_embedding_dimension")
    channels = integer(path, content, "out_channels", default=256)
    sizes, strides = content.get("kernel_sizes", [1, 3, 5]), content.get("stride_sizes") or []
    if not all(
        isinstance(numbers, list) and all(type(number) is int and 0 < number < 1000 for number in numbers)
        for numbers in (sizes, strides)
    ):
        raise ModelFormatError(f"{path} has kernel sizes {sizes!r} and strides {strides!r}; the file is damaged.")
    _check_fit(path, width * channels * sum(sizes))


def _check_layer_pooling(root: Path, subfolder: str) -> None:
    path = root / subfolder / "config.json"
    content = read_json_object(path)
    layers = integer(path, content, "num_hidden_layers", default=12) + 1
    _check_fit(path, layers - integer(path, content, "layer_start", default=4))


def _check_word_embeddings(root: Path, subfolder: str) -> None:
    folder = root / subfolder
    path = folder / "wordembedding_config.json"
    name = read_json_object(path).get("tokenizer_class")
    known = {
        f"{home}{middle}.{tokenizer}": tokenizer
        for tokenizer, (module, _) in _WORD_TOKENIZERS.items()
        for home in _WORD_HOMES
        for middle in ("", f".{module}", f".{tokenizer}", ".WordTokenizer")
    }
    if name not in known:
        raise ModelFormatError(
            f"{path} has 'tokenizer_class': {name!r}, which is none of sentence-transformers' tokenizers of words but "
            "code to import. trust_remote_code=True does that; use it only if you have read the code."
        )
    shape = weight_shapes(folder).get("emb_layer.weight", ())
    if len(shape) != 2:
        raise ModelFormatError(f"{folder} has no table 'emb_layer.weight' in its weights; they are damaged.")
    _, file = _WORD_TOKENIZERS[known[name]]
    if file:
        vocabulary = read_json_object(folder / file, VOCABULARY_LIMIT).get("vocab")
        if not isinstance(vocabulary, list) or len(vocabulary) > shape[0]:
            raise ModelFormatError(
                f"{folder / file} has no 'vocab', or more words than there are vectors ({shape[0]}); it is damaged."
            )
        return
    check_tokenizer(folder)
    if (folder / "config.json").is_file():
        check_config(folder / "config.json", len(shape))
    check_processors(folder)


def _check_words(root: Path, subfolder: str) -> None:
    path = root / subfolder / "config.json"
    content = read_json_object(path, VOCABULARY_LIMIT)
    vocabulary, weights = content.get("vocab"), content.get("word_weights", {})
    if (
        not isinstance(vocabulary, list)
        or not all(isinstance(word, str) for word in vocabulary)
        or not isinstance(weights, dict)
        or not all(isinstance(weight, (int, float)) for weight in weights.values())
    ):
        raise ModelFormatError(f"{path} has no list of words 'vocab' and numbers 'word_weights'; it is damaged.")


def _check_static(root: Path, subfolder: str) -> None:
    folder = root / subfolder
    check_tokenizer_file(folder / TOKENIZER_FILE)
    shapes = weight_shapes(folder)
    table = shapes.get("embedding.weight", shapes.get("embeddings", ()))
    if len(table) != 2:
        raise ModelFormatError(
            f"{folder} has no table of word vectors ('embedding.weight' or 'embeddings') in its weights; it is damaged."
        )
    rows = math.prod(shapes.get("mapping", (table[0],)))
    if max(rows, 1) * table[1] > _UNFOLDED_LIMIT and rows > table[0]:
        raise ModelFormatError(
            f"{folder} unfolds {table[0]} word vectors to {rows}, which takes more memory than such models need. "
            "Download the model again from a source that you trust."
        )


#: What is checked of a module, by the name of its class; a class that isn't here is refused.
MODULE_CHECKS: Final[Mapping[str, ModuleCheck]] = {
    "BoW": _check_words,
    "CNN": _check_cnn,
    "Dense": _check_dense,
    "Dropout": _check_numbers(),
    "LSTM": _check_lstm,
    "LayerNorm": _check_layer_norm,
    "Normalize": _check_numbers(),
    "Pooling": _check_numbers(),
    "StaticEmbedding": _check_static,
    "WeightedLayerPooling": _check_layer_pooling,
    "WordEmbeddings": _check_word_embeddings,
    "WordWeights": _check_words,
}
#: These may share a folder with another module.
WITHOUT_WEIGHTS: Final = ("Dropout", "Normalize", "Pooling")
