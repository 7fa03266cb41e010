import subprocess
import sys
from importlib.metadata import entry_points, requires

import numpy as np
import pluggy
import pytest
from setfit_head_prototype import PrototypeHead
from sklearn.exceptions import NotFittedError
from sklearn.metrics import log_loss


def require_same(one, other, embeddings):
    """Compare all that two heads answer, up to the rounding of sums."""
    assert [*map(repr, one.classes_.tolist())] == [*map(repr, other.classes_.tolist())]
    for method in ("predict_proba", "novelty"):
        np.testing.assert_allclose(getattr(one, method)(embeddings), getattr(other, method)(embeddings), rtol=1e-9)
    assert one.temperature_ == pytest.approx(other.temperature_, rel=1e-9)
    assert one.novelty_threshold_ == pytest.approx(other.novelty_threshold_, rel=1e-9)


# The package


def test_the_entry_point_leads_to_a_module_whose_hook_gives_the_class():
    (point,) = entry_points(group="setfit.heads", name="prototype")
    manager = pluggy.PluginManager("setfit")
    manager.register(point.load())
    assert manager.hook.setfit_head_factory() == [PrototypeHead]


def test_it_neither_imports_nor_requires_the_core():
    assert not [line for line in requires("setfit-head-prototype") if line.startswith("setfit")]
    code = (
        "import sys, setfit_head_prototype\n"
        "assert not {'numpy', 'scipy', 'sklearn', 'safetensors'} & sys.modules.keys()\n"
        "setfit_head_prototype.PrototypeHead().fit([[0, 1], [1, 0]], ['a', 'b'])\n"
        "assert not {'torch', 'setfit_core'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Probabilities


def test_probabilities_are_the_softmax_of_the_cosine_over_the_temperature():
    head = PrototypeHead(temperature=0.5).fit([[4, 0], [0, 1], [0, 9]], ["x", "y", "y"])
    odds = np.exp((np.cos(0.3) - np.sin(0.3)) / 0.5)
    found = head.predict_proba([[7 * np.cos(0.3), 7 * np.sin(0.3)]])
    np.testing.assert_allclose(found, [[odds / (odds + 1), 1 / (odds + 1)]], rtol=1e-6)
    assert head.predict([[1, 2]]).tolist() == ["y"]


@pytest.mark.parametrize("noise", [0.4, 0.8])
@pytest.mark.parametrize("several", [False, True])
def test_the_automatic_temperature_is_near_the_best_one_for_unseen_texts(problem, noise, several):
    embeddings, ids = problem(5, 200, noise=noise)
    labels = np.eye(5, dtype=int)[ids] if several else np.array(ids)
    seen = np.arange(len(ids)) % 4 == 0
    head = PrototypeHead().fit(embeddings[seen], labels[seen])

    def loss(temperature):
        found = PrototypeHead(temperature).fit(embeddings[seen], labels[seen]).predict_proba(embeddings[~seen])
        return log_loss(labels[~seen].ravel(), found.ravel() if several else found)

    assert loss(head.temperature_) < 1.01 * min(map(loss, np.geomspace(0.02, 2, 25)))


def test_examples_that_tell_nothing_leave_the_usual_temperature():
    head = PrototypeHead().fit(np.eye(3), [0, 1, 2])
    assert head.temperature_ == pytest.approx(0.1, rel=1e-2)


def test_zeros_and_numbers_of_any_size_have_probabilities(problem):
    embeddings, ids = problem()
    head = PrototypeHead().fit([*embeddings, np.zeros(8)], [*ids, 0])
    expected = head.predict_proba(embeddings)
    for scale in (1e-300, 1e300):
        np.testing.assert_allclose(head.predict_proba(embeddings * np.float64(scale)), expected)
    np.testing.assert_allclose(head.predict_proba(np.zeros((1, 8))), np.full((1, 3), 1 / 3))
    sharp = PrototypeHead(temperature=1e-6).fit(embeddings, ids)
    np.testing.assert_array_equal(sharp.predict_proba(embeddings).max(axis=1), 1)


# Learning further


@pytest.mark.parametrize("batches", [2, 5, 36])
def test_partial_fit_in_any_order_is_fit_on_everything(problem, batches):
    embeddings, ids = problem()
    weights = np.random.default_rng(1).uniform(0.5, 2, len(ids))
    whole = PrototypeHead().fit(embeddings, ids, weights)
    order = np.random.default_rng(2).permutation(len(ids))
    head = PrototypeHead()
    for part in np.array_split(order, batches):
        head.partial_fit(embeddings[part], np.array(ids)[part], sample_weight=weights[part])
    require_same(head, whole, embeddings)


def test_a_new_class_takes_its_place_among_the_sorted_ones(problem):
    embeddings, ids = problem()
    names = np.array(["b", "c", "a"])[ids]
    head = PrototypeHead().fit(embeddings[:24], names[:24])
    assert head.classes_.tolist() == ["b", "c"]
    head.partial_fit(embeddings[24:], names[24:])
    require_same(head, PrototypeHead().fit(embeddings, names), embeddings)
    assert (head.predict(embeddings) == names).mean() > 0.8


def test_a_class_that_is_only_named_has_a_column_of_zeros(problem):
    embeddings, ids = problem()
    head = PrototypeHead().partial_fit(embeddings, ids, classes=[2, -7, 1, 0])
    assert head.classes_.tolist() == [-7, 0, 1, 2]
    probabilities = head.predict_proba(embeddings)
    assert not probabilities[:, 0].any()
    plain = PrototypeHead().fit(embeddings, ids)
    np.testing.assert_allclose(probabilities[:, 1:], plain.predict_proba(embeddings))
    assert head.novelty_threshold_ == pytest.approx(plain.novelty_threshold_)
    head.partial_fit(-embeddings[:1], [-7])
    assert head.predict(-embeddings[:1]) == -7


def test_a_batch_without_weight_only_names_classes(problem):
    embeddings, ids = problem()
    head = PrototypeHead().fit(embeddings, ids)
    head.partial_fit(embeddings[:2], [0, 7], sample_weight=[0, 0])
    assert head.classes_.tolist() == [0, 1, 2, 7]
    require_same(head, PrototypeHead().partial_fit(embeddings, ids, classes=[7]), embeddings)
    rows = np.eye(3, dtype=int)[ids]
    head = PrototypeHead().fit(embeddings, rows).partial_fit(embeddings[:2], 1 - rows[:2], sample_weight=[0, 0])
    require_same(head, PrototypeHead().fit(embeddings, rows), embeddings)
    with pytest.raises(ValueError, match="All of sample_weight are 0"):
        PrototypeHead().partial_fit(embeddings, ids, sample_weight=np.zeros(36))


def test_negative_zeros_are_zeros():
    head = PrototypeHead().fit([[1, 0.0], [1, -0.0], [0.0, 1], [-0.0, 1]], [0, 0, 1, 1])
    assert head.examples_.weights.tolist() == [2, 2]
    assert not np.signbit(head.examples_.rows).any()


def test_fit_forgets(problem):
    embeddings, ids = problem()
    head = PrototypeHead().fit(embeddings[:, :4], np.eye(3, dtype=int)[ids]).fit(embeddings, ids)
    require_same(head, PrototypeHead().fit(embeddings, ids), embeddings)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["0", "1"], "of the type str, but those before were of the type int"),
        ([[0, 1], [1, 0]], "rows of 2, but those before were one a text"),
        ([0, None], "they hold NoneType, int"),
        ([0.5, 1.0], "fractions"),
        ([0], "2 embeddings but 1 labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused_and_change_nothing(problem, labels, said):
    embeddings, ids = problem()
    head = PrototypeHead().fit(embeddings, ids)
    with pytest.raises(ValueError, match=said):
        head.partial_fit(embeddings[:2], labels)
    require_same(head, PrototypeHead().fit(embeddings, ids), embeddings)


def test_embeddings_and_weights_that_do_not_fit_are_refused(problem):
    embeddings, ids = problem()
    head = PrototypeHead().fit(embeddings, ids)
    with pytest.raises(ValueError, match="have 7 columns, but those before had 8"):
        head.partial_fit(embeddings[:, :7], ids)
    with pytest.raises(ValueError, match="no embeddings"):
        head.partial_fit(embeddings[:0], [], classes=[0])
    with pytest.raises(ValueError, match="All of sample_weight are 0"):
        head.fit(embeddings, ids, np.zeros(36))
    for weights in (np.full(36, -1.0), np.full(36, np.nan), np.ones(35)):
        with pytest.raises(ValueError, match="sample_weight must be 36 numbers"):
            head.fit(embeddings, ids, weights)
    with pytest.raises(ValueError, match="too large to be added up"):
        head.fit(embeddings, ids, np.full(36, 1e307))


@pytest.mark.parametrize(
    "params",
    [
        {"temperature": 0},
        {"temperature": 1e-7},
        {"temperature": "cold"},
        {"temperature": 10**400},
        {"temperature": 1j},
        {"false_rejection_rate": 1.0},
    ],
)
def test_parameters_without_meaning_are_refused(problem, params):
    with pytest.raises(ValueError, match=next(iter(params))):
        PrototypeHead(**params).fit(*problem())


def test_weights_are_repetitions(problem):
    embeddings, ids = problem()
    counts = np.arange(36) % 4  # some not at all
    repeated = PrototypeHead().fit(np.repeat(embeddings, counts, axis=0), np.repeat(ids, counts))
    require_same(PrototypeHead().fit(embeddings, ids, counts), repeated, embeddings)


def left_out(embeddings, members, counts):
    """Cosines of each example and the mean of each group of all other examples, by the definition."""
    similarities = np.empty(members.shape)
    for place, row in enumerate(embeddings):
        rest = counts * (np.arange(len(counts)) != place)
        means = (members * rest[:, None]).T @ embeddings
        similarities[place] = row @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T
    return similarities


@pytest.mark.parametrize("several", [False, True])
def test_temperature_and_threshold_count_weights_as_copies(problem, several):
    embeddings, ids = problem(noise=0.8)
    embeddings = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype(np.float64)
    counts = 1 + np.arange(36) % 5
    rows = np.eye(3, dtype=int)[ids]
    head = PrototypeHead(false_rejection_rate=0.3).fit(embeddings, rows if several else ids, counts)
    similarities = left_out(embeddings, rows, counts)
    copies = np.repeat(np.arange(36), counts)  # of each, with all copies of an example left out together
    gaps = similarities - left_out(embeddings, 1 - rows, counts)
    odds = np.log(counts @ rows) - np.log(counts @ (1 - rows))

    def loss(temperature):
        if several:
            losses = np.logaddexp(0, (1 - 2 * rows) * (gaps / temperature + odds)).sum(axis=1)
        else:
            scaled = similarities / temperature
            losses = np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(36), ids]
        return losses[copies].sum() + (np.log(temperature / 0.1) / 0.5) ** 2 / 2

    assert head.temperature_ == pytest.approx(min(np.geomspace(0.02, 1, 4000), key=loss), rel=5e-3)
    novelties = np.sort(1 - similarities.max(axis=1)[copies])
    place = int(np.ceil(0.7 * (len(copies) + np.mean(counts[copies]))))
    assert head.novelty_threshold_ == pytest.approx(novelties[place - 1], rel=1e-6)


def test_examples_of_hardly_any_weight_hardly_calibrate(problem):
    embeddings, ids = problem(4, 50, noise=0.1)
    junk = np.random.default_rng(0).normal(size=embeddings.shape)
    for labels in (np.array(ids), np.eye(4, dtype=int)[ids]):
        plain = PrototypeHead().fit(embeddings, labels)
        weights = np.repeat([1, 1e-6], 200)
        head = PrototypeHead().fit(np.vstack([embeddings, junk]), np.concatenate([labels, labels]), weights)
        assert head.temperature_ == pytest.approx(plain.temperature_, rel=1e-2)
        assert head.novelty_threshold_ == pytest.approx(plain.novelty_threshold_, rel=1e-2)


def test_equal_weights_of_any_size_keep_the_threshold(problem):
    embeddings, ids = problem(2, 12)
    for rate, fits in ((0.05, True), (0.03, False)):  # 24 texts promise 5 %, not 3 %
        head = PrototypeHead(false_rejection_rate=rate)
        plain = head.fit(embeddings, ids).novelty_threshold_
        assert np.isfinite(plain) == fits
        for weight in (1e-290, 0.3, 1000, 1e290):
            assert head.fit(embeddings, ids, np.full(24, weight)).novelty_threshold_ == plain


@pytest.mark.parametrize("seed", range(5))
def test_what_is_left_of_the_mean_of_a_label_is_exact_or_has_no_direction(seed):
    heavy, other, third = np.random.default_rng(seed).normal(size=(3, 8))
    head = PrototypeHead(false_rejection_rate=0.75)
    head.fit([heavy, other, -other, third], [[1], [1], [1], [0]])  # nothing is left without the first
    assert head.novelty_threshold_ == 1
    head.fit([heavy, other, third], [[1], [1], [0]], [1e6, 1, 1])
    cosine = heavy @ other / np.linalg.norm(heavy) / np.linalg.norm(other)
    assert head.novelty_threshold_ == pytest.approx(1 - cosine, rel=1e-3)


def test_weights_that_rounding_would_swallow_are_refused(problem):
    embeddings, ids = problem()
    weights = np.where(np.arange(36) == 5, 2e6, 1)
    with pytest.raises(ValueError, match=r"by a factor of 2e\+06, and 1e\+06 is the most"):
        PrototypeHead().fit(embeddings, ids, weights)
    head = PrototypeHead().fit(embeddings, ids)
    with pytest.raises(ValueError, match="Leave out"):
        head.partial_fit(embeddings[:1] + 1, ids[:1], sample_weight=[1e-12])
    require_same(head, PrototypeHead().fit(embeddings, ids), embeddings)


@pytest.mark.parametrize("names", [["", "a", "a\0"], [-(2**70), 0, 7], [0.0, 2.0, 5.0], [False, True]])
def test_labels_of_any_kind_come_back(problem, names):
    embeddings, ids = problem(len(names), noise=0.05)
    labels = [names[number] for number in ids][::-1]
    head = PrototypeHead().fit(embeddings[::-1], labels)
    assert [*map(repr, head.predict(embeddings[::-1]).tolist())] == [*map(repr, labels)]


# Several labels a text


def test_each_label_is_a_choice_between_the_texts_with_it_and_those_without(problem):
    embeddings, ids = problem(4, 30)
    rows = np.array([[0, 0, 1, 0, 1], [1, 0, 1, 0, 1], [0, 1, 1, 0, 1], [1, 1, 0, 0, 1]])[ids]
    head = PrototypeHead(temperature=0.2).fit(embeddings, rows)
    probabilities = head.predict_proba(embeddings)
    for label, odds in enumerate((1, 1, 3)):  # how often it is there against not
        without, having = PrototypeHead(temperature=0.2).fit(embeddings, rows[:, label]).predict_proba(embeddings).T
        np.testing.assert_allclose(probabilities[:, label], odds * having / (odds * having + without))
    assert not probabilities[:, 3].any()  # no text has it
    assert (probabilities[:, 4] == 1).all()  # all have it
    np.testing.assert_array_equal(head.predict(embeddings), probabilities > 0.5)


def test_partial_fit_learns_rows_too(problem):
    embeddings, ids = problem(4, 30)
    rows = np.array([[0, 0, 0], [1, 0, 1], [0, 1, 1], [1, 1, 0]])[ids]
    head = PrototypeHead()
    for part in np.array_split(np.random.default_rng(0).permutation(120), 4):
        head.partial_fit(embeddings[part], rows[part].tolist(), classes=[0, 1, 2])
    require_same(head, PrototypeHead().fit(embeddings, rows), embeddings)
    with pytest.raises(ValueError, match="rows of 2, but those before were rows of 3"):
        head.partial_fit(embeddings, rows[:, :2])
    for wrong in (rows + 1, [[0, 1], [1]], rows[:, :0]):
        with pytest.raises(ValueError, match="rows of 0 and 1"):
            head.fit(embeddings[: len(wrong)], wrong)


# None of these


@pytest.mark.parametrize("rate", [0.05, 0.2])
@pytest.mark.parametrize("several", [False, True])
def test_as_many_texts_of_known_classes_are_rejected_as_promised(problem, rate, several):
    rejected = []
    for seed in range(20):
        embeddings, ids = problem(4, 520, size=16, seed=seed)
        labels = np.eye(4, dtype=int)[ids] if several else np.array(ids)
        known = np.arange(len(ids)) % 520 < 20
        head = PrototypeHead(false_rejection_rate=rate).fit(embeddings[known], labels[known])
        rejected.append(1 - head.is_known(embeddings[~known]).mean())
    assert 0.6 * rate < np.mean(rejected) < 1.15 * rate


def test_other_directions_are_novel(problem):
    embeddings, ids = problem(4, 20, size=16, noise=0.1)
    head = PrototypeHead().fit(embeddings, ids)
    stranger = problem(16, 20, size=16, noise=0.1)[0][80:]  # the same four directions, and twelve others
    assert not head.is_known(stranger).any()
    assert head.novelty(stranger).min() > head.novelty_threshold_ > np.median(head.novelty(embeddings))
    assert set(head.predict(stranger)) <= {0, 1, 2, 3}


def test_too_few_examples_reject_nothing(problem):
    embeddings, ids = problem(2, 9)
    head = PrototypeHead(false_rejection_rate=0.05).fit(embeddings, ids)  # of 18 texts none is one in twenty
    stranger = -embeddings.sum(axis=0, keepdims=True)
    assert head.is_known(stranger)
    assert not head.set_params(false_rejection_rate=0.06).fit(embeddings, ids).is_known(stranger)
    assert head.set_params(false_rejection_rate=0).fit(embeddings, ids).is_known(stranger)


def test_a_single_example_and_copies_of_one_do_not_calibrate(problem):
    embeddings, ids = problem(2, 30)
    plain = PrototypeHead().fit(embeddings, ids)
    single = -embeddings.sum(axis=0)
    head = PrototypeHead().fit([*embeddings, single, single], [*ids, 2, 2])
    assert head.novelty_threshold_ == pytest.approx(plain.novelty_threshold_)
    assert head.is_known([single]).all()


def test_texts_without_any_label_do_not_calibrate(problem):
    embeddings, ids = problem(4, 30)
    rows = np.eye(4, dtype=int)[ids][:, :3]
    head = PrototypeHead().fit(embeddings, rows)
    assert head.novelty_threshold_ == pytest.approx(PrototypeHead().fit(embeddings[:90], rows[:90]).novelty_threshold_)


def test_of_very_many_examples_evenly_spaced_ones_calibrate(problem, monkeypatch):
    embeddings, ids = problem(4, 250)
    whole = PrototypeHead(false_rejection_rate=0.5).fit(embeddings, ids)
    monkeypatch.setattr("setfit_head_prototype.calibration.MOST_SIMILARITIES", 2000)
    half = PrototypeHead(false_rejection_rate=0.5).fit(embeddings, ids)
    assert half.novelty_threshold_ != whole.novelty_threshold_
    assert half.novelty_threshold_ == pytest.approx(whole.novelty_threshold_, rel=0.05)
    assert half.temperature_ == pytest.approx(whole.temperature_, rel=0.1)


def test_an_unfitted_head_says_so():
    for method in ("predict", "predict_proba", "novelty", "is_known"):
        with pytest.raises(NotFittedError):
            getattr(PrototypeHead(), method)(np.eye(2))
