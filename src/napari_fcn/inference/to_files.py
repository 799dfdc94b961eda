"""An image of any size into files: labels, probabilities and uncertainty, here or on a cluster, at once or in parts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import InputError
from ..io.geotiff import has_georeference
from ..io.image_file import PixelSize
from ..io.store import StoreSink
from .predictor import Kind, Output, Predictor
from .whole_planes import Finishing, WholePlanes

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["to_files"]


class _Segmenter(Finishing, Protocol):
    """What is needed of a segmenter."""

    @property
    def nodata_value(self) -> int: ...

    def predictor(self, image: Any, axes: str | None = None, **options: Any) -> Predictor: ...

    def write(
        self,
        predictor: Predictor,
        outputs: Sequence[Output],
        *,
        done: Sequence[int] | None = None,
        folder: Path | None = None,
    ) -> Iterator[float]: ...


def to_files(
    segmenter: _Segmenter,
    image: Any,
    axes: str | None,
    targets: Mapping[Kind, Path],
    *,
    source: Path | None = None,
    pixel_size: PixelSize | None = None,
    client: Client | None = None,
    resume: bool = False,
    overwrite: bool = False,
    **options: Any,
) -> Iterator[float]:
    """Segment an image into files, giving the finished fraction; each file is complete or not there.

    Closing the generator, an exception or a killed process leave what is finished in a hidden folder beside the result,
    unless it is hardly anything.

    Parameters
    ----------
    segmenter, image, axes, options : as for `Segmenter.predict`.
    targets : where each kind of result goes; labels must be among them.
    source : the image's file: when it has changed, nothing goes on, and a GeoTIFF's place is taken over.
    pixel_size : for an OME-Zarr.
    client : of a dask cluster, which then does the work.
    resume : go on where an earlier run with the same settings was interrupted.
    overwrite : replace results that are there.

    Raises
    ------
    InputError
        Image or settings cannot be used, or what is there was begun with others.
    OutputError
        A place cannot be written.
    """
    begun = StoreSink.begun(targets["labels"]) if resume else None
    plan = None if begun is None else begun.get("plan")
    predictor = segmenter.predictor(image, axes, plan=plan, **options)
    if client is not None and predictor.config.planes != "own":
        raise InputError("A cluster segments `planes` 'own'. Got 'ortho', which needs the whole stack in one process.")
    if client is not None and segmenter.postprocess:
        raise InputError(
            "On a cluster nobody sees a plane whole, and this segmenter filters its labels afterwards "
            f"({segmenter.postprocess}); segment it in one process."
        )
    facts = {**predictor.identity(), "file": None if source is None else _stamp(source), "plan": predictor.plan}
    georeference = source if source is not None and has_georeference(source) else None
    sinks: list[StoreSink] = []
    outputs: list[Output] = []
    try:
        for kind, target in targets.items():
            if begun is not None and target.exists() and not overwrite:
                continue  # it was finished, and the labels were not
            sink = StoreSink(
                target,
                predictor.frame,
                segmenter.postprocess.labels_dtype(segmenter.classes.dtype) if kind == "labels" else "float32",
                classes=len(segmenter.classes) if kind == "probabilities" else None,
                begun={"kind": kind, **facts},
                resume=begun is not None,
                overwrite=overwrite,
                georeference=georeference,
                nodata=segmenter.nodata_value if kind == "labels" else None,
                pixel_size=pixel_size,
            )
            sinks.append(sink)
            if kind == "labels" and segmenter.postprocess:
                outputs += WholePlanes(sink, segmenter, predictor).outputs()
            else:
                outputs.append(Output(kind, sink))
        if client is not None:
            from .cluster import predict_on

            yield from predict_on(client, predictor, outputs)
        else:
            done = [min(rows) for rows in zip(*(sink.done for sink in sinks), strict=True)]
            yield from segmenter.write(predictor, outputs, done=done, folder=sinks[0].folder)
        for output in reversed(outputs):  # the labels last: where they are, everything is
            output.sink.finish()
    except BaseException:
        for sink in sinks:
            sink.abort()
        raise


def _stamp(path: Path) -> list[Any]:
    """What tells a file from a changed one."""
    facts = path.stat()
    return [str(path.resolve()), facts.st_size if path.is_file() else None, facts.st_mtime_ns]
