"""A module that takes long to import. Nothing but the suite may import it."""

from __future__ import annotations

import time

from .centroids import Centroids

_until = time.process_time() + 2.6
TABLE = [0.0]
while time.process_time() < _until:
    TABLE = [value + 1.0 for value in range(20_000)]


class SlowImport(Centroids):
    """Right in everything but the import of its module."""
