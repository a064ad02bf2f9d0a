"""Folders of weights on the Hugging Face hub, as diffusers keeps them: brought here, and sent there.

Both happen only where a caller names a repository; the token is the one that `hf auth login` stored, unless
another is given.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypedDict, Unpack

from mofa.errors import MofaError, WeightsError
from mofa.weights.networks import Files, files_in


class HubOptions(TypedDict, total=False):
    """Which version of a repository, kept where, who asks: options of diffusers' `from_pretrained`."""

    revision: str | None
    cache_dir: str | Path | None
    token: str | bool | None
    local_files_only: bool
    force_download: bool


def folder_of(
    source: str | Path, variant: str | None = None, within: str = "*", **options: Unpack[HubOptions]
) -> Path:
    """A folder on this disk, or the hub's repository "owner/name" in its cache, fetched if absent.

    Of the repository come the JSON files and the safetensors of one variant whose folders match `within`;
    nothing that would have to be unpickled. Raises WeightsError: it is neither, or the hub does not give it.
    """
    if (folder := Path(source).expanduser()).is_dir():
        return folder
    if str(source).count("/") != 1 or str(source).startswith(("/", ".")):
        raise WeightsError(f"{source} is no folder: name one, or a repository of the hub as owner/name.")
    from huggingface_hub import snapshot_download

    with _explained(str(source)):
        path = snapshot_download(
            str(source),
            allow_patterns=[
                "*.json",
                f"{within}.{variant}.safetensors" if variant else f"{within}.safetensors",
            ],
            ignore_patterns=None if variant else ["*.*.safetensors"],
            **options,
        )
    return Path(path)


class Pushed:
    """What can be saved as a folder can be sent to the hub."""

    def save_pretrained(self, folder: str | Path, *, variant: str | None = None) -> None:
        """Writes everything into a folder."""
        raise NotImplementedError

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool | None = None,
        commit_message: str = "Upload with mofa",
        token: str | None = None,
        variant: str | None = None,
    ) -> str:
        """Sends the folder to a repository, which is made if it is new; gives its address.

        Raises WeightsError where the hub refuses.
        """
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        with TemporaryDirectory() as room, _explained(repo_id):
            self.save_pretrained(room, variant=variant)
            made = api.create_repo(repo_id, private=private, exist_ok=True)
            api.upload_folder(repo_id=made.repo_id, folder_path=room, commit_message=commit_message)
            return str(made)


def variant_files(folder: Path, variant: str | None) -> Files:
    """Every file below a folder, weights of one precision: `x.fp16.safetensors` is `x.safetensors` of "fp16".

    Without a variant the plain ones. Raises WeightsError where the folder has none of that precision.
    """
    files = files_in(folder)
    weights = {name: path for name, path in files.items() if name.endswith(".safetensors")}
    chosen = {_plain(name): path for name, path in weights.items() if _variant(name) == variant}
    if not chosen:
        known = sorted({_variant(name) or "none" for name in weights})
        raise WeightsError(
            f"{folder} has no weights of variant {variant or 'none'}, but of "
            f"{', '.join(known) or 'no kind'}: give one of these."
        )
    return {name: path for name, path in files.items() if name not in weights} | chosen


def rooms_of(files: Files) -> Mapping[str, Files]:
    """The files of each folder one below, by their paths in it."""
    rooms: dict[str, dict[str, Path]] = {}
    for name, path in files.items():
        room, _, rest = name.partition("/")
        if rest:
            rooms.setdefault(room, {})[rest] = path
    return rooms


def _variant(name: str) -> str | None:
    *_, last = ("", *Path(name).stem.split(".")[1:])
    return last or None


def _plain(name: str) -> str:
    variant = _variant(name)
    return name if variant is None else name.replace(f".{variant}.safetensors", ".safetensors")


@contextmanager
def _explained(repository: str) -> Iterator[None]:
    try:
        yield
    except MofaError:
        raise
    except Exception as error:  # the hub's client raises errors of half a dozen libraries
        reason = str(error).strip().split("\n")[0]
        raise WeightsError(
            f"the hub did not serve {repository} ({reason}): check the name, your token and the network."
        ) from error
