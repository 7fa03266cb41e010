"""The body as the core sees it: its whole output for training, its prompt, and a limited text length."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn

from setfit_core.errors import ArgumentError
from setfit_core.forking import fork_safe_lock

logger = logging.getLogger(__name__)

EMBEDDING = "sentence_embedding"

_tokenising = fork_safe_lock()


def preprocessed(body: SentenceTransformer, texts: Sequence[str], *, prompt: str | None) -> dict[str, Any]:
    """Return the body's input for texts, tokenised on the CPU by one thread at a time.

    transformers sets a fast tokenizer's padding and truncation in each call. Versions of tokenizers before 0.23 refuse
    that ("Already borrowed") while another thread tokenises, and bodies may share a tokenizer. Little waits for it: a
    fast tokenizer uses all processors by itself.
    """
    with _tokenising:
        features: dict[str, Any] = body.preprocess(list(texts), prompt=prompt)
    return features


def on_device(device: torch.device, features: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body's input with its tensors on a device."""
    return {key: value.to(device) if isinstance(value, Tensor) else value for key, value in features.items()}


def truncated(body: SentenceTransformer, embeddings: Tensor) -> Tensor:
    """Return embeddings cut to the body's `truncate_dim`, as `encode` does it."""
    return embeddings if body.truncate_dim is None else embeddings[..., : body.truncate_dim]


def default_prompt(body: SentenceTransformer) -> str | None:
    """Return the text that the body puts before every text; None for most bodies."""
    name = body.default_prompt_name
    return None if name is None else body.prompts.get(name)


def body_output(body: SentenceTransformer, texts: Sequence[str], *, normalize: bool = False) -> dict[str, Any]:
    """Run the body on a batch and return all of its output, with gradients if they are enabled.

    Returns:
        The body's dictionary: `sentence_embedding` `[n, embedding_size]`, and what else it computes, such as
        `input_ids`, `attention_mask` and `token_embeddings`.
    """
    # The prompt and the truncation that encode applies by itself.
    output = dict(body(on_device(body.device, preprocessed(body, texts, prompt=default_prompt(body)))))
    output[EMBEDDING] = truncated(body, output[EMBEDDING])
    if normalize:
        output[EMBEDDING] = nn.functional.normalize(output[EMBEDDING], p=2, dim=1)
    return output


def is_trainable(module: nn.Module) -> bool:
    """Tell whether any parameter of a module is trained; of a frozen one, and of one without parameters, none is."""
    return any(parameter.requires_grad for parameter in module.parameters())


@contextmanager
def limited_length(body: SentenceTransformer, max_length: int | None) -> Iterator[None]:
    """Limit texts to `max_length` tokens for a while; None leaves the body's own limit."""
    own = body.max_seq_length
    if max_length is None:
        yield
        return
    if own is None or own == math.inf:
        logger.warning("max_length=%d is ignored: this body has no limit on the length of texts.", max_length)
        yield
        return
    if max_length > own:
        msg = f"max_length is {max_length}, but the body reads at most {own} tokens. Give {own} or less, or None."
        raise ArgumentError(msg)
    body.max_seq_length = max_length
    try:
        yield
    finally:
        body.max_seq_length = own


class FrozenFeatures(dict[str, Any]):
    """The output of a frozen body: the embedding at hand, everything else computed once a head asks for it.

    Most heads read `sentence_embedding` alone, which is the same in every epoch. A head that reads, or merely
    looks for, another key makes the body run on this batch; it then sees exactly what the body returns.
    """

    def __init__(self, embeddings: Tensor, compute: Callable[[], Mapping[str, Any]]) -> None:
        super().__init__({EMBEDDING: embeddings})
        self._compute: Callable[[], Mapping[str, Any]] | None = compute

    def _complete(self) -> None:
        if self._compute is not None:
            compute, self._compute = self._compute, None
            for key, value in compute().items():
                super().setdefault(key, value)

    def __missing__(self, key: str) -> Any:
        self._complete()
        if super().__contains__(key):
            return super().__getitem__(key)
        raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        if not super().__contains__(key):
            self._complete()
        return super().__contains__(key)

    def get(self, key: str, default: Any = None) -> Any:
        """Return a value of the body's output, computing it if need be."""
        return self[key] if key in self else default  # noqa: SIM401  # dict.get would not complete the output

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return a value of the body's output, computing it if need be; only an unknown key gets the default."""
        return self[key] if key in self else super().setdefault(key, default)

    def pop(self, key: str, *default: Any) -> Any:
        """Remove and return a value, computing it if need be."""
        if key not in self and default:
            return default[0]
        return super().pop(key)

    def __iter__(self) -> Iterator[str]:
        self._complete()
        return super().__iter__()

    def __len__(self) -> int:
        self._complete()
        return super().__len__()

    def keys(self) -> Any:
        """Return the keys of the whole output."""
        self._complete()
        return super().keys()

    def values(self) -> Any:
        """Return the values of the whole output."""
        self._complete()
        return super().values()

    def items(self) -> Any:
        """Return the items of the whole output."""
        self._complete()
        return super().items()

    def copy(self) -> dict[str, Any]:
        """Return the whole output as an ordinary dictionary."""
        self._complete()
        return dict(self)
