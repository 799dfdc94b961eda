"""What a network is: an encoder, a decoder and a head.

Importing this package fills the registries of architectures, encoders, weights and upsampling operators, and does not
import torch; the functions that build networks do.
"""

from __future__ import annotations

from . import encoders, smp, upsampling
from .build import NetworkSpec, build

__all__ = ["NetworkSpec", "build", "encoders", "smp", "upsampling"]
