"""Embeddings of a body kept on disk, for texts that come again and again while the body stays as it is."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.base.modules import Transformer
from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, StaticEmbedding
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from setfit_core.errors import ArgumentError

logger = logging.getLogger(__name__)

#: The name says the format: another one is another file.
FILE_NAME: Final = "embeddings-1.sqlite"
#: How long a process waits for another one that writes.
WAIT_SECONDS: Final = 5.0
#: Modules of which all is known that their output depends on.
_TOLD: Final = (Transformer, StaticEmbedding, Pooling, Normalize)
#: Keys that one question to the database names.
_ASKED: Final = 500


class EmbeddingCache:
    """A folder with embeddings that were computed before.

    Several models and processes may use one folder at once. An entry belongs to a text and to everything that its
    embedding depends on: the body's weights and modules, its tokenizer, prompt, longest text and `truncate_dim`,
    whether embeddings are normalised, the precision, and the versions of torch, transformers and
    sentence-transformers. All of that is looked at in each call, so a body that was trained meanwhile is another body.
    Entries are never removed: delete the folder to be rid of them. Texts are not stored, only their hashes.

    What can't be read or written costs the time to compute it, and a warning in the log. So does a body that holds more
    than a transformer with a fast tokenizer or static word vectors, pooling and normalisation.

    Args:
        folder: The folder; it is made when it is first needed.

    Raises:
        ArgumentError: If the folder is no path.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        if not isinstance(folder, str | os.PathLike):
            msg = f"folder is a {type(folder).__name__}. Give the path of a folder for the embeddings."
            raise ArgumentError(msg)
        self.folder = Path(folder)

    def __repr__(self) -> str:
        return f"EmbeddingCache({str(self.folder)!r})"

    def completed(
        self,
        texts: Sequence[str],
        conditions: bytes,
        compute: Callable[[list[str]], Tensor],
    ) -> Tensor:
        """Return the embeddings of distinct texts, computing those that aren't there.

        Args:
            texts: The texts, at least one.
            conditions: What else the embeddings depend on, from `conditions_of`.
            compute: Returns the embeddings `[m, embedding_size]`, float32, of some of the texts.

        Returns:
            Floats `[n, embedding_size]`, float32, on the device of what was computed; on the CPU if nothing was.
        """
        keys = [hashlib.sha256(conditions + text.encode("utf-8", "surrogatepass")).digest() for text in texts]
        found = self._read(keys)
        missing = [row for row, key in enumerate(keys) if key not in found]
        if not missing:
            return torch.from_numpy(np.stack([found[key] for key in keys]))
        computed = compute([texts[row] for row in missing])
        values = computed.cpu().numpy()
        if computed.dtype == torch.float32 and bool(computed.isfinite().all()):
            self._write({keys[row]: value for row, value in zip(missing, values, strict=True)})
        if len(missing) == len(texts):
            return computed
        size = values.shape[1]
        if any(value.shape != (size,) for value in found.values()):
            return compute(list(texts))
        by_row = dict(zip(missing, values, strict=True))
        rows = [by_row[row] if row in by_row else found[key] for row, key in enumerate(keys)]
        return torch.from_numpy(np.stack(rows)).to(computed.device)

    def _read(self, keys: Sequence[bytes]) -> dict[bytes, Any]:
        found: dict[bytes, Any] = {}
        with self._tolerated("read"), self._opened() as database:
            for start in range(0, len(keys), _ASKED):
                part = keys[start : start + _ASKED]
                marks = ",".join("?" * len(part))
                rows = database.execute(f"SELECT key, value, checksum FROM embeddings WHERE key IN ({marks})", part)  # noqa: S608  # question marks
                for key, value, checksum in rows:
                    if isinstance(value, bytes) and value and len(value) % 4 == 0 and _checksum(key, value) == checksum:
                        found[key] = np.frombuffer(value, dtype="<f4").astype(np.float32)
        if len({len(value) for value in found.values()}) > 1:
            return {}  # embeddings of one body have one size
        return found

    def _write(self, entries: Mapping[bytes, Any]) -> None:
        rows = []
        for key, value in entries.items():
            data = np.ascontiguousarray(value, dtype="<f4").tobytes()
            rows.append((key, data, _checksum(key, data)))
        with self._tolerated("written"), self._opened() as database, database:
            database.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?)", rows)

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        self.folder.mkdir(parents=True, exist_ok=True)
        # The default rollback journal works on every file system with locks; a write-ahead log needs shared memory.
        with closing(sqlite3.connect(self.folder / FILE_NAME, timeout=WAIT_SECONDS)) as database:
            database.execute(
                "CREATE TABLE IF NOT EXISTS embeddings (key BLOB PRIMARY KEY, value BLOB, checksum BLOB) WITHOUT ROWID"
            )
            yield database

    @contextmanager
    def _tolerated(self, done: str) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            logger.warning(
                "The embedding cache %s can't be %s: %s. What it lacks is computed. If the file is damaged, delete it.",
                self.folder / FILE_NAME,
                done,
                error,
            )


class Caching(Protocol):
    """What keeps embeddings in a cache, such as a model."""

    embedding_cache: EmbeddingCache | None


@contextmanager
def embedded_once(model: Caching) -> Iterator[None]:
    """Let what is asked about the same texts for a while, labels and then probabilities, embed them once."""
    before = model.embedding_cache
    with tempfile.TemporaryDirectory(prefix="setfit-core-") as folder:
        model.embedding_cache = EmbeddingCache(folder)
        try:
            yield
        finally:
            model.embedding_cache = before


def checked_cache(cache: Any) -> EmbeddingCache | None:
    """Return a cache or None, or raise `ArgumentError`."""
    if cache is not None and not isinstance(cache, EmbeddingCache):
        msg = f"embedding_cache is a {type(cache).__name__}. Pass EmbeddingCache(folder), or None for no cache."
        raise ArgumentError(msg)
    return cache


def conditions_of(
    body: SentenceTransformer, *, prompt: str | None, normalize: bool, dtype: torch.dtype
) -> bytes | None:
    """Return a hash of all but the text that an embedding depends on; None if a body doesn't tell all of it."""
    described = _description(body)
    if described is None:
        return None
    import sentence_transformers
    import transformers

    versions = (torch.__version__, transformers.__version__, sentence_transformers.__version__)
    settings = (prompt, body.max_seq_length, body.truncate_dim, normalize, str(dtype), body.device.type, sys.byteorder)
    digest = hashlib.sha256(repr((versions, settings, described)).encode("utf-8", "surrogatepass"))
    for name, tensor in sorted([*body.named_parameters(), *body.named_buffers()]):
        data = tensor.detach().cpu().contiguous()
        digest.update(repr((name, tuple(data.shape), str(data.dtype))).encode())
        digest.update(data.flatten().view(torch.uint8).numpy().data)
    return digest.digest()


def _description(body: SentenceTransformer) -> list[Any] | None:
    """Return what the body's modules are and how they are set; None if there is one that can't be told."""
    modules: list[Any] = []
    for name, module in body.named_children():
        # A class derived from one of them may compute something else.
        if not isinstance(module, _TOLD) or type(module) not in _TOLD:
            return None
        told: tuple[Any, ...] = (name, type(module).__name__, sorted(module.get_config_dict().items()))
        if isinstance(module, StaticEmbedding):
            told += (module.tokenizer.to_str(),)
        elif isinstance(module, Transformer):
            model, tokenizer = module.auto_model, module.tokenizer
            # Weights that are no parameters (ONNX, OpenVINO) can't be seen here, nor which adapter is active.
            if not isinstance(model, PreTrainedModel) or getattr(model, "_hf_peft_config_loaded", False):
                return None
            if not isinstance(tokenizer, PreTrainedTokenizerFast):
                return None
            # The places it was loaded from, and what each call sets anew, say nothing about embeddings.
            config = {key: value for key, value in model.config.to_dict().items() if key != "_name_or_path"}
            rules = json.loads(tokenizer.backend_tokenizer.to_str())
            rules = {key: value for key, value in rules.items() if key not in ("padding", "truncation")}
            sides = (tokenizer.padding_side, tokenizer.truncation_side, tokenizer.model_max_length)
            told += (config, model.config._attn_implementation, rules, sides, module.processing_kwargs)  # noqa: SLF001
        modules.append(told)
    return modules


def _checksum(key: bytes, value: bytes) -> bytes:
    return hashlib.sha256(key + value).digest()[:8]
