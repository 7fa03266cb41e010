"""Differentiable heads that go wrong in training, in another mode, on another device, or on disk."""

from __future__ import annotations

import io
import pickle

import torch
from torch import nn

from .linear import Linear
from .registry import faulty


@faulty("global-state")
class LeavesGradientsOff(Linear):
    """`predict` switches gradients off and doesn't switch them on again."""

    def predict(self, embeddings):
        torch.set_grad_enabled(False)
        return super().predict(embeddings)


@faulty("global-state")
class ChangesTheDefaultType(Linear):
    """Building a head makes double precision torch's default."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        torch.set_default_dtype(torch.float64)


@faulty("global-state")
class LimitsThreads(Linear):
    """`predict_proba` sets the number of threads that torch uses everywhere."""

    def predict_proba(self, embeddings):
        torch.set_num_threads(3)
        return super().predict_proba(embeddings)


@faulty("thread-safety")
class KeepsTheLogits(Linear):
    """The logits are kept on the module between computing and normalising them, where another thread replaces them."""

    def predict_proba(self, embeddings):
        self.last = self.logits(embeddings)
        columns = [self.last[:, each] - self.last.logsumexp(dim=-1) for each in range(self.out_features)]
        return torch.stack(columns, dim=-1).exp()


@faulty("fresh-heads")
class SharesItsLayer(Linear):
    """All heads of a size share one layer, which a dictionary of the class keeps."""

    layers: dict = {}  # noqa: RUF012  # the fault

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.linear = self.layers.setdefault((in_features, out_features), self.linear)


@faulty("logits")
class ReturnsATensor(Linear):
    """`forward` returns the logits themselves instead of a dictionary."""

    def forward(self, features):
        return self.logits(features["sentence_embedding"])


@faulty("logits")
class OneDimensionTooMany(Linear):
    """Logits have a dimension for the length of the text, `[B, 1, C]`."""

    def forward(self, features):
        return {"logits": self.logits(features["sentence_embedding"].unsqueeze(1))}


@faulty("logits")
class OtherKey(Linear):
    """`forward` calls the logits "prediction"."""

    def forward(self, features):
        return {"prediction": self.logits(features["sentence_embedding"])}


@faulty("loss-function")
class LossClass(Linear):
    """`get_loss_fn` returns the class of the loss."""

    def get_loss_fn(self):
        return nn.CrossEntropyLoss


@faulty("loss-function")
class LossFunction(Linear):
    """`get_loss_fn` returns a plain function."""

    def get_loss_fn(self):
        return nn.functional.cross_entropy


@faulty("loss-function")
class LossForIndicators(Linear):
    """`get_loss_fn` returns a loss that wants rows of 0 and 1 instead of ids."""

    def get_loss_fn(self):
        return nn.BCEWithLogitsLoss()


@faulty("learns-separable")
class WrongSign(Linear):
    """The loss has the wrong sign, so that training makes the right class less likely."""

    def get_loss_fn(self):
        return _Opposite()


class _Opposite(nn.CrossEntropyLoss):
    def forward(self, input, target):  # noqa: A002  # torch's own name
        return -super().forward(input, target)


@faulty("loss-falls")
class ClampsLogits(Linear):
    """`forward` clamps the logits to so small a range that there is no slope to descend."""

    def forward(self, features):
        return {"logits": self.logits(features["sentence_embedding"]).clamp(-1e-3, 1e-3)}


@faulty("loss-falls")
class TinyLogits(Linear):
    """Logits are divided by a million where forward trains, so that training gets nowhere."""

    def forward(self, features):
        return {"logits": self.logits(features["sentence_embedding"]) / 1e6}


@faulty("gradient-to-embeddings")
class DetachesEmbeddings(Linear):
    """`forward` detaches the embeddings, so that the body can't be trained along."""

    def forward(self, features):
        return {"logits": self.logits(features["sentence_embedding"].detach())}


@faulty("gradient-to-embeddings")
class GoesThroughNumpy(Linear):
    """`forward` takes a turn through NumPy, which cuts the gradient."""

    def forward(self, features):
        embeddings = features["sentence_embedding"]
        array = embeddings.detach().cpu().numpy()
        return {"logits": self.logits(torch.from_numpy(array.copy()).to(embeddings))}


@faulty("gradient-to-parameters")
class UnusedLayer(Linear):
    """There is a layer that `forward` never uses."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.auxiliary = nn.Linear(in_features, out_features)


@faulty("gradient-to-parameters")
class TemperatureAsANumber(Linear):
    """The learned temperature is read with `item()`, so that it never learns."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.temperature = nn.Parameter(torch.ones(()))

    def logits(self, embeddings):
        return self.linear(embeddings) / self._number()

    def _number(self):
        return 1.0 if self.temperature.device.type == "meta" else self.temperature.item()


@faulty("logits-agree")
class LeavesOutTheBias(Linear):
    """`predict_proba` leaves out the bias that `forward` adds."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        nn.init.uniform_(self.linear.bias, -1, 1)

    def predict_proba(self, embeddings):
        return torch.softmax(embeddings @ self.linear.weight.T, dim=-1)


@faulty("logits-agree")
class PredictsWithAnAverage(Linear):
    """Prediction uses a running average of the weights, which training updates and which lags behind."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.register_buffer("average", self.linear.weight.detach().clone())

    def forward(self, features):
        if self.training:
            with torch.no_grad():
                self.average.lerp_(self.linear.weight.detach().to(self.average), 0.02)
        return super().forward(features)

    def predict_proba(self, embeddings):
        return torch.softmax(nn.functional.linear(embeddings, self.average, self.linear.bias), dim=-1)


@faulty("mode-restored")
class StaysInEvaluation(Linear):
    """`predict` switches to evaluation mode and stays there."""

    def predict(self, embeddings):
        self.eval()
        return super().predict(embeddings)


@faulty("mode-restored")
class ReturnsToTraining(Linear):
    """`predict_proba` ends in training mode, whatever the mode was before."""

    def predict_proba(self, embeddings):
        self.eval()
        probabilities = super().predict_proba(embeddings)
        self.train()
        return probabilities


@faulty("mode-restored")
class RestoresTheWholeModule(Linear):
    """`predict_proba` puts all submodules into the mode that the head as a whole was in."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.dropout = nn.Dropout(0.1)

    def logits(self, embeddings):
        return self.linear(self.dropout(embeddings))

    def predict_proba(self, embeddings):
        training = self.training
        self.eval()
        try:
            return super().predict_proba(embeddings)
        finally:
            self.train(training)


@faulty("state-dict")
class LayersInAList(Linear):
    """A layer is kept in a plain list, where `state_dict` and `parameters` don't find it."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.hidden = [nn.Linear(in_features, in_features)]

    def logits(self, embeddings):
        return self.linear(embeddings + torch.tanh(self.hidden[0](embeddings)))


@faulty("state-dict")
class MeanNotRegistered(Linear):
    """The mean of what was seen in training is a plain tensor instead of a buffer."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.mean = torch.zeros(in_features)

    def forward(self, features):
        if self.training:
            batch = features["sentence_embedding"].detach().mean(dim=0)
            self.mean = self.mean.to(batch).lerp(batch, 0.1)
        return super().forward(features)

    def logits(self, embeddings):
        return self.linear(embeddings - self.mean.to(embeddings))


@faulty("state-dict")
class BufferNotPersistent(Linear):
    """The random projection is a buffer that `state_dict` leaves out, and every head draws another one."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.register_buffer("projection", torch.randn(in_features, in_features) / in_features**0.5, persistent=False)

    def logits(self, embeddings):
        return self.linear(embeddings + embeddings @ self.projection)


@faulty("save-load")
class SwapsItsSizes(Linear):
    """`get_config_dict` gives the number of classes for the size of an embedding, and the other way round."""

    def get_config_dict(self):
        return {"in_features": self.out_features, "out_features": self.in_features}


@faulty("save-load")
class WeightsThatNothingWrites(Linear):
    """`state_dict` holds a Python object, which no file of tensors can hold."""

    def get_extra_state(self):
        return {"labels": [str(each) for each in range(self.out_features)]}

    def set_extra_state(self, state):
        self.names = state["labels"]


@faulty("no-pickle")
class PicklesExtraState(Linear):
    """`state_dict` holds pickled bytes in a tensor, which loading unpickles."""

    def get_extra_state(self):
        return torch.tensor(list(pickle.dumps({"size": self.in_features})), dtype=torch.uint8)

    def set_extra_state(self, state):
        self.extra = pickle.loads(bytes(state.tolist()))


@faulty("no-pickle")
class SavesATensorWithinATensor(Linear):
    """The extra state is written with `torch.save` and read with the unpickler that runs anything."""

    def get_extra_state(self):
        buffer = io.BytesIO()
        torch.save({"size": self.in_features}, buffer)
        return torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8)

    def set_extra_state(self, state):
        self.extra = torch.load(io.BytesIO(bytes(state.tolist())), weights_only=False)
