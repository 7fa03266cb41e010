"""What a check gets to try a head with: fresh heads, their training, and answers to questions."""

from __future__ import annotations

import functools
import itertools
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

import setfit_core
from setfit_core.conformance import check_contract
from setfit_core.heads.adapters import evaluation_mode
from setfit_core.heads.construction import HeadRecipe
from setfit_core.protocols import Contract
from setfit_core.randomness import isolated_random_state
from setfit_core.registry.loading import PASSED_THROUGH, named
from setfit_core.testing.problems import IntArray, Problem, separable
from setfit_core.testing.target import PROBE_EMBEDDING_SIZE, PROBE_NUM_CLASSES, Target
from setfit_core.testing.verdicts import CheckFailed, CheckSkipped

__all__ = ["Trained", "Trial", "body_output"]

Array: TypeAlias = npt.NDArray[Any]

#: Tried in this order to find the size of embedding that a head of fixed size takes, and then all up to 2,048.
_USUAL_SIZES: Final[tuple[int, ...]] = (384, 768, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2)
#: Enough to tell separable classes apart.
STEPS: Final = 100
_LEARNING_RATE: Final = 2e-2
#: Share of its own training examples that a module classifies rightly where training has come to something.
_LEARNED: Final = 0.9
_TOKENS: Final = 4


@dataclass(frozen=True)
class Trial:
    """One head under examination, as a check sees it.

    Attributes:
        target: What builds the head.
        recipe: The same, once it is known that it can be built.
        contract: The contract that it is examined for.
        seed: Seed of everything that is drawn.
        max_examples: How many examples hypothesis draws for a property.
        import_budget: Seconds that importing the head's module may take.
        embedding_size: The only embedding size that the head takes; None if it takes any.
        num_classes: The only number of outputs that the head has; None if it is built or fitted with any.
    """

    target: Target
    recipe: HeadRecipe
    contract: Contract
    seed: int
    max_examples: int
    import_budget: float
    embedding_size: int | None = None
    num_classes: int | None = None

    @property
    def differentiable(self) -> bool:
        """Whether the head is a torch module."""
        return self.contract == "differentiable"

    def with_found_sizes(self) -> Trial:
        """Return this trial with the sizes of a head that can't be built in any size."""
        if not self.differentiable:
            return self
        embedding_size, num_classes = self.embedding_size, self.num_classes
        if embedding_size is None and not self.recipe.accepts("in_features"):
            embedding_size = self._found_embedding_size()
        if num_classes is None and not self.recipe.accepts("out_features"):
            num_classes = self._outputs(self.head(), embedding_size or PROBE_EMBEDDING_SIZE)
        return replace(self, embedding_size=embedding_size, num_classes=num_classes)

    def require_any_embedding_size(self) -> None:
        """Skip the check if the head takes embeddings of one size only."""
        if self.embedding_size is not None:
            raise CheckSkipped(f"the head is built for embeddings of size {self.embedding_size} only")

    def require_any_num_classes(self) -> None:
        """Skip the check if the head has one number of outputs only."""
        if self.num_classes is not None:
            raise CheckSkipped(f"the head is built with {self.num_classes} outputs only")

    # Data

    def problem(
        self,
        num_classes: int = 3,
        embedding_size: int = 16,
        per_class: int | Sequence[int] = 16,
        *,
        seed: int = 0,
        unseen: int = 64,
    ) -> Problem:
        """Draw a separable problem, of the head's own sizes where it has only those."""
        classes = self.num_classes or num_classes
        if not isinstance(per_class, int) and len(per_class) != classes:
            per_class = [per_class[index % len(per_class)] for index in range(classes)]
        size = self.embedding_size or embedding_size
        return separable(classes, size, per_class, seed=self.seed + seed, unseen=unseen)

    def rng(self, salt: int = 0) -> np.random.Generator:
        """Return a generator for what a check draws itself."""
        return np.random.default_rng((self.seed, salt))

    # Heads

    def head(
        self, num_classes: int = PROBE_NUM_CLASSES, embedding_size: int = PROBE_EMBEDDING_SIZE, *, seed: int = 0
    ) -> Any:
        """Build a new head, as the core does."""
        return self.build(num_classes, embedding_size, seed=seed)[0]

    def build(
        self, num_classes: int, embedding_size: int, *, seed: int = 0, multi_label: bool = False
    ) -> tuple[Any, dict[str, Any]]:
        """Build a new head; return it and the keywords that it was built with."""
        built: tuple[Any, dict[str, Any]] = asked(
            "building the head",
            functools.partial(
                self.recipe.build,
                in_features=self.embedding_size or embedding_size,
                out_features=self.num_classes or num_classes,
                device="cpu",
                random_state=self._seed(seed),
                multi_label=multi_label,
            ),
        )
        return built

    def trained(self, problem: Problem, *, steps: int = STEPS) -> Trained:
        """Build a head and train it on a problem; see `train`.

        A module that learns little so gets a second chance, anew and slowly: the promise is to learn, and not to learn
        at one learning rate. The better of the two is kept.
        """
        head = self.head(problem.num_classes, problem.embedding_size)
        self.train(head, problem.embeddings, problem.labels, steps=steps)
        if not self.differentiable or steps < STEPS or (learned := self._learned(head, problem)) >= _LEARNED:
            return Trained(head, self.contract)
        slow = self.head(problem.num_classes, problem.embedding_size)
        with isolated_random_state(self.seed):
            self._descend(slow, problem.embeddings, problem.labels, 2 * steps, _LEARNING_RATE / 10)
        return Trained(slow if self._learned(slow, problem) > learned else head, self.contract)

    def train(self, head: Any, embeddings: Array, labels: IntArray, *, seed: int = 0, steps: int = STEPS) -> None:
        """Train a head on float `[num_inputs, embedding_size]` and class ids `[num_inputs]`.

        An array head is fitted on the labels as a list; a module is trained with AdamW on all rows at a time, until
        the loss is small or `steps` are done, and is in evaluation mode afterwards.
        """
        with isolated_random_state(self._seed(seed)):
            if not self.differentiable:
                self.fit(head, embeddings, labels.tolist())
                return
            self._descend(head, embeddings, labels, steps, _LEARNING_RATE)

    def fit(self, head: Any, embeddings: Array, labels: Any) -> None:
        """Call an array head's `fit`."""
        asked(f"fit({shown(embeddings)}, {shown(labels)})", lambda: head.fit(embeddings, labels))

    def _seed(self, number: int) -> int:
        """Return one of several seeds, all of which NumPy and torch take."""
        return (self.seed + number) % 2**32

    def _learned(self, head: nn.Module, problem: Problem) -> float:
        """Return the share of a problem's training examples that a module classifies rightly."""
        with evaluation_mode(head):
            logits = self.logits(head, body_output(problem.embeddings))
        return float((as_array(logits).argmax(axis=1) == problem.labels).mean()) if logits.ndim == 2 else 1.0

    def _descend(self, head: Any, embeddings: Array, labels: IntArray, steps: int, learning_rate: float) -> None:
        features = body_output(embeddings)
        targets = torch.from_numpy(labels.copy())
        head.train()
        logits = self.logits(head, features)  # also gives a lazy head its size
        parameters = [parameter for parameter in head.parameters() if parameter.requires_grad]
        loss_function = asked("get_loss_fn()", head.get_loss_fn)
        if parameters:
            optimizer = torch.optim.AdamW(parameters, lr=learning_rate)
            for _ in range(steps):
                loss = asked("the loss", functools.partial(loss_function, logits, targets))
                optimizer.zero_grad()
                asked("loss.backward()", loss.backward)
                optimizer.step()
                if float(loss.detach()) < 0.01:
                    break
                logits = self.logits(head, features)
        head.eval()

    def logits(self, head: nn.Module, features: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """Call a module's `forward` and return its logits."""
        output = asked("forward(features)", lambda: head(dict(features)))
        if not isinstance(output, Mapping) or not isinstance(output.get("logits"), torch.Tensor):
            raise CheckFailed(f"forward returned {shown(output)}, not a dict with a tensor 'logits'")
        logits: torch.Tensor = output["logits"]
        return logits

    def _found_embedding_size(self) -> int | None:
        odd, other = 23, 37  # sizes that no head is built for
        if self._takes(self.head(), odd) and self._takes(self.head(), other):
            return None
        head = self.head()
        for size in itertools.chain(_USUAL_SIZES, range(1, 2049)):
            if self._takes(head, size):
                return size
        raise CheckFailed(
            "no embedding size from 1 to 2048 is taken by forward",
            "Name the size: check_head(make_head, embedding_size=...).",
        )

    def _takes(self, head: nn.Module, size: int) -> bool:
        try:
            return self._outputs(head, size) > 0
        except CheckFailed:
            return False

    def _outputs(self, head: nn.Module, size: int) -> int:
        with evaluation_mode(head):
            logits = self.logits(head, body_output(self.rng().normal(size=(2, size)).astype(np.float32)))
        return int(logits.shape[-1])


@dataclass(frozen=True)
class Trained:
    """A trained head that answers questions about NumPy arrays, whichever contract it keeps.

    A module is asked as the core asks it: in evaluation mode, without gradients, with tensors of its own dtype. A
    tensor is handed to it as it is.
    """

    head: Any
    contract: Contract

    def raw(self, method: str, embeddings: Array | torch.Tensor) -> Any:
        """Return what `predict` or `predict_proba` returns, untouched.

        Raises:
            CheckSkipped: The head has no such method, which the check `contract` says once and for all.
        """
        if getattr(self.head, method, None) is None and _is_lacking(self.head, method):
            raise CheckSkipped(f"the head has no {method}, see 'contract'")
        call = f"{method}({shown(embeddings)})"
        if self.contract == "non-differentiable":
            return asked(call, lambda: getattr(self.head, method)(embeddings))
        given = embeddings if isinstance(embeddings, torch.Tensor) else as_tensor(embeddings, self.head)
        with evaluation_mode(self.head):
            return asked(call, lambda: getattr(self.head, method)(given))

    def ids(self, embeddings: Array | torch.Tensor) -> Array:
        """Return what `predict` returns as an array `[num_inputs]`, its values unchecked."""
        return self._array("predict", embeddings, 1)

    def probabilities(self, embeddings: Array | torch.Tensor) -> Array:
        """Return what `predict_proba` returns as a float array `[num_inputs, num_classes]`, its values unchecked."""
        return self._array("predict_proba", embeddings, 2)

    def _array(self, method: str, embeddings: Array | torch.Tensor, dimensions: int) -> Array:
        output = self.raw(method, embeddings)
        array = as_array(output)
        if array.ndim != dimensions or len(array) != len(embeddings) or array.dtype == object:
            raise CheckFailed(f"{method}({shown(embeddings)}) returned {shown(output)}")
        return array

    def accuracy(self, problem: Problem) -> float:
        """Return the share of a problem's unseen examples that are classified rightly."""
        return float((self.ids(problem.unseen) == problem.unseen_labels).mean())


def _is_lacking(head: Any, method: str) -> bool:
    """Tell whether the contract check finds fault with a method, and not only an access that fails."""
    return any(problem.member == method for problem in check_contract(head).problems)


def body_output(embeddings: Array, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    """Return what a body would return whose sentence embeddings are these: the masked means of token embeddings.

    Args:
        embeddings: Float `[batch_size, embedding_size]`.
        dtype: Of the floating tensors.
    """
    rng = np.random.default_rng(0)
    rows, size = embeddings.shape
    sentence = torch.tensor(embeddings, dtype=dtype)
    mask = torch.ones(rows, _TOKENS, dtype=torch.int64)
    mask[::2, -1] = 0
    offsets = torch.tensor(rng.normal(0, 0.1, size=(rows, _TOKENS, size)), dtype=dtype) * mask[..., None]
    offsets = offsets - offsets.sum(1, keepdim=True) / mask.sum(1)[:, None, None]
    return {
        "input_ids": torch.tensor(rng.integers(1, 1000, size=(rows, _TOKENS))),
        "token_type_ids": torch.zeros(rows, _TOKENS, dtype=torch.int64),
        "attention_mask": mask,
        "token_embeddings": sentence[:, None, :] + offsets,
        "sentence_embedding": sentence,
    }


def asked(what: str, question: Callable[[], Any]) -> Any:
    """Ask a head something; whatever it raises, an exit included, is a failed check that says where it came from."""
    try:
        return question()
    except (CheckFailed, CheckSkipped, *PASSED_THROUGH):
        raise
    except BaseException as error:
        raise CheckFailed(f"{what} raised {told(error)}") from error


def refused(question: Callable[[], Any]) -> BaseException | None:
    """Return what a head raises, or None if it answers."""
    try:
        question()
    except PASSED_THROUGH:
        raise
    except BaseException as error:
        return error
    return None


def told(error: BaseException) -> str:
    """Return an exception as text, with the place in the head's own code that it came from."""
    text = " ".join(named(error).split())
    text = text if len(text) <= 300 else f"{text[:297]}..."
    ours, torchs = (str(Path(str(package.__file__)).parent) for package in (setfit_core, torch))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(ours)]
    frames = [frame for frame in frames if not frame.filename.startswith(torchs)] or frames
    if not frames:
        return text
    return f"{text} ({Path(frames[-1].filename).name}, line {frames[-1].lineno}, in {frames[-1].name})"


def as_tensor(embeddings: Array, head: nn.Module) -> torch.Tensor:
    """Return embeddings as a tensor of the dtype of the head's parameters."""
    parameter = next((p for p in head.parameters() if p.is_floating_point()), None)
    return torch.tensor(embeddings, dtype=torch.float32 if parameter is None else parameter.dtype)


def as_array(output: Any) -> Array:
    """Return an output as an array; what can't be one becomes an array of objects."""
    if isinstance(output, torch.Tensor):
        tensor = output.detach().cpu()
        return (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    try:
        return np.asarray(output)
    except Exception:  # a foreign object may refuse in any way
        return np.asarray(None, dtype=object)


def shown(value: Any) -> str:
    """Return a short text for a value: type, dtype and shape rather than contents."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} array {list(value.shape)}"
    if isinstance(value, torch.Tensor):
        return f"{str(value.dtype).removeprefix('torch.')} tensor {list(value.shape)}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, Mapping):
        return f"a {type(value).__name__} with the keys {[*map(str, value)][:8]}"
    try:
        text = repr(value)
    except Exception:  # a foreign repr may refuse in any way
        text = ""
    kind = type(value).__name__
    return f"{kind} {text}" if 0 < len(text) <= 60 else f"an object of the class {kind}"
