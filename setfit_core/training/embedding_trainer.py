"""sentence-transformers' trainer, as the embedding phase needs it: its batches, its checkpoints, what it measures."""

from __future__ import annotations

import contextlib
import logging
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformerTrainer
from torch import nn
from torch.utils.data import DataLoader
from transformers import TrainerState
from transformers.trainer import TRAINER_STATE_NAME
from transformers.trainer_callback import ExportableState
from transformers.trainer_utils import SaveStrategy

from setfit_core import processes
from setfit_core.errors import ArgumentError
from setfit_core.randomness import isolated_random_state
from setfit_core.training.arguments import EMBEDDING_LOSS
from setfit_core.training.checkpoints import Identity, checkpoint_folder, prune, write_identity
from setfit_core.training.objective import Epochs, Objective
from setfit_core.training.shares import shared_batches
from setfit_core.training.word_table import UsedRows

logger = logging.getLogger(__name__)

MAX_GRADIENT_NORM = 1.0
#: What the loss itself has learnt, in a checkpoint.
LOSS_FILE = "loss.safetensors"


class Midway(Protocol):
    """The model as it would be if the embedding phase ended after a step.

    Attributes:
        identity: Which training this is.
    """

    identity: Identity

    def metrics(self, step: int) -> Mapping[str, Any]:
        """Return what it reaches on the evaluation data, by name."""

    def save(self, step: int, folder: Path, add: Callable[[Path], None]) -> None:
        """Save it, whole or not at all, with what `add` writes into its folder."""


class EmbeddingTrainer(SentenceTransformerTrainer):
    """sentence-transformers' trainer for the body of a model.

    Args:
        objective: The loss and the settings that go with it.
        rows: What is trained of the word table, if that isn't all of it.
        train: What is trained on.
        evaluation: What the evaluation loss is computed on; None for no evaluations.
        midway: The model on the way, for checkpoints and metrics; None if neither are wanted.
        at_rest: Puts the body into the state in which it predicts, for a while.
        selects_by_head: Whether evaluations measure `midway`, for the choice of the best model.
        checkpoints_kept: How many checkpoints stay; None for all.
        options: For sentence-transformers' trainer.
    """

    def __init__(
        self,
        *,
        objective: Objective,
        rows: UsedRows | None,
        train: Epochs,
        evaluation: Epochs | None,
        midway: Midway | None,
        at_rest: Callable[[], contextlib.AbstractContextManager[None]],
        selects_by_head: bool,
        checkpoints_kept: int | None,
        **options: Any,
    ) -> None:
        self._objective = objective
        self._rows = rows
        self._epochs = {"train": train, "eval": evaluation}
        self._midway = midway
        self._at_rest = at_rest
        self._selects_by_head = selects_by_head
        self._checkpoints_kept = checkpoints_kept
        super().__init__(
            loss=objective.loss,
            train_dataset=train.rows,
            eval_dataset=None if evaluation is None else evaluation.rows,
            **options,
        )

    # Batches

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the batches of training; all of them in each process, which takes its share of each."""
        return self._loader("train")

    def get_eval_dataloader(self, eval_dataset: Any = None) -> DataLoader[Any]:  # noqa: ARG002  # there is one
        """Return the batches of the evaluation loss."""
        return self._loader("eval")

    def _loader(self, name: str) -> DataLoader[Any]:
        epochs = self._epochs[name]
        if epochs is None:
            msg = "A callback asks for an evaluation, but there is no data for it: give eval_dataset and eval_strategy."
            raise ArgumentError(msg)
        return _EpochLoader(
            epochs.rows,
            batch_sampler=epochs.batches,
            collate_fn=self.data_collator,
            pin_memory=self.args.dataloader_pin_memory,
        )

    # Steps

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """Let the optimizer train the used rows of the word table along."""
        optimizer = super().create_optimizer(model)
        if self._rows is not None:
            rows = self._rows
            optimizer.add_param_group({"params": [rows.rows], "weight_decay": 0.0})
            optimizer.register_step_pre_hook(_clip)
            optimizer.register_step_post_hook(lambda *_: rows.stepped())
        return optimizer

    def compute_loss(self, model: Any, inputs: dict[str, Any], *args: Any, **options: Any) -> Any:
        """Compute the loss, without dropout if the objective wants none."""
        if not self._objective.dropout:
            model.eval()  # the trainer has just turned training mode on
        with contextlib.nullcontext() if model is self.model else shared_batches(model):
            return super().compute_loss(model, inputs, *args, **options)

    # Logs and evaluations

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Leave out the callback that tokenises the pairs to write a card about a bare embedding model."""

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log `loss` as `embedding_loss`."""
        super().log({EMBEDDING_LOSS if key == "loss" else key: value for key, value in logs.items()}, start_time)

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Report the evaluation loss as `eval_embedding_loss`, and leave what is drawn in training as it is."""
        with isolated_random_state(self.args.seed):
            metrics: dict[str, float] = super().evaluate(eval_dataset, ignore_keys, f"{metric_key_prefix}_embedding")
        return metrics

    def evaluation_loop(self, *args: Any, **options: Any) -> Any:
        """Measure what a head makes of the body by now, too, if the best model is chosen by it."""
        output: Any = super().evaluation_loop(*args, **options)
        if self._selects_by_head and self._midway is not None:
            midway, step = self._midway, self.state.global_step
            with self._at_rest():
                measured = processes.once(lambda: midway.metrics(step))
            output.metrics.update({f"eval_{name}": value for name, value in measured.items()})
        return output

    # Checkpoints

    def _determine_best_metric(self, metrics: dict[str, float], trial: Any) -> bool:
        """Have the best model saved, wherever the next checkpoint would be, and the one that training stops with."""
        is_best = bool(super()._determine_best_metric(metrics, trial))
        wanted = (is_best and self.args.load_best_model_at_end) or self.control.should_training_stop
        if wanted and self.args.save_strategy != SaveStrategy.NO:
            self.control.should_save = True
        return is_best

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:  # noqa: ARG002  # transformers' signature
        """Save the model on the way with everything that training goes on with, whole or not at all."""
        midway = self._midway
        if midway is None:
            logger.warning("A callback asks for a checkpoint, but save_strategy is 'no': none is written.")
            return
        output_dir, step = Path(str(self.args.output_dir)), self.state.global_step
        folder = checkpoint_folder(output_dir, step)
        best = checkpoint_folder(output_dir, self.state.best_global_step) if self.state.best_global_step else None
        if best is not None and (best == folder or best.is_dir()):
            self.state.best_model_checkpoint = str(best)
        random_states = processes.gathered(self._random_state_files())

        def saved() -> None:
            with self._at_rest(), isolated_random_state(self.args.seed):
                midway.save(step, folder, lambda place: self._write_state(place, midway.identity, random_states))
            prune(output_dir, midway.identity, self._checkpoints_kept, (folder, best))

        processes.once(saved)

    def _random_state_files(self) -> dict[str, bytes]:
        with tempfile.TemporaryDirectory(prefix="setfit-core-") as folder:
            self._save_rng_state(folder)
            return {path.name: path.read_bytes() for path in Path(folder).iterdir()}

    def _write_state(self, folder: Path, identity: Identity, random_states: list[dict[str, bytes]]) -> None:
        write_identity(folder, identity)
        self._save_optimizer_and_scheduler(str(folder))
        self._save_scaler(str(folder))
        weights = {name: weight.detach().contiguous() for name, weight in self._loss_weights().items()}
        if weights:
            save_file(weights, folder / LOSS_FILE)
        for files in random_states:
            for name, content in files.items():
                (folder / name).write_bytes(content)
        callbacks: list[Any] = [*self.callback_handler.callbacks, self.control]
        stateful: list[Any] = [each for each in callbacks if isinstance(each, ExportableState)]
        self.state.stateful_callbacks = TrainerState(stateful_callbacks=stateful).stateful_callbacks
        self.state.save_to_json(str(folder / TRAINER_STATE_NAME))

    def _loss_weights(self) -> dict[str, torch.Tensor]:
        """Return what the loss itself trains, by name; its body isn't meant."""
        of_body = set(map(id, self.model.parameters()))
        weights: dict[str, torch.Tensor] = self._objective.loss.state_dict(keep_vars=True)
        return {name: each for name, each in weights.items() if each.requires_grad and id(each) not in of_body}

    def ended(self, checkpoint: Path) -> bool:
        """Take over the body of a checkpoint after which there is nothing left to train; tell whether it is one."""
        state = TrainerState.load_from_json(str(checkpoint / TRAINER_STATE_NAME))
        control = state.stateful_callbacks.get("TrainerControl", {})
        if state.global_step < state.max_steps and not control.get("args", {}).get("should_training_stop"):
            return False
        self.state = state
        self._load_from_checkpoint(str(checkpoint))
        if self.args.load_best_model_at_end and state.best_global_step:
            self._load_best_model()
        return True

    def _load_from_checkpoint(self, checkpoint_path: str, *_: Any) -> None:
        super()._load_from_checkpoint(checkpoint_path)
        if self._loss_weights():
            self._objective.loss.load_state_dict(load_file(Path(checkpoint_path) / LOSS_FILE), strict=False)
        if self._rows is not None:
            self._rows.reload()

    def _load_best_model(self) -> None:
        """Load the best body; unlike sentence-transformers', say so if that fails."""
        best = str(checkpoint_folder(Path(str(self.args.output_dir)), int(self.state.best_global_step or 0)))
        if not Path(best).is_dir():
            msg = f"The best model should be in {best}, which is gone. Train again, or without load_best_model_at_end."
            raise ArgumentError(msg)
        self._load_from_checkpoint(best)


class _EpochLoader(DataLoader[Any]):
    """A loader that tells its batches the epoch."""

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch that the order of the rows depends on."""
        self.batch_sampler.set_epoch(epoch)  # type: ignore[union-attr]  # always one of sentence-transformers'


def _clip(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Clip the gradients of all that is trained, used rows included: the trainer knows the body's own parameters."""
    nn.utils.clip_grad_norm_(
        [parameter for group in optimizer.param_groups for parameter in group["params"]], MAX_GRADIENT_NORM
    )
