"""Does this object keep a head contract? Which one, and what is missing?

The examination is static: it looks at what a head or a class *has*, runs none of its methods and none of its
properties, and imports neither torch nor numpy. Whether the methods do what the contract says is for
`setfit_core.testing` to find out.
"""

from __future__ import annotations

import difflib
import inspect
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

from setfit_core.errors import AmbiguousHeadError, HeadError, IncompatibleHeadError, NonConformingHeadError
from setfit_core.members import MISSING, Defect, DefectKind, Subject, find_defect
from setfit_core.protocols import CONTRACT_MEMBERS, HEAD_API, Contract
from setfit_core.search_space import checked_search_space

__all__ = [
    "ContractReport",
    "Problem",
    "ProblemKind",
    "check_contract",
    "declared_capabilities",
    "validated_capabilities",
]

ProblemKind: TypeAlias = DefectKind | Literal["base-class", "ambiguous", "declaration"]

_DECLARATION: Final = "setfit_head"
_CAPABILITIES: Final[Mapping[str, str]] = types.MappingProxyType(
    {
        "api": "an integer",
        "contract": "'differentiable' or 'non-differentiable'",
        "explain": "True or False",
        "multi_label": "True or False",
        "open_set": "True or False",
        "partial_fit": "True or False",
        "sample_weight": "True or False",
        "search_space": "a mapping of parameters to the values worth trying",
    }
)
_MEMBER_NAMES: Final = frozenset(name for members in CONTRACT_MEMBERS.values() for name in members)
_RETURNS: Final[Mapping[str, str]] = types.MappingProxyType(
    {
        "fit": "that trains on embeddings [num_inputs, embedding_size] and a list of num_inputs labels",
        "forward": "that takes the dictionary of the body's output and returns a dictionary with the key "
        "'logits', a tensor [batch_size, num_classes]",
        "predict": "that returns one integer in [0, num_classes) for each row of the embeddings",
        "predict_proba": "that returns probabilities [num_inputs, num_classes] whose rows sum to 1 and whose "
        "argmax is what `predict` returns",
        "get_loss_fn": "that returns an initialised loss module, such as torch.nn.CrossEntropyLoss()",
    }
)


@dataclass(frozen=True)
class Problem:
    """One defect of a head.

    Attributes:
        member: The member that is at fault; `"nn.Module"` for a missing base class, `"setfit_head"` for the
            declaration.
        message: What was seen.
        remedy: What to do about it, as a sentence.
        kind: What sort of defect it is.
    """

    member: str
    message: str
    remedy: str
    kind: ProblemKind


@dataclass(frozen=True)
class ContractReport:
    """What `check_contract` found.

    Attributes:
        subject: What was examined, in words.
        contract: The contract that the object keeps or, failing that, the one it comes nearest to. None if it
            could be meant for both, or has nothing of either.
        problems: Every defect, in the order of the contract.
        ambiguous: Whether the object could be either kind of head and doesn't declare which.
    """

    subject: str
    contract: Contract | None
    problems: tuple[Problem, ...]
    ambiguous: bool

    @property
    def ok(self) -> bool:
        """Whether the object keeps its contract in full."""
        return self.contract is not None and not self.problems

    @property
    def usable(self) -> bool:
        """Whether the object can be trained and can predict, with or without probabilities.

        True for whatever is `ok`, and for a non-differentiable head that lacks nothing but `predict_proba`,
        such as scikit-learn's `LinearSVC`. A `predict` that is unavailable for now doesn't count either: an
        unfitted `StackingClassifier` has none, as it passes the call on to what fitting creates.
        """
        tolerated = {("predict_proba", "missing"), ("predict_proba", "unavailable"), ("predict", "unavailable")}
        return self.ok or (
            self.contract == "non-differentiable"
            and all((problem.member, problem.kind) in tolerated for problem in self.problems)
        )

    def __str__(self) -> str:
        if self.ok:
            return f"{self.subject} keeps the {self.contract} head contract."
        if self.ambiguous:
            verdict = "could be either kind of head"
        elif self.contract is None:
            verdict = "has nothing of either head contract; the non-differentiable one is the simpler to keep"
        else:
            members = ", ".join(CONTRACT_MEMBERS[self.contract])
            verdict = f"does not keep the {self.contract} head contract ({members})"
        lines = [f"  - {problem.message}. {problem.remedy}" for problem in self.problems]
        return "\n".join([f"{self.subject} {verdict}:", *lines])

    def raise_for_problems(self) -> None:
        """Raise if the object doesn't keep a contract in full.

        Raises:
            AmbiguousHeadError: The object could be either kind of head.
            NonConformingHeadError: It keeps neither contract.
        """
        if self.ambiguous:
            raise AmbiguousHeadError(str(self))
        if not self.ok:
            raise NonConformingHeadError(str(self))


def check_contract(obj_or_class: Any, /) -> ContractReport:
    """Examine a head, or a class of heads, and say which contract it keeps and everything it lacks.

    Members are read statically, so nothing of the head runs. A class is examined for what its instances will
    have; what only `__init__` sets can't be seen on it.

    Args:
        obj_or_class: Anything at all.

    Returns:
        The report.
    """
    subject = Subject(obj_or_class)
    problems: list[Problem] = []
    declared: Contract | None = None
    try:
        declared = declared_capabilities(obj_or_class).get("contract")
    except HeadError as error:
        problems.append(Problem(_DECLARATION, str(error).rstrip("."), "Correct the declaration.", "declaration"))
    is_module = _is_module(subject)
    if declared is None and is_module and _has_fit(subject):
        problems.insert(0, _ambiguity(subject))
        return ContractReport(str(subject), None, tuple(problems), ambiguous=True)
    contract = declared or _nearest(subject, is_module=is_module)
    if contract == "differentiable" and not is_module:
        problems.append(_not_a_module(subject))
    problems.extend(_lacking(subject, contract or "non-differentiable"))
    return ContractReport(str(subject), contract, tuple(problems), ambiguous=False)


def declared_capabilities(obj_or_class: Any, /) -> Mapping[str, Any]:
    """Return what a head declares beyond its contract, in the mapping `setfit_head` of its class.

    Known keys:

    - `"api"`: the head API it was written for, an integer.
    - `"contract"`: `"differentiable"` or `"non-differentiable"`.
    - `"multi_label"`, a boolean: it takes 0/1 indicators `[num_inputs, num_labels]` as labels.
    - `"partial_fit"`, a boolean: `partial_fit(embeddings, labels, classes)` trains it further, as scikit-learn has it.
    - `"sample_weight"`, a boolean: `fit` takes a keyword of that name, float `[num_inputs]`.
    - `"open_set"`, a boolean: `is_known(embeddings)` returns booleans `[num_inputs]`, False for what belongs to none of
      the classes.
    - `"explain"`, a boolean: `fit` takes a keyword `texts`, a list of `num_inputs` strings or None, and
      `explain(embeddings, limit)` returns for each input a list of at most `limit` mappings, the weightiest first, with
      the keys `"text"` (a string or None), `"label"` (as given to `fit`), `"similarity"` (a float) and `"weight"` (its
      share of the vote, a float).
    - `"search_space"`: the parameters worth trying, see `setfit_core.search_space.checked_search_space`.

    Args:
        obj_or_class: A head or a class of heads. The mapping is read statically: no property runs.

    Returns:
        A read-only copy of the mapping; empty if there is none.

    Raises:
        NonConformingHeadError: `setfit_head` is no mapping, has an unknown key, or a value of the wrong type.
        IncompatibleHeadError: The head was written for another head API.
    """
    subject = Subject(obj_or_class)
    declared, _ = subject.find(_DECLARATION)
    if declared is MISSING:
        return types.MappingProxyType({})
    return validated_capabilities(declared, f"`{_DECLARATION}` of {subject}")


def validated_capabilities(capabilities: Any, where: str) -> Mapping[str, Any]:
    """Return a read-only copy of what is declared beyond a contract; see `declared_capabilities` for the keys.

    Args:
        capabilities: What may be such a mapping.
        where: The place of the mapping, with which the message of an error begins.

    Raises:
        NonConformingHeadError: It is no mapping, has an unknown key, or a value of the wrong type.
        IncompatibleHeadError: The head was written for another head API.
    """
    if not isinstance(capabilities, Mapping):
        raise NonConformingHeadError(
            f"{where} is of the type {type(capabilities).__qualname__}, it must be a plain mapping such as "
            f"{{'api': {HEAD_API}}}."
        )
    for key, value in capabilities.items():
        _check_capability(where, key, value)
    return types.MappingProxyType(dict(capabilities))


def _check_capability(where: str, key: Any, value: Any) -> None:
    if key not in _CAPABILITIES:
        close = difflib.get_close_matches(str(key), _CAPABILITIES, 1)
        meant = f" Did you mean {close[0]!r}?" if close else ""
        raise NonConformingHeadError(
            f"{where} has the unknown key {key!r}. Known keys are {', '.join(map(repr, _CAPABILITIES))}.{meant}"
        )
    if key == "api":
        fits = type(value) is int
    elif key == "contract":
        fits = isinstance(value, str) and value in CONTRACT_MEMBERS
    elif key == "search_space":
        try:
            checked_search_space(value)
        except ValueError as error:
            raise NonConformingHeadError(f"The search space in {where} {error}.") from error
        fits = True
    else:
        fits = type(value) is bool
    if not fits:
        raise NonConformingHeadError(f"{where} has {value!r} for {key!r}, it must be {_CAPABILITIES[key]}.")
    if key == "api" and value != HEAD_API:
        raise IncompatibleHeadError(
            f"{where} says that the head was written for the head API {value}, but this version of setfit-core has "
            f"the head API {HEAD_API}. Install versions of the head and of setfit-core that fit each other."
        )


def _module_class() -> type | None:
    # Nothing can be an nn.Module before torch is imported, so there is no need to import it here.
    module = getattr(sys.modules.get("torch.nn"), "Module", None)
    return module if isinstance(module, type) else None


def _is_module(subject: Subject) -> bool:
    module = _module_class()
    return module is not None and issubclass(subject.cls, module)


def _has_fit(subject: Subject) -> bool:
    """Whether there is a `fit` that could be meant as the contract's; `fit = 3` could not."""
    if subject.find("fit")[0] is MISSING:
        return False
    defect = find_defect(subject, "fit", CONTRACT_MEMBERS["non-differentiable"]["fit"])
    return defect is None or defect.kind not in ("missing", "not-callable")


def _nearest(subject: Subject, *, is_module: bool) -> Contract | None:
    if is_module:
        return "differentiable"
    present = {name for name in _MEMBER_NAMES if subject.find(name)[0] is not MISSING}
    if "fit" not in present and present & {"forward", "get_loss_fn"}:
        return "differentiable"
    return "non-differentiable" if present else None


def _lacking(subject: Subject, contract: Contract) -> list[Problem]:
    problems = []
    for name, arguments in CONTRACT_MEMBERS[contract].items():
        defect = _unimplemented(subject, name) or find_defect(subject, name, arguments)
        if defect is not None:
            problems.append(Problem(name, defect.message, _remedy(subject, name, arguments, defect), defect.kind))
    return problems


def _unimplemented(subject: Subject, name: str) -> Defect | None:
    """Count as missing the `forward` that every `nn.Module` inherits and that does nothing but raise."""
    module = _module_class()
    if module is not None and name in vars(module) and subject.find(name)[0] is vars(module)[name]:
        return Defect("missing", f"`{name}` is missing (`torch.nn.Module` itself has none that works)")
    return None


def _remedy(subject: Subject, name: str, arguments: tuple[str, ...], defect: Defect) -> str:
    if name == "predict_proba" and defect.kind in ("missing", "unavailable") and _can_be_calibrated(subject):
        wrapped = f"sklearn.calibration.CalibratedClassifierCV({_constructor_call(subject.cls)})"
        mend = f"Use {wrapped} instead, or another classifier that has it."
    elif defect.kind == "unavailable":
        mend = "Fitting may bring it; otherwise complete or replace what this member depends on."
    else:
        mend = f"Define `def {name}({', '.join(('self', *arguments))})` {_RETURNS[name]}."
    parts = [defect.hint, mend]
    if defect.kind == "missing" and (similar := subject.similar_name(name)):
        parts.insert(0, f"If `{similar}` is meant to be it, rename it.")
    return " ".join(filter(None, parts))


def _can_be_calibrated(subject: Subject) -> bool:
    """Whether scikit-learn's `CalibratedClassifierCV` can make probabilities of what this predicts."""
    bases = [base for base in subject.cls.__mro__ if base.__module__.partition(".")[0] == "sklearn"]
    regressor = any(base.__name__ == "RegressorMixin" for base in bases)
    return bool(bases) and not regressor and subject.find("predict")[0] is not MISSING


def _constructor_call(cls: type) -> str:
    try:
        inspect.signature(cls).bind()
    except (TypeError, ValueError):
        return f"{cls.__name__}(...)"
    return f"{cls.__name__}()"


def _not_a_module(subject: Subject) -> Problem:
    return Problem(
        "nn.Module",
        "its class is no subclass of `torch.nn.Module`, as a differentiable head's must be",
        f"Derive it: `class {subject.cls.__name__}(torch.nn.Module)`.",
        "base-class",
    )


def _ambiguity(subject: Subject) -> Problem:
    lacks = []
    for contract in CONTRACT_MEMBERS:
        members = ", ".join(f"`{problem.member}`" for problem in _lacking(subject, contract))
        lacks.append(f"As a {contract} head it would {f'have to mend {members}' if members else 'lack nothing'}.")
    return Problem(
        _DECLARATION,
        "it is a `torch.nn.Module` and has `fit`, and nothing says which of the two counts",
        "Declare it on the class: `setfit_head = {'contract': 'differentiable'}` or "
        f"`setfit_head = {{'contract': 'non-differentiable'}}`. {' '.join(lacks)}",
        "ambiguous",
    )
