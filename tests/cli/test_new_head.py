"""`setfit-core new-head`: what it writes builds, installs and passes the conformance suite as it is."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).parents[2]
PROGRAM = "import sys; from setfit_core.cli import main; sys.exit(main())"
# No file may grow beyond 5,000 bytes, as on a full disk; the licence is longer.
SMALL_DISK = f"import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000)); {PROGRAM}"
# The third file or folder that is moved to its place can't be.
NO_MOVE = f"""
import errno, sys
moves = []
def refuse(event, arguments):
    if event == "os.rename" and ".setfit_head_placed." in str(arguments[0]):
        moves.append(arguments)
        if len(moves) == 3:
            raise OSError(errno.EIO, "Input/output error")
sys.addaudithook(refuse)
{PROGRAM}
"""

KINDS = {
    "array": SimpleNamespace(
        head="nearest-mean",
        options=(),
        distribution="setfit-head-nearest-mean",
        package="setfit_head_nearest_mean",
        class_name="NearestMeanHead",
        needs=["numpy>=1.24"],
    ),
    "torch": SimpleNamespace(
        head="tiny.MLP_2",
        options=("--differentiable",),
        distribution="setfit-head-tiny-mlp-2",
        package="setfit_head_tiny_mlp_2",
        class_name="TinyMLP2Head",
        needs=["torch>=2.4"],
    ),
}
PACKAGES = tuple(KINDS.values())
FILES = {
    ".github/workflows/test.yml",
    ".gitignore",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "tests/test_conformance.py",
    "{package}/__init__.py",
    "{package}/py.typed",
}


def python(*arguments, folder, sites=()):
    """Run this interpreter in a folder, with further folders of installed packages before its own."""
    path = os.pathsep.join(map(str, sites))
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "RUFF_NO_CACHE": "true"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def build(project, folder, backend="build_wheel"):
    code = f"import sys; from hatchling.build import {backend} as build; print(build(sys.argv[1]))"
    done = python("-c", code, folder, folder=project)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.split()[-1]


def install(wheel, folder):
    pip = ("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", "--target")
    done = python(*pip, folder, wheel, folder=folder.parent)
    assert done.returncode == 0, done.stderr


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module", params=KINDS)
def made(request, tmp_path_factory):
    """A package of each kind: written (`source`), built (`wheel`) and installed into a folder of its own (`site`)."""
    kind, folder = KINDS[request.param], tmp_path_factory.mktemp("made")
    done = python("-c", PROGRAM, "new-head", kind.head, *kind.options, folder=folder)
    assert done.returncode == 0, done.stderr
    source = folder / kind.distribution
    wheel = build(source, folder / "dist")
    install(wheel, folder / "site")
    return SimpleNamespace(
        **vars(kind), printed=done.stdout, folder=folder, source=source, wheel=wheel, site=folder / "site"
    )


# What is written


def test_the_package_is_complete(made):
    assert set(contents(made.source)) == {file.format(package=made.package) for file in FILES}
    assert sorted(path.name for path in made.folder.iterdir()) == sorted(["dist", "site", made.distribution])
    everything = b"".join(contents(made.source).values()).decode()
    assert "placeholder" not in everything.lower()
    assert f"class {made.class_name}" in everything
    assert (made.source / "LICENSE").read_bytes() == (REPOSITORY / "LICENSE").read_bytes()
    assert made.source.stat().st_mode & 0o055 == 0o055  # other users may read it


def test_the_next_steps_are_printed(made):
    steps = [line.strip() for line in made.printed.splitlines() if line.startswith("  ")]
    assert steps == [f"cd {made.distribution}", 'pip install -e ".[test]"', f"setfit-core check {made.head}"]


def test_ci_runs_the_tests_and_the_command(made):
    workflow = (made.source / ".github" / "workflows" / "test.yml").read_text()
    steps = [line.partition("run: ")[2] for line in workflow.splitlines() if "run: " in line]
    assert steps[1:] == ['pip install ".[test]"', "pytest", f"setfit-core check {made.head}"]


def test_the_wheel_says_what_it_is_and_needs(made):
    wheel = zipfile.ZipFile(made.wheel)
    (info,) = {name.partition("/")[0] for name in wheel.namelist() if ".dist-info/" in name}
    metadata = Parser().parsestr(wheel.read(f"{info}/METADATA").decode())
    assert (metadata["Name"], metadata["Version"]) == (made.distribution, "0.1.0")
    assert metadata["Requires-Python"] == ">=3.10"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Author"] == f"The {made.distribution} developers"
    *needs, extra = metadata.get_all("Requires-Dist")
    assert needs == made.needs
    assert extra == "setfit-core[testing]<1,>=0.1; extra == 'test'"
    assert {name.partition("/")[0] for name in wheel.namelist()} == {info, made.package}


def test_the_head_is_found_once_it_is_installed(made, run):
    listed = json.loads(run("heads", "--json", PYTHONPATH=str(made.site)).stdout)
    (entry,) = [entry for entry in listed if entry["distribution"] == made.distribution]
    assert (entry["name"], entry["target"]) == (made.head, f"{made.package}:{made.class_name}")
    assert entry["status"] == "available"


def test_the_head_does_not_import_the_core(made):
    code = f"import sys, {made.package}; assert 'setfit_core' not in sys.modules"
    done = python("-W", "error", "-c", code, folder=made.folder, sites=[made.site])
    assert done.returncode == 0, done.stderr


def test_the_code_is_clean(made):
    for command in (["check"], ["format", "--check"]):
        done = python("-m", "ruff", *command, "--isolated", made.source, folder=made.folder)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_code_is_typed(made):
    done = python("-m", "mypy", "--strict", "--cache-dir", made.folder / "mypy", made.package, folder=made.source)
    assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_its_own_tests_pass(made):
    command = ("-m", "pytest", "-W", "error", "--strict-markers", "-p", "no:cacheprovider", made.source / "tests")
    done = python(*command, folder=made.folder, sites=[made.site])
    assert done.returncode == 0, done.stdout + done.stderr
    assert " failed" not in done.stdout


@pytest.mark.slow
def test_it_passes_the_conformance_suite(made):
    done = python("-c", PROGRAM, "check", made.head, folder=made.folder, sites=[made.site])
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_distributions_of_the_core_carry_the_templates(made, tmp_path):
    # The wheel is built from the source distribution, so both are tried.
    archive = build(REPOSITORY, tmp_path, "build_sdist")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    install(build(archive.with_name(archive.name.removesuffix(".tar.gz")), tmp_path), tmp_path / "core")
    where = "import setfit_core, sys; sys.stderr.write(setfit_core.__file__); "
    done = python(
        "-c", where + PROGRAM, "new-head", made.head, *made.options, folder=tmp_path, sites=[tmp_path / "core"]
    )
    assert done.stderr.startswith(str(tmp_path / "core"))
    assert contents(tmp_path / made.distribution) == contents(made.source)


def test_nothing_heavy_is_loaded(loaded_by, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done, loaded = loaded_by("new-head", "light")
    assert done.returncode == 0
    assert loaded == []


@pytest.mark.parametrize("author", ["Ada Lovelace", 'Ümit "U" \\ Öz 🦊'])
def test_the_author(run, tmp_path, monkeypatch, author):
    monkeypatch.chdir(tmp_path)
    assert run("new-head", "signed", "--author", author).returncode == 0
    wheel = zipfile.ZipFile(build(tmp_path / "setfit-head-signed", tmp_path))
    (metadata,) = (wheel.read(name).decode() for name in wheel.namelist() if name.endswith("METADATA"))
    assert f"\nAuthor: {author}\n" in metadata


# Names


@pytest.mark.parametrize(
    ("name", "package", "class_name"),
    [
        ("a", "setfit_head_a", "AHead"),
        ("Ridge", "setfit_head_ridge", "RidgeHead"),
        ("k-nearest_neighbours.v2", "setfit_head_k_nearest_neighbours_v2", "KNearestNeighboursV2Head"),
        ("my-head", "setfit_head_my_head", "MyHead"),
        ("overhead", "setfit_head_overhead", "OverheadHead"),
        ("placeholder-head-placeholder", "setfit_head_placeholder_head_placeholder", "PlaceholderHeadPlaceholderHead"),
    ],
)
def test_names_of_package_and_class(run, tmp_path, monkeypatch, name, package, class_name):
    monkeypatch.chdir(tmp_path)
    done = run("new-head", name)
    assert done.returncode == 0, done.stderr
    (folder,) = tmp_path.iterdir()
    assert folder.name == package.replace("_", "-")
    assert f"\nclass {class_name}:\n" in (folder / package / "__init__.py").read_text()
    assert f'\n"{name}" = "{package}:{class_name}"\n' in (folder / "pyproject.toml").read_text()
    assert f'make_head = "{name}"' in (folder / "tests" / "test_conformance.py").read_text()


@pytest.mark.parametrize(
    ("name", "why", "instead"),
    [
        ("", "packages and classes are named after it", "'my-head'"),
        ("3d", "beginning with a letter", "'d'"),
        ("a--b", "single '-'", "'a-b'"),
        ("a-", "packages and classes", "'a'"),
        ("my head", "packages and classes", "'my-head'"),
        ("größe", "without accents", "'gr-e'"),
        ("../up", "packages and classes", "'up'"),
        ("dist:name", "packages and classes", "'dist-name'"),
        ("name\n", "packages and classes", "'name'"),
        ("class", "a keyword of Python", "'nearest-mean'"),
        ("None", "a keyword of Python", "'nearest-mean'"),
        ("setfit", "reserved", "'nearest-mean'"),
        ("SetFit.Core", "reserved", "'nearest-mean'"),
        ("head", "reserved", "'nearest-mean'"),
        ("setfit-head-ridge", "name of a distribution", "'ridge'"),
        ("setfit_head_", "name of a distribution", "'my-head'"),
    ],
)
def test_a_name_that_can_not_be(run, tmp_path, monkeypatch, name, why, instead):
    monkeypatch.chdir(tmp_path)
    done = run("new-head", name)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Invalid value for NAME: {name!r}" in done.stderr
    assert why in done.stderr
    assert instead in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["linear", "Linear"])
def test_a_name_that_is_taken(run, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    done = run("new-head", name)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: The head 'setfit-head-linear:linear' is installed already")
    assert "pip uninstall setfit-head-linear" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_another_distribution_has_taken(run, make_distribution, tmp_path, monkeypatch):
    path = make_distribution("made-up", {"ridge": "plugin_module:Ridge"})
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    done = run("new-head", "ridge", PYTHONPATH=path)
    assert (done.returncode, done.stdout) == (1, "")
    assert "The head 'made-up:ridge' is installed already" in done.stderr
    assert list((tmp_path / "here").iterdir()) == []


@pytest.mark.parametrize("author", ["", " ", "two\nlines"])
def test_an_author_that_can_not_be(run, tmp_path, monkeypatch, author):
    monkeypatch.chdir(tmp_path)
    done = run("new-head", "signed", "--author", author)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"Invalid value for '--author': {author!r} is blank or has control characters." in done.stderr
    assert list(tmp_path.iterdir()) == []


# Places


def test_a_folder_of_ones_own_choice(run, tmp_path):
    folder = tmp_path / "with space" / "it's"
    folder.parent.mkdir()
    done = run("new-head", "placed", "--directory", str(folder))
    assert done.returncode == 0, done.stderr
    assert (folder / "setfit_head_placed" / "__init__.py").is_file()
    (change,) = [line for line in done.stdout.splitlines() if line.startswith("  cd ")]
    where = subprocess.run(["sh", "-c", f"{change} && pwd"], capture_output=True, text=True, check=True).stdout
    assert where == f"{folder}\n"
    assert [path.name for path in folder.parent.iterdir()] == ["it's"]


def test_an_empty_folder_is_filled_and_stays_the_same(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = tmp_path.stat().st_ino
    assert run("new-head", "placed", "--directory", ".").returncode == 0
    assert set(contents(tmp_path)) == {file.format(package="setfit_head_placed") for file in FILES}
    assert tmp_path.stat().st_ino == before


def test_a_folder_with_something_in_it_is_left_alone(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run("new-head", "placed").returncode == 0
    before = contents(tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / ".hidden").write_text("mine")
    for options in ((), ("--directory", "other")):
        done = run("new-head", "placed", *options)
        assert (done.returncode, done.stdout) == (1, "")
        assert "is not empty, and nothing in it is overwritten. Choose another folder" in done.stderr
    assert contents(tmp_path) == {**before, "other/.hidden": b"mine"}


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("file", "file is a file, and it is not overwritten. Choose another folder."),
        ("file/below", "there is no folder"),
        ("not/there", "Make that one first."),
        ("n" * 300, "File name too long. Nothing was left there. Choose another folder."),
        ("/proc/nothing", "No such file or directory. Nothing was left there. Choose another folder."),
    ],
)
def test_a_folder_that_can_not_be(run, tmp_path, monkeypatch, folder, why):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    done = run("new-head", "placed", "--directory", folder)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: ")
    assert why in done.stderr
    assert contents(tmp_path) == {"file": b"mine"}


@pytest.mark.parametrize(
    ("there", "program", "why"),
    [
        (False, SMALL_DISK, "File too large"),
        (True, SMALL_DISK, "File too large"),
        (True, NO_MOVE, "Input/output error"),
    ],
    ids=["new", "empty", "moving"],
)
def test_writing_that_fails_half_way_leaves_nothing(run, tmp_path, there, program, why):
    folder = tmp_path / "package"
    if there:
        folder.mkdir()
    done = run("new-head", "placed", "--directory", str(folder), program=program)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: The package can't be written to {folder}: {why}. Nothing was left there.")
    assert list(tmp_path.rglob("*")) == ([folder] if there else [])
