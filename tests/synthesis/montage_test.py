import subprocess
import sys

from PIL import Image


def test_the_command_writes_one_row_per_class(tmp_path):
    path = tmp_path / "images" / "montage.png"
    subprocess.run([sys.executable, "-m", "sperm_tf.synthesis.montage", f"--output={path}", "--columns=2"], check=True)
    with Image.open(path) as sheet:
        assert sheet.format == "PNG"
        assert sheet.height == 7 * 116 + 4
        assert len(sheet.convert("RGB").getcolors(1 << 20)) > 100
