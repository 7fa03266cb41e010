"""The strategies for authors of heads: what they draw, and that it can be used."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import find, given, settings
from hypothesis import strategies as st
from setfit_head_linear import SetFitHead
from sklearn.naive_bayes import GaussianNB

from setfit_core.testing import strategies
from setfit_core.testing.strategies import FewShotProblem

few = settings(max_examples=60, database=None, deadline=None, derandomize=True)
quick = settings(max_examples=300, database=None, derandomize=True)


@few
@given(strategies.few_shot_problems())
def test_a_few_shot_problem_is_as_it_says(problem):
    rows, size = sum(problem.counts), problem.embedding_size
    assert 2 <= problem.num_classes <= 8
    assert all(1 <= count <= 6 for count in problem.counts)
    assert 1 <= size <= 32
    assert problem.embeddings.shape == (rows, size)
    assert problem.embeddings.dtype == problem.questions.dtype == np.float32
    assert problem.labels.dtype == np.int64
    assert np.bincount(problem.labels).tolist() == list(problem.counts)
    assert problem.questions.shape[1] == size
    assert len(problem.questions) > rows
    assert np.isfinite(problem.embeddings).all()
    assert np.isfinite(problem.questions).all()
    assert (problem.embeddings.max(axis=0) > problem.embeddings.min(axis=0)).any()


@few
@given(strategies.few_shot_problems())
def test_the_text_of_a_problem_makes_it_again(problem):
    again = eval(repr(problem))
    assert again == problem
    assert (again.embeddings == problem.embeddings).all()
    assert (again.labels == problem.labels).all()
    assert (again.questions == problem.questions).all()


def test_what_is_as_usual_is_left_out_of_the_text():
    assert repr(FewShotProblem((1, 2), 8)) == "FewShotProblem(counts=(1, 2), embedding_size=8)"
    assert str(FewShotProblem((1, 2), 8, scale=30.0)) == "FewShotProblem(counts=(1, 2), embedding_size=8, scale=30.0)"


@few
@given(strategies.few_shot_problems(num_classes=3, embedding_size=5, max_per_class=2))
def test_sizes_can_be_given(problem):
    assert problem.num_classes == 3
    assert problem.embedding_size == 5
    assert max(problem.counts) <= 2


def test_a_few_shot_problem_has_the_features_that_it_names():
    plain = FewShotProblem((3, 3), 6)
    close = {"rtol": 1e-4, "atol": 1e-5}
    assert np.allclose(FewShotProblem((3, 3), 6, scale=30.0).embeddings, 30 * plain.embeddings, **close)
    assert np.allclose(FewShotProblem((3, 3), 6, offset=-10.0).embeddings, plain.embeddings - 10, **close)
    normed = FewShotProblem((3, 3), 6, unit_norm=True)
    assert np.allclose(np.linalg.norm(normed.embeddings, axis=1), 1, **close)
    assert np.allclose(np.linalg.norm(normed.questions, axis=1), 1, **close)
    for constant in (FewShotProblem((3, 3), 6, constant_feature=True, unit_norm=norm) for norm in (False, True)):
        both = np.concatenate([constant.embeddings, constant.questions])
        assert (both == both[0]).all(axis=0).sum() == 1
    double = FewShotProblem((3, 3), 6, duplicates=True)
    assert len(np.unique(double.embeddings, axis=0)) == 4
    assert len(np.unique(plain.embeddings, axis=0)) == 6
    assert not np.array_equal(FewShotProblem((3, 3), 6, seed=1).embeddings, plain.embeddings)


@pytest.mark.parametrize(
    "sought",
    [
        lambda problem: max(problem.counts) == 1,
        lambda problem: len(set(problem.counts)) > 1,
        lambda problem: problem.embedding_size == 1,
        lambda problem: problem.unit_norm,
        lambda problem: problem.constant_feature,
        lambda problem: problem.duplicates,
        lambda problem: problem.scale == 1e-3,
        lambda problem: problem.scale == 1e3,
        lambda problem: problem.offset != 0,
    ],
)
def test_every_kind_of_problem_is_drawn(sought):
    find(strategies.few_shot_problems(), sought, settings=quick)


@few
@given(strategies.few_shot_problems())
def test_a_head_learns_what_is_drawn(problem):
    head = GaussianNB().fit(problem.embeddings, problem.labels.tolist())
    probabilities = head.predict_proba(problem.questions)
    assert probabilities.shape == (len(problem.questions), problem.num_classes)
    assert np.allclose(probabilities.sum(axis=1), 1)


@few
@given(strategies.embeddings(), st.data())
def test_embeddings_are_finite_floats(drawn, data):
    assert drawn.dtype == np.float32
    assert 1 <= len(drawn) <= 16
    assert 1 <= drawn.shape[1] <= 32
    assert np.isfinite(drawn).all()
    asked = data.draw(strategies.embeddings(num_inputs=3, embedding_size=7, dtype=np.float64))
    assert asked.shape == (3, 7)
    assert asked.dtype == np.float64


@few
@given(strategies.class_ids(), st.data())
def test_class_ids_are_contiguous(drawn, data):
    assert drawn.dtype == np.int64
    assert 2 <= len(np.unique(drawn)) <= min(8, len(drawn))
    assert set(drawn.tolist()) == set(range(drawn.max() + 1))
    assert set(data.draw(strategies.class_ids(num_inputs=5, num_classes=4)).tolist()) == {0, 1, 2, 3}
    assert len(data.draw(strategies.class_ids(num_inputs=2))) == 2
    assert len(data.draw(strategies.class_ids(num_classes=20))) == 20


@few
@given(strategies.labels(), st.data())
def test_labels_are_of_one_type(drawn, data):
    assert isinstance(drawn, list)
    assert 2 <= len(drawn) <= 16
    assert len({type(label) for label in drawn}) == 1
    asked = data.draw(strategies.labels(num_inputs=9, num_classes=3))
    assert len(asked) == 9
    assert len(set(asked)) == 3


@pytest.mark.parametrize("kind", [str, int, bool, np.int64, np.str_])
def test_every_type_of_label_is_drawn(kind):
    assert type(find(strategies.labels(), lambda drawn: type(drawn[0]) is kind, settings=quick)[0]) is kind


@few
@given(strategies.body_outputs(), st.data())
def test_body_outputs_are_those_of_a_body(drawn, data):
    sentences, tokens, mask = (drawn[key] for key in ("sentence_embedding", "token_embeddings", "attention_mask"))
    rows, size = sentences.shape
    assert tokens.shape == (rows, mask.shape[1], size)
    assert drawn["input_ids"].shape == drawn["token_type_ids"].shape == mask.shape == (rows, mask.shape[1])
    means = (tokens * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    assert torch.allclose(means, sentences, rtol=1e-3, atol=1e-3 * float(sentences.abs().max()))
    logits = SetFitHead(size, 3, device="cpu")(drawn)["logits"]
    assert logits.shape == (rows, 3)
    asked = data.draw(strategies.body_outputs(batch_size=2, embedding_size=4, dtype=torch.float64))
    assert asked["sentence_embedding"].shape == (2, 4)
    assert asked["token_embeddings"].dtype == torch.float64


DRAWS = """
import sys
from sklearn.naive_bayes import GaussianNB
from setfit_core.testing import check_head

seen = []

class Records(GaussianNB):
    def fit(self, embeddings, labels):
        seen.append((embeddings.shape, float(embeddings.sum()), labels))
        return super().fit(embeddings, labels)

for unrelated in sys.argv[1:]:
    __import__(unrelated)
report = check_head(Records, only=["few-shot-problems", "state-machine"])
assert report.ok, report
print(len(seen), seen)
"""


@pytest.mark.slow
def test_what_the_suite_draws_depends_on_the_seed_alone_and_leaves_no_files(tmp_path):
    (tmp_path / "full_of_numbers.py").write_text(f"NUMBERS = {list(range(3, 40))}\n")
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "CI": "true", "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"}
    outputs = []
    for modules, folder in (([], "one"), (["full_of_numbers"], "other")):
        (tmp_path / folder).mkdir()
        command = [sys.executable, "-c", DRAWS, *modules]
        run = subprocess.run(command, cwd=tmp_path / folder, env=environment, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert not list(Path(tmp_path / folder).iterdir())
        outputs.append(run.stdout)
    assert outputs[0] == outputs[1]
    assert int(outputs[0].split()[0]) > 60
