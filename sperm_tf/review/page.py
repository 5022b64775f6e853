"""The page: Gradio around `Session`, for one person at one desk, without a network.

What the browser asks for comes from this process alone: no analytics, no fonts or scripts from elsewhere, no share
link, no history in the browser. Files that are dropped in are deleted when the page stops; what was judged is in the
journal.
"""

from __future__ import annotations

import functools
import importlib.resources
import os
import tempfile
from collections.abc import Sequence
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from sperm_tf.review import view, wording
from sperm_tf.review.actions import NO_CELL, PREDICTED, Actions
from sperm_tf.review.items import Item, Predictor
from sperm_tf.review.journal import Journal
from sperm_tf.review.maps import Maps
from sperm_tf.review.origin_check import OriginCheck

_MAX_FILE_SIZE = "100mb"  # the largest image that is accepted, uncompressed
_SETTINGS = {"GRADIO_ANALYTICS_ENABLED": "False", "GRADIO_RUN_HISTORY": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}
_CLEAN_UP_S = (3600, 6 * 3600)  # how often, and after how long, files that were dropped in are deleted
_FONT = ("system-ui", "Segoe UI", "Roboto", "Liberation Sans", "Arial", "sans-serif")
_NUM_KEYS = 9  # classes that a digit chooses


class Page:
    """The page of one model and one journal.

    Args:
        predictor: the model; a `sperm_tf.review.reader.Reader` where images are to be dropped in.
        journal: where verdicts go.
        items: the images to review; None for a page that images are dropped in.
        initials: of the person, to begin with.

    Attributes:
        maps: the attribution maps, which are computed ahead.

    Raises:
        JournalError: the journal is that of a model with other classes.
    """

    def __init__(
        self, predictor: Predictor, journal: Journal, *, items: Sequence[Item] | None = None, initials: str = ""
    ):
        journal.check_classes(predictor.class_names)
        os.environ.update(_SETTINGS)
        # Gradio looks up where uploads go when the page is built. Images of patients go when the page goes.
        self._uploads = tempfile.TemporaryDirectory(prefix="sperm_tf_review_")
        os.environ["GRADIO_TEMP_DIR"] = self._uploads.name
        self._predictor, self._items, self._initials = predictor, items, initials
        self.maps = Maps(predictor)
        self._actions = Actions(predictor, journal, self.maps)
        with gr.Blocks(title="Review of sperm images", analytics_enabled=False, delete_cache=_CLEAN_UP_S) as blocks:
            self._blocks = blocks
            self._lay_out()

    def launch(self, *, host: str, port: int | None) -> str:
        """Serves the page from threads of this process, and returns its address.

        Args:
            host: address to listen on; anything but this machine's own lets others in, without a password. Requests
                under other names are refused (`sperm_tf.review.origin_check`).
            port: to listen on; None takes a free one.

        Raises:
            OSError: the port is taken, or the host is no address of this machine.
        """
        theme = gr.themes.Base(primary_hue="blue", neutral_hue="slate", font=_FONT, font_mono=("monospace",))
        self._blocks.launch(
            server_name=host,
            server_port=port,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
            ssr_mode=False,
            pwa=False,
            mcp_server=False,
            enable_monitoring=False,
            footer_links=[],
            _frontend=False,  # or Gradio gives up where its own page takes 3 s, as on a machine busy with scoring
            max_file_size=_MAX_FILE_SIZE,
            app_kwargs={"middleware": [Middleware(OriginCheck, host=host)]},
            theme=theme,
            # Not as `css`, which Gradio rewrites: it puts a prefix before every selector.
            head=f"<style>{_asset('page.css')}</style><script>{_asset('page.js')}</script>",
        )
        return self._blocks.local_url

    def wait(self) -> None:
        """Returns when the page is stopped (Ctrl+C)."""
        self._blocks.block_thread()

    def close(self) -> None:
        """Stops the page and deletes what was dropped in."""
        self._blocks.close(verbose=False)
        self.maps.close()
        self._uploads.cleanup()

    def _lay_out(self) -> None:
        state = gr.State(None)  # the Session of this tab, once there is one
        shown = gr.Number(None, visible=False)  # the image that the person sees while pressing a button
        gr.HTML(view.render_head(self._predictor), apply_default_css=False)
        intake = self._lay_out_intake() if self._items is None else None
        with gr.Row(elem_id="rv-main"):
            with gr.Column(scale=1, min_width=270, elem_id="rv-side"):
                reviewer = gr.Textbox(
                    self._initials, label="Your initials (required)", max_length=20, elem_id="rv-reviewer"
                )
                thumbnails = gr.HTML(elem_id="rv-thumbnails", apply_default_css=False)
                worklist = gr.HTML(elem_id="rv-worklist", js_on_load=_asset("worklist.js"), apply_default_css=False)
            with gr.Column(scale=4, min_width=320):
                card = gr.HTML(
                    view.render_welcome(self._predictor) if self._items is None else "",
                    elem_id="rv-card",
                    apply_default_css=False,
                )
                gr.HTML('<p id="rv-refusal" role="alert" hidden></p>', apply_default_css=False)
                with gr.Column(visible=False, elem_id="rv-actions") as buttons:
                    verdicts, comment, back, skip = self._lay_out_buttons()
                    gr.HTML(f'<p class="rv-keys">{wording.KEYS}</p>', apply_default_css=False)
                status = gr.HTML(elem_id="rv-status", apply_default_css=False)
                field = self._lay_out_field()
                late_map = gr.HTML(elem_id="rv-late-map", js_on_load=_asset("late_map.js"), apply_default_css=False)
        updated = [state, shown, status, worklist, card, buttons, verdicts["agree"], comment]
        prompt: dict[str, Any] = {"outputs": updated, "show_progress": "hidden"}
        events = [
            *self._connect_verdicts(verdicts, [state, shown, reviewer, comment], prompt),
            back.click(self._actions.back, state, **prompt),
            skip.click(self._actions.skip, state, **prompt),
            worklist.click(self._actions.show, state, **prompt),
        ]
        if intake is not None:
            accordion, files, group = intake
            inputs, outputs = [state, files, group], [*updated, thumbnails, files, accordion]
            events.append(files.upload(self._actions.add, inputs, outputs, show_progress_on=card))
        else:
            assert self._items is not None
            open_items = functools.partial(self._actions.open, self._items)
            opened = {"outputs": [*updated, thumbnails], "show_progress": "hidden", "api_name": "open"}
            events.append(self._blocks.load(open_items, **opened))
        if field is not None:
            events.append(field.click(self._actions.use_field, state, [*updated, thumbnails], show_progress="hidden"))
        self._follow_up(events, state, late_map, field)

    def _connect_verdicts(self, buttons: dict[str, gr.Button], inputs: list[Any], prompt: dict[str, Any]) -> list[Any]:
        labels = {"agree": PREDICTED, "cannot_tell": None, "no_cell": NO_CELL, **self._choices()}
        judges = {name: functools.partial(self._actions.judge, label) for name, label in labels.items()}
        return [button.click(judges[name], inputs, api_name=name, **prompt) for name, button in buttons.items()]

    def _lay_out_field(self) -> gr.HTML | None:
        """The field that the cells are in; None where the images are of no fields."""
        if self._predictor.fields is None:
            return None
        return gr.HTML(elem_id="rv-field", js_on_load=_asset("field.js"), apply_default_css=False)

    def _follow_up(self, events: Sequence[Any], state: gr.State, late_map: gr.HTML, field: gr.HTML | None) -> None:
        """What comes after each event: the page takes keys again, the field, and a map that was not there."""
        for event in events:
            event.then(None, js="() => window.reviewIsReady()")
            if field is not None:
                drawn = {"api_name": "field", "show_progress": "hidden", "trigger_mode": "always_last"}
                event.then(self._actions.draw_field, state, field, **drawn)
            event.then(
                self._actions.draw_map,
                state,
                late_map,
                api_name="map",
                show_progress="hidden",
                trigger_mode="always_last",  # while a map is computed, the person may have gone on
            )

    def _lay_out_intake(self) -> tuple[gr.Accordion, gr.File, gr.Textbox]:
        with gr.Accordion("Add images", elem_id="rv-intake") as accordion, gr.Row():
            files = gr.File(label="Crops: PNG, JPEG, BMP or GIF", file_count="multiple", height=140, elem_id="rv-files")
            group = gr.Textbox(
                label="Patient or slide code of the images to drop in (optional; never a name)",
                max_length=60,
                elem_id="rv-group",
            )
        return accordion, files, group

    def _lay_out_buttons(self) -> tuple[dict[str, gr.Button], gr.Textbox, gr.Button, gr.Button]:
        with gr.Row(elem_id="rv-verdicts"):
            verdicts = {"agree": gr.Button("A · agree", elem_id="rv-agree", min_width=215)}
            for number, (name, label) in enumerate(self._choices().items(), start=1):
                text = f"{number} · {label}" if number <= _NUM_KEYS else label
                verdicts[name] = gr.Button(text, elem_id=f"rv-{name}", min_width=110)
            verdicts["cannot_tell"] = gr.Button("0 · cannot tell", elem_id="rv-cannot_tell", min_width=110)
            if self._predictor.fields is not None:
                verdicts["no_cell"] = gr.Button("X · no cell", elem_id="rv-no_cell", min_width=110)
        with gr.Row():
            comment = gr.Textbox(
                placeholder="Comment (optional), before the verdict",
                show_label=False,
                label="Comment",
                max_length=500,
                elem_id="rv-comment",
                scale=4,
                min_width=200,
            )
            back = gr.Button("← back", elem_id="rv-back", min_width=90, size="md")
            skip = gr.Button("later →", elem_id="rv-skip", min_width=90, size="md")
        return verdicts, comment, back, skip

    def _choices(self) -> dict[str, str]:
        """Name of a class's button -> the class."""
        return {f"choose_{number}": name for number, name in enumerate(self._predictor.class_names, start=1)}


def _asset(name: str) -> str:
    return (importlib.resources.files("sperm_tf.review") / "templates" / name).read_text(encoding="utf-8")
