"""Torch heads on disk: the weights as safetensors, the constructor arguments as JSON."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pluggy
import safetensors
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import nn

from setfit_core.errors import ModelFormatError, PersistenceError, UnsavableHeadError
from setfit_core.persistence.files import jsonable, read_json_object, write_json
from setfit_core.randomness import isolated_random_state

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FORMAT = "safetensors"
WEIGHTS_FILE = "head.safetensors"
ARGUMENTS_FILE = "head.json"

hookimpl = pluggy.HookimplMarker("setfit")

#: What a head may hold besides its saved weights, such as a table that its constructor computes (64 MB).
_SPARE_NUMBERS = 2**24

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)


@hookimpl(trylast=True)
def setfit_save_head(head: Any, directory: Path, params: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Write a torch head; None for any other.

    Raises:
        UnsavableHeadError: If the constructor arguments can't be found or JSON can't hold them, or if the
            weights have no size yet or are of a kind that safetensors can't hold.
    """
    if not isinstance(head, nn.Module):
        return None
    arguments = _constructor_arguments(head, params)
    weights = _weights(head)
    try:
        # A copy each: safetensors refuse tensors that share memory, and the live head stays where it is.
        content = save_tensors({name: value.to("cpu", copy=True).contiguous() for name, value in weights.items()})
    except Exception as error:
        raise UnsavableHeadError(
            f"The weights of {_name(head)} can't be written as safetensors: {error}. Keep plain dense tensors as "
            "parameters and buffers, or give the head a format of its own with the hook setfit_save_head."
        ) from error
    (directory / WEIGHTS_FILE).write_bytes(content)
    write_json(directory / ARGUMENTS_FILE, {"arguments": arguments})
    return {"format": FORMAT}


@hookimpl(trylast=True)
def setfit_load_head(
    directory: Path,
    metadata: Mapping[str, Any],
    factory: Callable[..., Any] | None,
    device: str,
) -> Any:
    """Build the head and give it its weights; None for another format.

    Raises:
        ModelFormatError: If a file is missing or damaged, or if the weights don't fit the head.
    """
    if metadata.get("format") != FORMAT:
        return None
    if factory is None:
        raise ModelFormatError(
            f"{directory} holds the weights of a torch head, and nothing says which class they belong to. Pass "
            "the class: head=TheClass."
        )
    weights = _read_weights(directory / WEIGHTS_FILE)
    arguments = read_arguments(directory)
    _check_size(factory, arguments, weights, directory / ARGUMENTS_FILE)
    head = _build(factory, arguments, device, directory / ARGUMENTS_FILE)
    if not isinstance(head, nn.Module):
        raise ModelFormatError(
            f"{directory} holds the weights of a torch head, but {factory!r} builds a {type(head).__name__}, "
            "which is not a torch.nn.Module. Pass the class that was saved: head=TheClass."
        )
    _give_weights(head, weights, directory / WEIGHTS_FILE)
    return head.to(device).eval()


def read_arguments(directory: Path) -> dict[str, Any]:
    """Read the constructor arguments of a saved head.

    Raises:
        ModelFormatError: If the file is missing or damaged.
    """
    path = directory / ARGUMENTS_FILE
    arguments = read_json_object(path).get("arguments")
    if not isinstance(arguments, dict):
        raise ModelFormatError(f"{path} has no object 'arguments'; the file is damaged. Save the model again.")
    return arguments


def _check_size(
    factory: Callable[..., Any], arguments: Mapping[str, Any], weights: Mapping[str, torch.Tensor], path: Path
) -> None:
    """Refuse arguments that would build a head far larger than its saved weights, before it takes the memory."""
    try:
        # On the meta device tensors have shapes and no memory. A head that can't be built there isn't checked.
        with torch.device("meta"):
            sketch = _build(factory, arguments, "meta", path)
        tensors = [*sketch.parameters(), *sketch.buffers()]
        asked = sum(tensor.numel() for tensor in tensors if not nn.parameter.is_lazy(tensor))
    except Exception:
        return
    saved = sum(tensor.numel() for tensor in weights.values())
    if asked > _SPARE_NUMBERS + 4 * saved:
        raise ModelFormatError(
            f"The arguments in {path} ask for a head of {asked:,} numbers, but {WEIGHTS_FILE} holds {saved:,}. The "
            "files don't belong together; download or save the model again."
        )


def _build(factory: Callable[..., Any], arguments: Mapping[str, Any], device: str, path: Path) -> Any:
    keywords = dict(arguments)
    try:
        if "device" in inspect.signature(factory).parameters:
            keywords["device"] = device
        # The weights that the constructor draws are replaced at once; the caller's random state is not touched.
        with isolated_random_state(0):
            return factory(**keywords)
    except (TypeError, ValueError) as error:
        raise ModelFormatError(
            f"The saved head can't be built again with the arguments in {path}: {type(error).__name__}: {error}. "
            "Its class has changed since the model was saved, or another class was saved: pass that one as "
            "head=TheClass."
        ) from error


def _constructor_arguments(head: nn.Module, params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the arguments that build this head again, without `device`: the loader decides that one."""
    arguments = dict(params or {})
    describe = getattr(head, "get_config_dict", None)
    if callable(describe):
        described = describe()
        if not isinstance(described, Mapping):
            raise UnsavableHeadError(
                f"{_name(head)}.get_config_dict() returned {described!r}; it must return a dict of the "
                "constructor's arguments."
            )
        arguments.update(described)
    elif params is None:
        arguments = _attributes(head)
    arguments.pop("device", None)
    try:
        return {name: jsonable(value, name) for name, value in arguments.items()}
    except PersistenceError as error:
        raise UnsavableHeadError(
            f"{_name(head)} can't be saved, because a constructor argument can't be written as JSON: {error} "
            f"{_remedy(head)}"
        ) from error


def _attributes(head: nn.Module) -> dict[str, Any]:
    """Read each constructor parameter from the attribute of its name, as scikit-learn's convention has it."""
    parameters = inspect.signature(type(head)).parameters.values()
    names = [parameter.name for parameter in parameters if parameter.name != "device"]
    unreadable = [
        parameter.name
        for parameter in parameters
        if parameter.name != "device" and (parameter.kind not in _NAMED or not hasattr(head, parameter.name))
    ]
    if unreadable:
        raise UnsavableHeadError(
            f"{_name(head)} can't be saved, because it was given as an instance and nothing says what it was "
            f"built with: it has no attribute for {', '.join(unreadable)}. {_remedy(head)}"
        )
    return {name: getattr(head, name) for name in names}


def _remedy(head: nn.Module) -> str:
    return (
        f"Give {type(head).__name__} a method get_config_dict() that returns its constructor arguments as JSON "
        "values, or keep each of them as an attribute of the same name."
    )


def _weights(head: nn.Module) -> dict[str, torch.Tensor]:
    weights = {}
    for name, value in head.state_dict().items():
        if not isinstance(value, torch.Tensor):
            raise UnsavableHeadError(
                f"{_name(head)} has {name!r} in its state_dict, a {type(value).__name__}, and safetensors hold "
                "tensors only. Make it a buffer, or give the head a format of its own with the hook "
                "setfit_save_head."
            )
        if nn.parameter.is_lazy(value):
            raise UnsavableHeadError(
                f"{_name(head)} has no size yet ({name!r} is not initialised). Train the head before saving, or "
                "build it with its sizes, such as in_features=384."
            )
        weights[name] = value.detach()
    return weights


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_tensors(path.read_bytes())
    except FileNotFoundError:
        raise ModelFormatError(
            f"{path} is missing: the model folder is incomplete. Download or save it again."
        ) from None
    except (OSError, ValueError, KeyError, RuntimeError, safetensors.SafetensorError) as error:
        raise ModelFormatError(
            f"{path} can't be read as safetensors ({error}); it is damaged or truncated. Download or save the "
            "model again."
        ) from error


def _give_weights(head: nn.Module, weights: Mapping[str, torch.Tensor], path: Path) -> None:
    # state_dict(keep_vars=True) yields the parameters themselves, so a saved precision is taken over in place and
    # parameters that the head shares between layers stay shared.
    for name, value in head.state_dict(keep_vars=True).items():
        if name not in weights or not isinstance(value, torch.Tensor):
            continue
        if value.dtype != weights[name].dtype:
            value.data = value.data.to(weights[name].dtype)
        if not nn.parameter.is_lazy(value) and 0 in value.stride():  # expanded: torch refuses to write into it
            value.data = value.data.contiguous()
    try:
        head.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise ModelFormatError(
            f"The weights in {path} don't fit the head {_name(head)}: {error}. The head's class has changed since "
            "the model was saved, or another class was saved: pass that one as head=TheClass."
        ) from error


def _name(head: nn.Module) -> str:
    return f"{type(head).__module__}.{type(head).__qualname__}"
