"""Write the tables of docs/models.md anew, from the registries.

.venv/bin/python tools/write_models_page.py
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from napari_fcn.cli.catalogue import Table, describe, tables

PAGE = Path(__file__).parents[1] / "docs" / "models.md"
PLACE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str, tables: Sequence[Table]) -> str:
    """The page with each table between its marks; a mark for a table that there is not is a KeyError."""
    named = {table.name: table.markdown() for table in tables}
    return PLACE.sub(lambda place: f"{place[1]}{named[place[2]]}\n{place[3]}", page)


if __name__ == "__main__":
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), tables(describe())), encoding="utf-8")
