"""What `check_head` returns, and its forms: text, Markdown, badge, dictionary and JSON."""

import json
import re
from dataclasses import replace
from types import MappingProxyType
from xml.etree import ElementTree

import numpy as np
import pytest
from markdown_it import MarkdownIt

from setfit_core.errors import NonConformingHeadError
from setfit_core.testing import SUITE_VERSION, CheckResult, Report, check_head, list_checks

CHEAP = ["contract", "declaration"]
SVG = "{http://www.w3.org/2000/svg}"
NASTY = {
    "pipes": "a | b || c |",
    "escaped pipes": r"a \| b \\| c \\\| d `e \| f` `g|h` `i\` | `",
    "line breaks": "first\nsecond\r\nthird\rfourth\n\n\nlast",
    "backticks": "`a` ``b`` ```c `d ` ` e",
    "a fence": "```python\nfit(x)\n```",
    "terminal codes": "\x1b[31;1mred\x1b[0m \x1b]8;;http://example.com\x1b\\link\x1b]8;;\x07 "
    "\x1b(B\x1b7\x1b[2J\x1b[?25l \x9b1m",
    "control characters": "nul \x00 bell \x07 back\x08 delete \x7f form\x0cfeed \x1f \x85 \u2028 \u2029",
    "other directions": "\u202eevil\u202c \u200b \ufeff",
    "half a character": "\ud800 and \udfff",
    "markup": "<script>alert(1)</script> <img src=x> &amp; <!-- </td></table></details> ]]>",
    "Markdown": "*a* **b** _c_ [d](http://example.com) ![e](f) ~~g~~ # h\n# i\n- j\n\n---\n1. k\n> l",
    "other scripts": "größer 大きい \N{GRINNING FACE}",
    "a huge word": "x" * 1_000_000,
    "many lines": "line\n" * 100_000,
    "blanks": "  \n\t\n ",
    "an indented list": "it lacks:\n  - fit. Define it.\n  - predict. " + "Define it. " * 12,
}


class Declaring:
    """Answers 0 to everything."""

    setfit_head = MappingProxyType({"api": 1, "multi_label": False})

    def fit(self, embeddings, labels):
        self.classes = sorted(set(labels))

    def predict(self, embeddings):
        return np.zeros(len(embeddings), dtype=int)

    def predict_proba(self, embeddings):
        return np.eye(len(self.classes))[self.predict(embeddings)]


@pytest.fixture(scope="module")
def real():
    """The report on a real head, of two checks that pass."""
    return check_head("logistic", only=CHEAP)


@pytest.fixture
def report(real):
    """A function that makes a complete report of results like `failed="what was seen"`."""

    def make(*results, **changes):
        return replace(real, **{"complete": True, "results": results, **changes})

    return make


def result(status, seen="", *, remedy="", reason="", which=0):
    return CheckResult(list_checks()[which], status, seen, remedy, reason, 0.25)


def one_of_each(text="it is so"):
    return (
        result("passed", which=0),
        result("failed", f"f {text}", remedy=f"m {text}", which=1),
        result("skipped", f"s {text}", which=2),
        result("xfailed", f"x {text}", reason=f"r {text}", which=3),
        result("xpassed", f"u {text}", remedy="Take it out.", reason=f"r {text}", which=0),
    )


def paragraphs(text):
    return {block.split("\n")[0]: block.split("\n")[1:] for block in text.split("\n\n")}


def tables(markdown):
    """The tables of a page as a program for GitHub's Markdown reads them: lists of rows of cells (lists of tokens)."""
    found, row = [], None
    for token in MarkdownIt("commonmark").enable("table").parse(markdown):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            row = []
            found[-1].append(row)
        elif token.type == "inline" and row is not None:
            row.append(token.children)
        elif token.type == "table_close":
            row = None
    return found


def words(tokens):
    """What a reader sees of a cell."""
    shown = {"softbreak": "\n", "html_inline": "\n"}
    return "".join(
        "" if token.content in ("<code>", "</code>") else shown.get(token.type, token.content) for token in tokens
    )


# The report itself


def test_a_report_says_what_was_run(real):
    assert isinstance(real, Report)
    assert (real.subject, real.distribution, real.contract) == (
        "logistic",
        "setfit-head-logistic",
        "non-differentiable",
    )
    assert (real.suite_version, real.seed, real.max_examples, real.complete) == (SUITE_VERSION, 0, 20, False)
    assert {"setfit-core", "numpy", "torch"} <= set(real.environment)
    assert [result.check.id for result in real.results] == CHEAP
    assert real.ok
    assert real.counts == {"passed": 2}
    assert real.seconds == pytest.approx(sum(result.seconds for result in real.results))
    real.raise_for_failures()


@pytest.mark.parametrize(("status", "ok"), [("passed", True), ("skipped", True), ("xfailed", True), ("failed", False),
                                            ("xpassed", False)])  # fmt: skip
def test_failures_and_unexpected_passes_are_not_ok(report, status, ok):
    made = report(result("passed"), result(status, "seen this", which=1))
    assert made.ok is ok
    assert made.failures == (() if ok else (made.results[1],))
    if ok:
        made.raise_for_failures()
    else:
        with pytest.raises(NonConformingHeadError) as caught:
            made.raise_for_failures()
        assert str(caught.value) == str(made)


# Text


def test_the_text_of_a_head_that_conforms(report):
    blocks = paragraphs(str(report(result("passed"), result("passed", "a note", which=1))))
    facts = blocks["Conformance of logistic (setfit-head-logistic 0.1.0)"]
    assert facts[0] == "  contract     non-differentiable"
    assert facts[1] == "  declares     no capability, so it is checked for its contract alone"
    assert facts[2] == f"  suite        version {SUITE_VERSION}, seed 0, 20 examples"
    assert facts[3].startswith("  environment  ")
    first, second = (check.id for check in list_checks()[:2])
    assert blocks["Passed (2)"] == [f"  {first}, {second}", f"  {second}  a note"]
    assert list(blocks)[-1] == "Conforms: 2 passed in 0.5 s"


def test_the_text_explains_what_is_not_in_order():
    made = check_head(Declaring, only=["contract", "learns-separable"])
    (failure,) = made.failures
    blocks = paragraphs(str(made))
    assert failure.check.id == "learns-separable"
    head, *account = blocks["Failed (1)"]
    assert head == "  learns-separable"
    told = " ".join(" ".join(account).split())
    assert told == f"meaning {failure.check.title} seen {failure.seen} mend {failure.remedy}"
    assert blocks["Passed (1)"][0] == "  contract"


def test_the_text_ends_with_what_matters_most(report):
    text = str(report(*one_of_each()))
    heads = [line for line in text.splitlines() if re.fullmatch(r"[A-Z][a-z ]+\(\d\)", line)]
    assert heads == ["Passed (1)", "Skipped (1)", "Failed as expected (1)", "Passed unexpectedly (1)", "Failed (1)"]
    assert text.splitlines()[-1] == (
        "Does not conform: 1 failed, 1 passed unexpectedly, 1 failed as expected, 1 passed, 1 skipped in 1.2 s"
    )
    blocks = paragraphs(text)
    third, fourth = (check.id for check in list_checks()[2:4])
    assert blocks["Skipped (1)"] == [f"  {third}: s it is so"]
    assert blocks["Failed as expected (1)"][0] == f"  {fourth}"
    assert "    expected  r it is so" in blocks["Failed as expected (1)"]
    assert "    seen      x it is so" in blocks["Failed as expected (1)"]
    assert "    mend      Take it out." in blocks["Passed unexpectedly (1)"]


def test_checks_that_were_skipped_for_one_reason_are_told_together(report):
    made = report(*(result("skipped", why, which=n) for n, why in enumerate(["one", "two", "one", "two"])))
    ids = [check.id for check in list_checks()[:4]]
    assert paragraphs(str(made))["Skipped (4)"] == [f"  {ids[0]}, {ids[2]}: one", f"  {ids[1]}, {ids[3]}: two"]


def test_a_selection_is_no_verdict(real, report):
    assert str(real).splitlines()[-2:] == [
        "Only a part of the suite was run, so this is no verdict on the head.",
        f"Incomplete: 2 passed in {real.seconds:.1f} s",
    ]
    assert "no verdict" in real.to_markdown()
    assert "Conforms" not in str(real) + real.to_markdown()
    failed = report(result("failed", "this"), complete=False)
    assert str(failed).splitlines()[-1].startswith("Does not conform: 1 failed")
    assert "no verdict" in str(failed)


def test_what_is_declared_is_told(report):
    made = check_head(Declaring, only=CHEAP)
    for text in (str(made), made.to_markdown().replace("\\", "")):
        assert re.search(r"declares:? +api=1, multi_label=False", text)
    assert made.to_dict()["capabilities"] == {"api": 1, "multi_label": False}
    for text in (str(report()), report().to_markdown()):
        assert re.search(r"declares:? +no capability, so it is checked for its contract alone", text)
    assert report().to_dict()["capabilities"] == {}


def test_a_head_outside_a_distribution_and_without_a_contract(report):
    made = report(subject="module:Head", distribution=None, version=None, contract=None)
    assert str(made).splitlines()[:2] == ["Conformance of module:Head", "  contract     none could be told"]
    assert made.to_markdown().startswith("## Conformance of module:Head\n")
    assert [made.to_dict()[key] for key in ("distribution", "version", "contract")] == [None] * 3
    assert str(made).splitlines()[-1] == "Conforms: no checks in 0.0 s"


# Text that comes from a head


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_the_text_stays_readable_whatever_was_seen(report, text):
    shown = str(report(*one_of_each(text), subject=f"subject {text}"[:2000]))
    *lines, _verdict = shown.splitlines()
    assert max(map(len, lines)) <= 80
    assert all(character.isprintable() or character == "\n" for character in shown)
    shown.encode()
    assert len(shown) < 20_000
    assert shown.count("\nFailed (1)\n") == 1
    if len(text) < 1000 and text.isprintable():
        assert " ".join(text.split()) in " ".join(shown.split())


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_the_markdown_stays_a_table_whatever_was_seen(report, text):
    markdown = report(*one_of_each(text), subject=f"subject {text}"[:2000]).to_markdown()
    markdown.encode()
    assert len(markdown) < 40_000
    others, passed = tables(markdown)
    assert [len(row) for row in others] == [5] * 5
    assert [len(row) for row in passed] == [4] * 2
    for cell in [cell for row in [*others, *passed] for cell in row]:
        kinds = {token.type for token in cell}
        assert kinds <= {"text", "code_inline", "html_inline", "strong_open", "strong_close", "text_special"}, kinds
        assert {token.content for token in cell if token.type == "html_inline"} <= {"<br>", "<code>", "</code>"}
    assert [words(row[1]) for row in others[1:]] == [
        "failed",
        "passed unexpectedly",
        "failed as expected",
        "skipped",
    ]
    if len(text) < 1000 and text.isprintable():
        # What is between backticks is code, so single ones go.
        seen, mend = (words(others[1][column]).replace("`", "") for column in (3, 4))
        expected = " ".join(text.replace("`", " ").split())
        assert " ".join(seen.split()).replace(" ", "") == f"f{expected}".replace(" ", "")
        assert " ".join(mend.split()).replace(" ", "") == f"m{expected}".replace(" ", "")


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_json_has_it_to_the_letter(report, text):
    made = report(*one_of_each(text))
    read = json.loads(made.to_json())
    assert read == made.to_dict()
    assert made.to_json().isascii()
    assert read["results"][1]["seen"] == f"f {text}"
    assert read["results"][1]["remedy"] == f"m {text}"
    assert read["results"][3]["reason"] == f"r {text}"


def test_what_is_cut_says_how_much_is_missing(report):
    made = report(result("failed", "x" * 5000))
    for text in (str(made), made.to_markdown().replace("\\", "")):
        missing = int(re.search(r"\[([\d,]+) more characters; the JSON form has them\]", text)[1].replace(",", ""))
        assert sum(len(run) for run in re.findall(r"x{20,}", text)) + missing == 5000
    lines = report(result("failed", "line\n" * 100))
    assert str(lines).count("line\n") == 30


def test_lists_in_messages_keep_their_form(report):
    lines = str(report(result("failed", "it lacks:\n  - fit\n  - predict, " + "which is long, " * 8))).splitlines()
    first = lines.index("    seen     it lacks:")
    assert lines[first + 1] == "               - fit"
    assert lines[first + 2].startswith("               - predict, which")
    assert re.match(r" {15}\w", lines[first + 3])


def test_code_in_messages_is_code_in_markdown(report):
    (_, row), *_ = tables(report(result("failed", "`predict` gave `a|b`, not an odd ` one")).to_markdown())
    assert [token.content for token in row[3] if token.type == "code_inline"] == ["predict"]
    assert words(row[3]) == "predict gave a|b, not an odd ` one"
    assert "<code>a&#124;b</code>" in report(result("failed", "`a|b`")).to_markdown()
    (_, row), *_ = tables(report(result("failed", "a ``b`` ```c`d")).to_markdown())
    assert [token.content for token in row[3] if token.type == "code_inline"] == ["c"]
    assert words(row[3]) == "a ``b`` ``cd"


def test_terminal_codes_go_and_other_controls_show(report):
    text = str(report(result("failed", NASTY["terminal codes"] + NASTY["control characters"])))
    assert "    seen     red link  \\x9b1mnul \\x00 bell \\x07 back\\x08 delete \\x7f form feed" in text


class Unspeakable:
    def __repr__(self):
        raise RuntimeError("no repr")


def test_declared_values_of_any_kind_can_be_shown(report):
    odd = {"a": Unspeakable(), 3: float("nan"), "b": {"c": (1, 2)}, "d": None, "e": np.int64(3), "f": "\x1b[31m|\n"}
    made = report(capabilities=odd)
    assert "a=<Unspeakable, whose repr fails>, 3=nan" in " ".join(str(made).split())
    assert "\x1b" not in str(made) + made.to_markdown()
    read = json.loads(made.to_json(), parse_constant=pytest.fail)
    assert read["capabilities"] == {
        "a": "<Unspeakable, whose repr fails>",
        "3": "nan",
        "b": {"c": "(1, 2)"},
        "d": None,
        "e": repr(np.int64(3)),
        "f": "\x1b[31m|\n",
    }


class Raising(Declaring):
    """Raises an error that would break a report that believed it."""

    def predict(self, embeddings):
        raise ValueError("a | b\n\x1b[31m<b>`red`\x00" + "!" * 10_000)


class Unprintable(Declaring):
    """Raises an error that has no text."""

    def predict(self, embeddings):
        class NoText(Exception):
            def __str__(self):
                raise RuntimeError("no text")

            __repr__ = __str__

        raise NoText


class Leaving(Declaring):
    def predict(self, embeddings):
        raise SystemExit(0)


@pytest.mark.parametrize(
    ("head", "named"), [(Raising, "ValueError: a | b"), (Unprintable, "NoText"), (Leaving, "SystemExit")]
)
def test_a_head_can_not_break_its_report(head, named):
    made = check_head(head, only=["learns-separable"])
    (failure,) = made.failures
    assert named in failure.seen
    assert "\x1b" not in str(made)
    assert json.loads(made.to_json())["ok"] is False
    (table,) = tables(made.to_markdown())
    assert [len(row) for row in table] == [5, 5]
    assert named in words(table[1][3])


# Markdown


def test_markdown_puts_first_what_is_to_be_mended(report):
    markdown = report(*one_of_each()).to_markdown()
    assert markdown.startswith(
        "## Conformance of logistic (setfit-head-logistic 0.1.0)\n\n**Does not conform**: 1 failed"
    )
    others, passed = tables(markdown)
    assert [words(cell) for cell in others[0]] == [
        "Check",
        "Result",
        "What it means",
        "What was seen",
        "How to mend it",
    ]
    checks = list_checks()
    assert [words(cell) for cell in others[1]] == [
        checks[1].id,
        "failed",
        checks[1].title.replace("`", ""),
        "f it is so",
        "m it is so",
    ]
    assert words(others[2][3]) == "expected to fail: r it is so\nu it is so"
    assert [words(cell) for cell in passed[0]] == ["Check", "What it means", "Note", "Seconds"]
    assert [words(cell) for cell in passed[1]] == [checks[0].id, checks[0].title.replace("`", ""), "", "0.25"]
    assert "<details><summary>1 passed</summary>" in markdown


def test_markdown_of_a_head_that_conforms_has_no_list_of_faults(report):
    markdown = report(result("passed")).to_markdown()
    assert len(tables(markdown)) == 1
    assert "**Conforms**: 1 passed in 0.2 s." in markdown


# Badge


def read_badge(svg):
    """The root of a badge, and its two texts."""
    root = ElementTree.fromstring(svg)
    left, right = root.iter(f"{SVG}text")
    return root, left.text, right.text


@pytest.mark.parametrize(
    ("statuses", "changes", "message", "colour"),
    [
        (["passed"], {}, f"conforms · suite {SUITE_VERSION}", "#2a7f2e"),
        (["passed", "skipped"], {"suite_version": 7}, "conforms · suite 7", "#2a7f2e"),
        (["passed", "xfailed"], {}, "conforms · 1 expected failure", "#e3b505"),
        (["xfailed", "xfailed"], {}, "conforms · 2 expected failures", "#e3b505"),
        (["passed", "failed"], {}, "1 check fails", "#b3261e"),
        (["failed", "failed", "xfailed", "xpassed"], {}, "2 checks fail", "#b3261e"),
        (["xpassed"], {}, "1 unexpected pass", "#b3261e"),
        (["xpassed", "xpassed"], {}, "2 unexpected passes", "#b3261e"),
        (["passed"], {"complete": False}, "incomplete run", "#6b6b6b"),
        (["failed"], {"complete": False}, "1 check fails", "#b3261e"),
    ],
)
def test_the_badge_tells_the_verdict(report, statuses, changes, message, colour):
    results = [result(status, which=n) for n, status in enumerate(statuses)]
    root, left, right = read_badge(report(*results, **changes).to_badge())
    assert (left, right) == ("setfit head", message)
    assert [rect.get("fill") for rect in root.iter(f"{SVG}rect")][-1] == colour
    assert root.get("role") == "img"
    assert root.get("aria-label") == f"setfit head logistic (setfit-head-logistic 0.1.0): {message}"
    assert root.find(f"{SVG}title").text == root.get("aria-label")


def test_the_badge_fits_its_text_and_stands_alone(report):
    svg = report(result("passed")).to_badge()
    root, *_ = read_badge(svg)
    _, left, right = root.iter(f"{SVG}rect")
    assert int(left.get("width")) + int(right.get("width")) == int(root.get("width"))
    assert right.get("x") == left.get("width")
    for rect, text in zip((left, right), root.iter(f"{SVG}text"), strict=True):
        assert int(text.get("textLength")) + 12 == int(rect.get("width"))
        assert float(text.get("x")) == int(rect.get("x", 0)) + int(rect.get("width")) / 2
    wider = read_badge(report(*[result("xfailed")] * 3).to_badge())[0]
    assert int(wider.get("width")) > int(root.get("width"))
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg",
        "title",
        "clipPath",
        "rect",
        "g",
        "text",
    }
    assert "href" not in svg
    assert re.findall(r"https?://[^\"]*", svg) == ["http://www.w3.org/2000/svg"]


@pytest.mark.parametrize("text", NASTY.values(), ids=NASTY)
def test_a_badge_is_xml_whatever_the_head_is_called(report, text):
    svg = report(subject=f"<{text[:2000]}>&\"'", version=text[:2000]).to_badge()
    svg.encode()
    root, _, _ = read_badge(svg)
    assert root.get("aria-label").startswith("setfit head <")
    assert len(root.get("aria-label")) < 300


# Dictionary


def test_the_dictionary_has_the_documented_form(report):
    read = report(*one_of_each()).to_dict()
    assert list(read) == [
        "schema",
        "subject",
        "distribution",
        "version",
        "contract",
        "capabilities",
        "suite_version",
        "seed",
        "max_examples",
        "complete",
        "ok",
        "counts",
        "seconds",
        "environment",
        "results",
    ]
    assert read["schema"] == 1
    assert read["counts"] == dict.fromkeys(("passed", "failed", "skipped", "xfailed", "xpassed"), 1)
    assert report(result("failed")).to_dict()["counts"] == {
        "passed": 0, "failed": 1, "skipped": 0, "xfailed": 0, "xpassed": 0
    }  # fmt: skip
    assert (read["ok"], read["complete"], read["seconds"]) == (False, True, 1.25)
    check = list_checks()[1]
    assert read["results"][1] == {
        "id": check.id,
        "title": check.title,
        "since": 1,
        "contracts": sorted(check.contracts),
        "status": "failed",
        "seen": "f it is so",
        "remedy": "m it is so",
        "reason": "",
        "seconds": 0.25,
    }
