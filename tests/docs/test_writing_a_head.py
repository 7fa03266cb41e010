"""The author's guide, followed step by step: its files are written, its commands run, its output is what comes."""

from __future__ import annotations

import ast
import os
import re
import shlex
import site
import subprocess
import sys
from pathlib import Path

import pytest

import setfit_core.hookspecs
from setfit_core.conformance import declared_capabilities
from setfit_core.errors import NonConformingHeadError
from setfit_core.scaffold import HeadNames, write_package

REPOSITORY = Path(__file__).parents[2]
GUIDE = (REPOSITORY / "docs" / "writing-a-head.md").read_text(encoding="utf-8")
BLOCK = re.compile(
    r"(?:^<!-- status (?P<status>\d+) -->\n)?^```(?P<kind>\w+)\n(?P<content>.*?)^```$", re.MULTILINE | re.DOTALL
)
#: A block that begins with the name of a file shows that file, or for `pyproject.toml` the lines that change.
FILE = re.compile(r"# (?P<path>[\w./-]+\.(?:py|toml|yml))\n(?P<rest>.*)", re.DOTALL)
#: Lines such as `print(...)  # [1, 2]` say what they print.
PROMISED = re.compile(r"^print\(.*\)\s+# (?P<output>.+)$", re.MULTILINE)
#: What differs between machines and as the suite grows.
UNSTABLE = (
    (r"in \d+\.\d+ s", "in N s"),
    (r"\d+ (passed|skipped)\b(?! unexpectedly)", r"N \1"),
    (r"\d+ of \d+ rows; row \d+", "N of N rows; row N"),
)


def blocks():
    """Yield the line, the kind, the content and the expected exit status of each block of the guide."""
    for match in BLOCK.finditer(GUIDE):
        line = GUIDE.count("\n", 0, match.start("kind")) + 1
        yield line, match["kind"], match["content"], int(match["status"] or 0)


def stable(text):
    for pattern, word in UNSTABLE:
        text = re.sub(pattern, word, text)
    return text


def agrees(shown, printed):
    """Whether output is as shown, in which a line `...` stands for any lines."""
    lines = [
        r"(?:.*\n)*" if line.strip() == "..." else re.escape(f"{line}\n") for line in stable(shown).rstrip().split("\n")
    ]
    return re.fullmatch("".join(lines), stable(printed).rstrip() + "\n") is not None


@pytest.fixture
def environment(tmp_path):
    """The variables of a new virtual environment: setfit-core's wheel, and beneath it what runs the tests."""
    folder = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    beneath = "".join(f"import site; site.addsitedir({path!r})\n" for path in site.getsitepackages())
    (packages / "beneath.pth").write_text(beneath)
    for program, target in (("pip", "pip._internal.cli.main:main"), ("pytest", "pytest:main")):
        module, _, function = target.partition(":")
        script = folder / "bin" / program
        script.write_text(
            f"#!{folder}/bin/python\nimport sys\nfrom {module} import {function}\nsys.exit({function}())\n"
        )
        script.chmod(0o755)
    variables = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_", "SETFIT_"))
    }
    variables |= {
        "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "VIRTUAL_ENV": str(folder),
        "HOME": str(tmp_path),
        # No step may reach the network; this is how pip is told to build with the packages that are there.
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    build = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tmp_path / "core")], cwd=REPOSITORY, check=True)
    (wheel,) = (tmp_path / "core").glob("*.whl")
    install = [str(folder / "bin" / "pip"), "install", "--quiet", "--no-deps", "--ignore-installed", str(wheel)]
    subprocess.run(install, check=True, env=variables)
    return variables


class Reader:
    """Somebody who follows the guide in an empty folder."""

    def __init__(self, folder, environment):
        self.folder = folder
        self.whereabouts = folder.parent / "whereabouts"
        self.environment = environment
        self.printed = ""

    def follow(self, kind, content, status):
        """Do what a block asks for; return what is wrong, or an empty string."""
        shows = FILE.fullmatch(content)
        if kind == "text":
            return "" if agrees(content, self.printed) else f"it prints something else:\n{self.printed}"
        if kind == "bash":
            remember = f"trap 'pwd > {shlex.quote(str(self.whereabouts))}' EXIT\n"
            problem = self.run(["bash", "-euo", "pipefail", "-c", remember + content], status)
            self.folder = Path(self.whereabouts.read_text().strip())
            return problem
        if kind == "python" and not shows:
            problem = self.run(["python", "-c", content], status)
            promised = [match["output"] for match in PROMISED.finditer(content)]
            missing = [output for output in promised if output not in self.printed.splitlines()]
            return problem or (f"it doesn't print {missing}:\n{self.printed}" if missing else "")
        if not shows:
            return f"nobody knows what to do with a block of the kind {kind!r}"
        path = self.folder / shows["path"]
        if kind == "python":
            path.write_text(content)
            return ""
        return self.change(path, shows["rest"]) if kind == "toml" else self.compare(path, shows["rest"])

    def run(self, command, status):
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        self.printed = done.stdout
        return "" if done.returncode == status else f"it exits with {done.returncode}:\n{done.stdout}"

    def change(self, path, lines):
        """Put lines of TOML in the place of those with the same key."""
        text = path.read_text()
        for line in lines.splitlines():
            key = line.partition(" = ")[0]
            text, times = re.subn(rf"^{re.escape(key)}( = .*)?$", line.replace("\\", r"\\"), text, flags=re.MULTILINE)
            if times != 1:
                return f"{path.name} has {key!r} {times} times"
        path.write_text(text)
        return ""

    def compare(self, path, shown):
        return "" if shown in path.read_text() else f"{path.name} is not as shown:\n{path.read_text()}"


@pytest.mark.slow
def test_every_step_works(environment, tmp_path):
    reader = Reader(tmp_path / "home", environment)
    reader.folder.mkdir()
    for line, kind, content, status in blocks():
        problem = reader.follow(kind, content, status)
        assert not problem, f"docs/writing-a-head.md, line {line}: {problem}"


def table(first_heading):
    """Return the cells of the table whose first column has this heading, without its heading."""
    _, _, after = GUIDE.partition(f"| {first_heading} |")
    rows = after.partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_the_table_of_files_names_what_new_head_writes(tmp_path):
    write_package(HeadNames.of("kernel"), tmp_path)
    written = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    named = [file.strip("`") for row in table("file") for file in row[0].split(", ")]
    assert sorted(named) == sorted(written)


def test_the_table_of_capabilities_has_every_key_and_value():
    known = {}
    for key, values, _ in table("key"):
        known[key.strip("`")] = [ast.literal_eval(value.strip("`")) for value in values.split(", ")]
    for key, values in known.items():
        for value in values:
            assert declared_capabilities(type("Head", (), {"setfit_head": {key: value}})) == {key: value}
    with pytest.raises(NonConformingHeadError) as caught:
        declared_capabilities(type("Head", (), {"setfit_head": {"colour": 1}}))
    assert f"Known keys are {', '.join(map(repr, known))}." in str(caught.value)


def test_the_guide_shows_every_hook():
    hooks = {name for name in vars(setfit_core.hookspecs) if name.startswith("setfit_")}
    assert hooks == set(re.findall(r"@hookimpl\ndef (\w+)", GUIDE))


def test_the_output_that_is_shown_is_compared():
    shown = "a 3 passed in 1.0 s\n...\nlast\n"
    assert agrees(shown, "a 4 passed in 22.5 s\nb\nc\nlast\n")
    assert agrees(shown, "a 3 passed in 1.0 s\nlast\n")
    assert not agrees(shown, "a 3 failed in 1.0 s\nb\nlast\n")
    assert not agrees(shown, "a 3 passed in 1.0 s\nb\nlast\nmore\n")
    kinds = [kind for _, kind, _, _ in blocks()]
    assert kinds.count("text") == 5
    assert "```" not in BLOCK.sub("", GUIDE)
