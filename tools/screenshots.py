"""Make the pictures of the widgets in docs/images anew, each in a viewer of its own, as small PNG files.

A file in tools/screens makes the pictures of one page: `python FILE FOLDER [--theme THEME]`. To add some, add a file;
`_window.py` has what they share, and `FOLDERS` says where its pictures go when that is not docs/images.

make screenshots
make screenshots ARGS="process evaluate"
"""

import argparse
import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

TOOLS = Path(__file__).parent
IMAGES = TOOLS.parent / "docs" / "images"
FOLDERS = {"live": IMAGES / "tutorial", "train": IMAGES / "tutorial"}
COLOURS = 256


def shrink(path: Path) -> bytes:
    """The picture as a PNG with a palette, a third as large; rare colours, such as those of labels, are kept."""
    target = io.BytesIO()
    with Image.open(path) as picture:
        small = picture.convert("RGB").quantize(COLOURS, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        small.save(target, format="PNG", optimize=True)
    return target.getvalue()


def main() -> int:
    """Run the wanted files; one that fails leaves its old pictures, and the exit code says so."""
    known = sorted(path.stem for path in (TOOLS / "screens").glob("[!_]*.py"))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which: {', '.join(known)}; all when none is given")
    parser.add_argument("--theme", default="dark", choices=("dark", "light"))
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in known]
    if unknown:
        parser.error(f"there is no file tools/screens/{unknown[0]}.py; there are {', '.join(known)}")
    failed = 0
    for name in arguments.names or known:
        folder = FOLDERS.get(name, IMAGES)
        with tempfile.TemporaryDirectory() as made:
            script = TOOLS / "screens" / f"{name}.py"
            run = subprocess.run([sys.executable, script, made, "--theme", arguments.theme], check=False)
            if run.returncode:
                print(f"{script} failed.", file=sys.stderr)
                failed = 1
                continue
            folder.mkdir(parents=True, exist_ok=True)
            for picture in sorted(Path(made).glob("*.png")):
                small = shrink(picture)
                (folder / picture.name).write_bytes(small)
                print(f"{folder / picture.name} ({len(small) // 1024} KB)")
    return failed


if __name__ == "__main__":
    raise SystemExit(main())
