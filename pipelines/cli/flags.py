"""Command-line flags: a preset, overrides of any of its fields, and Beam's own flags.

Imports only what answers in milliseconds, so that `--help` and a wrong flag do.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import importlib
import importlib.util
import inspect
import pathlib
import re
import typing
from collections.abc import Collection, Iterator, Sequence
from typing import Any

from absl import flags
from ml_collections import config_dict, config_flags

from pipelines.configs import PRESETS
from sperm_tf.config import PipelineConfig

USAGE = """Trains, evaluates, explains and pushes a sperm morphology classifier; every stage is a directory.

  python -m pipelines.run                                              synthetic images, a few minutes
  python -m pipelines.run --preset=hushem --manual_dir=<folder>        HuSHeM; <folder> holds the archive
  python -m pipelines.run --preset=own --data_dir=<folder or CSV>      your images: one folder per class, or a table
  python -m pipelines.run --preset=smids --config.trainer.batch_size=16
  python -m pipelines.run --preset=smids --dry_run                     what would run, what is reused, and why
  python -m pipelines.run --verify --pipeline_root=runs/smids          compares every file with its digest
"""


HELP_FLAGS = ("-h", "--help", "-help", "--helpfull")
# Section (empty for the top) and name of every field that holds a path.
_PATHS = (
    ("", "pipeline_root"),
    ("example_gen", "manual_dir"),
    ("example_gen", "data_dir"),
    ("evaluator", "baseline"),
    ("pusher", "serving_base"),
)


class FlagError(ValueError):
    """A flag is unknown or has a wrong value; the message lists what is valid."""


@dataclasses.dataclass(frozen=True)
class Invocation:
    """What the command line asks for.

    Attributes:
        config: the complete configuration.
        beam_args: Beam's own flags, untouched.
        dry_run: print the plan, run nothing.
        verify: compare the files of the pipeline root and of the pushed versions with their digests, run nothing.
    """

    config: PipelineConfig
    beam_args: tuple[str, ...]
    dry_run: bool
    verify: bool = False


def parse(argv: Sequence[str]) -> Invocation:
    """Reads the command line.

    Args:
        argv: the arguments, the program's name first.

    Raises:
        FlagError: for an unknown flag, field or preset, or a value of the wrong type.
    """
    preset = _find_preset(argv)
    defaults = preset_config(preset)
    try:
        parsed = _define_flags(preset, defaults, argv)
        rest = parsed(argv, known_only=True)[1:]
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise FlagError(_explain(argv, error, defaults)) from error
    beam_args = check_beam_args(rest, _own_flags(defaults))
    values = parsed.config.to_dict()
    values |= {"preset": preset, "pipeline_root": parsed.pipeline_root or defaults.pipeline_root}
    for name in ("manual_dir", "data_dir"):
        if parsed[name].value:
            values["example_gen"][name] = parsed[name].value
    _expand_home(values)
    try:
        config = from_dict(PipelineConfig, values)
    except ValueError as error:
        raise FlagError(f"{error} See --help") from error
    return Invocation(config, beam_args, parsed.dry_run, parsed.verify)


def preset_config(name: str) -> PipelineConfig:
    """The configuration of a preset.

    Raises:
        FlagError: when there is no preset of that name.
    """
    if name not in PRESETS:
        raise FlagError(f"--preset must be one of {', '.join(PRESETS)}. Received: --preset={name}")
    return importlib.import_module(f"pipelines.configs.{name}").get_config()


def parse_names(flag: str, text: str, known: Sequence[str]) -> tuple[str, ...]:
    """Names in a comma-separated flag, each once.

    Raises:
        FlagError: one of them is not known, or there is none.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if not names or not set(names) <= set(known):
        raise FlagError(f"--{flag} must be of {', '.join(known)}. Received: --{flag}={text}")
    return names


def parse_own(values: flags.FlagValues, argv: Sequence[str]) -> None:
    """Reads the command line of a command that has flags of its own alone.

    Args:
        values: the flags, which are filled in.
        argv: the arguments, the program's name first.

    Raises:
        FlagError: a flag is unknown, missing or wrong, or an argument is no flag.
    """
    try:
        if rest := values(list(argv))[1:]:
            raise flags.Error(f"arguments must be flags. Received: {rest[0]!r}")
    except flags.UnrecognizedFlagError as error:
        raise FlagError(_unknown(error.flagname, list(values), others=())) from error
    except flags.Error as error:
        raise FlagError(f"{str(error).rstrip('. ')}. See --help") from error


def from_dict(cls: type, values: dict[str, Any]) -> Any:
    """Builds a nested frozen dataclass; a tuple of names may be given as one comma-separated string."""
    hints = typing.get_type_hints(cls)
    fields = {}
    for name, value in values.items():
        if dataclasses.is_dataclass(hints[name]):
            value = from_dict(typing.cast(type, hints[name]), value)
        elif isinstance(value, tuple):
            value = tuple(part.strip() for item in value for part in str(item).split(",") if part.strip())
        fields[name] = value
    return cls(**fields)


def help_text(argv: Sequence[str]) -> str:
    """All flags with their defaults in the preset that `argv` names, and what they mean."""
    preset = _find_preset([argument for argument in argv if argument not in HELP_FLAGS])
    lines = [
        USAGE,
        "Flags:",
        f"  --preset={preset:<15} one of {', '.join(PRESETS)}",
        "  --pipeline_root=DIR      where every artifact goes; default runs/<preset>",
        "  --manual_dir=DIR         folder with a real dataset's archive or extracted folder",
        "  --data_dir=DIR|TABLE     your images: folder with one folder per class, or CSV (docs/adding_a_dataset.md)",
        "  --dry_run                print the plan and stop",
        "  --verify                 compare every file below pipeline_root, and what is served, with its digest; list",
        "                           what differs, and stop (docs/reliability.md)",
        "  --runner=..., --direct_running_mode=multi_processing --direct_num_workers=2 and Apache Beam's other flags",
        "                           are passed on to Beam; the default is --runner=FnApiRunner (local, one process)",
        "",
        f"Fields, as the preset {preset} sets them (a tuple takes comma-separated names):",
    ]
    for name, value, meaning in describe_fields(preset_config(preset)):
        shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
        lines.append(f"  --config.{name}={shown}\n        {meaning}")
    return "\n".join(lines)


def describe_fields(config: Any, prefix: str = "") -> Iterator[tuple[str, Any, str]]:
    """Yields dotted name, value and meaning (from the docstring) of every field that a flag of its own does not set."""
    meanings = _attribute_docs(type(config))
    for field in dataclasses.fields(config):
        if not prefix and field.name in ("preset", "pipeline_root"):
            continue
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from describe_fields(value, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", value, meanings.get(field.name, "")


def _define_flags(preset: str, defaults: PipelineConfig, argv: Sequence[str]) -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_string("preset", preset, "preset to start from", flag_values=values)
    flags.DEFINE_string("pipeline_root", "", "directory of all artifacts", flag_values=values)
    flags.DEFINE_string("manual_dir", "", "folder with the dataset's archive", flag_values=values)
    flags.DEFINE_string("data_dir", "", "folder or table of own images", flag_values=values)
    flags.DEFINE_bool("dry_run", False, "print the plan", flag_values=values)
    flags.DEFINE_bool("verify", False, "compare files with their digests", flag_values=values)
    fields = dataclasses.asdict(defaults)
    del fields["preset"], fields["pipeline_root"]  # they have flags of their own
    config = config_dict.ConfigDict(fields)
    config_flags.DEFINE_config_dict("config", config, "the configuration", flag_values=values, sys_argv=list(argv))
    return values


def _expand_home(values: dict[str, Any]) -> None:
    """Replaces a leading `~`, which shells leave as it is in `--flag=~/folder`."""
    for section, name in _PATHS:
        part = values[section] if section else values
        part[name] = _expanded(part[name])
    model = values["trainer"]["model"]
    model["weights"] = _expanded(model["weights"])


def _expanded(path: str) -> str:
    return str(pathlib.Path(path).expanduser()) if path.startswith("~") else path


def _find_preset(argv: Sequence[str]) -> str:
    parser = flags.FlagValues()
    flags.DEFINE_string("preset", "demo", "", flag_values=parser)
    try:
        parser(list(argv), known_only=True)
    except flags.Error as error:
        raise FlagError(f"--preset must be one of {', '.join(PRESETS)}. Received: {error}") from error
    return parser.preset


def check_beam_args(rest: Sequence[str], own: Sequence[str]) -> tuple[str, ...]:
    """What of a command line is left for Beam, when all of it is.

    Args:
        rest: the arguments that no flag of the command itself took.
        own: names of the command's own flags, for the message.

    Raises:
        FlagError: an argument is no flag, or Beam has none of that name.
    """
    for before, argument in zip(("", *rest), rest, strict=False):
        may_be_value = before.startswith("--") and "=" not in before  # as in --environment_type LOOPBACK
        if not argument.startswith("--") and not may_be_value:
            raise FlagError(f"arguments must be flags. Received: {argument!r}. Put a pattern in quotes")
        name = argument.lstrip("-").split("=")[0]
        if argument.startswith("--") and name not in _beam_flags() and name.removeprefix("no_") not in _beam_flags():
            raise FlagError(_unknown(name, own))
    return tuple(rest)


def _explain(argv: Sequence[str], error: Exception, defaults: PipelineConfig) -> str:
    """Says which override was wrong, and lists what its section takes."""
    known = {name for name, _, _ in describe_fields(defaults)}
    for argument in argv[1:]:
        name = argument.lstrip("-").split("=")[0]
        if name.startswith("config.") and name.removeprefix("config.") not in known:
            return _unknown(name, _own_flags(defaults))
    return f"{error}. See --help for every field and its default"


def _own_flags(defaults: PipelineConfig) -> list[str]:
    fields = [f"config.{field}" for field, _, _ in describe_fields(defaults)]
    return ["preset", "pipeline_root", "manual_dir", "data_dir", "dry_run", "verify", "help", *fields]


def _unknown(name: str, own: Sequence[str], others: Collection[str] | None = None) -> str:
    """At most three lines, the nearest flag first; `others` are valid besides, Beam's if None."""
    close = difflib.get_close_matches(name, [*own, *(_beam_flags() if others is None else others)], n=3, cutoff=0.6)
    same_leaf = [field for field in own if field.rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]]
    meant = list(dict.fromkeys([*close[:1], *same_leaf, *close]))
    first = f"did you mean --{meant[0]}? --{name} is unknown" if meant else f"--{name} is unknown"
    section = name.rsplit(".", 1)[0] + "." if "." in name else ""
    rest = meant[1:4] or [item for item in own if section and item.startswith(section) and item not in meant]
    also = f"Also close: {', '.join('--' + item for item in rest)}.\n" if rest else ""
    return f"{first}.\n{also}--help lists every flag with its default and its meaning."


@functools.cache
def _beam_flags() -> frozenset[str]:
    """Names of Beam's flags, read from its source: importing Beam takes seconds, a wrong flag should not."""
    spec = importlib.util.find_spec("apache_beam")
    if spec is None or not spec.submodule_search_locations:
        return frozenset()
    source = pathlib.Path(spec.submodule_search_locations[0]) / "options" / "pipeline_options.py"
    return frozenset(re.findall(r"['\"]--([a-z][a-z0-9_]*)['\"]", source.read_text(encoding="utf-8")))


def _attribute_docs(cls: type) -> dict[str, str]:
    """Meaning of each attribute, from the `Attributes:` section of a dataclass's docstring."""
    text = inspect.getdoc(cls) or ""
    section = text.partition("Attributes:\n")[2]
    pairs = re.findall(r"^ {4}(\w+): (.+(?:\n {8}.+)*)", section, flags=re.MULTILINE)
    return {name: re.sub(r"\s+", " ", meaning) for name, meaning in pairs}
