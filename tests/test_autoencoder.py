"""What an autoencoder gives back, and its file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import napari_fcn as fcn
from napari_fcn.errors import InputError, OutputError, SegmenterFileError, UnknownNameError

SMALL: dict[str, Any] = {
    "encoder": "classic",
    "depth": 1,
    "code": 8,
    "batch_size": 2,
    "patch_size": 64,
    "device": "cpu",
    "steps": 2,
}


def discs(size: int = 96) -> np.ndarray:
    """Bright discs on dark ground, uint16."""
    rows, columns = np.mgrid[:size, :size]
    bright = (rows % 32 - 16) ** 2 + (columns % 32 - 16) ** 2 < 90
    return (bright * 3000 + 500 + np.random.default_rng(0).integers(0, 300, bright.shape)).astype(np.uint16)


@pytest.fixture(scope="module")
def make() -> Callable[..., fcn.Autoencoder]:
    made: dict[tuple[Any, ...], fcn.Autoencoder] = {}

    def one(**options: Any) -> fcn.Autoencoder:
        key = tuple(sorted(options.items()))
        if key not in made:
            made[key] = fcn.pretrain(discs(), **{**SMALL, **options})
        return made[key]

    return one


def test_reconstruction_is_the_networks_in_the_images_units(make) -> None:
    """A tile is the whole image: the network by hand, back to mean and deviation of the image."""
    autoencoder, image = make(kind="plain"), discs()
    back = autoencoder.reconstruct(image)
    values = image.astype(np.float64)
    low, high = np.percentile(values, [0.1, 99.9])
    mean, std = values.clip(low, high).mean(), values.clip(low, high).std()
    with torch.inference_mode():
        standardised = torch.from_numpy(((values - mean) / std).astype(np.float32))[None, None]
        by_hand = autoencoder.network(standardised)[0, 0].numpy() * std + mean
    np.testing.assert_allclose(back, by_hand, rtol=1e-3, atol=0.01 * std)
    np.testing.assert_allclose(autoencoder.residual(image), image - back, atol=0.5)
    assert back.dtype == autoencoder.residual(image).dtype == np.float32


def test_tiles_leave_no_seams(make) -> None:
    """Tiles overlap by more than the network sees, so that they give what one tile gives."""
    autoencoder, image = make(kind="plain"), np.tile(discs(), (2, 3))
    whole = autoencoder.reconstruct(image, tile_size=512)
    tiled = autoencoder.reconstruct(image, tile_size=128, overlap=64)
    np.testing.assert_allclose(tiled, whole, atol=0.05 * image.std())


@pytest.mark.parametrize("axes", ["YXC", "CYX", "ZYXC", "XY"])
def test_outputs_lie_on_the_image(axes: str) -> None:
    shape = tuple({"Y": 64, "X": 70, "C": 3, "Z": 2}[letter] for letter in axes)
    spatial = tuple(size for size, letter in zip(shape, axes, strict=True) if letter != "C")
    image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    autoencoder = fcn.pretrain(image, axes=axes, kind="denoising", **SMALL)
    clean = autoencoder.denoise(image)
    assert (clean.shape, clean.dtype) == (shape, np.dtype(np.uint8))
    colours = autoencoder.code_image(image)
    assert colours.shape == (*spatial, 3)
    assert colours.min() >= 0
    assert colours.max() <= 1
    labels = autoencoder.draft_labels(image, 3)
    assert (labels.shape, labels.dtype) == (spatial, np.dtype(np.uint8))
    assert set(np.unique(labels)) <= {1, 2, 3}


def test_a_draft_separates_what_looks_different(make) -> None:
    """Flat ground, and ground with stripes, of the same mean: two clusters find the border."""
    random = np.random.default_rng(1)
    image = random.normal(100, 3, (128, 128))
    image[:, 64:] += 60 * np.sign(np.sin(np.arange(64) * np.pi / 2 + 0.1))
    labels = make(kind="plain").draft_labels(image.astype(np.float32), 2, detail="code")
    left, right = labels[:, :56], labels[:, 72:]
    wrong = min((left == value).mean() + (right != value).mean() for value in (1, 2))
    assert wrong < 0.15


def test_no_data_stays_no_data(make) -> None:
    image = discs().astype(np.float32)
    image[10:20, 30:50] = np.nan
    autoencoder = make(kind="plain")
    gone = np.isnan(image)
    assert (np.isnan(autoencoder.reconstruct(image)) == gone).all()
    assert (np.isnan(autoencoder.residual(image)) == gone).all()
    assert ((autoencoder.draft_labels(image, 2) == 0) == gone).all()
    assert (np.isnan(autoencoder.code_image(image)).all(axis=-1) == gone).all()


def test_only_what_a_kind_can_do_is_done(make) -> None:
    plain, image = make(kind="plain"), discs()
    with pytest.raises(InputError, match=r"Only a denoising autoencoder removes noise. Got kind 'plain'"):
        plain.denoise(image)
    with pytest.raises(InputError, match=r"Only a variational autoencoder can be sampled. Got kind 'plain'"):
        plain.sample()
    with pytest.raises(InputError, match=r"`classes` must be from 2 to 255. Got 1"):
        plain.draft_labels(image, 1)
    with pytest.raises(InputError, match="fewer than 4 different places"):
        plain.draft_labels(np.zeros((1, 2), np.uint8), 4, detail="code")
    with pytest.raises(UnknownNameError, match="nearest is 'residual'"):
        next(plain.steps("residuals", image))
    with pytest.raises(InputError, match=r"learnt from images with 1 channel. Got 3"):
        plain.reconstruct(np.zeros((64, 64, 3), np.uint8), "YXC")


def test_a_variational_one_makes_images_from_nothing(make) -> None:
    autoencoder = make(kind="variational")
    images = autoencoder.sample(3, 70, seed=1)
    assert images.shape == (3, 1, 70, 70)
    np.testing.assert_array_equal(images, autoencoder.sample(3, 70, seed=1))
    assert np.abs(images[0] - images[1]).max() > 1e-3
    with pytest.raises(InputError, match="Max unpooling needs an image"):
        make(kind="variational", upsampling="max_unpool").sample()


@pytest.mark.parametrize("options", [{"kind": "variational"}, {"kind": "sparse", "sparsity": "kl"}, {"kind": "plain"}])
def test_a_file_holds_all_of_it(make, tmp_path: Path, options: dict[str, Any]) -> None:
    autoencoder, image = make(**options), discs()
    again = fcn.Autoencoder.load(autoencoder.save(tmp_path / "a.safetensors"))
    assert again.to_json() == autoencoder.to_json()
    np.testing.assert_array_equal(again.reconstruct(image), autoencoder.reconstruct(image))
    assert again.describe() == autoencoder.describe()
    # What it was not trained with is in the file all the same, and comes back.
    assert set(again.further) == set(autoencoder.further)
    with pytest.raises(OutputError, match="exists"):
        autoencoder.save(tmp_path / "a.safetensors")


def test_other_files_are_refused(make, tmp_path: Path) -> None:
    file = make(kind="plain").save(tmp_path / "a.safetensors")
    with pytest.raises(SegmenterFileError, match="is an autoencoder, which knows no classes"):
        fcn.Segmenter.load(file)
    with pytest.raises(SegmenterFileError, match="There is no autoencoder file"):
        fcn.Autoencoder.load(tmp_path / "none.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(SegmenterFileError, match="written by another program; an autoencoder is what"):
        fcn.Autoencoder.load(tmp_path / "other.safetensors")
    content = file.read_bytes()
    (tmp_path / "half.safetensors").write_bytes(content[: len(content) // 2])
    with pytest.raises(SegmenterFileError, match="damaged"):
        fcn.Autoencoder.load(tmp_path / "half.safetensors")
    from safetensors import safe_open

    with safe_open(file, "pt") as opened:
        metadata = opened.metadata()
    tensors = load_file(file)
    tensors["head.weight"] = tensors["head.weight"][:, :1].contiguous()
    save_file(tensors, tmp_path / "wrong.safetensors", metadata=metadata)
    with pytest.raises(SegmenterFileError, match="does not fit the network that it names: 1 tensors"):
        fcn.Autoencoder.load(tmp_path / "wrong.safetensors")
