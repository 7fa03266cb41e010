"""Heads that test the conformance suite: faulty ones, correct ones, and scikit-learn's classifiers.

Put `tests/testing` on `sys.path` and import `specimens.catalogue` for all of them. A module of heads imports no more
than its heads need, because the suite measures how long that takes.
"""
