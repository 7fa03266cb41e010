"""A saved model, pushed to the hub in one commit."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeVar

import huggingface_hub
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, constants
from huggingface_hub.errors import HFValidationError, RevisionNotFoundError
from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # public, but not marked as exported

from setfit_core.errors import ArgumentError, HubError
from setfit_core.persistence.config import CONFIG_FILE, PICKLED_HEAD_FILE
from setfit_core.persistence.hub.downloads import HUB_PATIENCE, described, within

#: A repository with none of these at its top holds no model that could have left files behind.
_MARKS: Final = frozenset({CONFIG_FILE, PICKLED_HEAD_FILE, "modules.json"})
#: What saving writes, and has written: configurations, weights, tokenizers, folders of modules, the head.
_OWN: Final = re.compile(
    r"""
    (config|config_\w+|modules|preprocessor_config|sentence_\w+_config)\.json
    | (model|pytorch_model)(-\d+-of-\d+)?\.(safetensors|bin)(\.index\.json)?
    | (added_tokens|special_tokens_map|tokenizer|tokenizer_config|vocab)\.json
    | (merges|vocab)\.txt | \w[\w.]*\.model | chat_template\.jinja
    | model_head\.pkl
    | \d+_[A-Za-z]\w*/.+
    | head/.+
    """,
    re.VERBOSE,
)

_T = TypeVar("_T")


def push_to_hub(
    folder: Path,
    repo_id: str,
    *,
    token: str | bool | None = None,
    private: bool | None = None,
    revision: str | None = None,
    commit_message: str = "Add SetFit model",
    create_pr: bool = False,
) -> str:
    """Push a saved model to a repository on the hub, which is created if need be.

    Everything is one commit: what the folder holds is added, and what an older model left behind is deleted (its head,
    weights, tokenizer, folders of modules). Other files of the repository stay. Files and folders whose names start
    with a dot are not pushed. Whoever commits at the same time wins; the push is then refused.

    Args:
        folder: The saved model.
        repo_id: The repository, such as `"organisation/name"`; a name alone means the user's own.
        token: Access token with the right to write; None or True takes the one of `hf auth login` or `HF_TOKEN`.
        private: Whether a new repository is private; None for what the organisation has set, which may be public.
        revision: The branch, which is created if need be; None for `main`.
        commit_message: First line of the commit's message, and the title of a pull request.
        create_pr: Whether to make a pull request for `main` instead of committing to it.

    Returns:
        The address of the pull request if there is one, else of the commit.

    Raises:
        ArgumentError: If the arguments have no meaning.
        HubError: If the hub refuses, is out of reach (decided within 10 seconds) or may not be asked.
    """
    _check_arguments(repo_id, revision, commit_message, create_pr=create_pr)
    api = HfApi(token=_writing_token(repo_id, token))
    attempt = _Attempt(repo_id, revision)
    repo = attempt(lambda: api.create_repo(repo_id, private=private, exist_ok=True)).repo_id
    if revision is not None and not revision.startswith("refs/"):
        attempt(lambda: api.create_branch(repo, branch=revision, exist_ok=True))
    info = attempt(lambda: api.model_info(repo, revision=revision, timeout=HUB_PATIENCE))
    names = _names(folder)
    stale = _stale([sibling.rfilename for sibling in info.siblings or ()], names)
    try:
        # Not upload_folder: it makes several commits of a large folder. There is no time limit, as nobody knows how
        # fast the connection is, and no thread, as an interrupt has to end it.
        commit = api.create_commit(
            repo,
            [
                *(CommitOperationDelete(path_in_repo=name, is_folder=False) for name in stale),
                *(CommitOperationAdd(path_in_repo=name, path_or_fileobj=str(folder / name)) for name in names),
            ],
            commit_message=commit_message,
            revision=revision,
            create_pr=create_pr,
            parent_commit=info.sha,
        )
    except Exception as error:
        raise attempt.refusal(error) from error
    return str(commit.pr_url or commit.commit_url)


def _check_arguments(repo_id: str, revision: str | None, commit_message: str, *, create_pr: bool) -> None:
    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise ArgumentError(
            f"{repo_id!r} can't be the id of a repository: {error} Give 'organisation/name', or 'name' alone for "
            "your own account."
        ) from error
    if not commit_message:
        raise ArgumentError("commit_message is empty. Give a line that says what changes, or leave it out.")
    if create_pr and revision is not None:
        raise ArgumentError(
            f"create_pr=True makes a pull request for the main branch, but revision={revision!r} was given. Drop one."
        )


def _writing_token(repo_id: str, token: str | bool | None) -> str:
    if constants.HF_HUB_OFFLINE:
        raise HubError(
            f"{repo_id} can't be pushed: HF_HUB_OFFLINE=1 forbids to ask the hub. Unset it before Python starts, or "
            "save the model to a folder."
        )
    found = huggingface_hub.get_token() if token in (None, True) else token
    if not isinstance(found, str) or not found:
        raise HubError(
            f"{repo_id} can't be pushed without an access token. Log in with `hf auth login`, set HF_TOKEN, or pass "
            "token=, with a token that has the right to write."
        )
    return found


class _Attempt:
    """Calls for one push: each is given up after a while, and says what to do when it fails."""

    def __init__(self, repo_id: str, revision: str | None) -> None:
        self._repo_id = repo_id
        self._revision = revision

    def __call__(self, action: Callable[[], _T]) -> _T:
        try:
            return within(HUB_PATIENCE, action)
        except Exception as error:
            raise self.refusal(error) from error

    def refusal(self, error: Exception) -> HubError:
        status = getattr(getattr(error, "response", None), "status_code", None)
        if isinstance(error, RevisionNotFoundError):
            reason = f"it has no branch {self._revision!r}. Check the spelling."
        elif status == 401:
            reason = (
                "the hub doesn't accept the access token. Make a new one on its page of settings, then log in with "
                "`hf auth login` or pass it as token=."
            )
        elif status == 403:
            reason = (
                f"the access token gives no right to write there ({described(error)}). Use a token that does, check "
                "that you belong to the organisation, or make a pull request with create_pr=True."
            )
        elif status == 404:
            reason = (
                "the hub has no such repository, or keeps it private. Check the spelling, and that you belong to the "
                "organisation."
            )
        elif status in (409, 412):
            reason = "somebody else has committed in the meantime. Look at what they did, then push again."
        elif status is None and isinstance(error, ValueError):
            reason = f"{' '.join(str(error).split())} Mend it, then push again."
        else:
            reason = f"{described(error)}. Check the connection to {constants.ENDPOINT}, then push again."
        return HubError(f"{self._repo_id} can't be pushed: {reason}")


def _names(folder: Path) -> list[str]:
    paths = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(path.as_posix() for path in paths if not any(part.startswith(".") for part in path.parts))


def _stale(there: list[str], pushed: list[str]) -> list[str]:
    if not _MARKS.intersection(there):
        return []
    return sorted(name for name in set(there).difference(pushed) if _OWN.fullmatch(name))
