"""From a head's name to its metadata: one clear answer or one distinct error, and nothing imported.

Where a name is unknown the message proposes the likely one. An install command is given only for a head of
which the distribution is known: a command made from a mistyped name could fetch a stranger's package.
"""

from __future__ import annotations

import difflib
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from packaging.requirements import Requirement

from setfit_core.errors import AmbiguousHeadError, HeadError, RequiredHeadError, UnknownHeadError
from setfit_core.registry.discovery import conflict, is_installed, normalize_distribution, rivals_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from setfit_core.registry.discovery import HeadInfo

#: Heads of which the distribution is known, in alphabetical order. It only serves the advice in error messages; it
#: gives no head any priority.
KNOWN_HEADS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "catboost": "setfit-head-catboost",
        "knn": "setfit-head-knn",
        "lightgbm": "setfit-head-lightgbm",
        "linear": "setfit-head-linear",
        "logistic": "setfit-head-logistic",
        "mlp": "setfit-head-mlp",
        "prototype": "setfit-head-prototype",
        "xgboost": "setfit-head-xgboost",
    }
)


def resolve(name: str, heads: Sequence[HeadInfo]) -> HeadInfo:
    """Return the one head that a name stands for.

    Args:
        name: `"name"`, or `"distribution:name"` with the distribution in any spelling (`Setfit_Head_X`).
        heads: The heads of a scan.

    Raises:
        UnknownHeadError: No installed distribution has it.
        DisabledHeadError: It is switched off.
        AmbiguousHeadError: More than one target answers to the name.
        IncompatibleHeadError: It doesn't fit this core.
        BrokenHeadError: Its entry point names no `module:attribute`.
    """
    distribution, head = _split(name)
    claims = [info for info in heads if info.name == head and distribution in (None, info.distribution)]
    if not claims:
        raise UnknownHeadError(_unknown(distribution, head, heads))
    rivals = rivals_of(head, claims)
    if not rivals:
        raise claims[0].error()
    if len(rivals) > 1:
        raise AmbiguousHeadError(f"The head {name!r} {conflict(rivals)}")
    # A head that other distributions claim too is settled by the distribution's name, or by its rivals being
    # off.
    if rivals[0].status not in ("available", "ambiguous"):
        raise rivals[0].error()
    return rivals[0]


def unmet_requirements(requirements: Iterable[str], heads: Sequence[HeadInfo]) -> list[str]:
    """Return what keeps each unmet requirement (`"logistic>=0.1"`, `"distribution:name"`) from being met."""
    return [problem for text in requirements if (problem := _unmet(text, heads))]


def required_error(problems: Sequence[str]) -> RequiredHeadError:
    """Return the error for requirements that aren't met."""
    return RequiredHeadError("\n".join(problems))


def _unmet(text: str, heads: Sequence[HeadInfo]) -> str:
    distribution, colon, rest = text.strip().rpartition(":")
    try:
        requirement = Requirement(rest)
    except ValueError as error:
        return f"The required head {text!r} can't be read ({error}). Write it like 'logistic>=0.1,<2'."
    if requirement.extras or requirement.marker or requirement.url:
        return f"The required head {text!r} can't be read: only a name and versions have a meaning here."
    try:
        info = resolve(f"{distribution}{colon}{requirement.name}", heads)
    except HeadError as error:
        return f"The required head {text!r} isn't there. {error}"
    if requirement.specifier and not (info.version and requirement.specifier.contains(info.version, prereleases=True)):
        return (
            f"The required head {text!r} is there in another version: {info.distribution} "
            f"{info.version or 'without a version'}. Install one that fits: "
            f'pip install "{info.distribution}{requirement.specifier}"'
        )
    return ""


def _split(name: str) -> tuple[str | None, str]:
    distribution, colon, head = name.rpartition(":")
    return (normalize_distribution(distribution) if colon else None), head


def _unknown(distribution: str | None, head: str, heads: Sequence[HeadInfo]) -> str:
    """Say which part of the name is unknown, what may have been meant, and how to install what is missing."""
    installed = sorted({info.name for info in heads})
    brings_it = KNOWN_HEADS.get(head) if distribution in (None, KNOWN_HEADS.get(head)) else None
    if distribution is None:
        parts = [f"No installed distribution offers a head named {head!r}."]
        if not brings_it:
            parts += _suggestion(head, installed, KNOWN_HEADS)
    else:
        parts = _unknown_in(distribution, head, heads)
    parts.append(f"Installed heads: {', '.join(map(repr, installed))}." if installed else "No heads are installed.")
    if brings_it:
        parts.append(f"To get {head!r} (back), install the distribution that brings it: pip install {brings_it}")
    else:
        parts.append(
            "Heads come as distributions, usually named setfit-head-NAME: install the one you need, if you "
            "trust its publisher. If that happened after this program started, call "
            "setfit_core.refresh_heads()."
        )
    return " ".join(parts)


def _unknown_in(distribution: str, head: str, heads: Sequence[HeadInfo]) -> list[str]:
    offered = sorted({info.name for info in heads if info.distribution == distribution})
    if offered:
        return [
            f"The distribution {distribution!r} is installed but offers no head named {head!r}, only "
            f"{', '.join(map(repr, offered))}.",
            *_suggestion(head, offered, {}),
        ]
    if is_installed(distribution):
        return [f"The distribution {distribution!r} is installed but offers no heads at all."]
    parts = [f"The distribution {distribution!r}, asked for the head {head!r}, isn't installed."]
    others = sorted(info.qualified_name for info in heads if info.name == head)
    nearest = difflib.get_close_matches(distribution, sorted({info.distribution for info in heads}), n=1)
    if others:
        parts.append(f"A head of that name is offered as {' and '.join(map(repr, others))}.")
    elif nearest:
        parts.append(f"Did you mean the distribution {nearest[0]!r}?")
    return parts


def _suggestion(head: str, offered: Sequence[str], known: Mapping[str, str]) -> list[str]:
    # Case matters in a head's name but not in what the user may have meant.
    by_lower = {name.lower(): name for name in sorted({*offered, *known})}
    close = [by_lower[match] for match in difflib.get_close_matches(head.lower(), sorted(by_lower), n=2)]
    if not close:
        return []
    return [
        f"Did you mean {' or '.join(map(repr, close))}?",
        *(
            f"{name!r} isn't installed; it comes with: pip install {known[name]}."
            for name in close
            if name not in offered
        ),
    ]
