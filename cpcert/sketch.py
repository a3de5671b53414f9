"""Small pictures for notebooks: curves and dots as one svg element, written by hand, so that no plotting library is needed."""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cpcert.printing import about

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 460.0, 150.0, 80.0, 16.0, 22.0, 30.0
UPPER, LOWER, NEUTRAL, FRAME = "#b5482a", "#1f5a94", "#3d3d3d", "#aaaaaa"
# Positive values that span more than this factor get a logarithmic axis.
WIDE = 20.0


@dataclass(frozen=True)
class Series:
    """Points (x, y), None or not finite where there is none. kind: steps, line or dots; dash: as svg has it."""

    label: str
    x: Sequence[float]
    y: Sequence[float | None]
    color: str
    kind: str = "line"
    dash: str = ""

    def points(self) -> list[tuple[float, float]]:
        """Those that there are."""
        return [(x, y) for x, y in zip(self.x, self.y, strict=True) if y is not None and math.isfinite(y)]


def bounds(x: Sequence[float], upper: Sequence[float | None], lower: Sequence[float | None], along: str) -> str:
    """Proven upper and lower bounds along something, in steps."""
    return drawn(
        [Series("upper", x, upper, UPPER, "steps"), Series("lower", x, lower, LOWER, "steps", "5 3")], along, "loss"
    )


def drawn(series: Sequence[Series], x_name: str, y_name: str) -> str:
    """An svg element with the series and their names; nothing if there is no point."""
    points = [point for one in series for point in one.points()]
    if not points:
        return ""
    across, left, right = _axis([x for x, _ in points], LEFT, WIDTH - RIGHT)
    up, low, high = _axis([y for _, y in points], HEIGHT - BOTTOM, TOP)
    parts = [
        f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}" fill="none" '
        f'stroke="{FRAME}"/>',
        _text(LEFT - 6, TOP + 8, about(high, 4), "end"),
        _text(LEFT - 6, HEIGHT - BOTTOM, about(low, 4), "end"),
        _text(LEFT, HEIGHT - BOTTOM + 14, about(left, 3), "start"),
        _text(WIDTH - RIGHT, HEIGHT - BOTTOM + 14, about(right, 3), "end"),
        _text(0.5 * (LEFT + WIDTH - RIGHT), HEIGHT - 4, x_name, "middle"),
        _text(4, TOP - 8, y_name, "start"),
    ]
    for k, one in enumerate(series):
        places = [(across(x), up(y)) for x, y in one.points()]
        parts.append(_text(LEFT + 110 * k, TOP - 8, one.label, "start", one.color))
        if one.kind == "dots" or len(places) == 1:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{one.color}"/>' for x, y in places]
        elif places:
            dash = f' stroke-dasharray="{one.dash}"' if one.dash else ""
            path = " ".join(_path(places, one.kind == "steps"))
            parts.append(f'<path d="{path}" fill="none" stroke="{one.color}" stroke-width="1.6"{dash}/>')
    inside = "".join(parts)
    return f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" width="{WIDTH:g}" height="{HEIGHT:g}" role="img">{inside}</svg>'


def _axis(values: Sequence[float], start: float, end: float) -> tuple[Callable[[float], float], float, float]:
    """Where a value lies between start and end, and the values there."""
    low, high = min(values), max(values)
    if low > 0.0 and high > WIDE * low:
        span = math.log(high / low)
        return (lambda v: start + (end - start) * math.log(v / low) / span), low, high
    middle, half = 0.5 * low + 0.5 * high, 0.5 * high - 0.5 * low
    if half == 0.0:
        return (lambda v: 0.5 * (start + end)), low, high
    return (lambda v: 0.5 * (start + end) + 0.5 * (end - start) * (v - middle) / half), low, high


def _path(places: Sequence[tuple[float, float]], steps: bool) -> list[str]:
    x, y = places[0]
    found = [f"M{x:.1f} {y:.1f}"]
    for x, y in places[1:]:
        found.append(f"H{x:.1f} V{y:.1f}" if steps else f"L{x:.1f} {y:.1f}")
    return found


def _text(x: float, y: float, text: str, anchor: str, color: str = NEUTRAL) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{color}" font-size="11" '
        f'font-family="sans-serif">{html.escape(text)}</text>'
    )
