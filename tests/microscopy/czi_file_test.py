"""CZI files written by pylibCZIrw; the order of the colours is told by the bytes of the file, which are `Bgr24`."""

import numpy as np
import pytest

from sperm_tf.microscopy import MicroscopyError, MissingTilesError, list_planes, open_image, read_image

pytest.importorskip("pylibCZIrw")
RANDOM = np.random.default_rng(5)
RGB = RANDOM.integers(0, 256, (64, 80, 3), dtype=np.uint8)
GREY_16 = RANDOM.integers(0, 65536, (64, 80), dtype=np.uint16)


def write(path, tiles, *, compression: str = "uncompressed:", bits: int | None = None, **metadata):
    """Writes tiles, each a dictionary of pylibCZIrw's arguments."""
    from pylibCZIrw import czi

    with czi.create_czi(str(path), compression_options=compression) as file:
        for tile in tiles:
            file.write(**tile)
        file.write_metadata(**metadata)
    if bits is not None:
        with czi.edit_czi(str(path)) as editor, editor.edit_session() as builder:
            xml = builder.get_xml().replace(
                "</PixelType></Image>", f"</PixelType><ComponentBitCount>{bits}</ComponentBitCount></Image>"
            )
            assert "ComponentBitCount" in xml
            builder.set_xml(xml)
    return path


@pytest.mark.parametrize("compression", ["uncompressed:", "zstd0:ExplicitLevel=1", "zstd1:ExplicitLevel=1"])
def test_colours_are_red_green_and_blue(tmp_path, compression):
    path = write(
        tmp_path / "a.czi", [{"data": RGB[:, :, ::-1].copy()}], compression=compression, scale_x=1e-7, scale_y=1e-7
    )
    if compression == "uncompressed:":
        assert RGB[:, :, ::-1].tobytes() in path.read_bytes()  # blue, green, red, as the name of the pixel type says
    for source in (path, path.read_bytes()):
        image = read_image(source)
        np.testing.assert_array_equal(image.pixels, RGB)
        assert (image.format, image.plane) == ("CZI", "image=0")
        assert image.pixel_size_um == pytest.approx(0.1)
        assert image.pixel_size_source == "CZI Scaling"


def test_12_bits_are_mapped_by_the_component_bit_count(tmp_path):
    tile = {"data": (GREY_16 >> 4)[:, :, None]}
    image = read_image(write(tmp_path / "a.czi", [tile], bits=12))
    np.testing.assert_array_equal(image.pixels[:, :, 0], GREY_16 >> 8)
    assert image.intensity_mapping == "0-4095 to 0-255 (CZI ComponentBitCount)"
    unmarked = write(tmp_path / "b.czi", [tile])
    with pytest.raises(MicroscopyError, match=r"b\.czi must state its range"):
        read_image(unmarked)
    np.testing.assert_array_equal(read_image(unmarked, bits=12).pixels[:, :, 0], GREY_16 >> 8)
    assert read_image(unmarked, bits=12).pixel_size_um is None


def test_focal_planes_channels_and_scenes_are_planes(tmp_path):
    stack = [
        {"data": np.roll(GREY_16, 4 * z + c)[:, :, None], "plane": {"Z": z, "C": c}} for z in range(2) for c in range(2)
    ]
    path = write(tmp_path / "stack.czi", stack)
    assert list_planes(path) == ["Z=0 C=0", "Z=0 C=1", "Z=1 C=0", "Z=1 C=1"]
    np.testing.assert_array_equal(read_image(path, plane="Z=1 C=0").pixels[:, :, 0], np.roll(GREY_16, 4) >> 8)
    scenes = [{"data": RGB, "scene": 0}, {"data": RGB[:32, ::-1].copy(), "scene": 1, "location": (500, 40)}]
    path = write(tmp_path / "scenes.czi", scenes)
    assert list_planes(path) == ["scene=0", "scene=1"]
    np.testing.assert_array_equal(read_image(path, plane=1).pixels, RGB[:32, ::-1, ::-1])


def test_channels_called_red_green_and_blue_are_one_image(tmp_path):
    tiles = [{"data": np.ascontiguousarray(RGB[:, :, c : c + 1]), "plane": {"C": c}} for c in (0, 1, 2)]
    named = write(tmp_path / "a.czi", tiles, channel_names={0: "R", 1: "G", 2: "B"})
    np.testing.assert_array_equal(read_image(named).pixels, RGB)
    assert list_planes(write(tmp_path / "b.czi", tiles))[-1] == "C=RGB"


def test_a_mosaic_is_one_image_and_its_gaps_are_errors(tmp_path):
    tiles = [{"data": RGB}, {"data": RGB[::-1].copy(), "location": (80, 0)}, {"data": RGB, "location": (200, 0)}]
    with open_image(write(tmp_path / "a.czi", tiles)) as reader:
        assert reader.shape == (64, 280)
        region = reader.read_region(10, 70, 20, 20)
        np.testing.assert_array_equal(region[:, :10], RGB[10:30, 70:, ::-1])
        np.testing.assert_array_equal(region[:, 10:], RGB[::-1][10:30, :10, ::-1])
        with pytest.raises(MissingTilesError, match=r"none for 200 of its pixels"):
            reader.read_region(0, 150, 20, 20)


def test_a_file_that_ends_early_is_refused(tmp_path):
    data = write(tmp_path / "a.czi", [{"data": RGB}]).read_bytes()
    for kept in (0.1, 0.5, 0.9):
        with pytest.raises(MicroscopyError, match=r"cut\.czi must be a complete image file"):
            read_image(data[: int(len(data) * kept)], name="cut.czi")
