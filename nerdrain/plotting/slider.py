"""A slider over pictures made beforehand: it moves in JupyterLab and on a page without a kernel.

On a static page no Python runs, so the pictures
are computed before and compressed, and the browser alone links them to the slider.
"""

import base64
import html
import io
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from nerdrain.errors import NerdrainError
from nerdrain.plotting.figures import as_rgb

if TYPE_CHECKING:
    from IPython.display import HTML
    from ipywidgets import VBox

__all__ = ["image_slider"]


def _picture(frame: Any, width: int) -> Image.Image:
    """An array or Figure as an RGB picture about `width` pixels wide."""
    if hasattr(frame, "savefig"):
        buffer = io.BytesIO()
        frame.savefig(buffer, format="png", facecolor="white", dpi=width / frame.get_figwidth())
        return Image.open(buffer).convert("RGB")
    picture = Image.fromarray(np.floor(as_rgb(frame) * 255 + 0.5).astype(np.uint8))
    if picture.width > width:
        height = max(1, round(picture.height * width / picture.width))
        return picture.resize((width, height), Image.Resampling.LANCZOS)
    enlarged = width // picture.width  # whole pixels, so that small pictures stay crisp
    return picture.resize(
        (picture.width * enlarged, picture.height * enlarged), Image.Resampling.NEAREST
    )


def _encode(picture: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", **options)
    return buffer.getvalue()


def _compress(pictures: Sequence[Image.Image], budget: int) -> list[bytes]:
    """Encode all frames alike: without loss if they fit the budget, else as well as fits."""
    if len(_encode(pictures[0], lossless=True)) * len(pictures) <= 2 * budget:
        exact = [_encode(picture, lossless=True) for picture in pictures]
        if sum(map(len, exact)) <= budget:
            return exact
    low, high = 25, 96  # WebP's qualities: the best that fits lies between, or 25 is taken
    best = [_encode(picture, quality=low) for picture in pictures]
    while high - low > 4:
        middle = (low + high) // 2
        tried = [_encode(picture, quality=middle) for picture in pictures]
        if sum(map(len, tried)) <= budget:
            low, best = middle, tried
        else:
            high = middle
    return best


def _frame(picture: bytes, alt: str, caption: str) -> str:
    """One frame as HTML, dark on white in a light and in a dark page."""
    source = f"data:image/webp;base64,{base64.b64encode(picture).decode()}"
    return (
        '<figure style="margin:0;width:fit-content;background:white;color:#222222;line-height:1.5">'
        f'<img alt="{html.escape(alt)}" src="{source}" '
        'style="display:block;max-width:100%;height:auto;background:white">'
        f'<figcaption style="padding:2px 6px;font-size:15px">{caption}</figcaption></figure>'
    )


def _without_widgets(frames: Sequence[str], labels: Sequence[str], name: str, value: int) -> "HTML":
    """The same slider as plain HTML, for front ends whose ipywidgets are older than 8: Colab's."""
    from IPython.display import HTML

    parts = [
        f"<div{'' if index == value else ' hidden'}>{frame}</div>"
        for index, frame in enumerate(frames)
    ]
    choose = (
        "const parts = this.parentNode.querySelectorAll('div');"
        "parts.forEach((part, index) => { part.hidden = index !== Number(this.value); });"
        "this.setAttribute('aria-valuetext', JSON.parse(this.dataset.labels)[this.value]);"
    )
    texts = [str(label) for label in labels]
    control = (
        f'<input type="range" min="0" max="{len(parts) - 1}" value="{value}" style="width:100%" '
        f'aria-label="{html.escape(name)}" aria-valuetext="{html.escape(texts[value])}" '
        f'data-labels="{html.escape(json.dumps(texts))}" oninput="{html.escape(choose)}">'
    )
    return HTML(f"<div>{''.join(parts)}{control}</div>")


def image_slider(
    frames: Sequence[Any],
    labels: Sequence[str],
    *,
    description: str,
    alt: str | Sequence[str],
    value: int = 0,
    width: int = 640,
    budget_kb: int = 110,
) -> "VBox | HTML":
    """A picture with a slider below that chooses among frames; it needs no kernel once made.

    The arrow keys, Page Up/Down, Home and End move the slider when it has the focus. The frames are
    HTML images, since ipywidgets' own `Image` has no alternative text.

    Args:
        frames: arrays or tensors as `as_rgb` takes them, or matplotlib Figures; all of one size.
        labels: the slider's value at each frame, e.g. "L = 4".
        description: the name of what the slider changes: the caption reads it and the label.
        alt: what the picture shows, for those who do not see it: one text, to which each frame adds
            its label, or one for each frame.
        value: index of the frame that is shown first.
        width: of the pictures, in pixels; narrower arrays are enlarged by a whole factor.
        budget_kb: kilobytes for all frames together. They are compressed without loss if they fit,
            else as little as makes them fit. A page holds them as text, which adds a third.

    Returns:
        A VBox of the Stack of pictures and the slider. In a notebook with a kernel, observe
        ``widget.children[1]``'s ``index`` to compute more. Where ipywidgets is older than 8, as on
        Colab, the same as HTML without widgets.

    Raises:
        NerdrainError: no frames, unequal numbers or sizes, or `value` is not the index of a frame.
    """
    import ipywidgets

    count = len(frames)
    if count == 0 or len(labels) != count or not 0 <= value < count:
        raise NerdrainError(
            f"a slider needs a label for each frame and starts at one of them: got {count} frames, "
            f"{len(labels)} labels, value {value}."
        )
    texts = [f"{alt} {description}: {label}." for label in labels] if isinstance(alt, str) else alt
    if len(texts) != count:
        raise NerdrainError(f"there are {count} frames and {len(texts)} alternative texts.")
    pictures = [_picture(frame, width) for frame in frames]
    if len({picture.size for picture in pictures}) != 1:
        raise NerdrainError("the frames of a slider must all be of one size.")
    data = _compress(pictures, budget_kb * 1000)
    shown = [
        _frame(picture, text, f"{html.escape(description)}: <b>{html.escape(str(label))}</b>")
        for picture, text, label in zip(data, texts, labels, strict=True)
    ]
    if not hasattr(ipywidgets, "Stack"):
        return _without_widgets(shown, labels, description, value)
    stack = ipywidgets.Stack([ipywidgets.HTML(frame) for frame in shown], selected_index=value)
    slider = ipywidgets.SelectionSlider(
        options=[(str(label), index) for index, label in enumerate(labels)],
        index=value,
        readout=False,  # the caption reads it: widgets' own text is black, also on a dark page
        layout={"width": "auto", "max_width": f"{pictures[0].width}px"},
    )
    ipywidgets.jslink((slider, "index"), (stack, "selected_index"))
    return ipywidgets.VBox([stack, slider])
