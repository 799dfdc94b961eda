"""Kinds of autoencoders: what is hidden from them, and what their code has to be like.

A kind is an `Objective`. It may make of an image the input that the encoder gets, and say which pixels count; and it
may ask something of the code. All images here are standardised, `(N, C, H, W)` with mean 0 and deviation 1 of each
channel; random numbers are torch's own, which the training loop seeds anew for every step.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..pretraining_config import PretrainingConfig
from ..registry import autoencoder_kinds, noises

if TYPE_CHECKING:
    from torch import Tensor

    from ..models.decoders import CodeDecoder

__all__ = [
    "Contractive",
    "Denoising",
    "Masked",
    "Objective",
    "Sparse",
    "Variational",
    "hidden_squares",
    "jacobian_norm",
    "make_objective",
    "sparsity_divergence",
    "unit_gaussian_divergence",
]


class Objective:
    """What a kind asks for; this one, the plain kind, asks for nothing but the image.

    Attributes
    ----------
    code : what the decoder's code is, see `CodeDecoder.make_code`.
    looks_at_inputs : the penalty needs gradients with respect to the input.
    """

    code = "plain"
    looks_at_inputs = False

    def __init__(self, config: PretrainingConfig) -> None:
        self.config = config

    def corrupt(self, images: Tensor, *, fully: bool = False) -> tuple[Tensor, Tensor | None]:
        """What the encoder sees of images, and which pixels count, `(N, H, W)` bool, or None for all.

        `fully` asks for the full strength where it is else drawn for each image.
        """
        return images, None

    def judge(self, decoder: CodeDecoder, coarsest: Tensor, code: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """The code that goes to the decoder while it learns, and a penalty, a scalar.

        Parameters
        ----------
        decoder : what made the code.
        coarsest : the encoder's coarsest features, of which it was made.
        code : `(N, code, h, w)`.
        inputs : what the encoder saw.
        """
        return code, code.new_zeros(())


@autoencoder_kinds.register(
    "plain",
    summary="give back what goes in, through a code that is smaller",
    paper="Hinton and Salakhutdinov 2006, Reducing the dimensionality of data with neural networks",
)
def plain(config: PretrainingConfig) -> Objective:
    """Autoencoder without conditions but the code's size."""
    return Objective(config)


@autoencoder_kinds.register(
    "denoising",
    summary="give back the image without the noise that was added",
    paper="Vincent et al. 2010, Stacked denoising autoencoders",
    settings={"noise": "gaussian", "strength": None},
)
class Denoising(Objective):
    """The input is the image with noise; what counts is the image without (Vincent et al. 2010).

    The strength is drawn for each image, evenly up to the given one, so that weaker noise is removed as well.
    """

    def corrupt(self, images: Tensor, *, fully: bool = False) -> tuple[Tensor, Tensor | None]:
        """See `Objective`."""
        import torch

        strength = images.new_full((len(images), 1, 1, 1), float(self.config.strength or 0))
        if not fully:
            strength = strength * torch.rand_like(strength)
        noisy: Tensor = noises[str(self.config.noise)].target(images, strength)
        return noisy, None


@autoencoder_kinds.register(
    "masked",
    summary="fill in squares that are hidden",
    paper="Pathak et al. 2016, Context encoders; He et al. 2022, Masked autoencoders; Xie et al. 2022, SimMIM",
    settings={"ratio": 0.5, "mask_size": 16},
)
class Masked(Objective):
    """Random squares are hidden, and only they count (He et al. 2022, section 3; for convolutions Pathak et al. 2016).

    A hidden square has the mean of each channel; a convolution cannot leave it out as a transformer does.
    """

    def corrupt(self, images: Tensor, *, fully: bool = False) -> tuple[Tensor, Tensor | None]:
        """See `Objective`."""
        hidden = hidden_squares(images, float(self.config.ratio or 0), int(self.config.mask_size or 1))
        return images.masked_fill(hidden.unsqueeze(1), 0.0), hidden


@autoencoder_kinds.register(
    "variational",
    summary="a code that is close to independent unit Gaussians, from which new images can be drawn",
    paper="Kingma and Welling 2014, Auto-encoding variational Bayes; Higgins et al. 2017, beta-VAE",
    settings={"beta": 0.02},
)
class Variational(Objective):
    """The code is drawn from a Gaussian of which the encoder gives mean and variance (Kingma and Welling 2014).

    What is minimised is the reconstruction's loss for each value plus `beta` times the divergence from the unit
    Gaussian, divided by the number of values. With the squared difference this is the negative evidence lower bound
    when `beta` is twice the variance of what the decoder cannot explain; more is beta-VAE (Higgins et al. 2017).
    """

    code = "gaussian"

    def judge(self, decoder: CodeDecoder, coarsest: Tensor, code: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """See `Objective`."""
        import torch

        if decoder.log_variance is None:
            raise RuntimeError("make_code('gaussian') comes first.")
        code = code.float()
        log_variance = decoder.log_variance(coarsest).float().clamp(-20, 20)
        drawn = code + torch.randn_like(code) * (0.5 * log_variance).exp()
        divergence = unit_gaussian_divergence(code, log_variance).mean()
        return drawn, float(self.config.beta or 0) * divergence / inputs[0].numel()


@autoencoder_kinds.register(
    "sparse",
    summary="a code in which little is at work at a time",
    paper="Ng 2011, Sparse autoencoder; Hoyer 2004, Non-negative matrix factorization with sparseness constraints",
    settings={"sparsity": "l1", "activation": None, "penalty": 0.1},
)
class Sparse(Objective):
    """The code's mean absolute value, or its distance from a small mean activation, is kept low.

    With "l1" it is the absolute value of a code that is brought to mean square 1 (Hoyer 2004): of the code as it is, a
    decoder with larger weights would make up for any shrinkage. With "kl" codes go through a sigmoid, and each
    channel's mean over batch and places is drawn to `activation` by a divergence (Ng 2011, section 3).
    """

    def __init__(self, config: PretrainingConfig) -> None:
        super().__init__(config)
        self.code = "sigmoid" if config.sparsity == "kl" else "plain"

    def judge(self, decoder: CodeDecoder, coarsest: Tensor, code: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """See `Objective`."""
        values = code.float()
        if self.config.sparsity == "kl":
            found = sparsity_divergence(values, float(self.config.activation or 0.05))
        else:
            found = values.abs().mean() / values.square().mean().clamp_min(1e-12).sqrt()
        return code, float(self.config.penalty or 0) * found


@autoencoder_kinds.register(
    "contractive",
    summary="a code that changes little when the image does",
    paper="Rifai et al. 2011, Contractive auto-encoders",
    settings={"penalty": 0.01},
)
class Contractive(Objective):
    """The squared Frobenius norm of the encoder's Jacobian is kept low (Rifai et al. 2011, equation 2).

    It is taken relative to the code's own variation, as the part of it that white noise of deviation 1 in the image
    would make: of the norm as it is, a smaller code and a decoder with larger weights would make up for any penalty
    (Rifai et al. tie these weights together).
    """

    looks_at_inputs = True

    def judge(self, decoder: CodeDecoder, coarsest: Tensor, code: Tensor, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """See `Objective`."""
        norm = jacobian_norm(code.float(), inputs).mean()
        values = code.float()
        variation = (values - values.mean(dim=(0, 2, 3), keepdim=True)).square().sum() / len(values)
        return code, float(self.config.penalty or 0) * norm / variation.clamp_min(1e-12)


def hidden_squares(images: Tensor, ratio: float, side: int) -> Tensor:
    """Which pixels of images are hidden, `(N, H, W)` bool: whole squares of a grid, one at least.

    Of each image as many squares as are nearest to the part `ratio` of them, by lot; the grid begins at the top left.
    """
    import torch

    height, width = images.shape[-2:]
    rows, columns = -(-height // side), -(-width // side)
    count = min(max(1, round(ratio * rows * columns)), rows * columns)
    order = torch.rand(len(images), rows * columns, device=images.device).argsort(dim=1)
    squares = (order < count).reshape(len(images), rows, columns)
    return squares.repeat_interleave(side, dim=1).repeat_interleave(side, dim=2)[:, :height, :width]


def unit_gaussian_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of Gaussians from the unit one, summed over the code: `(N, ...)` to `(N,)`.

    0.5 sum(mean² + variance - 1 - log variance); Kingma and Welling 2014, appendix B.

    Examples
    --------
    >>> import torch
    >>> unit_gaussian_divergence(torch.tensor([[1.0, 2.0]]), torch.zeros(1, 2)).tolist()
    [2.5]
    """
    values = mean.square() + log_variance.exp() - 1 - log_variance
    return 0.5 * values.flatten(1).sum(dim=1)


def sparsity_divergence(code: Tensor, target: float) -> Tensor:
    """Mean over the channels of KL(target || mean activation), two outcomes each; `code` `(N, code, h, w)` in (0, 1).

    Ng 2011, section 3: rho log(rho / m) + (1 - rho) log((1 - rho) / (1 - m)).
    """
    import math

    mean = code.mean(dim=(0, 2, 3)).clamp(1e-6, 1 - 1e-6)
    constant = target * math.log(target) + (1 - target) * math.log(1 - target)
    return (constant - target * mean.log() - (1 - target) * (1 - mean).log()).mean()


def jacobian_norm(code: Tensor, inputs: Tensor) -> Tensor:
    """An unbiased estimate of the squared Frobenius norm of d code / d inputs, for each image: `(N,)`.

    With v of independent numbers +1 and -1 the expected squared length of the row v^T J is the trace of J J^T
    (Hutchinson 1990; Hoffman, Roberts, Yaida 2019 for Jacobians). It takes one backward pass instead of one for each
    value of the code, and can be differentiated. Images of a batch are taken to be independent of each other.

    Parameters
    ----------
    code : `(N, ...)`, computed from `inputs`, which have gradients.
    inputs : `(N, ...)`.
    """
    import torch

    signs = torch.randint_like(code, 2) * 2 - 1
    (row,) = torch.autograd.grad(code, inputs, signs, create_graph=True)
    return row.flatten(1).square().sum(dim=1)


def make_objective(config: PretrainingConfig) -> Objective:
    """The objective of the chosen kind."""
    objective: Any = autoencoder_kinds[config.kind].target(config)
    if not isinstance(objective, Objective):
        raise TypeError(f"A kind of autoencoder is an Objective. Got {type(objective).__name__}.")
    return objective
