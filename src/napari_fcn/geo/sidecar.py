"""Files beside a map of labels that tell QGIS and GDAL the classes' names and colours."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from xml.etree import ElementTree as Xml

from ..data.classes import LabelClass
from ..io.atomic import atomic

__all__ = ["PALETTE", "hex_to_rgb", "write_sidecars"]

PALETTE = 256


def write_sidecars(path: str | Path, classes: Iterable[LabelClass]) -> list[Path]:
    """Write `<path>.aux.xml` (GDAL: colour table, category names, raster attribute table) and `<stem>.qml` (QGIS).

    Both are replaced where they exist: they belong to the map that was just written.

    Returns
    -------
    list of Path
        The two files.
    """
    table = sorted(classes, key=lambda entry: entry.value)
    target = Path(path)
    found = []
    for sidecar, make in ((target.with_name(f"{target.name}.aux.xml"), _pam), (target.with_suffix(".qml"), _style)):
        root = make(table)
        Xml.indent(root)
        with atomic(sidecar) as temporary:  # without a declaration: GDAL would not look behind it
            temporary.write_bytes(Xml.tostring(root, encoding="utf-8", xml_declaration=False))
        found.append(sidecar)
    return found


def hex_to_rgb(color: str) -> tuple[int, int, int]:
    """Red, green and blue from 0 to 255 of '#rrggbb'."""
    text = color.lstrip("#")
    red, green, blue = (int(text[start : start + 2], 16) for start in (0, 2, 4))
    return red, green, blue


def _pam(classes: list[LabelClass]) -> Xml.Element:
    """GDAL's persistent auxiliary metadata, see https://gdal.org/user/raster_data_model.html."""
    root = Xml.Element("PAMDataset")
    band = Xml.SubElement(root, "PAMRasterBand", band="1")
    by_value = {entry.value: entry for entry in classes}
    if classes and classes[0].value >= 0 and classes[-1].value < PALETTE:
        Xml.SubElement(band, "ColorInterp").text = "Palette"
        colours = Xml.SubElement(band, "ColorTable")
        names = Xml.SubElement(band, "CategoryNames")
        for value in range(classes[-1].value + 1):
            entry = by_value.get(value)
            red, green, blue = hex_to_rgb(entry.color) if entry else (0, 0, 0)
            Xml.SubElement(colours, "Entry", c1=str(red), c2=str(green), c3=str(blue), c4="255" if entry else "0")
            Xml.SubElement(names, "Category").text = entry.name if entry else ""
    table = Xml.SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for number, (name, kind, usage) in enumerate(_COLUMNS):
        column = Xml.SubElement(table, "FieldDefn", index=str(number))
        for key, text in (("Name", name), ("Type", str(kind)), ("Usage", str(usage))):
            Xml.SubElement(column, key).text = text
    for number, each in enumerate(classes):
        row = Xml.SubElement(table, "Row", index=str(number))
        for cell in (str(each.value), each.name, *map(str, hex_to_rgb(each.color)), "255"):
            Xml.SubElement(row, "F").text = cell
    return root


# Name; type: 0 whole number, 2 text; usage: 5 value, 2 name, 6 to 9 red, green, blue, alpha.
_COLUMNS = (("Value", 0, 5), ("Class", 2, 2), ("Red", 0, 6), ("Green", 0, 7), ("Blue", 0, 8), ("Alpha", 0, 9))


def _style(classes: list[LabelClass]) -> Xml.Element:
    root = Xml.Element("qgis", version="3.22", styleCategories="Symbology")
    renderer = Xml.SubElement(
        Xml.SubElement(root, "pipe"),
        "rasterrenderer",
        type="paletted",
        band="1",
        opacity="1",
        alphaBand="-1",
        nodataColor="",
    )
    palette = Xml.SubElement(renderer, "colorPalette")
    for entry in classes:
        Xml.SubElement(
            palette, "paletteEntry", value=str(entry.value), color=entry.color, label=entry.name, alpha="255"
        )
    return root
