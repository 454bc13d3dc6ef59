"""A small chart: panels side by side, lines over logarithmic x, each drawn with its values, as SVG by hand."""

from __future__ import annotations

from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 330, 250  # of one panel, px
LEFT, RIGHT, TOP, BOTTOM = 46, 14, 34, 40
COLOURS = ("#1b6ca8", "#d1495b", "#3d8b3d", "#7a5195")
GRID, INK, PAPER = "#d8dde3", "#27303a", "#ffffff"
STEPS = (1, 2, 5)
STYLE = f"""
text {{ font: 12px system-ui, sans-serif; fill: {INK} }}
.title {{ font-weight: 600; font-size: 13px }}
.tick {{ font-size: 11px; fill: #5c6773 }}
path {{ fill: none; stroke-width: 2 }}
"""


class Panel(NamedTuple):
    """`lines`: name -> values, one at each place of `x` (in words); both axes begin at 0, x is evenly spaced."""

    title: str
    x: list[str]
    lines: dict[str, list[float]]


def chart(panels: list[Panel], x_label: str, y_label: str) -> str:
    """The whole picture; the key is below the panels."""
    names = list(dict.fromkeys(name for panel in panels for name in panel.lines))
    colour = dict(zip(names, COLOURS, strict=False))
    width, height = WIDTH * len(panels), HEIGHT + 30
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}">',
        f"<style>{STYLE}</style>",
        f'<rect width="{width}" height="{height}" fill="{PAPER}"/>',
    ]
    for place, panel in enumerate(panels):
        parts += [
            f'<g transform="translate({place * WIDTH},0)">',
            *drawn(panel, colour, x_label, y_label),
            "</g>",
        ]
    at = LEFT
    for name in names:
        parts.append(f'<path d="M{at} {HEIGHT + 14}h22" stroke="{colour[name]}"/>')
        parts.append(text(at + 28, HEIGHT + 18, name))
        at += 60 + 7 * len(name)
    return "\n".join([*parts, "</svg>", ""])


def drawn(panel: Panel, colour: dict[str, str], x_label: str, y_label: str) -> list[str]:
    """One panel in its own coordinates."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    step = nice(max(max(values) for values in panel.lines.values()) / 4)
    top = step * 5

    def x(place: int) -> float:
        return LEFT + 14 + place * (right - LEFT - 28) / max(len(panel.x) - 1, 1)

    def y(value: float) -> float:
        return bottom - value / top * (bottom - TOP)

    parts = [text(LEFT, 18, panel.title, "title"), text(6, TOP - 2, y_label, "tick")]
    for number in range(6):
        value = number * step
        parts.append(f'<path d="M{LEFT} {y(value):.1f}H{right}" stroke="{GRID}" style="stroke-width:1"/>')
        parts.append(text(LEFT - 6, y(value) + 4, f"{value:g}", "tick", "end"))
    for place, words in enumerate(panel.x):
        parts.append(text(x(place), bottom + 16, words, "tick", "middle"))
    parts.append(text((LEFT + right) / 2, bottom + 32, x_label, "tick", "middle"))
    for name, values in panel.lines.items():
        points = [(x(place), y(value)) for place, value in enumerate(values)]
        way = "L".join(f"{px:.1f} {py:.1f}" for px, py in points)
        parts.append(f'<path d="M{way}" stroke="{colour[name]}"/>')
        for (px, py), value in zip(points, values, strict=True):
            said = escape(f"{name}: {value:.1f}")
            parts.append(
                f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3.5" fill="{colour[name]}"><title>{said}</title></circle>'
            )
    return parts


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    """One line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>'


def nice(value: float) -> float:
    """The next of 1, 2 or 5 times a power of ten that is not less."""
    power = 1.0
    while power * 10 <= value:
        power *= 10
    while power > value:
        power /= 10
    return next((power * step for step in STEPS if power * step >= value), power * 10)
