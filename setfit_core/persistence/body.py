"""The body of a model: a SentenceTransformer, loaded from a local folder."""

from __future__ import annotations

import inspect
import os
from typing import TYPE_CHECKING, Any

from setfit_core.errors import ArgumentError, ModelFormatError

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

    Args:
        path: The folder.
        device: Torch device; None for the best there is.
        trust_remote_code: Whether code in the folder may run.
        sentence_transformers_kwargs: Further arguments of `SentenceTransformer`.

    Raises:
        ModelFormatError: If the folder can't be loaded.
        ArgumentError: If `SentenceTransformer` has no such argument.
    """
    from sentence_transformers import SentenceTransformer

    unknown = sentence_transformers_kwargs.keys() - inspect.signature(SentenceTransformer).parameters.keys()
    if unknown:
        raise ArgumentError(
            f"SentenceTransformer has no argument {', '.join(sorted(unknown))}. Check the spelling; the arguments "
            "are those of sentence_transformers.SentenceTransformer."
        )
    try:
        body = SentenceTransformer(
            str(path),
            device=device,
            trust_remote_code=trust_remote_code,
            local_files_only=True,
            **sentence_transformers_kwargs,
        )
    except Exception as error:
        raise ModelFormatError(
            f"The body in {path} can't be loaded: {type(error).__name__}: {error}. If the folder is incomplete or "
            "damaged, download or save the model again."
        ) from error
    return body.eval()
