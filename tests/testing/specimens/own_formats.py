"""Heads with a file format of their own, which only the distribution in `distribution/` offers.

Each entry point leads to an object with hooks. Put the folder `distribution` on `sys.path` to have it found.
"""

from __future__ import annotations

import json
import pickle

import numpy as np
import pluggy

from .centroids import Centroids
from .registry import add_correct, add_faulty

hookimpl = pluggy.HookimplMarker("setfit")

FILE = "centroids.json"


class Sharpened(Centroids):
    """A head with a parameter, of which each format below writes as much as it does."""

    def __init__(self, sharpness=3.0):
        self.sharpness = sharpness

    def _scores(self, embeddings):
        return self.sharpness * super()._scores(embeddings)


class _SoundFormat:
    """Everything is written as JSON."""

    @hookimpl
    def setfit_head_factory(self):
        return Sharpened

    @hookimpl
    def setfit_save_head(self, head, directory):
        (directory / FILE).write_text(json.dumps(self.described(head)))
        return {"format": type(self).__name__}

    @hookimpl
    def setfit_load_head(self, directory, metadata):
        if metadata["format"] != type(self).__name__:
            return None
        described = json.loads((directory / FILE).read_text())
        head = Sharpened(described.pop("sharpness", 1.0))
        vars(head).update({name: np.array(value) for name, value in described.items()})
        return head

    def described(self, head):
        return {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in vars(head).items()}


class _ForgetfulFormat(_SoundFormat):
    def described(self, head):
        return {name: value for name, value in super().described(head).items() if name != "sharpness"}


class _EmptyFormat(_SoundFormat):
    def described(self, head):
        return {"sharpness": head.sharpness}


class _TrimmingFormat(_SoundFormat):
    def described(self, head):
        head.centroids_ = head.centroids_.astype(np.float16).astype(np.float64)
        return super().described(head)


class _PickleFormat(_SoundFormat):
    @hookimpl
    def setfit_save_head(self, head, directory):
        (directory / "centroids.pkl").write_bytes(pickle.dumps(head))
        return {"format": type(self).__name__}

    @hookimpl
    def setfit_load_head(self, directory, metadata):
        if metadata["format"] != type(self).__name__:
            return None
        return pickle.loads((directory / "centroids.pkl").read_bytes())


sound, forgets, empty = _SoundFormat(), _ForgetfulFormat(), _EmptyFormat()
trims, pickles = _TrimmingFormat(), _PickleFormat()

add_correct("OwnFormat", "specimen-sound", "An installed head with a file format of its own, given by its name.")
add_faulty("PicklesInItsOwnFormat", "specimen-pickles", "The head's own file format is a pickle.", "no-pickle")
add_faulty(
    "FormatForgetsAParameter", "specimen-forgets", "The head's own file format leaves out a parameter.", "save-load"
)
add_faulty("LoadsUntrained", "specimen-empty", "The head that is loaded has not been trained.", "save-load")
add_faulty(
    "SavingChangesTheHead",
    "setfit-specimens:specimen-trims",
    "Saving rounds the weights of the live head, which then predicts something else.",
    "save-load",
)
