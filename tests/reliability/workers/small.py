"""A small model with all that training depends on: a transformer with dropout, a tokenizer, pooling."""

from __future__ import annotations

import hashlib
import tempfile

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from setfit_core import SetFitModel

TEXTS = [f"{first} {second} {third}" for first in "abcd" for second in "efg" for third in "hijkl"[: 2 + (first == "a")]]
LABELS = [{"e": "red", "f": "green", "g": "blue"}[text[2]] for text in TEXTS]


def small_body() -> SentenceTransformer:
    """Return a new body, always the same one."""
    words = ["[PAD]", "[UNK]", *"abcdefghijkl"]
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=16,
    )
    with tempfile.TemporaryDirectory() as folder:
        torch.manual_seed(0)
        BertModel(config).save_pretrained(folder)
        wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]")
        wrapped.save_pretrained(folder)
        transformer = Transformer(folder, max_seq_length=16)
    pooling = Pooling(transformer.get_embedding_dimension())
    return SentenceTransformer(modules=[transformer, pooling], device="cpu")


def digest(model: SetFitModel) -> str:
    """Return what two models have in common that are the same, bit for bit."""
    hashed = hashlib.sha256()
    for _, tensor in sorted(model.model_body.state_dict().items()):
        hashed.update(tensor.contiguous().numpy().tobytes())
    hashed.update(model.predict_proba(TEXTS, as_numpy=True).tobytes())
    return hashed.hexdigest()
