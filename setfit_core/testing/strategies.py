"""Strategies of hypothesis for authors of heads: few-shot problems, embeddings, class ids, labels, body outputs.

    from hypothesis import given
    from setfit_core.testing import strategies

    @given(strategies.few_shot_problems())
    def test_probabilities(problem):
        head = MyHead().fit(problem.embeddings, problem.labels.tolist())
        assert head.predict_proba(problem.questions).shape == (len(problem.questions), problem.num_classes)

A few numbers are drawn, and the arrays are made of them, so that a failure shrinks to a simple problem that is shown
in a line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field, dataclass, fields
from functools import cached_property
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from hypothesis import strategies as st

from setfit_core.testing.problems import IntArray
from setfit_core.testing.trial import body_output

__all__ = ["FewShotProblem", "body_outputs", "class_ids", "embeddings", "few_shot_problems", "labels"]

FloatArray: TypeAlias = npt.NDArray[np.floating[Any]]

#: Extent of a class in each dimension; that of the centres of all classes is 1.
_NOISE: Final = 0.3
_SCALES: Final = (1.0, 1e-3, 0.1, 30.0, 1e3)
_OFFSETS: Final = (0.0, 1.0, -10.0)
_NUMBERS: Final = (0, 1, 2, 5, -3, 40, 41, 1000)
_WORDS: Final = ("negative", "neutral", "positive", "", "ä", "a label of several words", "0", "Negative")


@dataclass(frozen=True, repr=False)
class FewShotProblem:
    """A few labelled embeddings, and others to classify. Its text is the call that makes it again.

    Attributes:
        counts: How many examples each class has, each at least 1.
        embedding_size: Size of one embedding.
        scale: What all embeddings are multiplied by.
        offset: What is added to all of them before that.
        unit_norm: Whether each embedding has length 1 before that, as many bodies give them. Needs a size of 3.
        constant_feature: Whether a feature is the same for all. Needs a size of 2, of 3 with `unit_norm`.
        duplicates: Whether each class of three and more has one of its examples twice.
        seed: Seed of what is drawn.
    """

    counts: tuple[int, ...]
    embedding_size: int
    scale: float = 1.0
    offset: float = 0.0
    unit_norm: bool = False
    constant_feature: bool = False
    duplicates: bool = False
    seed: int = 0

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.counts)

    @cached_property
    def labels(self) -> IntArray:
        """The class ids `0..num_classes-1` of the examples, int64 `[sum(counts)]`, in no order."""
        ids = np.repeat(np.arange(self.num_classes, dtype=np.int64), self.counts)
        return self._rng(0).permutation(ids)

    @cached_property
    def embeddings(self) -> npt.NDArray[np.float32]:
        """The examples, float32 `[sum(counts), embedding_size]`."""
        return self._finished(self._examples)

    @cached_property
    def questions(self) -> npt.NDArray[np.float32]:
        """What to classify, float32 `[num_questions, embedding_size]`: the examples, others near them, and zeros."""
        near = self._finished(self._examples + self._rng(2).normal(0, _NOISE, size=self._examples.shape))
        rows = [self.embeddings, near]
        # Zeros that are equally far from all examples, or very far, tell only how a head rounds.
        if not (self.unit_norm or self.constant_feature or self.offset):
            rows.append(np.zeros((1, self.embedding_size), dtype=np.float32))
        return np.concatenate(rows)

    @cached_property
    def _examples(self) -> npt.NDArray[np.float64]:
        rng = self._rng(1)
        centres = rng.normal(0, 1, size=(self.num_classes, self.embedding_size))
        examples: npt.NDArray[np.float64] = centres[self.labels]
        examples += rng.normal(0, _NOISE, size=examples.shape)
        if self.duplicates:
            for label in range(self.num_classes):
                rows = np.flatnonzero(self.labels == label)
                if len(rows) >= 3:  # of two, none would be left to tell how wide the class is
                    examples[rows[-1]] = examples[rows[0]]
        return examples

    def _finished(self, rows: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        rows = rows.copy()
        if self.constant_feature:
            rows[:, 0] = 0.0 if self.unit_norm else 1.0  # only zero stays the same when lengths are made equal
        if self.unit_norm:
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return ((rows + self.offset) * self.scale).astype(np.float32)

    def _rng(self, salt: int) -> np.random.Generator:
        return np.random.default_rng((self.seed, salt, self.embedding_size, *self.counts))

    def __repr__(self) -> str:
        given = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if self._differs(each))
        return f"{type(self).__name__}({', '.join(given)})"

    def _differs(self, field: Field[Any]) -> bool:
        return bool(getattr(self, field.name) != field.default)


@st.composite
def few_shot_problems(
    draw: st.DrawFn,
    *,
    num_classes: int | None = None,
    embedding_size: int | None = None,
    max_classes: int = 8,
    max_per_class: int = 6,
    max_embedding_size: int = 32,
) -> FewShotProblem:
    """Draw problems as few-shot learning has them: few examples, some of them unbalanced, of all sizes and scales.

    Args:
        draw: Comes from hypothesis; leave it out.
        num_classes: Number of classes; None for 2 to `max_classes`.
        embedding_size: Size of one embedding; None for 1 to `max_embedding_size`.
        max_classes: The most classes.
        max_per_class: The most examples of a class.
        max_embedding_size: The largest size of an embedding.
    """
    classes = draw(st.integers(2, max_classes)) if num_classes is None else num_classes
    a_class = st.integers(1, max_per_class)
    balanced = draw(st.booleans())
    counts = (draw(a_class),) * classes if balanced else tuple(draw(a_class) for _ in range(classes))
    size = draw(st.integers(1, max_embedding_size)) if embedding_size is None else embedding_size
    unit_norm = size >= 3 and draw(st.booleans())
    return FewShotProblem(
        counts,
        size,
        scale=1.0 if unit_norm else draw(st.sampled_from(_SCALES)),
        offset=0.0 if unit_norm else draw(st.sampled_from(_OFFSETS)),
        unit_norm=unit_norm,
        constant_feature=size >= (3 if unit_norm else 2) and draw(st.booleans()),
        duplicates=max(counts) > 2 and draw(st.booleans()),
        seed=draw(st.integers(0, 999)),
    )


@st.composite
def embeddings(
    draw: st.DrawFn,
    *,
    num_inputs: int | None = None,
    embedding_size: int | None = None,
    max_inputs: int = 16,
    max_embedding_size: int = 32,
    dtype: npt.DTypeLike = np.float32,
) -> FloatArray:
    """Draw finite embeddings, of length 1 or of all scales.

    Args:
        draw: Comes from hypothesis; leave it out.
        num_inputs: How many; None for 1 to `max_inputs`.
        embedding_size: Size of each; None for 1 to `max_embedding_size`.
        max_inputs: The most embeddings.
        max_embedding_size: The largest size.
        dtype: A floating type of NumPy.

    Returns:
        A strategy for arrays of `dtype`, `[num_inputs, embedding_size]`.
    """
    rows = draw(st.integers(1, max_inputs)) if num_inputs is None else num_inputs
    size = draw(st.integers(1, max_embedding_size)) if embedding_size is None else embedding_size
    array = np.random.default_rng(draw(st.integers(0, 999))).normal(0, 1, size=(rows, size))
    if draw(st.booleans()):
        array /= np.linalg.norm(array, axis=1, keepdims=True)
    else:
        array = (array + draw(st.sampled_from(_OFFSETS))) * draw(st.sampled_from(_SCALES))
    return array.astype(dtype)


@st.composite
def class_ids(
    draw: st.DrawFn,
    *,
    num_inputs: int | None = None,
    num_classes: int | None = None,
    max_inputs: int = 16,
    max_classes: int = 8,
) -> IntArray:
    """Draw class ids `0..num_classes-1`, each at least once, in no order.

    Args:
        draw: Comes from hypothesis; leave it out.
        num_inputs: How many, at least `num_classes`; None for up to `max_inputs`.
        num_classes: Number of classes; None for 2 to `max_classes`, or to as many as there are inputs.
        max_inputs: The most inputs.
        max_classes: The most classes.

    Returns:
        A strategy for int64 arrays `[num_inputs]`.
    """
    if num_classes is None:
        num_classes = draw(st.integers(2, min(max_classes, max_inputs if num_inputs is None else num_inputs)))
    if num_inputs is None:
        num_inputs = draw(st.integers(num_classes, max(num_classes, max_inputs)))
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    others = rng.integers(0, num_classes, size=num_inputs - num_classes)
    return rng.permutation(np.concatenate([np.arange(num_classes), others]).astype(np.int64))


@st.composite
def labels(draw: st.DrawFn, *, num_inputs: int | None = None, num_classes: int | None = None) -> list[Any]:
    """Draw labels as users have them: words, whole numbers with gaps, booleans, scalars of NumPy; never mixed.

    Args:
        draw: Comes from hypothesis; leave it out.
        num_inputs: How many; None for 2 to 16.
        num_classes: How many different ones, at most 8; None for 2 to 8.

    Returns:
        A strategy for lists of `num_inputs` labels, each class at least once.
    """
    ids = draw(class_ids(num_inputs=num_inputs, num_classes=num_classes))
    kinds: list[Sequence[Any]] = [_WORDS, _NUMBERS, [np.int64(number) for number in _NUMBERS], list(np.array(_WORDS))]
    if ids.max() == 1:
        kinds.append((False, True))
    names = draw(st.sampled_from(kinds))
    chosen = draw(st.permutations(range(len(names))))
    return [names[chosen[each]] for each in ids]


def body_outputs(
    *, batch_size: int | None = None, embedding_size: int | None = None, dtype: torch.dtype = torch.float32
) -> st.SearchStrategy[dict[str, torch.Tensor]]:
    """Draw what a body returns and a differentiable head's `forward` takes.

    Args:
        batch_size: How many texts; None for 1 to 16.
        embedding_size: Size of one embedding; None for 1 to 32.
        dtype: Of the floating tensors.

    Returns:
        A strategy for dicts with `input_ids`, `token_type_ids` and `attention_mask` `[batch_size, num_tokens]`,
        `token_embeddings` `[batch_size, num_tokens, embedding_size]` and `sentence_embedding`
        `[batch_size, embedding_size]`, which is the mean of the tokens that the mask leaves.
    """
    drawn = embeddings(num_inputs=batch_size, embedding_size=embedding_size)
    return drawn.map(lambda array: body_output(array, dtype))
