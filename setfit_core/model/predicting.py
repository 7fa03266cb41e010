"""What a model says about texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from setfit_core.data import check_text_column
from setfit_core.errors import ArgumentError
from setfit_core.heads.abilities import known_rows, require_ability, votes
from setfit_core.labels import Label
from setfit_core.model.parts import ModelParts
from setfit_core.model.streaming import CHUNK_SIZE, streamed
from setfit_core.prediction import Prediction
from setfit_core.values import positive_integer


class PredictingModel(ModelParts):
    """A model that embeds texts, labels them, and says how sure it is and why."""

    def encode(
        self, inputs: Sequence[str], batch_size: int | None = None, show_progress_bar: bool | None = None
    ) -> Tensor | npt.NDArray[Any]:
        """Return the embeddings `[n, embedding_size]` of texts, as the head gets them.

        Args:
            inputs: The texts.
            batch_size: Texts a forward pass of the body; None for batches of about 1024 tokens.
            show_progress_bar: Whether to show progress.

        Returns:
            A tensor on the model's device if the head is differentiable, otherwise an array (float32).

        Raises:
            InputError: If a text is not a string, or the body returns NaN.
        """
        return self._prediction().embeddings(inputs, batch_size=batch_size, show_progress_bar=show_progress_bar)

    def _prediction(self) -> Prediction:
        return Prediction(
            self.model_body,
            self._held,
            self.normalize_embeddings,
            self.precision,
            self.embedding_cache,
            self.calibration,
            self._thresholds,
        )

    def predict(
        self,
        inputs: str | Sequence[str],
        batch_size: int | None = None,
        as_numpy: bool = False,
        use_labels: bool = True,
        show_progress_bar: bool | None = None,
        *,
        none_label: Label | None = None,
    ) -> Any:
        """Predict the label of each text.

        Args:
            inputs: A text or a list of texts.
            batch_size: Texts a forward pass of the body; None for batches of about 1024 tokens.
            as_numpy: Whether to return an array instead of a tensor or list.
            use_labels: Whether to return labels; otherwise their places in `model.labels`.
            show_progress_bar: Whether to show progress.
            none_label: What a text is labelled with that belongs to none of the labels, for a head that can tell (it
                declares `open_set`, as `prototype` does). None gives each text one of the labels. A head that was
                trained on the texts that the body was tuned on takes too many others for strangers.

        Returns:
            `[n]`: a list for string labels, otherwise a tensor (integers as int64). For several labels a text, 0/1
            indicators `[n, len(model.labels)]`, or lists of names if the model was trained on such; a text has the
            labels whose probabilities are above `model.thresholds`, or 0.5. With `none_label`, a list. A single text
            gives its one entry.

        Raises:
            UnfittedHeadError: If the model has not been trained.
            InputError: If a text is not a string.
            HeadError: If `none_label` is given and the head can't tell.
            NoProbabilitiesError: If the model has thresholds or is calibrated, and the head has no `predict_proba`.
            HeadOutputError: If the head breaks its contract.
            ArgumentError: If `none_label` is given without `use_labels`, or for several labels a text.
        """
        codec = self._fitted_codec()
        texts = [inputs] if isinstance(inputs, str) else inputs
        if none_label is not None:
            self._check_none_label(none_label, use_labels=use_labels)
        prediction = self._prediction()
        embeddings = prediction.embeddings(
            texts, batch_size=batch_size, show_progress_bar=show_progress_bar, codec=codec
        )
        columns = codec.expand_class_ids(prediction.class_ids_of(embeddings, codec))
        predicted = codec.decode(columns) if use_labels else columns
        if none_label is not None:
            known = known_rows(self.model_head, embeddings).tolist()
            decoded = predicted if isinstance(predicted, list) else predicted.tolist()
            predicted = [label if row else none_label for label, row in zip(decoded, known, strict=True)]
        single = isinstance(inputs, str)
        if not isinstance(predicted, list):
            return self._converted(predicted, single=single, as_numpy=as_numpy)
        if single:
            return predicted[0]
        if not as_numpy or codec.multi_label:
            return predicted
        # Numbers beside a label for none that is a string would become strings.
        return np.array(predicted, dtype=None if len(set(map(type, predicted))) < 2 else object)

    def predict_proba(
        self,
        inputs: str | Sequence[str],
        batch_size: int | None = None,
        as_numpy: bool = False,
        show_progress_bar: bool | None = None,
    ) -> Any:
        """Predict the probability of each label for each text.

        Args:
            inputs: A text or a list of texts.
            batch_size: Texts a forward pass of the body; None for batches of about 1024 tokens.
            as_numpy: Whether to return an array instead of a tensor.
            show_progress_bar: Whether to show progress.

        Returns:
            Floats `[n, len(model.labels)]`, columns in the order of `model.labels`; a label that was not in the
            training data is a column of zeros. Rows sum to 1, except for several labels a text, where each column
            is a probability of its own. A single text gives `[len(model.labels)]`.

        Raises:
            NoProbabilitiesError: If the head has no `predict_proba`.
            UnfittedHeadError: If the model has not been trained.
            InputError: If a text is not a string.
            HeadOutputError: If the head breaks its contract.
        """
        codec = self._fitted_codec()
        texts = [inputs] if isinstance(inputs, str) else inputs
        probabilities = self._prediction().probabilities(
            texts, codec, batch_size=batch_size, show_progress_bar=show_progress_bar
        )
        full = codec.expand_probabilities(probabilities)
        return self._converted(full, single=isinstance(inputs, str), as_numpy=as_numpy)

    __call__ = predict

    def predict_stream(
        self,
        inputs: Iterable[str],
        batch_size: int | None = None,
        as_numpy: bool = False,
        use_labels: bool = True,
        *,
        none_label: Label | None = None,
        chunk_size: int = CHUNK_SIZE,
    ) -> Iterator[Any]:
        r"""Predict the label of each text of a stream, however long, in memory that doesn't grow with it.

        The lines of an open file are such a stream: `(line.rstrip("\n") for line in file)`.

        Args:
            inputs: The texts: an iterable, read as results are asked for.
            batch_size: As in `predict`.
            as_numpy: As in `predict`.
            use_labels: As in `predict`.
            none_label: As in `predict`.
            chunk_size: How many texts are read before they are scored together. Fewer take less memory and come
                sooner, more are not faster.

        Returns:
            An iterator that yields for each text, in order, its entry of what `predict` returns for a list.

        Raises:
            What `predict` raises, at once if it doesn't depend on a text. Otherwise when the text is reached: the
            results of all texts before it have been yielded then, and its row is counted through the stream.
        """

        def answer(texts: Sequence[str]) -> Iterable[Any]:
            predicted: Iterable[Any] = self.predict(
                texts, batch_size, as_numpy, use_labels, show_progress_bar=False, none_label=none_label
            )
            return predicted

        return self._streamed(inputs, answer, chunk_size)

    def predict_proba_stream(
        self,
        inputs: Iterable[str],
        batch_size: int | None = None,
        as_numpy: bool = False,
        *,
        chunk_size: int = CHUNK_SIZE,
    ) -> Iterator[Any]:
        """Predict the probability of each label for each text of a stream, as `predict_stream` does.

        Args:
            inputs: The texts: an iterable, read as results are asked for.
            batch_size: As in `predict_proba`.
            as_numpy: As in `predict_proba`.
            chunk_size: As in `predict_stream`.

        Returns:
            An iterator that yields for each text, in order, its row `[len(model.labels)]` of `predict_proba`.

        Raises:
            What `predict_proba` raises, when `predict_stream` raises it.
        """

        def answer(texts: Sequence[str]) -> Iterable[Any]:
            rows: Iterable[Any] = self.predict_proba(texts, batch_size, as_numpy, show_progress_bar=False)
            return rows

        return self._streamed(inputs, answer, chunk_size)

    def _streamed(
        self, inputs: Iterable[str], answer: Callable[[list[str]], Iterable[Any]], chunk_size: int
    ) -> Iterator[Any]:
        check_text_column(inputs)
        positive_integer("chunk_size", chunk_size)
        answer([])  # raises what is wrong whatever the texts are
        return streamed(inputs, answer, chunk_size)

    def _check_none_label(self, none_label: Any, *, use_labels: bool) -> None:
        if not isinstance(none_label, str | bool | int | float):
            raise ArgumentError(f"none_label is {none_label!r}. Give a label: a string, a number or a boolean.")
        if not use_labels:
            msg = "none_label is a label, and use_labels=False asks for places in model.labels. Leave one of them out."
            raise ArgumentError(msg)
        if self.multi_target_strategy is not None:
            msg = "none_label is for one label a text; with several, a text of none of them has no label at all."
            raise ArgumentError(msg)
        require_ability(self.model_head, "open_set")

    def explain(self, inputs: str | Sequence[str], limit: int = 3, *, batch_size: int | None = None) -> Any:
        """Return the training texts that each prediction rests on, for a head that can tell (it declares `explain`).

        Args:
            inputs: A text or a list of texts.
            limit: The most training texts for each.
            batch_size: Texts a forward pass of the body; None for batches of about 1024 tokens.

        Returns:
            For each text a list of `setfit_core.heads.abilities.Vote`, the weightiest first: with the training text,
            its label as in `predict`, how near it is, and its share of the votes. A single text gives its one list.

        Raises:
            UnfittedHeadError: If the model has not been trained.
            InputError: If a text is not a string.
            HeadError: If the head can't tell.
            HeadOutputError: If the head breaks its word.
        """
        codec = self._fitted_codec()
        positive_integer("limit", limit)
        require_ability(self.model_head, "explain")
        texts = [inputs] if isinstance(inputs, str) else inputs
        embeddings = self._prediction().embeddings(texts, batch_size=batch_size, show_progress_bar=False)
        found = votes(self.model_head, embeddings, codec, limit)
        return found[0] if isinstance(inputs, str) else found

    def _converted(self, array: npt.NDArray[Any], *, single: bool, as_numpy: bool) -> Any:
        output: Any = array
        if not as_numpy:
            output = torch.from_numpy(np.ascontiguousarray(array))
            if self.has_differentiable_head:
                output = output.to(self.device)
        return output[0] if single else output
