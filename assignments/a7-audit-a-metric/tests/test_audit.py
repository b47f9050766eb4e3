"""Public tests of assignment a7: the form of results, and agreement with the published table."""

import math

import audit
import pytest
import torch

NAMES = {"colour", "rounding", "crop", "peak", "window", "average"}
DIGITS = {"psnr": 1e-3, "ssim": 1e-5}
"""The last digits of the table."""
COLUMNS = {"psnr": 1, "ssim": 2}
FIGURES = pytest.mark.parametrize("name", ["psnr", "ssim"])


def pairs() -> list[tuple[torch.Tensor, torch.Tensor]]:
    """The published pairs."""
    return list(zip(*audit.published(), strict=True))


def test_all_settings_are_named() -> None:
    """The convention has the six settings, and the crop is an integer."""
    named = audit.convention()
    assert set(named) == NAMES
    assert isinstance(named["crop"], int)
    assert all(isinstance(named[name], str) for name in NAMES - {"crop"})


def test_a_metric_is_two_numbers() -> None:
    """PSNR and SSIM are Python numbers."""
    figures = audit.metric(*pairs()[0])
    assert set(figures) == {"psnr", "ssim"}
    assert all(isinstance(figure, float) for figure in figures.values())


def test_the_arguments_stay_unchanged() -> None:
    """The metric does not write into its arguments."""
    image, reference = pairs()[1]
    copies = image.clone(), reference.clone()
    audit.metric(image, reference)
    assert torch.equal(image, copies[0])
    assert torch.equal(reference, copies[1])


def agrees(figures: dict[str, float], row: list, name: str) -> bool:
    """Whether a figure is that of a row of the table."""
    return abs(figures[name] - row[COLUMNS[name]]) < 0.6 * DIGITS[name]


@FIGURES
def test_the_rows_of_the_table_are_reproduced(name: str) -> None:
    """Each image has the figure of the table, to its last digit."""
    wrong = [
        row[0]
        for pair, row in zip(pairs(), audit.TABLE, strict=False)
        if not agrees(audit.metric(*pair), row, name)
    ]
    assert wrong == [], f"rows with another {name}"


@FIGURES
def test_the_last_row_is_reproduced(name: str) -> None:
    """The set of all images has the figures of the last row."""
    if not agrees(audit.table(*audit.published()), audit.TABLE[-1], name):
        pytest.fail(f"the {name} of all images is not that of the table", pytrace=False)


def test_a_set_of_one_image_is_this_image() -> None:
    """The average of one image is its own figure."""
    image, reference = pairs()[0]
    one = audit.table([image], [reference])
    alone = audit.metric(image, reference)
    assert math.isclose(one["psnr"], alone["psnr"], abs_tol=1e-9)
    assert math.isclose(one["ssim"], alone["ssim"], abs_tol=1e-9)


def test_equal_images_have_infinite_psnr() -> None:
    """Black and white stripes, equal in both images."""
    stripes = torch.arange(40)[:, None, None].remainder(2).expand(40, 40, 3)
    figures = audit.metric(stripes.double(), (255 * stripes).byte())
    assert figures["psnr"] == math.inf
    assert math.isclose(figures["ssim"], 1, abs_tol=1e-9)
