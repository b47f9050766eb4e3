"""A slider over precomputed pictures, which works in JupyterLab and on a page without a kernel.

A static page runs no Python. So all pictures are computed and compressed first, and the browser
links them to the slider.
"""

import base64
import html
import io
import json
from bisect import bisect_right
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from PIL import Image, ImageOps

from nerdrain.errors import NerdrainError
from nerdrain.evaluation.metrics import to_uint8
from nerdrain.plotting.figures import as_rgb

if TYPE_CHECKING:
    from IPython.display import HTML
    from ipywidgets import VBox


def _to_picture(frame: Any, width: int) -> Image.Image:
    """Convert an array or a Figure to an RGB picture about `width` pixels wide."""
    if hasattr(frame, "savefig"):
        buffer = io.BytesIO()
        frame.savefig(buffer, format="png", facecolor="white", dpi=width / frame.get_figwidth())
        return Image.open(buffer).convert("RGB")
    picture = Image.fromarray(to_uint8(as_rgb(frame)))
    if picture.width > width:
        height = max(1, round(picture.height * width / picture.width))
        return picture.resize((width, height), Image.Resampling.LANCZOS)
    factor = width // picture.width  # an integer, so that small pictures stay sharp
    return ImageOps.scale(picture, factor, Image.Resampling.NEAREST)


def _encode(picture: Image.Image, **options: Any) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, format="WEBP", **options)
    return buffer.getvalue()


def _compress(pictures: Sequence[Image.Image], budget: int) -> list[bytes]:
    """Encode all frames with the same quality: lossless, or the best quality within the budget."""
    if len(_encode(pictures[0], lossless=True)) * len(pictures) <= 2 * budget:
        exact = [_encode(picture, lossless=True) for picture in pictures]
        if sum(map(len, exact)) <= budget:
            return exact

    @cache
    def encode(quality: int) -> list[bytes]:
        return [_encode(picture, quality=quality) for picture in pictures]

    qualities = range(25, 96, 4)  # of WebP; 25 is used even if it exceeds the budget
    too_high = bisect_right(qualities, budget, key=lambda quality: sum(map(len, encode(quality))))
    return encode(qualities[max(too_high - 1, 0)])


def _frame_html(picture: bytes, alt: str, caption: str) -> str:
    """Return one frame as HTML, dark on white on light and dark pages."""
    source = f"data:image/webp;base64,{base64.b64encode(picture).decode()}"
    return (
        '<figure style="margin:0;width:fit-content;background:white;color:#222222;line-height:1.5">'
        f'<img alt="{html.escape(alt)}" src="{source}" '
        'style="display:block;max-width:100%;height:auto;background:white">'
        f'<figcaption style="padding:2px 6px;font-size:15px">{caption}</figcaption></figure>'
    )


def _html_slider(frames: Sequence[str], labels: Sequence[str], name: str, value: int) -> "HTML":
    """Return the slider as plain HTML, for ipywidgets older than 8, such as on Colab."""
    from IPython.display import HTML

    hidden = ["" if index == value else " hidden" for index in range(len(frames))]
    parts = [f"<div{state}>{frame}</div>" for state, frame in zip(hidden, frames, strict=True)]
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
    """Make a picture with a slider below that chooses a frame; it works without a kernel.

    The arrow keys, Page Up/Down, Home and End move the slider when it has the focus. In a notebook
    with a kernel, observe ``widget.children[1]``'s ``index`` to compute more. If ipywidgets is
    older than 8, as on Colab, the result is the same slider as HTML without widgets.

    Args:
        frames: arrays or tensors that `as_rgb` accepts, or matplotlib Figures, all of one size.
        labels: value of the slider at each frame, e.g. "L = 4".
        description: name of the quantity that the slider changes, shown before the label.
        alt: alternative text: one text for all frames, to which each label is added, or one text
            for each frame.
        value: index of the first frame to show.
        width: width of the pictures, in pixels; narrower arrays are enlarged by an integer factor.
        budget_kb: kilobytes for all frames together. The compression is lossless if that fits,
            otherwise as weak as possible. The page stores the frames as text, which adds a third.

    Raises:
        NerdrainError: There are no frames, the numbers or sizes differ, or `value` is not the index
            of a frame.
    """
    import ipywidgets

    count = len(frames)
    if count == 0 or len(labels) != count or not 0 <= value < count:
        raise NerdrainError(
            "a slider needs at least one frame, a label for each frame and a value that is the "
            f"index of a frame, not {count} frames, {len(labels)} labels and value {value}."
        )
    texts = [f"{alt} {description}: {label}." for label in labels] if isinstance(alt, str) else alt
    if len(texts) != count:
        raise NerdrainError(
            f"alt has {len(texts)} texts for {count} frames; give one string, or one text for each "
            "frame."
        )
    pictures = [_to_picture(frame, width) for frame in frames]
    if len({picture.size for picture in pictures}) != 1:
        raise NerdrainError("the frames of a slider must all have one size.")
    data = _compress(pictures, budget_kb * 1000)
    parts = [  # of HTML, because the `Image` of ipywidgets has no alternative text
        _frame_html(picture, text, f"{html.escape(description)}: <b>{html.escape(str(label))}</b>")
        for picture, text, label in zip(data, texts, labels, strict=True)
    ]
    if not hasattr(ipywidgets, "Stack"):
        return _html_slider(parts, labels, description, value)
    stack = ipywidgets.Stack([ipywidgets.HTML(part) for part in parts], selected_index=value)
    slider = ipywidgets.SelectionSlider(
        options=[(str(label), index) for index, label in enumerate(labels)],
        index=value,
        readout=False,  # the caption shows the label; the widget's own text is black on dark pages
        layout={"width": "auto", "max_width": f"{pictures[0].width}px"},
    )
    ipywidgets.jslink((slider, "index"), (stack, "selected_index"))
    return ipywidgets.VBox([stack, slider])
