"""`SetFitModel`, each of whose sides has a module: its parts, predicting, training, and where it is kept."""

from setfit_core.model.model import SetFitModel

__all__ = ["SetFitModel"]
