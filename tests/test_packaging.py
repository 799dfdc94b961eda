import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest
from npe2 import PluginManifest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "napari_fcn"


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that is built from it."""
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(archives: Path) -> Path:
    (path,) = archives.glob("*.whl")
    return path


def packaged() -> set[str]:
    """All that belongs into the package, by its path from src/: code, manifest, samples with their licences."""
    files = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    return {path.relative_to(PACKAGE.parent).as_posix() for path in files}


def test_the_expected_is_not_empty() -> None:
    assert {
        "napari_fcn/napari.yaml",
        "napari_fcn/py.typed",
        "napari_fcn/samples/nuclei/sample.json",
        "napari_fcn/samples/nuclei/LICENSE",
        "napari_fcn/samples/landsat/LICENSE",
        "napari_fcn/samples/landsat/SOURCE.md",
    } <= packaged()


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        manifest = archive.getinfo("napari_fcn/napari.yaml")
        assert archive.read(manifest) == (PACKAGE / "napari.yaml").read_bytes()
    assert names == packaged()


def test_the_wheel_carries_the_licences(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        licences = {name.split(".dist-info/licenses/")[1] for name in archive.namelist() if "/licenses/" in name}
    assert licences >= {"LICENSE", "src/napari_fcn/samples/nuclei/LICENSE", "src/napari_fcn/samples/landsat/LICENSE"}


def test_the_sdist_is_enough_to_build_and_test(archives: Path) -> None:
    (path,) = archives.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {f"src/{name}" for name in packaged()} <= names
    assert {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "Makefile"} <= names
    assert {"tests/test_packaging.py", "tools/environment.sh", "napari.yaml"} <= names


def test_the_manifest_at_the_top_is_the_one_in_the_package() -> None:
    link = ROOT / "napari.yaml"
    assert link.is_symlink()
    assert link.resolve() == PACKAGE / "napari.yaml"
    assert not (PACKAGE / "napari.yaml").is_symlink()


def test_the_manifest_is_valid_and_every_command_exists() -> None:
    manifest = PluginManifest.from_file(PACKAGE / "napari.yaml")
    manifest.validate_imports()
    assert {widget.display_name for widget in manifest.contributions.widgets} >= {"Train", "Segment"}
    assert {sample.key for sample in manifest.contributions.sample_data} == {"nuclei", "landsat"}


def test_importing_the_package_loads_neither_torch_nor_qt_nor_napari() -> None:
    heavy = ("torch", "qtpy", "PySide6", "PyQt6", "napari", "magicgui", "matplotlib", "skimage", "scipy")
    program = f"import sys, napari_fcn; print(*(name for name in {heavy} if name in sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == ""


OPEN_THE_PLUGIN = """
import sys
from pathlib import Path

import napari
import napari_fcn
from npe2 import PluginManager
from qtpy.QtWidgets import QApplication

assert Path(napari_fcn.__file__).is_relative_to(sys.prefix), napari_fcn.__file__
plugins = PluginManager.instance()
plugins.discover()
assert plugins.get_manifest("napari-fcn").package_version == sys.argv[1]
viewer = napari.Viewer()
for name in ("landsat", "nuclei"):
    viewer.layers.clear()
    assert viewer.open_sample("napari-fcn", name), name
for name in ("Train", "Segment"):
    dock, widget = viewer.window.add_plugin_dock_widget("napari-fcn", name)
    QApplication.processEvents()
    assert dock.isVisible(), name
viewer.close()
print("opened")
"""


@pytest.mark.slow
def test_the_installed_wheel_opens_in_napari(wheel: Path, tmp_path: Path) -> None:
    """In an environment of its own that sees the other packages here, but not this checkout."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = ["-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run([sys.executable, *install], check=True)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout.strip()
    # Packages are found under a path in a .pth file, but the .pth files of editable installs under it are not read.
    (Path(site) / "others.pth").write_text(sysconfig.get_path("purelib"))

    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables["NAPARI_CONFIG"] = str(tmp_path / "settings.yaml")
    ran = subprocess.run(
        [python, "-c", OPEN_THE_PLUGIN, wheel.name.split("-")[1]],
        cwd=tmp_path,
        env=variables,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.stdout.strip().endswith("opened"), ran.stdout + ran.stderr
