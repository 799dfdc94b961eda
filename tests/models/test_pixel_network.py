"""The pixel head's network: a part of an image is judged as in the whole image."""

import pytest
import torch

from napari_fcn.config import ModelConfig
from napari_fcn.models import NetworkSpec, build, pixel_network


@pytest.mark.parametrize("strip", [32, 64, 4096])
def test_a_part_is_judged_as_in_the_whole(monkeypatch: pytest.MonkeyPatch, strip: int) -> None:
    monkeypatch.setattr(pixel_network, "STRIP", strip)
    torch.manual_seed(0)
    network = build(NetworkSpec(ModelConfig(architecture="pixel", weights="none"), 1, 3)).eval()
    assert isinstance(network, pixel_network.PixelNetwork)
    with torch.inference_mode():
        for values in (*network.decoder.parameters(), *network.head.parameters()):
            values.normal_(0, 0.1)
        images = torch.randn(2, 1, 160, 192)
        whole, maps = network(images), network.features(images)
        found = network.judge_part(maps, slice(0, 160), slice(0, 192))
        torch.testing.assert_close(found, whole, atol=1e-4, rtol=1e-4)
        # Where maps are enlarged, a part's own edges reach 32 pixels into it.
        found = network.judge_part(maps, slice(10, 150), slice(30, 180))[..., 32:-32, 32:-32]
        torch.testing.assert_close(found, whole[..., 42:118, 62:148], atol=1e-4, rtol=1e-4)
