"""What a raster says beside its pixels, reading it by pieces, and writing another one that lies on the same ground."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError, OutputError
from ..io.atomic import atomic
from .extra import need

__all__ = ["GeoInfo", "RasterArray", "open_levels", "read_info", "short", "to_cog", "write_geotiff"]

IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
SMALL_BLOCK = 512


@dataclass(frozen=True)
class GeoInfo:
    """The place of a raster's pixels, and what its bands are.

    Attributes
    ----------
    crs : coordinate reference system as WKT, or None.
    transform : (a, b, c, d, e, f): the corner of pixel (row, column) lies at x = a column + b row + c and
        y = d column + e row + f, in map units.
    height, width : in pixels.
    dtype : of all bands.
    bands : a name for each band, such as "red"; empty where the file has none.
    nodata : value of missing pixels, or None.
    overviews : factors of the smaller versions in the file.
    """

    crs: str | None
    transform: tuple[float, ...]
    height: int
    width: int
    dtype: str
    bands: tuple[str, ...]
    nodata: float | None = None
    overviews: tuple[int, ...] = ()

    @property
    def rotated(self) -> bool:
        """Whether rows are not lines of equal y, north up."""
        _, b, _, d, e, _ = self.transform
        return b != 0 or d != 0 or e > 0

    @property
    def pixel_area(self) -> float:
        """Area of a pixel in square map units."""
        a, b, _, d, e, _ = self.transform
        return abs(a * e - b * d)

    def to_json(self) -> dict[str, Any]:
        """As a dictionary, for a layer's metadata."""
        return asdict(self)


@contextlib.contextmanager
def opened(path: Path, **options: Any) -> Iterator[Any]:
    """A rasterio dataset; whatever GDAL says of a file that it cannot read becomes one sentence."""
    (rasterio,) = need("rasterio")
    if options.get("mode") != "w" and not path.exists():
        raise InputError(f"There is no raster {str(path)!r}.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            dataset = rasterio.open(path, **options)
    except rasterio.errors.RasterioError as error:
        raise InputError(f"{str(path)!r} is damaged or no raster that can be read ({short(error)}).") from error
    with dataset:
        try:
            yield dataset
        except rasterio.errors.RasterioIOError as error:
            raise InputError(f"{str(path)!r} cannot be read or written wholly ({short(error)}).") from error


def read_info(path: str | Path) -> GeoInfo:
    """What a raster states about itself.

    Raises
    ------
    InputError
        It is missing, damaged, or has bands of different types.
    """
    with opened(Path(path)) as data:
        kinds = sorted(set(data.dtypes))
        if len(kinds) > 1:
            raise InputError(
                f"All bands must have one type, and {str(path)!r} has {', '.join(kinds)}; "
                f"convert it, for example with gdal_translate -ot Float32."
            )
        tags = data.tags()
        names = tuple(
            data.descriptions[n] or tags.get(f"Band_{n + 1}") or _colour(data.colorinterp[n].name)
            for n in range(data.count)
        )
        return GeoInfo(
            crs=data.crs.to_wkt() if data.crs else None,
            transform=tuple(data.transform)[:6],
            height=data.height,
            width=data.width,
            dtype=str(data.dtypes[0]),
            bands=names,
            nodata=data.nodata,
            overviews=tuple(data.overviews(1)),
        )


def _colour(name: str) -> str:
    return name if name in ("red", "green", "blue") else ""


class RasterArray:
    """A raster, or one of its overviews, as an array `(C, Y, X)` that reads the window that it is sliced for.

    Parameters
    ----------
    path : the file.
    level : None for the full resolution, 0 for the first overview.
    """

    ndim = 3

    def __init__(self, path: str | Path, level: int | None = None) -> None:
        self.path = Path(path)
        self.options = {} if level is None else {"overview_level": level}
        with opened(self.path, **self.options) as data:
            self.shape = (data.count, data.height, data.width)
            self.dtype = np.dtype(data.dtypes[0])
            self.block = tuple(max(SMALL_BLOCK, side) for side in data.block_shapes[0])

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        (windows,) = need("rasterio.windows")
        keys = key if isinstance(key, tuple) else (key,)
        if any(each is Ellipsis for each in keys):
            place = next(n for n, each in enumerate(keys) if each is Ellipsis)
            keys = keys[:place] + (slice(None),) * (4 - len(keys)) + keys[place + 1 :]
        keys += (slice(None),) * (3 - len(keys))
        bands = np.atleast_1d(np.arange(self.shape[0])[keys[0]])
        ranges = [range(size)[_as_slice(each)] for each, size in zip(keys[1:], self.shape[1:], strict=True)]
        starts = [(min(r), max(r) + 1) if len(r) else (0, 0) for r in ranges]
        if any(start == stop for start, stop in starts) or not len(bands):
            return np.empty((len(bands), len(ranges[0]), len(ranges[1])), self.dtype)
        window = windows.Window.from_slices(*starts)
        with opened(self.path, **self.options) as data:
            found = data.read([int(band) + 1 for band in bands], window=window)
        picked = [np.asarray(r) - start for r, (start, _) in zip(ranges, starts, strict=True)]
        found = found[:, picked[0]][:, :, picked[1]]
        for axis in (2, 1, 0):
            if isinstance(keys[axis], (int, np.integer)):
                found = found.take(0, axis=axis)
        result: npt.NDArray[Any] = found
        return result


def _as_slice(key: Any) -> slice:
    if isinstance(key, slice):
        return key
    number = int(key)
    return slice(number, number + 1 or None)


def open_levels(path: str | Path) -> list[RasterArray]:
    """The raster and its overviews, largest first, none of them read."""
    info = read_info(path)
    return [RasterArray(path), *(RasterArray(path, level) for level in range(len(info.overviews)))]


def write_geotiff(
    path: str | Path,
    array: npt.NDArray[Any],
    info: GeoInfo,
    *,
    nodata: float | None = None,
    bands: Sequence[str] = (),
    overwrite: bool = False,
) -> None:
    """Write pixels that lie where `info` says.

    Parameters
    ----------
    path : ends in .tif.
    array : `(Y, X)` or `(C, Y, X)` of `info`'s height and width.
    nodata : value of missing pixels.
    bands : a name for each band.

    Raises
    ------
    OutputError
        The shape is another, or the file cannot be written.
    """
    rasterio, affine = need("rasterio", "affine")
    stack = array if array.ndim == 3 else array[np.newaxis]
    if stack.shape[1:] != (info.height, info.width):
        raise OutputError(
            f"The result must have the raster's {info.height} x {info.width} pixels. Got {stack.shape[1:]}."
        )
    with atomic(path, overwrite=overwrite) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(
            temporary,
            "w",
            driver="GTiff",
            width=info.width,
            height=info.height,
            count=len(stack),
            dtype=stack.dtype,
            crs=info.crs,
            transform=affine.Affine(*info.transform),
            nodata=nodata,
            tiled=True,
            compress="deflate",
            bigtiff="if_safer",
        ) as data:
            data.write(stack)
            for number, name in enumerate(bands, 1):
                data.set_band_description(number, name)


def to_cog(path: str | Path, *, nearest: bool) -> None:
    """Make a GeoTIFF a cloud-optimised one, with overviews; of labels by the nearest pixel, not the mean."""
    (shutil,) = need("rasterio.shutil")
    with atomic(path) as temporary:
        shutil.copy(
            str(path),
            str(temporary),
            driver="COG",
            compress="deflate",
            overview_resampling="nearest" if nearest else "average",
        )


def short(error: BaseException) -> str:
    """The first of what GDAL says."""
    return " ".join(str(error).split(";")[0].split())[:150].rstrip(".")
