import copy
import subprocess
import sys
import warnings
from importlib.metadata import entry_points, requires

import pytest
import torch
from setfit_head_linear import SetFitHead
from torch import nn


@pytest.fixture
def embeddings():
    return torch.randn(7, 16, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def head():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return SetFitHead(in_features=16, out_features=3, device="cpu")


def test_the_entry_point_leads_to_the_class():
    (point,) = (
        point for point in entry_points(group="setfit.heads", name="linear") if point.dist.name == "setfit-head-linear"
    )
    assert point.load() is SetFitHead


def test_it_neither_imports_nor_requires_the_core():
    assert [line.split(">")[0] for line in requires("setfit-head-linear")] == ["torch"]
    code = "import sys, setfit_head_linear; assert 'setfit_core' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_repr_is_the_documented_one():
    head = SetFitHead(in_features=384, device="cpu")
    assert repr(head) == (
        "SetFitHead({'in_features': 384, 'out_features': 2, 'temperature': 1.0, 'bias': True, 'device': 'cpu'})"
    )


def test_weights_start_xavier_uniform_and_the_bias_at_a_hundredth():
    head = SetFitHead(in_features=300, out_features=100, device="cpu")
    bound = (6 / (300 + 100)) ** 0.5
    weight = head.linear.weight
    assert weight.abs().max() <= bound
    assert weight.abs().max() > 0.99 * bound
    assert torch.equal(head.linear.bias, torch.full((100,), 1e-2))
    assert SetFitHead(in_features=4, bias=False, device="cpu").linear.bias is None


@pytest.mark.parametrize(("temperature", "eps"), [(1.0, 1e-5), (0.25, 0.5)])
def test_logits_are_divided_by_temperature_plus_eps(embeddings, temperature, eps):
    head = SetFitHead(16, 3, temperature=temperature, eps=eps, device="cpu")
    logits = head({"sentence_embedding": embeddings})["logits"]
    assert torch.equal(logits, head.linear(embeddings) / (temperature + eps))
    assert torch.equal(head.predict_proba(embeddings), logits.detach().softmax(-1))


def test_forward_reads_one_key_and_leaves_the_features_alone(head, embeddings):
    class OnDemand(dict):
        def __iter__(self):
            raise AssertionError("the head went through all keys")

        keys = items = values = __iter__

        def __getitem__(self, key):
            assert key == "sentence_embedding"
            return embeddings

    features = OnDemand()
    output = head(features)
    assert output is not features
    assert set(output) == {"logits"}
    assert len(features) == 0


def test_predictions_agree_with_probabilities(head, embeddings):
    probabilities = head.predict_proba(embeddings)
    predicted = head.predict(embeddings)
    assert probabilities.shape == (7, 3)
    torch.testing.assert_close(probabilities.sum(-1), torch.ones(7))
    assert predicted.dtype == torch.int64
    assert torch.equal(predicted, probabilities.argmax(-1))
    assert not probabilities.requires_grad


def test_predicting_changes_neither_mode_nor_weights_nor_random_state(head, embeddings):
    before, state = copy.deepcopy(head.state_dict()), torch.get_rng_state()
    for training in (True, False):
        head.train(training)
        head.predict(embeddings)
        head.predict_proba(embeddings)
        assert head.training is training
    assert all(torch.equal(before[key], value) for key, value in head.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_any_floating_dtype_is_taken_and_the_head_keeps_its_own(head, embeddings, dtype):
    assert head.predict(embeddings.to(dtype)).shape == (7,)
    assert head.predict_proba(embeddings.to(dtype)).dtype == torch.float32
    assert head({"sentence_embedding": embeddings.to(dtype)})["logits"].dtype == torch.float32


@pytest.mark.parametrize("multitarget", [False, True])
def test_no_inputs_give_no_outputs(multitarget):
    head = SetFitHead(16, 3, device="cpu", multitarget=multitarget)
    assert head.predict(torch.zeros(0, 16)).shape == ((0, 3) if multitarget else (0,))
    assert head.predict_proba(torch.zeros(0, 16)).shape == (0, 3)


def test_several_labels_a_text(embeddings):
    head = SetFitHead(16, 3, device="cpu", multitarget=True)
    probabilities = head.predict_proba(embeddings)
    assert torch.equal(probabilities, head({"sentence_embedding": embeddings})["logits"].detach().sigmoid())
    predicted = head.predict(embeddings)
    assert predicted.dtype == torch.int64
    assert torch.equal(predicted, (probabilities >= 0.5).long())
    with torch.no_grad():
        head.linear.weight.zero_()
        head.linear.bias.zero_()
    assert head.predict(embeddings).min() == 1  # exactly 0.5 counts as on


def test_loss_functions_fit_the_logits(head, embeddings):
    assert isinstance(head.get_loss_fn(), nn.CrossEntropyLoss)
    several = SetFitHead(16, 3, device="cpu", multitarget=True)
    assert isinstance(several.get_loss_fn(), nn.BCEWithLogitsLoss)
    head.get_loss_fn()(head({"sentence_embedding": embeddings})["logits"], torch.zeros(7, dtype=torch.long)).backward()
    several.get_loss_fn()(several({"sentence_embedding": embeddings})["logits"], torch.zeros(7, 3)).backward()
    assert head.linear.weight.grad.abs().sum() > 0
    assert several.linear.weight.grad.abs().sum() > 0


def test_without_in_features_the_size_comes_from_the_first_batch(embeddings):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # older torch calls every lazy module a new feature
        head = SetFitHead(out_features=3, device="cpu")
    assert head.in_features is None
    assert "'in_features': None" in repr(head)
    assert head.predict(embeddings).shape == (7,)
    assert head.in_features == 16
    assert head.linear.weight.abs().max() <= (6 / (16 + 3)) ** 0.5
    assert torch.equal(head.linear.bias, torch.full((3,), 1e-2))


def test_one_output_becomes_two_unless_it_is_one_of_several_labels():
    with pytest.warns(UserWarning, match="changed to 2"):
        assert SetFitHead(4, 1, device="cpu").out_features == 2
    assert SetFitHead(4, 1, device="cpu", multitarget=True).out_features == 1


def test_the_configuration_builds_the_same_head_again(embeddings):
    head = SetFitHead(16, 3, temperature=0.5, eps=1e-3, bias=False, device="cpu", multitarget=True)
    config = head.get_config_dict()
    assert config == {
        "in_features": 16,
        "out_features": 3,
        "temperature": 0.5,
        "eps": 1e-3,
        "bias": False,
        "device": "cpu",
        "multitarget": True,
    }
    again = SetFitHead(**config)
    again.load_state_dict(head.state_dict())
    assert torch.equal(again.predict_proba(embeddings), head.predict_proba(embeddings))


def test_the_device_is_that_of_the_parameters():
    head = SetFitHead(4, device="cpu").to("meta")
    assert head.device == torch.device("meta")
    assert "'device': 'meta'" in repr(head)


def test_without_a_device_the_best_one_is_taken():
    expected = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    assert SetFitHead(4).device.type == expected


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"in_features": 0}, "in_features"),
        ({"in_features": True}, "in_features"),
        ({"in_features": 2.5}, "in_features"),
        ({"out_features": 0}, "out_features"),
        ({"out_features": "3"}, "out_features"),
        ({"temperature": 0}, "temperature"),
        ({"temperature": -1.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": None}, "temperature"),
        ({"temperature": "1.0"}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"eps": -1e-9}, "eps"),
        ({"eps": float("inf")}, "eps"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(arguments, named):
    with pytest.raises(ValueError, match=named):
        SetFitHead(**{"in_features": 4, "device": "cpu", **arguments})
