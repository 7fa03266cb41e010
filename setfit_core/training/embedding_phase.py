"""The embedding phase: fine-tuning the body, with sentence-transformers' own trainer."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from sentence_transformers import SentenceTransformer, SentenceTransformerTrainingArguments
from sentence_transformers.sentence_transformer.modules import Transformer
from torch import Tensor, nn
from transformers import PrinterCallback, TrainerCallback

from setfit_core import processes
from setfit_core.embedding.body import default_prompt, limited_length
from setfit_core.embedding.precision import resolved_precision
from setfit_core.labels import IntArray
from setfit_core.randomness import isolated_random_state
from setfit_core.training.arguments import TrainingArguments
from setfit_core.training.checkpoints import step_of, tidy
from setfit_core.training.embedding_trainer import MAX_GRADIENT_NORM, EmbeddingTrainer, Midway
from setfit_core.training.objective import Objective
from setfit_core.training.word_table import used_rows

logger = logging.getLogger(__name__)


@dataclass
class EmbeddingWork:
    """What an embedding phase did, counted in the forward passes that it trained on.

    Attributes:
        steps: Steps of the optimizer, without those that a checkpoint brought along.
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


@dataclass(frozen=True)
class Targeted:
    """Texts and their class ids `[n]`, or 0/1 indicators `[n, num_classes]`."""

    texts: Sequence[str]
    targets: IntArray


def train_body(
    body: SentenceTransformer,
    args: TrainingArguments,
    objective: Objective,
    train: Targeted,
    evaluation: Targeted | None,
    callbacks: Sequence[TrainerCallback],
    *,
    midway: Midway | None = None,
    checkpoint: Path | None = None,
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
        midway: The model on the way, for checkpoints and metrics; None if neither are wanted.
        checkpoint: Where to go on from; None to begin at the beginning.
    """
    epochs = objective.epochs(train.texts, train.targets, args)
    held_out = None
    if evaluation is not None:
        held_out = objective.epochs(evaluation.texts, evaluation.targets, args, evaluation=True)
    logger.info(
        "Embedding phase: %d %s, batches of %d, %d epochs.",
        len(epochs.rows),
        objective.unit,
        objective.batch_size,
        objective.num_epochs,
    )
    output_dir = Path(args.output_dir)
    is_new = not output_dir.exists()
    work = EmbeddingWork()
    steps_before = 0 if checkpoint is None else step_of(checkpoint)
    if checkpoint is not None and midway is not None and processes.is_main():
        tidy(output_dir, midway.identity, args.save_total_limit, checkpoint)
    with contextlib.ExitStack() as stack:
        stack.enter_context(isolated_random_state(args.seed))
        in_training = stack.enter_context(_InTraining(body, args.max_length))
        stack.callback(body[0].register_forward_pre_hook(work.count).remove)
        rows = used_rows(body, train.texts, weight_decay=objective.l2_weight)
        if rows is not None:
            stack.enter_context(rows.training())
        trainer = EmbeddingTrainer(
            objective=objective,
            rows=rows,
            train=epochs,
            evaluation=held_out,
            midway=midway,
            at_rest=in_training.at_rest,
            selects_by_head=args.selects_by_head,
            checkpoints_kept=args.save_total_limit,
            model=body,
            args=_trainer_arguments(
                args,
                objective,
                body,
                evaluate=held_out is not None,
                max_gradient_norm=MAX_GRADIENT_NORM if rows is None else 0.0,  # 0: the trainer does it itself
            ),
            callbacks=list(callbacks),
        )
        if not args.show_progress_bar:
            trainer.remove_callback(PrinterCallback)
        try:
            if checkpoint is None or not trainer.ended(checkpoint):
                trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
        finally:
            body.eval()
            if is_new and args.save_strategy == "no":
                # transformers makes the folder all the same; one that something was written into stays.
                with contextlib.suppress(OSError):
                    output_dir.rmdir()
    work.steps = trainer.state.global_step - steps_before
    history: list[dict[str, float]] = trainer.state.log_history
    return history, work


class _InTraining:
    """The state that a body is trained in, as a context manager that can be left for a while.

    A body that is trained reads texts up to the length that was asked for, computes attention in another way, and has a
    forward method of accelerate's where it computes in mixed precision.
    """

    def __init__(self, body: SentenceTransformer, max_length: int | None) -> None:
        self._body = body
        self._max_length = max_length
        self._entered = contextlib.ExitStack()

    def __enter__(self) -> _InTraining:
        self._entered.enter_context(limited_length(self._body, self._max_length))
        self._entered.enter_context(_eager_attention(self._body))
        return self

    def __exit__(self, *_: object) -> None:
        vars(self._body).pop("forward", None)
        self._entered.close()

    @contextlib.contextmanager
    def at_rest(self) -> Iterator[None]:
        """Leave the state for a while."""
        accelerated = vars(self._body).get("forward")
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()
            if accelerated is not None:
                vars(self._body)["forward"] = accelerated


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
        # sentence-transformers warns without it if there are several processes, of which each would get batches of its
        # own. Here each gets all batches, and none is dropped.
        dataloader_drop_last=processes.count() > 1,
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
        load_best_model_at_end=args.load_best_model_at_end,
        metric_for_best_model=args.best_metric if evaluate else None,
        greater_is_better=args.greater_is_better_or_default,
        # A callback such as EarlyStoppingCallback goes on counting where the checkpoint was written.
        restore_callback_states_from_checkpoint=True,
    )
    if arguments.n_gpu > 1:
        # Batches would be divided among replicas of the body, each with pairs and a word table of its own.
        arguments._n_gpu = 1  # noqa: SLF001  # as transformers does for its own parallelism
    return arguments
