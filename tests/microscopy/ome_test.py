"""OME-TIFF: pixel size, channels, planes, and files that are a part of an image."""

import io
import pathlib

import numpy as np
import pytest

from sperm_tf.microscopy import MicroscopyError, PlaneChoiceError, list_planes, read_image
from tests.microscopy.tiff_bytes import DESCRIPTION, MIN_IS_BLACK, page, text, tiff

RANDOM = np.random.default_rng(1)
STACK = RANDOM.integers(0, 256, (3, 40, 50), dtype=np.uint8)
NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def ome_xml(pixels: str, inside: str, name: str = "field", uuid: str = "") -> str:
    return (
        f'<?xml version="1.0" encoding="UTF-8"?><OME xmlns="{NAMESPACE}"{uuid}><Image ID="Image:0" Name="{name}">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="50" SizeY="40" {pixels}>{inside}</Pixels>'
        "</Image></OME>"
    )


def stack_of(xml: str, planes=STACK) -> bytes:
    tag = {DESCRIPTION: text(xml)}
    return tiff(*(page(plane, MIN_IS_BLACK, tag if at == 0 else None) for at, plane in enumerate(planes)))


def channels(*names: str) -> str:
    listed = "".join(
        f'<Channel ID="Channel:0:{at}" SamplesPerPixel="1"{f" Name={name!r}" if name else ""}/>'.replace("'", '"')
        for at, name in enumerate(names)
    )
    return f'{listed}<TiffData IFD="0" PlaneCount="{len(names)}"/>'


CHANNELS = 'SizeC="3" SizeZ="1" SizeT="1"'


@pytest.mark.parametrize(
    ("names", "order"), [(("Red", "Green", "Blue"), (0, 1, 2)), (("B", "G", "R"), (2, 1, 0))], ids=["RGB", "BGR"]
)
def test_channels_called_red_green_and_blue_are_one_image(names, order):
    data = stack_of(ome_xml(CHANNELS, channels(*names)))
    assert list_planes(data) == ["image=0"]
    image = read_image(data)
    assert image.format == "OME-TIFF"
    np.testing.assert_array_equal(image.pixels, STACK[list(order)].transpose(1, 2, 0))


@pytest.mark.parametrize("names", [("", "", ""), ("DAPI", "FITC", "TRITC"), ("Red", "Red", "Blue")])
def test_other_channels_are_planes_and_can_be_read_as_colours(names):
    data = stack_of(ome_xml(CHANNELS, channels(*names)))
    assert list_planes(data) == ["C=0", "C=1", "C=2", "C=RGB"]
    with pytest.raises(PlaneChoiceError, match="'C=0', 'C=1', 'C=2', 'C=RGB'"):
        read_image(data)
    np.testing.assert_array_equal(read_image(data, plane="C=RGB").pixels, STACK.transpose(1, 2, 0))
    np.testing.assert_array_equal(read_image(data, plane="C=1").pixels[:, :, 2], STACK[1])


def test_three_focal_planes_are_no_colours():
    inside = '<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData IFD="0" PlaneCount="3"/>'
    data = stack_of(ome_xml('SizeC="1" SizeZ="3" SizeT="1"', inside))
    assert list_planes(data) == ["Z=0", "Z=1", "Z=2"]
    np.testing.assert_array_equal(read_image(data, plane="Z=2").pixels[:, :, 0], STACK[2])


def test_planes_go_by_the_order_of_the_dimensions():
    planes = RANDOM.integers(0, 256, (4, 40, 50), dtype=np.uint8)
    data = stack_of(
        ome_xml('SizeC="2" SizeZ="2" SizeT="1"', channels("a", "b") + "", "x").replace(
            'PlaneCount="2"', 'PlaneCount="4"'
        ),
        planes,
    )
    assert list_planes(data) == ["Z=0 C=0", "Z=0 C=1", "Z=1 C=0", "Z=1 C=1"]
    np.testing.assert_array_equal(read_image(data, plane="Z=1 C=0").pixels[:, :, 0], planes[2])


@pytest.mark.parametrize(
    ("size", "um"),
    [
        ('PhysicalSizeX="0.1" PhysicalSizeY="0.1"', 0.1),
        ('PhysicalSizeX="100" PhysicalSizeXUnit="nm" PhysicalSizeY="0.0001" PhysicalSizeYUnit="mm"', 0.1),
        ('PhysicalSizeX="0.1" PhysicalSizeXUnit="µm" PhysicalSizeY="0.1" PhysicalSizeYUnit="µm"', 0.1),
        ('PhysicalSizeX="1" PhysicalSizeXUnit="pixel" PhysicalSizeY="1" PhysicalSizeYUnit="pixel"', None),
        ('PhysicalSizeX="0" PhysicalSizeY="0"', None),
        ("", None),
    ],
)
def test_pixel_size(size, um):
    inside = '<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData IFD="0" PlaneCount="1"/>'
    image = read_image(stack_of(ome_xml(f'SizeC="1" SizeZ="1" SizeT="1" {size}', inside), STACK[:1]))
    assert image.pixel_size_um == (None if um is None else pytest.approx(um))
    if um:
        assert image.pixel_size_source == "OME PhysicalSizeX"


def multi_file(folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """Two files of one plane each, as the OME-TIFF specification describes them."""
    uuids = [f"urn:uuid:{at}" for at in range(2)]
    inside = '<Channel ID="Channel:0:0" SamplesPerPixel="1"/>' + "".join(
        f'<TiffData FirstZ="{at}" IFD="0" PlaneCount="1"><UUID FileName="z{at}.ome.tif">{uuid}</UUID></TiffData>'
        for at, uuid in enumerate(uuids)
    )
    for at, uuid in enumerate(uuids):
        xml = ome_xml('SizeC="1" SizeZ="2" SizeT="1"', inside, uuid=f' UUID="{uuid}"')
        (folder / f"z{at}.ome.tif").write_bytes(stack_of(xml, STACK[at : at + 1]))
    return folder / "z0.ome.tif", folder / "z1.ome.tif"


def test_a_file_of_several_is_read_with_its_neighbours(tmp_path):
    for path in multi_file(tmp_path):
        assert list_planes(path) == ["Z=0", "Z=1"]
        for at in range(2):
            np.testing.assert_array_equal(read_image(path, plane=at).pixels[:, :, 1], STACK[at])


def test_a_missing_neighbour_is_named(tmp_path):
    first, second = multi_file(tmp_path)
    data = first.read_bytes()
    second.unlink()
    for plane in (None, 0, 1):
        with pytest.raises(MicroscopyError, match=r"OME-TIFF of 2 files.*missing: z1\.ome\.tif"):
            read_image(first, plane=plane)
    with pytest.raises(MicroscopyError, match=r"the bytes of one file; missing: z0\.ome\.tif, z1\.ome\.tif"):
        read_image(data, plane=0)


def test_a_neighbour_elsewhere_on_the_disk_is_not_opened(tmp_path):
    first, _ = multi_file(tmp_path)
    first.write_bytes(first.read_bytes().replace(b"z1.ome.tif", b"../.ome.tif"[:10]))
    with pytest.raises(MicroscopyError, match="must lie beside it"):
        list_planes(first)


def test_fewer_pages_than_planes_are_an_error():
    inside = '<Channel ID="Channel:0:0" SamplesPerPixel="1"/><TiffData IFD="0" PlaneCount="3"/>'
    data = stack_of(ome_xml('SizeC="1" SizeZ="3" SizeT="1"', inside), STACK[:2])
    for plane in range(3):
        if plane < 2:
            continue
        with pytest.raises(MicroscopyError, match="page 2 is missing"):
            read_image(data, plane=plane)


def test_metadata_in_another_file_are_an_error():
    inside = '<BinaryOnly MetadataFile="a.companion.ome" UUID="urn:uuid:1"/>'
    xml = f'<OME xmlns="{NAMESPACE}" UUID="urn:uuid:0">{inside}</OME>'
    with pytest.raises(MicroscopyError, match=r"whose metadata are in a\.companion\.ome"):
        read_image(stack_of(xml, STACK[:1]))


def test_labels_and_thumbnails_of_a_slide_are_no_planes():
    import tifffile

    file = io.BytesIO()
    with tifffile.TiffWriter(file, ome=True) as writer:
        writer.write(STACK[0], metadata={"Name": "slide"})
        writer.write(STACK[1][:20, :20], metadata={"Name": "label image"})
        writer.write(STACK[2][:30], metadata={"Name": "Macro"})
    np.testing.assert_array_equal(read_image(file.getvalue()).pixels[:, :, 0], STACK[0])
