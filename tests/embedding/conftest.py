"""Real bodies, and a count of what runs through them."""

from __future__ import annotations

import pytest
from sentence_transformers import SentenceTransformer


@pytest.fixture(scope="session")
def minilm(minilm_path):
    return SentenceTransformer(str(minilm_path), device="cpu").eval()


@pytest.fixture
def passes():
    """A function that hooks a body, and returns the list to which each forward pass adds the shape of its tokens."""
    handles = []

    def watched(body):
        shapes = []

        def note(module, arguments, output):
            shapes.append(tuple(arguments[0]["input_ids"].shape))

        handles.append(body.register_forward_hook(note))
        return shapes

    yield watched
    for handle in handles:
        handle.remove()
