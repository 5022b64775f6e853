import numpy as np
import pytest
from PIL import Image

from tests import image_files


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global overlay, preprocess
    from sperm_tf.data.preprocess import preprocess
    from sperm_tf.explain import overlay


@pytest.mark.parametrize("size", [(90, 150), (151, 88), (120, 120), (17, 200)], ids=str)
def test_a_map_lies_on_the_image_as_the_network_saw_it(size):
    """A blob in the image, seen through preprocessing and pooled to a map, returns to where it was."""
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    row, column = height * 0.3, width * 0.6
    blob = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / (2 * (max(size) / 12) ** 2))
    pixels = np.repeat((blob * 255).astype(np.uint8)[:, :, None], 3, axis=2)
    seen = preprocess(image_files.encode(pixels, "PNG"), 112).numpy()[:, :, 0] / 255
    heat_map = seen.reshape(28, 4, 28, 4).mean(axis=(1, 3))
    projected = overlay.project_map(heat_map, height=height, width=width)
    assert projected.shape == (height, width)
    assert np.abs(projected - blob).max() < 0.12
    weights = projected / projected.sum()
    truth = blob / blob.sum()
    assert (weights * rows).sum() == pytest.approx((truth * rows).sum(), abs=1)
    assert (weights * columns).sum() == pytest.approx((truth * columns).sum(), abs=1)


def test_zeros_leave_the_image_grey_and_ones_colour_it():
    pixels = image_files.random_pixels(30, 40)
    luminance = np.repeat((pixels @ [0.299, 0.587, 0.114])[:, :, None], 3, axis=2)
    assert np.abs(overlay.draw_overlay(pixels, np.zeros((7, 7))) - luminance).max() <= 1
    coloured = overlay.draw_overlay(np.zeros((30, 40, 3), np.uint8), np.ones((7, 7)))
    brightest = np.round(np.array([252, 255, 164]) * 0.65)  # inferno ends in a light yellow
    assert np.abs(coloured - brightest).max() <= 1


@pytest.mark.parametrize(("true_class", "mark_colour"), [("normal", (0, 120, 60)), ("tapered", (190, 30, 30))])
def test_a_panel_says_whether_it_is_right(true_class, mark_colour):
    pixels = image_files.random_pixels(60, 80)
    arguments = {"true_class": true_class, "predicted_class": "normal", "probability": 0.87}
    heat_map = np.linspace(0, 1, 49).reshape(7, 7)
    attention = np.linspace(0, 1, 196).reshape(14, 14)  # of a layer before the feature map
    panel = overlay.draw_panel(
        pixels, layer_integrated_gradients=heat_map, grad_cam_plus_plus=heat_map, attention=attention, **arguments
    )
    narrow = overlay.draw_panel(
        pixels, layer_integrated_gradients=heat_map, grad_cam_plus_plus=heat_map, attention=None, **arguments
    )
    assert panel.mode == "RGB" and panel.width > narrow.width
    caption = np.asarray(panel)[:26].reshape(-1, 3)
    assert (caption == mark_colour).all(axis=1).any()


def test_the_font_has_the_marks():
    font = overlay._load_font()
    missing = font.getmask("\uffff").getbbox(), bytes(font.getmask("\uffff"))
    for mark in "✓✗":
        assert (font.getmask(mark).getbbox(), bytes(font.getmask(mark))) != missing


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"pixels must be uint8 \[H, W, 3\]"):
        overlay.draw_overlay(np.zeros((20, 20, 3), np.float32), np.zeros((7, 7)))
    with pytest.raises(ValueError, match=r"heat_map must be \[h, w\]"):
        overlay.draw_overlay(np.zeros((20, 20, 3), np.uint8), np.zeros((3, 7, 7)))


def test_attention_is_stretched_to_its_range_unless_it_hardly_varies():
    np.testing.assert_allclose(overlay.stretch(np.array([[0.4, 0.5], [0.6, 0.45]])), [[0, 0.5], [1, 0.25]])
    assert overlay.stretch(np.array([[0.5, 0.5001]])).max() < 0.01


@pytest.mark.parametrize(("size", "saved"), [((90, 60), (180, 60)), ((4096, 1024), (4096, 512))])
def test_large_images_are_kept_smaller(size, saved, tmp_path):
    image = Image.new("RGB", size, (200, 30, 90))
    file = tmp_path / "new_folder" / "overlay.png"
    overlay.save_overlay(image_files.encode(image, "PNG"), np.zeros((7, 7)), file)
    with Image.open(file) as picture:
        assert picture.size == saved
        assert picture.getpixel((5, 5)) == (200, 30, 90), "the image stands on the left"
        red, green, blue = picture.getpixel((saved[0] - 5, 5))
        assert red == green == blue, "beside it, its map over grey"
