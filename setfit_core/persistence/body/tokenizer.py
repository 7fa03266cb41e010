"""Vetting of a tokenizer's files: what the tokenizers library would do with them, which never doubts its input."""

from __future__ import annotations

import base64
import math
import re
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from setfit_core.errors import ModelFormatError
from setfit_core.persistence.body.weights import words
from setfit_core.persistence.files import read_bytes, read_json_object

#: Bytes that a vocabulary may have; those of the largest vocabularies in use have 35 million.
VOCABULARY_LIMIT: Final = 64 * 2**20
CONFIG_FILE: Final = "tokenizer_config.json"
TOKENIZER_FILE: Final = "tokenizer.json"

#: Tokenizers of transformers that are a `tokenizers.Tokenizer` inside. Any other name there would be looked up among
#: all that transformers offers, and its `from_pretrained` called.
CLASSES: Final = frozenset(
    name + fast
    for name in words(
        "AlbertTokenizer BartTokenizer BarthezTokenizer BertTokenizer BigBirdTokenizer BloomTokenizer "
        "CamembertTokenizer CodeLlamaTokenizer CohereTokenizer ConvBertTokenizer DPRContextEncoderTokenizer "
        "DPRQuestionEncoderTokenizer DebertaTokenizer DebertaV2Tokenizer DistilBertTokenizer ElectraTokenizer "
        "FNetTokenizer FunnelTokenizer GPT2Tokenizer GPTNeoXTokenizer GemmaTokenizer HerbertTokenizer LlamaTokenizer "
        "LongformerTokenizer MPNetTokenizer MT5Tokenizer MobileBertTokenizer NllbTokenizer PreTrainedTokenizer "
        "Qwen2Tokenizer RemBertTokenizer RetriBertTokenizer RoFormerTokenizer RobertaTokenizer SplinterTokenizer "
        "SqueezeBertTokenizer T5Tokenizer TokenizersBackend XLMRobertaTokenizer XLNetTokenizer"
    )
    for fast in ("", "Fast")
)
#: Keys of tokenizer_config.json that name code or files, or stand for parts that tokenizer.json describes.
_REFUSED_KEYS: Final = words(
    "_json_padding _json_truncation _spm_precompiled_charsmap backend_tokenizer custom_tokenizers fast_tokenizer_files "
    "gguf_file merges post_processor processor_class sp_model_kwargs spm_file tokenizer_object tokenizer_padding "
    "tokenizer_truncation tokenizer_type vocab"
)
_TEXT_FILES: Final = words(
    "added_tokens.json chat_template.jinja merges.txt special_tokens_map.json vocab.json vocab.txt"
)
#: Either of these sets of files makes a tokenizer.
_TOKENIZERS: Final = (("tokenizer.json",), ("vocab.txt",), ("vocab.json", "merges.txt"))
_CHAT_FILES: Final = ("chat_template.jinja", "chat_template.json", "additional_chat_templates")
#: How much longer normalizers may make a text.
_GROWTH_LIMIT: Final = 2**16
_ADDED_LIMIT: Final = 64
_PARTS_LIMIT: Final = 256
_WIDTH_LIMIT: Final = 2**16
_REGEX_LIMIT: Final = 2000


def check_tokenizer(folder: Path, *, chats: bool = True) -> None:
    """Check the files of a tokenizer that `transformers` loads.

    Args:
        folder: The tokenizer's folder.
        chats: Whether it may have a template of chats, because texts don't go through it.

    Raises:
        ModelFormatError: If they name code or other places, ask for more memory than a tokenizer needs, or are
            damaged in a way that would end the process.
    """
    if not any(all((folder / name).is_file() for name in names) for names in _TOKENIZERS):
        raise ModelFormatError(
            f"{folder} has no {TOKENIZER_FILE} (nor vocab.txt, nor vocab.json with merges.txt). If it has the "
            "tokenizer in another format, load it where you trust it and save it again, which writes that file."
        )
    if (folder / TOKENIZER_FILE).is_file():
        check_tokenizer_file(folder / TOKENIZER_FILE)
    for name in _TEXT_FILES:
        path = folder / name
        if path.is_file() and path.suffix == ".json":
            read_json_object(path, VOCABULARY_LIMIT)
        elif path.is_file():
            read_bytes(path, VOCABULARY_LIMIT)
    config = _check_config(folder / CONFIG_FILE) if (folder / CONFIG_FILE).is_file() else {}
    if not chats and (config.get("chat_template") or any((folder / name).exists() for name in _CHAT_FILES)):
        raise ModelFormatError(
            f"{folder} has a chat template, which is a program, and every text would go through it. A body embeds "
            f"texts as they are: remove 'chat_template' from {CONFIG_FILE}, and {' and '.join(_CHAT_FILES)}."
        )


def check_class(path: Path, key: str, name: Any) -> None:
    """Refuse a tokenizer class that isn't on the list; None stands for the default."""
    if name is not None and name not in CLASSES:
        raise ModelFormatError(
            f"{path} has {key!r}: {name!r}, which is none of the tokenizers that are known to be harmless. If it is a "
            "common one, load it where you trust it and save it as a PreTrainedTokenizerFast; trust_remote_code=True "
            "allows it, but only if you have read the code."
        )


def _check_config(path: Path) -> dict[str, Any]:
    content = read_json_object(path)
    check_class(path, "tokenizer_class", content.get("tokenizer_class"))
    for key, value in content.items():
        if key in _REFUSED_KEYS and value is not None:
            raise ModelFormatError(
                f"{path} has {key!r}: {str(value)[:100]!r}, which no tokenizer needs there: it could name code or "
                "files elsewhere. Remove the key if you know the model; trust_remote_code=True allows it, but only if "
                "you have read the code."
            )
    if content.get("init_inputs"):
        raise ModelFormatError(
            f"{path} has 'init_inputs', arguments without names: {content['init_inputs']!r}. Remove it."
        )
    auto = content.get("auto_map")
    code = (auto.get("AutoTokenizer") if isinstance(auto, dict) else auto) or []
    names = [code] if isinstance(code, str) else code
    if not isinstance(names, list) or any(str(name).rpartition(".")[2] not in CLASSES for name in names if name):
        raise ModelFormatError(
            f"{path} has 'auto_map': {auto!r}: the tokenizer is code of the model's own, which would run when it is "
            "loaded. trust_remote_code=True runs it; use it only if you have read the code."
        )
    _check_width(path, "pad_to_multiple_of", content.get("pad_to_multiple_of"))
    return content


def check_tokenizer_file(path: Path) -> None:
    """Check a `tokenizer.json`."""
    content = read_json_object(path, VOCABULARY_LIMIT)
    padding, truncation = content.get("padding"), content.get("truncation")
    if isinstance(padding, dict):
        strategy = padding.get("strategy")
        if isinstance(strategy, dict):
            _check_width(path, "padding.strategy.Fixed", strategy.get("Fixed"))
        _check_width(path, "padding.pad_to_multiple_of", padding.get("pad_to_multiple_of"))
    if isinstance(truncation, dict):
        stride, longest = truncation.get("stride", 0), truncation.get("max_length", 0)
        if type(stride) is not int or type(longest) is not int or stride < 0 or 2 * stride > max(longest, 0):
            raise ModelFormatError(
                f"{path} has a truncation to {longest!r} tokens with a stride of {stride!r}, which can't be; it is "
                "damaged."
            )
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        found = list(_dicts(content.get(part)))
        if len(found) > _PARTS_LIMIT:
            raise ModelFormatError(f"{path} has a {part} of {len(found)} parts, more than any tokenizer needs.")
        for item in found:
            _check_part(path, item)
    # What one part writes the next one may find.
    growth = math.prod(_growth(item) for part in ("normalizer", "pre_tokenizer") for item in _dicts(content.get(part)))
    if growth > _GROWTH_LIMIT:
        raise ModelFormatError(
            f"{path} has normalizers that make a text up to {growth:.0e} times longer, which no tokenizer needs. "
            "Download the model again from a source that you trust."
        )


def _check_width(path: Path, key: str, width: Any) -> None:
    if width is not None and (type(width) is not int or not 0 <= width <= _WIDTH_LIMIT):
        raise ModelFormatError(
            f"{path} has {key!r}: {width!r}: every text would take that many tokens. At most {_WIDTH_LIMIT} are "
            "allowed; change it, or download the model again."
        )


def _dicts(content: Any) -> Iterator[Mapping[str, Any]]:
    """Yield the objects inside of a JSON value, at any depth."""
    if isinstance(content, dict):
        yield content
    for inner in content.values() if isinstance(content, dict) else content if isinstance(content, list) else ():
        yield from _dicts(inner)


def _check_part(path: Path, part: Mapping[str, Any]) -> None:
    if isinstance(part.get("Regex"), str):
        _check_regex(path, part["Regex"])
    if "precompiled_charsmap" in part:
        _check_charsmap(path, part["precompiled_charsmap"])
    added = part.get("prepend") or part.get("ids") or ()
    if isinstance(added, (str, list)) and len(added) > _ADDED_LIMIT:
        raise ModelFormatError(f"{path} adds {len(added)} characters or tokens to every text; it is damaged.")
    if part.get("type") == "FixedLength" and not part.get("length"):
        raise ModelFormatError(f"{path} cuts texts into pieces of length {part.get('length')!r}; it is damaged.")


def _check_charsmap(path: Path, charsmap: Any) -> None:
    """Refuse a map of characters that is shorter than it says: reading it would abort the process."""
    try:
        content = base64.b64decode(charsmap or "", validate=True)
        size = struct.unpack_from("<I", content)[0] if content else 0
        content[4 + size :].decode()
    except (ValueError, TypeError, struct.error) as error:
        raise ModelFormatError(
            f"{path} has a damaged 'precompiled_charsmap': {error}. Download or save the model again."
        ) from error
    if size % 4 or size > max(len(content) - 4, 0):
        raise ModelFormatError(
            f"{path} has a 'precompiled_charsmap' that claims {size} bytes and has {len(content)}; it is damaged. "
            "Download or save the model again."
        )


#: An escaped character, or a class of characters.
_ATOM: Final = re.compile(r"\\(?:[pPx]\{[^}]*\}|.)|\[(?:\\.|\[[^\]]*\]|[^\]\\])*\]", re.DOTALL)
_UNBOUNDED: Final = re.compile(r"[*+]|\{\d*,\}")
_REPEATED_GROUP: Final = re.compile(r"\((?:\?[:=!>]|\?<[=!])?([^()]*)\)[*+{]")


def _check_regex(path: Path, regex: str) -> None:
    """Refuse a regular expression that could take exponential time: references, and repetitions inside repetitions.

    What is left can still be slow on a text made for it, by a power of the text's length.
    """
    plain = _ATOM.sub(lambda atom: "(*)*" if atom[0][1] in "kg123456789" and atom[0][0] == "\\" else "c", regex)
    groups = _REPEATED_GROUP.findall(plain)
    nested = any(re.search(r"[*+?|]|\{\d*,", group) for group in groups)
    nested = nested or len(re.findall(r"\)[*+{]", plain)) > len(groups)
    if nested or len(regex) > _REGEX_LIMIT or any(len(_UNBOUNDED.findall(part)) > 4 for part in plain.split("|")):
        raise ModelFormatError(
            f"{path} has the regular expression {regex[:200]!r}, which can take any time on some texts. If you know "
            "the model, trust_remote_code=True allows it."
        )


def _growth(part: Mapping[str, Any]) -> float:
    """Return how many times longer a part of a tokenizer may make a text."""
    if part.get("type") == "ByteLevel":
        return 4.0
    if part.get("type") == "Precompiled":
        charsmap = base64.b64decode(part.get("precompiled_charsmap") or "")
        return float(max(map(len, charsmap[4 + int.from_bytes(charsmap[:4], "little") :].split(b"\0"))) or 1)
    content, pattern = part.get("content"), part.get("pattern")
    if part.get("type") != "Replace" or not isinstance(content, str) or not isinstance(pattern, dict):
        return 1.0
    found = pattern.get("String")
    if isinstance(found, str) and found:
        return max(1.0, len(content) / len(found))
    # A regular expression may match between any two characters.
    return 1.0 + len(content)
