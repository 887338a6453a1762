"""Generated corpora for demonstrations: dates in English -> ISO form, and captions of drawn shapes.

`a quarter past four in the afternoon on 3 march 2019` becomes `2019-03-03 16:15`. Every style is
unambiguous: months are names, twelve o'clock is `noon`, and midnight, which could belong to either day,
appears in digits only.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from onmt.errors import OptionError

_BLANK = "_"  # a blank of the text, as `spell` separates characters by blanks

_FIRST_MOMENT = datetime(1950, 1, 1)
_LAST_MOMENT = datetime(2050, 1, 1)

_MONTHS = ("january february march april may june july august september october november december").split()
_WEEKDAYS = "monday tuesday wednesday thursday friday saturday sunday".split()
_HOURS = "twelve one two three four five six seven eight nine ten eleven".split()
_MINUTES = {5: "five", 10: "ten", 15: "a quarter", 20: "twenty", 25: "twenty-five", 30: "half"}
_ORDINALS = (
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth "
    "fifteenth sixteenth seventeenth eighteenth nineteenth twentieth twenty-first twenty-second twenty-third "
    "twenty-fourth twenty-fifth twenty-sixth twenty-seventh twenty-eighth twenty-ninth thirtieth thirty-first"
).split()

_Style = Callable[[datetime], str | None]  # None: the style cannot express this moment


@dataclass(frozen=True)
class Pair:
    """One line of the corpus, before `spell`."""

    source: str
    target: str


def spell(text: str) -> str:
    """Separate the characters of a text by blanks; its own blanks become `_`: `4 pm` -> `4 _ p m`."""
    return " ".join(text.replace(" ", _BLANK))


def join(characters: str) -> str:
    """Join blank-separated characters, the inverse of `spell`: `4 _ p m` -> `4 pm`."""
    return "".join(characters.split(" ")).replace(_BLANK, " ")


def _to_iso(moment: datetime) -> str:
    """Format the target, the same for every style: `2019-03-03 16:15`."""
    return moment.strftime("%Y-%m-%d %H:%M")


def _month(moment: datetime) -> str:
    return _MONTHS[moment.month - 1]


def _numbered_day(day: int) -> str:
    if 11 <= day <= 13:
        return f"{day}th"
    return f"{day}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(day % 10, 'th') }"


def _day_month_year(moment: datetime) -> str:
    return f"{moment.day} {_month(moment)} {moment.year}"


def _month_day_year(moment: datetime) -> str:
    return f"{_month(moment)} {moment.day}, {moment.year}"


def _numbered_day_of_month(moment: datetime) -> str:
    return f"{_numbered_day(moment.day)} of {_month(moment)} {moment.year}"


def _named_day_of_month(moment: datetime) -> str:
    return f"the {_ORDINALS[moment.day - 1]} of {_month(moment)} {moment.year}"


def _dashed(moment: datetime) -> str:
    return f"{moment.day}-{_month(moment)[:3]}-{moment.year}"


def _weekday_first(moment: datetime) -> str:
    return f"{_WEEKDAYS[moment.weekday()][:3]} {_month(moment)[:3]} {moment.day} {moment.year}"


_DATE_STYLES: tuple[Callable[[datetime], str], ...] = (
    _day_month_year,
    _month_day_year,
    _numbered_day_of_month,
    _named_day_of_month,
    _dashed,
    _weekday_first,
)


def _part_of_day(hour: int) -> str:
    if hour < 12:
        return "in the morning"
    return "in the afternoon" if hour < 18 else "in the evening"


def _digits(moment: datetime) -> str:
    return f"{moment.hour:02}:{moment.minute:02}"


def _half_day_digits(moment: datetime) -> str | None:
    if moment.hour % 12 == 0 and moment.minute == 0:
        return None
    return f"{(moment.hour - 1) % 12 + 1}:{moment.minute:02} {'am' if moment.hour < 12 else 'pm'}"


def _full_hour(moment: datetime) -> str | None:
    if moment.minute != 0 or moment.hour == 0:
        return None
    if moment.hour == 12:
        return "noon"
    return f"{_HOURS[moment.hour % 12]} {_part_of_day(moment.hour)}"


def _short_full_hour(moment: datetime) -> str | None:
    if moment.minute != 0 or moment.hour % 12 == 0:
        return None
    return f"{moment.hour % 12} {'am' if moment.hour < 12 else 'pm'}"


def _past(moment: datetime) -> str | None:
    if moment.minute not in _MINUTES or moment.hour == 0:
        return None
    return f"{_MINUTES[moment.minute]} past {_HOURS[moment.hour % 12]} {_part_of_day(moment.hour)}"


def _to(moment: datetime) -> str | None:
    missing = 60 - moment.minute
    if missing not in _MINUTES or missing == 30 or moment.hour in (0, 23):
        return None
    return f"{_MINUTES[missing]} to {_HOURS[(moment.hour + 1) % 12]} {_part_of_day(moment.hour)}"


_IN_DIGITS: tuple[_Style, ...] = (_digits, _half_day_digits, _short_full_hour)
_IN_WORDS: tuple[_Style, ...] = (_full_hour, _past, _to)


def _describe(moment: datetime, rng: random.Random) -> str:
    """Express the moment in randomly drawn styles; if words can express the time, 60 % of cases use words."""
    in_digits = [text for style in _IN_DIGITS if (text := style(moment)) is not None]
    in_words = [text for style in _IN_WORDS if (text := style(moment)) is not None]
    date = rng.choice(_DATE_STYLES)(moment)
    time = rng.choice(in_words if in_words and rng.random() < 0.6 else in_digits)
    return rng.choice((f"{date}, {time}", f"{date} at {time}", f"{time} on {date}"))


def _draw_moment(rng: random.Random) -> datetime:
    """Draw a minute of the period; favour full hours and multiples of five, which words can express."""
    days = (_LAST_MOMENT - _FIRST_MOMENT).days
    step = rng.choice((1, 5, 5, 15, 60))
    return _FIRST_MOMENT + timedelta(
        days=rng.randrange(days), hours=rng.randrange(24), minutes=step * rng.randrange(60 // step)
    )


def generate(seed: int) -> Iterator[Pair]:
    """Yield pairs without end, determined by the seed. No moment occurs twice, so any split is disjoint."""
    rng = random.Random(seed)
    seen = set()
    while True:
        moment = _draw_moment(rng)
        if moment not in seen:
            seen.add(moment)
            yield Pair(_describe(moment, rng), _to_iso(moment))


_COUNTS: Final = ("a", "two", "three")
_COLOURS: Final = {
    "red": (215, 35, 35),
    "green": (30, 150, 50),
    "blue": (40, 60, 215),
    "yellow": (225, 200, 20),
}
_KINDS: Final = ("circle", "square", "triangle")
SMALLEST: Final = 40  # pixels; in smaller images three shapes cannot be told apart

_Relation = Literal["left of", "above"]


@dataclass(frozen=True)
class _Group:
    """One to three shapes of the same colour and kind."""

    count: int
    colour: str
    kind: str

    def __str__(self) -> str:
        return f"{_COUNTS[self.count - 1]} {self.colour} {self.kind}{'s' if self.count > 1 else ''}"


@dataclass(frozen=True)
class Scene:
    """The content of an image; `first` is the left or the upper group."""

    first: _Group
    relation: _Relation
    second: _Group

    @property
    def caption(self) -> str:
        """The only correct caption."""
        return f"{self.first} {self.relation} {self.second}"


def scenes(seed: int) -> Iterator[Scene]:
    """Yield scenes without end, determined by the seed. The groups of a scene differ in colour or kind."""
    rng = random.Random(seed)
    looks = [(colour, kind) for colour in _COLOURS for kind in _KINDS]
    relations: tuple[_Relation, ...] = ("left of", "above")
    while True:
        groups = [_Group(rng.randint(1, len(_COUNTS)), *look) for look in rng.sample(looks, 2)]
        yield Scene(groups[0], rng.choice(relations), groups[1])


def draw(scene: Scene, size: int, rng: random.Random) -> Any:
    """Draw the scene as a Pillow image of `size` x `size` pixels; place, size and colour vary slightly.

    Raises OptionError for a size below `SMALLEST`, or if Pillow is not installed.
    """
    if size < SMALLEST:
        raise OptionError(f"images of {size} pixels are too small for shapes: use {SMALLEST} or more")
    from onmt.data.images import require_pillow  # imports numpy, which takes time

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
    pencil: Any, group: _Group, centre: tuple[float, float], radius: float, rng: random.Random
) -> None:
    x, y = centre
    colour = tuple(max(0, min(255, value + rng.randint(-20, 20))) for value in _COLOURS[group.colour])
    box = (x - radius, y - radius, x + radius, y + radius)
    if group.kind == "circle":
        pencil.ellipse(box, fill=colour)
    elif group.kind == "square":
        pencil.rectangle(box, fill=colour)
    else:
        pencil.polygon([(x, box[1]), (box[0], box[3]), (box[2], box[3])], fill=colour)
