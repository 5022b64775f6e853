"""The field's standard terms are used where a reader looks first: headings, first lines of docstrings, the glossary.

docs/glossary.md says what each output, file key and flag is called in the field. Those names keep their spelling, so
what stands in backticks is not looked at.
"""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
COINED = {
    r"strangers?|strange": "out-of-distribution input",
    r"familiarity|unfamiliarity|unfamiliar|faintness": "out-of-distribution score, low-contrast score",
    r"answer\w*": "prediction, predict",
    r"(?:asks?|asked|asking)(?! for)": "predict, call",
    r"figures?": "metric",
    r"likeness": "similarity",
    r"foretold|foretell\w*": "predicted",
    r"reckon\w*": "corrected for",
    r"taken for": "misclassified as",
    r"promise\w*": "guarantee",
    r"taught|teach\w*": "fitted",
    r"could change places|held aside": "exchangeable, held-out",
    r"rivals?|by heart": "label-randomised control, memorised",
    r"empty slide": "attribution baseline",
    r"blob": "centre prior",
    r"by chance": "expected under perfect calibration",
    r"where (?:it|the model|the network) look\w*": "attribution map",
}
PATTERN = re.compile(rf"\b({'|'.join(COINED)})\b", re.IGNORECASE)
FIELD_TERMS = (
    "out-of-distribution",
    "test-time augmentation",
    "attribution",
    "abstain",
    "selective classification",
    "conformal prediction set",
    "classify and count",
    "adjusted classify and count",
    "temperature scaling",
)
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
TEMPLATES = sorted((ROOT / "sperm_tf" / "report" / "templates").glob("*.j2"))
MODULES = [path for package in ("sperm_tf", "pipelines") for path in sorted((ROOT / package).rglob("*.py"))]
ROOMS = sorted({path.parent for path in MODULES})


def coined(line):
    return [found.group(0).lower() for found in PATTERN.finditer(re.sub(r"`[^`]*`", "", line))]


def headings(text):
    without_code = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    found = re.findall(r"^#+ (.*)$", without_code, flags=re.MULTILINE)
    found += re.findall(r"<(?:h\d|th|caption)\b[^>]*>(.*?)</(?:h\d|th|caption)>", text)
    found += re.findall(r'aria-label="([^"]*)"', text)
    return [re.sub(r"\{[{%].*?[%}]\}|<[^>]*>", "", heading) for heading in found]


def first_lines(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and (text := ast.get_docstring(node)):
            yield getattr(node, "lineno", 1), text.splitlines()[0]


@pytest.mark.parametrize("path", [*PAGES, *TEMPLATES], ids=lambda path: path.name)
def test_headings_use_the_fields_terms(path):
    found = {heading: words for heading in headings(path.read_text(encoding="utf-8")) if (words := coined(heading))}
    assert not found, f"{path.name}: {found}; docs/glossary.md has the field's terms"


@pytest.mark.parametrize("room", ROOMS, ids=lambda path: str(path.relative_to(ROOT)))
def test_first_lines_of_docstrings_use_the_fields_terms(room):
    found = [
        f"{path.relative_to(ROOT)}:{number}: {words} in {line!r}"
        for path in MODULES
        if path.parent == room
        for number, line in first_lines(path)
        if (words := coined(line))
    ]
    assert not found, "\n".join(["docs/glossary.md has the field's terms:", *found])


@pytest.mark.parametrize("term", FIELD_TERMS)
def test_the_glossary_has_the_fields_terms(term):
    assert term in (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8").lower()


def test_every_module_that_the_glossary_names_exists():
    glossary = (ROOT / "docs" / "glossary.md").read_text(encoding="utf-8")
    for cell in re.findall(r"\| ([^|]*) \|$", glossary, flags=re.MULTILINE):
        folder = None
        for name in re.findall(r"`([^`]+)`", cell):
            path = ROOT / name if "/" in name else folder / name
            folder = path.parent
            assert path.exists(), name


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("Strange images, and the answers to them.", ["strange", "answers"]),
        ("Reads `strangers` and `unfamiliarity`, which keep their names.", []),
        ("A prediction with its out-of-distribution score.", []),
    ],
    ids=["coined words", "literal names", "the field's terms"],
)
def test_a_coined_word_is_found_and_a_literal_name_is_not(line, words):
    assert coined(line) == words
