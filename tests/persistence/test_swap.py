"""A folder that is replaced as a whole: what stays, what goes, who may be in the way."""

import json
import os
import shutil
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from sklearn.linear_model import LogisticRegression

from setfit_core.errors import PersistenceError
from setfit_core.persistence.swap import read_whole, recovered, replacing

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no fork, modes or hidden sockets")


def fill(target, text):
    """Replace a folder by one with two files that say the same."""
    with replacing(target) as folder:
        for name in ("first", "second"):
            (folder / name).write_text(text)


def content(target):
    return {path.name: path.read_text() for path in target.iterdir() if path.is_file()}


def both(text):
    return {"first": text, "second": text}


def names(folder):
    return sorted(path.name for path in folder.iterdir())


# What a child process starts with. It is given the folder that holds the target.
PRELUDE = """
import fcntl, json, os, signal, stat, sys, tempfile
from pathlib import Path
from setfit_core.errors import PersistenceError
from setfit_core.persistence.swap import read_whole, recovered, replacing

place = Path(sys.argv[1])
target = place / "model"

def fill(target, text):
    with replacing(target) as folder:
        for name in ("first", "second"):
            (folder / name).write_text(text)

def on(event, do, *arguments):
    # Do something just before this process does what the event tells of.
    def hook(name, found):
        if name == event and all(str(one) == str(other) for one, other in zip(arguments, found) if one is not None):
            do()
    sys.addaudithook(hook)

def refuse():
    raise AttributeError

def without_exchange():
    # As with a C library that has no such function.
    on("ctypes.dlsym", refuse, None, "renamex_np" if sys.platform == "darwin" else "renameat2")

def say_and_wait():
    print("here", flush=True)
    sys.stdin.readline()

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def unprivileged():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
"""


@pytest.fixture
def start(tmp_path):
    """Start code in a process of its own, with `place` for the folder around the target."""
    started = []

    def start(code, *before):
        process = subprocess.Popen(
            [*before, sys.executable, "-c", PRELUDE + code, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.fixture
def run(start):
    """Run code in a process of its own and return what it said, as JSON, in its last line."""

    def run(code, *before):
        process = start(code, *before)
        said, complaints = process.communicate(timeout=60)
        assert process.returncode == 0, complaints
        return json.loads(said.splitlines()[-1]) if said else None

    return run


@pytest.fixture
def killed(start):
    """Run code in a process of its own that kills itself."""

    def killed(code):
        process = start(code)
        _, complaints = process.communicate(timeout=60)
        assert process.returncode == -9, complaints

    return killed


@pytest.fixture
def target(tmp_path):
    """A folder with something in it."""
    fill(tmp_path / "model", "old")
    return tmp_path / "model"


# Replacing


def test_a_folder_takes_its_place_and_the_place_of_another(tmp_path):
    target = tmp_path / "deep" / "er" / "model"
    for text in ("old", "new"):
        fill(target, text)
        assert content(target) == both(text)
        assert names(target.parent) == ["model"]


@pytest.mark.parametrize(
    ("raised", "caught"),
    [
        (OSError("no more"), PersistenceError),
        (ValueError("wrong"), ValueError),
        (KeyboardInterrupt(), KeyboardInterrupt),
    ],
    ids=["system", "code", "user"],
)
def test_an_error_leaves_what_was_there(target, raised, caught):
    def interrupted():
        with replacing(target) as folder:
            (folder / "first").write_text("new")
            raise raised

    with pytest.raises(caught):
        interrupted()
    assert content(target) == both("old")
    assert names(target.parent) == ["model"]


@POSIX
def test_the_folder_stays_as_private_as_it_was(target):
    target.chmod(0o750)
    fill(target, "new")
    assert stat.S_IMODE(target.stat().st_mode) == 0o750


REFUSED_BY_THE_KERNEL = """
import ctypes, platform, struct

number = {"x86_64": 316, "aarch64": 276}.get(platform.machine())
if number is None or sys.platform != "linux":
    print(json.dumps("no filter is written for this machine"))
    sys.exit()

# What a file system without exchange answers: EINVAL to renameat2 with the flag 2.
step = struct.Struct("HBBI").pack
program = b"".join([
    step(0x20, 0, 0, 0), step(0x15, 0, 3, number), step(0x20, 0, 0, 48), step(0x15, 0, 1, 2),
    step(0x06, 0, 0, 0x50000 | 22), step(0x06, 0, 0, 0x7FFF0000),
])
steps = ctypes.create_string_buffer(program)
filter = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(steps)))
library = ctypes.CDLL(None, use_errno=True)
if library.prctl(38, 1, 0, 0, 0) or library.prctl(22, 2, filter, 0, 0):
    print(json.dumps("no filter for system calls: " + os.strerror(ctypes.get_errno())))
    sys.exit()
renamed = []
on("os.rename", lambda: renamed.append(1))
fill(target, "new")
print(json.dumps(len(renamed)))
"""


def test_where_the_file_system_refuses_to_exchange_two_folders_they_are_renamed(target, run):
    renamed = run(REFUSED_BY_THE_KERNEL)
    if isinstance(renamed, str):
        pytest.skip(renamed)
    # Aside, into place, and under a name that nobody takes for a whole model.
    assert renamed == 3
    assert content(target) == both("new")
    assert names(target.parent) == ["model"]


SYNCED = """
events = []
fsync = os.fsync

def noted(descriptor):
    events.append(os.readlink(f"/proc/self/fd/{descriptor}"))
    fsync(descriptor)

os.fsync = noted
on("ctypes.dlsym", lambda: events.append("swap"))
with replacing(target) as folder:
    (folder / "head").mkdir()
    (folder / "head" / "weights").write_text("new")
print(json.dumps([event.partition(".saving/")[2] or event for event in events]))
"""


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux tells which file a descriptor is")
def test_everything_is_on_the_disk_before_the_swap_and_the_swap_before_the_end(target, run):
    (target / ".gitattributes").write_text("* text")
    events = run(SYNCED)
    before, after = events[: events.index("swap")], events[events.index("swap") + 1 :]
    assert before == ["new/head/weights", "new/head", "new", "new"]
    assert after == [str(target.parent)]


def test_it_is_imported_without_what_only_some_systems_have(run):
    code = "sys.modules.update(fcntl=None, msvcrt=None)\ndel sys.modules['setfit_core.persistence.swap']\n"
    assert run(code + "import setfit_core.persistence.swap\nprint(1)") == 1


# What is carried over


@POSIX
def test_hidden_entries_stay_what_they_are(target, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret").write_text("not ours")
    hooks = target / ".git" / "hooks"
    hooks.mkdir(parents=True)
    (hooks / "commit").write_text("#!/bin/sh")
    (hooks / "commit").chmod(0o755)
    hooks.chmod(0o750)
    (target / ".git" / "linked").symlink_to(elsewhere)
    (target / ".git" / "dangling").symlink_to("nowhere")
    os.mkfifo(target / ".git" / "pipe")
    (target / ".cache").symlink_to(elsewhere)
    (target / ".link").symlink_to("first")
    os.mkfifo(target / ".pipe")
    monkeypatch.chdir(target)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(".git/daemon.ipc")
    monkeypatch.undo()
    fill(target, "new")
    assert content(target) == {**both("new"), ".link": "new"}
    assert names(target) == [".cache", ".git", ".link", ".pipe", "first", "second"]
    assert names(target / ".git") == ["daemon.ipc", "dangling", "hooks", "linked", "pipe"]
    assert (target / ".cache").readlink() == elsewhere
    assert (target / ".git" / "linked").readlink() == elsewhere
    assert (target / ".git" / "dangling").readlink() == Path("nowhere")
    assert stat.S_ISFIFO((target / ".pipe").lstat().st_mode)
    assert stat.S_ISFIFO((target / ".git" / "pipe").lstat().st_mode)
    assert stat.S_ISSOCK((target / ".git" / "daemon.ipc").lstat().st_mode)
    assert stat.S_IMODE((target / ".git" / "hooks").stat().st_mode) == 0o750
    assert stat.S_IMODE((target / ".git" / "hooks" / "commit").stat().st_mode) == 0o755
    assert names(elsewhere) == ["secret"]


def test_a_new_hidden_entry_comes_before_an_old_one(target):
    (target / ".gitattributes").write_text("old")
    with replacing(target) as folder:
        (folder / ".gitattributes").write_text("new")
    assert content(target) == {".gitattributes": "new"}


BLOCKED_BETWEEN_TWO_RENAMES = """
without_exchange()
on("os.rename", say_and_wait, None, target)
fill(target, sys.stdin.readline().strip())
"""


@POSIX
def test_a_save_between_the_renames_of_another_does_not_lose_hidden_entries(target, start):
    (target / ".git").mkdir()
    slow = start(BLOCKED_BETWEEN_TWO_RENAMES)
    quick = start("on('ctypes.dlsym', say_and_wait)\nprint('ready', flush=True)\nfill(target, 'quick')\n")
    slow.stdin.write("slow\n")
    slow.stdin.flush()
    assert slow.stdout.readline() == "here\n"
    assert not target.exists()
    assert quick.stdout.readline() == "ready\n"
    # It must not come to its swap as long as the other one is in the middle of its own.
    with pytest.raises(subprocess.TimeoutExpired):
        quick.wait(timeout=0.3)
    slow.communicate("\n", timeout=60)
    assert slow.returncode == 0
    quick.communicate("\n", timeout=60)
    assert quick.returncode == 0
    assert content(target) == both("quick")
    assert names(target) == [".git", "first", "second"]


# Killed processes


def test_what_a_killed_process_left_goes_with_the_next_save(target, killed):
    killed("with replacing(target) as folder:\n    (folder / 'first').write_text('new')\n    die()")
    (left,) = set(names(target.parent)) - {"model"}
    assert left.startswith(".model.")
    assert left.endswith(".saving")
    assert content(target) == both("old")
    fill(target.parent / "model.2", "other")
    assert left in names(target.parent)
    fill(target, "new")
    assert names(target.parent) == ["model", "model.2"]


def test_a_folder_that_only_looks_like_a_left_over_one_stays(target):
    thesis = target.parent / ".model.0123abcd.saving"
    thesis.mkdir()
    (thesis / "thesis.tex").write_text("ten years of work")
    fill(target, "new")
    assert content(thesis) == {"thesis.tex": "ten years of work"}


@POSIX
def test_a_link_that_looks_like_a_left_over_folder_is_not_followed(target, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lock").write_text("")
    (elsewhere / "thesis").mkdir()
    (tmp_path / ".model.0123abcd.saving").symlink_to(elsewhere)
    fill(target, "new")
    assert names(elsewhere) == ["lock", "thesis"]


def test_a_save_that_is_still_going_on_is_not_swept(target, start):
    going = start("with replacing(target) as folder:\n    say_and_wait()\n    (folder / 'first').write_text('last')")
    assert going.stdout.readline() == "here\n"
    fill(target, "new")
    assert content(target) == both("new")
    assert len(names(target.parent)) == 2
    going.communicate("\n", timeout=60)
    assert going.returncode == 0
    assert content(target) == {"first": "last"}
    assert names(target.parent) == ["model"]


DIE_BETWEEN_TWO_RENAMES = "without_exchange()\non('os.rename', die, None, target)\nfill(target, 'new')"


def test_loading_puts_back_what_a_killed_process_had_moved_aside(target, killed, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(target)
    for folder in (target, link):
        killed(DIE_BETWEEN_TWO_RENAMES)
        assert not target.exists()
        assert recovered(folder)
        assert not recovered(folder)
        assert content(target) == both("old")
    killed(DIE_BETWEEN_TWO_RENAMES)
    assert read_whole(target, content) == both("old")


@pytest.mark.parametrize("raised", [None, OSError("no more")], ids=["a save", "a failed save"])
def test_saving_puts_back_what_a_killed_process_had_moved_aside(target, killed, raised):
    (target / ".git").mkdir()
    killed(DIE_BETWEEN_TWO_RENAMES)
    assert not target.exists()
    if raised is None:
        fill(target, "newer")
    else:
        with pytest.raises(PersistenceError, match="unchanged"), replacing(target):
            raise raised
    assert content(target) == both("old" if raised else "newer")
    assert (target / ".git").is_dir()
    assert names(target.parent) == ["model"]


TWO_RENAMES_REFUSED = """
def fail():
    raise OSError(5, "Input/output error")

without_exchange()
on("os.rename", fail, None, target)
try:
    fill(target, "new")
except PersistenceError as error:
    print(json.dumps(str(error)))
"""


def test_an_old_model_that_does_not_go_back_is_kept_and_named(target, run):
    said = run(TWO_RENAMES_REFUSED)
    assert not target.exists()
    (left,) = target.parent.iterdir()
    assert f"What was there before is now in {left / 'old'}; move it back." in said
    assert read_whole(target, content) == both("old")


def test_nothing_is_put_back_where_nothing_was(tmp_path):
    assert not recovered(tmp_path / "model")
    assert not recovered(tmp_path / "organisation" / "model")
    assert not recovered("organisation/model")


def test_the_old_model_is_not_put_back_in_the_middle_of_its_removal(target, start, killed):
    # The new one is in place, and the process dies while it removes the old one, whose name tells that by then.
    killed("without_exchange()\non('os.remove', die)\nfill(target, 'new')")
    assert content(target) == both("new")
    shutil.rmtree(target)
    assert not recovered(target)


# Reading meanwhile


def test_what_is_replaced_while_it_is_read_is_read_again(target):
    seen = []

    def read(folder):
        first = (folder / "first").read_text()
        if not seen:
            # Several times: the number of the folder that was first there must not come back.
            for text in ("one", "two", "three", "four"):
                fill(target, text)
        seen.append(first)
        return first, (folder / "second").read_text()

    assert read_whole(target, read) == ("four", "four")
    assert seen == ["old", "four"]


def test_an_error_counts_only_if_the_folder_is_still_the_same(target):
    tried = []

    def read(folder):
        tried.append(folder)
        if len(tried) == 1:
            fill(target, "new")
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        read_whole(target, read)
    assert tried == [target, target]


def test_a_folder_that_is_never_the_same_is_an_error(target):
    with pytest.raises(PersistenceError, match="is being replaced all the time"):
        read_whole(target, lambda folder: fill(target, "again"))


@POSIX
def test_who_loads_between_the_two_renames_finds_the_old_one(target, start):
    going = start(BLOCKED_BETWEEN_TWO_RENAMES)
    going.stdin.write("new\n")
    going.stdin.flush()
    assert going.stdout.readline() == "here\n"
    assert not target.exists()
    assert read_whole(target, content) == both("old")
    # What was put back makes room once more.
    going.communicate("\n\n", timeout=60)
    assert going.returncode == 0
    assert content(target) == both("new")
    assert names(target.parent) == ["model"]


@POSIX
def test_who_loads_while_the_folder_is_away_waits_for_it(target, start):
    going = start(BLOCKED_BETWEEN_TWO_RENAMES)
    seen = []

    def read(folder):
        if not seen:
            going.stdin.write("new\n")
            going.stdin.flush()
            assert going.stdout.readline() == "here\n"
            # Another process that loads puts back the same folder that was read from.
            with pytest.raises(FileNotFoundError):
                content(folder)
            seen.append("nothing")
            assert recovered(folder)
            raise FileNotFoundError
        seen.append(content(folder))
        return seen[-1]

    assert read_whole(target, read) == both("old")
    assert seen == ["nothing", both("old")]


SAVE_ON = """
if {by_hand}:
    without_exchange()
number = 0
while not (place / "enough").exists() or number < 2:
    number += 1
    fill(target, f"{name} {{number}}")
print(json.dumps(f"{name} {{number}}"))
"""


@pytest.mark.parametrize("by_hand", [False, True], ids=["exchange", "by hand"])
def test_who_loads_while_two_processes_save_sees_one_of_them_whole(target, start, by_hand):
    savers = [start(SAVE_ON.format(by_hand=by_hand, name=name)) for name in "ab"]
    seen = set()
    while len(seen) < 100 and all(saver.poll() is None for saver in savers):
        found = read_whole(target, content)
        assert found == both(found["first"])
        seen.add(found["first"])
    (target.parent / "enough").touch()
    last = []
    for saver in savers:
        said, complaints = saver.communicate(timeout=60)
        assert saver.returncode == 0, complaints
        last.append(json.loads(said))
    assert content(target) in [both(text) for text in last]
    assert names(target.parent) == ["enough", "model"]


# Places


@POSIX
def test_an_old_model_that_can_not_be_removed_is_no_error(run):
    code = """
unprivileged()
with tempfile.TemporaryDirectory() as place:
    target = Path(place) / "model"
    with replacing(target) as folder:
        (folder / "locked").mkdir()
        (folder / "locked" / "file").touch()
    (target / "locked").chmod(0o500)
    fill(target, "new")
    found = [sorted(os.listdir(target)), len(os.listdir(place))]
    for path in Path(place).rglob("locked"):
        path.chmod(0o700)
    fill(target, "newer")
    print(json.dumps([*found, os.listdir(place)]))
"""
    # It is left for the next save, which removes it as soon as it can be removed.
    assert run(code) == [["first", "second"], 2, ["model"]]


@POSIX
def test_a_parent_that_can_not_be_written_is_named(run):
    code = """
unprivileged()
with tempfile.TemporaryDirectory() as place:
    target = Path(place) / "model"
    fill(target, "old")
    os.chmod(place, 0o500)
    try:
        fill(target, "new")
    except PersistenceError as error:
        print(json.dumps([str(error).replace(place, "PLACE"), (target / "first").read_text()]))
    os.chmod(place, 0o700)
"""
    message, found = run(code)
    assert "Permission denied" in message
    assert "so PLACE must be writable. What was there before is unchanged." in message
    assert found == "old"


@POSIX
def test_who_works_in_the_folder_works_in_the_new_one(target, run):
    (target / ".git").mkdir()
    code = """
os.chdir(target)
fill(target, "new")
found = [os.listdir(), os.getcwd() == str(target.resolve())]
os.chdir(".git")
fill(target, "newer")
print(json.dumps([sorted(found[0]), found[1], os.getcwd() == str(target.resolve() / ".git")]))
"""
    assert run(code) == [[".git", "first", "second"], True, True]


@POSIX
@pytest.mark.parametrize("name", ["n" * 255, "ä" * 127, "[a-z]*(.)\\", " ", "-rf", ".hidden", "new\nline"])
def test_odd_and_long_names(tmp_path, name, killed):
    target = tmp_path / "place" / name
    for text in ("old", "new"):
        fill(target, text)
    killed(f"with replacing(place / 'place' / {name!r}):\n    die()")
    assert len(names(target.parent)) == 2
    fill(target, "newer")
    assert content(target) == both("newer")
    assert names(target.parent) == [name]


def test_a_name_that_is_too_long_is_our_error(save, tmp_path):
    with pytest.raises(PersistenceError, match="could not be saved"):
        save(LogisticRegression(), tmp_path / ("n" * 256))
    assert names(tmp_path) == []


@POSIX
def test_a_link_in_a_circle_is_our_error(save, tmp_path):
    (tmp_path / "one").symlink_to(tmp_path / "two")
    (tmp_path / "two").symlink_to(tmp_path / "one")
    with pytest.raises(PersistenceError, match="is a symbolic link in a circle"):
        save(LogisticRegression(), tmp_path / "one")
    assert names(tmp_path) == ["one", "two"]


def test_a_link_to_another_file_system_is_followed(save, load, tmp_path):
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("there is no other file system at hand")
    elsewhere = memory / f"setfit-core-{os.getpid()}"
    link = tmp_path / "model"
    link.symlink_to(elsewhere)
    try:
        for _ in range(2):
            assert save(LogisticRegression(C=3.0), link) == elsewhere
        assert load(link)[0].C == 3.0
        assert link.is_symlink()
        assert names(tmp_path) == ["model"]
        assert not list(memory.glob(f".{elsewhere.name}.*"))
    finally:
        shutil.rmtree(elsewhere, ignore_errors=True)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="there is no file system at /proc")
def test_a_mount_point_is_refused_with_the_remedy(save):
    with pytest.raises(PersistenceError, match=r"/proc is a mount point.* such as /proc/model\."):
        save(LogisticRegression(), "/proc")


@pytest.fixture
def mounting(tmp_path):
    """What starts a command after a mount that only it sees; the test is skipped if the system refuses."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        pytest.skip("there is no unshare or no mount")

    def mounting(mount):
        before = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec", f'{mount}; exec "$@"', "sh"]
        tried = subprocess.run([*before, "true"], cwd=tmp_path, capture_output=True, text=True, check=False)
        if tried.returncode:
            pytest.skip(f"this system does not let everybody mount: {tried.stderr.strip()}")
        return before

    return mounting


REFUSED = """
os.chdir("/")
try:
    fill(target, "new")
except PersistenceError as error:
    print(json.dumps([str(error), (target / "first").read_text(), sorted(os.listdir(place))]))
"""


@POSIX
def test_a_folder_that_the_system_can_not_move_is_our_error(target, run, mounting, monkeypatch):
    monkeypatch.chdir(target.parent)
    # The second mount is of the same file system, so it does not look like one.
    said, found, left = run(REFUSED, *mounting("mount --bind model model"))
    assert "a mount point, or part of a read-only layer. Choose another place." in said
    assert (found, left) == ("old", ["model"])


@POSIX
def test_a_model_in_a_read_only_layer_is_our_error(target, run, mounting, monkeypatch, tmp_path_factory):
    layers = tmp_path_factory.mktemp("layers")
    monkeypatch.chdir(target.parent)
    said, found, left = run(
        REFUSED,
        *mounting(
            f"mount -t tmpfs none {layers}; mkdir {layers}/upper {layers}/work; "
            f"mount -t overlay -o lowerdir=.,upperdir={layers}/upper,workdir={layers}/work overlay {target.parent}"
        ),
    )
    assert "a mount point, or part of a read-only layer. Choose another place." in said
    assert (found, left) == ("old", ["model"])
