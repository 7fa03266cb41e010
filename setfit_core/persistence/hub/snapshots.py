"""Snapshots of a repository on the hub, with the cache to fall back on."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import uuid
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Final, NoReturn

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from setfit_core.errors import HubError, ModelFormatError, ModelNotFoundError, SetFitError
from setfit_core.persistence.config import CONFIG_FILE, PICKLED_HEAD_FILE
from setfit_core.persistence.hub.downloads import HUB_PATIENCE, Downloads, described, within

#: A folder that holds none of these is no model.
MODEL_FILES: Final = ("modules.json", "config.json")
#: No model needs more files than this, and no repository that the hub wants lists more than that.
MAX_FILES: Final = 10_000
MAX_LISTED: Final = 100_000
DEFAULT_ORGANISATION: Final = "sentence-transformers"

#: Weights for other frameworks, and files that no SentenceTransformer reads.
_UNUSED_FOLDERS = frozenset({"onnx", "openvino", "coreml"})
_UNUSED_SUFFIXES = frozenset({".gguf", ".h5", ".mlmodel", ".msgpack", ".onnx", ".onnx_data", ".ot", ".tflite"})
#: Never downloaded, but for the head of `setfit`: whatever reads them would run code from them.
_PICKLE_SUFFIXES = frozenset({".joblib", ".pickle", ".pkl"})
#: Downloaded where there are no safetensors beside them.
_TORCH_SUFFIXES = frozenset({".bin", ".ckpt", ".pt", ".pth"})

_COMMIT = re.compile(r"[0-9a-f]{40}")
_DRIVE = re.compile(r"(^|/)[A-Za-z]:")
#: Bytes that file systems allow for the name of a file, and what is reasonable for a path.
_NAME_BYTES = 255
_PATH_BYTES = 1024

_logger = logging.getLogger(__name__)


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
        self._cache_dir = None if cache_dir is None else str(cache_dir)
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
            commit, names = self._listing(repo_id)
            return self._downloaded(repo_id, commit, names)
        except SetFitError:
            raise
        except (GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError, HFValidationError) as error:
            self._refuse(repo_id, error)
        except Exception as error:
            self._trouble = error
            return self._cached_instead(repo_id, error)

    def _listing(self, repo_id: str) -> tuple[str, list[str]]:
        """Ask for the commit that the revision means, and choose from its files."""
        info = within(
            HUB_PATIENCE,
            lambda: huggingface_hub.HfApi(token=self._token).model_info(
                repo_id, revision=self._revision, timeout=HUB_PATIENCE
            ),
        )
        commit = info.sha or ""
        pinned = _COMMIT.fullmatch(self._revision or "")
        # The commit becomes the name of a folder.
        if not _COMMIT.fullmatch(commit) or (pinned and commit != self._revision):
            raise ValueError(f"{constants.ENDPOINT} answers with {commit!r} for a commit")
        listed = [sibling.rfilename for sibling in info.siblings or ()]
        names = needed_files(listed) if len(listed) <= MAX_LISTED else []
        if len(listed) > MAX_LISTED or len(names) > MAX_FILES:
            raise ModelFormatError(
                f"{self._named(repo_id)} holds {len(listed)} files; no repository of a model has more than "
                f"{MAX_LISTED}, and {MAX_FILES} that could be loaded. Check the id, or download what you need and "
                "give the folder."
            )
        if not set(names).intersection(MODEL_FILES):
            raise ModelFormatError(
                f"{self._named(repo_id)} holds no sentence-transformers or transformers model: it has neither "
                f"{' nor '.join(MODEL_FILES)}. Check the id."
            )
        return commit, names

    def _downloaded(self, repo_id: str, commit: str, names: list[str]) -> Path:
        downloads = Downloads(
            repo_id, commit, token=self._token, cache_dir=self._cache_dir, force_download=self._force_download
        )
        # A snapshot without these counts as incomplete, so they come last.
        batches = [[name for name in names if name not in MODEL_FILES]]
        batches += [[name] for name in MODEL_FILES if name in names]
        for batch in filter(None, batches):
            folder = downloads.fetch(batch)
        self._remember(folder, commit)
        return folder

    def _remember(self, folder: Path, commit: str) -> None:
        """Note which commit the revision means, where the client looks for it when it is offline."""
        revision = self._revision or constants.DEFAULT_REVISION
        reference = folder.parent.parent / "refs" / revision
        if revision == commit:
            return
        with contextlib.suppress(OSError):  # whoever may only read the cache can still load from it
            reference.parent.mkdir(parents=True, exist_ok=True)
            written = reference.with_name(f"{reference.name}.{uuid.uuid4().hex}.tmp")
            written.write_text(commit, encoding="ascii")
            written.replace(reference)

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
                f"{self._named(repo_id)} can't be downloaded again: {described(reason)}. Check the connection, or "
                "drop force_download=True to use the cache."
            ) from reason
        try:
            folder = self._complete_snapshot(repo_id)
        except LocalEntryNotFoundError:
            raise ModelNotFoundError(
                f"{self._named(repo_id)} can't be fetched: {described(reason)}. It is not in the cache either, or "
                "not completely. Check the id and the connection, give a local folder, set HF_HUB_OFFLINE=1 to go "
                "without the hub, or leave the model out to use the embedded one."
            ) from reason
        _logger.warning("%s can't be fetched (%s); the copy in the cache is used.", repo_id, described(reason))
        return folder

    def _complete_snapshot(self, repo_id: str) -> Path:
        unused = [f"{folder}/*" for folder in sorted(_UNUSED_FOLDERS)]
        unused += [f"*{suffix}" for suffix in sorted(_UNUSED_SUFFIXES | _PICKLE_SUFFIXES | _TORCH_SUFFIXES)]
        folder = Path(
            huggingface_hub.snapshot_download(
                repo_id,
                revision=self._revision,
                cache_dir=self._cache_dir,
                local_files_only=True,
                ignore_patterns=unused,
            )
        )
        names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
        complete = names.intersection(MODEL_FILES) and any(_is_weights(name) for name in names)
        # A model that was trained has a head, here or where setfit keeps it.
        if not complete or (CONFIG_FILE in names and not (_has_head(names) or PICKLED_HEAD_FILE in names)):
            raise LocalEntryNotFoundError(f"The snapshot {folder} is incomplete.")
        return folder

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

    Left out are weights of other frameworks, pickles, torch's own files where safetensors lie beside them, and names
    that lead out of a folder or that file systems don't take. One pickle is wanted: `model_head.pkl` at the top. It is
    the head if `setfit` pushed last, which leaves a folder `head` of ours behind.
    """
    listed = sorted({name for name in names if _is_plain(name)})
    paths = [PurePosixPath(name) for name in listed]
    safe = {path.parent for path in paths if path.suffix == ".safetensors"}
    return [
        str(path)
        for path in paths
        if str(path) == PICKLED_HEAD_FILE
        or (
            path.suffix not in _UNUSED_SUFFIXES | _PICKLE_SUFFIXES
            and not _UNUSED_FOLDERS.intersection(path.parts[:-1])
            and not (path.suffix in _TORCH_SUFFIXES and path.parent in safe)
        )
    ]


def _has_head(names: Iterable[str]) -> bool:
    return any(name.startswith("head/") for name in names)


def _is_plain(name: str) -> bool:
    """Whether this is a relative path that means the same on every system, and stays where it is."""
    parts = [part.encode("utf-8", "surrogatepass") for part in name.split("/")]
    return (
        name.isprintable()
        and "\\" not in name
        and not _DRIVE.search(name)
        and not {b"", b".", b".."}.intersection(parts)
        and max(map(len, parts)) <= _NAME_BYTES
        and sum(map(len, parts)) + len(parts) <= _PATH_BYTES
    )


def _is_weights(name: str) -> bool:
    return PurePosixPath(name).suffix in _TORCH_SUFFIXES | {".safetensors"}
