"""A report in four forms: text for terminals and logs, Markdown, a badge, and a dictionary for JSON.

What a check saw may hold anything that a foreign head puts into its messages: terminal codes, markup, line breaks,
megabytes. Every form but the dictionary shows it harmless and cut to a readable length; the dictionary has it all.
"""

from __future__ import annotations

import html
import math
import re
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from setfit_core.testing.findings import CheckResult, Findings, Status

__all__ = ["SCHEMA", "Line", "as_badge", "as_dict", "as_lines", "as_markdown", "as_text"]

#: The version of the dictionary's form. A new key doesn't raise it; a key that is gone or means something else does.
SCHEMA: Final = 1

Style: TypeAlias = Literal["plain", "heading", "good", "bad", "doubtful"]

_WIDTH: Final = 80
_MOST_LINES: Final = 30
_MOST_CHARACTERS: Final = 1200
_LONGEST_NAME: Final = 200
_NO_VERDICT: Final = "Only a part of the suite was run, so this is no verdict on the head."
_TERMINAL_CODE: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[ -/]*[0-Z\\-~])")

# In the order of the text: what matters most comes last, where a terminal or the log of a CI run leaves the reader.
_HEADINGS: Final[Mapping[Status, tuple[str, Style]]] = {
    "passed": ("Passed", "good"),
    "skipped": ("Skipped", "plain"),
    "xfailed": ("Failed as expected", "doubtful"),
    "xpassed": ("Passed unexpectedly", "bad"),
    "failed": ("Failed", "bad"),
}
# In the order of summaries and of tables, which are read from the top.
_WORDS: Final[Mapping[Status, str]] = {
    "failed": "failed",
    "xpassed": "passed unexpectedly",
    "xfailed": "failed as expected",
    "passed": "passed",
    "skipped": "skipped",
}


class Line(NamedTuple):
    """One line of the text, and how a terminal that has colours may show it."""

    text: str
    style: Style = "plain"


# Text


def as_text(report: Findings) -> str:
    """Give a report as plain text of 80 columns, without a line break at the end."""
    return "\n".join(line.text for line in as_lines(report))


def as_lines(report: Findings) -> Iterator[Line]:
    """Give the lines of the text, in order: what was checked, the results by their status, the verdict.

    Whatever is not in order has an entry of its own that tells what the check means, what was seen and how to mend
    it; checks that passed are only named.

    Args:
        report: The report.

    Yields:
        Lines of at most 80 characters; only the verdict, which is always one line, may be longer.
    """
    yield from _opening(report)
    for status, (heading, style) in _HEADINGS.items():
        results = [result for result in report.results if result.status == status]
        if results:
            yield Line("")
            yield Line(f"{heading} ({len(results)})", style)
            yield from _SECTIONS.get(status, _entries)(results)
    yield Line("")
    yield from _verdict_lines(report)


def _opening(report: Findings) -> Iterator[Line]:
    yield from (Line(text, "heading") for text in _wrapped(f"Conformance of {_name(report)}", "", "  "))
    yield from _labelled(_facts(report), indent="  ")


def _name(report: Findings) -> str:
    source = " ".join(filter(None, (report.distribution, report.version)))
    name = f"{report.subject} ({source})" if source else report.subject
    name = " ".join(_harmless(name).split())
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."


def _facts(report: Findings) -> list[tuple[str, str]]:
    return [
        ("contract", report.contract or "none could be told"),
        ("declares", _declared(report) or "no capability, so it is checked for its contract alone"),
        ("suite", f"version {report.suite_version}, seed {report.seed}, {report.max_examples} examples"),
        ("environment", ", ".join(f"{name} {version}" for name, version in report.environment.items())),
    ]


def _declared(report: Findings) -> str:
    return ", ".join(f"{_plain(key)}={_shown(value)}" for key, value in report.capabilities.items())


def _passed(results: Sequence[CheckResult]) -> Iterator[Line]:
    ids = ", ".join(result.check.id for result in results)
    yield from map(Line, _wrapped(ids, "  ", "  "))
    yield from _labelled([(result.check.id, result.seen) for result in results if result.seen], indent="  ")


def _skipped(results: Sequence[CheckResult]) -> Iterator[Line]:
    by_reason: dict[str, list[str]] = {}
    for result in results:
        by_reason.setdefault(_shortened(_harmless(result.seen)), []).append(result.check.id)
    for reason, ids in by_reason.items():
        yield from map(Line, _wrapped(f"{', '.join(ids)}: {reason}", "  ", "    "))


def _entries(results: Sequence[CheckResult]) -> Iterator[Line]:
    for result in results:
        yield Line(f"  {result.check.id}", "heading")
        account = (
            ("meaning", result.check.title),
            ("expected", result.reason),
            ("seen", result.seen),
            ("mend", result.remedy),
        )
        yield from _labelled([(name, text) for name, text in account if text], indent="    ")


_SECTIONS: Final[Mapping[Status, Callable[[Sequence[CheckResult]], Iterator[Line]]]] = {
    "passed": _passed,
    "skipped": _skipped,
}


def _labelled(rows: Iterable[tuple[str, str]], indent: str) -> Iterator[Line]:
    """Give two columns; the second goes on below itself."""
    rows = list(rows)
    column = max((len(name) for name, _ in rows), default=0)
    for name, text in rows:
        first = f"{indent}{name.ljust(column)}  "
        for line in _shortened(_harmless(text)).split("\n"):
            yield from map(Line, _wrapped(line, first, " " * len(first)))
            first = " " * len(first)


def _verdict_lines(report: Findings) -> Iterator[Line]:
    style: Style = "bad" if not report.ok else "good" if report.complete else "doubtful"
    if not report.complete:
        yield Line(_NO_VERDICT, "doubtful")
    yield Line(f"{_verdict(report)}: {_counted(report)} in {report.seconds:.1f} s", style)


def _verdict(report: Findings) -> str:
    if not report.ok:
        return "Does not conform"
    return "Conforms" if report.complete else "Incomplete"


def _counted(report: Findings) -> str:
    counts = [(report.counts.get(status, 0), word) for status, word in _WORDS.items()]
    return ", ".join(f"{count} {word}" for count, word in counts if count) or "no checks"


def _wrapped(text: str, first: str, others: str) -> list[str]:
    # The line's own indentation stays: messages that list things rely on it.
    indent = text[: len(text) - len(text.lstrip(" "))][: _WIDTH // 4]
    wrapped = textwrap.wrap(
        text.strip(), _WIDTH, initial_indent=first + indent, subsequent_indent=others + indent, break_on_hyphens=False
    )
    return wrapped or [first.rstrip()]


# Markdown


def as_markdown(report: Findings) -> str:
    """Give a report as GitHub's Markdown: a table of what is not in order, and a folded one of what is."""
    passed = [result for result in report.results if result.status == "passed"]
    not_passed = [status for status in _WORDS if status != "passed"]
    others = [result for status in not_passed for result in report.results if result.status == status]
    verdict = f"**{_verdict(report)}**: {_counted(report)} in {report.seconds:.1f} s."
    if not report.complete:
        verdict += f" {_NO_VERDICT}"
    parts = [f"## Conformance of {_cell(_name(report))}", verdict]
    parts.append("\n".join(f"- {name}: {_cell(text)}" for name, text in _facts(report)))
    if others:
        columns = ("Check", "Result", "What it means", "What was seen", "How to mend it")
        parts.append(_table(columns, map(_row, others)))
    if passed:
        rows = (
            (f"`{result.check.id}`", _cell(result.check.title), _cell(result.seen), f"{result.seconds:.2f}")
            for result in passed
        )
        table = _table(("Check", "What it means", "Note", "Seconds"), rows)
        parts.append(f"<details><summary>{len(passed)} passed</summary>\n\n{table}\n\n</details>")
    return "\n\n".join(parts)


def _row(result: CheckResult) -> tuple[str, ...]:
    seen = f"expected to fail: {result.reason}\n{result.seen}" if result.reason else result.seen
    word = _WORDS[result.status]
    if result.status in ("failed", "xpassed"):
        word = f"**{word}**"
    return f"`{result.check.id}`", word, _cell(result.check.title), _cell(seen), _cell(result.remedy)


def _table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (columns, ("---",) * len(columns), *rows))


def _cell(text: str) -> str:
    """Give text as the content of a cell: what stands between backticks as code, all other markup as it reads."""
    lines = _shortened(_harmless(text).strip()).split("\n")
    return "<br>".join(_inline(" ".join(line.split())) for line in lines)


def _inline(line: str) -> str:
    *pairs, last = line.split("`")
    if len(pairs) % 2:
        last = f"{pairs.pop()}`{last}"
    pieces = [_code(piece) if index % 2 else _escaped(piece) for index, piece in enumerate(pairs)]
    return "".join([*pieces, _escaped(last)])


def _code(piece: str) -> str:
    if not piece.strip():
        return _escaped(f"`{piece}`")
    # A code span knows no escapes, and how it treats `\|` in a table differs between programs.
    return f"<code>{_escaped(piece)}</code>" if "|" in piece or "\\" in piece else f"`{piece}`"


def _escaped(piece: str) -> str:
    piece = html.escape(piece, quote=False).replace("|", "&#124;").replace("`", "&#96;").replace("\\", "&#92;")
    return re.sub(r"([*_\[\]~])", r"\\\1", piece)


# Badge


def as_badge(report: Findings) -> str:
    """Give a badge that tells the verdict: an SVG image that needs no font, no script and no network."""
    label = "setfit head"
    message, colour, ink = _badge_message(report)
    left, right = _text_width(label) + 12, _text_width(message) + 12
    width = left + right
    spoken = html.escape(f"{label} {_name(report)}: {message}")
    return f"""\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="20" role="img" aria-label="{spoken}">
  <title>{spoken}</title>
  <clipPath id="round"><rect width="{width}" height="20" rx="3"/></clipPath>
  <g clip-path="url(#round)">
    <rect width="{left}" height="20" fill="#444"/>
    <rect x="{left}" width="{right}" height="20" fill="{colour}"/>
  </g>
  <g font-family="Verdana,DejaVu Sans,Geneva,sans-serif" font-size="11" text-anchor="middle" aria-hidden="true">
    <text x="{left / 2:g}" y="14" fill="#fff" textLength="{left - 12}">{html.escape(label)}</text>
    <text x="{left + right / 2:g}" y="14" fill="{ink}" textLength="{right - 12}">{html.escape(message)}</text>
  </g>
</svg>
"""


def _badge_message(report: Findings) -> tuple[str, str, str]:
    """What the badge says, its colour and the colour of the writing on it."""
    failed, unexpected, expected = (report.counts.get(status, 0) for status in ("failed", "xpassed", "xfailed"))
    if failed:
        return f"{failed} {'check fails' if failed == 1 else 'checks fail'}", "#b3261e", "#fff"
    if unexpected:
        return f"{unexpected} unexpected {'pass' if unexpected == 1 else 'passes'}", "#b3261e", "#fff"
    if not report.complete:
        return "incomplete run", "#6b6b6b", "#fff"
    if expected:
        return f"conforms · {expected} expected {'failure' if expected == 1 else 'failures'}", "#e3b505", "#222"
    return f"conforms · suite {report.suite_version}", "#2a7f2e", "#fff"


def _text_width(text: str) -> int:
    """Roughly the width of a text in Verdana of 11 pixels; `textLength` then makes it exact."""
    widths = {**dict.fromkeys("fijlrtI .,:;·", 4.2), **dict.fromkeys("mwMW", 10.2)}
    return math.ceil(sum(widths.get(character, 6.9) for character in text))


# Dictionary


def as_dict(report: Findings) -> dict[str, Any]:
    """Give a report as a dictionary that JSON can hold.

    Args:
        report: The report.

    Returns:
        - `schema`: 1, the version of this form. New keys may come within a version.
        - `subject`, `distribution`, `version`: what was checked; the latter two are null outside a distribution.
        - `contract`: `"differentiable"`, `"non-differentiable"` or null.
        - `capabilities`: what the head declares; empty if it declares nothing.
        - `suite_version`, `seed`, `max_examples`: what repeats the run.
        - `complete`: false if only chosen checks were run; then `ok` is no verdict on the head.
        - `ok`: whether no check failed and none passed unexpectedly.
        - `counts`: how many results have each of the five statuses; `seconds`: how long all of it took.
        - `environment`: versions by name.
        - `results`: in the order of the suite, objects with `id`, `title` (what it means), `since` (the suite
          version that brought the check), `contracts`, `status` (`"passed"`, `"failed"`, `"skipped"`, `"xfailed"`
          or `"xpassed"`), `seen` (of a skip, its reason), `remedy` (how to mend it; empty unless failed), `reason`
          (of an expected failure) and `seconds`.
    """
    return {
        "schema": SCHEMA,
        "subject": report.subject,
        "distribution": report.distribution,
        "version": report.version,
        "contract": report.contract,
        "capabilities": _jsonable(report.capabilities),
        "suite_version": report.suite_version,
        "seed": report.seed,
        "max_examples": report.max_examples,
        "complete": report.complete,
        "ok": report.ok,
        "counts": {status: report.counts.get(status, 0) for status in _WORDS},
        "seconds": round(report.seconds, 3),
        "environment": dict(report.environment),
        "results": [_result_as_dict(result) for result in report.results],
    }


def _result_as_dict(result: CheckResult) -> dict[str, Any]:
    return {
        "id": result.check.id,
        "title": result.check.title,
        "since": result.check.since,
        "contracts": sorted(result.check.contracts),
        "status": result.status,
        "seen": result.seen,
        "remedy": result.remedy,
        "reason": result.reason,
        "seconds": round(result.seconds, 3),
    }


def _jsonable(value: Any) -> Any:
    """Give a declared value as JSON can hold it; a head may declare anything at all, rightly or not."""
    if value is None or type(value) in (bool, int, str):
        return value
    if isinstance(value, Mapping):
        return {_plain(key): _jsonable(item) for key, item in value.items()}
    return _shown(value)


# Foreign text


def _shown(value: Any) -> str:
    try:
        return repr(value)
    except Exception:  # a foreign `__repr__` may raise anything
        return f"<{type(value).__qualname__}, whose repr fails>"


def _plain(key: Any) -> str:
    return key if type(key) is str else _shown(key)


def _harmless(text: str) -> str:
    """Take terminal codes out of a text, and show what can't be printed by its number."""
    text = _TERMINAL_CODE.sub("", text.replace("\r\n", "\n").replace("\r", "\n").expandtabs(4))
    return "".join(character if character == "\n" else _visible(character) for character in text).strip("\n")


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    return " " if character.isspace() else character.encode("unicode_escape").decode()


def _shortened(text: str) -> str:
    """Cut a text to what a reader can take in, and say how much is missing."""
    kept = "\n".join(text.split("\n")[:_MOST_LINES])[:_MOST_CHARACTERS]
    missing = len(text) - len(kept)
    return f"{kept}\n[{missing:,} more characters; the JSON form has them]" if missing else text
