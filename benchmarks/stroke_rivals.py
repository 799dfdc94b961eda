"""What others make of the same strokes: scikit-image, napari-convpaint, and the script that people write.

Each is a generator of seconds until there is an answer, and the answer: a function of an image `(Y, X, C)`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from stroke_hand import Answer, Array


def scikit_image(images: list[Array], strokes: list[Array], seed: int) -> Iterator[tuple[float, Answer]]:
    """scikit-image's trainable segmentation, as its gallery does it: multi-scale features and a random forest."""
    from skimage import feature, future
    from sklearn.ensemble import RandomForestClassifier

    several = images[0].shape[2] > 1
    describe = partial(
        feature.multiscale_basic_features,
        intensity=True,
        edges=True,
        texture=True,
        sigma_min=1,
        sigma_max=16,
        channel_axis=-1 if several else None,
    )

    def features(image: Array) -> Array:
        return np.asarray(describe(image if several else image[..., 0]))

    begin = time.process_time()
    forest = RandomForestClassifier(n_estimators=50, n_jobs=1, max_depth=10, max_samples=0.05, random_state=seed)
    known = [features(image)[painted > 0] for image, painted in zip(images, strokes, strict=True)]
    forest.fit(np.concatenate(known), np.concatenate([painted[painted > 0] for painted in strokes]))
    yield time.process_time() - begin, lambda image: future.predict_segmenter(features(image), forest)


def convpaint(
    images: list[Array], strokes: list[Array], seed: int, features: str = "gaussian"
) -> Iterator[tuple[float, Answer]]:
    """napari-convpaint with its "gaussian" or "ilastik" features."""
    from napari_convpaint.convpaint_model import ConvpaintModel

    several = images[0].shape[2] > 1

    def arranged(image: Array) -> Array:
        return np.moveaxis(image, -1, 0) if several else image[..., 0]

    begin = time.process_time()
    model = ConvpaintModel(features)
    model.set_params(channel_mode="multi" if several else "single")
    model.train([arranged(image) for image in images], [painted.astype(int) for painted in strokes])
    yield time.process_time() - begin, lambda image: np.asarray(model.segment(arranged(image))).squeeze()


def plain(
    images: list[Array], strokes: list[Array], seed: int, marks: Sequence[float]
) -> Iterator[tuple[float, Answer]]:
    """The script that people write: a U-Net on ImageNet weights, cross-entropy on what is painted; scored at marks."""
    import segmentation_models_pytorch as smp
    import torch
    from plain_script import ENCODER, prepare
    from torch.nn import functional

    from napari_fcn.models.encoders import make_encoder

    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    colours = [np.repeat(image, 3, -1) if image.shape[2] == 1 else image for image in images]
    begin, left = time.process_time(), list(marks)
    unet = smp.Unet(f"tu-{ENCODER}", encoder_weights=None, classes=int(max(s.max() for s in strokes)))
    unet.encoder.load_state_dict(make_encoder(ENCODER, "imagenet", 3).state_dict())
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-3)

    def answer(image: Array) -> Array:
        padded = functional.pad(
            prepare(np.repeat(image, 3, -1) if image.shape[2] == 1 else image)[None],
            (0, -image.shape[1] % 32, 0, -image.shape[0] % 32),
            mode="reflect",
        )
        with torch.inference_mode():
            return unet(padded)[0, :, : image.shape[0], : image.shape[1]].argmax(0).numpy() + 1

    while left:
        unet.train()
        crops, targets = [], []
        for _ in range(8):
            pick = random.integers(len(colours))
            size = min(256, *strokes[pick].shape)
            size -= size % 32
            places = np.argwhere(strokes[pick] > 0)
            middle = places[random.integers(len(places))]
            start = [int(np.clip(m - size // 2, 0, s - size)) for m, s in zip(middle, strokes[pick].shape, strict=True)]
            window = tuple(slice(at, at + size) for at in start)
            crop, target = colours[pick][window], strokes[pick][window]
            if random.random() < 0.5:
                crop, target = crop[::-1], target[::-1]
            if random.random() < 0.5:
                crop, target = crop[:, ::-1], target[:, ::-1]
            crops.append(prepare(crop))
            targets.append(torch.from_numpy(target.astype(np.int64) - 1))
        if len({crop.shape for crop in crops}) > 1:
            continue
        loss = functional.cross_entropy(unet(torch.stack(crops)), torch.stack(targets), ignore_index=-1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        spent = time.process_time() - begin
        if spent >= left[0]:
            left = [mark for mark in left if mark > spent]
            unet.eval()
            yield spent, answer
            begin = time.process_time() - spent
