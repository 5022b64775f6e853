"""Time until the next image of the review page: python -m benchmarks.review_waiting --scores=<folder>.

Opens the scores of `python -m pipelines.score` in a headless Chromium, presses the key of the first class on image
after image, with a pause to look at each, and times from the key to the next image on the screen. Verdicts go to a
temporary folder. Target: 0.3 s on an idle machine. Needs chromium, chromedriver and the extra dev.

On a machine that is busy with other work, `--processor_time` gives what does not depend on it: the processor time that
program and browser need for a verdict, the map being there already.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import shutil
import tempfile
import time
from typing import Any

import numpy as np

TARGET_S = 0.3
_PRESS = """
const done = arguments[0];
const place = () => document.querySelector('[data-map-of]')?.dataset.mapOf;
const [before, start] = [place(), performance.now()];
document.body.dispatchEvent(new KeyboardEvent('keydown', {key: '1', bubbles: true}));
const look = () => {
  if (place() === before || document.body.classList.contains('rv-busy')) return requestAnimationFrame(look);
  requestAnimationFrame(() => done([performance.now() - start, !!document.querySelector('[data-map-of] img')]));
};
look();
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--scores", type=pathlib.Path, required=True)
    parser.add_argument("--all", action="store_true", help="accepted images, too")
    parser.add_argument("--pause_s", type=float, default=1.5, help="that a person looks at an image")
    parser.add_argument("--num_verdicts", type=int, default=30)
    parser.add_argument("--screenshots", type=pathlib.Path, help="folder for pictures of the page")
    parser.add_argument("--processor_time", action="store_true", help="for a machine that is busy with other work")
    options = parser.parse_args()

    from pipelines.bulk_inference.scored_images import ScoredRun
    from sperm_tf.review.journal import Journal
    from sperm_tf.review.page import Page

    run = ScoredRun(options.scores, shows_all=options.all)
    with tempfile.TemporaryDirectory() as folder:
        items = [item for item in run.read() if item.is_readable][: options.num_verdicts + 1]
        page = Page(run, Journal(folder), items=items, initials="AB")
        browser = _open_browser()
        try:
            browser.get(page.launch(host="127.0.0.1", port=None))
            _await_maps(browser)
            if options.processor_time:
                for item in items:
                    page.maps.find(item)
            waits, with_map, spent_s = [], 0, _processor_time_s()
            for number in range(len(items) - 1):
                time.sleep(0 if options.processor_time else options.pause_s)
                if options.screenshots and number < 2:
                    browser.save_screenshot(str(options.screenshots / f"review_{number}.png"))
                waited_ms, has_map = browser.execute_async_script(_PRESS)
                waits.append(waited_ms / 1000)
                with_map += has_map
            spent_s = _processor_time_s() - spent_s
        finally:
            browser.quit()
            page.close()
    if options.processor_time:
        per_verdict_s = spent_s / len(waits)
        print(f"{len(waits)} verdicts: {per_verdict_s:.2f} s of processor time each, of program and browser together")
        return
    median, high = np.percentile(waits, [50, 95])
    print(f"{run.scope}; load of the last minute {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(
        f"{len(waits)} verdicts, {options.pause_s} s apart: median {median:.2f} s, 95 % within {high:.2f} s, longest "
        f"{max(waits):.2f} s; {with_map} came with their map, the others got it later"
    )
    print("met" if high <= TARGET_S else f"over the target of {TARGET_S} s")


def _processor_time_s() -> float:
    """Of this process and of the browser, which is below it."""
    import psutil

    me = psutil.Process()
    times = [process.cpu_times() for process in (me, *me.children(recursive=True))]
    return sum(each.user + each.system for each in times)


def _open_browser() -> Any:
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in ("headless=new", "no-sandbox", "disable-gpu", "disable-dev-shm-usage", "window-size=1280,900"):
        options.add_argument(f"--{argument}")
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))


def _await_maps(browser: Any, timeout_s: float = 300) -> None:
    """Waits for the first map: until then the model is being opened."""
    end = time.monotonic() + timeout_s
    while not browser.find_elements("css selector", "[data-map-of] img"):
        if time.monotonic() > end:
            raise TimeoutError(f"no attribution map within {timeout_s} s")
        time.sleep(0.5)


if __name__ == "__main__":
    main()
