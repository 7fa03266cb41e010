"""Real distributions, built as wheels and installed by pip, and child processes that see just these.

A child runs with `-S` and a `PYTHONPATH` of its own: the heads of the environment that runs the tests are out of
its sight. What it finds out it prints as JSON.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).parents[2]

CLASS = """
class Head:
    def __init__(self, **params):
        self.params = params

    def fit(self, embeddings, labels):
        return self

    def predict(self, embeddings):
        return [0 for _ in embeddings]

    def predict_proba(self, embeddings):
        return [[1.0] for _ in embeddings]
"""

HOOKS = """
import pluggy

hookimpl = pluggy.HookimplMarker("setfit")
"""


@dataclass(frozen=True)
class Project:
    """A distribution with one module; the module is named like it."""

    name: str
    heads: Mapping[str, str]
    source: str = CLASS
    version: str = "1.0"
    requires: tuple[str, ...] = ()
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    api: tuple[str, ...] = ()

    def write(self, folder: Path) -> None:
        module = self.name.replace("-", "_")
        folder.mkdir(parents=True)
        (folder / f"{module}.py").write_text(self.source)
        groups = {"setfit.heads": self.heads, "setfit.head_api": dict.fromkeys(self.api, "unused:unused")}
        lines = [
            "[build-system]",
            'requires = ["hatchling"]',
            'build-backend = "hatchling.build"',
            "[project]",
            f"name = {json.dumps(self.name)}",
            f"version = {json.dumps(self.version)}",
            f"dependencies = {json.dumps(self.requires)}",
            "[project.optional-dependencies]",
            *(f"{extra} = {json.dumps(needs)}" for extra, needs in self.extras.items()),
        ]
        for group, entries in groups.items():
            if entries:
                lines.append(f"[project.entry-points.{json.dumps(group)}]")
                lines += [f"{json.dumps(name)} = {json.dumps(value)}" for name, value in entries.items()]
        lines += ["[tool.hatch.build.targets.wheel]", f'only-include = ["{module}.py"]']
        (folder / "pyproject.toml").write_text("\n".join(lines))


def project(name: str, target: str, source: str = CLASS, **more: Any) -> Project:
    """A project with the one head that is named like it."""
    module = name.replace("-", "_")
    return Project(name, {name.removeprefix("fx-"): target.format(module)}, textwrap.dedent(source), **more)


#: What is installed together: the key is the name of the folder.
SITES: dict[str, tuple[Project, ...]] = {
    "good": (
        Project(
            "fx-alpha",
            {
                "alpha": "fx_alpha:Head",
                "alpha-again": "fx_alpha:Head",
                "alpha.made": "fx_alpha:make",
                "alpha.partial": "fx_alpha:partial",
                "alpha.callable": "fx_alpha:maker",
                "alpha_nested": "fx_alpha:Namespace.Head",
                "no-probabilities": "fx_alpha:NoProbabilities [an-extra]",
            },
            CLASS
            + textwrap.dedent(
                """
                import functools

                def make(**params):
                    return Head(made=True, **params)

                partial = functools.partial(make, partial=True)

                class Maker:
                    def __call__(self, **params):
                        return make(maker=True, **params)

                maker = Maker()

                class Namespace:
                    Head = Head

                class NoProbabilities:
                    def fit(self, embeddings, labels):
                        return self

                    def predict(self, embeddings):
                        return [0 for _ in embeddings]
                """
            ),
            version="1.2.0",
        ),
        Project(
            "fx-hooks",
            {
                "module": "fx_hooks",
                "object": "fx_hooks:plugin",
                "object-twin": "fx_hooks:twin",
                "class": "fx_hooks:WithHooks",
            },
            CLASS
            + HOOKS
            + textwrap.dedent(
                """
                import dataclasses
                import time

                calls = []

                @hookimpl
                def setfit_head_factory():
                    time.sleep(0.05)  # long enough for other threads to arrive
                    calls.append("setfit_head_factory")
                    return Head

                @hookimpl
                def setfit_save_head(head, directory):
                    return {"format": "module"}

                @dataclasses.dataclass  # equal to its twin, and not hashable
                class Plugin:
                    size: int = 1

                    @hookimpl
                    def setfit_head_factory(self):
                        return Head

                    @hookimpl
                    def setfit_save_head(self, head):
                        return {"format": f"object at {'plugin' if self is plugin else 'twin'}"}

                    @hookimpl(optionalhook=True)
                    def setfit_hook_of_the_future(self):
                        return None

                plugin = Plugin()
                twin = Plugin()

                class WithHooks(Head):
                    @staticmethod
                    @hookimpl(specname="setfit_save_head")
                    def save(head):
                        return {"format": "class"}
                """
            ),
            version="0.3",
        ),
    ),
    "broken": (
        project("fx-syntax", "{}:Head", "def ("),
        project("fx-runtime", "{}:Head", "raise RuntimeError('the plugin is unwell')"),
        project("fx-exit", "{}:Head", "raise SystemExit(7)"),
        project("fx-base", "{}:Head", "class Odd(BaseException): pass\nraise Odd('odd')"),
        project(
            "fx-dependency",
            "{}:Head",
            "import fx_no_such_module",
            requires=(
                "pluggy>=1",
                "fx-no-such-distribution>=3",
                "fx-other-system; python_version < '3'",
            ),
        ),
        project("fx-dependency-undeclared", "{}:Head", "import fx_no_such_module"),
        project("fx-import-name", "{}:Head", "from pluggy import no_such_name"),
        project("fx-missing-module", "fx_not_in_the_wheel:Head"),
        project("fx-attribute", "{}:Haed"),
        project("fx-lazy-attribute", "{}:Head", "def __getattr__(name): raise OSError('no such file')"),
        project("fx-unprintable", "{}:Head", "class E(Exception):\n def __str__(self): 1 / 0\nraise E"),
        project("fx-shape", "{}:Head", "class Head:\n    def fit(self, embeddings):\n        return self\n"),
        project("fx-capability", "{}:Head", CLASS + "    setfit_head = {'multilabel': True}\n"),
        project("fx-api-of-class", "{}:Head", CLASS + "    setfit_head = {'api': 99}\n"),
        project("fx-built", "{}:head", CLASS + "\nhead = Head()\n"),
        project(
            "fx-built-callable",
            "{}:head",
            CLASS + "\n    def __call__(self, **params):\n        return self\nhead = Head()\n",
        ),
        project("fx-number", "{}:head", "head = 3"),
        project("fx-hookless", "{}", "import os"),
        project("fx-unmarked", "{}", "def setfit_head_factory(): return dict"),
        project("fx-unknown-hook", "{}", HOOKS + "@hookimpl\ndef setfit_head_factroy(): return dict\n"),
        project(
            "fx-hook-argument",
            "{}",
            HOOKS + "@hookimpl\ndef setfit_head_factory(colour): return dict\n",
        ),
        project(
            "fx-hook-method",
            "{}:Head",
            HOOKS + CLASS + "\n    @hookimpl\n    def setfit_save_head(self, head): return {}\n",
        ),
        project("fx-factory-none", "{}", HOOKS + "@hookimpl\ndef setfit_head_factory(): return None\n"),
        project("fx-factory-raises", "{}", HOOKS + "@hookimpl\ndef setfit_head_factory(): raise SystemExit\n"),
        project(
            "fx-factory-shape",
            "{}",
            HOOKS + "@hookimpl\ndef setfit_head_factory(): return dict\n",
        ),
        project(
            "fx-hostile",
            "{}:head",
            """
            class Hostile:
                def __dir__(self): raise RuntimeError("no dir for you")
            head = Hostile()
            """,
        ),
        project("fx-interrupt", "{}:Head", "raise KeyboardInterrupt"),
        project("fx-memory", "{}:Head", "raise MemoryError"),
        project(
            "fx-flaky",
            "{}:Head",
            "import os\nif 'FX_WELL' not in os.environ: raise RuntimeError('not yet')\n" + CLASS,
        ),
    ),
    "torch": (
        project(
            "fx-ambiguous",
            "{}:Head",
            """
            from torch import nn

            class Head(nn.Module):
                def forward(self, features): return features
                def fit(self, embeddings, labels): return self
                def predict(self, embeddings): return embeddings
                def predict_proba(self, embeddings): return embeddings
                def get_loss_fn(self): return nn.CrossEntropyLoss()

            """,
        ),
        project(
            "fx-clear",
            "{}:Head",
            "from fx_ambiguous import Head as Base\nclass Head(Base):\n"
            "    setfit_head = {'contract': 'differentiable'}\n",
        ),
    ),
    "versions": (
        project("fx-needs-newer", "{}:Head", requires=("setfit-core>=9",)),
        project("fx-needs-this", "{}:Head", requires=("Setfit_Core>=0.1,<9",)),
        project("fx-needs-extra", "{}:Head", extras={"train": ("setfit-core>=9",)}),
        project("fx-needs-elsewhere", "{}:Head", requires=("setfit-core>=9; python_version < '3'",)),
        project("fx-needs-similar", "{}:Head", requires=("setfit-core-extras>=9",)),
        project("fx-api-99", "{}:Head", api=("99",)),
        project("fx-api-both", "{}:Head", api=("1", "2")),
        project("fx-api-word", "{}:Head", api=("one",)),
        project("fx-api-stated", "{}:Head", api=("1",)),
    ),
    "invalid-name": (
        Project("fx-names", {"-dash": "fx_names:Head", "a:b": "fx_names:Head", "sound": "fx_names:Head"}),
    ),
    "malformed": (project("fx-malformed", "fx-malformed is no module!"),),
    "double": (project("fx-double", "{}:Head"),),
    "unreadable": (project("fx-garbled", "{}:Head"), project("fx-nameless", "{}:Head")),
    "rival-a": (Project("fx-rival-a", {"shared": "fx_rival_a:Head", "only-a": "fx_rival_a:Head"}),),
    "rival-b": (Project("fx-rival-b", {"shared": "fx_rival_b:Head", "only-b": "fx_rival_b:Head"}),),
    "old-alpha": (Project("fx-alpha", {"alpha": "fx_alpha:Head", "gone": "fx_alpha:Head"}, version="1.1"),),
    "headless-alpha": (Project("fx-alpha", {}, version="1.0"),),
    "usurper": (project("fx-usurper", "{}:Head"),),
}

PRELUDE = """
import json, sys, warnings

executed = []

def _hook(event, args):
    names = {"exec": lambda: args[0].co_filename, "compile": lambda: str(args[1])}
    if event in names:
        name = names[event]().replace("\\\\", "/").rpartition("/")[2].removesuffix(".py")
        if name.startswith("fx_") and name not in executed:
            executed.append(name)

sys.addaudithook(_hook)

def attempt(function, *args):
    try:
        result = function(*args)
    except BaseException as error:
        cause = error.__cause__
        return {"error": type(error).__name__, "text": str(error), "cause": cause and type(cause).__name__}
    return {"error": None, "result": repr(result)}

def listed(registry):
    return [[info.qualified_name, info.version, info.target, info.status] for info in registry.heads()]

def emit(**found):
    print(json.dumps(found))

from setfit_core.registry import *
"""


@dataclass(frozen=True)
class Child:
    """What a child process said."""

    out: Any
    err: str


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every project above as a wheel, in a folder for each site; and the core's."""
    folder = tmp_path_factory.mktemp("wheels")
    orders = [[str(REPOSITORY), str(folder / "core")]]
    orders += [[str(REPOSITORY / "plugins" / name), str(folder / "plugins")] for name in ("setfit-head-logistic",)]
    for site, projects in SITES.items():
        for each in projects:
            source = folder / "source" / site / each.name
            each.write(source)
            orders.append([str(source), str(folder / site)])
    script = (
        "import json, os, sys\n"
        "from hatchling.build import build_wheel\n"
        "for source, out in json.load(sys.stdin):\n"
        "    os.chdir(source); os.makedirs(out, exist_ok=True); build_wheel(out)\n"
    )
    subprocess.run([sys.executable, "-c", script], input=json.dumps(orders), text=True, check=True, capture_output=True)
    return folder


@pytest.fixture(scope="session")
def site(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return the folder into which pip has installed a site, the first time it is asked for."""
    installed: dict[str, Path] = {}

    def get(name: str) -> Path:
        if name not in installed:
            target = tmp_path_factory.mktemp("sites") / name
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
            command += ["--disable-pip-version-check", "--no-compile", "--target", str(target)]
            command += map(str, sorted((wheels / name).glob("*.whl")))
            subprocess.run(command, check=True, capture_output=True, text=True)
            installed[name] = target
        return installed[name]

    return get


@pytest.fixture(scope="session")
def bare(site: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The core and the little that finding heads needs: no first-party head, no torch, no numpy."""
    needs = tmp_path_factory.mktemp("needs")
    for name in ("packaging", "pluggy", "typing-extensions"):
        for file in metadata.files(name) or ():
            source = Path(str(file.locate()))
            if ".." not in file.parts and source.suffix != ".pyc":
                (needs / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, needs / file)
    return site("core"), needs


@pytest.fixture
def child(bare: tuple[Path, Path], tmp_path: Path) -> Callable[..., Child]:
    """Run a script in a process of its own; sites are folders on its path, in this order, before the core's."""

    def run(
        script: str, *sites: Path, everything: bool = False, first: str = "", prelude: str = PRELUDE, **environ: str
    ) -> Child:
        path = [str(folder) for folder in (*sites, *bare)]
        if everything:
            path += [entry for entry in sys.path if entry.endswith("site-packages")]
        done = subprocess.run(
            [sys.executable, "-S", "-c", first + prelude + textwrap.dedent(script)],
            env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(path), **environ},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return Child(json.loads(done.stdout.splitlines()[-1]), done.stderr)

    return run


@pytest.fixture
def spoil(tmp_path: Path) -> Callable[..., Path]:
    """Copy an installed site and damage a file of one distribution's metadata there."""

    def damage(folder: Path, distribution: str, file: str, change: Callable[[bytes], bytes] | None) -> Path:
        copy = tmp_path / "spoilt" / folder.name
        if not copy.exists():
            shutil.copytree(folder, copy)
        (info,) = copy.glob(f"{distribution.replace('-', '_')}-*.dist-info")
        if change is None:
            (info / file).unlink()
        else:
            (info / file).write_bytes(change((info / file).read_bytes()))
        return copy

    return damage
