import numpy as np
import pytest

from sperm_tf.runtimes.field_parser import GRAPH_FILE, FieldParser, resize
from sperm_tf.synthesis.field_renderer import render_field


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A network with random weights, as it is shipped."""
    pytest.importorskip("tf2onnx")
    import keras

    from sperm_tf.models.field_parser import build_field_parser
    from sperm_tf.runtimes.parser_conversion import write_parser

    keras.utils.set_random_seed(1)
    folder = tmp_path_factory.mktemp("parser")
    write_parser(build_field_parser(), folder, training={"num_epochs": 0})
    return folder


@pytest.fixture(scope="module")
def field():
    return render_field(5, height=256, width=320, pixel_size_um=0.1, seed=9)


@pytest.mark.parametrize("runtime", ("openvino", "onnxruntime"))
def test_runtimes_compute_what_keras_does(runtime, folder, field):
    pytest.importorskip(runtime)
    expected, _ = FieldParser(folder, runtime="keras").parse(field.image, head_length_px=44)
    found, scale = FieldParser(folder, runtime=runtime).parse(field.image, head_length_px=44)
    assert scale == 1
    np.testing.assert_allclose(found.chances, expected.chances, atol=2e-4)
    np.testing.assert_allclose(found.vacuoles, expected.vacuoles, atol=2e-4)


def test_kernels_are_stored_in_half_precision(folder):
    assert (folder / GRAPH_FILE).stat().st_size < 2_100_000  # 733,129 parameters


def test_a_damaged_graph_is_named(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    content = bytearray((tmp_path / GRAPH_FILE).read_bytes())
    content[1000] ^= 1
    (tmp_path / GRAPH_FILE).write_bytes(content)
    with pytest.raises(ValueError, match=r"which is damaged. Install sperm_tf again"):
        FieldParser(tmp_path, runtime="onnxruntime")
    with pytest.raises(ValueError, match=r"folder must hold model.onnx and model.json of a parser"):
        FieldParser(tmp_path / "nowhere", runtime="onnxruntime")


@pytest.mark.parametrize(("scale", "size"), [(0.5, (50, 76)), (0.47, (47, 71)), (1.7, (170, 257))])
def test_every_pixel_of_the_resized_field_covers_the_same_length(scale, size):
    field = np.zeros((100, 151, 3), np.uint8)
    field[:, :, :] = np.arange(151, dtype=np.uint8)[None, :, None]
    found = resize(field, scale)
    assert found.shape == (*size, 3)
    columns = np.arange(5, size[1] - 5)
    np.testing.assert_allclose(found[0, columns, 0], (columns + 0.5) / scale - 0.5, atol=1.1)


@pytest.mark.slow
@pytest.mark.parametrize("head_length_px", (45, 70))
def test_tiles_change_nothing(head_length_px):
    """Of a wide field, seen at once and in cores of 40 um, on the released weights."""
    from sperm_tf.fields.pixels import ArrayPixels

    pixels = render_field(3, height=320, width=2_400, pixel_size_um=4.4 / head_length_px, seed=9).image
    parser = FieldParser()
    whole = parser.find_in_tiles(ArrayPixels(pixels), head_length_px=head_length_px, core_units=100)
    parts = parser.find_in_tiles(ArrayPixels(pixels), head_length_px=head_length_px, core_units=1)
    assert len(whole.heads) > 5
    np.testing.assert_allclose([head.box for head in parts.heads], [head.box for head in whole.heads], atol=1)
    for first, second in zip(parts.heads, whole.heads, strict=True):
        assert first.flags == second.flags and np.abs(np.subtract(first.parts_origin, second.parts_origin)).max() <= 1
    assert parts.coverage == pytest.approx(whole.coverage, abs=0.002)
    np.testing.assert_allclose(parts.background, whole.background, atol=1)


def test_wrong_arguments_are_refused(folder):
    parser = FieldParser(folder, runtime="keras")
    with pytest.raises(ValueError, match=r"pixels must be \[H, W, 3\]"):
        parser.find(np.zeros((8, 8), np.uint8), head_length_px=40)
    with pytest.raises(ValueError, match=r"head_length_px must be above 0. Received: head_length_px=0"):
        parser.find(np.zeros((8, 8, 3), np.uint8), head_length_px=0)
    with pytest.raises(ValueError, match=r"Received: shape=\[4000, 4000, 3\], head_length_px=10"):
        parser.find(np.zeros((4000, 4000, 3), np.uint8), head_length_px=10)
    with pytest.raises(ValueError, match="runtime must be one of"):
        FieldParser(folder, runtime="litert")
