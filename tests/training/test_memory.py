"""What a training held is free when it is over, without waiting for Python to look for circles."""

import gc
import weakref
from typing import Any

import numpy as np
import pytest
import torch

from napari_fcn import api

IMAGE = np.random.default_rng(0).random((48, 48)).astype(np.float32)
LABELS = np.indices((48, 48)).sum(axis=0) // 12 % 2
SETTINGS: dict[str, Any] = {"depth": 2, "batch_size": 2, "patch_size": 32, "steps": 2, "device": "cpu"}


def trained() -> Any:
    settings = {"architecture": "unet-classic", "width": 4, "zero": "background", "axes": "YX", **SETTINGS}
    return api.prepare_training([IMAGE], [LABELS], **settings)


def pretrained() -> Any:
    return api.prepare_pretraining([IMAGE], encoder="classic", weights="none", axes="YX", **SETTINGS)


@pytest.mark.parametrize("prepare", [trained, pretrained])
@pytest.mark.parametrize("cancelled", [False, True])
def test_network_and_optimizer_go_with_the_training(prepare: Any, cancelled: bool) -> None:
    # The first optimizer of a process loads parts of torch, which keep the frames of who asked.
    torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    gc.collect()
    gc.disable()
    try:
        training = prepare()
        run = training.run()
        for event in run:
            if cancelled and type(event).__name__ == "Step":
                break
        run.close()
        kept = [weakref.ref(each) for each in (training, training.network, training.learner.optimizer)]
        product = training.product()
        del training, run, event
        assert [reference() is None for reference in kept] == [True] * len(kept)
        assert product.network is not None
    finally:
        gc.enable()
