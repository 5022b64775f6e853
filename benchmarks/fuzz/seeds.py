"""Small valid files of every supported format, made by code."""

from __future__ import annotations

import io
import pathlib
import tempfile

import numpy as np

from tests import image_files
from tests.microscopy import nd2_bytes, tiff_bytes

SIDE = 24


def make_pictures() -> dict[str, bytes]:
    """Name -> PNG, JPEG, BMP or GIF of every kind that the served graph decodes, and of those that it refuses."""
    lossless = {name: data for name, (data, _) in image_files.lossless_files().items()}
    image = image_files.Image.fromarray(image_files.random_pixels())
    jpegs = {
        "jpeg": image_files.encode(image, "JPEG"),
        "jpeg_progressive": image_files.encode(image, "JPEG", progressive=True, subsampling=0),
        "jpeg_restarts": image_files.encode(image, "JPEG", restart_marker_blocks=4),
        "jpeg_grey": image_files.encode(image.convert("L"), "JPEG"),
        "jpeg_cmyk": image_files.encode(image.convert("CMYK"), "JPEG"),
    }
    refused = (
        "bmp_run_length",
        "bmp_os2",
        "bmp_16_bit",
        "gif_smaller_frame",
        "little_data_png",
        "png_14_of_16_bit_rgb",
    )
    bad = image_files.bad_files()
    return {**lossless, **jpegs, **{name: bad[name][0] for name in refused}}


def make_microscope_files() -> dict[str, bytes]:
    """Name -> TIFF, DICOM, CZI or ND2 file; and one of each picture format, which the same reader takes."""
    pixels = image_files.random_pixels(SIDE, SIDE)
    deep = pixels[:, :, 0].astype(np.uint16) * 257
    page = tiff_bytes.page
    files = {
        "tiff_rgb": tiff_bytes.tiff(page(pixels, tiff_bytes.RGB)),
        "tiff_planar": tiff_bytes.tiff(page(pixels, tiff_bytes.RGB, planar=True, order=">"), order=">"),
        "tiff_tiles": tiff_bytes.tiff(page(pixels, tiff_bytes.RGB, tile=(16, 16))),
        "tiff_big": tiff_bytes.tiff(page(deep, tiff_bytes.MIN_IS_BLACK, rows=5), big=True),
        "tiff_pages": tiff_bytes.tiff(*[page(pixels[:, :, 0], tiff_bytes.MIN_IS_WHITE)] * 2),
        "nd2": nd2_bytes.nd2([pixels], bits=8, samples=3, calibration=0.1),
        "nd2_frames": nd2_bytes.nd2([deep[:, :, None]] * 2, bits=16),
        "czi": _make_czi(pixels),
        "dicom": _make_dicom(pixels),
        "dicom_jpeg": _make_dicom(pixels, encode="JPEG"),
    }
    for name in ("tiff_lzw", "tiff_deflate", "tiff_jpeg", "tiff_packbits"):
        kind = {"tiff_jpeg": "jpeg", "tiff_packbits": "packbits"}.get(name, name.replace("tiff_", "tiff_"))
        files[name] = image_files.encode(
            image_files.Image.fromarray(pixels), "TIFF", compression=kind.replace("deflate", "adobe_deflate")
        )
    files["ome_tiff"] = _make_ome(deep)
    pictures = make_pictures()
    return {**files, **{name: pictures[name] for name in ("png_rgb", "jpeg", "bmp_8_bit_palette", "gif")}}


def _make_ome(pixels: np.ndarray) -> bytes:
    import tifffile

    file = io.BytesIO()
    tifffile.imwrite(file, np.stack([pixels] * 2), ome=True, metadata={"axes": "CYX", "PhysicalSizeX": 0.1})
    return file.getvalue()


def _make_czi(pixels: np.ndarray) -> bytes:
    from pylibCZIrw import czi

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "image.czi")
        with czi.create_czi(str(path)) as file:
            file.write(data=np.ascontiguousarray(pixels[:, :, ::-1]))
            file.write_metadata(scale_x=1e-7, scale_y=1e-7)
        return path.read_bytes()


def _make_dicom(pixels: np.ndarray, encode: str = "") -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.50" if encode else "1.2.840.10008.1.2.1"
    dataset.SOPClassUID, dataset.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.77.1.2", "1.2.3"
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
    dataset.PhotometricInterpretation = "YBR_FULL_422" if encode else "RGB"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit, dataset.PixelRepresentation = 7, 0
    data = image_files.encode(pixels, encode) if encode else pixels.tobytes()
    dataset.PixelData = encapsulate([data]) if encode else data
    dataset["PixelData"].VR = "OB"
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return file.getvalue()
