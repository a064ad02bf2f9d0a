"""The weights of the network that tells things apart; they come with the package (docs/things.md)."""

import functools
from pathlib import Path

from safetensors.torch import load

from mofa.errors import WeightsError
from mofa.models.things import ThingsNet, folded
from mofa.weights.convert import sha256_of

FILE = Path(__file__).parent.parent / "assets" / "things.safetensors"
SHA256 = "aa5e6546825eb433d60c531d25d28723109175e28f1cae4a5534d89dff58d896"


@functools.cache
def load_things() -> ThingsNet:
    """The network, in float32 on the CPU, made once.

    Raises WeightsError: the file is missing or not the one that the package came with.
    """
    if not FILE.is_file() or sha256_of(FILE) != SHA256:
        raise WeightsError(f"{FILE} is missing or damaged: install mofa again.", key="install.damaged")
    net = ThingsNet()
    tensors = {name: value.float() for name, value in load(FILE.read_bytes()).items()}
    net.load_state_dict(tensors)
    return folded(net).requires_grad_(False)
