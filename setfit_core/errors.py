"""The exceptions of setfit-core.

Every message says what happened, why, and what to do next. All of them derive from `SetFitError`, so one
`except SetFitError` catches whatever this library refuses on purpose.
"""

from __future__ import annotations

__all__ = [
    "AmbiguousHeadError",
    "ArgumentError",
    "BrokenHeadError",
    "DisabledHeadError",
    "HeadError",
    "HeadOutputError",
    "HeadParameterError",
    "HubError",
    "IncompatibleHeadError",
    "InputError",
    "LabelError",
    "ModelFormatError",
    "ModelNotFoundError",
    "NoProbabilitiesError",
    "NonConformingHeadError",
    "PersistenceError",
    "RequiredHeadError",
    "SetFitError",
    "TooFewOutputsError",
    "UnfittedHeadError",
    "UnknownHeadError",
    "UnsavableHeadError",
    "UntrustedTypesError",
]


class SetFitError(Exception):
    """Base class of every error that setfit-core raises on purpose."""


# What the user hands in


class InputError(SetFitError, ValueError):
    """Texts, data sets or embeddings that can't be used."""


class OutOfMemoryError(SetFitError, MemoryError):
    """The memory doesn't suffice for a single text, or for the embeddings of all."""


class LabelError(InputError):
    """Labels that can't be used, or that don't fit the model's labels."""


class ArgumentError(SetFitError, ValueError):
    """A training or model argument that has no meaning."""


# Heads: finding them


class HeadError(SetFitError):
    """Base class of the errors about heads."""


class UnknownHeadError(HeadError, LookupError):
    """No installed distribution offers a head of this name."""


class DisabledHeadError(HeadError):
    """The head is installed but switched off by an environment variable."""


class BrokenHeadError(HeadError):
    """The head is installed but its code can't be loaded; the cause is chained."""


class IncompatibleHeadError(HeadError):
    """The head's metadata say that it doesn't fit this version of setfit-core."""


class AmbiguousHeadError(HeadError):
    """More than one distribution claims the name, or an object could be either kind of head."""


class RequiredHeadError(HeadError):
    """A head that was declared as required is missing, disabled or of another version."""


# Heads: using them


class NonConformingHeadError(HeadError, TypeError):
    """The object keeps neither head contract; the message names every defect and its mend."""


class HeadParameterError(HeadError, TypeError):
    """A head was given a parameter that it doesn't take, or lacks one that it needs."""


class HeadOutputError(HeadError, ValueError):
    """A head returned something that breaks its contract (shape, dtype, range, sum)."""


class TooFewOutputsError(HeadError, ValueError):
    """A differentiable head has fewer outputs than there are classes."""


class UnfittedHeadError(HeadError, RuntimeError):
    """A prediction was asked of a head that hasn't been trained."""


class NoProbabilitiesError(HeadError, TypeError):
    """Probabilities were asked of a head that has no `predict_proba`."""


# Models on disk and on the hub


class PersistenceError(SetFitError):
    """Base class of the errors about saved models."""


class UnsavableHeadError(PersistenceError, TypeError):
    """The head has no safe file format."""


class ModelFormatError(PersistenceError, ValueError):
    """A model folder is damaged, incomplete, or of a format that this version can't read."""


class UntrustedTypesError(ModelFormatError):
    """A head's file holds types that nobody has said to trust.

    Attributes:
        types: Their qualified names.
    """

    def __init__(self, message: str, types: tuple[str, ...]) -> None:
        super().__init__(message)
        self.types = types


class HubError(PersistenceError, OSError):
    """A model could not be fetched or pushed: the hub is out of reach, refuses, or has no such model."""


class ModelNotFoundError(HubError):
    """The hub has no such model, or can't be asked and the cache hasn't got it."""
