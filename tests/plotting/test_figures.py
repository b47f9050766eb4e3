"""plotting.py and slider.py: what is drawn, what is encoded, and what works without a kernel."""

import base64
import io
import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from nerdrain.errors import NerdrainError

matplotlib = pytest.importorskip("matplotlib")
ipywidgets = pytest.importorskip("ipywidgets")

from nerdrain.plotting import figures as plot  # noqa: E402 - after the skips
from nerdrain.plotting import slider  # noqa: E402

RNG = np.random.default_rng(1)
PHOTO = RNG.random((30, 40, 3))


@pytest.fixture(autouse=True)
def fresh_style():
    with matplotlib.rc_context():
        yield


def pixels(figure) -> np.ndarray:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return np.asarray(Image.open(buffer))


def test_style_is_opaque_and_readable():
    plot.use_style()
    rc = matplotlib.rcParams
    assert rc["figure.facecolor"] == rc["axes.facecolor"] == rc["savefig.facecolor"] == "white"
    assert not rc["savefig.transparent"]
    sizes = ("font.size", "axes.labelsize", "xtick.labelsize", "legend.fontsize")
    assert min(rc[name] for name in sizes) >= 11
    looks = list(rc["axes.prop_cycle"])
    assert len({str(look["linestyle"]) for look in looks}) == len(looks) == len(plot.COLOURS)


def test_colours_stand_out_from_white():
    # WCAG asks a contrast of 3 for graphics; the two palest of the palette are for filled shapes.
    def luminance(colour):
        rgb = np.array(matplotlib.colors.to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    contrast = {name: 1.05 / (luminance(c) + 0.05) for name, c in plot.COLOURS.items()}
    assert min(contrast[name] for name in ("blue", "vermillion", "green", "black")) >= 3
    assert min(contrast.values()) >= 2


@given(
    hnp.arrays(np.uint8, st.tuples(st.integers(1, 5), st.integers(1, 5), st.sampled_from([1, 3])))
)
def test_arrays_and_tensors_are_one_picture(image):
    rgb = plot.as_rgb(image)
    assert rgb.shape == (*image.shape[:2], 3)
    np.testing.assert_allclose(rgb, np.broadcast_to(image / 255, rgb.shape), atol=1e-7)
    tensor = torch.from_numpy(image / 255).permute(2, 0, 1)
    for same in (tensor, tensor[None], tensor.double().requires_grad_()):
        np.testing.assert_allclose(plot.as_rgb(same), rgb, atol=1e-6)


def test_other_kinds_of_numbers():
    np.testing.assert_array_equal(plot.as_rgb(np.array([[-1.0, 2.0]]))[..., 0], [[0, 1]])
    assert plot.as_rgb(np.full((2, 2), 65535, np.uint16)).max() == 1
    assert plot.as_rgb(torch.ones(2, 2, dtype=torch.bfloat16)).shape == (2, 2, 3)


@pytest.mark.parametrize(
    "bad", [np.zeros(3), np.zeros((2, 2, 4)), np.zeros((0, 2)), torch.zeros(2, 3, 4, 4)]
)
def test_invalid_pictures(bad):
    with pytest.raises(NerdrainError, match="an image must be an array"):
        plot.as_rgb(bad)


@pytest.mark.parametrize(
    ("count", "ncols", "axes"), [(1, None, 1), (2, None, 2), (4, None, 6), (4, 2, 4)]
)
def test_show_images(count, ncols, axes):
    figure = plot.show_images([PHOTO] * count, ["t"] * count, ncols=ncols, width=3)
    assert len(figure.axes) == axes
    assert [axis.get_title() for axis in figure.axes[:count]] == ["t"] * count
    drawn = pixels(figure)
    assert drawn.shape[1] == 300
    assert (drawn[..., 3] == 255).all()  # opaque
    np.testing.assert_allclose(figure.axes[0].images[0].get_array(), PHOTO, atol=1e-6)


def test_figures_have_no_window_manager():
    before = plot.plt.get_fignums()
    plot.show_images([PHOTO])
    assert plot.plt.get_fignums() == before


def test_show_crops():
    figure = plot.show_crops([PHOTO, PHOTO / 2], ["a", "b"], box=(5, 8, 10, 12), width=4)
    wholes, details = figure.axes[:2], figure.axes[2:]
    np.testing.assert_allclose(details[1].images[0].get_array(), PHOTO[5:15, 8:20] / 2, atol=1e-6)
    outline = wholes[0].patches[0]
    assert (outline.get_x(), outline.get_y()) == (7.5, 4.5)  # pixel centres are at whole numbers
    assert (outline.get_width(), outline.get_height()) == (12, 10)
    pixels(figure)


@pytest.mark.parametrize("box", [(-1, 0, 5, 5), (0, 0, 31, 5), (0, 36, 5, 5), (0, 0, 0, 5)])
def test_boxes_outside_the_image(box):
    with pytest.raises(NerdrainError, match="is not inside an image of height 30 and width 40"):
        plot.show_crops([PHOTO], box=box)


def test_show_maps_on_one_scale():
    low, high = np.full((4, 6), -1.0), np.full((4, 6), 3.0)
    for signed, limits in ((False, (-1, 3)), (True, (-3, 3))):
        figure = plot.show_maps([low, high], signed=signed, label="dB")
        shown = [axis.images[0].get_clim() for axis in figure.axes[:2]]
        assert shown == [limits, limits]
        assert figure.axes[2].get_ylabel() == "dB"
    assert plot.show_maps([high], limit=5).axes[0].images[0].get_clim() == (3, 5)
    with pytest.raises(NerdrainError, match="a map must be"):
        plot.show_maps([PHOTO])


def test_split_view():
    joined = plot.split_view(np.zeros((4, 10)), np.full((4, 10), 0.5), at=0.3, line=2)
    np.testing.assert_allclose(joined[0, :, 0], [0, 0, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    assert plot.split_view(PHOTO, PHOTO, at=1, line=0).shape == PHOTO.shape
    with pytest.raises(NerdrainError, match="differ in size"):
        plot.split_view(PHOTO, PHOTO[1:])


def test_counts_must_agree():
    with pytest.raises(NerdrainError, match=r"titles \(2\) must equal the number of images \(1\)"):
        plot.show_images([PHOTO], ["a", "b"])
    with pytest.raises(NerdrainError, match="no image to show"):
        plot.show_images([])


def slide(frames, **options):
    labels = [str(index / 10) for index in range(len(frames))]
    options = {"description": "Gain", "alt": "Noise.", "width": 80} | options
    return slider.image_slider(frames, labels, **options)


def embedded(frame) -> tuple[bytes, Image.Image]:
    data = base64.b64decode(re.search(r"data:image/webp;base64,([^\"]+)", frame.value)[1])
    return data, Image.open(io.BytesIO(data))


def test_slider_is_linked_in_the_browser():
    box = slide([PHOTO, PHOTO / 2, PHOTO / 4], value=1)
    stack, control = box.children
    assert isinstance(stack, ipywidgets.Stack)
    assert stack.selected_index == control.index == 1
    assert [label for label, _ in control.options] == ["0.0", "0.1", "0.2"]
    every = ipywidgets.widgets.widget._instances.values()
    links = [widget for widget in every if isinstance(widget, ipywidgets.widgets.widget_link.Link)]
    assert any(
        link.source == (control, "index") and link.target == (stack, "selected_index")
        for link in links
    )


def test_frames_have_pixels_captions_and_alternative_texts():
    box = slide([PHOTO, PHOTO / 2], budget_kb=1000, description="A & B")
    frames = box.children[0].children
    assert 'alt="Noise. A &amp; B: 0.1."' in frames[1].value
    assert "A &amp; B: <b>0.1</b>" in frames[1].value
    exact = np.asarray(embedded(frames[0])[1])  # lossless, and enlarged by the factor 2
    np.testing.assert_array_equal(exact[::2, ::2], np.floor(PHOTO * 255 + 0.5))
    np.testing.assert_array_equal(exact[1::2, 1::2], exact[::2, ::2])
    own = slide([PHOTO, PHOTO], alt=["one <", "two"]).children[0].children
    assert 'alt="one &lt;"' in own[0].value and 'alt="two"' in own[1].value


def test_ipywidgets_7_gets_the_slider_without_widgets(monkeypatch):
    monkeypatch.delattr(ipywidgets, "Stack")  # Colab has ipywidgets 7
    shown = slide([PHOTO, PHOTO / 2, PHOTO / 4], value=1, description="A & B").data
    assert shown.count("<figure") == 3
    assert re.findall(r"<div( hidden)?><figure", shown) == [" hidden", "", " hidden"]
    assert 'type="range" min="0" max="2" value="1"' in shown
    assert 'aria-label="A &amp; B" aria-valuetext="0.1"' in shown


def test_frames_fit_the_budget():
    x, y = np.meshgrid(np.linspace(0, 20, 400), np.linspace(0, 15, 300))
    frames = [(np.sin(x * (k + 1)) * np.cos(y * x / 9) + 1) / 2 for k in range(11)]
    box = slide(frames, width=400, budget_kb=110)
    data = [embedded(frame)[0] for frame in box.children[0].children]
    assert sum(map(len, data)) <= 110_000
    assert sum(len(frame.value) for frame in box.children[0].children) <= 153_000
    # A budget that nothing fits gives the smallest that is still a picture.
    assert all(
        embedded(f)[1].size == (400, 300)
        for f in slide(frames[:2], width=400, budget_kb=1).children[0].children
    )


def test_figures_and_large_images_come_at_the_asked_width():
    figures = [plot.show_images([PHOTO], [f"k = {k}"], width=4) for k in range(2)]
    for frames in (figures, [np.zeros((200, 300)), np.ones((200, 300))]):
        picture = embedded(slide(frames, width=240).children[0].children[0])[1]
        assert picture.width == 240
        assert picture.mode == "RGB"


def test_bad_sliders():
    for frames, options in (([], {}), ([PHOTO], {"value": 1}), ([PHOTO], {"value": -1})):
        with pytest.raises(NerdrainError, match="a label for each frame"):
            slide(frames, **options)
    with pytest.raises(NerdrainError, match="1 texts for 2 frames"):
        slide([PHOTO, PHOTO], alt=["one"])
    with pytest.raises(NerdrainError, match="one size"):
        slide([PHOTO, PHOTO[:20]])


def test_the_package_imports_without_plots():
    code = "import sys, nerdrain; assert not {'matplotlib', 'ipywidgets'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
