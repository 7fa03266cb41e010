"""Array heads that go wrong when they are trained again, saved, loaded, copied or trained step by step."""

from __future__ import annotations

import pickle
import threading

import numpy as np

from .centroids import Centroids, softmax
from .registry import faulty


@faulty("refit-forgets")
class KeepsOldClasses(Centroids):
    """The classes of earlier trainings keep their columns."""

    def fit(self, embeddings, labels):
        before = getattr(self, "classes_", None)
        super().fit(embeddings, labels)
        if before is not None and before.dtype == self.classes_.dtype:
            for each in sorted(set(before.tolist()) - set(self.classes_.tolist())):
                self.classes_ = np.append(self.classes_, each)
                self.centroids_ = np.vstack([self.centroids_, 10 * np.abs(self.centroids_).max(axis=0)])
        return self


@faulty("refit-forgets")
class CollectsExamples(Centroids):
    """Examples are added to those of earlier trainings if they have the same size."""

    def fit(self, embeddings, labels):
        embeddings, labels = self._finite(embeddings), np.asarray(labels)
        before = getattr(self, "examples_", None)
        if before is not None and before[0].shape[1] == embeddings.shape[1] and before[1].dtype == labels.dtype:
            known = np.isin(before[1], labels)
            embeddings = np.vstack([before[0][known], embeddings])
            labels = np.concatenate([before[1][known], labels])
        super().fit(embeddings, labels)
        self.examples_ = [embeddings, labels]
        return self


@faulty("refit-forgets")
class SizeOfTheFirstTraining(Centroids):
    """A head that was trained once refuses embeddings of another size."""

    def fit(self, embeddings, labels):
        if hasattr(self, "mean_") and np.shape(embeddings)[1] != len(self.mean_):
            raise ValueError("the number of features has changed")
        return super().fit(embeddings, labels)


@faulty("refit-forgets")
class RemembersTrainingsByShape(Centroids):
    """What was learned is remembered by the shape of the embeddings and the number of classes."""

    def fit(self, embeddings, labels):
        key = f"{np.shape(embeddings)} {len(set(labels))}"
        if getattr(self, "key_", None) != key or self.classes_.tolist() != sorted(set(labels)):
            super().fit(embeddings, labels)
            self.key_ = key
        return self


@faulty("save-load")
class DropsWhatItThinksIsACache(Centroids):
    """The state that is saved lacks the scale, and a loaded head takes 1 for it."""

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "scale_"}

    def __setstate__(self, state):
        vars(self).update(state)
        self.scale_ = 1.0


@faulty("save-load")
class RoundsWhatItSaves(Centroids):
    """Means are saved as 8-bit integers, so that the loaded head predicts something else."""

    def __getstate__(self):
        state = dict(vars(self))
        if "centroids_" in state:
            step = np.abs(state["centroids_"]).max() / 7 + 1e-12
            state["centroids_"] = np.round(state["centroids_"] / step).astype(np.int8)
            state["step_"] = float(step)
        return state

    def __setstate__(self, state):
        vars(self).update(state)
        if "step_" in state:
            self.centroids_ = state["centroids_"] * state["step_"]


@faulty("save-load")
class HoldsALock(Centroids):
    """The head holds a lock, and nothing can save that."""

    def __init__(self):
        self.lock = threading.Lock()

    def __deepcopy__(self, memo):
        twin = type(self)()
        vars(twin).update({name: value for name, value in vars(self).items() if name != "lock"})
        return twin

    def predict_proba(self, embeddings):
        with self.lock:
            return super().predict_proba(embeddings)


@faulty("save-load")
class HoldsALambda(Centroids):
    """The activation is a lambda, which only pickle's relatives could save."""

    def fit(self, embeddings, labels):
        self.activation_ = lambda scores: softmax(scores)
        return super().fit(embeddings, labels)

    def predict_proba(self, embeddings):
        return self.activation_(self._scores(self._read(embeddings)))


@faulty("no-pickle")
class PicklesItsState(Centroids):
    """The state is saved as pickled bytes, which loading unpickles."""

    def __getstate__(self):
        return {"pickled": pickle.dumps(vars(self))}

    def __setstate__(self, state):
        vars(self).update(pickle.loads(state["pickled"]))


@faulty("state-machine")
class LoadedForGood(Centroids):
    """A head that was loaded can't be trained any more: `fit` does nothing."""

    def __setstate__(self, state):
        vars(self).update(state)
        self.loaded_ = True

    def __deepcopy__(self, memo):
        twin = type(self)()
        vars(twin).update(vars(self))
        return twin

    def fit(self, embeddings, labels):
        return self if getattr(self, "loaded_", False) else super().fit(embeddings, labels)


@faulty("state-machine")
class SavingLosesTheMean(Centroids):
    """Saving takes the mean out of the live head to write it elsewhere, and a mean of zero comes in its place."""

    def __getstate__(self):
        state = dict(vars(self))
        if "mean_" in state:
            self.mean_ = np.zeros_like(self.mean_)
        return state

    def __deepcopy__(self, memo):
        twin = type(self)()
        vars(twin).update(vars(self))
        return twin


@faulty("state-machine")
class ThirdTraining(Centroids):
    """From the third training on, what is learned is mixed with what the first one learned."""

    def fit(self, embeddings, labels):
        trainings = [*getattr(self, "trainings_", []), None]
        super().fit(embeddings, labels)
        trainings[-1] = self.centroids_
        if len(trainings) > 2:
            first = next((each for each in trainings if each.shape == self.centroids_.shape), self.centroids_)
            self.centroids_ = (self.centroids_ + first) / 2
        self.trainings_ = trainings
        return self


@faulty("params-and-clone")
class ChangesItsParameter(Centroids):
    """`__init__` changes the value that it was given, so that a copy made of the parameters differs."""

    def __init__(self, sharpness=1.0):
        self.sharpness = 2 * sharpness

    def get_params(self, deep=True):
        return {"sharpness": self.sharpness}

    def set_params(self, **params):
        vars(self).update(params)
        return self

    def _scores(self, embeddings):
        return self.sharpness * super()._scores(embeddings)


class _ForgetsAParameter(Centroids):
    def __init__(self, sharpness=1.0, seed=0):
        self.sharpness = sharpness
        self.seed = seed

    def get_params(self, deep=True):
        return {"seed": self.seed}

    def set_params(self, **params):
        vars(self).update(params)
        return self

    def _scores(self, embeddings):
        return self.sharpness * super()._scores(embeddings)


@faulty("params-and-clone")
def forgets_a_parameter():
    """`get_params` doesn't name the sharpness that the head was built with, so that a clone has another."""
    return _ForgetsAParameter(sharpness=3.0)


@faulty("params-and-clone")
class SetsParametersToNoAvail(Centroids):
    """`set_params` returns a changed copy and leaves the head as it was."""

    def __init__(self, sharpness=1.0):
        self.sharpness = sharpness

    def get_params(self, deep=True):
        return {"sharpness": self.sharpness}

    def set_params(self, **params):
        return type(self)(**{**self.get_params(), **params})

    def _scores(self, embeddings):
        return self.sharpness * super()._scores(embeddings)


@faulty("params-and-clone")
class SharpensItsParameter(Centroids):
    """`fit` makes the parameter sharper by what it works out, so that a copy isn't as the head was built."""

    def __init__(self, sharpness=1.0):
        self.sharpness = sharpness

    def get_params(self, deep=True):
        return {"sharpness": self.sharpness}

    def set_params(self, **params):
        vars(self).update(params)
        return self

    def fit(self, embeddings, labels):
        self.sharpness *= 1 + 1 / len(embeddings)
        return super().fit(embeddings, labels)

    def _scores(self, embeddings):
        return self.sharpness * super()._scores(embeddings)
