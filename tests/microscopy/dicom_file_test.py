"""DICOM files made with pydicom's own data sets; frames are encoded by Pillow."""

import io

import numpy as np
import pytest
from PIL import Image

from sperm_tf.microscopy import MicroscopyError, PlaneChoiceError, list_planes, open_image, read_image

RANDOM = np.random.default_rng(4)
RGB = np.kron(RANDOM.integers(0, 256, (12, 16, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
GREY_16 = RANDOM.integers(0, 65536, (40, 50), dtype=np.uint16)
UNCOMPRESSED, JPEG, JPEG_2000 = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.90"
MICROSCOPIC, WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.2", "1.2.840.10008.5.1.4.1.1.77.1.6"


def sequence(**values):
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence

    item = Dataset()
    for key, value in values.items():
        setattr(item, key, value)
    return Sequence([item])


def dicom(
    frames: list[np.ndarray], *, syntax: str = UNCOMPRESSED, encode=None, sop: str = MICROSCOPIC, **values
) -> bytes:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import generate_uid

    first = frames[0]
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = sop, generate_uid()
    dataset.Rows, dataset.Columns = first.shape[:2]
    dataset.SamplesPerPixel = 3 if first.ndim == 3 else 1
    dataset.PhotometricInterpretation = "RGB" if first.ndim == 3 else "MONOCHROME2"
    if first.ndim == 3:
        dataset.PlanarConfiguration = 0
    dataset.BitsAllocated = dataset.BitsStored = 8 * first.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, 0
    if len(frames) > 1:
        dataset.NumberOfFrames = len(frames)
    for key, value in values.items():
        setattr(dataset, key, value)
    if encode is None:
        dataset.PixelData = b"".join(frame.tobytes() for frame in frames)
        dataset["PixelData"].VR = "OW" if first.itemsize == 2 else "OB"
    else:
        dataset.PixelData = encapsulate([encode(frame) for frame in frames])
        dataset["PixelData"].VR = "OB"
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return file.getvalue()


def by_pillow(image_format: str, **options):
    def encode(frame: np.ndarray) -> bytes:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, image_format, **options)
        return file.getvalue()

    return encode


def grey(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels[:, :, None], 3, axis=2)


def test_rgb_keeps_its_pixels():
    image = read_image(dicom([RGB]))
    np.testing.assert_array_equal(image.pixels, RGB)
    assert (image.format, image.pixel_size_um, image.plane) == ("DICOM", None, "image=0")


def test_rgb_by_planes():
    planar = dicom([RGB.transpose(2, 0, 1)], Rows=96, Columns=128, SamplesPerPixel=3, PlanarConfiguration=1)
    np.testing.assert_array_equal(read_image(planar).pixels, RGB)


@pytest.mark.parametrize(
    ("photometric", "expected"), [("MONOCHROME2", GREY_16 >> 8), ("MONOCHROME1", (65535 - GREY_16) >> 8)]
)
def test_16_bits(photometric, expected):
    image = read_image(dicom([GREY_16], PhotometricInterpretation=photometric))
    np.testing.assert_array_equal(image.pixels, grey(expected))


def test_12_bits_stored_are_mapped_as_such():
    data = dicom([(GREY_16 >> 4) | 0xA000], BitsStored=12, HighBit=11)  # an overlay lies in the bits above
    image = read_image(data)
    np.testing.assert_array_equal(image.pixels, grey(GREY_16 >> 8))
    assert image.intensity_mapping == "0-4095 to 0-255 (DICOM BitsStored)"


def test_12_bits_that_the_file_calls_16_are_refused_and_read_as_told():
    data = dicom([GREY_16 >> 4])
    with pytest.raises(MicroscopyError, match=r"cell\.dcm must state its range"):
        read_image(data, name="cell.dcm")
    np.testing.assert_array_equal(read_image(data, bits=12).pixels, grey(GREY_16 >> 8))


def test_signed_samples():
    signed = (GREY_16.astype(np.int32) - 32768).astype(np.int16)
    image = read_image(dicom([signed], PixelRepresentation=1))
    np.testing.assert_array_equal(image.pixels, grey(np.rint((signed + 32768.0) * 255 / 65535)))


@pytest.mark.parametrize(
    ("function", "low", "high"), [(None, 500.5, 1499.5), ("LINEAR", 500.5, 1499.5), ("LINEAR_EXACT", 501, 1501)]
)
@pytest.mark.parametrize("where", ["file", "shared"])
def test_the_window_maps_after_the_rescaling(function, low, high, where):
    """PS3.3, C.11.2.1.2: centre 1001, width 1000, of 2 x + 10."""
    window = {"WindowCenter": 1001, "WindowWidth": 1000}
    if function:
        window["VOILUTFunction"] = function
    rescaling = {"RescaleSlope": 2, "RescaleIntercept": 10}
    values = {**window, **rescaling}
    if where == "shared":
        group = sequence(FrameVOILUTSequence=sequence(**window), PixelValueTransformationSequence=sequence(**rescaling))
        values = {"SharedFunctionalGroupsSequence": group}
    stored = GREY_16 >> 6
    image = read_image(dicom([stored], **values))
    if function != "LINEAR_EXACT":
        low, high = 1001 - 0.5 - 999 / 2, 1001 - 0.5 + 999 / 2
    expected = np.rint(np.clip((2.0 * stored + 10 - low) / (high - low), 0, 1) * 255)
    np.testing.assert_array_equal(image.pixels, grey(expected))
    assert "DICOM window" in image.intensity_mapping


def test_a_window_that_is_not_linear_is_refused():
    for values in ({"VOILUTFunction": "SIGMOID", "WindowCenter": 10, "WindowWidth": 5},):
        with pytest.raises(MicroscopyError, match="VOILUTFunction SIGMOID"):
            read_image(dicom([GREY_16], **values))


def test_a_palette():
    colours = RANDOM.integers(0, 65536, (256, 3), dtype=np.uint16)
    values = {"PhotometricInterpretation": "PALETTE COLOR"}
    for at, colour in enumerate(("Red", "Green", "Blue")):
        values[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        values[f"{colour}PaletteColorLookupTableData"] = colours[:, at].tobytes()
    indices = RGB[:, :, 0]
    np.testing.assert_array_equal(read_image(dicom([indices], **values)).pixels, colours[indices] >> 8)


def test_jpeg_and_jpeg_2000():
    encode = by_pillow("JPEG", quality=95, subsampling=1)
    image = read_image(dicom([RGB], syntax=JPEG, encode=encode, PhotometricInterpretation="YBR_FULL_422"))
    expected = np.asarray(Image.open(io.BytesIO(encode(RGB)))).astype(int)
    assert np.abs(image.pixels - expected).max() <= 2  # two conversions of YCbCr, each rounded
    encode = by_pillow("JPEG2000", no_jp2=True)
    image = read_image(dicom([RGB], syntax=JPEG_2000, encode=encode, PhotometricInterpretation="YBR_RCT"))
    np.testing.assert_array_equal(image.pixels, RGB)


def test_rle():
    import pydicom

    dataset = pydicom.dcmread(io.BytesIO(dicom([RGB])))
    dataset.compress(pydicom.uid.RLELossless)
    file = io.BytesIO()
    dataset.save_as(file)
    np.testing.assert_array_equal(read_image(file.getvalue()).pixels, RGB)


@pytest.mark.parametrize(
    ("values", "um", "source"),
    [
        ({"PixelSpacing": [0.0001, 0.0001]}, 0.1, "DICOM PixelSpacing"),
        ({"SharedFunctionalGroupsSequence": "measures"}, 0.1, "DICOM PixelSpacing"),
        ({}, None, "not stated in the file"),
    ],
)
def test_pixel_size_is_in_millimetres(values, um, source):
    if values.get("SharedFunctionalGroupsSequence"):
        measures = sequence(PixelSpacing=[0.0001, 0.0001])
        values = {"SharedFunctionalGroupsSequence": sequence(PixelMeasuresSequence=measures)}
    image = read_image(dicom([RGB], **values))
    assert image.pixel_size_um == (None if um is None else pytest.approx(um))
    assert image.pixel_size_source == source


def test_a_file_of_several_frames_asks_for_one():
    data = dicom([RGB, RGB[::-1], RGB[:, ::-1]])
    assert list_planes(data) == ["frame=0", "frame=1", "frame=2"]
    with pytest.raises(PlaneChoiceError, match="one of the 3 planes"):
        read_image(data)
    np.testing.assert_array_equal(read_image(data, plane="frame=1").pixels, RGB[::-1])


def slide(side: tuple[int, int], tile: int, **options):
    """A slide, and its tiles in rows, padded at the border."""
    pixels = RANDOM.integers(0, 256, (*side, 3), dtype=np.uint8)
    padded = np.pad(pixels, ((0, -side[0] % tile), (0, -side[1] % tile), (0, 0)))
    places = [(top, left) for top in range(0, side[0], tile) for left in range(0, side[1], tile)]
    tiles = [padded[top : top + tile, left : left + tile] for top, left in places]
    return pixels, places, tiles


MATRIX = {"TotalPixelMatrixRows": 100, "TotalPixelMatrixColumns": 130, "sop": WHOLE_SLIDE}


def test_the_tiles_of_a_slide_are_one_image():
    pixels, _, tiles = slide((100, 130), 32)
    data = dicom(
        tiles, DimensionOrganizationType="TILED_FULL", **MATRIX, ImagedVolumeWidth=0.013, ImagedVolumeHeight=0.01
    )
    assert list_planes(data) == ["image=0"]
    image = read_image(data)
    np.testing.assert_array_equal(image.pixels, pixels)
    assert image.pixel_size_um == pytest.approx(0.1)
    with open_image(data) as reader:
        np.testing.assert_array_equal(reader.read_region(30, 60, 40, 70), pixels[30:70, 60:130])


def test_focal_planes_and_optical_paths_of_a_slide_are_planes():
    made = [slide((100, 130), 32) for _ in range(4)]
    tiles = [tile for _, _, part in made for tile in part]
    options = {"TotalPixelMatrixFocalPlanes": 2, "NumberOfOpticalPaths": 2, "DimensionOrganizationType": "TILED_FULL"}
    data = dicom(tiles, **MATRIX, **options)
    assert list_planes(data) == ["path=0 Z=0", "path=0 Z=1", "path=1 Z=0", "path=1 Z=1"]
    for at, (pixels, _, _) in enumerate(made):
        np.testing.assert_array_equal(read_image(data, plane=at).pixels, pixels)


def groups(places):
    from pydicom.sequence import Sequence

    return Sequence(
        [
            sequence(
                PlanePositionSlideSequence=sequence(
                    RowPositionInTotalImagePixelMatrix=top + 1, ColumnPositionInTotalImagePixelMatrix=left + 1
                )
            )[0]
            for top, left in places
        ]
    )


def test_sparse_tiles_go_where_they_say_and_missing_ones_are_an_error():
    pixels, places, tiles = slide((100, 130), 32)
    order = RANDOM.permutation(len(tiles))
    shuffled = {"PerFrameFunctionalGroupsSequence": groups([places[at] for at in order])}
    data = dicom([tiles[at] for at in order], **MATRIX, **shuffled)
    np.testing.assert_array_equal(read_image(data).pixels, pixels)
    fewer = dicom(tiles[:-1], **MATRIX, PerFrameFunctionalGroupsSequence=groups(places[:-1]))
    with pytest.raises(MicroscopyError, match=r"slide\.dcm must hold all tiles of the region. Received: none for 8 of"):
        read_image(fewer, name="slide.dcm")
    with open_image(fewer) as reader:
        np.testing.assert_array_equal(reader.read_region(0, 0, 90, 130), pixels[:90])


def test_a_slide_without_places_or_with_too_few_tiles_is_refused():
    _, _, tiles = slide((100, 130), 32)
    with pytest.raises(MicroscopyError, match="must state where each of its 20 tiles lies"):
        read_image(dicom(tiles, **MATRIX))
    with pytest.raises(MicroscopyError, match="must hold all tiles of its slide"):
        read_image(dicom(tiles[:-1], DimensionOrganizationType="TILED_FULL", **MATRIX))


@pytest.mark.parametrize("kind", ["uncompressed", "JPEG", "JPEG 2000"])
def test_a_file_that_ends_early_is_refused(kind):
    encode = {"uncompressed": None, "JPEG": by_pillow("JPEG"), "JPEG 2000": by_pillow("JPEG2000", no_jp2=True)}[kind]
    syntax = {"uncompressed": UNCOMPRESSED, "JPEG": JPEG, "JPEG 2000": JPEG_2000}[kind]
    data = dicom([RGB], syntax=syntax, encode=encode)
    read_image(data)
    for size in (400, int(len(data) * 0.4), int(len(data) * 0.9)):
        with pytest.raises(MicroscopyError, match=r"cut\.dcm"):
            read_image(data[:size], name="cut.dcm")


@pytest.mark.parametrize(("syntax", "kind"), [(JPEG, "JPEG"), (JPEG_2000, "JPEG2000")])
def test_a_frame_whose_tail_is_zeros_is_refused(syntax, kind):
    encode = by_pillow(kind, **({"no_jp2": True} if kind == "JPEG2000" else {}))

    encoded = [encode(RGB), encode(RGB)]
    half = len(encoded[1]) // 2
    encoded[1] = encoded[1][:half] + bytes(len(encoded[1]) - half)
    data = dicom([RGB, RGB], syntax=syntax, encode=lambda frame: encoded.pop(0))
    assert read_image(data, plane=0).pixels.shape == RGB.shape
    with pytest.raises(MicroscopyError, match="frame 1 ends before its last pixel"):
        read_image(data, plane=1)


def test_a_jpeg_frame_without_its_middle_is_refused():
    whole = by_pillow("JPEG")(RGB)
    data = dicom([RGB], syntax=JPEG, encode=lambda frame: whole[: len(whole) * 2 // 3] + whole[-2:])
    with pytest.raises(MicroscopyError, match="frame 0 ends before its last pixel"):
        read_image(data)


def test_a_file_without_an_image_is_refused():
    from pydicom.dataset import Dataset, FileMetaDataset

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UNCOMPRESSED
    dataset.SOPClassUID, dataset.SOPInstanceUID = MICROSCOPIC, "1.2.3"
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True, implicit_vr=False, little_endian=True)
    with pytest.raises(MicroscopyError, match=r"report\.dcm must be a DICOM image"):
        read_image(file.getvalue(), name="report.dcm")


def test_bits_that_cannot_be_are_refused_by_the_name_of_the_file():
    with pytest.raises(MicroscopyError, match=r"^a.dcm: significant bits must be 1 to 16. Received: bits=0"):
        read_image(dicom([GREY_16]), bits=0, name="a.dcm")


def test_more_frames_than_a_file_can_have_are_not_listed():
    with pytest.raises(MicroscopyError, match=r"a.dcm must have at most 1,000,000 planes. Received: 2,000,000"):
        list_planes(dicom([GREY_16], NumberOfFrames=2_000_000), name="a.dcm")
