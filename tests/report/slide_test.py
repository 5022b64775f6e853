import dataclasses
import html
import re

import numpy as np
import pandas as pd
import pypdf
import pytest

from sperm_tf.evaluation.metrics.intervals import wilson
from sperm_tf.evaluation.quantification import counts as slide_lib
from sperm_tf.evaluation.quantification import replicates, reviewed, scores_file
from sperm_tf.evaluation.quantification.class_roles import default_roles, is_no_sperm
from sperm_tf.evaluation.quantification.prevalence import estimate_part, estimate_wrong
from sperm_tf.report import text as text_lib
from sperm_tf.report.slide import contact_sheet, facts, layout, page, sample, verdict
from tests import image_files

SMIDS = ("normal", "abnormal", "non-sperm")
HUSHEM = ("normal", "tapered", "pyriform", "amorphous")
IMAGE = image_files.encode(image_files.random_pixels(40, 60), "PNG")
OVERLAY = image_files.encode(image_files.random_pixels(40, 120), "PNG")
RULE = {"num_images": 2947, "min_confidence": 0.7, "max_risk": 0.025, "delta": 0.05}
CONFUSION = [[850, 110, 40], [130, 800, 70], [10, 30, 960]]
CONFIDENT = [[600, 20, 5], [30, 500, 10], [2, 4, 800]]
CARD = "| Accuracy | 0.907 | 0.866–0.942 |\n"


def _scores(class_names, num, *, slides=("S1",)):
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.full(len(class_names), 0.5), num)
    table = pd.DataFrame(probabilities, columns=[f"p_{name}" for name in class_names])
    table["predicted_class"] = [class_names[index] for index in probabilities.argmax(axis=1)]
    is_sure = probabilities.max(axis=1) > 0.5
    table["decision"] = np.where(is_sure, "accept", "refer")
    table["reason"] = np.where(is_sure, "confident", "uncertain")
    table["unfamiliarity"] = 0.5
    table["status"] = "ok"
    table["file"] = [f"c{index:04d}.png" for index in range(num)]
    table["slide"] = [slides[index % len(slides)] for index in range(num)]
    table["replicate"] = ["AB"[index // len(slides) % 2] for index in range(num)]
    for name in scores_file.QUALITY:
        table[name] = random.uniform(1, 200, num)
    record = {"model": "smids", "model_digest": "ab" * 32, "views": 8, "columns": ["slide", "replicate"]}
    record |= {"started_at": "2026-01-02T03:04:05+00:00", "package_version": "0.1.0", "root": "/nowhere"}
    return scores_file.Scores(None, table, tuple(class_names), record)


def _write(tmp_path, scores, *, rule=RULE, given=None, verdicts=None, **changes):
    sources = page.Sources(
        read=lambda file: None if file == "gone.png" else IMAGE,
        read_overlay=lambda name: OVERLAY if name else None,
        rule=rule,
        card=CARD,
        sample=given or {},
        verdicts=verdicts,
    )
    columns = {"slide_column": "slide", "replicate_column": "replicate", "sheet_size": 8}
    roles = default_roles(scores.class_names, not_sperm=list(filter(is_no_sperm, scores.class_names)))
    written = page.write_report(tmp_path, scores, roles, sources, date="2026-02-03", **columns | changes)
    text = html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", written[0].read_text(encoding="utf-8"))))
    return text.replace("\xa0", " "), written


@pytest.mark.parametrize("class_names", [SMIDS, HUSHEM], ids=["smids", "hushem"])
def test_the_page_says_what_was_counted(tmp_path, class_names):
    scores = _scores(class_names, 700)
    scores.table["overlay"] = "overlays/000000_c.png"
    text, (path, pdf) = _write(tmp_path, scores)
    sperm = scores.table[scores.table["predicted_class"] != "non-sperm"]
    normal = (sperm["predicted_class"] == "normal").sum()
    assert f"{100 * normal / len(sperm):.1f} %" in text and f"{normal} of {len(sperm)} " in text
    others = f"{700 - len(sperm)} of other objects (non-sperm), not counted; " if "non-sperm" in class_names else ""
    assert f"Of 700 images as the model classified them: {len(sperm)} spermatozoa; {others}0 without an answer" in text
    referred = (scores.table["decision"] == "refer").sum()
    assert f"{referred} of the readable images ({100 * referred / 700:.1f} %)" in text
    assert "The replicates agree." in text and "before review" in text
    assert (
        "90.7 % (95 % interval 86.6–94.2 %)" in text and "At most 2.5 % of them are wrong, with 95 % confidence" in text
    )
    assert "None of 700 files" in text and "2026-02-03" in text and "ab" * 32 in text
    source = path.read_text(encoding="utf-8")
    assert source.count("data:image/jpeg;base64,") == 16
    assert not re.search(r"<script|https?:", source)
    assert pdf.read_bytes().startswith(b"%PDF") and b"/Count 3\n" in pdf.read_bytes()


def test_the_percentage_is_corrected_where_the_errors_are_known(tmp_path):
    scores = _scores(SMIDS, 700)
    text, _ = _write(tmp_path, scores, rule=RULE | {"confusion": CONFUSION})
    answers = [int((scores.table["predicted_class"] == name).sum()) for name in SMIDS]
    share, (low, high) = estimate_part(answers, CONFUSION, part=[True, False, False], whole=[True, True, False])
    interval = f"{100 * low:.1f}–{100 * high:.1f} %"
    assert f"{100 * share:.1f} % 95 % interval {interval} An estimate of the normal forms" in text
    method = "adjusted classify and count (ACC), by errors on 3,000 calibration images"
    assert f"Corrected {100 * share:.1f} % {interval} – {method}" in text
    low, high = wilson(answers[0], sum(answers[:2]))
    interval, of = f"{100 * low:.1f}–{100 * high:.1f} %", f"{answers[0]} of {sum(answers[:2])}"
    counted = f"Counted {100 * answers[0] / sum(answers[:2]):.1f} % {interval} {of} classify and count (CC)"
    assert counted in text and "Ring: counted" in text
    assert "misclassifies 13.0 % of the spermatozoa that are not normal as normal, and finds 85.0 %" in text
    assert "the same mix of classes (1000 normal, 1000 abnormal and 1000 non-sperm)" in text
    without_debris = [*CONFUSION[:2], [0, 0, 0]]
    for rule in (RULE, RULE | {"confusion": without_debris}):
        uncorrected, _ = _write(tmp_path, scores, rule=rule)
        assert "The percentage is not corrected" in uncorrected and "corrected for that" not in uncorrected
    assert "as the model classified them, not corrected for its errors" in uncorrected
    assert "Corrected – – – not corrected: the model's errors are not known" in uncorrected
    assert "Ring" not in uncorrected


def test_accepted_normal_forms_are_said_to_be_likely_wrong(tmp_path):
    scores = _scores(SMIDS, 700)
    text, (_, pdf) = _write(tmp_path, scores, rule=RULE | {"confusion": CONFUSION, "confident": CONFIDENT})
    table = scores.table
    answers = [int((table["predicted_class"] == name).sum()) for name in SMIDS]
    number = int(((table["predicted_class"] == "normal") & (table["decision"] == "accept")).sum())
    share, (low, high) = estimate_wrong(answers, CONFUSION, CONFIDENT, part=[True, False, False], num_accepted=number)
    words = f"{number} accepted as normal forms: likely {share * number:.0f} of them wrong ({low * number:.0f}–"
    assert f"{words}{high * number:.0f})" in text and "look at all of them where a finding rests on them" in text
    assert words in " ".join(_text_of(pdf)[0].split()) and len(_text_of(pdf)) == 3
    text, _ = _write(tmp_path, scores, rule=RULE | {"confusion": CONFUSION})
    assert "accepted as normal forms" not in text and "a finding rests on them" not in text


def test_each_slide_says_why_its_percentage_is_corrected_or_not(tmp_path):
    scores = _scores(SMIDS, 900, slides=("S1", "S2", "S3"))
    table = scores.table
    table.loc[table["slide"] == "S2", ["decision", "reason"]] = ["refer", "unfamiliar"]
    sperm = (table["slide"] == "S3") & (table["predicted_class"] == "normal")
    table.loc[sperm, "predicted_class"] = "abnormal"
    text, _ = _write(tmp_path, scores, rule=RULE | {"confusion": CONFUSION})
    overview, *sections = re.split(r"Slide S\d Sample Laboratory", text)
    assert overview.count("not corrected") == overview.count("not estimated") == 1 and len(sections) == 3
    assert "corrected for that" in sections[0] and "not corrected" not in sections[0]
    assert "not corrected: most images are unlike" in sections[1] and "corrected for that" not in sections[1]
    lead, table = sections[1].split("Estimate Normal forms 95 % interval")
    assert "–" in lead and "%" not in lead.split("among spermatozoa")[1].replace("95 % interval –", "")
    assert re.search(r"Counted [\d.]+.% – \d+ of \d+ .*no interval", table)
    assert "would hardly give these answers for any slide" in sections[2] and "corrected for that" not in sections[2]


def _text_of(pdf):
    return [page.extract_text() for page in pypdf.PdfReader(pdf).pages]


def test_names_that_the_font_of_the_pdf_lacks_stay_apart(tmp_path):
    _, (_, pdf) = _write(tmp_path, _scores(SMIDS, 12, slides=("样本A-1", "标本A-1")))
    pages = "".join(_text_of(pdf))
    assert "Slide [U+6837][U+672C]A-1" in pages and "Slide [U+6807][U+672C]A-1" in pages


def _places(pdf):
    """For each page, every text with its millimetres from the top, and its size in points."""
    pages = []
    for sheet in pypdf.PdfReader(pdf).pages:
        found = []
        sheet.extract_text(
            visitor_text=lambda text, _, matrix, font, size, found=found: (
                text.strip() and found.append((" ".join(text.split()), 297 - matrix[5] / 72 * 25.4, size))
            )
        )
        pages.append(found)
    return pages


def _assert_nothing_below(pages):
    footer = f"{facts.NOTICE} sperm_tf {page.__version__} Page {{nb}} {' '.join(map(str, range(9)))} of"
    for found in pages:
        low = [text for text, place, _ in found if place > 282 and not set(text.split()) <= set(footer.split())]
        assert not low, low


LONG = tuple(f"a class with a rather long name, number {index}" for index in range(59))


@pytest.mark.parametrize("num_classes", [3, 9, 15, 25, 60])
def test_many_classes_push_nothing_off_the_page(tmp_path, num_classes):
    names = ("normal", *LONG[: num_classes - 1])
    _, (_, pdf) = _write(tmp_path, _scores(names, 300))
    pages = _places(pdf)
    _assert_nothing_below(pages)
    order = [text for found in pages for text, *_ in found]
    blocks = ("Signature", "Counts", "Replicates", "Image quality", "Model", "Contact sheet · Slide S1")
    places = [order.index(text) for text in blocks]
    assert places == sorted(places)


def test_long_names_of_replicates_push_nothing_off_the_page(tmp_path):
    scores = _scores(SMIDS, 96)
    scores.table["replicate"] = [
        f"{index % 8} of a slide with a name that goes on and on and on" for index in range(96)
    ]
    _, (_, pdf) = _write(tmp_path, scores)
    _assert_nothing_below(_places(pdf))
    assert "Signature" in "".join(_text_of(pdf))


@pytest.mark.parametrize("name", ["样本一_细胞_0001.png", "W" * 60 + ".png", "c.png"])
def test_names_on_the_contact_sheet_stay_in_their_cell(name):
    pdf = layout.Document({"version": "", "notice": ""})
    pdf.add_page()
    pdf.style(6.5)
    short = pdf.shorten(name, 40)
    assert pdf.get_string_width(short) <= 40 and short.endswith(".png")
    assert (short == name) == (name == "c.png")


def _tables(path):
    """The rows of every table of a page, as text."""
    source = path.read_text(encoding="utf-8").replace("\u00a0", " ")
    tables = re.findall(r"<table>.*?</table>", source, re.DOTALL)
    return [
        [
            [html.unescape(re.sub("<[^>]+>", "", cell)).strip() for cell in re.findall(r"<t[hd].*?</t[hd]>", row)]
            for row in re.findall(r"<tr>.*?</tr>", table, re.DOTALL)
        ]
        for table in tables
    ]


def test_the_tables_hold_what_counting_finds(tmp_path):
    scores = _scores(SMIDS, 600)
    table = scores.table
    table.loc[::7, ["decision", "reason"]] = ["refer", "unfamiliar"]
    table.loc[::50, ["status", "predicted_class", "decision", "reason"]] = ["empty", "", "refer", "unreadable"]
    _, (path, _) = _write(tmp_path, scores)
    counts, referred, parts_of_it, quality = (rows[1:] for rows in _tables(path)[1:5])
    read = table[table["status"] == "ok"]
    sperm = read[read["predicted_class"] != "non-sperm"]
    parts = [read[read["replicate"] == name] for name in "AB"]
    for name, row in zip(SMIDS, counts, strict=True):
        whole = (read["predicted_class"] == name).sum()
        share = f"{100 * whole / len(sperm):.1f} %" if name != "non-sperm" else "not counted"
        assert row[1:] == [*(str((part["predicted_class"] == name).sum()) for part in parts), str(whole), share]
    for reason in ("uncertain", "unfamiliar"):
        number = ((read["decision"] == "refer") & (read["reason"] == reason)).sum()
        assert [str(number), f"{100 * number / len(read):.1f} %"] in [row[1:] for row in referred]
    for name, part, row in zip("AB", parts, parts_of_it, strict=True):
        part_sperm = part[part["predicted_class"] != "non-sperm"]
        normal = (part["predicted_class"] == "normal").sum()
        num_unreadable = ((table["replicate"] == name) & (table["status"] != "ok")).sum()
        assert row[:4] == [name, str(len(part_sperm)), str(normal), f"{100 * normal / len(part_sperm):.1f} %"]
        assert row[-2:] == [str((part["decision"] == "refer").sum()), str(num_unreadable)]
    widths = table["width"].quantile([0.05, 0.5, 0.95])
    assert quality[0][1:] == [f"{widths[0.5]:.0f}", f"{widths[0.05]:.0f}–{widths[0.95]:.0f}"]


def test_the_tables_of_the_pdf_hold_the_rows_of_the_page(tmp_path):
    scores = _scores(SMIDS, 700)
    scores.table.loc[:20, ["decision", "reason"]] = ["refer", "unfamiliar"]
    _, (path, pdf) = _write(tmp_path, scores)
    printed = [" ".join(line.split()) for line in _text_of(pdf)[1].splitlines()]
    for table in _tables(path)[1:5]:
        for row in table[1:]:
            first, figures = row[0].split()[0], " ".join(row[1:])
            assert any(line.startswith(first) and line.endswith(figures) for line in printed), row
    assert any(line.startswith(f"smids, SHA-256 {'ab' * 8}") for line in printed)
    assert any(line.startswith("Test accuracy: 90.7 % (95 % interval 86.6–94.2 %)") for line in printed)


def test_the_pdf_says_in_large_print_what_the_page_says(tmp_path):
    scores = _scores(SMIDS, 700)
    _, (path, pdf) = _write(tmp_path, scores, rule=RULE | {"confusion": CONFUSION})
    source = path.read_text(encoding="utf-8").replace("\u00a0", " ")
    first = [(text.replace("\u00a0", " "), size) for text, _, size in _places(pdf)[0]]
    assert max(first, key=lambda entry: entry[1])[0] == re.search('class="value">([^<]+)<', source)[1]
    interval = re.search("95 % interval <b>([^<]+)</b></div>", source)[1]
    lines = " ".join(text for text, _ in first)
    assert f"95 % interval {interval}" in lines
    for row in _tables(path)[0][1:]:
        assert all(cell in lines for cell in row[:4]), row


def test_copies_give_no_verdict(tmp_path):
    scores = _scores(SMIDS, 700)
    scores.table["sha256"] = [f"{index % 697:064x}" for index in range(700)]
    text, (_, pdf) = _write(tmp_path, scores)
    assert "3 images too many: copies of others, which count twice" in text
    assert "Copies among the images: no verdict. 3 images too many" in text and "The replicates agree" not in text
    assert "3 images too many" in _text_of(pdf)[0]
    scores.table["sha256"] = [f"{index:064x}" for index in range(700)]
    text, _ = _write(tmp_path, scores)
    assert "too many" not in text and "The replicates agree" in text


def test_images_that_stand_on_two_slides_are_named(tmp_path):
    scores = _scores(SMIDS, 80, slides=("S1", "S2"))
    scores.table["sha256"] = [f"{index:064x}" for index in range(80)]
    scores.table.loc[1, "sha256"] = scores.table.loc[0, "sha256"]
    text, _ = _write(tmp_path, scores)
    assert text.count("1 image of another slide, too: take them out") == 4  # in the overview and on the slides
    assert "too many" not in text


def test_a_report_that_fails_leaves_the_earlier_one(tmp_path, monkeypatch):
    _, written = _write(tmp_path, _scores(SMIDS, 12))
    before = [file.read_bytes() for file in written]
    monkeypatch.setattr(page.document, "write", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        _write(tmp_path, _scores(SMIDS, 24))
    assert [file.read_bytes() for file in written] == before


def test_the_contact_sheet_says_what_it_lacks(tmp_path):
    scores = _scores(SMIDS, 8)
    scores.table.loc[2, "file"] = "gone.png"
    text, _ = _write(tmp_path, scores, slide_column="", replicate_column="")
    assert "The 7 least certain of the readable images" in text and "attribution map" not in text
    assert "1 image that should be here cannot be shown: not found, changed since the scoring, or damaged" in text


def test_each_slide_has_its_section_and_three_pages(tmp_path):
    told = []
    scores = _scores(SMIDS, 90, slides=("S1", "S<2>", "S3"))
    text, (path, pdf) = _write(tmp_path, scores, progress=lambda *state: told.append(state))
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert text.count("Contact sheet: look at these first") == 3 and b"/Count 9\n" in pdf.read_bytes()
    assert text.count("Not enough cells: no verdict") == 6, "in the overview and in each section"
    assert "S&lt;2&gt;" in path.read_text(encoding="utf-8")


def test_what_cannot_be_read_is_listed_and_nothing_undefined_is_printed(tmp_path):
    scores = _scores(SMIDS, 12)
    bad = ["status", "file", "predicted_class", "decision", "reason"]
    scores.table.loc[:, bad] = ["unreadable", "gone.png", "", "refer", "unreadable"]
    text, _ = _write(tmp_path, scores, slide_column="", replicate_column="")
    assert text.count("gone.png : missing, or may not be read") == 12 and "nan" not in text.lower()


def test_the_least_certain_lead_and_unfamiliar_ones_before_them():
    scores = _scores(SMIDS, 30)
    scores.table.loc[[7, 3], "unfamiliarity"] = [1.5, 4.0]
    ordered = list(contact_sheet.order_by_uncertainty(scores.table, SMIDS).index)
    highest = scores.table[["p_normal", "p_abnormal", "p_non-sperm"]].max(axis=1).drop([3, 7])
    assert ordered == [3, 7, *highest.sort_values().index]


def test_the_sheet_leaves_out_what_is_gone_and_shows_the_map_that_scoring_drew():
    scores = _scores(SMIDS, 6)
    scores.table["overlay"] = [f"overlays/{index}.png" for index in range(6)]
    pictures = {f"c{index:04d}.png": image_files.encode(np.full((40, 40, 3), 40 * index, np.uint8), "PNG")
                for index in range(5)}  # fmt: skip
    beside = {f"overlays/{index}.png": np.hstack([np.full((40, 40, 3), value, np.uint8) for value in (0, 50 + index)])
              for index in (0, 2, 3)}  # fmt: skip
    pictures["c0004.png"] = pictures["c0004.png"][:-40]  # damaged since it was scored
    overlays = {name: image_files.encode(pixels, "PNG") for name, pixels in beside.items()}
    scores.table["sha256"] = list("abcdef")
    verdicts = {"a": reviewed.Verdict("abnormal", "AB"), "b": reviewed.Verdict("", "")}
    sheet = contact_sheet.draw(
        scores.table, SMIDS, limit=6, read=pictures.get, read_overlay=overlays.get, verdicts=verdicts
    )
    words = {cell.file: cell.reason for cell in sheet.cells}
    assert (words["c0000.png"], words["c0001.png"]) == ("AB: abnormal", "reviewed: cannot tell")
    assert words["c0002.png"] in ("accepted", "not sure enough")
    assert sorted(cell.file for cell in sheet.cells) == sorted(pictures)[:4] and sheet.num_left_out == 2
    for cell in sheet.cells:
        index = int(cell.file[1:5])
        assert np.abs(image_files.pillow_rgb(cell.image).astype(int) - 40 * index).max() <= 2
        assert (cell.overlay is None) == (index == 1)
        if cell.overlay:
            shown = image_files.pillow_rgb(cell.overlay).astype(int)
            assert shown.shape == (40, 40, 3) and np.abs(shown - 50 - index).max() <= 2


def test_the_verdict_follows_the_comparison():
    def slide(normal, sperm=(300, 300)):
        counts = [slide_lib.Count(name, 300, 0, {}, of, part, {}, of, part)
                  for name, part, of in zip("AB", normal, sperm, strict=True)]  # fmt: skip
        comparison = replicates.compare(*zip(normal, sperm, strict=True))
        return slide_lib.Slide("S", dataclasses.replace(counts[0], name="S"), tuple(counts), comparison)

    assert verdict.describe_verdict(slide((30, 40)))["kind"] == "good"
    disagreeing = verdict.describe_verdict(slide((30, 80)))
    assert disagreeing["kind"] == "bad" and "They differ by 16.7 percentage points" in disagreeing["text"]
    for num_referred, title in ((150, "The replicates agree"), (151, "Most images are referred: no verdict")):
        referred = dataclasses.replace(slide((30, 40)).total, reasons={"not_calibrated": num_referred})
        open_slide = dataclasses.replace(slide((30, 40)), total=referred)
        assert verdict.describe_verdict(open_slide)["title"] == title
    alone = dataclasses.replace(slide((30, 40)), comparison=None)
    assert verdict.describe_verdict(alone)["title"] == "2 replicates: no verdict"
    strange = dataclasses.replace(alone, total=dataclasses.replace(alone.total, reasons={"unfamiliar": 300}))
    assert verdict.describe_verdict(strange)["title"] == "Most images are referred: no verdict"
    biased = dataclasses.replace(slide((30, 40)).total, correction=slide_lib.NO_MIX_FITS)
    found = verdict.describe_verdict(dataclasses.replace(slide((30, 40)), total=biased))
    assert (found["kind"], found["title"]) == ("none", "The model errs differently here: no verdict")
    accepted = verdict.describe_verdict(slide((4, 12), sperm=(200, 200)))
    assert accepted["kind"] == "good", "by the formula 3.84 percentage points would be the limit"
    assert "with an average of 4 % up to 4 are acceptable (WHO manual, 5th edition (2010)" in accepted["text"]
    assert "Fisher's exact test of equal shares: p = 0.071." in accepted["text"]
    refused = verdict.describe_verdict(slide((22, 37), sperm=(200, 200)))
    assert refused["kind"] == "bad" and "They differ by 7.5 percentage points" in refused["text"]
    rare = verdict.describe_verdict(slide((0, 6), sperm=(200, 200)))
    assert rare["kind"] == "bad" and "has no row for an average of 2 %" in rare["text"]
    many = verdict.describe_verdict(slide((30, 40)))["text"]
    assert "on 300 and 300 spermatozoa. Fisher's exact test of equal shares" in many and "counts of 200 alone" in many
    few = verdict.describe_verdict(slide((30, 80), sperm=(300, 199)))
    assert few["kind"] == "none" and "Spermatozoa: 300 in A and 199 in B" in few["text"]


def test_what_is_not_quite_none_or_all_is_not_rounded_to_it():
    shares = (0, 1 / 2500, 0.0005, 0.5, 0.9994, 2499 / 2500, 1)
    written = ["0.0 %", "<0.1 %", "0.1 %", "50.0 %", "99.9 %", ">99.9 %", "100.0 %"]
    assert [text_lib.percent(share).replace("\u00a0", " ") for share in shares] == written


def test_a_promise_is_not_rounded():
    assert text_lib.promised_percent(0.005) == "0.5\u00a0%" and text_lib.promised_percent(1 - 0.05) == "95\u00a0%"


FIELDS = ["Sample", "Laboratory", "Stain", "Magnification", "Operator", "Collected", "Stained"]


def _sample_of(path):
    source = path.read_text(encoding="utf-8")
    return dict(re.findall("<dt>([^<]+)</dt><dd>([^<]*)</dd>", source))


def test_the_sample_is_named_by_flags_and_by_columns_of_the_table(tmp_path):
    scores = _scores(SMIDS, 12)
    scores.table["Stain"] = ["Papanicolaou"] * 6 + ["Diff-Quik"] * 6
    scores.table["operator"] = "AB"
    scores.record["columns"] += ["Stain", "operator"]
    _, (path, pdf) = _write(tmp_path, scores, given={"sample": "2026-014", "operator": "CD"})
    expected = {"Sample": "2026-014", "Stain": "Papanicolaou, Diff-Quik", "Operator": "CD"}
    assert _sample_of(path) == dict.fromkeys(FIELDS, "") | expected, "a flag goes before a column"
    first = " ".join(_text_of(pdf)[0].split())
    assert all(value in first for value in expected.values()) and all(name in first for name in FIELDS)


def test_a_report_is_headed_by_the_slide_the_sample_or_the_folder(tmp_path):
    scores = _scores(SMIDS, 12)
    scores.record["root"] = "/data/run 7"
    alone = {"slide_column": "", "replicate_column": ""}
    for given, columns, title in (
        ({"sample": "X1"}, {}, "Slide S1"),
        ({"sample": "X1"}, alone, "Sample X1"),
        ({}, alone, "Folder run 7"),
    ):
        _, (path, pdf) = _write(tmp_path, scores, given=given, **columns)
        assert f"<h1>{title}</h1>" in path.read_text(encoding="utf-8")
        assert [text for text, _, size in _places(pdf)[0] if size == 17] == [title]
    assert sample.choose_title("", sample.describe_sample(scores.table, [], {}), "/") == "Folder /"


def test_the_first_page_says_what_a_full_report_has_and_this_one_cannot_give(tmp_path):
    text, (_, pdf) = _write(tmp_path, _scores(SMIDS, 12))
    for shown in (text, " ".join(_text_of(pdf)[0].split())):
        assert "teratozoospermia index (TZI)" in shown and "No reference limit is printed" in shown


def _reviewed_scores():
    """200 images a replicate; 8 of each are referred."""
    scores = _scores(SMIDS, 400)
    table = scores.table
    table["replicate"] = ["A", "B"] * 200
    table["predicted_class"] = ["normal" if index < 40 else "abnormal" for index in range(400)]
    table["decision"], table["reason"] = "accept", "confident"
    table.loc[:15, ["decision", "reason"]] = ["refer", "uncertain"]
    table["sha256"] = [f"{index:064x}" for index in range(400)]
    return scores


def _verdicts(**labels):
    """`c3="abnormal"` -> the verdict of AB on image 3."""
    return {f"{int(name[1:]):064x}": reviewed.Verdict(label, "AB") for name, label in labels.items()}


def test_both_counts_are_shown_before_and_after_review(tmp_path):
    scores = _reviewed_scores()
    verdicts = _verdicts(**{f"c{index}": "abnormal" if index % 4 < 2 else "normal" for index in range(16)})
    verdicts[f"{399:064x}"] = reviewed.Verdict("non-sperm", "CD")
    text, (path, pdf) = _write(tmp_path, scores, verdicts=verdicts)
    rows = {row[0]: row[1:] for row in _tables(path)[0][1:]}
    assert rows["Counted"][0] == "10.0 %" and rows["Counted"][2] == "40 of 400"
    assert rows["After review"][0] == "8.0 %" and rows["After review"][2] == "32 of 399"
    low, high = wilson(32, 399)
    assert rows["After review"][1] == f"{100 * low:.1f}–{100 * high:.1f} %"
    words = (
        "17 images reviewed by AB (16) and CD (1): 9 classes changed. Of 16 referred images 16 were looked at; still"
    )
    assert words in text and words in " ".join(_text_of(pdf)[0].split())
    assert "Range" not in rows and "Range, all reviewed" not in rows
    # Nothing can be corrected here, and no image is open: the count after review leads.
    assert "8.0 % 95 % interval" in text
    assert "Not enough cells: no verdict. Spermatozoa: 200 in A and 199 in B" in text, "after review, too few"
    assert [row[-1] for row in _tables(path)[1][1:]] == ["32", "367", "1"]
    assert [row[6] for row in _tables(path)[3][1:]] == ["8.0 %", "8.0 %"]


def test_images_that_nobody_reviewed_or_could_tell_stay_open(tmp_path):
    scores = _reviewed_scores()
    verdicts = _verdicts(c0="abnormal", c1="", c20="", c21="abnormal")
    text, (path, _) = _write(tmp_path, scores, verdicts=verdicts)
    rows = {row[0]: row[1:] for row in _tables(path)[0][1:]}
    assert rows["After review"][2] == "38 of 400"
    assert "4 images reviewed by AB (4): 2 classes changed, 2 could not be told" in text
    assert "Both are taken after review." in text
    assert "Of 16 referred images 2 were looked at; still to be decided: 16" in text
    low, high = (38 - 16) / 400, 38 / 400  # all open images are counted as normal now
    assert rows["Range, all reviewed"][0] == f"{100 * low:.1f}–{100 * high:.1f} %"
    assert "10.0 % 95 % interval" in text, "while images are open the model's count leads"


def test_a_corrected_percentage_leads_unless_people_looked_at_everything(tmp_path):
    scores, rule = _reviewed_scores(), RULE | {"confusion": [[850, 148, 2], [30, 968, 2], [2, 2, 996]]}
    everything = _verdicts(**{f"c{index}": "normal" if index < 20 else "abnormal" for index in range(400)})
    for verdicts, sentence in (
        (everything, "counted with people's classes"),
        (dict(list(everything.items())[:16]), "An estimate"),
    ):
        text, _ = _write(tmp_path, scores, rule=rule, verdicts=verdicts)
        assert sentence in text


def test_the_models_errors_do_not_matter_where_people_looked_at_everything():
    counts = [
        slide_lib.Count(name, 300, 0, {}, 300, 30, {}, 300, 30, correction=slide_lib.NO_MIX_FITS) for name in "SAB"
    ]
    strange = slide_lib.Slide("S", counts[0], tuple(counts[1:]), replicates.compare((30, 300), (30, 300)))
    assert verdict.describe_verdict(strange, strange)["title"] == "The model errs differently here: no verdict"
    assert verdict.describe_verdict(strange, strange, by_people=True)["title"] == "The replicates agree"
