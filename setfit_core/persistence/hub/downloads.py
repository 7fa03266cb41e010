"""The files of one commit, downloaded by the hub's client, and given up when the hub falls silent."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final, TypeVar

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import LocalEntryNotFoundError
from huggingface_hub.utils.tqdm import tqdm

#: Seconds after which a call to the hub that has no length of its own counts as unanswered.
HUB_PATIENCE: Final = 7.0
#: Seconds without any sign of life after which the hub is asked whether it is still there.
QUIET: Final = 2.5
WORKERS: Final = 8
#: Smaller files get no progress bar.
WORTH_A_BAR: Final = 1_000_000

_T = TypeVar("_T")


def within(seconds: float, action: Callable[[], _T]) -> _T:
    """Return what `action` returns, or give it up after some seconds, whatever it hangs on.

    Time limits of HTTP clients hold for each read on its own and don't reach the look-up of the host's name.

    Raises:
        TimeoutError: After that time.
    """
    results: list[_T] = []
    errors: list[Exception] = []

    def run() -> None:
        try:
            results.append(action())
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=run, name="setfit-core-hub", daemon=True)
    thread.start()
    thread.join(seconds)
    if errors:
        raise errors[0]
    if not results:
        raise TimeoutError(f"the hub ({constants.ENDPOINT}) gave no answer within {seconds:g} seconds")
    return results[0]


def described(error: BaseException) -> str:
    """Return kind and first line of an error; of its cause where the client says nothing of its own."""
    if isinstance(error, ValueError | LocalEntryNotFoundError) and error.__cause__:
        error = error.__cause__
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


class Downloads:
    """Downloads of one commit, several at a time.

    The client waits for an answer about a file's whereabouts for minutes. So when nothing arrives for `QUIET` seconds
    and no content is on its way, the hub is asked again, and has `HUB_PATIENCE` seconds to answer. (Silence alone
    proves nothing: another process may be downloading the same file, and the client waits for its lock.) Content on
    its way may take its time: after `HF_HUB_DOWNLOAD_TIMEOUT` seconds (10) without a byte the client takes up a
    download where it broke off, and gives it up when five attempts in a row bring nothing.
    """

    def __init__(
        self, repo_id: str, commit: str, *, token: str | bool | None, cache_dir: str | None, force_download: bool
    ) -> None:
        self._repo_id = repo_id
        self._commit = commit
        self._token = token
        self._cache_dir = cache_dir
        self._force_download = force_download
        self._pulse = _Pulse()
        self._bar = _bar(self._pulse)

    def fetch(self, names: Sequence[str]) -> Path:
        """Bring files into the cache and return the folder of the snapshot.

        Args:
            names: At least one; paths relative to the repository.

        Raises:
            TimeoutError: If the hub falls silent.
            Exception: Whatever the client raises.
        """
        waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
        reports: queue.SimpleQueue[tuple[str, str | Exception]] = queue.SimpleQueue()
        stopped = threading.Event()
        for name in names:
            waiting.put(name)

        def work() -> None:
            while not stopped.is_set():
                try:
                    name = waiting.get_nowait()
                except queue.Empty:
                    return
                try:
                    reports.put((name, self._download(name)))
                except Exception as error:
                    reports.put((name, error))

        # Daemons, and not a pool of concurrent.futures: Python waits for a pool's threads before it exits.
        for _ in range(min(WORKERS, len(names))):
            threading.Thread(target=work, name="setfit-core-download", daemon=True).start()
        try:
            return self._gather(dict.fromkeys(names), reports)
        finally:
            stopped.set()

    def _gather(self, outstanding: dict[str, None], reports: queue.SimpleQueue[tuple[str, str | Exception]]) -> Path:
        self._pulse.beat()
        folder = Path()
        while outstanding:
            try:
                name, outcome = reports.get(timeout=QUIET)
            except queue.Empty:
                if self._pulse.quiet() >= QUIET:
                    self._ask_for(next(iter(outstanding)))
                    self._pulse.beat()
                continue
            if isinstance(outcome, Exception):
                raise outcome
            self._pulse.beat()
            del outstanding[name]
            folder = Path(outcome).parents[len(PurePosixPath(name).parts) - 1]
        return folder

    def _download(self, name: str) -> str:
        return huggingface_hub.hf_hub_download(
            self._repo_id,
            name,
            revision=self._commit,
            token=self._token,
            cache_dir=self._cache_dir,
            force_download=self._force_download,
            tqdm_class=self._bar,
        )

    def _ask_for(self, name: str) -> None:
        url = huggingface_hub.hf_hub_url(self._repo_id, name, revision=self._commit)
        within(
            HUB_PATIENCE,
            lambda: huggingface_hub.get_hf_file_metadata(url, token=self._token, timeout=HUB_PATIENCE),
        )


class _Pulse:
    """When there was the last sign of life, and how many files have content on its way."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._heard = time.monotonic()
        self._flowing = 0

    def beat(self, flowing: int = 0) -> None:
        with self._lock:
            self._heard = time.monotonic()
            self._flowing += flowing

    def quiet(self) -> float:
        """Return the seconds since the last sign of life; 0 while content is on its way."""
        with self._lock:
            return 0.0 if self._flowing else time.monotonic() - self._heard


def _bar(pulse: _Pulse) -> type[tqdm]:
    """Return a class of progress bars that tells `pulse` of the files: the client opens one when content arrives."""

    class Bar(tqdm):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            self._flows = True
            pulse.beat(flowing=1)
            kwargs["disable"] = kwargs.get("disable") or (kwargs.get("total") or 0) < WORTH_A_BAR
            super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # the client doesn't say

        def close(self) -> None:
            if self._flows:
                self._flows = False
                pulse.beat(flowing=-1)
            super().close()

    return Bar
