"""The picture as it came, in whose pixels (or percent) everything in a scene is given."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from mofa.control.coordinates import Point
from mofa.errors import InputError


@dataclass(frozen=True)
class Original:
    """The upright picture as it came, in whose pixels points and masks are given; what is transparent of it
    lies on white, and `alpha` is there where the clip is to have it."""

    pixels: Float[Tensor, "3 h w"]
    alpha: Float[Tensor, "1 h w"] | None = None

    @property
    def width(self) -> int:
        """In pixels."""
        return self.pixels.shape[2]

    @property
    def height(self) -> int:
        """In pixels."""
        return self.pixels.shape[1]

    def shows(self, points: Float[Tensor, "K 2"]) -> Bool[Tensor, " K"]:
        """Which points lie on the picture, to the outer edges of its border pixels."""
        limit = points.new_tensor([self.width, self.height]) - 0.5
        return ((points >= -0.5) & (points <= limit)).all(-1)

    def check_inside(self, points: Float[Tensor, "K 2"]) -> None:
        """Raises InputError naming the first point that lies outside the picture."""
        outside = points[~self.shows(points)]
        if len(outside):
            x, y = outside[0].tolist()
            raise InputError(
                f"point {x:g},{y:g} lies outside the picture, which is {self.width} x {self.height} pixels: "
                "choose one inside.",
                key="point.outside",
            )

    def clicked(self, point: Point) -> Float[Tensor, "1 2"]:
        """A point of the scene in pixels; InputError when it lies outside."""
        place = torch.tensor([[point[0].in_pixels(self.width), point[1].in_pixels(self.height)]])
        self.check_inside(place)
        return place

    def meant(self, face: int | Point) -> int | tuple[float, float]:
        """A face's number, or the point on it in pixels; InputError when it lies outside."""
        if isinstance(face, int):
            return face
        x, y = self.clicked(face)[0].tolist()
        return x, y
