"""The plot style of the book, and the figures that its chapters share.

Every figure has an opaque white background, so it is readable on light and dark pages. The colours
are those of Okabe and Ito (2008), which colour-blind readers can distinguish; each colour also has
its own dash pattern. The functions return a `matplotlib.figure.Figure` without a window manager. A
notebook shows it once, as the last value of a cell, and it need not be closed.

This module needs the extra ``book`` (``pip install "nerdrain[book]"``), so `import nerdrain` does
not import it.
"""

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from cycler import cycler
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle

from nerdrain.errors import NerdrainError

#: The palette of Okabe and Ito without yellow, which is too pale for lines on white.
COLOURS = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "sky": "#56B4E9",
    "orange": "#E69F00",
    "black": "#000000",
}
_DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
#: Colour map with even steps of lightness, for values from low to high.
SEQUENTIAL = "cividis"
#: Colour map from orange through white to purple, for values around 0.
DIVERGING = "PuOr"

STYLE: Any = {  # Any, because the type of the keys differs between versions of matplotlib
    "axes.edgecolor": "#444444",
    "axes.facecolor": "white",
    "axes.labelsize": 12,
    "axes.prop_cycle": cycler(color=COLOURS.values()) + cycler(linestyle=_DASHES),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 12,
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "figure.facecolor": "white",
    "figure.figsize": (8.0, 4.0),
    "font.size": 12,
    "image.cmap": SEQUENTIAL,
    "legend.fontsize": 11,
    "legend.frameon": False,
    "lines.linewidth": 2.0,
    "savefig.dpi": 100,
    "savefig.facecolor": "white",
    "savefig.transparent": False,
    "xtick.labelsize": 11,
    "ytick.labelsize": 11,
}


def use_style() -> None:
    """Make the book's style the default of matplotlib; call it once, in a notebook's first cell."""
    # A kernel shows figures only after its backend is set up. pyplot does this at its first figure,
    # but our figures do not use pyplot. Without this line the first figure would not be shown.
    plt.switch_backend(plt.get_backend())
    plt.rcParams.update(STYLE)


def as_rgb(image: Any) -> Float[np.ndarray, "h w 3"]:
    """Convert an image for `imshow`: (h, w, 3) float, clamped to [0, 1].

    The image is an array (h, w), (h, w, 1) or (h, w, 3), integers or float in [0, 1], or a torch
    tensor (3, h, w) or (1, h, w), also with a batch dimension of size 1. Other shapes are an error.
    """
    array = image
    if hasattr(image, "detach"):
        array = array.squeeze(0) if array.ndim == 4 else array
        array = array.movedim(0, -1) if array.ndim == 3 else array  # (H, W, C)
        array = array.detach().float().cpu().numpy()
    array = np.asarray(array)
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or array.size == 0:
        raise NerdrainError(
            f"an image must be an array (height, width, 3) or (height, width), or a tensor "
            f"(3, height, width), not {tuple(np.shape(image))}."
        )
    if np.issubdtype(array.dtype, np.integer):
        array = array / np.iinfo(array.dtype).max
    return np.broadcast_to(np.clip(array.astype(np.float32), 0, 1), (*array.shape[:2], 3))


def _make_axes(
    images: Sequence[np.ndarray], titles: Sequence[str] | None, ncols: int | None, width: float
) -> tuple[Figure, list[Axes]]:
    """Make a figure with axes without ticks, one for each image; its height fits the images."""
    count = len(images)
    if count == 0:
        raise NerdrainError("there is no image to show; give at least one.")
    if titles is not None and len(titles) != count:
        raise NerdrainError(
            f"the number of titles ({len(titles)}) must equal the number of images ({count})."
        )
    columns = min(count, ncols or 3)
    rows = [images[first : first + columns] for first in range(0, count, columns)]
    aspect = np.mean([max(image.shape[0] / image.shape[1] for image in row) for row in rows])
    lines = max(title.count("\n") + 1 for title in titles) if titles else 0
    height = len(rows) * (width / columns * float(aspect) + 0.22 * lines + 0.12)
    with plt.rc_context(STYLE):
        layout = ConstrainedLayoutEngine(w_pad=0.03, h_pad=0.03)
        figure = Figure(figsize=(width, height), layout=layout)
        axes = figure.subplots(len(rows), columns, squeeze=False).ravel()
        for axis in axes:
            axis.set_axis_off()
        for axis, title in zip(axes, titles or [], strict=False):
            axis.set_title(title)
    return figure, list(axes[:count])


def show_images(
    images: Sequence[Any],
    titles: Sequence[str] | None = None,
    *,
    ncols: int | None = None,
    width: float = 8.0,
) -> Figure:
    """Show images that `as_rgb` accepts, where 0 is black and 1 is white in all of them.

    There are `ncols` images per row, by default up to three. The figure is `width` inches of 100
    pixels wide.
    """
    pictures = [as_rgb(image) for image in images]
    figure, axes = _make_axes(pictures, titles, ncols, width)
    for axis, picture in zip(axes, pictures, strict=True):
        axis.imshow(picture)
    return figure


def show_crops(
    images: Sequence[Any],
    titles: Sequence[str] | None = None,
    *,
    box: tuple[int, int, int, int],
    width: float = 8.0,
    colour: str = "orange",
) -> Figure:
    """Show images that `as_rgb` accepts in a row, and below each an enlarged detail.

    The detail is the box (top, left, height, width), in pixels. It must be inside every image, and
    its outline has a colour of `COLOURS`. The figure is `width` inches of 100 pixels wide.
    """
    pictures = [as_rgb(image) for image in images]
    top, left, high, wide = box
    for picture in pictures:
        h, w = picture.shape[:2]
        if min(top, left) < 0 or min(high, wide) < 1 or top + high > h or left + wide > w:
            raise NerdrainError(
                f"the box {box} is not inside an image of height {h} and width {w}; give (top, "
                "left, height, width) in pixels."
            )
    count = len(pictures)
    details = [picture[top : top + high, left : left + wide] for picture in pictures]
    all_titles = [*titles, *[""] * count] if titles is not None else None
    figure, axes = _make_axes([*pictures, *details], all_titles, count, width)
    edge = COLOURS[colour]
    for axis, picture in zip(axes[:count], pictures, strict=True):
        axis.imshow(picture)
        axis.add_patch(Rectangle((left - 0.5, top - 0.5), wide, high, fill=False, ec=edge, lw=2))
    for axis, detail in zip(axes[count:], details, strict=True):
        axis.imshow(detail, interpolation="nearest")
        axis.add_patch(Rectangle((-0.5, -0.5), wide, high, fill=False, ec=edge, lw=4))
    return figure


def show_maps(
    maps: Sequence[Float[np.ndarray, "h w"]],
    titles: Sequence[str] | None = None,
    *,
    signed: bool = False,
    label: str = "",
    limit: float | None = None,
    ncols: int | None = None,
    width: float = 8.0,
) -> Figure:
    """Show maps (rain layers, differences, spectra), arrays (h, w), on one colour scale.

    One colour bar has the quantity and unit in `label`. A signed scale has white at 0; otherwise it
    starts at the smallest value. The strongest colour is at `limit`, by default at the largest
    value (or absolute value). `ncols` and `width` are those of `show_images`.
    """
    planes = [np.asarray(plane, dtype=np.float64) for plane in maps]
    if any(plane.ndim != 2 or plane.size == 0 for plane in planes):
        raise NerdrainError("a map must be an array (height, width) with at least one value.")
    figure, axes = _make_axes(planes, titles, ncols, width * 0.9)
    figure.set_figwidth(width)
    values = np.concatenate(planes, axis=None)
    largest = np.max(np.abs(values) if signed else values)
    high = largest if limit is None else limit
    low = -high if signed else np.min(values)
    cmap = DIVERGING if signed else SEQUENTIAL
    for axis, plane in zip(axes, planes, strict=True):
        shown = axis.imshow(plane, vmin=low, vmax=high, cmap=cmap)
    figure.colorbar(shown, ax=axes, label=label, shrink=0.9, aspect=30)
    return figure


def split_view(left: Any, right: Any, at: float = 0.5, line: int = 2) -> Float[np.ndarray, "h w 3"]:
    """Join the left part of one image and the right part of another, with a white line between.

    Both are images of one size that `as_rgb` accepts. The line is `line` pixels wide, and `at` is
    its position as a share of the width.
    """
    a, b = as_rgb(left), as_rgb(right)
    if a.shape != b.shape:
        raise NerdrainError(
            f"the two images differ in size ({a.shape[:2]} and {b.shape[:2]}); give two images of "
            "one size."
        )
    column = round(np.clip(at, 0, 1) * a.shape[1])
    joined = np.concatenate([a[:, :column], b[:, column:]], axis=1)
    joined[:, max(0, column - line // 2) : column + (line + 1) // 2] = 1
    return joined
