"""The hooks that an entry point of the group `setfit.heads` may implement, all of them optional.

A plain class needs none of them. A module or an object whose functions are marked with
`pluggy.HookimplMarker("setfit")` may: it then says with `setfit_head_factory` what builds its head, with
`setfit_search_space` which of its parameters are worth trying, and with the other two how the head is written to disk
and read back. The core's own file formats implement the same two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

PROJECT = "setfit"

hookspec = pluggy.HookspecMarker(PROJECT)


@hookspec(firstresult=True)
def setfit_head_factory() -> Callable[..., Any] | None:
    """Return the class or function that builds this head from keyword arguments."""


@hookspec(firstresult=True)
def setfit_search_space() -> Mapping[str, Any] | None:
    """Return which parameters of the head a search tries, as plain data.

    The mapping goes from the name of a parameter to `{"low": 0.01, "high": 100.0}`, with `"log": True` for an even draw
    on a logarithmic scale (whole numbers if both bounds are), or to `{"choices": [...]}`. A class of your own can say
    the same in `setfit_head = {"search_space": {...}}`; this hook comes first.
    """


@hookspec(firstresult=True)
def setfit_save_head(head: Any, directory: Path, params: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Write a head into an empty directory, without pickle.

    Args:
        head: The head to save.
        directory: An existing, empty directory that belongs to this head.
        params: The keyword arguments that setfit-core built the head with; None for a head that was given as
            an instance.

    Returns:
        A mapping that JSON can hold. Its key `"format"` names the format (a string that
        `setfit_load_head` recognises); the rest is handed back when loading. None if this hook doesn't save
        heads of this kind.

    Raises:
        ValueError: If the head can't be written and the user can do something about it, such as training it first;
            the message is passed on. Anything else counts as a fault of the plugin.
    """


@hookspec(firstresult=True)
def setfit_load_head(
    directory: Path,
    metadata: Mapping[str, Any],
    factory: Callable[..., Any] | None,
    device: str,
    trusted: Sequence[str],
) -> Any:
    """Rebuild a head from what `setfit_save_head` wrote, running no code from the files.

    Args:
        directory: The directory that `setfit_save_head` filled.
        metadata: What `setfit_save_head` returned, `"format"` included.
        factory: What builds the head: the plugin's class or function, or the one that the user passed.
            None if neither is known.
        device: The torch device to put the head on, such as `"cpu"`; without meaning for most heads.
        trusted: Names of types that the user allows a file to contain, beyond what the format trusts by itself;
            never taken from the files.

    Returns:
        The head, or None if `metadata["format"]` isn't this hook's format.
    """
