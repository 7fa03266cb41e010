"""The embedding phase on a real transformer: same results by less work, and a body that is whole at any time."""

from __future__ import annotations

import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer import losses
from transformers import TrainerCallback

from setfit_core import SetFitModel, Trainer, TrainingArguments
from setfit_core.errors import ArgumentError, InputError
from setfit_core.losses import SupConLoss
from setfit_core.training import embedding_phase
from setfit_core.training.word_table import used_rows

TEXTS = ["a goal", "the striker scored", "what a match", "stir the soup", "fresh garlic", "bread and butter"]
LABELS = ["sport"] * 3 + ["food"] * 3
QUIET = {"show_progress_bar": False, "logging_strategy": "no", "precision": "float32"}


@pytest.fixture
def trained(minilm_path, tmp_path):
    def train(labels=LABELS, callbacks=(), strategy=None, **arguments):
        model = SetFitModel(SentenceTransformer(str(minilm_path), device="cpu"), multi_target_strategy=strategy)
        args = TrainingArguments(str(tmp_path / "out"), **{**QUIET, "max_steps": 3, **arguments})
        trainer = Trainer(model=model, args=args, train_dataset=(TEXTS, labels), callbacks=list(callbacks))
        trainer.train_embeddings()
        return trainer

    return train


def word_table(model):
    return model.model_body[0].auto_model.get_input_embeddings().weight


def test_training_the_used_rows_alone_gives_the_same_body(trained, monkeypatch):
    cut = trained().model.model_body.state_dict()
    monkeypatch.setattr(embedding_phase, "used_rows", lambda *_args, **_options: None)
    whole = trained().model.model_body.state_dict()
    assert cut.keys() == whole.keys()
    for name, values in whole.items():
        torch.testing.assert_close(cut[name], values, atol=1e-6, rtol=1e-5)  # one step moves by 2e-4


def test_a_step_brings_the_table_up_to_date_and_clears_the_gradient(minilm_path):
    body = SentenceTransformer(str(minilm_path), device="cpu")
    rows = used_rows(body, TEXTS, weight_decay=0.0)
    optimizer = torch.optim.SGD([rows.rows], lr=0.1)
    optimizer.register_step_post_hook(lambda *_: rows.stepped())
    before = rows.table.weight.detach().clone()
    with rows.training():
        body(body.preprocess(TEXTS))["sentence_embedding"].sum().backward()
        assert rows.rows.grad is not None
        optimizer.step()
    assert rows.rows.grad is None
    assert (before != rows.table.weight).any(dim=1).sum() == len(rows.rows) - 1  # all but the padding


def test_a_callback_may_embed_texts_that_are_not_trained_on(trained):
    seen = []

    class Embed(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            seen.append(model(model.preprocess(["zebra quantum xylophone"]))["sentence_embedding"])

    trained(callbacks=[Embed()])
    assert len(seen) == 3
    assert all(embedding.isfinite().all() for embedding in seen)


def test_unused_rows_stay_and_used_ones_are_trained(trained, minilm_path):
    before = SentenceTransformer(str(minilm_path), device="cpu")
    used = before.preprocess(TEXTS)["input_ids"].unique()
    old, new = word_table(SetFitModel(before)), word_table(trained().model)
    changed = (old != new).any(dim=1).nonzero().flatten()
    padding = before.tokenizer.pad_token_id
    assert set(changed.tolist()) == set(used.tolist()) - {padding}
    assert new.requires_grad


def test_the_table_is_whole_in_callbacks_and_checkpoints(trained, tmp_path):
    seen = []

    class Look(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            seen.append(model[0].auto_model.get_input_embeddings().weight.detach().clone())

    trainer = trained(callbacks=[Look()], save_strategy="steps", save_steps=2, save_total_limit=None)
    assert not torch.equal(seen[0], seen[1])
    checkpoint = SentenceTransformer(str(tmp_path / "out" / "checkpoint-2"), device="cpu")
    torch.testing.assert_close(word_table(SetFitModel(checkpoint)), seen[1])
    torch.testing.assert_close(word_table(trainer.model), seen[2])


def test_an_exception_leaves_a_body_that_can_be_trained_on(trained):
    bodies = []

    class Stop(TrainerCallback):
        def on_step_end(self, args, state, control, model=None, **kwargs):
            bodies.append(model)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(callbacks=[Stop()])
    transformer = bodies[0][0].auto_model
    assert transformer.get_input_embeddings().weight.requires_grad
    assert not transformer.get_input_embeddings()._forward_hooks
    assert transformer.config._attn_implementation == "sdpa"


def test_weight_decay_reaches_unused_rows(trained, minilm_path):
    old = word_table(SetFitModel(SentenceTransformer(str(minilm_path), device="cpu")))
    assert (old != word_table(trained(l2_weight=0.5).model)).any(dim=1).all()


def test_the_work_is_counted(trained, minilm_path):
    work = trained(max_steps=-1, num_epochs=2).embedding_work
    body = SentenceTransformer(str(minilm_path), device="cpu")
    tokens = int(body.preprocess(TEXTS)["attention_mask"].sum())
    assert (work.steps, work.texts, work.tokens) == (16, 96, 16 * tokens)  # 8 passes an epoch
    assert work.padded_tokens >= work.tokens


def test_bfloat16_trains_to_nearly_the_same_body(trained):
    exact, fast = (trained(precision=precision).model for precision in ("float32", "bfloat16"))
    assert word_table(fast).dtype == torch.float32
    a, b = (torch.as_tensor(model.encode(TEXTS)) for model in (exact, fast))
    assert torch.cosine_similarity(a, b).min() > 0.99
    assert not torch.equal(a, b)


LOSSES = {
    "labelled texts": losses.BatchHardTripletLoss,
    "labelled texts, all pairs": SupConLoss,
    "scored pairs": losses.CosineSimilarityLoss,
    "positive pairs": losses.MultipleNegativesRankingLoss,
    "triplets": losses.TripletLoss,
    "wrapped": lambda body: losses.MatryoshkaLoss(body, losses.MultipleNegativesRankingLoss(body), [384, 64]),
}


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_other_losses_bring_a_class_together(trained, loss, minilm_path):
    def gap(model):
        embeddings = torch.nn.functional.normalize(torch.as_tensor(model.encode(TEXTS)), dim=1)
        cosines = embeddings @ embeddings.T
        return cosines[::2, ::2].mean() - cosines[::2, 1::2].mean()

    before = gap(SetFitModel(SentenceTransformer(str(minilm_path), device="cpu")))
    mixed = ["even", "odd"] * 3  # unlike what the body knows already
    assert gap(trained(labels=mixed, loss=loss, max_steps=8, body_learning_rate=2e-4).model) > before + 0.05


def test_a_loss_that_classifies_pairs_trains_the_body(trained, minilm_path):
    old = word_table(SetFitModel(SentenceTransformer(str(minilm_path), device="cpu")))
    trainer = trained(loss=lambda body: losses.SoftmaxLoss(body, 384, 2), l2_weight=0.0)
    assert not torch.equal(old, word_table(trainer.model))


def test_the_weights_of_a_loss_depend_on_the_seed_alone(trained):
    def loss(body):
        return losses.SoftmaxLoss(body, 384, 2)

    bodies = []
    for state in (1, 2):
        torch.manual_seed(state)
        bodies.append(trained(loss=loss).model.model_body)
        assert torch.equal(torch.rand(2), torch.rand(2, generator=torch.Generator().manual_seed(state)))
    first, second = (torch.as_tensor(body.encode(TEXTS)) for body in bodies)
    assert torch.equal(first, second)


def test_labels_of_one_text_each_are_trained_on(trained, minilm_path):
    # With twelve labels the default would be SupConLoss, to which such texts say nothing.
    old = word_table(SetFitModel(SentenceTransformer(str(minilm_path), device="cpu")))
    model = SetFitModel(SentenceTransformer(str(minilm_path), device="cpu"))
    texts = [f"{text}, {time}" for text in TEXTS for time in ("today", "soon")]
    trainer = Trainer(
        model=model, args=TrainingArguments(**QUIET, max_steps=2), train_dataset=(texts, list(range(len(texts))))
    )
    trainer.train_embeddings()
    assert not torch.equal(old, word_table(model))


def test_positive_pairs_need_two_of_them_that_differ(trained):
    loss = losses.MultipleNegativesRankingLoss
    with pytest.raises(InputError, match="two texts of each of two labels, and the training texts have no such"):
        trained(labels=["x"] * 4 + ["y", "z"], loss=loss)
    with pytest.raises(ArgumentError, match="batch_size is 1.*Give 2 or more"):
        trained(loss=loss, batch_size=1)


def test_a_loss_that_learns_without_labels_is_refused(trained):
    with pytest.raises(ArgumentError, match="MSELoss does not learn from labels"):
        trained(loss=losses.MSELoss)


def test_several_labels_a_text_are_trained_on(trained):
    labels = [[1, 0], [1, 0], [1, 1], [0, 1], [0, 1], [0, 1]]
    assert trained(labels=labels, strategy="one-vs-rest").embedding_work.steps == 3
    for loss in (losses.BatchHardTripletLoss, losses.MultipleNegativesRankingLoss, losses.TripletLoss):
        with pytest.raises(InputError, match=f"{loss.__name__} takes one label a text"):
            trained(labels=labels, strategy="one-vs-rest", loss=loss)


def test_arguments_that_do_not_fit_the_loss_are_refused(trained):
    with pytest.raises(ArgumentError, match="choose pairs of texts"):
        trained(loss=SupConLoss, num_iterations=2)
    with pytest.raises(ArgumentError, match="batch_size is 3.*Give 4 or more"):
        trained(batch_size=3)
