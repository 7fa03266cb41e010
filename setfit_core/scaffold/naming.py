"""From the name of a head to the names of everything in its package."""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from typing import Final

from setfit_core.errors import ArgumentError

_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_.][A-Za-z0-9]+)*")
_DISTRIBUTION_PREFIX: Final = re.compile(r"setfit[-_.]head[-_.]", re.IGNORECASE)
_RESERVED: Final = frozenset({"core", "head", "heads", "setfit", "setfit-core"})


@dataclass(frozen=True)
class HeadNames:
    """The names in the package of one head.

    Attributes:
        head: The name that users write, `head="my-head"`; the entry point's name.
    """

    head: str

    @classmethod
    def of(cls, name: str) -> HeadNames:
        """Check the name of a new head.

        Args:
            name: ASCII letters and digits, beginning with a letter, in parts separated by single `-`, `_` or `.`.

        Raises:
            ArgumentError: If no head can have this name, or none should.
        """
        prefix = _DISTRIBUTION_PREFIX.match(name)
        if prefix:
            raise ArgumentError(
                f"{name!r} is the name of a distribution, and the prefix is added to the head's name by itself. Give "
                f"the head's name alone, such as {name[prefix.end() :] or 'my-head'!r}."
            )
        if not _NAME.fullmatch(name):
            close = "-".join(re.findall("[A-Za-z0-9]+", name)).lstrip("0123456789-")
            raise ArgumentError(
                f"{name!r} can't be the name of a head, because packages and classes are named after it. Use letters "
                f"and digits without accents, beginning with a letter, and single '-', '_' or '.' between them, such "
                f"as {close or 'my-head'!r}."
            )
        whose = "a keyword of Python" if keyword.iskeyword(name) else "reserved for setfit-core itself"
        if keyword.iskeyword(name) or re.sub("[_.]", "-", name.lower()) in _RESERVED:
            raise ArgumentError(
                f"{name!r} can't be the name of a head, because it is {whose}. Choose a name that says what the head "
                "does, such as 'nearest-mean'."
            )
        return cls(name)

    @property
    def distribution(self) -> str:
        """What pip installs, `setfit-head-my-head`."""
        return f"setfit-head-{'-'.join(self._parts).lower()}"

    @property
    def package(self) -> str:
        """What Python imports, `setfit_head_my_head`."""
        return self.distribution.replace("-", "_")

    @property
    def class_name(self) -> str:
        """The class, `MyHead`."""
        camel = "".join(part[0].upper() + part[1:] for part in self._parts)
        return camel if camel.endswith("Head") else f"{camel}Head"

    @property
    def _parts(self) -> list[str]:
        return re.split("[-_.]", self.head)
