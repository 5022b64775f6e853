"""Crops of SMIDS and HuSHeM in drawn fields: are they found again, and classified as the crops themselves?

    python -m benchmarks.pasted_crops --data_dir=<folder with SMIDS.zip and HuSHeM.zip>
    python -m benchmarks.pasted_crops --data_dir=<the same> --without_cells

Pastes a fixed choice of crops into drawn slides without cells, twelve a field of 1280 x 1024 pixels, and runs
`pipelines.fields` on the fields and `pipelines.score` on the crops, with the released model of the dataset. A crop is
found again if a head's box has its middle within a quarter of the crop's side of the crop's middle. The released models
were trained on most of these crops: agreement is measured, no accuracy. With `--without_cells` it runs the command on
fields that must not yield an accepted cell: empty ones, debris alone, and pasted crops with a pixel size that is wrong
by a factor of two; target: none. With `--folder` fields, crops and cells are kept, and used by the next run. Some five
minutes of processor time.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import io
import itertools
import math
import pathlib
import shutil
import tempfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sperm_tf.synthesis.canvas import Canvas
from sperm_tf.synthesis.field_debris import add_field_debris
from sperm_tf.synthesis.field_optics import draw_field_look, expose_field
from sperm_tf.synthesis.renderer import PIXEL_SIZE_UM

if TYPE_CHECKING:
    import pandas as pd


@dataclasses.dataclass(frozen=True)
class Dataset:
    """What is pasted: the archive's name, the released model, micrometres a pixel, and crops a class."""

    name: str
    model: str
    pixel_size_um: float
    num_per_class: int


SMIDS = Dataset("SMIDS", "smids", 0.0755, 60)  # at which the heads that are found are 4.1 um long in the median
HUSHEM = Dataset("HuSHeM", "hushem", PIXEL_SIZE_UM["head_shape"], 24)
DATASETS = {dataset.name: dataset for dataset in (SMIDS, HUSHEM)}
HEIGHT, WIDTH = 1024, 1280
ROWS, COLUMNS = 3, 4
_RAMP_PX = 30  # around a crop, on which the slide takes on the crop's background
_FEATHER_PX = 5  # of the crop, on which it fades into the slide
_MARGIN_UM = 5.0  # of slide around the field, as `sperm_tf.synthesis.field_renderer` has it
AMOUNTS = {"debris": (1.0, 1.8), "empty": (0.0,)}
"""Kinds of fields without cells, and amounts of debris, which take turns."""
NUM_WITHOUT_CELLS, NUM_CROPS = 12, 8
"""Fields of each kind that have no cells, and crops a class that others hold."""


@dataclasses.dataclass(frozen=True, eq=False)
class Crop:
    """A crop: its name in the archive, its folder there, uint8 [H, W, 3], and the colour of its border."""

    name: str
    label: str
    pixels: np.ndarray
    background: np.ndarray


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a crop was pasted: field, first column and row, and sides."""

    crop: Crop
    field: str
    x0: int
    y0: int

    def distance(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        """From points of the field to the crop's middle, in shares of its side: the larger of both axes."""
        height, width = self.crop.pixels.shape[:2]
        return np.maximum(np.abs(x - self.x0 - width / 2) / width, np.abs(y - self.y0 - height / 2) / height)


def read_crops(archive: pathlib.Path, num_per_class: int) -> list[Crop]:
    """The same crops of every class each time, evenly spaced among the sorted names."""
    names: dict[str, list[str]] = defaultdict(list)
    crops = []
    with zipfile.ZipFile(archive) as file:
        for name in sorted(file.namelist()):
            if name.lower().endswith((".bmp", ".png")):
                names[name.split("/")[-2]].append(name)
        for label, members in names.items():
            for place in np.unique(np.linspace(0, len(members) - 1, num_per_class).astype(int)):
                pixels = np.asarray(Image.open(io.BytesIO(file.read(members[place]))).convert("RGB"))
                border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
                crops.append(Crop(members[place], label, pixels, np.median(border, axis=0)))
    return crops


def draw_slide(
    index: int,
    *,
    pixel_size_um: float,
    background: np.ndarray | None = None,
    debris: float = 0.0,
    height: int = HEIGHT,
    width: int = WIDTH,
) -> np.ndarray:
    """A field without cells, uint8 [H, W, 3], under uneven light.

    Args:
        index: number of the field.
        pixel_size_um: micrometres a pixel.
        background: RGB of the empty slide, 0-255; None for that of drawn fields.
        debris: 0 for none; 1 is a typical slide.
        height: pixels.
        width: pixels.
    """
    rng = np.random.default_rng((index, 7))
    margin = math.ceil(_MARGIN_UM / pixel_size_um)
    canvas = Canvas(height + 2 * margin, width + 2 * margin, pixel_size_um)
    look = draw_field_look(rng)
    light = {"vignette": float(rng.uniform(0.01, 0.06)), "slope": rng.normal(0, 0.02, 2)}
    colour = look.background if background is None else background
    if debris:
        add_field_debris(canvas, debris, rng)
    return expose_field(canvas, None, margin, dataclasses.replace(look, background=colour, **light), index)


def paste(field: np.ndarray, crop: Crop, x0: int, y0: int) -> None:
    """Pastes a crop into a field, float [H, W, 3], in place.

    Around it the slide takes on the colour of the crop's border; the crop's outermost pixels fade into that. Within,
    they stay as they are.
    """
    height, width = crop.pixels.shape[:2]
    rows, columns = np.arange(field.shape[0])[:, None], np.arange(field.shape[1])
    outside = np.hypot(_overshoot(rows, y0, height), _overshoot(columns, x0, width))
    weight = 0.5 + 0.5 * np.cos(np.pi * np.clip(outside / _RAMP_PX, 0, 1))
    window = slice(y0, y0 + height), slice(x0, x0 + width)
    field += weight[..., None] * (crop.background - np.median(field[window], axis=(0, 1)))
    depth = np.minimum(_depth(height)[:, None], _depth(width))
    own = np.clip((depth + 0.5) / _FEATHER_PX, 0, 1)[..., None]
    field[window] = own * crop.pixels + (1 - own) * field[window]


def _overshoot(positions: np.ndarray, start: int, side: int) -> np.ndarray:
    return np.maximum(0, np.maximum(start - positions, positions - (start + side - 1)))


def _depth(side: int) -> np.ndarray:
    """Pixels from the nearer border."""
    return np.minimum(np.arange(side), np.arange(side)[::-1])


def place_crops(crops: Sequence[Crop]) -> list[Place]:
    """Where crops go: `ROWS` by `COLUMNS` of them in a field, those of similar background together."""
    ordered = sorted(crops, key=lambda crop: (float(crop.background.sum()), crop.name))
    places = []
    for number, crop in enumerate(ordered):
        field, place = divmod(number, ROWS * COLUMNS)
        row, column = divmod(place, COLUMNS)
        y0 = round((row + 0.5) * HEIGHT / ROWS - crop.pixels.shape[0] / 2)
        x0 = round((column + 0.5) * WIDTH / COLUMNS - crop.pixels.shape[1] / 2)
        places.append(Place(crop, f"field_{field + 1:02d}.png", x0, y0))
    return places


def write_fields(places: Sequence[Place], folder: pathlib.Path, pixel_size_um: float) -> None:
    """Writes the fields as PNG."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(sorted({place.field for place in places})):
        if (folder / name).is_file():
            continue
        members = [place for place in places if place.field == name]
        background = np.median([place.crop.background for place in members], axis=0)
        field = draw_slide(index, pixel_size_um=pixel_size_um, background=background).astype(np.float64)
        for place in members:
            paste(field, place.crop, place.x0, place.y0)
        write_png(folder / name, field)


def write_png(path: pathlib.Path, pixels: np.ndarray) -> None:
    Image.fromarray(np.clip(np.round(pixels), 0, 255).astype(np.uint8)).save(path)


def run(command: str, model: str, source: pathlib.Path, output: pathlib.Path, *flags: str) -> str:
    """Runs `pipelines.fields` or `pipelines.score`; returns what it wrote to stderr where it stopped, else nothing."""
    main = importlib.import_module(f"pipelines.{command}").main
    errors = io.StringIO()
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(errors):
        status = main([command, f"--model={model}", f"--input={source}", f"--output={output}", *flags])
    return errors.getvalue() if status else ""


def match(places: Sequence[Place], cells: pd.DataFrame) -> dict[Place, int]:
    """The row of the head that is found where a crop was pasted, for each crop that has one."""
    x, y = (cells[f"head_{axis}0"] + cells[f"head_{axis}1"] for axis in "xy")
    found = {}
    for place in places:
        distance = np.where(cells["field"] == place.field, place.distance(x / 2, y / 2), np.inf)
        if len(distance) and distance.min() <= 0.25:
            found[place] = int(distance.argmin())
    return found


def compare(dataset: Dataset, data_dir: pathlib.Path, folder: pathlib.Path) -> None:
    """Prints how cells that are found compare with the crops that were pasted."""
    crops = read_crops(data_dir / f"{dataset.name}.zip", dataset.num_per_class)
    (folder / "crops").mkdir(parents=True, exist_ok=True)
    files = {crop.name: f"{index:03d}.png" for index, crop in enumerate(crops)}
    for crop in crops:
        write_png(folder / "crops" / files[crop.name], crop.pixels)
    places = place_crops(crops)
    write_fields(places, folder / "fields", dataset.pixel_size_um)
    problem = run("score", dataset.model, folder / "crops", folder / "scores")
    problem += run(
        "fields", dataset.model, folder / "fields", folder / "cells", "--finder=classical",
        f"--pixel_size_um={dataset.pixel_size_um}",
    )  # fmt: skip
    if problem:
        raise RuntimeError(problem)
    print_comparison(dataset, places, files, folder)


def print_comparison(dataset: Dataset, places: Sequence[Place], files: Mapping[str, str], folder: pathlib.Path) -> None:
    """Prints a row a class, and what became of decisions and classes; `files` has the file of each crop's name."""
    import pandas as pd

    scores = pd.read_parquet(folder / "scores" / "scores.parquet").set_index("file")
    cells = pd.read_parquet(folder / "cells" / "cells.parquet")
    found = match(places, cells)
    print(f"{dataset.name}: {len(places)} crops, model {dataset.model}")
    for label in (*sorted({place.crop.label for place in places}), "all"):
        own = [place for place in places if label in (place.crop.label, "all")]
        both = [place for place in own if place in found]
        pairs = [(scores.loc[files[place.crop.name]], cells.loc[found[place]]) for place in both]
        ratios = [cells.loc[found[place], "crop_side"] / max(place.crop.pixels.shape) for place in both]
        print(f"  {label}: {describe(len(own), pairs, ratios)}")
    for name in ("decision", "reason", "predicted_class"):
        print(f"  {name}, crop > cell: {_count(f'{crop[name]} > {cell[name]}' for crop, cell in pairs)}")
    report_others(places, cells.drop(index=sorted(set(found.values()))))


def describe(num_crops: int, pairs: Sequence[tuple[pd.Series, pd.Series]], ratios: Sequence[float]) -> str:
    """The row of a class: crops and cells in pairs, as `score` and `fields` wrote them."""
    if not pairs:
        return f"0 of {num_crops} found"
    names = [name for name in pairs[0][0].index if name.startswith("p_")]
    gaps = np.array([[abs(crop[name] - cell[name]) for name in names] for crop, cell in pairs])
    ood = np.array([cell["unfamiliarity"] - crop["unfamiliarity"] for crop, cell in pairs])
    same = {name: sum(crop[name] == cell[name] for crop, cell in pairs) for name in ("predicted_class", "decision")}
    accepted = [sum(row["decision"] == "accept" for row in rows) for rows in zip(*pairs, strict=True)]
    return (
        f"{len(pairs)} of {num_crops} found; same class {same['predicted_class']}, same decision {same['decision']}; "
        f"accepted {accepted[0]} crops, {accepted[1]} cells; probabilities differ by {gaps.mean():.3f}, 95 % "
        f"{np.quantile(gaps, 0.95):.3f}; OOD score by {np.median(ood):+.2f} "
        f"({np.quantile(ood, 0.05):+.2f} to {np.quantile(ood, 0.95):+.2f}); side of the crop "
        f"x {np.median(ratios):.2f} ({np.quantile(ratios, 0.05):.2f}-{np.quantile(ratios, 0.95):.2f})"
    )


def report_others(places: Sequence[Place], others: pd.DataFrame) -> None:
    """Prints what the heads are that lie in no crop's middle."""
    x, y = ((others[f"head_{axis}0"] + others[f"head_{axis}1"]) / 2 for axis in "xy")
    inside = np.zeros(len(others), bool)
    for place in places:
        inside |= ((others["field"] == place.field) & (place.distance(x, y) <= 0.5)).to_numpy()
    for name, rows in (("elsewhere in a crop", others[inside]), ("outside of every crop", others[~inside])):
        print(f"  heads {name}: {len(rows)}, {_count(rows['decision'] + ' ' + rows['predicted_class'])}")


def _count(values: Iterable[str] | pd.Series) -> str:
    return ", ".join(f"{name}: {count}" for name, count in Counter(values).most_common()) or "none"


def check_without_cells(data_dir: pathlib.Path, folder: pathlib.Path) -> None:
    """Prints the cells that are found and accepted where none should be."""
    crops = read_crops(data_dir / f"{SMIDS.name}.zip", NUM_CROPS)
    colour = np.median([crop.background for crop in crops], axis=0)
    pasted, mixed = folder / "pasted", folder / "mixed"
    write_fields(place_crops(crops), pasted, SMIDS.pixel_size_um)
    given = (f"--pixel_size_um={SMIDS.pixel_size_um}", "--nocheck_pixel_size")  # which debris would stop
    for name, amounts in AMOUNTS.items():
        write_slides(folder / name, name, amounts, colour)
    mixed.mkdir(exist_ok=True)
    for path in (path for name in (*AMOUNTS, pasted.name) for path in sorted((folder / name).iterdir())):
        shutil.copy(path, mixed / path.name)
    problem = run("fields", SMIDS.model, mixed, folder / "mixed_given", *given)
    for name in AMOUNTS:
        report_run(f"{name}, among fields with crops", problem, folder / "mixed_given", only=name)
    for name, (size, flags) in itertools.product(AMOUNTS, (("given", given), ("estimated", ()))):
        output = folder / f"{name}_{size}"
        problem = run("fields", SMIDS.model, folder / name, output, *flags)
        report_run(f"{name} alone, pixel size {size}", problem, output)
    for factor in (0.5, 2.0):
        check_wrong_scale(pasted, folder, factor)


def write_slides(folder: pathlib.Path, name: str, amounts: Sequence[float], colour: np.ndarray) -> None:
    """Writes slides without cells, a quarter as large; every other one has the background of SMIDS."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(NUM_WITHOUT_CELLS):
        path = folder / f"{name}_{index + 1:02d}.png"
        if not path.is_file():
            background, debris = (colour, None)[index % 2], amounts[index // 2 % len(amounts)]
            look = {"pixel_size_um": SMIDS.pixel_size_um, "background": background, "debris": debris}
            write_png(path, draw_slide(1000 + index, height=HEIGHT // 2, width=WIDTH // 2, **look))


def check_wrong_scale(fields: pathlib.Path, folder: pathlib.Path, factor: float) -> None:
    """Prints what comes of a wrong pixel size, and what would come of it if it were not compared with the heads."""
    size, output = factor * SMIDS.pixel_size_um, folder / f"times_{factor}"
    problem = run("fields", SMIDS.model, fields, output, f"--pixel_size_um={size}")
    report_run(f"crops, pixel size x {factor}", problem, output)
    output = folder / f"times_{factor}_unchecked"
    problem = run("fields", SMIDS.model, fields, output, f"--pixel_size_um={size}", "--nocheck_pixel_size")
    report_run("the same with --nocheck_pixel_size", problem, output)


def report_run(name: str, problem: str, output: pathlib.Path, *, only: str = "") -> None:
    """Prints heads and accepted cells of a run, of the fields whose names begin with `only`."""
    import pandas as pd

    if problem:
        print(f"{name}: stopped: {problem.strip().splitlines()[-1]}", flush=True)
        return
    fields, cells = (pd.read_parquet(output / f"{table}.parquet") for table in ("fields", "cells"))
    fields, cells = fields[fields["file"].str.startswith(only)], cells[cells["field"].str.startswith(only)]
    if not len(cells):
        print(f"{name}: {len(fields)} fields, no heads", flush=True)
        return
    accepted = cells[cells["decision"] == "accept"]
    print(
        f"{name}: {len(fields)} fields, {len(cells)} heads, {len(accepted)} accepted "
        f"({_count(accepted['predicted_class'])}); others: {_count(cells['reason'].fillna('cut by the border'))}",
        flush=True,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", type=pathlib.Path, required=True)
    parser.add_argument("--dataset", choices=DATASETS, help="one of the two; both without it")
    parser.add_argument("--without_cells", action="store_true")
    parser.add_argument("--folder", type=pathlib.Path, help="where fields and cells are kept")
    flags = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = flags.folder or pathlib.Path(temporary)
        if flags.without_cells:
            check_without_cells(flags.data_dir, folder)
            return
        for dataset in [DATASETS[flags.dataset]] if flags.dataset else DATASETS.values():
            compare(dataset, flags.data_dir, folder / dataset.model)


if __name__ == "__main__":
    main()
