import subprocess
import sys

import pytest

from napari_fcn import llvm_clash

IN_A_WINDOW = """
import napari
import napari_fcn
from qtpy.QtWidgets import QApplication

viewer = napari.Viewer()
QApplication.processEvents()
{imports}
import torch
assert torch.ones(2).sum() == 2
viewer.screenshot(flash=False)  # and OpenGL still has its own
viewer.close()
print("well")
"""


# Each is a way in which Triton comes along where PyTorch brings it.
@pytest.mark.parametrize("imports", ["", "import torchvision", "import segmentation_models_pytorch"])
def test_torch_can_be_imported_after_a_window_was_drawn(imports: str) -> None:
    program = IN_A_WINDOW.format(imports=imports)
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout.strip()) == (0, "well"), ran.stderr[-2000:]


def test_preventing_twice_is_preventing_once() -> None:
    llvm_clash.prevent()
    before = list(sys.meta_path)
    llvm_clash.prevent()
    assert sys.meta_path == before
