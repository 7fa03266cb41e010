"""The embedding phase: fine-tuning the body, with sentence-transformers' own trainer."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from sentence_transformers.sentence_transformer.modules import Transformer
from torch import Tensor, nn
from transformers import PrinterCallback, TrainerCallback

from setfit_core.embedding.body import default_prompt, limited_length
from setfit_core.embedding.precision import resolved_precision
from setfit_core.labels import IntArray
from setfit_core.randomness import isolated_random_state
from setfit_core.training.arguments import TrainingArguments
from setfit_core.training.batches import ClassAwareBatchSampler, OnePerClassBatchSampler
from setfit_core.training.loss_kinds import Examples
from setfit_core.training.objective import PASSES, Objective
from setfit_core.training.word_table import UsedRows, used_rows

logger = logging.getLogger(__name__)

_MAX_GRADIENT_NORM = 1.0


@dataclass
class EmbeddingWork:
    """What an embedding phase did, counted in the forward passes that it trained on.

    Attributes:
        steps: Steps of the optimizer.
        texts: Texts encoded, each as often as it was.
        tokens: Tokens of these texts; 0 for a body without an attention mask.
        padded_tokens: Tokens and padding together: what the body computed on.
    """

    steps: int = 0
    texts: int = 0
    tokens: int = 0
    padded_tokens: int = 0

    def count(self, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """Count a forward pass, as a hook on the body's first module."""
        if not torch.is_grad_enabled():
            return
        mask = inputs[0].get("attention_mask")
        if isinstance(mask, Tensor):
            self.texts += len(mask)
            self.tokens += int(mask.sum())
            self.padded_tokens += mask.numel()
        elif isinstance(offsets := inputs[0].get("offsets"), Tensor):  # static word vectors: where each text starts
            self.texts += len(offsets)


class EmbeddingTrainer(SentenceTransformerTrainer):
    """sentence-transformers' trainer, whose logs say that their loss is the embedding phase's."""

    def __init__(
        self,
        *,
        objective: Objective,
        rows: UsedRows | None,
        samples_per_label: int,
        most_eval_batches: int | None,
        **options: Any,
    ) -> None:
        self._objective = objective
        self._samples_per_label = samples_per_label
        self._most_eval_batches = most_eval_batches
        self._rows = rows
        super().__init__(loss=objective.loss, **options)

    def get_batch_sampler(self, dataset: Dataset, batch_size: int, *args: Any, **options: Any) -> Any:
        """Group labelled texts by class, and keep positive pairs of one class apart; others come in random order."""
        if self._objective.examples is Examples.POSITIVE_PAIRS:
            return OnePerClassBatchSampler(np.asarray(dataset["label"][:]), batch_size, seed=self.args.seed)
        if not self._objective.on_texts:
            return super().get_batch_sampler(dataset, batch_size, *args, **options)
        training = dataset is self.train_dataset
        return ClassAwareBatchSampler(
            np.asarray(dataset["label"][:]),
            batch_size,
            self._samples_per_label,
            passes=PASSES if training else 1,
            most=None if training else self._most_eval_batches,
            seed=self.args.seed,
        )

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
        return super().compute_loss(model, inputs, *args, **options)

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """Leave out the callback that tokenises the pairs to write a card about a bare embedding model."""

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Log `loss` as `embedding_loss`."""
        super().log({"embedding_loss" if key == "loss" else key: value for key, value in logs.items()}, start_time)

    def evaluate(
        self,
        eval_dataset: Any = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> dict[str, float]:
        """Report the evaluation loss as `eval_embedding_loss`."""
        metrics: dict[str, float] = super().evaluate(eval_dataset, ignore_keys, f"{metric_key_prefix}_embedding")
        return metrics


def train_body(
    body: SentenceTransformer,
    args: TrainingArguments,
    objective: Objective,
    train: Targeted,
    evaluation: Targeted | None,
    callbacks: Sequence[TrainerCallback],
) -> tuple[list[dict[str, float]], EmbeddingWork]:
    """Fine-tune the body, and return the log history and what was done.

    The global random state is as before afterwards, and the body is in evaluation mode.

    Args:
        body: The body.
        args: The training arguments.
        objective: The loss and the settings that go with it.
        train: Training texts, with class ids `[n]` or indicators.
        evaluation: Texts for the evaluation loss, likewise.
        callbacks: Callbacks of transformers.
    """
    dataset = objective.dataset(train.texts, train.targets, args)
    held_out = None
    if evaluation is not None:
        held_out = objective.dataset(evaluation.texts, evaluation.targets, args, evaluation=True)
    logger.info(
        "Embedding phase: %d %s, batches of %d, %d epochs.",
        len(dataset),
        objective.unit,
        objective.batch_size,
        objective.num_epochs,
    )
    output_dir = Path(args.output_dir)
    is_new = not output_dir.exists()
    work = EmbeddingWork()
    with contextlib.ExitStack() as stack:
        stack.enter_context(isolated_random_state(args.seed))
        stack.enter_context(limited_length(body, args.max_length))
        stack.enter_context(_eager_attention(body))
        stack.callback(body[0].register_forward_pre_hook(work.count).remove)
        rows = used_rows(body, train.texts, weight_decay=objective.l2_weight)
        if rows is not None:
            stack.enter_context(rows.training())
        trainer = EmbeddingTrainer(
            objective=objective,
            rows=rows,
            samples_per_label=args.samples_per_label,
            most_eval_batches=args.most_eval_batches,
            model=body,
            args=_trainer_arguments(
                args,
                objective,
                body,
                evaluate=held_out is not None,
                max_gradient_norm=_MAX_GRADIENT_NORM if rows is None else 0.0,  # 0: _clip does it
            ),
            train_dataset=dataset,
            eval_dataset=held_out,
            callbacks=list(callbacks),
        )
        if not args.show_progress_bar:
            trainer.remove_callback(PrinterCallback)
        try:
            trainer.train()
        finally:
            # accelerate leaves a forward on the body that computes in mixed precision from then on.
            vars(body).pop("forward", None)
            body.eval()
            if is_new and args.save_strategy == "no":
                # transformers makes the folder all the same; one that something was written into stays.
                with contextlib.suppress(OSError):
                    output_dir.rmdir()
    work.steps = trainer.state.global_step
    history: list[dict[str, float]] = trainer.state.log_history
    return history, work


@dataclass(frozen=True)
class Targeted:
    """Texts and their class ids `[n]`, or 0/1 indicators `[n, num_classes]`."""

    texts: Sequence[str]
    targets: IntArray


def _clip(optimizer: torch.optim.Optimizer, *_: Any) -> None:
    """Clip the gradients of all that is trained, used rows included: the trainer knows the body's own parameters."""
    nn.utils.clip_grad_norm_(
        [parameter for group in optimizer.param_groups for parameter in group["params"]], _MAX_GRADIENT_NORM
    )


@contextlib.contextmanager
def _eager_attention(body: SentenceTransformer) -> Iterator[None]:
    """Compute attention step by step for a while, on a CPU.

    The backward pass of PyTorch's fused attention is slow there for texts of usual length: with all-MiniLM-L6-v2 in
    bfloat16 a training step takes 1.4 times as long at 32 tokens, 1.3 times at 96, and 0.9 times at 256.
    """
    first = body[0]
    model = first.auto_model if isinstance(first, Transformer) else None
    if model is None or body.device.type != "cpu" or model.config._attn_implementation != "sdpa":  # noqa: SLF001
        yield
        return
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation("sdpa")


def _trainer_arguments(
    args: TrainingArguments,
    objective: Objective,
    body: SentenceTransformer,
    *,
    evaluate: bool,
    max_gradient_norm: float,
) -> SentenceTransformerTrainingArguments:
    cuda = body.device.type == "cuda"
    bfloat16 = resolved_precision(args.precision, body.device) is torch.bfloat16
    if args.use_amp and not bfloat16:
        bfloat16 = not cuda or torch.cuda.is_bf16_supported()
    arguments = SentenceTransformerTrainingArguments(
        output_dir=args.output_dir,
        per_device_train_batch_size=objective.batch_size,
        per_device_eval_batch_size=objective.batch_size,
        num_train_epochs=objective.num_epochs,
        max_steps=args.max_steps,
        learning_rate=objective.learning_rate,
        # Below 1 it is a share of the steps; 1.0 would be a single step.
        warmup_steps=min(args.warmup_proportion, 1 - 1e-9),
        prompts=default_prompt(body),
        weight_decay=objective.l2_weight,
        fp16=args.use_amp and not bfloat16,
        bf16=bfloat16,
        gradient_accumulation_steps=args.gradient_accumulation_steps,
        max_grad_norm=max_gradient_norm,
        seed=args.seed,
        use_cpu=body.device.type == "cpu",
        dataloader_pin_memory=cuda,
        disable_tqdm=not args.show_progress_bar,
        report_to=args.report_to,
        run_name=args.run_name,
        logging_strategy=args.logging_strategy,
        logging_first_step=args.logging_first_step,
        logging_steps=args.logging_steps,
        eval_strategy=args.eval_strategy if evaluate else "no",
        eval_steps=args.eval_steps,
        eval_delay=args.eval_delay,
        save_strategy=args.save_strategy,
        save_steps=args.save_steps,
        save_total_limit=args.save_total_limit,
        load_best_model_at_end=args.load_best_model_at_end,
        metric_for_best_model=args.metric_for_best_model if args.load_best_model_at_end else None,
        greater_is_better=args.greater_is_better,
    )
    if arguments.n_gpu > 1:
        # Batches would be divided among replicas of the body, each with pairs and a word table of its own.
        arguments._n_gpu = 1  # noqa: SLF001  # as transformers does for its own parallelism
    return arguments
