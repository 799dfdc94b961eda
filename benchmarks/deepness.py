"""An exported segmenter in QGIS: the plugin Deepness runs it, and its map is compared with this program's.

    python benchmarks/deepness.py PLUGIN_FOLDER RASTER.tif MODEL.onnx MAP.tif

Run by the Python of QGIS (3.22 or newer), with numpy, onnxruntime and cv2. PLUGIN_FOLDER holds the plugin's package
`deepness` (github.com/PUTvision/qgis-plugin-deepness, its folder `src`), MODEL.onnx is from `napari-fcn export --format
deepness --resolution CENTIMETRES`, and MAP.tif are the labels that `napari-fcn predict` gave for RASTER.tif. Tiles,
their overlap and all else are what the model's metadata say. A row goes to stdout as JSON.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np


def read(path: Path) -> Any:
    """The first band, read by QGIS."""
    from qgis.core import QgsRasterLayer

    layer = QgsRasterLayer(str(path), path.stem, "gdal")
    block = layer.dataProvider().block(1, layer.extent(), layer.width(), layer.height())
    values = [[block.value(row, column) for column in range(layer.width())] for row in range(layer.height())]
    return np.array(values).astype(np.int64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("plugin", "raster", "model", "map"):
        parser.add_argument(name, type=Path)
    arguments = parser.parse_args()
    sys.path.insert(0, str(arguments.plugin))
    from qgis.core import Qgis, QgsApplication, QgsProject, QgsRasterLayer

    application = QgsApplication([], False)
    application.initQgis()
    from deepness.common.channels_mapping import ChannelsMapping, ImageChannelStandaloneBand
    from deepness.common.processing_overlap import ProcessingOverlap, ProcessingOverlapOptions
    from deepness.common.processing_parameters.map_processing_parameters import ProcessedAreaType
    from deepness.common.processing_parameters.segmentation_parameters import SegmentationParameters
    from deepness.processing.map_processor.map_processor_segmentation import MapProcessorSegmentation
    from deepness.processing.models.segmentor import Segmentor

    layer = QgsRasterLayer(str(arguments.raster), "raster", "gdal")
    QgsProject.instance().addMapLayer(layer)
    model = Segmentor(str(arguments.model))
    channels = ChannelsMapping()
    channels.set_number_of_model_inputs(model.get_number_of_channels())
    channels.set_image_channels(
        [ImageChannelStandaloneBand(number, f"band {number}") for number in range(1, layer.bandCount() + 1)]
    )
    side = model.get_input_size_in_pixels()[0]
    processor = MapProcessorSegmentation(
        rlayer=layer,
        vlayer_mask=None,
        map_canvas=MagicMock(),
        params=SegmentationParameters(
            resolution_cm_per_px=model.get_metadata_resolution(),
            tile_size_px=side,
            batch_size=1,
            local_cache=False,
            processed_area_type=ProcessedAreaType.ENTIRE_LAYER,
            mask_layer_id=None,
            input_layer_id=layer.id(),
            input_channels_mapping=channels,
            postprocessing_dilate_erode_size=model.get_metadata_segmentation_small_segment(),
            processing_overlap=ProcessingOverlap(
                ProcessingOverlapOptions.OVERLAP_IN_PERCENT, percentage=model.get_metadata_tiles_overlap()
            ),
            pixel_classification__probability_threshold=model.get_metadata_segmentation_threshold(),
            model=model,
        ),
    )
    processor.run()
    found = processor.get_result_img()[0].astype(np.int64) - 1  # the plugin counts classes from 1
    document = json.loads(model.sess.get_modelmeta().custom_metadata_map["napari_fcn"])
    values = np.array([entry["value"] for entry in document["classes"]])
    same = values[found] == read(arguments.map)
    row = {
        "qgis": Qgis.QGIS_VERSION, "raster": arguments.raster.name, "shape": found.shape, "tile": side,
        "classes": model.outputs_names[0], "same": round(float(same.mean()), 4),
    }  # fmt: skip
    sys.stdout.write(json.dumps(row) + "\n")


if __name__ == "__main__":
    main()
