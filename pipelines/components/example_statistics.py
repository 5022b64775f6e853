"""Statistics, schema and anomalies of examples as tensorflow-metadata protos and as plain dictionaries.

TensorFlow Data Validation writes the same protos to the same files, so its viewers and TFX read them.
"""

from __future__ import annotations

import pathlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

NUMERIC = ("label", "width", "height", "fold", "num_bytes")
STRINGS = ("label_name", "image_id", "pixel_sha256", "group_id", "source_format")
_NUM_TOP_VALUES = 20


def summarize(records: Sequence[Mapping[str, Any]], class_names: Sequence[str]) -> dict[str, Any]:
    """Counts and sizes of one split, for people.

    Returns:
        `num_examples`, `classes` (name -> count), `width` and `height` (min, max, mean, median in pixels),
        `source_formats` (format -> count), `num_groups`.
    """
    classes = Counter(record.get("label_name") for record in records)
    return {
        "num_examples": len(records),
        "classes": {name: classes[name] for name in class_names},
        "width": _spread([record["width"] for record in records if "width" in record]),
        "height": _spread([record["height"] for record in records if "height" in record]),
        "source_formats": dict(Counter(record.get("source_format", "") for record in records).most_common()),
        "num_groups": len({record.get("group_id") for record in records}),
    }


def write_protos(
    output: pathlib.Path,
    splits: Mapping[str, Sequence[Mapping[str, Any]]],
    class_names: Sequence[str],
    anomalies: Sequence[Mapping[str, str]],
) -> None:
    """Writes `statistics/Split-*/FeatureStats.pb`, `schema/schema.pbtxt` and `anomalies/anomalies.pbtxt`."""
    for split, records in splits.items():
        statistics = statistics_pb2.DatasetFeatureStatisticsList(datasets=[_dataset_statistics(split, records)])
        path = output / "statistics" / f"Split-{split}" / "FeatureStats.pb"
        path.parent.mkdir(parents=True)
        path.write_bytes(statistics.SerializeToString(deterministic=True))
    schema = make_schema(class_names)
    _write_text(output / "schema" / "schema.pbtxt", schema)
    _write_text(output / "anomalies" / "anomalies.pbtxt", _make_anomalies(schema, anomalies))


def make_schema(class_names: Sequence[str]) -> schema_pb2.Schema:
    """The schema that every example must meet: one value of each feature, labels within the dataset's classes."""
    schema = schema_pb2.Schema()
    present = schema_pb2.FeaturePresence(min_fraction=1.0, min_count=1)
    single = schema_pb2.FixedShape()
    for name in ("image", *STRINGS):
        schema.feature.add(name=name, type=schema_pb2.BYTES, presence=present, shape=single)
    for name in NUMERIC[:-1]:
        schema.feature.add(name=name, type=schema_pb2.INT, presence=present, shape=single)
    features = {feature.name: feature for feature in schema.feature}
    features["image"].image_domain.SetInParent()
    features["label_name"].string_domain.CopyFrom(schema_pb2.StringDomain(name="label_name", value=class_names))
    features["label"].int_domain.CopyFrom(
        schema_pb2.IntDomain(name="label", min=0, max=len(class_names) - 1, is_categorical=True)
    )
    return schema


def _dataset_statistics(split: str, records: Sequence[Mapping[str, Any]]) -> statistics_pb2.DatasetFeatureStatistics:
    statistics = statistics_pb2.DatasetFeatureStatistics(name=split, num_examples=len(records))
    for name in NUMERIC:
        values = np.array([record[name] for record in records if name in record], np.float64)
        feature = statistics.features.add(type=statistics_pb2.FeatureNameStatistics.INT)
        feature.path.step.append(name)
        feature.num_stats.CopyFrom(_numeric_statistics(values, len(records)))
    for name in STRINGS:
        texts = [record[name] for record in records if name in record]
        feature = statistics.features.add(type=statistics_pb2.FeatureNameStatistics.STRING)
        feature.path.step.append(name)
        feature.string_stats.CopyFrom(_string_statistics(texts, len(records)))
    return statistics


def _common_statistics(present: int, total: int) -> statistics_pb2.CommonStatistics:
    return statistics_pb2.CommonStatistics(
        num_non_missing=present, num_missing=total - present, min_num_values=1, max_num_values=1, avg_num_values=1.0
    )


def _numeric_statistics(values: np.ndarray, total: int) -> statistics_pb2.NumericStatistics:
    statistics = statistics_pb2.NumericStatistics(common_stats=_common_statistics(len(values), total))
    if len(values):
        statistics.mean, statistics.std_dev = values.mean(), values.std()
        statistics.min, statistics.max, statistics.median = values.min(), values.max(), np.median(values)
        statistics.num_zeros = int((values == 0).sum())
        counts, edges = np.histogram(values)
        histogram = statistics.histograms.add(type=statistics_pb2.Histogram.STANDARD)
        for count, low, high in zip(counts, edges[:-1], edges[1:], strict=True):
            histogram.buckets.add(low_value=low, high_value=high, sample_count=count)
    return statistics


def _string_statistics(texts: Sequence[str], total: int) -> statistics_pb2.StringStatistics:
    counts = Counter(texts)
    statistics = statistics_pb2.StringStatistics(
        common_stats=_common_statistics(len(texts), total),
        unique=len(counts),
        avg_length=float(np.mean([len(text) for text in texts])) if texts else 0.0,
    )
    for rank, (value, count) in enumerate(counts.most_common(_NUM_TOP_VALUES)):
        statistics.top_values.add(value=value, frequency=count)
        statistics.rank_histogram.buckets.add(low_rank=rank, high_rank=rank, label=value, sample_count=count)
    return statistics


def _make_anomalies(schema: schema_pb2.Schema, anomalies: Sequence[Mapping[str, str]]) -> anomalies_pb2.Anomalies:
    message = anomalies_pb2.Anomalies(baseline=schema)
    for anomaly in anomalies:
        info = message.anomaly_info[anomaly["name"]]
        info.path.step[:] = [anomaly["name"]]
        info.severity = anomalies_pb2.AnomalyInfo.Severity.Value(anomaly["severity"])
        info.reason.add(description=anomaly["description"], short_description=anomaly["description"].split(";")[0])
        info.description = "; ".join(reason.description for reason in info.reason)
    return message


def _write_text(path: pathlib.Path, message: Any) -> None:
    path.parent.mkdir(parents=True)
    path.write_text(text_format.MessageToString(message), encoding="utf-8")


def _spread(values: Sequence[int]) -> dict[str, float] | None:
    if not values:
        return None
    return {
        "min": int(np.min(values)),
        "max": int(np.max(values)),
        "mean": round(float(np.mean(values)), 1),
        "median": float(np.median(values)),
    }
