"""One decoder: what a dataset takes, an exported model takes, with the same pixels."""

import numpy as np
import pytest

from sperm_tf.data.decode import UndecodableImageError
from sperm_tf.data.served_decoder import decode_served
from tests import image_files

LOSSLESS, BAD = image_files.lossless_files(), image_files.bad_files()
READ_BY_PILLOW = {
    "bmp_run_length": "8 bits a pixel, RLE8",
    "bmp_16_bit": "16 bits a pixel, no compression",
    "bmp_os2": "the header of OS/2, 12 bytes",
    "gif_smaller_frame": "a canvas of 60x60",
}


@pytest.mark.parametrize("name", LOSSLESS)
def test_the_pixels_are_those_that_the_file_stores(name):
    data, pixels = LOSSLESS[name]
    decoded = decode_served(data)
    np.testing.assert_array_equal(decoded.pixels, pixels)
    assert decoded.source_format == name.partition("_")[0].upper()


@pytest.mark.slow
def test_it_refuses_exactly_what_serving_refuses():
    from sperm_tf.data.preprocess import preprocess_batch

    files = {name: data for name, (data, _) in {**LOSSLESS, **BAD}.items()}
    _, statuses = preprocess_batch(list(files.values()), 32)
    for (name, data), status in zip(files.items(), statuses.numpy(), strict=True):
        if status == b"ok":
            decode_served(data)
            continue
        with pytest.raises(UndecodableImageError, match=r"must .*Received: "):
            decode_served(data)
            pytest.fail(f"{name} was read, and is {status} in serving")


@pytest.mark.parametrize("name", READ_BY_PILLOW)
def test_what_pillow_would_read_is_refused_by_name(name):
    data, _ = BAD[name]
    image_files.pillow_rgb(data)
    with pytest.raises(UndecodableImageError, match=READ_BY_PILLOW[name]) as raised:
        decode_served(data)
    assert "Save it as PNG" in str(raised.value)


@pytest.mark.parametrize("mode", ["RGB", "CMYK"])
def test_a_jpeg_has_the_pixels_that_the_network_sees(mode):
    from sperm_tf.data.preprocess import preprocess_batch

    data = image_files.encode(image_files.Image.fromarray(image_files.random_pixels(64, 64)).convert(mode), "JPEG")
    images, _ = preprocess_batch([data], 64)
    np.testing.assert_array_equal(decode_served(data).pixels, images[0])
