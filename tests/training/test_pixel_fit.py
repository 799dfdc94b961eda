"""Parts of fitting the pixel head."""

import pytest
import torch

from napari_fcn.training.pixel_fit import _dropped


@pytest.mark.parametrize("share", [0.1, 0.4])
def test_dropout_drops_its_share_and_keeps_the_mean(share: float) -> None:
    torch.manual_seed(0)
    dropped = _dropped(torch.ones(501, 99), share)  # not a multiple of eight
    assert (dropped == 0).float().mean().item() == pytest.approx(share, abs=0.01)
    assert dropped.mean().item() == pytest.approx(1, abs=0.01)
    kept = dropped[dropped != 0]
    assert kept.max() == kept.min()
    # No place is favoured, such as every eighth.
    assert (dropped.view(-1)[: 8 * 6000].view(-1, 8) == 0).float().mean(0).sub(share).abs().max() < 0.03
