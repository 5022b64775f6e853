"""A browser for tests of the page."""

import shutil
import time

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
PATIENCE_S = 120


def wait_for(browser, css, text=""):
    """The first element of a kind that is shown with a text."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        # In one script: an element that was found may be gone before it is asked for its text.
        found = browser.execute_script(
            "return [...document.querySelectorAll(arguments[0])].find(e => (e.innerText ?? '').includes(arguments[1]))",
            css,
            text,
        )
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"no {css} with {text!r} in {browser.find_element('css selector', 'body').text}")


def wait_until_it_takes_keys(browser):
    """The page shows a card before its buttons are there, and before it takes the next verdict."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if browser.execute_script(
            "return !document.body.classList.contains('rv-busy') && !!document.querySelector('#rv-agree')?.offsetParent"
        ):
            return
        time.sleep(0.1)
    raise AssertionError("the page takes no key")
