"""The one soft step there is."""

from jaxtyping import Float
from torch import Tensor


def smoothstep(
    value: Float[Tensor, "*s"], low: Tensor | float = 0.0, high: Tensor | float = 1.0
) -> Float[Tensor, "*s"]:
    """0 up to `low`, 1 from `high` on, in between 3 t^2 - 2 t^3: level at both ends (Hermite)."""
    share = ((value - low) / (high - low)).clamp(0, 1)
    return share * share * (3 - 2 * share)
