"""Vetting of a body's folder before sentence-transformers and transformers read it.

Both read much more than weights: names of classes to import, arguments of functions, places of files. Without
`trust_remote_code` nothing is left to them that isn't on a list here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PureWindowsPath
from typing import Any, Final

from setfit_core.errors import ModelFormatError
from setfit_core.persistence.body.modules import MODULE_CHECKS, WITHOUT_WEIGHTS
from setfit_core.persistence.body.transformer import check_transformer
from setfit_core.persistence.files import CONFIG_LIMIT, check_folder, read_bytes, read_json, read_json_object

MODULES_FILE: Final = "modules.json"
_BODY_CONFIG: Final = "config_sentence_transformers.json"
_MODEL_CARD: Final = "README.md"
_ROUTER_CONFIGS: Final = ("router_config.json", "config.json")

#: Where sentence-transformers 5.4 and later keep a class; the default is below.
_HOMES: Final = {
    "Dense": "base.modules.dense",
    "Normalize": "base.modules.normalize",
    "Router": "base.modules.router",
    "Asym": "base.modules.router",
    "Transformer": "base.modules.transformer",
}
_FILES: Final = {
    "BoW": "bow",
    "CNN": "cnn",
    "LSTM": "lstm",
    "LayerNorm": "layer_norm",
    "StaticEmbedding": "static_embedding",
    "WeightedLayerPooling": "weighted_layer_pooling",
    "WordEmbeddings": "word_embeddings",
    "WordWeights": "word_weights",
}
_NOW: Final = "sentence_transformers.sentence_transformer.modules"


def _module_types() -> dict[str, str]:
    """Return the class that each way to write a module's type stands for, of this and of earlier releases."""
    types = {f"{_NOW}.normalize.Normalize": "Normalize"}
    for name in (*MODULE_CHECKS, "Transformer", "Router", "Asym"):
        home = f"sentence_transformers.{_HOMES[name]}" if name in _HOMES else f"{_NOW}.{_FILES.get(name, name.lower())}"
        ways = [_NOW, home, "sentence_transformers.models", f"sentence_transformers.models.{name}"]
        if name in _HOMES and name != "Asym":
            ways.append("sentence_transformers.base.modules")
        types |= {f"{way}.{name}": name for way in ways}
    return types


MODULE_TYPES: Final[Mapping[str, str]] = _module_types()
_MODULES_LIMIT: Final = 16
_NESTING_LIMIT: Final = 2
_PROMPT_LIMIT: Final = 100_000


def check_body(directory: Path, *, trust_remote_code: bool) -> None:
    """Check everything that loading a body reads.

    Args:
        directory: The body's folder.
        trust_remote_code: Whether code in the folder may run. Then only places are checked: nothing outside of the
            folder is read.

    Raises:
        ModelFormatError: If the folder names code, or places or arguments that aren't known to be harmless, if a file
            is missing or damaged, or if loading would take more memory than the files explain.
    """
    root = check_folder(directory)
    modules = _modules(root)
    for _, path in modules:
        check_place(root / MODULES_FILE, path)
    if trust_remote_code:
        return
    _check_body_config(root)
    loaded: set[Path] = set()
    for kind, path in modules:
        _check_module(root, path, kind, root / MODULES_FILE, loaded)
    if not modules:
        check_transformer(root, "", alone=True)


def check_place(file: Path, path: Any) -> None:
    """Refuse a place that isn't below the folder, in the notation of any system."""
    if isinstance(path, str):
        windows = PureWindowsPath(path)
        if not (windows.anchor or ".." in windows.parts or "\0" in path):
            return
    raise ModelFormatError(
        f"{file} names the folder {path!r}, outside of the model, and a model may not read there. Download the model "
        "again from a source that you trust."
    )


def _modules(root: Path) -> list[tuple[Any, Any]]:
    """Return type and place of each module; none for a model of transformers alone."""
    path = root / MODULES_FILE
    if not path.is_file():
        return []
    content = read_json(path)
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise ModelFormatError(f"{path} is no list of modules; it is damaged. Download or save the model again.")
    if not 0 < len(content) <= _MODULES_LIMIT:
        raise ModelFormatError(f"{path} lists {len(content)} modules; a body has 1 to {_MODULES_LIMIT}.")
    for entry in content:
        missing = {"name", "path", "type"} - entry.keys()
        if missing:
            raise ModelFormatError(
                f"{path} has a module without {' and '.join(map(repr, sorted(missing)))}: the file is incomplete. "
                "Download or save the model again."
            )
    if len({str(entry["name"]) for entry in content}) < len(content):
        raise ModelFormatError(f"{path} has two modules of one name; it is damaged.")
    return [(entry["type"], entry["path"]) for entry in content]


def _check_body_config(root: Path) -> None:
    """Check the settings of the whole body, and what else is read whatever the modules are."""
    if (root / _MODEL_CARD).is_file():
        read_bytes(root / _MODEL_CARD, CONFIG_LIMIT)
    path = root / _BODY_CONFIG
    if not path.is_file():
        return
    content = read_json_object(path)
    prompts = content.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(
        text is None or (isinstance(text, str) and len(text) < _PROMPT_LIMIT) for text in prompts.values()
    ):
        raise ModelFormatError(f"{path} has 'prompts' that are no texts of a reasonable length; it is damaged.")
    kind = content.get("model_type", "SentenceTransformer")
    if kind != "SentenceTransformer":
        raise ModelFormatError(
            f"{path} says that the model is a {kind!r}, and only a SentenceTransformer gives embeddings of texts. Give "
            "another model, or load this one with SentenceTransformer yourself and save it."
        )


def _check_module(root: Path, subfolder: str, kind: Any, file: Path, loaded: set[Path], depth: int = 0) -> None:
    """Check a module; `loaded` are the folders of those that were seen before and have weights."""
    name = MODULE_TYPES.get(kind) if isinstance(kind, str) else None
    if name is None:
        raise ModelFormatError(
            f"{file} has a module of type {kind!r}, which is none of the modules of text in sentence-transformers but "
            "code to import. trust_remote_code=True does that; use it only if you have read the code."
        )
    folder = (root / subfolder).resolve()
    if name not in WITHOUT_WEIGHTS and folder in loaded:
        raise ModelFormatError(
            f"{file} loads the folder {subfolder!r} more than once, which multiplies its memory. It is damaged; "
            "download or save the model again."
        )
    loaded.add(folder)
    if name == "Transformer":
        check_transformer(root, subfolder)
    elif name in MODULE_CHECKS:
        MODULE_CHECKS[name](root, subfolder)
    elif depth < _NESTING_LIMIT:
        _check_router(root, subfolder, loaded, depth + 1)
    else:
        raise ModelFormatError(f"{file} has routers inside of routers, more than any model needs; it is damaged.")


def _check_router(root: Path, subfolder: str, loaded: set[Path], depth: int) -> None:
    folder = root / subfolder
    path = next((folder / name for name in _ROUTER_CONFIGS if (folder / name).is_file()), folder / _ROUTER_CONFIGS[0])
    content = read_json_object(path)
    types, parameters = content.get("types"), content.get("parameters")
    if not isinstance(types, dict) or not isinstance(parameters, dict) or len(types) > _MODULES_LIMIT:
        raise ModelFormatError(f"{path} doesn't name its modules and parameters; it is damaged.")
    routes = parameters.get("route_mappings") or {}
    if not isinstance(routes, dict) or any(len(route) > 200 for route in routes):
        raise ModelFormatError(f"{path} has 'route_mappings' that can't be; it is damaged.")
    for place, kind in types.items():
        check_place(path, place)
        _check_module(root, f"{subfolder}/{place}" if subfolder else place, kind, path, loaded, depth)
