"""Load hostile model folders under watch: one process that has imported everything, and a fork of it for each case.

python tests/persistence/hostile/harness.py DIRECTORY [TOPIC ...]
python tests/persistence/hostile/harness.py DIRECTORY --mutations COUNT [FIRST]

Makes each case of these topics (of all, if none is named) under DIRECTORY and prints one JSON object for each. A fork
makes the folder, sets its limits and an audit hook, loads the folder as a user would, and predicts, if it loads.
With `--mutations` the cases are good folders with something changed at random, under the seeds FIRST, FIRST + 1, ...
"""

from __future__ import annotations

import json
import logging
import os
import resource
import shutil
import signal
import sys
import time
import traceback
import warnings
from functools import partial
from pathlib import Path
from typing import Any

os.environ.update(HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1", TOKENIZERS_PARALLELISM="false")
sys.path.insert(0, str(Path(__file__).parents[1]))

MEMORY = 2 * 2**30
SECONDS = 20
TEXTS = ["the team won a penalty", "merge the branch", ""]

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_DANGEROUS = (
    "os.system",
    "os.exec",
    "os.fork",
    "os.forkpty",
    "os.posix_spawn",
    "os.spawn",
    "os.startfile",
    "subprocess.Popen",
    "pickle.find_class",
    "socket.connect",
    "socket.getaddrinfo",
    "urllib.Request",
)
_CHANGING = (
    "os.chmod",
    "os.chown",
    "os.link",
    "os.mkdir",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.symlink",
    "shutil.",
)


def main(directory: Path, topics: list[str]) -> None:
    """Run the cases and print what became of each."""
    warnings.simplefilter("ignore")
    # A fork takes over whatever was imported; a warmed process makes cases cost milliseconds instead of seconds.
    import xgboost  # noqa: F401  # imported for the forks

    from hostile.catalogue import cases

    good = _good_model(directory / "good")
    if topics[:1] == ["--mutations"]:
        count, first = int(topics[1]), int(topics[2]) if len(topics) > 2 else 0
        chosen = _mutations(directory, range(first, first + count))
    else:
        chosen = cases(topics)
    logging.disable(logging.CRITICAL)
    for name, case in chosen.items():
        place = directory / name.replace(":", "-")
        place.mkdir()
        shutil.copytree(good, place / "model")
        print(json.dumps({"name": name, **_tried(case, place)}), flush=True)
        shutil.rmtree(place)


def _mutations(directory: Path, seeds: range) -> dict[str, Any]:
    from hostile.mutations import good_models, mutate

    models = good_models(directory / "models")
    return {f"mutation:{seed}": partial(mutate, models[seed % len(models)], seed) for seed in seeds}


def _good_model(folder: Path) -> Path:
    from setfit_core import SetFitModel

    saved = Path(__file__).parents[1] / "saved_folders" / "version-2" / "logistic"
    model = SetFitModel.from_pretrained(saved, device="cpu")
    model.predict_proba(TEXTS)
    SetFitModel.from_pretrained(saved.parent / "linear", device="cpu").predict_proba(TEXTS)
    return model.save_pretrained(folder)


def _tried(case: Any, place: Path) -> dict[str, Any]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        result = {"stage": "made", "error": "", "ours": False, "message": "", "events": []}
        try:
            _attack(case, place, result)
        except BaseException as error:  # whatever escapes is the finding
            result.update(error=type(error).__name__, message=str(error)[:600])
            if result["stage"] == "made":
                result["message"] = traceback.format_exc()
            result["ours"] = any(kind.__name__ == "SetFitError" for kind in type(error).__mro__)
        with os.fdopen(writer, "w") as pipe:
            json.dump(result, pipe)
        os._exit(0)
    os.close(writer)
    # The limit counts processor time; the clock only ends what waits for ever.
    deadline = time.monotonic() + 3 * SECONDS
    status, usage = 0, None
    while usage is None:
        ended, status, used = os.wait4(pid, os.WNOHANG)
        if ended:
            usage = used
        elif time.monotonic() > deadline:
            os.kill(pid, signal.SIGKILL)
            usage = os.wait4(pid, 0)[2]
            status = signal.SIGALRM
        else:
            time.sleep(0.002)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    result = json.loads(text) if text else {"stage": "?", "error": "", "ours": False, "message": "", "events": []}
    killed = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
    result.update(
        signal=signal.Signals(killed).name if killed else "",
        hung=status == signal.SIGALRM,
        seconds=usage.ru_utime + usage.ru_stime,
        ran=(place / "ran").exists(),
    )
    return result


def _attack(case: Any, place: Path, result: dict[str, Any]) -> None:
    from setfit_core import SetFitModel

    folder = place / "model"
    result["made"] = case(folder)
    _limit()
    events: list[str] = result["events"]
    watching = True

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if watching and (seen := _seen(event, arguments, str(folder))):
            events.append(seen[:300])

    sys.addaudithook(watch)
    result["stage"] = "loading"
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        model = SetFitModel.from_pretrained(folder, device="cpu")
        result["stage"] = "predicting"
        model.predict(TEXTS)
        model.predict_proba(TEXTS)
        result["stage"] = "predicted"
    finally:
        watching = False
        result["bytes"] = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024


def _limit() -> None:
    used = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    spent = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(spent.ru_utime + spent.ru_stime) + SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 1))


def _seen(event: str, arguments: tuple[Any, ...], folder: str) -> str:
    if event.startswith(_DANGEROUS) or event.startswith(_CHANGING):
        return f"{event} {arguments!r}"
    if event == "open":
        path, mode, flags = arguments
        if _writes(mode, flags) and str(path) not in (os.devnull, "/dev/tty") and not str(path).endswith(".pyc"):
            return f"open {path!r} {mode!r} {flags!r}"
    if event == "exec" and str(getattr(arguments[0], "co_filename", "")).startswith(folder):
        return f"exec {arguments[0].co_filename}"
    return ""


def _writes(mode: object, flags: object) -> bool:
    if isinstance(mode, str) and any(letter in mode for letter in "wax+"):
        return True
    return isinstance(flags, int) and bool(flags & _WRITING)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
