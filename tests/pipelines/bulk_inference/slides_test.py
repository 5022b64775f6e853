import hashlib
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines import slide_report
from pipelines.bulk_inference import reviews
from sperm_tf.data.decode import decode_rgb
from sperm_tf.evaluation.quantification import scores_file
from sperm_tf.evaluation.quantification.reviewed import Verdict
from sperm_tf.review.journal import Journal
from tests.review.reviews import make_image, make_review

CLASSES = ("abnormal", "impurity", "normal")


def _write_scores(folder, answers, *, class_names=CLASSES, images=(), record=()):
    """Scores of images that the model was sure of, but for the first ones: these are `images`, and are referred."""
    folder.mkdir()
    names = [f"c{index:04d}.png" for index in range(len(answers))]
    digests = [hashlib.sha256(image).hexdigest() for image in images]
    digests += [f"{index:064x}" for index in range(len(images), len(answers))]
    own = {
        "model": "lab",
        "model_digest": "ab" * 32,
        "package_version": "0.1.0",
        "root": str(folder),
        "saved_model": "",
    }
    own |= {"started_at": "2026-01-02T03:04:05+00:00", "views": 8, "columns": [], **dict(record)}
    rows = [
        {
            "file": name,
            "status": "ok",
            "predicted_class": answer,
            **{f"p_{label}": 0.96 if label == answer else 0.02 for label in class_names},
            "prediction_set": answer,
            "decision": "refer" if index < len(images) else "accept",
            "reason": "uncertain" if index < len(images) else "confident",
            "unfamiliarity": 0.3,
            **dict.fromkeys(scores_file.QUALITY, 100),
            "sha256": digest,
            "model": "lab",
            "model_digest": "ab" * 32,
        }
        for index, (name, answer, digest) in enumerate(zip(names, answers, digests, strict=True))
    ]
    for name, image in zip(names, images, strict=False):
        (folder / name).write_bytes(image)
    schema = scores_file.schema(class_names, (), own)
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "scores.parquet")
    return folder


def _report(scores, *flags):
    output = scores.parent / "report"
    status = slide_report.main(["slide_report", f"--scores={scores}", f"--output={output}", *flags])
    page = output / "slide.html"
    return status, page.read_text(encoding="utf-8").replace("\u00a0", " ") if page.is_file() else ""


@pytest.mark.parametrize("name", ["impurity", "leukocyte", "round cell", "d\u00e9bris"])
def test_what_is_known_to_be_no_sperm_is_not_in_the_denominator(tmp_path, name):
    answers = ["normal"] * 20 + ["abnormal"] * 230 + [name] * 250
    status, page = _report(_write_scores(tmp_path / "scores", answers, class_names=("abnormal", name, "normal")))
    assert status == 0 and "8.0 %" in page and "20 of 250" in page
    assert f"Of 500 images as the model classified them: 250 spermatozoa; 250 of other objects ({name})" in page


@pytest.mark.slow
@pytest.mark.parametrize("name", ["other", "Verunreinigung", "residuos", "unknown"])
def test_a_class_of_unknown_role_stops_the_report_with_the_flag(tmp_path, capsys, name):
    answers = ["normal"] * 2 + ["abnormal"] * 23 + [name] * 25
    scores = _write_scores(tmp_path / "scores", answers, class_names=("abnormal", name, "normal"))
    status, page = _report(scores)
    error = capsys.readouterr().err
    assert status == 1 and not page and f"--not_sperm_classes={name};" in error and "--not_sperm_classes=none." in error
    assert "2 of 25" in _report(scores, f"--not_sperm_classes={name}")[1]
    assert "2 of 50" in _report(scores, "--not_sperm_classes=none")[1]


@pytest.mark.integration
def test_the_report_speaks_at_once_and_imports_no_tensorflow(tmp_path):
    scores = _write_scores(tmp_path / "scores", ["normal"] * 3, images=[make_image(seed) for seed in range(3)])
    code = (
        "import sys; from pipelines import slide_report; heavy = {'pandas', 'tensorflow'} & set(sys.modules);"
        "status = slide_report.main(sys.argv); print(status, sorted(heavy), 'tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", code, f"--scores={scores}", f"--output={tmp_path / 'report'}"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[0].startswith(f"Counting the scores in {scores}") and lines[-1] == "0 [] False"


def _journal(folder, *reviewed):
    journal = Journal(folder)
    for image, label, reviewer in reviewed:
        review = make_review(image, label, reviewer=reviewer)
        journal.append(review, image, decode_rgb(image).source_format)
    return folder


def test_verdicts_belong_to_images_by_their_digest(tmp_path):
    images = [make_image(seed) for seed in range(3)]
    scores = scores_file.read(_write_scores(tmp_path / "scores", ["normal"] * 6, images=images))
    folder = _journal(
        tmp_path / "reviews",
        (images[0], "normal", "AB"),
        (images[1], "", "AB"),
        (make_image(9), "abnormal", "CD"),
        (images[0], "abnormal", "EF"),
    )
    digests = list(scores.table["sha256"])
    expected = {digests[0]: Verdict("abnormal", "EF"), digests[1]: Verdict("", "AB")}
    assert reviews.find_verdicts(folder, scores).verdicts == expected, "the last one counts"


def test_the_report_shows_both_counts(tmp_path, capsys):
    images = [make_image(seed) for seed in range(3)]
    scores = _write_scores(tmp_path / "scores", ["normal"] * 5 + ["abnormal"] * 5, images=images)
    folder = _journal(tmp_path / "reviews", (images[0], "abnormal", "AB"), (images[1], "normal", "AB"))
    status, page = _report(scores, f"--reviews={folder}", "--sample=2026-014", "--stain=Papanicolaou")
    assert status == 0 and "2 of 10 images were reviewed" in capsys.readouterr().out
    assert "5 of 10" in page and "4 of 10" in page and "2 images reviewed by AB (2): 1 class changed." in page
    assert "<h1>Sample 2026-014</h1>" in page and "<dd>Papanicolaou</dd>" in page


def test_reviews_that_lie_beside_the_scores_are_not_passed_over_in_silence(tmp_path, capsys):
    images = [make_image(seed) for seed in range(2)]
    scores = _write_scores(tmp_path / "scores", ["normal"] * 5, images=images)
    folder = _journal(scores / "reviews", (images[0], "abnormal", "AB"))
    status, page = _report(scores)
    assert status == 0 and "no review given" in page
    assert f"To count them: --reviews={folder}" in capsys.readouterr().out


def test_reviews_that_do_not_belong_to_the_scores_stop_the_report(tmp_path, capsys):
    images = [make_image(seed) for seed in range(2)]
    scores = _write_scores(tmp_path / "scores", ["normal"] * 5, images=images)
    others = _journal(tmp_path / "others", (make_image(7), "normal", "AB"))
    strange = _journal(tmp_path / "strange", (images[0], "pyriform", "AB"))
    for folder, words in (
        (tmp_path / "nothing", "without reviews.csv"),
        (others, "none of which is of these images"),
        (strange, "'pyriform'"),
    ):
        status, page = _report(scores, f"--reviews={folder}")
        assert status == 1 and not page and words in capsys.readouterr().err
    assert not (tmp_path / "nothing").exists()
