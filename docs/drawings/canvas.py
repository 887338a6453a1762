"""Just enough SVG for the drawings of this folder: boxes, arrows and words. y grows downwards, in pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

Point = tuple[float, float]

FORWARD, BACKWARD, MEMORY, STATE, PLAIN, EMPTY = (
    "#d6e6f7",
    "#fbe0c8",
    "#d8eed5",
    "#e6def3",
    "#eeeeee",
    "#ffffff",
)
INK, FAINT = "#333333", "#777777"
HEADER = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
    'height="{height:g}" font-family="Helvetica, Arial, DejaVu Sans, sans-serif">\n'
    '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0 1 L10 5 L0 9 z" fill="{ink}"/></marker></defs>\n'
    '<rect width="100%" height="100%" fill="#ffffff"/>\n'
)


@dataclass
class Canvas:
    """A drawing of `width` x `height` pixels; every method adds to it."""

    width: float
    height: float
    parts: list[str] = field(default_factory=list)

    def box(self, centre: Point, label: str, fill: str, width: float = 54, height: float = 34) -> None:
        """A labelled box around a point."""
        x, y = centre
        self.parts.append(
            f'<rect x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}" '
            f'rx="4" fill="{fill}" stroke="{INK}"/>'
        )
        self.text((x, y + 4.5), label)

    def double_box(self, centre: Point, width: float = 54) -> None:
        """A layer that reads in both directions: forward above, backward below."""
        x, y = centre
        self.box((x, y - 11), "→", FORWARD, width, 22)
        self.box((x, y + 11), "←", BACKWARD, width, 22)

    def node(self, centre: Point, label: str) -> None:
        """A small circle with a sign in it, for sums and the like."""
        x, y = centre
        self.parts.append(f'<circle cx="{x:g}" cy="{y:g}" r="9" fill="{EMPTY}" stroke="{INK}"/>')
        self.text((x, y + 4.5), label)

    def arrow(self, points: Sequence[Point], dashed: bool = False) -> None:
        """A line through the points with a tip at its end; dashed where dropout acts."""
        self._path("M" + " L".join(f"{x:g} {y:g}" for x, y in points), dashed)

    def arc(self, start: Point, control: Point, end: Point) -> None:
        """A curved arrow from start to end, drawn towards the control point."""
        (x0, y0), (x1, y1), (x2, y2) = start, control, end
        self._path(f"M{x0:g} {y0:g} Q{x1:g} {y1:g} {x2:g} {y2:g}", False)

    def text(self, place: Point, label: str, anchor: str = "middle", faint: bool = False) -> None:
        """A line of text; its anchor (start, middle, end) and its baseline are at `place`."""
        x, y = place
        size, colour = (12, FAINT) if faint else (13, INK)
        self.parts.append(
            f'<text x="{x:g}" y="{y:g}" font-size="{size}" fill="{colour}" text-anchor="{anchor}">'
            f"{escape(label)}</text>"
        )

    def frame(self, corner: Point, opposite: Point) -> None:
        """A thin frame around a group, from its upper left to its lower right corner."""
        (x0, y0), (x1, y1) = corner, opposite
        self.parts.append(
            f'<rect x="{x0:g}" y="{y0:g}" width="{x1 - x0:g}" height="{y1 - y0:g}" rx="8" fill="none" '
            f'stroke="{FAINT}" stroke-dasharray="2 3"/>'
        )

    def save(self, path: Path) -> None:
        """Write the file."""
        header = HEADER.format(width=self.width, height=self.height, ink=INK)
        path.write_text(header + "\n".join(self.parts) + "\n</svg>\n", encoding="utf-8", newline="\n")

    def _path(self, data: str, dashed: bool) -> None:
        style = ' stroke-dasharray="5 3"' if dashed else ""
        self.parts.append(
            f'<path d="{data}" fill="none" stroke="{INK}" stroke-width="1.3"{style} marker-end="url(#tip)"/>'
        )
