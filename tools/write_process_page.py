"""Write the tables of docs/process.md anew, from the registry of filters.

.venv/bin/python tools/write_process_page.py
"""

from __future__ import annotations

import re
from pathlib import Path

from napari_fcn.registry import filters

PAGE = Path(__file__).parents[1] / "docs" / "process.md"
PLACE = re.compile(r"(<!-- (before|after) -->\n).*?(<!-- end -->)", re.DOTALL)


def usual(default: object) -> str:
    """A usual value in parentheses."""
    if default is None:
        return ""
    return f" ({default:g})" if isinstance(default, float) else f" ({default})"


def rows(stage: str) -> str:
    """One line for each filter of a stage."""
    lines = []
    for name, entry in filters.items():
        if entry.details["stage"] == stage:
            settings = [
                f"`{key}`{usual(default)} {option.help}" for key, (default, option) in entry.details["settings"].items()
            ]
            lines.append(f"| `{name}` | {entry.summary} | {'; '.join(settings)} |\n")
    return "".join(lines)


def filled(page: str) -> str:
    """The page with both tables as the registry has them."""
    head = "| filter | what it does | settings |\n|---|---|---|\n"
    return PLACE.sub(lambda place: f"{place[1]}\n{head}{rows(place[2])}\n{place[3]}", page)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
