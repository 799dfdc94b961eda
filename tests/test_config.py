"""Settings: checked when made, described once, JSON both ways."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_fcn.config import DataConfig, ModelConfig, PredictionConfig, TrainingConfig
from napari_fcn.errors import InputError
from napari_fcn.options import options, split


@given(
    st.builds(
        TrainingConfig,
        transfer=st.sampled_from(["frozen", "finetune", "scratch"]),
        rate=st.floats(1e-6, 1),
        steps=st.integers(1, 10**6),
        seed=st.integers(0, 2**32 - 1),
        patch_size=st.none() | st.integers(1, 20).map(lambda n: 32 * n),
    )
)
def test_settings_survive_json(config: TrainingConfig) -> None:
    assert TrainingConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


def test_lists_from_json_are_tuples_again() -> None:
    config = DataConfig(channels=(2, 0), ignore=(255,))
    assert DataConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: split({"architectur": "unet"}, ModelConfig), "no option 'architectur'; the nearest is 'architecture'"),
        (lambda: ModelConfig(architecture="unett"), "nearest is 'unet'"),
        (lambda: TrainingConfig(transfer="frosen"), "must be one of head, frozen, finetune, scratch. Got 'frosen'"),
        (lambda: TrainingConfig(loss="cross_entropy+dise"), "no loss 'dise'; the nearest is 'dice'"),
        (lambda: TrainingConfig(rate=-1), "at least 1e-08. Got -1"),
        (lambda: TrainingConfig(steps=1.5), "`steps` must be a whole number. Got 1.5"),
        (lambda: TrainingConfig(patch_size=250), "multiple of 32. Got 250; nearest: 224, 256"),
        (lambda: TrainingConfig(steps=5, epochs=2), "only one of time_budget, steps and epochs"),
        (lambda: TrainingConfig(seed=None), "`seed` must be given"),
        (lambda: TrainingConfig(time_budget=float("nan")), "must be a number"),
        (lambda: PredictionConfig(tile_size=64, overlap=64), "at most half of `tile_size` .32.. Got 64"),
        (lambda: DataConfig(zero="nothing"), "must be one of background, unlabelled"),
    ],
)
def test_a_wrong_setting_is_one_clear_sentence(make, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        make()


def test_without_a_limit_a_minute_is_meant() -> None:
    assert TrainingConfig().time_budget == 60
    assert TrainingConfig(steps=3).time_budget is None


def test_no_name_means_two_things() -> None:
    stages = (ModelConfig, DataConfig, TrainingConfig)
    assert len(options(*stages)) == sum(len(options(stage)) for stage in stages)
