"""Reads checkpoints of every released form, under one set of names, and writes safetensors.

Pickled files are opened by PyTorch's restricted reader, which builds tensors and plain containers
and runs nothing: a file that asks for more is refused. Key maps are data.
"""

import hashlib
import pickle
import re
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

import torch
from torch import Tensor

from mofa.errors import WeightsError
from mofa.media.files import replacing
from mofa.types import Progress, silent
from mofa.weights.registry import Shapes

CONTAINERS = ("state_dict", "model")
"""Where released pickles keep their tensors: CMP's training file, UniMatch's."""

WRAPPER = "module."
"""What torch.nn.DataParallel puts before every key: CMP."""

RENAMED_ENDINGS = (
    # torch.nn.utils.weight_norm became a parametrization in PyTorch 2.0: AniPortrait, wav2vec 2.0.
    (".weight_g", ".parametrizations.weight.original0"),
    (".weight_v", ".parametrizations.weight.original1"),
)

PICKLE_SUFFIXES = (".pth.tar", ".pth", ".pt", ".bin", ".ckpt")

Form = Literal["safetensors", "zip", "pickle", "torchscript"]

_PICKLE_MAGIC = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""First bytes of what torch.save wrote before PyTorch 1.6."""

_BLOCK = 1 << 22
"""Bytes hashed at a time."""


def checkpoint_form(path: Path) -> Form | None:
    """How the checkpoint in `path` is stored, told by its first bytes; None where it is none.

    Raises WeightsError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(512)
    except OSError as error:
        raise WeightsError(f"{path} cannot be read ({error.strerror or error}); check the path.") from error
    if head.startswith(b"PK\x03\x04"):
        length = int.from_bytes(head[26:28], "little")
        return _zip_form(path, begins_as_saved=head[30 : 30 + length].endswith(b"/data.pkl"))
    if head.startswith(_PICKLE_MAGIC):
        return "pickle"
    # Safetensors: eight bytes of header length, then the header, which is JSON.
    return "safetensors" if len(head) > 8 and head[6:9] == b"\0\0{" else None


def _zip_form(path: Path, begins_as_saved: bool) -> Form | None:
    """A zip archive of torch.save, or a program that torch.jit.save wrote; None for any other.

    One that is cut short has lost its list of names: how it begins says what it was, and its reader the rest.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except Exception:  # a damaged file can make its reader fail in any way
        return "zip" if begins_as_saved else None
    if any(name.endswith("/constants.pkl") for name in names):
        return "torchscript"
    return "zip" if any(name.endswith("/data.pkl") for name in names) else None


def canonical_names(names: Iterable[str]) -> dict[str, str]:
    """Released key -> our key: the wrapper's prefix removed, renamed endings brought up to date."""
    names = list(names)
    wrapped = bool(names) and all(name.startswith(WRAPPER) for name in names)
    return {name: _renamed(name.removeprefix(WRAPPER) if wrapped else name) for name in names}


def _renamed(name: str) -> str:
    for old, new in RENAMED_ENDINGS:
        if name.endswith(old):
            return name.removesuffix(old) + new
    return name


def read_shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The keys and shapes in a checkpoint, under our names, without reading its tensors where possible.

    Raises WeightsError: no checkpoint, damaged, or a pickle that holds code.
    """
    if checkpoint_form(path) == "safetensors":
        with _explained(path), _safetensors().safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
        names = canonical_names(shapes)
        return {names[name]: shape for name, shape in shapes.items()}
    return {name: tuple(tensor.shape) for name, tensor in read_checkpoint(path).items()}


def read_checkpoint(path: Path) -> dict[str, Tensor]:
    """The tensors of a checkpoint on the CPU, under our names.

    They are mapped from the file where its form allows, so that reading a part costs that part only.
    Released forms are safetensors and what torch.save wrote, bare or inside a training file.

    Raises WeightsError: no checkpoint, damaged or cut short, or a pickle that holds code.
    """
    form = checkpoint_form(path)
    if form is None:
        raise WeightsError(
            f"{path} is not a checkpoint: neither safetensors nor a file of torch.save; choose another file."
        )
    if form == "torchscript":
        raise WeightsError(f"{path} is a TorchScript program, which is not used by mofa.")
    with _explained(path):
        if form == "safetensors":
            found = _safetensors().torch.load_file(path)
        else:
            # Files of old PyTorch cannot be mapped.
            found = torch.load(path, map_location="cpu", weights_only=True, mmap=form == "zip")
    tensors = _tensors_inside(found, path)
    names = canonical_names(tensors)
    return {names[name]: tensor for name, tensor in tensors.items()}


def _tensors_inside(found: Any, path: Path) -> dict[str, Tensor]:
    inside = [found[name] for name in CONTAINERS if name in found] if isinstance(found, Mapping) else []
    for candidate in (found, *inside):
        if isinstance(candidate, Mapping) and candidate and _all_tensors(candidate):
            return dict(candidate)
    places = ", ".join(CONTAINERS)
    raise WeightsError(f"{path} holds no weights (neither bare nor under {places}); choose another file.")


def _all_tensors(candidate: Mapping[Any, Any]) -> bool:
    return all(isinstance(name, str) and isinstance(value, Tensor) for name, value in candidate.items())


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turns whatever a reader says about a foreign file into one sentence about `path`."""
    try:
        yield
    except WeightsError:
        raise
    # A damaged file can make its reader fail in any way.
    except Exception as error:
        wanted = re.search(r"GLOBAL (\S+)", str(error)) if isinstance(error, pickle.UnpicklingError) else None
        if wanted:
            raise WeightsError(
                f"{path} wants to run code ({wanted[1]}) when it is opened, which mofa never does; "
                "get the file from its publisher, or as safetensors."
            ) from error
        size = path.stat().st_size
        raise WeightsError(
            f"{path} is damaged or cut short ({size:,} bytes); delete it and get it again."
        ) from error


def part(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors of one network of a file that holds several, its prefix removed."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def shapes_of(tensors: Mapping[str, Tensor]) -> Shapes:
    """Keys and shapes of tensors that are in memory."""
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def converted_name(name: str) -> str:
    """What a file is called once it is safetensors: `ckpt.pth.tar` -> `ckpt.safetensors`."""
    for suffix in PICKLE_SUFFIXES:
        if name.endswith(suffix):
            return name.removesuffix(suffix) + ".safetensors"
    return name


def convert(path: Path, destination: Path, overwrite: bool = False) -> None:
    """Writes the checkpoint in `path` as safetensors, under our names; everything but tensors is left out.

    The new file says which file it came from, with that file's SHA-256.

    Raises WeightsError: see `read_checkpoint`. Raises OutputError: the file exists or cannot be written.
    """
    tensors = read_checkpoint(path)
    metadata = {"format": "pt", "source": path.name, "source_sha256": sha256_of(path)}
    save_checkpoint(tensors, destination, metadata, overwrite)


def save_checkpoint(
    tensors: Mapping[str, Tensor],
    destination: Path,
    metadata: Mapping[str, str] = MappingProxyType({"format": "pt"}),
    overwrite: bool = False,
) -> None:
    """Writes tensors as safetensors. Raises OutputError: the file exists or cannot be written."""
    with replacing(destination, overwrite) as hidden:
        _safetensors().torch.save_file(_separate(tensors), hidden, dict(metadata))


def _separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous tensors that share no memory, which is what safetensors can hold."""
    seen: set[int] = set()
    separate = {}
    for name, tensor in tensors.items():
        storage = tensor.untyped_storage().data_ptr()
        separate[name] = tensor.clone() if storage in seen else tensor.contiguous()
        seen.add(storage)
    return separate


def sha256_of(path: Path, progress: Progress = silent) -> str:
    """The SHA-256 of a file, in hexadecimal. `progress` counts bytes."""
    digest, done, size = hashlib.sha256(), 0, path.stat().st_size
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            done += len(block)
            progress(f"checking {path.name}", done, size)
    return digest.hexdigest()


def _safetensors() -> Any:
    try:
        import safetensors
        import safetensors.torch
    except ImportError as error:
        raise WeightsError(
            "Reading weights needs the packages of the diffusion extra: pip install 'mofa-video[diffusion]'.",
            key="packages.missing",
        ) from error
    return safetensors
