"""`python -m napari_fcn`: the command line, for programs such as torchrun that start modules."""

from __future__ import annotations

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
