"""A cluster gives what one process gives, also when a worker dies."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import zarr

from napari_fcn.errors import InputError
from napari_fcn.inference import cluster
from napari_fcn.inference.predictor import Output
from napari_fcn.io import read_image
from napari_fcn.io.pieces import ArraySink
from napari_fcn.io.store import StoreSink

from .conftest import small_segmenter

distributed = pytest.importorskip("distributed")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # what dask says of closing itself
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    image = np.random.default_rng(0).integers(0, 200, (2, 1030, 1100), np.uint8)
    zarr.create_array(str(tmp_path / "image.zarr"), data=image, chunks=(1, 256, 256), dimension_names=["z", "y", "x"])
    return tmp_path / "image.zarr"


def outputs_in(folder: Path, predictor, **settings) -> list[Output]:
    return [
        Output("labels", StoreSink(folder / "labels.zarr", predictor.frame, np.uint8, **settings)),
        Output("probabilities", StoreSink(folder / "scores.zarr", predictor.frame, "float32", classes=3, **settings)),
    ]


def finish(outputs: list[Output]) -> None:
    for output in outputs:
        output.sink.finish()


def test_two_workers_are_one_process_also_when_killed_and_resumed(source, tmp_path, monkeypatch) -> None:
    """A run is stopped after some windows; one with `resume` computes the others, while a worker is killed."""
    monkeypatch.setattr(cluster, "REGION", 1)
    monkeypatch.setattr(cluster, "TILES", 1)
    predictor = small_segmenter().predictor(read_image(source).array, "ZYX", tile_size=256, overlap=32, device="cpu")
    windows = 2 * 3 * 3
    (tmp_path / "one").mkdir()
    alone = outputs_in(tmp_path / "one", predictor)
    for _ in predictor.write(alone):
        pass
    finish(alone)

    (tmp_path / "two").mkdir()
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as local,
        distributed.Client(local) as client,
    ):
        run = cluster.predict_on(client, predictor, outputs_in(tmp_path / "two", predictor))
        for _ in range(4):
            next(run)
        run.close()  # and the sinks are forgotten, as in a process that was killed
        outputs = outputs_in(tmp_path / "two", predictor, resume=True)
        killed, fractions = None, []
        for fraction in cluster.predict_on(client, predictor, outputs):
            fractions.append(fraction)
            if killed is None:
                killed = client.run(os.getpid).popitem()[1]
                os.kill(killed, signal.SIGKILL)
        assert fractions == pytest.approx(np.arange(5, windows + 1) / windows)
    finish(outputs)
    for name in ("labels.zarr", "scores.zarr"):
        expected, found = (np.asarray(zarr.open_array(tmp_path / part / name)[...]) for part in ("one", "two"))
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_cluster_that_is_not_there_is_one_sentence(monkeypatch) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", "1s")
    began = time.monotonic()
    with pytest.raises(InputError, match=r"no dask scheduler at 'tcp://127\.0\.0\.1:9'"):
        cluster.connect("tcp://127.0.0.1:9")
    assert time.monotonic() - began < 60


def test_arrays_in_this_process_are_no_place_for_a_cluster() -> None:
    predictor = small_segmenter().predictor(np.zeros((70, 70), np.uint8), "YX", device="cpu")
    sink = ArraySink(np.zeros((70, 70), np.uint8), predictor.frame)
    with pytest.raises(InputError, match="give paths"):
        next(cluster.predict_on(None, predictor, [Output("labels", sink)]))
