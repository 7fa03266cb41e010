import copy
import json
import subprocess
import sys
from importlib.metadata import entry_points, requires

import numpy as np
import pytest
import torch
from setfit_head_mlp import FocalLoss, MLPHead
from torch.nn import functional

OPTIONS = {
    "in_features": 16,
    "out_features": 3,
    "hidden_sizes": [8, 4],
    "activation": "relu",
    "dropout": 0.5,
    "class_weights": [1.0, 2.0, 0.5],
    "label_smoothing": 0.1,
    "focal_gamma": 2.0,
    "temperature": 0.5,
    "device": "cpu",
    "multitarget": True,
}


@pytest.fixture
def embeddings():
    return torch.randn(7, 16, generator=torch.Generator().manual_seed(0))


def built(**options):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return MLPHead(**{"in_features": 16, "out_features": 3, "device": "cpu", **options}).eval()


def test_the_entry_point_leads_to_the_class_which_needs_torch_alone():
    (point,) = entry_points(group="setfit.heads", name="mlp")
    assert point.load() is MLPHead
    assert [line.split(">")[0] for line in requires("setfit-head-mlp")] == ["torch"]
    code = "import sys, setfit_head_mlp; assert 'setfit_core' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("name", "activation"), [("gelu", functional.gelu), ("relu", functional.relu)])
def test_layers_activations_and_temperature(embeddings, name, activation):
    head = built(hidden_sizes=[8, 4], activation=name, temperature=0.25)
    weights = list(head.parameters())
    assert [tuple(weight.shape) for weight in weights[::2]] == [(8, 16), (4, 8), (3, 4)]
    hidden = activation(functional.linear(embeddings, *weights[:2]))
    hidden = activation(functional.linear(hidden, *weights[2:4]))
    expected = functional.linear(hidden, *weights[4:]) / 0.25
    logits = head({"sentence_embedding": embeddings})["logits"]
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(head.predict_proba(embeddings), expected.softmax(-1))


def test_no_hidden_layer_makes_it_linear_and_a_number_is_one_layer(embeddings):
    head = built(hidden_sizes=())
    torch.testing.assert_close(
        head({"sentence_embedding": embeddings})["logits"], functional.linear(embeddings, *head.parameters())
    )
    assert built(hidden_sizes=8).hidden_sizes == built(hidden_sizes=[8]).hidden_sizes == (8,)


def test_dropout_is_on_in_training_alone(embeddings):
    head = built(dropout=0.5)
    features = {"sentence_embedding": embeddings}
    calm = head(features)["logits"]
    assert torch.equal(calm, head(features)["logits"])
    head.train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert not torch.allclose(calm, head(features)["logits"])
    still = built(dropout=0.0).train()
    assert torch.equal(calm, still(features)["logits"])


def test_without_in_features_the_size_comes_from_the_first_batch(embeddings):
    head = built(in_features=None)
    assert head.in_features is None
    assert head.get_config_dict()["in_features"] is None
    assert head.predict(embeddings).shape == (7,)
    assert head.in_features == 16


def test_several_labels_a_text(embeddings):
    head = built(multitarget=True)
    probabilities = head.predict_proba(embeddings)
    assert torch.equal(probabilities, head({"sentence_embedding": embeddings})["logits"].detach().sigmoid())
    assert torch.equal(head.predict(embeddings), (probabilities >= 0.5).long())


@pytest.mark.parametrize("multitarget", [False, True])
def test_the_loss_is_what_the_arguments_say(embeddings, multitarget):
    head = built(**{**OPTIONS, "multitarget": multitarget})
    logits = head({"sentence_embedding": embeddings})["logits"]
    targets = torch.eye(3)[[0, 1, 2, 0, 1, 2, 0]] if multitarget else torch.tensor([0, 1, 2, 0, 1, 2, 0])
    expected = FocalLoss(2.0, torch.tensor([1.0, 2.0, 0.5]), 0.1, multitarget=multitarget)(logits, targets)
    assert torch.equal(head.get_loss_fn()(logits, targets), expected)
    assert head.double().get_loss_fn().weight.dtype == torch.float64


def test_the_loss_is_there_before_the_first_batch(embeddings):
    loss = MLPHead(class_weights=[1.0, 2.0], device="cpu").get_loss_fn()
    expected = functional.cross_entropy(embeddings[:, :2], torch.arange(7) % 2, torch.tensor([1.0, 2.0]))
    torch.testing.assert_close(loss(embeddings[:, :2], torch.arange(7) % 2), expected)


def test_another_number_of_class_weights_is_refused_when_the_classes_are_known():
    head = MLPHead(in_features=16, class_weights=[1.0, 2.0, 0.5], device="cpu")
    with pytest.raises(ValueError, match="class_weights has 3 weights, but the head has 2 outputs"):
        head.get_loss_fn()


def test_the_configuration_is_json_and_builds_the_same_head_again(embeddings):
    head = built(**OPTIONS)
    config = head.get_config_dict()
    assert config == OPTIONS
    again = MLPHead(**json.loads(json.dumps(config))).eval()
    again.load_state_dict(copy.deepcopy(head.state_dict()))
    assert torch.equal(again.predict_proba(embeddings), head.predict_proba(embeddings))
    assert again.get_config_dict() == config
    assert all(name.startswith("layers.") for name in head.state_dict())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"in_features": 0}, "in_features must be a whole number"),
        ({"out_features": True}, "out_features must be a whole number"),
        ({"hidden_sizes": [8, 0]}, "each of hidden_sizes must be a whole number"),
        ({"hidden_sizes": [8, 2.5]}, "each of hidden_sizes must be a whole number"),
        ({"hidden_sizes": "64"}, "hidden_sizes must be a whole number"),
        ({"hidden_sizes": [1] * 17}, "hidden_sizes has 17 layers, it may have up to 16"),
        ({"activation": "tanh"}, "activation must be one of 'gelu', 'relu'"),
        ({"activation": ["relu"]}, "activation must be one of"),
        ({"dropout": 1.0}, "dropout must be a number of at least 0 and below 1"),
        ({"dropout": -0.1}, "dropout must be"),
        ({"class_weights": [1.0, 0.0]}, "each of class_weights must be a finite number above 0"),
        ({"class_weights": [1.0, float("inf")]}, "each of class_weights"),
        ({"class_weights": {0: 1.0}}, "class_weights must be a list of numbers"),
        ({"class_weights": []}, "class_weights must be a list"),
        ({"label_smoothing": 1.5}, "label_smoothing must be"),
        ({"focal_gamma": float("nan")}, "focal_gamma must be"),
        ({"focal_gamma": "2"}, "focal_gamma must be"),
        ({"focal_gamma": 10**400}, "focal_gamma must be a finite number of at least 0"),
        ({"class_weights": torch.tensor([1.0, 2.0])}, r"class_weights must be a list .*tolist\(\) makes one"),
        ({"class_weights": np.array([1.0, 2.0])}, r"class_weights must be a list .*tolist\(\) makes one"),
        ({"temperature": 0}, "temperature must be a finite number of at least 1e-09"),
        ({"temperature": 1e-320}, "temperature must be a finite number of at least 1e-09"),
    ],
)
def test_arguments_out_of_range_are_refused_by_name(arguments, named):
    with pytest.raises(ValueError, match=named):
        MLPHead(**{"in_features": 16, "device": "cpu", **arguments})
