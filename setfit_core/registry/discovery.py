"""Which heads are installed, as far as metadata tell: nothing in this module imports a plugin.

The entry points of the group `setfit.heads` are enumerated from `importlib.metadata.distributions()` in one
scan and judged: disabled, incompatible, ambiguous, malformed.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from setfit_core.errors import (
    AmbiguousHeadError,
    BrokenHeadError,
    DisabledHeadError,
    HeadError,
    IncompatibleHeadError,
)
from setfit_core.protocols import HEAD_API
from setfit_core.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

HEADS_GROUP: Final = "setfit.heads"
API_GROUP: Final = "setfit.head_api"

#: What a distribution means that states no number.
UNSTATED_HEAD_API: Final = 1

Status = Literal["available", "disabled", "incompatible", "ambiguous", "broken"]

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_TARGET = re.compile(r"(?P<module>\w+(?:\.\w+)*)\s*(?::\s*(?P<attr>\w+(?:\.\w+)*)\s*)?(?:\[.*\]\s*)?")
_WILDCARDS = frozenset("*?[")
_OPERATORS = ("<", ">", "=", "!", "~")
_OFF = frozenset({"", "0", "false", "no", "off"})

_ERRORS: Final[Mapping[Status, type[HeadError]]] = MappingProxyType(
    {
        "ambiguous": AmbiguousHeadError,
        "broken": BrokenHeadError,
        "disabled": DisabledHeadError,
        "incompatible": IncompatibleHeadError,
    }
)


@dataclass(frozen=True)
class HeadInfo:
    """What the metadata say about one head.

    Attributes:
        name: The entry point's name.
        distribution: The distribution that declares it, normalised (`setfit-head-logistic`).
        version: The distribution's version; empty if its metadata state none.
        target: The entry point's value, `module:attribute`.
        api: The numbers of the head API that the distribution states; `(1,)` if it states none.
        status: `"available"`; `"disabled"` by an environment variable; `"incompatible"` with this core;
            `"ambiguous"`, that is claimed more than once; or `"broken"`, if the target is no
            `module:attribute`. Whether an available head's code can be loaded isn't known before somebody
            asks for it.
        reason: Why it isn't available and what to do; empty when it is.
    """

    name: str
    distribution: str
    version: str
    target: str
    api: tuple[int, ...]
    status: Status = "available"
    reason: str = ""

    @property
    def qualified_name(self) -> str:
        """The name that is never ambiguous between distributions: `distribution:name`."""
        return f"{self.distribution}:{self.name}"

    def error(self) -> HeadError:
        """Return the error that says why a head of another status than `"available"` can't be used."""
        return _ERRORS[self.status](f"The head {self.qualified_name!r} {self.reason}")


@dataclass(frozen=True)
class Settings:
    """What the environment variables `SETFIT_HEADS_*` say about heads.

    Attributes:
        allow: Patterns of the only heads that may be loaded; None allows all of them.
        deny: Patterns of the heads that may not be loaded.
        strict: Raise for what is wrong in the metadata instead of leaving that head out.
        require: Heads that must be there, such as `"logistic>=0.1"`.
        trace: Write loads and hook calls to stderr.
    """

    allow: tuple[str, ...] | None
    deny: tuple[str, ...]
    strict: bool
    require: tuple[str, ...]
    trace: bool

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read the settings. An allow-list that is set but empty allows nothing."""
        allow = environ.get("SETFIT_HEADS_ALLOW")
        return cls(
            allow=None if allow is None else _items(allow),
            deny=_items(environ.get("SETFIT_HEADS_DENY", "")),
            strict=environ.get("SETFIT_HEADS_STRICT", "").strip().lower() not in _OFF,
            require=_requirements(environ.get("SETFIT_HEADS_REQUIRE", "")),
            trace=environ.get("SETFIT_HEADS_TRACE", "").strip().lower() not in _OFF,
        )

    def refusal(self, info: HeadInfo) -> str:
        """Return why a head may not be loaded, or an empty string."""
        denying = next((pattern for pattern in self.deny if _matches(pattern, info)), None)
        if denying is not None:
            return (
                f"is switched off by the environment variable SETFIT_HEADS_DENY, in which {denying!r} "
                "matches it. To use it, take that pattern out."
            )
        if self.allow is not None and not any(_matches(pattern, info) for pattern in self.allow):
            return (
                "is switched off: the environment variable SETFIT_HEADS_ALLOW is set and doesn't list it. "
                f"To use it, add {info.qualified_name!r} there."
            )
        return ""


@dataclass(frozen=True)
class Scan:
    """The outcome of one look at the installed distributions.

    Attributes:
        heads: Every head, sorted by name, distribution and target.
        warnings: What was left out or looks mistyped, a text each.
    """

    heads: tuple[HeadInfo, ...]
    warnings: tuple[str, ...]


def scan_heads(settings: Settings) -> Scan:
    """Look at the installed distributions once.

    Raises:
        BrokenHeadError: In strict mode, for unreadable metadata, an invalid name or a malformed target.
        IncompatibleHeadError: In strict mode, for a head that doesn't fit this core.
    """
    claims: list[HeadInfo] = []
    remarks: list[str] = []
    for name, distribution in _distributions_with_heads(remarks).items():
        claims.extend(_claims_of(name, distribution, remarks))
    heads = tuple(sorted(_judge(claims, settings), key=lambda info: (info.name, info.distribution, info.target)))
    remarks.sort()
    if settings.strict:
        for info in heads:
            if info.status in ("broken", "incompatible"):
                raise info.error()
        if remarks:
            raise BrokenHeadError(f"{remarks[0]} (An error because SETFIT_HEADS_STRICT is set.)")
    remarks.extend(_idle_patterns(settings, heads))
    return Scan(heads, tuple(remarks))


# Reading metadata


def _distributions_with_heads(remarks: list[str]) -> dict[str, metadata.Distribution]:
    """Return the distributions that offer heads, by normalised name; of several copies the one in force."""
    found: dict[str, metadata.Distribution] = {}
    for candidate in metadata.distributions():
        name = _name_if_it_has_heads(candidate, remarks)
        if name is not None and name not in found:
            found[name] = _copy_in_force(name, candidate)
    return found


def _name_if_it_has_heads(distribution: metadata.Distribution, remarks: list[str]) -> str | None:
    # Parsing METADATA is the dear part, and few distributions have heads: look for the group's name first.
    try:
        text = distribution.read_text("entry_points.txt")
        if not text or HEADS_GROUP not in text:
            return None
        name = _field(distribution, "Name")
    except Exception as error:  # any damage to somebody else's files must stay theirs
        remarks.append(_unreadable(distribution, f"{type(error).__name__}: {error}"))
        return None
    if not name:
        remarks.append(_unreadable(distribution, "they state no name"))
        return None
    return canonicalize_name(name)


def _unreadable(distribution: metadata.Distribution, why: str) -> str:
    return (
        f"A distribution in {str(distribution.locate_file(''))!r} is left out because its metadata can't be "
        f"read ({why}). Reinstall it or remove its leftovers."
    )


def _copy_in_force(name: str, candidate: metadata.Distribution) -> metadata.Distribution:
    """Return the copy of a distribution whose code Python would import: the first on the path.

    An update that went wrong can leave two copies in one folder. The order of files in a folder is left to
    chance, so there the newest version counts.
    """
    copies = [copy for copy in metadata.distributions(name=name) if _is_readable(copy)] or [candidate]
    home = copies[0].locate_file("")
    return max((copy for copy in copies if copy.locate_file("") == home), key=_newness)


def _is_readable(distribution: metadata.Distribution) -> bool:
    try:
        return bool(_field(distribution, "Name"))
    except Exception:  # what is left of a distribution that was removed badly
        return False


def _newness(distribution: metadata.Distribution) -> tuple[Version, str, str]:
    text = _field(distribution, "Version")
    # Two copies of one version are told apart by what they declare, so that chance has no say at all.
    entry_points = distribution.read_text("entry_points.txt") or ""
    try:
        return Version(text), text, entry_points
    except InvalidVersion:
        return Version("0"), text, entry_points


def _field(distribution: metadata.Distribution, key: str) -> str:
    # Indexing a missing key is deprecated from Python 3.12 on, so ask first.
    if key not in distribution.metadata:
        return ""
    return distribution.metadata[key]


def _claims_of(name: str, distribution: metadata.Distribution, remarks: list[str]) -> list[HeadInfo]:
    try:
        # The same line twice is one claim; the keys of a dict keep the order of the file.
        lines = dict.fromkeys(
            (point.name, point.value) for point in distribution.entry_points if point.group == HEADS_GROUP
        )
        api, defect = _head_api(point.name for point in distribution.entry_points if point.group == API_GROUP)
        defect = _refused_core(name, distribution) or defect
        version = _field(distribution, "Version")
    except Exception as error:  # as above: one damaged distribution must not hide the others
        remarks.append(_unreadable(distribution, f"{type(error).__name__}: {error}"))
        return []
    claims = []
    for head, target in lines:
        if not _NAME.fullmatch(head):
            remarks.append(
                f"The distribution {name!r} declares a head with the invalid name {head!r}, which is "
                "ignored. A name has letters, digits, '.', '_' and '-', and begins and ends with a letter or "
                "digit; its author has to mend it."
            )
            continue
        info = HeadInfo(head, name, version, target, api)
        if defect:
            info = replace(info, status="incompatible", reason=defect)
        elif split_target(target) is None:
            info = replace(info, status="broken", reason=_malformed(info))
        claims.append(info)
    return claims


def _malformed(info: HeadInfo) -> str:
    return (
        f"can't be loaded: its entry point says {info.target!r}, which is not of the form "
        f"'module:attribute'. Install another version of {info.distribution} or tell its authors."
    )


def split_target(target: str) -> tuple[str, str] | None:
    """Split an entry point's value into module and attribute (may be empty); None if it is malformed."""
    match = _TARGET.fullmatch(target.strip())
    if match is None:
        return None
    module, attribute = match["module"], match["attr"] or ""
    parts = [*module.split("."), *(attribute.split(".") if attribute else ())]
    return (module, attribute) if all(part.isidentifier() for part in parts) else None


def _head_api(numbers: Iterator[str]) -> tuple[tuple[int, ...], str]:
    """Return the stated numbers and, if this core's isn't among them, what to do about it."""
    stated = sorted(set(numbers)) or [str(UNSTATED_HEAD_API)]
    api = tuple(sorted(int(text) for text in stated if re.fullmatch("[0-9]{1,9}", text)))
    if len(api) < len(stated):
        return api, (
            f"is incompatible: its distribution states the head API as {', '.join(map(repr, stated))} in the "
            f"entry point group {API_GROUP!r}, where only whole numbers have a meaning. Install a version of "
            f"it that states {HEAD_API}, the head API of setfit-core {__version__}."
        )
    if HEAD_API not in api:
        return api, (
            f"is incompatible: it was written for the head API {', '.join(map(str, api))}, while setfit-core "
            f"{__version__} has the head API {HEAD_API}. Install a version of it for the head API "
            f"{HEAD_API}, or a version of setfit-core with the head API that it asks for."
        )
    return api, ""


def _refused_core(name: str, distribution: metadata.Distribution) -> str:
    """Return what to do if the distribution's requirement on setfit-core doesn't admit this one."""
    for text in distribution.requires or ():
        if not re.match(r"setfit[-_.]+core(?![\w.-])", text.strip(), re.IGNORECASE):
            continue
        try:
            requirement = Requirement(text)
            # Requirements of an extra hold only for those who ask for the extra, so no extra is asked for.
            applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        except ValueError as error:
            return (
                f"is incompatible: its requirement {text!r} on setfit-core can't be read ({error}). Install "
                f"another version of {name}."
            )
        if applies and not requirement.specifier.contains(__version__, prereleases=True):
            return (
                f"is incompatible: it requires setfit-core{requirement.specifier}, but setfit-core "
                f'{__version__} is installed. Install one that fits (pip install "setfit-core'
                f'{requirement.specifier}"), or a version of {name} that admits setfit-core {__version__}.'
            )
    return ""


# Judging the claims


def _judge(claims: Sequence[HeadInfo], settings: Settings) -> list[HeadInfo]:
    heads = [
        replace(info, status="disabled", reason=refusal) if (refusal := settings.refusal(info)) else info
        for info in claims
    ]
    # What is switched off claims nothing: that too is a way to settle a conflict.
    claimed = Counter(info.name for info in heads if info.status != "disabled")
    return [
        replace(info, status="ambiguous", reason=conflict(rivals_of(info.name, heads)))
        if info.status == "available" and claimed[info.name] > 1
        else info
        for info in heads
    ]


def rivals_of(name: str, heads: Iterable[HeadInfo]) -> list[HeadInfo]:
    """Return the heads that claim a name and aren't switched off."""
    return [info for info in heads if info.name == name and info.status != "disabled"]


def conflict(rivals: Sequence[HeadInfo]) -> str:
    """Say who claims the same name, and how to choose."""
    ordered = sorted(rivals, key=lambda info: (info.distribution, info.target))
    distributions = sorted({info.distribution for info in ordered})
    claims = ", ".join(f"{info.distribution} ({info.target})" for info in ordered)
    if len(distributions) == 1:
        return (
            "is ambiguous: its distribution declares the name more than once, with different targets: "
            f"{claims}. Only its authors can mend that: install another version of {distributions[0]}."
        )
    choices = " or ".join(repr(info) for info in sorted({info.qualified_name for info in ordered}))
    return (
        f"is ambiguous: several distributions claim the name: {claims}. Say which one you mean ({choices}), "
        "uninstall the others, or switch them off with SETFIT_HEADS_DENY."
    )


def _idle_patterns(settings: Settings, heads: Sequence[HeadInfo]) -> Iterator[str]:
    for variable, patterns in (
        ("SETFIT_HEADS_ALLOW", settings.allow or ()),
        ("SETFIT_HEADS_DENY", settings.deny),
    ):
        for pattern in patterns:
            # A wildcard may well match nothing today; a name that is spelt out is more likely mistyped.
            spelt_out = any(part and not _WILDCARDS & set(part) for part in pattern.split(":", 1))
            if spelt_out and not any(_matches(pattern, info) for info in heads):
                yield f"{variable} has {pattern!r}, which matches no installed head. Is it mistyped?"


def _matches(pattern: str, info: HeadInfo) -> bool:
    distribution, colon, name = pattern.partition(":")
    if not colon:
        return fnmatchcase(info.name, pattern)
    return fnmatchcase(info.distribution, normalize_distribution(distribution)) and fnmatchcase(info.name, name)


def normalize_distribution(distribution: str) -> str:
    """Return a distribution's name, or a pattern of names, in the form in which names are compared."""
    return re.sub(r"[-_.]+", "-", distribution.strip()).lower()


def is_installed(distribution: str) -> bool:
    """Say whether a distribution is installed, without importing anything of it."""
    # An empty name would match every distribution.
    return bool(distribution) and next(iter(metadata.distributions(name=distribution)), None) is not None


def _items(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


def _requirements(text: str) -> tuple[str, ...]:
    """Split at commas, but not inside a specifier: `"logistic>=0.1,<2,linear"` is two requirements."""
    merged: list[str] = []
    for item in _items(text):
        if item.startswith(_OPERATORS) and merged:
            merged[-1] += f",{item}"
        else:
            merged.append(item)
    return tuple(merged)
