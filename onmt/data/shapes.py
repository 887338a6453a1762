"""A made-up captioning task that a person can judge at a glance: "two red circles left of a blue square".

Two groups of one to three equal shapes, side by side or one above the other. The caption is unambiguous: it
names the left or the upper group first. Pillow draws. No torch here.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

from onmt.data.image_colours import require_pillow
from onmt.errors import OptionError

COUNTS: Final = ("a", "two", "three")
COLOURS: Final = {
    "red": (215, 35, 35),
    "green": (30, 150, 50),
    "blue": (40, 60, 215),
    "yellow": (225, 200, 20),
}
KINDS: Final = ("circle", "square", "triangle")
SMALLEST: Final = 40  # pixels; in smaller images three shapes cannot be told apart

Relation = Literal["left of", "above"]


@dataclass(frozen=True)
class Group:
    """Some shapes that are alike."""

    count: int
    colour: str
    kind: str

    def __str__(self) -> str:
        return f"{COUNTS[self.count - 1]} {self.colour} {self.kind}{'s' if self.count > 1 else ''}"


@dataclass(frozen=True)
class Scene:
    """What an image shows; `first` is the left or the upper group."""

    first: Group
    relation: Relation
    second: Group

    @property
    def caption(self) -> str:
        """The one right answer."""
        return f"{self.first} {self.relation} {self.second}"


def scenes(seed: int) -> Iterator[Scene]:
    """Scenes without end, the same for the same seed; the groups of a scene differ in colour or kind."""
    rng = random.Random(seed)
    looks = [(colour, kind) for colour in COLOURS for kind in KINDS]
    relations: tuple[Relation, ...] = ("left of", "above")
    while True:
        groups = [Group(rng.randint(1, len(COUNTS)), *look) for look in rng.sample(looks, 2)]
        yield Scene(groups[0], rng.choice(relations), groups[1])


def draw(scene: Scene, size: int, rng: random.Random) -> Any:
    """The scene as an image of Pillow's, `size` x `size` pixels; shapes differ a little in place and size.

    Raises OptionError for a size at which nothing can be recognised.
    """
    if size < SMALLEST:
        raise OptionError(f"images of {size} pixels are too small for shapes: use {SMALLEST} or more")
    require_pillow()
    from PIL import Image, ImageDraw

    grey = rng.randint(225, 255)
    image = Image.new("RGB", (size, size), (grey, grey, grey))
    pencil = ImageDraw.Draw(image)
    for side, group in enumerate((scene.first, scene.second)):
        across = (1 + 2 * side) * size / 4
        for place in range(group.count):
            along = (place + 0.5) * size / 3 + (3 - group.count) * size / 6
            centre = (across, along) if scene.relation == "left of" else (along, across)
            radius = rng.uniform(0.09, 0.13) * size
            moved = [middle + rng.uniform(-0.03, 0.03) * size for middle in centre]
            _draw_shape(pencil, group, (moved[0], moved[1]), radius, rng)
    return image


def _draw_shape(
    pencil: Any, group: Group, centre: tuple[float, float], radius: float, rng: random.Random
) -> None:
    x, y = centre
    colour = tuple(max(0, min(255, value + rng.randint(-20, 20))) for value in COLOURS[group.colour])
    box = (x - radius, y - radius, x + radius, y + radius)
    if group.kind == "circle":
        pencil.ellipse(box, fill=colour)
    elif group.kind == "square":
        pencil.rectangle(box, fill=colour)
    else:
        pencil.polygon([(x, box[1]), (box[0], box[3]), (box[2], box[3])], fill=colour)
