"""The drawings of docs/conventions.md.

    python docs/site/drawings.py

Writes docs/images/convention-*.svg, which tests/unit/test_docs.py holds against this file. What is
drawn of a field is computed from one: a turn about a point that fades with the distance from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import cos, exp, hypot, pi, sin
from pathlib import Path

IMAGES = Path(__file__).parents[1] / "images"
INK, SOFT, LINE, FIXED, MOVING, WAY = (
    "#1a2129",
    "#5b6670",
    "#b9c2cb",
    "#0b5ca8",
    "#a3501a",
    "#a3195b",
)
SIZE, GAP, TOP = 200, 90, 46  # of a panel, between two of them, above them (px)
CENTRE, REACH, TURN = (0.5, 0.5), 0.3, 1.0  # of the field, in panels and radians
POINT = (0.25, 0.62)
Point = tuple[float, float]


def moved(x: float, y: float) -> Point:
    """``T(x)``: a turn about the centre that fades."""
    dx, dy = x - CENTRE[0], y - CENTRE[1]
    angle = TURN * exp(-(hypot(dx, dy) ** 2) / (2 * REACH**2))
    turned = dx * cos(angle) - dy * sin(angle), dx * sin(angle) + dy * cos(angle)
    return CENTRE[0] + turned[0], CENTRE[1] + turned[1]


def polyline(points: Iterable[Point], colour: str, width: float = 1, more: str = "") -> str:
    """A line through points, px."""
    told = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return (
        f'<polyline points="{told}" fill="none" stroke="{colour}" stroke-width="{width}" {more}/>'
    )


def text(x: float, y: float, words: str, colour: str = INK, more: str = "") -> str:
    """Words about a place, px."""
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" fill="{colour}" text-anchor="middle" {more}>{words}</text>'
    )


def dot(x: float, y: float, colour: str) -> str:
    """A marked place, px."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>'


def arrow(start: Point, end: Point, colour: str) -> str:
    """A straight arrow, px."""
    return polyline([start, end], colour, 2.5, f'marker-end="url(#head-{colour[1:]})"')


def drawing(width: int, height: int, parts: Iterable[str]) -> str:
    """A whole file."""
    heads = "".join(
        f'<marker id="head-{c[1:]}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="6" '
        f'markerHeight="6" orient="auto"><path d="M0 0L10 5L0 10z" fill="{c}"/></marker>'
        for c in (FIXED, MOVING, WAY, SOFT)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="system-ui, sans-serif" font-size="14">\n'
        f"<defs>{heads}</defs>\n"
        f'<rect width="{width}" height="{height}" rx="6" fill="#ffffff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )


def mesh(left: float, through: bool) -> list[str]:
    """Lines of a grid in a panel, as they are or where the field takes them."""
    steps = [i / 40 for i in range(41)]
    found = []
    for line in [i / 8 for i in range(9)]:
        for ways in ([(line, s) for s in steps], [(s, line) for s in steps]):
            points = [moved(*p) for p in ways] if through else ways
            found.append(polyline([placed(left, *p) for p in points], LINE))
    return found


def placed(left: float, x: float, y: float) -> Point:
    """Pixels of a place in a panel."""
    return left + SIZE * x, TOP + SIZE * y


def field() -> str:
    """Which way a field points."""
    here, there = 40, 40 + SIZE + GAP
    x, y = placed(here, *POINT)
    goal, start = placed(there, *moved(*POINT)), placed(there, *POINT)
    return drawing(
        there + SIZE + 40,
        TOP + SIZE + 70,
        [
            *mesh(here, False),
            *mesh(there, True),
            text(here + SIZE / 2, 28, "fixed image", FIXED),
            text(there + SIZE / 2, 28, "moving image", MOVING),
            dot(x, y, FIXED),
            text(x - 14, y + 5, "x", FIXED),
            arrow(start, goal, WAY),
            f'<circle cx="{start[0]:.1f}" cy="{start[1]:.1f}" r="5" fill="#fff" stroke="{FIXED}"/>',
            dot(*goal, MOVING),
            text(goal[0] - 4, goal[1] - 12, "T(x) = x + u(x)", MOVING),
            text(start[0] + 6, start[1] + 22, "x", FIXED),
            text((start[0] + goal[0]) / 2 - 22, (start[1] + goal[1]) / 2 + 8, "u(x)", WAY),
            text(
                (there + SIZE + 40) / 2,
                TOP + SIZE + 34,
                "For each point x of the fixed image the field says where",
                SOFT,
            ),
            text(
                (there + SIZE + 40) / 2,
                TOP + SIZE + 54,
                "the same anatomy lies in the moving one. The grid goes along.",
                SOFT,
            ),
        ],
    )


def ways() -> str:
    """Why images and points go opposite ways."""
    here, there, y = 40, 40 + SIZE + 2 * GAP, TOP
    boxes = [
        f'<rect x="{left}" y="{y}" width="{SIZE}" height="{SIZE}" rx="4" fill="none" '
        f'stroke="{colour}" stroke-width="1.5"/>'
        for left, colour in ((here, FIXED), (there, MOVING))
    ]
    shape = [(0.5 + 0.3 * cos(t / 30 * pi), 0.5 + 0.18 * sin(t / 30 * pi)) for t in range(61)]
    first, last = here + SIZE + 12, there - 12
    return drawing(
        there + SIZE + 40,
        TOP + SIZE + 24,
        [
            *boxes,
            polyline([placed(here, *p) for p in shape], FIXED, 2),
            polyline([placed(there, *moved(*p)) for p in shape], MOVING, 2),
            text(here + SIZE / 2, 28, "fixed image", FIXED),
            text(there + SIZE / 2, 28, "moving image", MOVING),
            arrow((last, y + 45), (first, y + 45), MOVING),
            text((first + last) / 2, y + 26, "image, labels", MOVING),
            text((first + last) / 2, y + 66, "fetched at T(x)", SOFT, 'font-size="12"'),
            arrow((first, y + 115), (last, y + 115), FIXED),
            text((first + last) / 2, y + 98, "points", FIXED),
            text((first + last) / 2, y + 136, "sent by T", SOFT, 'font-size="12"'),
            arrow((last, y + 178), (first, y + 178), SOFT),
            text((first + last) / 2, y + 163, "points", SOFT),
            text((first + last) / 2, y + 198, "need the inverse of T", SOFT, 'font-size="12"'),
        ],
    )


def axes() -> str:
    """LPS and RAS, looked at from the feet, as in a radiologist's picture."""
    parts = []
    for left, name, x, y in (
        (40, "LPS: warpline, ITK", 1, 1),
        (40 + SIZE + GAP, "RAS: NIfTI's header", -1, -1),
    ):
        cx, cy = placed(left, 0.5, 0.5)
        parts += [
            f'<ellipse cx="{cx}" cy="{cy}" rx="{SIZE * 0.42}" ry="{SIZE * 0.28}" fill="#f1f4f7" '
            f'stroke="{LINE}"/>',
            f'<circle cx="{cx}" cy="{cy + SIZE * 0.17}" r="12" fill="#fff" stroke="{LINE}"/>',
            text(cx, 28, name),
            text(cx, cy - SIZE * 0.36, "front", SOFT),
            text(cx, cy + SIZE * 0.42, "back", SOFT),
            text(left - 8, cy + 5, "right", SOFT),
            text(left + SIZE + 8, cy + 5, "left", SOFT),
            arrow((cx, cy), (cx + x * 62, cy), FIXED),
            text(cx + x * 50, cy - 9, "x", FIXED),
            arrow((cx, cy), (cx, cy + y * 46), MOVING),
            text(cx + 12, cy + y * 34 + 5, "y", MOVING),
            dot(cx, cy, WAY),
            text(cx - x * 14, cy - y * 8 + 4, "z", WAY),
        ]
    width = 2 * SIZE + GAP + 80
    below = "z points to the head, away from you: you look from the feet"
    return drawing(width, TOP + SIZE + 44, [*parts, text(width / 2, TOP + SIZE + 26, below, SOFT)])


def drawings() -> dict[Path, str]:
    """Path of each drawing to its contents."""
    made = {"field": field, "ways": ways, "axes": axes}
    return {IMAGES / f"convention-{name}.svg": draw() for name, draw in made.items()}


if __name__ == "__main__":
    for path, content in drawings().items():
        path.write_text(content, encoding="utf-8")
        print(path)
