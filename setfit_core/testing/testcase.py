"""The conformance suite as a class for pytest."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest

from setfit_core.errors import ArgumentError
from setfit_core.testing.check import SUITE_VERSION, Check
from setfit_core.testing.checks import list_checks
from setfit_core.testing.runner import Examination

__all__ = ["HeadConformance"]


class HeadConformance:
    """Subclass it in a test module, and pytest runs every check of the conformance suite on your head.

        class TestMyHead(HeadConformance):
            make_head = MyHead

    The test of the check `predict-shape` is `test_predict_shape`. An inherited test can't be overridden: a check that
    is known to fail belongs into `expected_failures`, with the reason.

    Attributes:
        make_head: The head; anything that `check_head` takes, or a method that takes the keywords of a factory.
        capabilities: See `check_head`, as for the rest.
        expected_failures: Reasons by check id.
        seed: Seed of everything that is drawn.
        max_examples: How many examples hypothesis draws for a property.
        suite_version: The version of the list of checks; None for the newest.
        embedding_size: The only size of embedding that the head takes, where it can't be chosen.
        num_classes: The number of outputs, where it can't be chosen.
        import_budget: Seconds that importing the head's module may take.

    Raises:
        TypeError: When a subclass is defined that overrides one of the tests.
    """

    make_head: ClassVar[Any]
    capabilities: ClassVar[Mapping[str, Any] | None] = None
    expected_failures: ClassVar[Mapping[str, str]] = types.MappingProxyType({})
    seed: ClassVar[int] = 0
    max_examples: ClassVar[int] = 20
    suite_version: ClassVar[int | None] = None
    embedding_size: ClassVar[int | None] = None
    num_classes: ClassVar[int | None] = None
    import_budget: ClassVar[float] = 2.0

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        for check in list_checks():
            if inspect.getattr_static(cls, _test_name(check)) is not vars(HeadConformance)[_test_name(check)]:
                raise TypeError(
                    f"{cls.__qualname__} overrides {_test_name(check)}, the test of the check {check.id!r}. A check "
                    "that doesn't run proves nothing. Take it out; if it is known to fail, say so: "
                    f"expected_failures = {{{check.id!r}: 'the reason'}}."
                )

    def _examination(self) -> Examination:
        cls = type(self)
        if "_examined" not in vars(cls):
            if not hasattr(cls, "make_head"):
                raise ArgumentError(f"{cls.__qualname__} has no make_head. Set it to your head's class or name.")
            cls._examined = Examination.of(  # type: ignore[attr-defined]  # kept for the class's other tests
                self._factory(),
                capabilities=cls.capabilities,
                expected_failures=cls.expected_failures,
                seed=cls.seed,
                max_examples=cls.max_examples,
                suite_version=cls.suite_version,
                embedding_size=cls.embedding_size,
                num_classes=cls.num_classes,
                import_budget=cls.import_budget,
            )
        examined: Examination = cls._examined  # type: ignore[attr-defined]  # set above
        return examined

    def _factory(self) -> Any:
        """Return `make_head`; a plain function on the class is a method only if it takes `self`."""
        stored = inspect.getattr_static(self, "make_head")
        if isinstance(stored, types.FunctionType) and next(iter(inspect.signature(stored).parameters), "") != "self":
            return stored
        return self.make_head

    def _run(self, check: Check) -> None:
        examination = self._examination()
        if examination.contract is not None and examination.contract not in check.contracts:
            pytest.skip(f"a check of the other contract; this is a {examination.contract} head")
        if check.since > examination.suite_version:
            pytest.skip(f"came with suite version {check.since}; version {examination.suite_version} was asked for")
        result = examination.outcome(check)
        if result.status == "skipped":
            pytest.skip(result.seen)
        if result.status == "xfailed":
            pytest.xfail(f"{result.reason} (seen: {result.seen})")
        if result.status != "passed":
            pytest.fail(
                f"{check.id}: {check.title}\n  seen: {result.seen}\n  mend: {result.remedy}"
                f"\n  (suite version {examination.suite_version}, seed {examination.seed})",
                pytrace=False,
            )


def _test_name(check: Check) -> str:
    return f"test_{check.id.replace('-', '_')}"


def _test(check: Check) -> Callable[[HeadConformance], None]:
    def test(self: HeadConformance) -> None:
        self._run(check)

    test.__name__ = _test_name(check)
    test.__qualname__ = f"HeadConformance.{test.__name__}"
    test.__doc__ = check.title
    return test


for _check in list_checks(suite_version=SUITE_VERSION):
    setattr(HeadConformance, _test_name(_check), _test(_check))
