"""Training only the rows of a transformer's word table that the training texts use."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Transformer
from torch import Tensor, nn

from setfit_core import processes
from setfit_core.embedding.body import default_prompt, preprocessed

_TEXTS_A_PASS = 1024


class UsedRows:
    """The used rows of a word table, as a parameter of their own.

    The other rows never get a gradient, yet AdamW would read and write all of them, and keep two more tables of that
    size, at every step. While `training` runs, gradients go to `rows`; the table itself is brought up to date right
    after every step of the optimizer, so that evaluations, checkpoints and callbacks see it whole.

    Attributes:
        table: The embedding layer.
        rows: Its used rows `[used, size]`, float32, for the optimizer.
    """

    def __init__(self, table: nn.Embedding, ids: Tensor) -> None:
        self.table = table
        self._ids = ids.to(table.weight.device)
        self._places = torch.full((table.num_embeddings,), -1, device=table.weight.device)
        self._places[self._ids] = torch.arange(len(ids), device=table.weight.device)
        self._padding = None if table.padding_idx is None else int(self._places[table.padding_idx])
        self.rows = nn.Parameter(table.weight.detach()[self._ids].clone())

    @contextmanager
    def training(self) -> Iterator[None]:
        """Route lookups that want gradients to `rows`, for a while."""
        self.table.weight.requires_grad_(False)
        hook = self.table.register_forward_hook(self._looked_up)
        try:
            yield
        finally:
            hook.remove()
            self.table.weight.requires_grad_(True)

    def _looked_up(self, _table: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        if not torch.is_grad_enabled():
            return output
        places = self._places[inputs[0]]
        if bool((places < 0).any()):  # texts that aren't trained on, such as a callback's own
            return output
        return nn.functional.embedding(places, self.rows, padding_idx=self._padding)

    def reload(self) -> None:
        """Take the used rows from the table again, after it was replaced."""
        with torch.no_grad():
            self.rows.copy_(self.table.weight[self._ids])

    def stepped(self) -> None:
        """Bring the whole table up to date after a step, and make room for the next gradient."""
        with torch.no_grad():
            self.table.weight[self._ids] = self.rows
        # The trainer clears the gradients of the body's own parameters alone.
        self.rows.grad = None


def used_rows(body: SentenceTransformer, texts: Sequence[str], *, weight_decay: float) -> UsedRows | None:
    """Return the used rows of the body's word table; None where training them alone would not be the same.

    It is the same if the body starts with a transformer, whose table is a plain one that nothing else shares, and if
    there is no weight decay, which would shrink unused rows too.

    Args:
        body: The body.
        texts: All texts that it will be trained on.
        weight_decay: The optimizer's weight decay.
    """
    table = _word_table(body)
    if table is None or weight_decay != 0 or processes.count() > 1:
        return None
    used = torch.zeros(table.num_embeddings, dtype=torch.bool)
    for start in range(0, len(texts), _TEXTS_A_PASS):
        ids = preprocessed(body, texts[start : start + _TEXTS_A_PASS], prompt=default_prompt(body))["input_ids"]
        used[ids.cpu().flatten()] = True
    if table.padding_idx is not None:
        used[table.padding_idx] = True
    return UsedRows(table, used.nonzero().flatten())


def _word_table(body: SentenceTransformer) -> nn.Embedding | None:
    first = body[0]
    if not isinstance(first, Transformer):
        return None
    table = first.auto_model.get_input_embeddings()
    if type(table) is not nn.Embedding or not table.weight.requires_grad:
        return None
    if table.max_norm is not None or table.scale_grad_by_freq or table.sparse:
        return None
    shared = sum(
        parameter is table.weight
        for module in body.modules()
        for parameter in module._parameters.values()  # noqa: SLF001  # parameters() hides what is shared
    )
    return table if shared == 1 else None
