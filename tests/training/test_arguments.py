"""Training arguments mean what they say, or are refused at once."""

from __future__ import annotations

import pytest

from setfit_core import TrainingArguments
from setfit_core.errors import ArgumentError


def test_the_defaults_train_on_labelled_texts():
    args = TrainingArguments()
    assert args.loss is None
    assert not args.asks_for_pairs
    assert (args.classifier_batch_size, args.num_epochs) == (2, (1, 16))
    assert (args.body_classifier_learning_rate, args.classifier_l2_weight) == (1e-5, 0.01)
    assert args.head_learning_rate == 1e-2
    assert (args.warmup_proportion, args.seed, args.max_steps, args.precision) == (0.1, 42, -1, "auto")
    assert (args.report_to, args.save_strategy) == ("none", "no")
    assert (args.end_to_end, args.max_length) == (False, None)


def test_a_single_value_sets_both_phases():
    args = TrainingArguments(batch_size=32, num_epochs=3, body_learning_rate=1e-4)
    assert (args.batch_size, args.classifier_batch_size) == ((32, 32), 32)
    assert (args.num_epochs, args.classifier_num_epochs) == ((3, 3), 3)
    assert (args.body_learning_rate, args.body_classifier_learning_rate) == ((1e-4, 1e-4), 1e-4)


def test_a_pair_sets_each_phase_and_none_leaves_one_to_the_default():
    args = TrainingArguments(batch_size=(32, 16), num_epochs=(3, 8), body_learning_rate=(2e-5, None))
    assert (args.batch_size, args.classifier_batch_size) == ((32, 16), 16)
    assert (args.num_epochs, args.classifier_num_epochs) == ((3, 8), 8)
    assert (args.body_learning_rate, args.body_classifier_learning_rate) == ((2e-5, None), 1e-5)


def test_integer_rates_and_zero_weight_are_what_they_are():
    args = TrainingArguments(body_learning_rate=1, head_learning_rate=1, l2_weight=0.0)
    assert args.body_learning_rate == (1.0, 1.0)
    assert args.head_learning_rate == 1.0
    assert args.l2_weight == 0.0
    assert TrainingArguments(body_learning_rate=(1, 0)).body_learning_rate == (1.0, 0.0)


def test_the_best_body_is_chosen_by_a_name():
    both = {"eval_strategy": "epoch", "save_strategy": "epoch", "load_best_model_at_end": True}
    for name in ("accuracy", "eval_accuracy"):
        assert TrainingArguments(**both, metric_for_best_model=name).best_metric == "accuracy"
    with pytest.raises(ArgumentError, match="metric_for_best_model is 7. Give a name"):
        TrainingArguments(metric_for_best_model=7)


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [("embedding_loss", None, False), ("accuracy", None, True), ("accuracy", False, False), ("log_loss", None, False)],
)
def test_a_larger_value_is_better_unless_it_is_a_loss(name, given, expected):
    arguments = TrainingArguments(metric_for_best_model=name, greater_is_better=given)
    assert arguments.greater_is_better_or_default is expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"batch_size": 0}, "batch_size is 0"),
        ({"batch_size": (16, 2, 2)}, "batch_size has 3 values"),
        ({"batch_size": 1.5}, "batch_size is 1.5"),
        ({"num_epochs": -1}, "num_epochs is -1"),
        ({"num_epochs": None}, "num_epochs is None"),
        ({"body_learning_rate": -1e-5}, "body_learning_rate is -1e-05"),
        ({"body_learning_rate": "fast"}, "body_learning_rate is 'fast'"),
        ({"head_learning_rate": float("nan")}, "head_learning_rate is nan"),
        ({"l2_weight": -0.1}, "l2_weight is -0.1"),
        ({"precision": "float16"}, "precision is 'float16'"),
        ({"precision": "float32", "use_amp": True}, "use_amp=True asks for mixed precision"),
        ({"samples_per_label": 0}, "samples_per_label is 0"),
        ({"gradient_accumulation_steps": 0}, "gradient_accumulation_steps is 0"),
        ({"distance_metric": "cosine"}, "distance_metric is 'cosine'"),
        ({"warmup_proportion": 1.5}, "warmup_proportion is 1.5"),
        ({"sampling_strategy": "all"}, "sampling_strategy is 'all'.*'unique'"),
        ({"eval_strategy": "often"}, "eval_strategy is 'often'"),
        ({"max_steps": 0}, "max_steps is 0.*-1 for no limit"),
        ({"max_length": 0}, "max_length is 0"),
        ({"num_iterations": 0}, "num_iterations is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": True}, "seed is True"),
        ({"loss": "cosine"}, "loss is 'cosine'"),
        ({"load_best_model_at_end": True}, "Set both to 'steps' or both to 'epoch'"),
        (
            {
                "load_best_model_at_end": True,
                "eval_strategy": "steps",
                "save_strategy": "steps",
                "eval_steps": 7,
                "save_steps": 10,
            },
            "no multiple of eval_steps=7",
        ),
    ],
)
def test_senseless_values_are_refused_with_the_name_and_the_way_out(arguments, words):
    with pytest.raises(ArgumentError, match=words):
        TrainingArguments(**arguments)


def test_the_folder_may_come_first_and_everything_else_by_name():
    assert TrainingArguments("here").output_dir == "here"
    with pytest.raises(TypeError):
        TrainingArguments("here", 16)


def test_arguments_travel_as_a_mapping():
    args = TrainingArguments(batch_size=(4, 8), seed=7)
    assert TrainingArguments.from_dict(args.to_dict()) == args
    assert args.copy() == args
    assert args.update({"seed": 9}).seed == 9
    assert args.seed == 7
    with pytest.raises(ArgumentError, match="learning_rat"):
        TrainingArguments.from_dict({"learning_rat": 1})
    assert TrainingArguments.from_dict({"learning_rat": 1, "seed": 3}, ignore_extra=True).seed == 3
