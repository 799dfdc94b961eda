"""The pixel head: filters, fit, and the training that uses them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from skimage.feature import hessian_matrix, hessian_matrix_eigvals, structure_tensor, structure_tensor_eigenvalues

import napari_fcn as fcn
from napari_fcn.config import ModelConfig
from napari_fcn.errors import InputError
from napari_fcn.models import NetworkSpec, build
from napari_fcn.models.filter_bank import LEVELS, FilterBank
from napari_fcn.models.pixel_network import PixelNetwork
from napari_fcn.training import Event, Step, Validated
from napari_fcn.training.pixel_fit import MOST, FeatureStore, choose_pixels, fit, places

NUCLEI = Path(fcn.__file__).parent / "samples" / "nuclei"
ALL = {"validation": 0.0}


def _network(channels: int = 1, classes: int = 2) -> PixelNetwork:
    torch.manual_seed(0)
    model = ModelConfig("pixel", weights="none")
    return cast(PixelNetwork, build(NetworkSpec(model, channels, classes), pretrained=False).eval())


@pytest.fixture(scope="module")
def strokes() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """A grey image with bright discs, a few strokes on it, and the truth."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[:160, :160]
    truth = ((rows % 40 - 20) ** 2 + (columns % 40 - 20) ** 2 < 120).astype(np.uint8) + 1
    image = (truth * 60 + random.normal(0, 20, truth.shape)).clip(0, 255).astype(np.uint8)
    painted = np.zeros_like(truth)
    painted[18:23, 12:28] = truth[18:23, 12:28]
    painted[100:104, 80:120] = truth[100:104, 80:120]
    return image, painted, truth


def test_filters_agree_with_scikit_image() -> None:
    image = np.random.default_rng(0).random((64, 64))
    with torch.no_grad():
        maps = FilterBank(1)(torch.from_numpy(image[None, None]).float())
    deviation = LEVELS[1][1]
    inner = (slice(16, -16),) * 2  # borders are continued in other ways
    found = maps[1][0].numpy()
    hessian = hessian_matrix(image, sigma=deviation, use_gaussian_derivatives=False, mode="nearest")
    larger, smaller = hessian_matrix_eigvals(hessian)
    for ours, theirs in ((found[3], larger), (found[4], smaller)):
        assert np.corrcoef(ours[inner].ravel(), theirs[inner].ravel())[0, 1] > 0.98
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(image, deviation, truncate=3, mode="nearest")
    np.testing.assert_allclose(found[0][inner], smooth[inner], atol=1e-3)
    gradients = np.gradient(smooth)
    np.testing.assert_allclose(found[1][inner], np.hypot(*gradients)[inner], atol=2e-3)
    tensor = structure_tensor(smooth, sigma=1.5 * deviation, mode="nearest")
    strong, weak = structure_tensor_eigenvalues(tensor)
    for ours, theirs in ((found[5], np.sqrt(strong)), (found[6], np.sqrt(weak.clip(0)))):
        assert np.corrcoef(ours[inner].ravel(), theirs[inner].ravel())[0, 1] > 0.98


def test_filters_are_computed_in_float32_whatever_the_engine() -> None:
    """In bfloat16 they would be too coarse, and oneDNN would never return."""
    bank, image = FilterBank(3), torch.rand(1, 3, 64, 96).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        expected = bank(image)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = bank(image)
    assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))


def test_the_network_computes_what_was_fitted() -> None:
    network = _network(classes=3)
    random = np.random.default_rng(0)
    image = torch.from_numpy(random.normal(size=(1, 1, 64, 96)).astype(np.float32))
    rows, columns = (torch.from_numpy(random.integers(0, side, 400)) for side in (64, 96))
    classes = torch.from_numpy(random.integers(0, 3, 400))
    with torch.no_grad():
        features = network.look_up(network.features(image), rows, columns)
    fitted = fit(features, classes, 5 * network.filter_bank.out_channels, 3, network.decoder.hidden, seed=0)
    network.take(fitted)
    with torch.no_grad():
        whole = network(image)[0, :, rows, columns].T
        expected = fitted.logits(features)
    # Maps are enlarged step by step, which is a little smoother than looking up in between.
    assert torch.corrcoef(torch.stack([whole.ravel(), expected.ravel()]))[0, 1] > 0.9
    assert (whole.argmax(1) == expected.argmax(1)).float().mean() > 0.8


def test_features_at_a_pixel_are_those_of_its_map() -> None:
    network = _network()
    maps = [torch.arange(64.0).view(1, 1, 8, 8), torch.arange(16.0).view(1, 1, 4, 4)]
    found = network.look_up(maps, torch.tensor([0, 3, 7]), torch.tensor([0, 5, 7]))
    np.testing.assert_allclose(found[:, 0], [0, 29, 63])
    # Row 3, column 5 lies at 1.25, 2.25 of the coarse map; corners stay corners.
    np.testing.assert_allclose(found[:, 1], [0, 1.25 * 4 + 2.25, 15])


def test_at_most_so_many_pixels_of_each_class_are_looked_at() -> None:
    large, small = np.zeros((200, 200), np.int16), np.full((30, 30), -1, np.int16)
    small[:5] = 1
    chosen = choose_pixels([large, small], 2, np.random.default_rng(0))
    assert sum(int((target == 0).sum()) for target in chosen) == MOST
    assert sum(int((target == 1).sum()) for target in chosen) == 150


def test_windows_cover_a_plane_once() -> None:
    count = np.zeros((1500, 2100), int)
    for place in places(*count.shape):
        count[place.rows, place.columns] += 1
        seen = np.zeros_like(count)[place.seen_rows, place.seen_columns]
        assert seen[place.inside].shape == count[place.rows, place.columns].shape
    assert (count == 1).all()


def test_kept_features_are_the_same_and_not_computed_again() -> None:
    from napari_fcn.inference.engine import choose_engine

    network, engine, store = _network(), choose_engine("cpu"), FeatureStore(1e9)
    values = np.random.default_rng(0).normal(size=(1, 64, 64)).astype(np.float32)
    first = store.maps(network, engine, values)
    assert store.maps(network, engine, values.copy()) is first
    again = FeatureStore().maps(network, engine, values)
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    small = FeatureStore(1.0)
    small.maps(network, engine, values)
    small.maps(network, engine, values + 1)
    assert len(small._kept) == 1


def test_strokes_become_a_segmentation(strokes: Any, tmp_path: Path) -> None:
    image, painted, truth = strokes
    events: list[Event] = []
    segmenter = fcn.train(image, painted, transfer="head", zero="unlabelled", on_event=events.append, **ALL)
    assert segmenter.model.architecture == "pixel"
    assert [event.step for event in events if isinstance(event, Step)] == [1]
    assert fcn.evaluate(segmenter.predict(image), truth).mean_iou > 0.85
    segmenter.save(tmp_path / "pixel.safetensors")
    again = fcn.Segmenter.load(tmp_path / "pixel.safetensors")
    np.testing.assert_array_equal(again.predict(image), segmenter.predict(image))


def test_the_same_seed_gives_the_same_weights(strokes: Any) -> None:
    image, painted, _ = strokes
    one, two = (
        fcn.train(image, painted, architecture="pixel", zero="unlabelled", seed=3, **ALL).network.state_dict()
        for _ in range(2)
    )
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_scores_are_of_pixels_that_were_held_out_and_all_are_learnt_in_the_end(strokes: Any) -> None:
    image, _, truth = strokes
    events: list[Event] = []
    segmenter = fcn.train(image, truth, transfer="head", validation=0.3, on_event=events.append)
    scored = [event for event in events if isinstance(event, Validated)]
    assert scored[-1].scores.mean_iou > 0.8 > scored[0].scores.mean_iou
    assert [event.step for event in events if isinstance(event, Step)] == [1, 2]
    assert segmenter.history["scores"]["mean_iou"] == scored[-1].scores.mean_iou


def test_a_finished_run_goes_on_with_nothing_to_do(strokes: Any, tmp_path: Path) -> None:
    image, painted, _ = strokes
    done = fcn.train(image, painted, transfer="head", zero="unlabelled", run_dir=tmp_path / "run", **ALL)
    again = fcn.train(image, painted, resume=tmp_path / "run")
    before, after = done.network.state_dict(), again.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("options", [{"loss": "dice"}, {"rate": 0.1}, {"augment": "none"}, {"batch_size": 2}], ids=str)
def test_settings_that_would_do_nothing_are_refused(strokes: Any, options: dict[str, Any]) -> None:
    image, painted, _ = strokes
    with pytest.raises(InputError, match=f"fitted at once, and has no `{next(iter(options))}`"):
        fcn.train(image, painted, transfer="head", zero="unlabelled", **options)
