"""What a network is: an encoder, a decoder and a head.

Importing this package fills the registries of architectures, encoders, weights and upsampling operators, and does not
import torch; the functions that build networks do. The order of the imports is the order of the lists.
"""

from __future__ import annotations

from . import encoders, upsampling  # isort: skip
from . import smp, unet, fcn, deeplab, autoencoder, pixel  # isort: skip
from .build import NetworkSpec, build

__all__ = ["NetworkSpec", "autoencoder", "build", "deeplab", "encoders", "fcn", "pixel", "smp", "unet", "upsampling"]
