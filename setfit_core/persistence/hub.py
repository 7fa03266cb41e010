"""Snapshots of a repository on the hub, with the cache to fall back on."""

from __future__ import annotations

import glob
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final, NoReturn, TypeVar

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from setfit_core.errors import HubError, ModelNotFoundError

#: A folder that holds none of these is no model.
MODEL_FILES: Final = ("modules.json", "config.json")
#: Seconds after which the hub counts as out of reach.
HUB_PATIENCE: Final = 7.0
DEFAULT_ORGANISATION: Final = "sentence-transformers"

#: Weights for other frameworks, and files that no SentenceTransformer reads.
_UNUSED_FOLDERS = frozenset({"onnx", "openvino", "coreml"})
_UNUSED_SUFFIXES = frozenset({".gguf", ".h5", ".mlmodel", ".msgpack", ".onnx", ".onnx_data", ".ot", ".tflite"})
#: Never downloaded: nothing here reads them, and whatever does would run code from them.
_PICKLE_SUFFIXES = frozenset({".joblib", ".pickle", ".pkl"})
#: Downloaded where there are no safetensors beside them.
_TORCH_SUFFIXES = frozenset({".bin", ".ckpt", ".pt", ".pth"})

_T = TypeVar("_T")


class Hub:
    """One revision on the hub, with the cache to fall back on."""

    def __init__(
        self,
        *,
        revision: str | None,
        token: str | bool | None,
        cache_dir: str | os.PathLike[str] | None,
        force_download: bool,
        offline: bool,
    ) -> None:
        self._revision = revision
        self._token = token
        self._cache_dir = cache_dir
        self._force_download = force_download
        self._offline = offline
        self._trouble: Exception | None = None

    def locate(self, repo_id: str) -> Path:
        """Return a snapshot, downloading what is missing; that of the cache if the hub can't be asked."""
        if self._offline:
            return self._cached(repo_id)
        if self._trouble is not None:  # the patience is for the hub and not for each name
            return self._cached_instead(repo_id, self._trouble)
        try:
            info = _within(
                HUB_PATIENCE,
                lambda: huggingface_hub.HfApi(token=self._token).model_info(
                    repo_id, revision=self._revision, timeout=HUB_PATIENCE
                ),
            )
            names = [sibling.rfilename for sibling in info.siblings or ()]
            return self._snapshot(repo_id, [glob.escape(name) for name in needed_files(names)])
        except (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
            self._refuse(repo_id, error)
        except Exception as error:
            self._trouble = error
            return self._cached_instead(repo_id, error)

    def _cached(self, repo_id: str) -> Path:
        try:
            return self._complete_snapshot(repo_id)
        except HFValidationError as error:
            self._refuse(repo_id, error)
        except LocalEntryNotFoundError as error:
            raise ModelNotFoundError(
                f"{self._named(repo_id)} is not in the cache, or not completely, and the hub may not be asked "
                "(local_files_only=True or HF_HUB_OFFLINE=1). Allow the hub once, give a local folder, or leave the "
                "model out to use the embedded one."
            ) from error

    def _cached_instead(self, repo_id: str, reason: Exception) -> Path:
        if self._force_download:
            raise HubError(
                f"{self._named(repo_id)} can't be downloaded again: {_described(reason)}. Check the connection, or "
                "drop force_download=True to use the cache."
            ) from reason
        try:
            return self._complete_snapshot(repo_id)
        except LocalEntryNotFoundError:
            raise ModelNotFoundError(
                f"{self._named(repo_id)} can't be fetched: {_described(reason)}. It is not in the cache either, or "
                "not completely. Check the id and the connection, give a local folder, set HF_HUB_OFFLINE=1 to go "
                "without the hub, or leave the model out to use the embedded one."
            ) from reason

    def _complete_snapshot(self, repo_id: str) -> Path:
        unused = [f"{folder}/*" for folder in sorted(_UNUSED_FOLDERS)]
        unused += [f"*{suffix}" for suffix in sorted(_UNUSED_SUFFIXES | _PICKLE_SUFFIXES | _TORCH_SUFFIXES)]
        folder = self._snapshot(repo_id, None, ignore=unused, local_files_only=True)
        names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        if not names.intersection(MODEL_FILES) or not any(_is_weights(name) for name in names):
            raise LocalEntryNotFoundError(f"The snapshot {folder} is incomplete.")
        return folder

    def _snapshot(
        self,
        repo_id: str,
        names: Sequence[str] | None,
        *,
        ignore: Sequence[str] | None = None,
        local_files_only: bool = False,
    ) -> Path:
        return Path(
            huggingface_hub.snapshot_download(
                repo_id,
                revision=self._revision,
                token=self._token,
                cache_dir=None if self._cache_dir is None else str(self._cache_dir),
                local_files_only=local_files_only,
                force_download=self._force_download,
                allow_patterns=None if names is None else list(names),
                ignore_patterns=None if ignore is None else list(ignore),
            )
        )

    def _refuse(self, repo_id: str, error: Exception) -> NoReturn:
        if isinstance(error, GatedRepoError):
            raise HubError(
                f"{repo_id} is gated: its owners ask you to accept conditions first. Accept them on the page of the "
                "model, then log in with `hf auth login` or pass token=."
            ) from error
        if isinstance(error, RevisionNotFoundError):
            raise HubError(
                f"{repo_id} has no revision {self._revision!r}. Check the branch, tag or commit, or leave revision "
                "out for the newest."
            ) from error
        if isinstance(error, HFValidationError):
            raise HubError(
                f"{repo_id!r} is neither a local folder nor an id that the hub can have: {error}. Give a folder, or "
                "an id such as 'organisation/name'."
            ) from error
        raise ModelNotFoundError(
            f"There is no local folder {repo_id}, and the hub has no such model, or keeps it private. Check the "
            "spelling; for a private model log in with `hf auth login` or pass token=."
        ) from error

    def _named(self, repo_id: str) -> str:
        return repo_id if self._revision is None else f"{repo_id} (revision {self._revision!r})"


def needed_files(names: Iterable[str]) -> list[str]:
    """Choose the files of a repository that a body and a head are loaded from; sorted.

    Left out are weights of other frameworks, pickles, and torch's own files where safetensors lie beside them.
    """
    paths = [PurePosixPath(name) for name in sorted(names)]
    safe = {path.parent for path in paths if path.suffix == ".safetensors"}
    return [
        str(path)
        for path in paths
        if path.suffix not in _UNUSED_SUFFIXES | _PICKLE_SUFFIXES
        and not _UNUSED_FOLDERS.intersection(path.parts[:-1])
        and not (path.suffix in _TORCH_SUFFIXES and path.parent in safe)
    ]


def _is_weights(name: str) -> bool:
    return PurePosixPath(name).suffix in _TORCH_SUFFIXES | {".safetensors"}


def _within(seconds: float, action: Callable[[], _T]) -> _T:
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


def _described(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
