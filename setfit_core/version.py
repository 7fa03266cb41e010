"""The version of setfit-core, in the one place that everything else reads."""

from __future__ import annotations

from typing import Final

__version__: Final = "0.1.0"
