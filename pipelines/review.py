"""Starts the review page: `python -m pipelines.review --scores=<folder>`, or with `--model` for crops dropped in."""

from __future__ import annotations

import contextlib
import importlib.util
import pathlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from absl import flags

from pipelines.bulk_inference.output import REVIEWS_FOLDER
from pipelines.cli import environment
from pipelines.cli.flags import HELP_FLAGS, FlagError, parse_own
from pipelines.cli.quiet import import_tensorflow_quietly
from sperm_tf import missing_packages

if TYPE_CHECKING:
    from pipelines.bulk_inference.scored_images import ScoredRun
    from sperm_tf.review.journal import Journal
    from sperm_tf.review.page import Page

USAGE = """Serves a page on this machine, on which a person looks at a model's answers, agrees or corrects them.

  python -m pipelines.review --scores=scores --initials=AB                 the referred crops of a finished run
  python -m pipelines.review --model=smids --output=reviews                crops that you drop in
  python -m pipelines.review --model=runs/own/Calibrator/<fingerprint> --output=reviews --port=7861

Flags:
  --scores=DIR             folder that python -m pipelines.score wrote: opens the crops that it refers, those unlike the
                           training images first, then the least sure; its predictions are shown as they are. Or the
                           folder of python -m pipelines.fields: each cell is shown in its field, too, where false ones
                           can be taken out and missed ones drawn
  --all                    with --scores: those that it accepts, too, after the others
  --images=DIR             with --scores: where the crops are now, if they were moved since; of a folder of fields,
                           where the fields are
  --model=NAME|DIR|FILE    without --scores: a released model (smids, hushem), a folder that the Calibrator wrote, or a
                           .keras file
  --output=DIR             where verdicts go: reviews.csv, images/, and labels.csv, which is training data; for --scores
                           the folder reviews inside it, unless you name another
  --initials=AB            yours, which stand beside each verdict; or fill them in on the page
  --class_names=A,B,...    in the order of the logits; for a .keras file that is no model.keras with its
                           model.json beside it
  --host=127.0.0.1         address to listen on; any other than this machine's own lets others in, without a password
  --port=7860              to listen on

Nothing is sent anywhere; no network is needed. How verdicts become training data: docs/review.md
"""
_PERIOD_S = 2
_LOCAL = ("127.0.0.1", "localhost", "::1")


def main(argv: Sequence[str] | None = None) -> int:
    """Flags to a running page.

    Args:
        argv: the arguments, the program's name first; None takes those of the process.

    Returns:
        The exit status: 0 when the page was stopped, 1 when it could not start, 2 for a wrong flag.
    """
    argv = list(sys.argv if argv is None else argv)
    if any(argument in HELP_FLAGS for argument in argv[1:]):
        print(USAGE, end="")
        return 0
    values = _define_flags()
    try:
        parse_own(values, argv)
        _check(values)
    except FlagError as error:
        print(f"pipelines.review: {error}", file=sys.stderr)
        return 2
    if importlib.util.find_spec("gradio") is None:
        print("pipelines.review: the page needs Gradio. Run: pip install 'gradio>=6'", file=sys.stderr)
        return 1
    environment.set_defaults()
    _say(f"Opening the scores in {values.scores}" if values.scores else f"Loading the model {values.model}")
    try:
        import_tensorflow_quietly()
        with _stopped_as_by_ctrl_c():
            _serve(values)
    except (ValueError, OSError, ImportError) as error:
        print(f"pipelines.review: {missing_packages.say(error)}", file=sys.stderr)
        return 1
    return 0


def _check(values: flags.FlagValues) -> None:
    """Refuses flags that do not belong together."""
    needed = [] if values.scores else ["model", "output"]
    unused = ["model", "class_names"] if values.scores else ["all", "images"]
    if missing := [name for name in needed if not values[name].value]:
        hint = " (or --scores=<folder>, for a finished run)" if missing[0] == "model" else ""
        raise FlagError(f"--{missing[0]} must be given{hint}. See --help")
    if given := [name for name in unused if values[name].value]:
        rule = "must not be given with --scores, which know their model" if values.scores else "needs --scores"
        raise FlagError(f"--{given[0]} {rule}. See --help")


def _define_flags() -> flags.FlagValues:
    values = flags.FlagValues()
    flags.DEFINE_string("scores", "", "see USAGE", flag_values=values)
    flags.DEFINE_bool("all", False, "see USAGE", flag_values=values)
    flags.DEFINE_string("images", "", "see USAGE", flag_values=values)
    flags.DEFINE_string("initials", "", "see USAGE", flag_values=values)
    flags.DEFINE_string("model", "", "see USAGE", flag_values=values)
    flags.DEFINE_string("output", "", "see USAGE", flag_values=values)
    flags.DEFINE_list("class_names", [], "see USAGE", flag_values=values)
    flags.DEFINE_string("host", "127.0.0.1", "see USAGE", flag_values=values)
    flags.DEFINE_integer("port", 7860, "see USAGE", lower_bound=1, upper_bound=65535, flag_values=values)
    return values


@contextlib.contextmanager
def _stopped_as_by_ctrl_c() -> Iterator[None]:
    """Any signal that ends the program raises KeyboardInterrupt, so that what was dropped in is deleted."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in handlers.items():
        if handler is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _serve(values: flags.FlagValues) -> None:
    page, journal, run = _open_scores(values) if values.scores else (*_load_model(values), None)
    _write_boxes(run, journal)  # an earlier page may have been killed
    try:
        address = _launch(page, host=values.host, port=values.port)
        if values.host not in _LOCAL:
            print(
                f"Anyone who reaches {values.host} can see and change this page: it has no password.", file=sys.stderr
            )
        print(f"Review page: {address}  (Ctrl+C stops it)\nVerdicts go to: {journal.folder.resolve()}", flush=True)
        page.wait()
    finally:
        page.close()
        _write_boxes(run, journal)


def _load_model(values: flags.FlagValues) -> tuple[Page, Journal]:
    import sperm_tf
    from sperm_tf.review.journal import Journal
    from sperm_tf.review.page import Page
    from sperm_tf.review.reader import Reader

    journal = Journal(pathlib.Path(values.output).expanduser())
    classifier = sperm_tf.load_model(values.model, class_names=values.class_names or None)
    _say("Preparing predictions and attribution maps (half a minute, once)")
    reader = Reader(classifier, name=name_model(values.model))
    reader.warm_up()
    return Page(reader, journal, initials=values.initials), journal


def _open_scores(values: flags.FlagValues) -> tuple[Page, Journal, ScoredRun]:
    from pipelines.bulk_inference.scored_images import ScoredRun
    from pipelines.field_analysis.reviewed_fields import FieldRun
    from sperm_tf.evaluation.quantification import cells_file, scores_file
    from sperm_tf.review.journal import Journal
    from sperm_tf.review.page import Page

    folder = pathlib.Path(values.scores).expanduser()
    kind = ScoredRun if cells_file.find(scores_file.read(folder)) is None else FieldRun
    run = kind(folder, images=values.images, shows_all=values.all)
    journal = Journal(pathlib.Path(values.output).expanduser() if values.output else run.folder / REVIEWS_FOLDER)
    _say(f"Reading {run.scope}")
    items = run.read(on_progress=Progress())
    return Page(run, journal, items=items, initials=values.initials), journal, run


def _write_boxes(run: ScoredRun | None, journal: Journal) -> None:
    """Writes the corrected cells of fields, where the page shows cells of fields."""
    from pipelines.field_analysis.exports import COCO_FILE
    from pipelines.field_analysis.reviewed_boxes import write_reviewed_boxes
    from pipelines.field_analysis.reviewed_fields import FieldRun
    from sperm_tf.review import records

    if isinstance(run, FieldRun):
        last = records.latest(journal.read().reviews)
        write_reviewed_boxes(journal.folder / COCO_FILE, run.found, last.values(), run.fields.find_outline)


def _launch(page: Page, *, host: str, port: int) -> str:
    try:
        return page.launch(host=host, port=port)
    except OSError as error:
        raise OSError(
            f"the page cannot listen on {host}, port {port}. If another program does, choose another --port. "
            f"Received: {error}"
        ) from error


class Progress:
    """Says how many images are read, every two seconds, with the time left."""

    def __init__(self) -> None:
        self._start = self._said = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        """Is told the number of images done, and of all."""
        from sperm_tf.report import text

        now = time.monotonic()
        if now - self._said >= _PERIOD_S:
            self._said = now
            left = (now - self._start) / done * (total - done)
            _say(f"{done:,} of {total:,} images read · {text.duration(left)} left")


def _say(line: str) -> None:
    print(f"{line} ...", file=sys.stderr, flush=True)


def name_model(source: str) -> str:
    """A short name for the model, without the path to it: `smids`, `Calibrator/1a2b3c` or `tuned.keras`."""
    from sperm_tf.serving.sources import is_trained_model

    path = pathlib.Path(source).expanduser()
    return "/".join(path.resolve().parts[-2:]) if path.is_dir() and is_trained_model(path) else path.name


if __name__ == "__main__":
    sys.exit(main())
