"""Draw the data flow of the whole network as book/images/data-flow.svg, for chapter 4.

    python tools/draw_data_flow.py

Time goes downwards, and each scale is a column. The background is opaque white for dark pages, and
the text is large for phones. Each box links to the section of the chapter that explains it.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

PICTURE = Path(__file__).resolve().parent.parent / "book" / "images" / "data-flow.svg"

WIDTH, HEIGHT = 720, 1256
QUARTER, BETWEEN_1, HALF, BETWEEN_2, FULL = 85, 222, 360, 498, 635  # middles of the columns
PLUS = 15  # radius of a plus sign
INK = "#222222"
DOWN_COLOUR, UP_COLOUR = "#0072B2", "#B84A00"  # coarse to fine, fine to coarse
FILLS = {
    "image": "#FFFFFF",
    "unet": "#DCEBF7",
    "inr": "#DDF3EA",
    "bfpu": "#FBE3D3",
    "output": "#F3F3F3",
}
TITLE = "The data flow of NeRD-Rain"
DESCRIPTION = (
    "Three columns, from left to right quarter, half and full size; time runs downwards. "
    "The rainy image is halved twice. Quarter encodes; its INR's image is added to the half-size "
    "image, which half encodes; its INR's image is added to the full-size image. Full runs UNet 1, "
    "UNet 2 and the encoder of UNet 3. BFPU 1, from full's first and second latent, is added to "
    "half's first latent; half decodes and encodes again; BFPU 2, from full's second and third "
    "latent, is added to half's second latent. BFPU 3, from half's two latents, is added to "
    "quarter's latent. Then quarter, half and full decode, each adding its features to the next. "
    "A convolution plus the rainy image makes each scale's output; the full one is the result."
)


def text(x: float, y: float, words: str, size: int = 22, weight: str = "normal") -> str:
    """Return a line of text, centred on a point."""
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" '
        f'text-anchor="middle" dominant-baseline="central">{words}</text>'
    )


def box(x: float, y: float, words: str, kind: str, target: str, wide: int = 146) -> str:
    """Return a labelled box, 46 high or 68 with two lines, with a link to a section."""
    lines = words.split("\n")
    high = 46 if len(lines) == 1 else 68
    dash = ' stroke-dasharray="6 4"' if kind == "output" else ""
    parts = [
        f'<a href="#{target}" aria-label="{" ".join(lines)}, link to its section">',
        f'<rect x="{x - wide / 2}" y="{y - high / 2}" width="{wide}" height="{high}" rx="9" '
        f'fill="{FILLS[kind]}" stroke="{INK}" stroke-width="2"{dash}/>',
    ]
    first = y - 13 * (len(lines) - 1)
    parts += [text(x, first + 26 * k, line) for k, line in enumerate(lines)]
    return "".join([*parts, "</a>"])


def arrow(*points: tuple[float, float], colour: str = INK) -> str:
    """Return a line through points, with an arrowhead at its end."""
    path = " ".join(f"{x},{y}" for x, y in points)
    name = {INK: "ink", DOWN_COLOUR: "down", UP_COLOUR: "up"}[colour]
    return (
        f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.6" '
        f'marker-end="url(#{name})"/>'
    )


def plus(x: float, y: float) -> str:
    """Return a plus sign in a circle."""
    return (
        f'<circle cx="{x}" cy="{y}" r="{PLUS}" fill="#FFFFFF" stroke="{INK}" stroke-width="2"/>'
        f'<path d="M{x - 8} {y}H{x + 8}M{x} {y - 8}V{y + 8}" stroke="{INK}" stroke-width="2.4"/>'
    )


def chain(x: float, *stops: tuple[float, float]) -> list[str]:
    """Return arrows down a column; a stop is the middle and half the height of an element."""
    return [arrow((x, a + high), (x, b - low - 2)) for (a, high), (b, low) in pairwise(stops)]


def head(name: str, colour: str) -> str:
    """Return the definition of an arrowhead."""
    return (
        f'<marker id="{name}" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="5" '
        f'markerHeight="5" orient="auto"><path d="M0 0L10 5L0 10z" fill="{colour}"/></marker>'
    )


def arrows() -> list[str]:
    """Return all arrows."""
    b, s = 23.0, float(PLUS)  # half heights of a box and of a plus sign
    down, up = {"colour": DOWN_COLOUR}, {"colour": UP_COLOUR}
    left, right = -48, 48  # sides of a narrow box
    return [
        arrow((FULL - 73, 112), (HALF + 75, 112)),
        arrow((HALF - 73, 112), (QUARTER + 75, 112)),
        *chain(QUARTER, (112, b), (200, b), (880, s), (960, b), (1112, 34), (1204, b)),
        *chain(HALF, (112, b), (260, s), (340, b), (590, s), (660, b), (740, b), (820, s)),
        *chain(HALF, (820, s), (890, b), (960, s), (1112, 34), (1204, b)),
        *chain(FULL, (112, b), (400, s), (480, b), (560, b), (640, b), (730, b), (890, b)),
        *chain(FULL, (890, b), (960, b), (1030, s), (1112, 34), (1204, b)),
        # coarse to fine: the INRs' images, and the decoders' features
        arrow((QUARTER + 73, 200), (BETWEEN_1, 200), (BETWEEN_1, 235), **down),
        arrow((BETWEEN_1 + right, 260), (HALF - s - 2, 260), **down),
        arrow((HALF + 73, 340), (BETWEEN_2, 340), (BETWEEN_2, 375), **down),
        arrow((BETWEEN_2 + right, 400), (FULL - s - 2, 400), **down),
        arrow((QUARTER + 73, 960), (HALF - s - 2, 960), **down),
        arrow((HALF, 1030), (FULL - s - 2, 1030), **down),
        # fine to coarse: two latents to a feedback unit, and its message to a latent
        arrow((FULL - 73, 480), (520, 480), (520, 565), **up),
        arrow((FULL - 73, 640), (520, 640), (520, 615), **up),
        arrow((520, 640), (520, 795), **up),
        arrow((FULL - 73, 890), (520, 890), (520, 845), **up),
        arrow((BETWEEN_2 + left, 590), (HALF + s + 2, 590), **up),
        arrow((BETWEEN_2 + left, 820), (HALF + s + 2, 820), **up),
        arrow((HALF - 73, 340), (202, 340), (202, 855), **up),
        arrow((HALF - 73, 740), (242, 740), (242, 855), **up),
        arrow((BETWEEN_1 + left, 880), (QUARTER + s + 2, 880), **up),
    ]


def boxes() -> list[str]:
    """Return all boxes."""
    unets = [
        (QUARTER, 200, "encode 1"),
        (QUARTER, 960, "decode 1"),
        (HALF, 340, "encode 1"),
        (HALF, 660, "decode 1"),
        (HALF, 740, "encode 2"),
        (HALF, 890, "decode 2"),
        (FULL, 480, "encode 1"),
        (FULL, 560, "decode 1"),
        (FULL, 640, "encode 2"),
        (FULL, 730, "decode 2"),
        (FULL, 890, "encode 3"),
        (FULL, 960, "decode 3"),
    ]
    images = ((QUARTER, "rainy ¼", "quarter"), (HALF, "rainy ½", "half"), (FULL, "rainy", "full"))
    return [
        *(box(x, 112, rainy, "image", "flow-pyramid") for x, rainy, _ in images),
        *(box(x, y, words, "unet", "flow-unets") for x, y, words in unets),
        *(
            box(x, y, f"INR {k}", "inr", "flow-inr", 96)
            for x, y, k in ((BETWEEN_1, 260, 1), (BETWEEN_2, 400, 2))
        ),
        *(
            box(x, y, f"BFPU {k}", "bfpu", "flow-bfpu", 96)
            for x, y, k in ((BETWEEN_2, 590, 1), (BETWEEN_2, 820, 2), (BETWEEN_1, 880, 3))
        ),
        *(box(x, 1112, f"conv\n+ {rainy}", "output", "flow-decode") for x, rainy, _ in images),
        *(box(x, 1204, name, "image", "flow-decode") for x, _, name in images),
    ]


def draw() -> str:
    """Return the whole picture as SVG."""
    sums = [(HALF, 260), (FULL, 400), (HALF, 590), (HALF, 820), (QUARTER, 880)]
    sums += [(HALF, 960), (FULL, 1030)]
    columns = (QUARTER, HALF, FULL)
    titles = [
        text(x, 40, f"{name}, {count}", 22, "bold")
        for x, name, count in zip(
            columns, ("S₁", "S₂", "S₃"), ("1 UNet", "2 UNets", "3 UNets"), strict=True
        )
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'style="display:block;width:100%;max-width:620px;height:auto;background:#FFFFFF" '
            'font-family="Helvetica,Arial,sans-serif" aria-labelledby="flow-title flow-desc">',
            f'<title id="flow-title">{TITLE}</title>',
            f'<desc id="flow-desc">{DESCRIPTION}</desc>',
            "<defs>",
            head("ink", INK),
            head("down", DOWN_COLOUR),
            head("up", UP_COLOUR),
            "</defs>",
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#FFFFFF"/>',
            *(
                f'<rect x="{x - 83}" y="14" width="166" height="{HEIGHT - 28}" rx="12" '
                'fill="#F7F7F7"/>'
                for x in (QUARTER + 3, HALF, FULL - 1)
            ),
            f'<g fill="{INK}">',
            *titles,
            *arrows(),
            *(plus(x, y) for x, y in sums),
            *boxes(),
            "</g>",
            "</svg>",
            "",
        ]
    )


if __name__ == "__main__":
    PICTURE.write_text(draw(), encoding="utf-8", newline="\n")
