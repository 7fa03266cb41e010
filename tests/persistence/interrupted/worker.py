"""Interrupt real saves: one process that has imported everything, and a fork of it for each save that is cut off.

python tests/persistence/interrupted/worker.py DIRECTORY

Reads a JSON list `[scenario, keywords]` from each line of its input, and answers with one line of JSON. Two models of
different kinds are saved over each other at one path: they differ in body, head, labels and in the names of the head's
files, so a mixture of them would not load, or not predict as either of them.
"""

from __future__ import annotations

import collections
import ctypes
import json
import os
import random
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")

import numpy as np
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import StaticEmbedding
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from setfit_core import SetFitModel
from setfit_core.errors import PersistenceError

WORDS = ["[UNK]", *(f"word{number}" for number in range(1000))]
TEXTS = ["word1 word2", "word3", "word4 word5 word6", "word7", "word8 word9", "word10"]
CLONE_NEWNS, CLONE_NEWUSER = 0x20000, 0x10000000
MS_PRIVATE, MS_REC = 1 << 18, 1 << 14


def model(seed: int, size: int, head: str, labels: list[str]) -> SetFitModel:
    """Return a small trained model."""
    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    weights = np.random.default_rng(seed).normal(size=(len(WORDS), size)).astype(np.float32)
    body = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights)], device="cpu")
    made = SetFitModel(body, head, random_state=seed)
    made.fit(TEXTS, labels, num_epochs=2, show_progress_bar=False)
    return made


MODELS: dict[str, SetFitModel] = {}


def behaviour(of: SetFitModel) -> tuple[Any, ...]:
    """Return what tells the models apart."""
    return tuple(of.predict(TEXTS)), np.round(np.asarray(of.predict_proba(TEXTS)), 5).tobytes()


EXPECTED: dict[tuple[Any, ...], str] = {}


def look(path: Path) -> str:
    """Load what is at the path and say which of the models it is."""
    if not path.exists() and not any(path.parent.glob(f".{path.name}.*.saving/old")):
        return "nothing"
    try:
        return EXPECTED.get(behaviour(SetFitModel.from_pretrained(path)), "mixture")
    except Exception:
        return traceback.format_exc()


def names(directory: Path) -> list[str]:
    """Return what lies in a folder."""
    return sorted(path.name for path in directory.iterdir())


def other(name: str) -> str:
    """Return the other model's name."""
    return "b" if name == "a" else "a"


def refuse_exchange() -> None:
    """Let this process be as on a system that can't exchange two folders: its C library has no such function."""

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "ctypes.dlsym" and arguments[1] in ("renameat2", "renamex_np"):
            raise AttributeError(arguments[1])

    sys.addaudithook(hook)


def fork(task: Callable[[], Any]) -> int:
    """Run a task in a new process."""
    sys.stdout.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        task()
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def wait(child: int) -> int:
    """Return a child's exit code, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def kill_at_every_step(directory: Path, *, by_hand: bool, first: bool) -> dict[str, Any]:
    """Kill the n-th save before its n-th step, for n = 1, 2, ... until one save ends."""
    path = directory / "model"
    found: list[str] = []
    missing = 0
    now = "a"
    if not first:
        MODELS[now].save_pretrained(path)
    for number in range(1, 1000):
        wanted = other(now)

        def save(number: int = number, wanted: str = wanted) -> None:
            if by_hand:
                refuse_exchange()
            left = number

            def hook(event: str, arguments: tuple[Any, ...]) -> None:
                nonlocal left
                if event == "ctypes.dlsym" or (
                    event.startswith(("open", "os.", "shutil.")) and str(directory) in str(arguments[:2])
                ):
                    left -= 1
                    if not left:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(hook)
            MODELS[wanted].save_pretrained(path)

        ended = wait(fork(save))
        missing += not path.exists()
        seen = look(path)
        found.append({now: "old", wanted: "new"}.get(seen, seen))
        if ended != -signal.SIGKILL:
            break
        if first:
            shutil.rmtree(path, ignore_errors=True)
        elif seen in MODELS:
            now = seen
    return {"found": found, "ended": ended, "missing": missing, "left": names(directory)}


def kill_at_random(directory: Path, *, by_hand: bool, kills: int, seed: int) -> dict[str, Any]:
    """Kill processes that save one model over the other all the time."""
    path = directory / "model"
    generator = random.Random(seed)
    MODELS["a"].save_pretrained(path)
    started = time.perf_counter()
    for name in "babab":
        MODELS[name].save_pretrained(path)
    duration = (time.perf_counter() - started) / 5
    found: collections.Counter[str] = collections.Counter()
    cut_off = missing = 0
    for _ in range(kills):
        read, write = os.pipe()

        def save_on(write: int = write) -> None:
            if by_hand:
                refuse_exchange()
            os.write(write, b"!")
            while True:
                for name in "ba":
                    MODELS[name].save_pretrained(path)

        child = fork(save_on)
        os.read(read, 1)
        time.sleep(generator.uniform(0, 4 * duration))
        os.kill(child, signal.SIGKILL)
        wait(child)
        os.close(read)
        os.close(write)
        cut_off += any(directory.glob(".*.saving"))
        missing += not path.exists()
        found[look(path)] += 1
    MODELS["a"].save_pretrained(path)
    return {
        "found": found,
        "cut_off": cut_off,
        "missing": missing,
        "milliseconds": round(1000 * duration),
        "left": names(directory),
    }


def together(directory: Path, *, by_hand: bool, saves: int) -> dict[str, Any]:
    """Let two processes save to one path at the same time while this one loads from it."""
    path = directory / "model"
    MODELS["a"].save_pretrained(path)

    def save_often(name: str) -> None:
        if by_hand:
            refuse_exchange()
        for _ in range(saves):
            MODELS[name].save_pretrained(path)

    children = {fork(lambda name=name: save_often(name)) for name in MODELS}
    found: collections.Counter[str] = collections.Counter()
    ended = []
    while children:
        # Finding the folder is a look at the path of its own, before it is read.
        found[look(path)] += 1
        child, status = os.waitpid(-1, os.WNOHANG)
        if child:
            children.remove(child)
            ended.append(os.waitstatus_to_exitcode(status))
    return {"found": found, "ended": ended, "last": look(path), "left": names(directory)}


def attempt(path: Path, name: str) -> str:
    """Save a model and say how that ended."""
    try:
        MODELS[name].save_pretrained(path)
    except PersistenceError as error:
        return str(error)
    except BaseException:
        return traceback.format_exc()
    return "saved"


def limited_files(directory: Path) -> list[dict[str, Any]]:
    """Save while no file may become larger than so many bytes: the system itself refuses to write on."""
    path = directory / "model"
    MODELS["b"].save_pretrained(path)
    sizes = {file.stat().st_size for file in path.rglob("*") if file.is_file()}
    MODELS["a"].save_pretrained(path)
    results = []
    for size in sorted({limit for whole in sizes for limit in (0, whole // 2, whole - 1, whole)}):
        read, write = os.pipe()

        def save(size: int = size, write: int = write) -> None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
            os.write(write, attempt(path, "b").encode())

        wait(fork(save))
        os.close(write)
        with os.fdopen(read) as said:
            answer = said.read()
        results.append(
            {"limit": size, "said": answer, "found": look(path), "left": names(directory)},
        )
    return results


def small_disk(directory: Path) -> list[dict[str, Any]] | str:
    """Save one model over the other on a disk of every size, from one that holds one model to one that holds two."""
    read, write = os.pipe()

    def save() -> None:
        answer = json.dumps(in_namespace())
        os.write(write, answer.encode())

    def in_namespace() -> list[dict[str, Any]] | str:
        library = ctypes.CDLL(None, use_errno=True)
        user, group = f"0 {os.getuid()} 1", f"0 {os.getgid()} 1"
        if library.unshare(CLONE_NEWUSER | CLONE_NEWNS):
            return f"no namespace: {os.strerror(ctypes.get_errno())}"
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(user)
        Path("/proc/self/gid_map").write_text(group)
        library.mount(None, b"/", None, MS_PRIVATE | MS_REC, None)
        results = []
        path = directory / "model"
        for pages in range(100):
            if library.mount(b"none", os.fsencode(directory), b"tmpfs", 0, f"size={(10 + pages) * 4096}".encode()):
                return f"no disk in memory: {os.strerror(ctypes.get_errno())}"
            first = attempt(path, "a")
            if first == "saved":
                said = attempt(path, "b")
                results.append({"said": said, "found": look(path), "left": names(directory)})
            library.umount(os.fsencode(directory))
            if first == "saved" and said == "saved":
                return results
        return results

    child = fork(save)
    os.close(write)
    with os.fdopen(read) as said:
        answer = said.read()
    wait(child)
    return json.loads(answer)


def main(directory: Path) -> None:
    """Answer the scenarios that are asked for."""
    warnings.simplefilter("error")
    MODELS["a"] = model(1, 8, "logistic", ["red", "blue", "red", "blue", "red", "blue"])
    MODELS["b"] = model(2, 5, "linear", ["cat", "dog", "cow", "cat", "dog", "cow"])
    EXPECTED.update({behaviour(made): name for name, made in MODELS.items()})
    torch.set_num_threads(1)
    for number, line in enumerate(sys.stdin):
        scenario, keywords = json.loads(line)
        place = directory / str(number)
        place.mkdir()
        print(json.dumps(globals()[scenario](place, **keywords)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
