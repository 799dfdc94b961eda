"""Chains as text and JSON, and the sentences about wrong ones."""

import json
from typing import Any

import pytest

from napari_fcn.errors import InputError, UnknownNameError
from napari_fcn.imaging import Chain
from napari_fcn.registry import filters

TEXTS = [
    "",
    "gaussian",
    "gaussian:sigma=0.3 + percentile:low=0.1,high=99.95",
    "background:radius=80,ground=bright",
    "remove_small_objects:size=30,values=1,2 + watershed:depth=0.75",
    "remove_small_objects:values=-3",
]


@pytest.mark.parametrize("text", TEXTS)
def test_text_and_json_come_back(text: str) -> None:
    chain = Chain.parse(text)
    assert str(chain) == text
    assert Chain.parse(str(chain)) == chain
    assert Chain.from_json(json.loads(json.dumps(chain.to_json()))) == chain
    assert Chain.parse(text.split(" + ")) == chain
    assert Chain.parse(text.replace(" + ", "+")) == chain
    assert Chain.parse(text.replace(" + ", " ")) == chain


@pytest.mark.parametrize("name", filters)
def test_every_filter_is_described_and_travels(name: str) -> None:
    entry = filters[name]
    assert entry.summary
    for key, (default, option) in entry.details["settings"].items():
        assert option.help
        option.check(key, default)
    step = Chain((entry.target(),))
    assert str(step) == name
    assert Chain.from_json(step.to_json()) == step


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gausian", "There is no filter 'gausian'; the nearest is 'gaussian'."),
        ("gaussian:sigm=2", "The filter 'gaussian' has no setting 'sigm'; the nearest is 'sigma'."),
        ("gaussian:sigma=big", "`sigma` of the filter 'gaussian' must be a number. Got 'big'."),
        ("smooth:radius=2.5", "`radius` of the filter 'smooth' must be a whole number. Got '2.5'."),
        ("opening:values=1,x", "must be whole numbers such as 1,2. Got '1,x'."),
        ("gaussian:", "After 'gaussian:' settings are expected, such as 'gaussian:sigma=1'."),
        ("gaussian:3", "written key=value, such as 'gaussian:sigma=1'. Got '3'."),
        ("gaussian:sigma=-1", "`sigma` must be at least 0.1. Got -1."),
        ("gaussian:sigma=1,sigma=2", "'sigma' of the filter 'gaussian' is given twice."),
        ("background:ground=grey", "`ground` must be one of dark, bright. Got 'grey'."),
        ("percentile:low=60,high=50", "`low` must be less than `high`. Got 60 and 50."),
        ("gaussian + smooth", "Got 'gaussian', which works on images, and 'smooth', which works on labels"),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        Chain.parse(text)
    assert message in str(error.value)


def test_a_chain_of_the_other_stage_or_of_an_unknown_filter_is_refused() -> None:
    with pytest.raises(InputError, match=r"`preprocess` takes filters that work on images: .*gamma. Got 'smooth'."):
        Chain.parse("smooth").require("before", "preprocess")
    document: list[dict[str, Any]] = [{"filter": "smoth", "settings": {}}]
    with pytest.raises(UnknownNameError, match="nearest is 'smooth'"):
        Chain.from_json(document)
