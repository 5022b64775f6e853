"""Near duplicates that the published predictions of SMIDS and HuSHeM did not know.

    python -m benchmarks.published_relatives --manual_dir=<folder with SMIDS.zip and HuSHeM.zip>

Searches both releases as their builders do, some minutes for SMIDS on two cores, and writes
docs/results/<dataset>/relatives.json: the version that the predictions stand on, and the pairs found that stand in two
of its groups. `python -m pipelines.results` then says beside each figure how many test images had a relative elsewhere.
"""

from __future__ import annotations

import argparse
import pathlib
from collections.abc import Mapping
from typing import Any

PUBLISHED_VERSIONS = {"smids": "3.0.0", "hushem": "3.0.0"}
PAIR_KEYS = ("image_id", "related_image_id", "distance", "correlation", "overlap", "scale", "view", "angle", "shows")


def pairs_between(groups: Mapping[str, str], near_duplicates: Any) -> list[dict[str, str]]:
    """The near duplicates that stand in two groups.

    Args:
        groups: `image_id` -> its group, in the published predictions.
        near_duplicates: rows of `near_duplicates.csv`.
    """
    return [
        {key: row[key] for key in PAIR_KEYS}
        for row in near_duplicates
        if {row["image_id"], row["related_image_id"]} <= groups.keys()
        and groups[row["image_id"]] != groups[row["related_image_id"]]
    ]


def published_groups(folder: pathlib.Path) -> dict[str, str]:
    """`image_id` -> `group_id` of the published predictions."""
    from sperm_tf.evaluation.cross_validation import oof_file
    from sperm_tf.models.registry import BACKBONES

    path = next(path for path in sorted(folder.glob("*.csv")) if path.stem in BACKBONES)
    table = oof_file.read_csv(path, complete=False)
    return dict(zip(table["image_id"], table["group_id"], strict=True))


def main() -> None:
    """Searches both datasets and writes the files."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manual_dir", required=True)
    parser.add_argument("--results_dir", default="docs/results")
    arguments = parser.parse_args()
    from sperm_tf.data.archives import find_source
    from sperm_tf.data.catalog import build_catalog
    from sperm_tf.evaluation.cross_validation import relatives
    from tfds_builders.hushem.hushem_dataset_builder import Builder as HushemBuilder
    from tfds_builders.smids.smids_dataset_builder import Builder as SmidsBuilder

    for builder in (HushemBuilder, SmidsBuilder):
        source = find_source(pathlib.Path(arguments.manual_dir), builder.CLASS_FOLDERS, name=builder.name)
        if source is None:
            raise SystemExit(f"manual_dir must hold {builder.name}. Received: --manual_dir={arguments.manual_dir}")
        with source.reader() as read:
            catalog = build_catalog(source.files, read, label_names=builder.CLASS_NAMES, clean=True)
        folder = pathlib.Path(arguments.results_dir) / builder.name
        pairs = pairs_between(published_groups(folder), catalog.near_duplicates)
        content = {
            "published_version": PUBLISHED_VERSIONS[builder.name],
            "searched_version": str(builder.VERSION),
            "num_searched": len(catalog.images),
            "num_near_duplicates": len(catalog.near_duplicates),
            "pairs": pairs,
        }
        relatives.write_json(content, folder / relatives.RELATIVES_FILE)
        print(f"{builder.name}: {len(catalog.near_duplicates)} near duplicates, {len(pairs)} between published groups")


if __name__ == "__main__":
    main()
