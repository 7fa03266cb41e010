"""The embedding phase: fine-tuning the body on pairs of texts, with sentence-transformers' own trainer."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset
from sentence_transformers import (
    SentenceTransformer,
    SentenceTransformerTrainer,
    SentenceTransformerTrainingArguments,
)
from transformers import PrinterCallback, TrainerCallback

from setfit_core.embedding import default_prompt, limited_length
from setfit_core.randomness import isolated_random_state
from setfit_core.training.arguments import TrainingArguments

logger = logging.getLogger(__name__)


class EmbeddingTrainer(SentenceTransformerTrainer):
    """sentence-transformers' trainer, whose logs say that their loss is the embedding phase's."""

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
    train_pairs: Dataset,
    eval_pairs: Dataset | None,
    callbacks: Sequence[TrainerCallback],
) -> list[dict[str, float]]:
    """Fine-tune the body and return the log history.

    The global random state is as before afterwards, and the body is in evaluation mode.
    """
    logger.info(
        "Embedding phase: %d pairs, batches of %d pairs, %d epochs.",
        len(train_pairs),
        args.embedding_batch_size,
        args.embedding_num_epochs,
    )
    output_dir = Path(args.output_dir)
    is_new = not output_dir.exists()
    with isolated_random_state(args.seed), limited_length(body, args.max_length):
        trainer = EmbeddingTrainer(
            model=body,
            args=_trainer_arguments(args, body, evaluate=eval_pairs is not None),
            train_dataset=train_pairs,
            eval_dataset=eval_pairs,
            loss=args.loss(body),
            callbacks=list(callbacks),
        )
        if not args.show_progress_bar:
            trainer.remove_callback(PrinterCallback)
        try:
            trainer.train()
        finally:
            body.eval()
            if is_new and args.save_strategy == "no":
                # transformers makes the folder all the same; one that something was written into stays.
                with contextlib.suppress(OSError):
                    output_dir.rmdir()
    history: list[dict[str, float]] = trainer.state.log_history
    return history


def _trainer_arguments(
    args: TrainingArguments, body: SentenceTransformer, *, evaluate: bool
) -> SentenceTransformerTrainingArguments:
    cuda = body.device.type == "cuda"
    return SentenceTransformerTrainingArguments(
        output_dir=args.output_dir,
        per_device_train_batch_size=args.embedding_batch_size,
        per_device_eval_batch_size=args.embedding_batch_size,
        num_train_epochs=args.embedding_num_epochs,
        max_steps=args.max_steps,
        learning_rate=args.body_embedding_learning_rate,
        # Below 1 it is a share of the steps; 1.0 would be a single step.
        warmup_steps=min(args.warmup_proportion, 1 - 1e-9),
        prompts=default_prompt(body),
        weight_decay=args.l2_weight,
        fp16=args.use_amp and cuda,
        bf16=args.use_amp and not cuda,
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
        metric_for_best_model=args.metric_for_best_model,
        greater_is_better=args.greater_is_better,
    )
