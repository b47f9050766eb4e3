"""`nerdrain info`: a network beside the paper's Table 2."""

import re

import pytest

from nerdrain import load_model


def test_table_2(succeeds):
    # The numbers of both networks are checked in test_complexity.py; this test checks their format.
    lines = succeeds("info", "nerd-rain-s").splitlines()
    assert lines[0].startswith("nerd-rain-s: width 32, ")
    row = {line.split("  ")[0]: re.split(r"\s{2,}", line.strip())[1:] for line in lines[2:]}
    assert row["parameters"] == ["10,530,314", "10.53 M"]
    ours, theirs = row["multiply-adds at 256x256, as released"]
    assert float(ours.removesuffix(" G")) == pytest.approx(79.3, rel=0.005)
    assert theirs == "79.2 G at 256x256"
    (needed,) = row["multiply-adds at 256x256, needed"]
    assert float(needed.removesuffix(" G")) < float(ours.removesuffix(" G"))


def test_list_of_the_models(succeeds, fails_in_a_sentence):
    header, *rows = succeeds("info", "--size", 64).splitlines()[:4]
    assert re.split(r"\s{2,}", header) == [
        *("model", "weights", "parameters", "multiply-adds at 64x64"),
    ]
    cells = [re.split(r"\s{2,}", row) for row in rows]
    assert [row[:3] for row in cells[:2]] == [
        ["nerd-rain", "not shipped", "22,893,146"],
        ["nerd-rain-s", "not shipped", "10,530,314"],
    ]
    parameters = sum(p.numel() for p in load_model("nerd-rain-tiny").parameters())
    assert cells[2][:3] == ["nerd-rain-tiny", "shipped", f"{parameters:,}"]
    one = succeeds("info", "nerd-rain-s", "--size", 64)
    assert re.search(r"needed +(\S+ G)", one)[1] == cells[1][3]
    assert "did you mean nerd-rain-s." in fails_in_a_sentence("info", "nerd-rains")


def test_networks_that_are_not_in_the_paper(model, succeeds, fails_in_a_sentence):
    text = succeeds("info", model, "--size", 16)
    parameters = sum(p.numel() for p in load_model(model).parameters())
    assert f"{parameters:,}" in text and "at 16x16" in text and "not listed" in text
    assert "as released" in text
    assert "no such model file" in fails_in_a_sentence("info", "nerd-snow")
    text = succeeds("info", "nerd-rain-tiny", "--size", 16)  # of the paper's fidelity
    assert "as released" not in text and "multiply-adds at 16x16, needed" in text


def test_a_size_that_no_image_has(fails):
    for size in ("0", "65537", "1" + 21 * "0", "1e21"):
        assert "Invalid value" in fails("info", "nerd-rain-tiny", "--size", size, code=2)
