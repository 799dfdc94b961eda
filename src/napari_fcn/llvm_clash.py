"""Keep a window's LLVM and PyTorch's apart: without this, `import torch` in an open napari can end in a crash.

On Linux, Mesa's OpenGL drivers load libLLVM and make its symbols visible to everything that is loaded later. PyTorch's
builds for NVIDIA cards bring Triton, whose `libtriton` carries an LLVM of its own, of another version and with exported
symbols. Loaded after a window has been drawn, it is bound to Mesa's LLVM and the process dies of a segmentation fault
(seen with Mesa 22.3, LLVM 15 and Triton 3.8). As torch is imported only when somebody trains or predicts, that is the
usual order here. RTLD_DEEPBIND makes a library prefer its own symbols; it is set for this one library, and only when
LLVM is there already, because it would also hide a preloaded memory allocator.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ExtensionFileLoader, ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

__all__ = ["prevent"]

LIBRARY = "triton._C.libtriton"


def prevent() -> None:
    """See to it that Triton, when it is imported one day, is loaded with symbols of its own; does nothing twice."""
    if hasattr(os, "RTLD_DEEPBIND") and not any(isinstance(finder, _TritonFinder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _TritonFinder())


def _llvm_is_loaded() -> bool:
    try:
        return "libLLVM" in Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


class _TritonFinder(MetaPathFinder):
    """Finds one module as Python would, and changes how it is loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != LIBRARY or not _llvm_is_loaded():
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.origin is not None and isinstance(spec.loader, ExtensionFileLoader):
            spec.loader = _OwnSymbolsFirst(fullname, spec.origin)
        return spec


class _OwnSymbolsFirst(ExtensionFileLoader):
    def create_module(self, spec: ModuleSpec) -> ModuleType:
        flags = sys.getdlopenflags()
        sys.setdlopenflags(flags | os.RTLD_DEEPBIND)
        try:
            return super().create_module(spec)
        finally:
            sys.setdlopenflags(flags)
