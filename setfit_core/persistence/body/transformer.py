"""Vetting of a transformer in a body: its configuration, the arguments it is loaded with, and its size."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from setfit_core.errors import ModelFormatError
from setfit_core.persistence.body.tokenizer import check_class, check_tokenizer
from setfit_core.persistence.body.weights import Shapes, elements, weight_shapes, words
from setfit_core.persistence.files import read_json_object

#: Encoders of text that `AutoModel` knows. Other models load further models, from elsewhere and with pickle.
MODEL_TYPES: Final = words(
    "albert bert big_bird bloom camembert convbert data2vec-text deberta deberta-v2 distilbert electra ernie eurobert "
    "exaone4 gemma gemma2 gemma3_text glm gpt_neo gpt_neox gpt2 gptj granite gte jina_embeddings_v3 llama longformer "
    "megatron-bert ministral mistral mobilebert modernbert mpnet mt5 nomic_bert olmo olmo2 opt phi phi3 qwen2 qwen3 "
    "rembert roberta roberta-prelayernorm roformer smollm3 t5 umt5 xlm-roberta xlm-roberta-xl xlnet xmod"
)
#: Of these, sentence-transformers loads the encoder alone.
_ENCODER_CLASSES: Final = {"t5": "T5EncoderModel", "mt5": "MT5EncoderModel", "umt5": "UMT5EncoderModel"}

_ADAPTER_FILES: Final = ("adapter_config.json", "adapter_model.safetensors", "adapter_model.bin")
#: In the order in which sentence-transformers tries them.
_SENTENCE_CONFIGS: Final = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
_PROCESSOR_FILES: Final = (
    "processor_config.json",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    "generation_config.json",
)
_PROCESSOR_KEYS: Final = words(
    "auto_map feature_extractor_type image_processor_type processor_class video_processor_type"
)
_ATTENTION: Final = (None, "eager", "sdpa")
_DTYPES: Final = (None, "auto", "float32", "float16", "bfloat16")
#: Keys of config.json that name code, files, or packages to load the weights with.
_REFUSED_KEYS: Final = words(
    "backbone backbone_config compression_config configuration_files distributed_config gguf_file kernel_config "
    "processor_class quantization_config transformers_weights use_kernels use_timm_backbone"
)
#: The largest number that a key may have, by what is in its name; the first that fits counts. Layers are something
#: else: each takes time even if it has no weights.
_LIMITS: Final = (
    ("labels", 2**16),
    ("attention_window", 2**12),
    ("head|expert", 2**10),
    ("window|positions|seq", 2**21),
)
_LAYERS: Final = re.compile(r"layer|depth|block|stage|group|network|attention_types")
_NO_LAYERS: Final = re.compile(r"size|length|token|id$|window")
_LAYERS_FLOOR: Final = 128
_LAYERS_LIMIT: Final = 1024
_LARGEST_NUMBER: Final = 2**31
#: Numbers of a model that its weights needn't explain: a pooler, and tables that are computed.
_SLACK: Final = 2**24
#: Models that compute a table of positions in Python, and the numbers that it may have.
_COMPUTED_POSITIONS: Final = ("distilbert", "roformer")
_POSITIONS_LIMIT: Final = 2**22


def _scalar(value: Any) -> bool:
    return value is None or isinstance(value, (bool, int, float))


def _one_of(*values: Any) -> Callable[[Any], bool]:
    return lambda value: any(value is allowed or (isinstance(value, str) and value == allowed) for allowed in values)


def _short_text(value: Any) -> bool:
    return value is None or (isinstance(value, str) and len(value) < 1000)


def _empty(value: Any) -> bool:
    return not value


_FLAG: Final = _one_of(None, True, False)
_ARGUMENTS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "add_pooling_layer": _FLAG,
    "attn_implementation": _one_of(*_ATTENTION),
    "dtype": _one_of(*_DTYPES),
    "low_cpu_mem_usage": _FLAG,
    "output_attentions": _FLAG,
    "output_hidden_states": _FLAG,
    "torch_dtype": _one_of(*_DTYPES),
    "trust_remote_code": _FLAG,  # sentence-transformers passes it over
    "use_cache": _FLAG,
    "use_safetensors": _FLAG,
}
_TOKENIZER_ARGUMENTS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "add_bos_token": _FLAG,
    "add_eos_token": _FLAG,
    "add_prefix_space": _FLAG,
    "clean_up_tokenization_spaces": _FLAG,
    "do_lower_case": _FLAG,
    "max_length": _scalar,
    "model_max_length": _scalar,
    "pad_token": _short_text,
    "padding_side": _one_of(None, "left", "right"),
    "strip_accents": _FLAG,
    "truncation_side": _one_of(None, "left", "right"),
    "trust_remote_code": _FLAG,
    "use_fast": _FLAG,
}


def _arguments(allowed: Mapping[str, Callable[[Any], bool]]) -> Callable[[Any], bool]:
    return lambda value: (
        value is None
        or (isinstance(value, dict) and all(key in allowed and allowed[key](item) for key, item in value.items()))
    )


def _modalities(value: Any) -> bool:
    """Texts go through the model's `forward`: through no other method, and through no template of a chat."""
    text = value.get("text") if isinstance(value, dict) and value.keys() == {"text"} else None
    return (
        isinstance(text, dict)
        and text.keys() == {"method", "method_output_name"}
        and text["method"] == "forward"
        and _short_text(text["method_output_name"])
    )


_SENTENCE_KEYS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "config_args": _arguments(_ARGUMENTS),
    "config_kwargs": _arguments(_ARGUMENTS),
    "do_lower_case": _FLAG,
    "document_length": _scalar,
    "max_seq_length": _scalar,
    "modality_config": _modalities,
    "model_args": _arguments(_ARGUMENTS),
    "model_kwargs": _arguments(_ARGUMENTS),
    "module_output_name": _one_of("token_embeddings", "sentence_embedding"),
    "processing_kwargs": _empty,
    "processor_kwargs": _arguments(_TOKENIZER_ARGUMENTS),
    "query_expansion": _empty,
    "query_length": _scalar,
    "tokenizer_args": _arguments(_TOKENIZER_ARGUMENTS),
    "transformer_task": _one_of("feature-extraction"),
    "unpad_inputs": _FLAG,
}


def check_transformer(root: Path, subfolder: str, *, alone: bool = False) -> None:
    """Check a `Transformer` module and all that it reads.

    Args:
        root: The body's folder.
        subfolder: The module's folder, relative to it.
        alone: Whether there are no modules, so that sentence-transformers chooses how texts get into the model.

    Raises:
        ModelFormatError: If it names code, arguments or places that aren't known to be harmless, if a file is
            missing or damaged, or if the configuration describes a larger model than the weights are.
    """
    folder = root / subfolder
    for name in _ADAPTER_FILES:
        for place in {root, folder}:
            if (place / name).exists():
                raise ModelFormatError(
                    f"{place} holds an adapter ({name}), whose base model would have to come from elsewhere. Merge it "
                    "where you trust it: load it with peft, call merge_and_unload(), and save the result."
                )
    for name in _SENTENCE_CONFIGS:
        if (folder / name).is_file():
            check_keys(folder / name, read_json_object(folder / name), _SENTENCE_KEYS)
    check_tokenizer(folder, chats=not alone)
    shapes = weight_shapes(folder, sharded=True)
    config = folder / "config.json"
    check_config(config, len(shapes))
    check_processors(folder)
    _check_architecture(root, subfolder, shapes)


def check_keys(path: Path, content: Mapping[str, Any], allowed: Mapping[str, Callable[[Any], bool]]) -> None:
    """Refuse keys that aren't on the list, and values that their check doesn't accept."""
    for key, value in content.items():
        if key not in allowed or not allowed[key](value):
            raise ModelFormatError(
                f"{path} has {key!r}: {str(value)[:200]}, which isn't known to be harmless: it could name code, files "
                "or arguments that make loading unsafe. Remove it if the model does without; trust_remote_code=True "
                "allows it, but only if you have read the code and the files."
            )


def check_processors(folder: Path) -> None:
    """Check the files that could make something else than a tokenizer of it."""
    for name in _PROCESSOR_FILES:
        if (folder / name).is_file():
            content = read_json_object(folder / name)
            named = {key: value for key, value in content.items() if key in _PROCESSOR_KEYS}
            check_keys(folder / name, named, dict.fromkeys(_PROCESSOR_KEYS, _empty))


def check_config(path: Path, tensors: int) -> None:
    """Check a `config.json` of transformers.

    Args:
        path: The file.
        tensors: How many tensors the weights have; there can't be more layers than that.
    """
    content = read_json_object(path)
    kind = content.get("model_type")
    if not isinstance(kind, str) or kind not in MODEL_TYPES:
        raise ModelFormatError(
            f"{path} has 'model_type': {kind!r}, which is none of the encoders of text that are known to be harmless. "
            "trust_remote_code=True lets transformers load whatever it names; use it only if you have read the code."
        )
    _check_auto_map(path, kind, content.get("auto_map"))
    check_class(path, "tokenizer_class", content.get("tokenizer_class"))
    for key, value in _items(content):
        _check_value(path, key, value, tensors)
    width, positions = content.get("dim", content.get("hidden_size", 768)), content.get("max_position_embeddings", 512)
    if kind in _COMPUTED_POSITIONS and not (
        isinstance(width, int) and isinstance(positions, int) and width * positions <= _POSITIONS_LIMIT
    ):
        raise ModelFormatError(
            f"{path} asks for {positions!r} positions of {width!r} numbers, more than any {kind} has. The file is "
            "damaged or means harm; download the model again from a source that you trust."
        )


def _check_auto_map(path: Path, kind: str, auto_map: Any) -> None:
    """Accept code of the model's own only where transformers has come to know it: then that is used."""
    if not auto_map:
        return
    from transformers import CONFIG_MAPPING, MODEL_MAPPING

    try:
        config = CONFIG_MAPPING[kind]
        # A tuple of several classes, as some models have, has no name that an auto_map could have.
        known = {"AutoConfig": config.__name__, "AutoModel": getattr(MODEL_MAPPING[config], "__name__", "")}
    except KeyError:  # a release of transformers that doesn't know it yet
        known = dict.fromkeys(("AutoConfig", "AutoModel"), "")
    for key, name in known.items():
        named = auto_map.get(key) if isinstance(auto_map, dict) else auto_map
        if named is not None and str(named).rpartition(".")[2] != name:
            raise ModelFormatError(
                f"{path} has 'auto_map': {auto_map!r}: the model is code of its own, which would run when it is "
                "loaded. trust_remote_code=True runs it; use it only if you have read the code."
            )


def _check_value(path: Path, key: str, value: Any, tensors: int) -> None:
    attention = key.removeprefix("_").removesuffix("_internal")
    harmless = {
        "attn_implementation": _ATTENTION,
        "experts_implementation": (None, "eager"),
        "dtype": _DTYPES,
        "torch_dtype": _DTYPES,
    }.get(attention)
    if (harmless is not None and value not in harmless) or (key in _REFUSED_KEYS and value is not None):
        raise ModelFormatError(
            f"{path} has {key!r}: {str(value)[:200]}, which isn't known to be harmless: it could load code or weights "
            "from elsewhere, or take more memory than the weights explain. Remove it if the model does without; "
            "trust_remote_code=True allows it, but only if you have read the code."
        )
    if type(value) is not int:
        return
    if _LAYERS.search(key) and not _NO_LAYERS.search(key):
        limit = min(max(_LAYERS_FLOOR, tensors), _LAYERS_LIMIT)
    else:
        limit = next((number for names, number in _LIMITS if re.search(names, key)), _LARGEST_NUMBER)
    if abs(value) > limit:
        raise ModelFormatError(
            f"{path} has {key!r}: {value}, and no model of the size of its weights has more than {limit}. The file is "
            "damaged or means harm; download the model again from a source that you trust."
        )


def _items(content: Any, key: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every key with its value, at any depth; what is in a list goes by the key of the list."""
    if isinstance(content, dict):
        for name, value in content.items():
            yield name, value
            yield from _items(value, name)
    elif isinstance(content, list):
        for value in content:
            yield key, value
            yield from _items(value, key)


def _check_architecture(root: Path, subfolder: str, shapes: Shapes) -> None:
    """Compare what the configuration describes with what the weights hold, by a model without any memory."""
    import torch
    import transformers

    config = transformers.AutoConfig.from_pretrained(
        root, subfolder=subfolder, local_files_only=True, trust_remote_code=False
    )
    encoder = _ENCODER_CLASSES.get(config.model_type)
    with torch.device("meta"):
        if encoder is None:
            from_config = transformers.AutoModel.from_config
            model = from_config(config, trust_remote_code=False)  # type: ignore[no-untyped-call]  # not annotated there
        else:
            model = getattr(transformers, encoder)(config)
    sizes = {name: parameter.numel() for name, parameter in model.named_parameters()}
    # A pooler is often left out of the weights: nothing here uses it.
    needed = sum(size for name, size in sizes.items() if "pooler" not in name)
    there = elements(shapes)
    buffers = sum(buffer.numel() for buffer in model.buffers())
    if needed > there or sum(sizes.values()) > there + _SLACK or buffers > there + _SLACK:
        raise ModelFormatError(
            f"{root / subfolder / 'config.json'} describes a model of {sum(sizes.values())} parameters, of which the "
            f"weights have to hold {needed}, and they hold {there}: the weights are incomplete, or the configuration "
            "belongs to another model. Download or save the model again."
        )
