"""`setfit-core check`: is this a head, what is wrong if not, and how is it mended?"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from setfit_core.cli.config_file import ConfigOption
from setfit_core.cli.options import DebugOption, complete_head, pairs
from setfit_core.cli.screen import is_terminal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from setfit_core.testing import Report

_STDOUT, _STDERR = 1, 2
_COLOURS: dict[str, dict[str, Any]] = {
    "plain": {},
    "heading": {"bold": True},
    "good": {"fg": "green"},
    "bad": {"fg": "red", "bold": True},
    "doubtful": {"fg": "yellow"},
}


def check(
    target: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="An installed head, NAME or DISTRIBUTION:NAME, or package.module:Class, also from this directory.",
            show_default=False,
            autocompletion=complete_head,
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown instead of text.")] = False,
    badge: Annotated[
        Path | None, typer.Option("--badge", metavar="FILE.svg", help="Also write a badge with the verdict.")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, max=2**32 - 1, help="Seed of all that is drawn.")
    ] = 0,
    max_examples: Annotated[
        int, typer.Option("--max-examples", metavar="N", min=1, help="Examples to draw for a property.")
    ] = 20,
    suite_version: Annotated[
        int | None, typer.Option("--suite-version", metavar="N", min=1, help="Use an older list of checks.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", metavar="ID", help="Run this check alone; may be repeated. Gives no verdict."),
    ] = None,
    expect_failure: Annotated[
        list[str] | None,
        typer.Option(
            "--expect-failure",
            metavar="ID=REASON",
            help="A check that is known to fail, and why; may be repeated. If it passes, that is a failure.",
        ),
    ] = None,
    declare: Annotated[
        list[str] | None,
        typer.Option(
            "--declare",
            metavar="KEY=VALUE",
            help="What the head can do beyond its contract, where its class has no setfit_head; may be repeated.",
        ),
    ] = None,
    _config: ConfigOption = None,
    _debug: DebugOption = False,
) -> None:
    """Check that a head keeps its contract, or tell how to mend it.

    The exit status is 0 if it does, 1 if it does not or can't be found, and 2 if the command was called wrongly.
    """
    if as_json and as_markdown:
        raise typer.BadParameter("it excludes --markdown. Give one of the two.", param_hint="--json")
    if badge is not None:
        _check_place(badge)
    expected_failures = pairs(expect_failure or (), "--expect-failure", "ID=REASON")
    capabilities = None if declare is None else _capabilities(pairs(declare, "--declare", "KEY=VALUE"))
    _require_extra()
    _check_ids(only or (), "--only", suite_version)
    _check_ids(expected_failures, "--expect-failure", suite_version)
    if is_terminal(sys.stderr):
        typer.echo(f"Checking {target} ...", err=True)

    from setfit_core.errors import ArgumentError
    from setfit_core.testing import check_head

    try:
        with _modules_here() if ":" in target else contextlib.nullcontext(), _nothing_printed():
            report = check_head(
                target,
                capabilities=capabilities,
                expected_failures=expected_failures,
                seed=seed,
                max_examples=max_examples,
                suite_version=suite_version,
                only=only,
            )
    except ArgumentError as error:
        raise typer.BadParameter(str(error)) from error
    if as_json:
        _print(report.to_json())
    elif as_markdown:
        _print(report.to_markdown())
    else:
        _print_text(report)
    if badge is not None:
        _write(badge, report.to_badge())
    raise typer.Exit(0 if report.ok else 1)


# What is given


def _check_place(badge: Path) -> None:
    folder = badge.parent
    if not folder.is_dir():
        problem = f"there is no folder {str(folder)!r}. Create it first."
    elif badge.is_dir():
        problem = f"{str(badge)!r} is a folder. Give the name of a file."
    elif not os.access(folder, os.W_OK):
        problem = f"the folder {str(folder)!r} can't be written to."
    else:
        return
    raise typer.BadParameter(problem, param_hint="--badge")


def _capabilities(pairs: Mapping[str, str]) -> Mapping[str, Any]:
    from setfit_core.conformance import validated_capabilities
    from setfit_core.errors import HeadError

    try:
        return validated_capabilities({key: _value(text) for key, text in pairs.items()}, "what is declared")
    except HeadError as error:
        raise typer.BadParameter(str(error), param_hint="--declare") from error


def _value(text: str) -> Any:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    return int(text) if text.isdecimal() else text


def _require_extra() -> None:
    try:
        import hypothesis  # noqa: F401  # only to see that it is there
    except ImportError as error:
        from setfit_core.errors import SetFitError

        raise SetFitError(
            f'The conformance suite needs the extra "testing" ({error}). Install it with: '
            'pip install "setfit-core[testing]"'
        ) from error


def _check_ids(ids: Collection[str], option: str, suite_version: int | None) -> None:
    from setfit_core.errors import ArgumentError
    from setfit_core.testing import SUITE_VERSION
    from setfit_core.testing.checks import find_check

    try:
        for identifier in ids:
            find_check(identifier, suite_version=suite_version or SUITE_VERSION)
    except ArgumentError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


# Around the run


@contextlib.contextmanager
def _modules_here() -> Iterator[None]:
    """Let modules of the working directory be imported, before others, as `python -m` does."""
    before = list(sys.path)
    sys.path.insert(0, str(Path.cwd()))
    try:
        yield
    finally:
        sys.path[:] = before


@contextlib.contextmanager
def _nothing_printed() -> Iterator[None]:
    """Send to stderr what a head writes to stdout, from Python or from C, so that stdout has the result alone."""
    from setfit_core.testing.stdout import flush

    streams = [stream for stream in (sys.stdout, sys.__stdout__) if stream is not None]
    with contextlib.redirect_stdout(sys.stderr), contextlib.ExitStack() as stack:
        # A standard stream that the caller has closed leads nowhere, so that no other file takes its number.
        while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
            stack.callback(os.close, descriptor)
        os.close(descriptor)
        stdout = os.dup(_STDOUT)
        stack.callback(os.close, stdout)
        flush(*streams)
        os.dup2(_STDERR, _STDOUT)
        try:
            yield
        finally:
            flush(*streams)
            os.dup2(stdout, _STDOUT)


# What is printed


def _print(text: str) -> None:
    """Print text, with what stdout can't encode as escapes: it may hold anything that a head says."""
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    typer.echo(text.encode(encoding, "backslashreplace").decode(encoding))


def _print_text(report: Report) -> None:
    from setfit_core.testing.rendering import as_lines

    if "NO_COLOR" in os.environ or not is_terminal(sys.stdout):
        _print(str(report))
        return
    for text, style in as_lines(report):
        _print(typer.style(text, **_COLOURS[style]))


def _write(badge: Path, svg: str) -> None:
    """Write a file beside its place and put it there, so that nobody sees half of it."""
    beside = badge.with_name(f".{badge.name}.{os.getpid()}")
    try:
        beside.write_text(svg, encoding="utf-8")
        beside.replace(badge)
    except OSError as error:
        from setfit_core.errors import SetFitError

        raise SetFitError(f"The badge {str(badge)!r} can't be written: {error}. Give another place.") from error
    finally:
        beside.unlink(missing_ok=True)
