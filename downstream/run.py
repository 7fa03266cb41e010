"""Install each head of `recipes.toml` from its wheel into an environment of its own, and run the conformance suite.

The environments share one with PyTorch, the core's wheel and what it requires, which takes minutes to make; what a head
brings is in its own alone. So a head that forgot a requirement fails here, whatever other heads would have brought.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import venv
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
RECIPES = Path(__file__).with_name("recipes.toml")
BUILD = "import sys; from hatchling.build import build_wheel; print(build_wheel(sys.argv[1]))"
CHECK = "import sys; from setfit_core.cli import main; sys.exit(main(['check', sys.argv[1]]))"
#: Without these in the core's own environment, it can't be installed at all.
REQUIRED_BY_CORE = ("setfit-head-linear", "setfit-head-logistic")


class Environment:
    """A virtual environment, which may see the packages of another one below it."""

    def __init__(self, folder: Path, below: Environment | None = None) -> None:
        venv.create(folder, with_pip=below is None)
        self.bin = folder / ("Scripts" if os.name == "nt" else "bin")
        self.pip_python = (below or self).bin / "python"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SETFIT_"))}
        self.variables = {**kept, "HF_HUB_OFFLINE": "1"}
        self.packages = Path(self.output("python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"))
        if below is not None:
            (self.packages / "below.pth").write_text(f"{below.packages}\n")

    def run(self, command: str, *arguments: object, quiet: bool = False) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment; its output is kept if it is to be quiet."""
        full = [self.bin / command, *map(str, arguments)]
        return subprocess.run(full, env=self.variables, capture_output=quiet, text=True, cwd=self.bin.parent)

    def output(self, command: str, *arguments: object) -> str:
        """Return what a command prints; the program ends if it fails."""
        done = self.run(command, *arguments, quiet=True)
        if done.returncode:
            sys.exit(f"{command} {' '.join(map(str, arguments))} failed:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def install(self, *arguments: object) -> None:
        """Install into this environment, with the pip of the lowest one."""
        python = ["--python", self.bin / "python"] if self.pip_python.parent != self.bin else []
        command = [
            self.pip_python,
            "-m",
            "pip",
            *python,
            "--disable-pip-version-check",
            "install",
            "--quiet",
            *arguments,
        ]
        if subprocess.run(list(map(str, command)), env=self.variables).returncode:
            sys.exit(f"pip can't install {' '.join(map(str, arguments))}")


def wheel_of(project: Path, folder: Path) -> Path:
    """Build the wheel of a project of this checkout."""
    done = subprocess.run([sys.executable, "-c", BUILD, str(folder)], cwd=project, check=True, stdout=subprocess.PIPE)
    return folder / done.stdout.decode().split()[-1]


def main() -> int:
    """Run the recipes; the exit status is the number of heads that failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("heads", nargs="*", help="the recipes to run (default: all)")
    parser.add_argument("--constraint", type=Path, help="a constraints file for pip, for PyTorch above all")
    options = parser.parse_args()
    recipes = tomllib.loads(RECIPES.read_text(encoding="utf-8"))
    unknown = set(options.heads) - set(recipes)
    if unknown:
        parser.error(f"there is no recipe for {', '.join(sorted(unknown))}. There are: {', '.join(recipes)}.")
    constraint = ["--constraint", options.constraint.resolve()] if options.constraint else []
    failed = []
    with tempfile.TemporaryDirectory(prefix="downstream-") as folder:
        wheels, place = Path(folder) / "wheels", Path(folder)
        base = Environment(place / "core")
        # PyTorch comes first and alone, so that nothing else decides which build is taken.
        base.install(*constraint, *os.environ.get("TORCH", "torch").split())
        required = [wheel_of(ROOT / "plugins" / name, wheels) for name in REQUIRED_BY_CORE]
        base.install(*constraint, f"{wheel_of(ROOT, wheels)}[testing]", *required)
        for head in options.heads or recipes:
            recipe, start = recipes[head], time.monotonic()
            environment = Environment(place / head, below=base)
            project = ROOT / recipe["install"]
            target = wheel_of(project, wheels) if project.is_dir() else recipe["install"]
            if "first" in recipe:
                environment.install(*constraint, *recipe["first"])
            environment.install(*constraint, *(["--no-deps"] if recipe.get("no-deps") else []), target)
            done = environment.run("python", "-c", CHECK, head, quiet=True)
            print(
                f"{head:<12} {'ok' if done.returncode == 0 else 'FAILED'} {time.monotonic() - start:6.0f} s", flush=True
            )
            if done.returncode:
                failed.append(head)
                print(done.stdout, done.stderr, sep="\n")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
