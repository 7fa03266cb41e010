"""The body of a model: a SentenceTransformer, loaded from a local folder."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from setfit_core.errors import ArgumentError, ModelFormatError
from setfit_core.persistence.body.check import check_body

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer


def load_body(
    path: str | os.PathLike[str],
    *,
    device: str | None = None,
    trust_remote_code: bool = False,
    **sentence_transformers_kwargs: Any,
) -> SentenceTransformer:
    """Load a body from a local folder, in evaluation mode; the hub isn't asked for anything.

    The folder is checked first: it may not name code, arguments that aren't known to be harmless, or places outside
    of itself, its weights may be nothing but tensors, and they have to explain the memory that the model takes. Then
    the body embeds one text, so a body that can't is no surprise later.

    Args:
        path: The folder.
        device: Torch device; None for the best there is.
        trust_remote_code: Whether code in the folder may run. Of the checks only that of places is left.
        sentence_transformers_kwargs: Further arguments of `SentenceTransformer`.

    Raises:
        ModelFormatError: If the folder can't be loaded, or not safely.
        ArgumentError: If `SentenceTransformer` has no such argument, or torch no such device.
    """
    from sentence_transformers import SentenceTransformer

    _check_device(device)
    unknown = sentence_transformers_kwargs.keys() - inspect.signature(SentenceTransformer).parameters.keys()
    if unknown:
        raise ArgumentError(
            f"SentenceTransformer has no argument {', '.join(sorted(unknown))}. Check the spelling; the arguments "
            "are those of sentence_transformers.SentenceTransformer."
        )
    try:
        check_body(Path(path), trust_remote_code=trust_remote_code)
        body = SentenceTransformer(
            str(path),
            device=device,
            trust_remote_code=trust_remote_code,
            local_files_only=True,
            **sentence_transformers_kwargs,
        ).eval()
        _try(body)
    except ModelFormatError as error:
        raise ModelFormatError(f"The body in {path} can't be loaded: {error}") from error
    except BaseException as error:
        # A panic in tokenizers is no Exception.
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ModelFormatError(
            f"The body in {path} can't be loaded: {type(error).__name__}: {error}. If the folder is incomplete or "
            "damaged, download or save the model again."
        ) from error
    return body


def _check_device(device: Any) -> None:
    """Refuse a device that isn't there, which would otherwise look like a damaged body."""
    import torch

    if device is None:
        return
    try:
        torch.empty(0, device=device)
    except Exception as error:  # torch raises something else for each kind of device
        raise ArgumentError(
            f"device={device!r} can't be used here: {str(error).partition(chr(10))[0]} Give 'cpu', a device that this "
            "build of torch has, or None for the best there is."
        ) from error


def _try(body: SentenceTransformer) -> None:
    """Embed a text; an exception or a number that isn't finite shows that something is wrong with the files."""
    # With a word that no vocabulary has, and one that most have.
    embedding = body.encode("a text qzxjv", convert_to_tensor=True, show_progress_bar=False)
    if embedding.ndim != 1 or not bool(embedding.isfinite().all()):
        msg = "its embedding of a text is no row of finite numbers"
        raise ValueError(msg)
