"""The page of cells in their fields, by its interface for programs and in a browser."""

import json
import uuid

import pytest

from tests.review.browser import PATIENCE_S, wait_for, wait_until_it_takes_keys


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global FieldRun, Page, httpx, write_run
    pytest.importorskip("gradio", reason="pip install 'gradio>=6'")
    httpx = pytest.importorskip("httpx", reason="pip install 'gradio>=6'")
    from pipelines.field_analysis.reviewed_fields import FieldRun
    from sperm_tf.review.page import Page
    from tests.pipelines.field_analysis.field_run import write_run


pytestmark = pytest.mark.integration

SHOWN, STATUS, WORKLIST, CARD = range(4)  # of an answer of the page's interface for programs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    run = FieldRun(write_run(tmp_path_factory.mktemp("run")))

    def fail(item):
        raise ValueError("this run has no model.")

    run.explain = fail
    return run


@pytest.fixture
def address(run, journal):
    page = Page(run, journal, items=run.read(), initials="AB")
    yield page.launch(host="127.0.0.1", port=None)
    page.close()


class Client:
    """A tab that talks to the page as its own scripts do: events of the field's picture carry data of their own."""

    def __init__(self, address):
        self._address, self._session = address, uuid.uuid4().hex
        config = httpx.get(f"{address}config").json()
        self._numbers = {entry["api_name"]: entry["id"] for entry in config["dependencies"]}

    def call(self, name, *data, event=None):
        """What an event returns to the page, without the session."""
        body = {"data": [None, *data], "fn_index": self._numbers[name], "session_hash": self._session}
        if name == "open":
            body["data"] = []
        httpx.post(f"{self._address}gradio_api/queue/join", json=body | {"event_data": event}).raise_for_status()
        query = {"session_hash": self._session}
        with httpx.stream("GET", f"{self._address}gradio_api/queue/data", params=query, timeout=PATIENCE_S) as lines:
            for line in lines.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line else {}
                if message.get("msg") == "process_completed":
                    assert message["success"], message
                    return (
                        message["output"]["data"][1:]
                        if len(message["output"]["data"]) > 1
                        else message["output"]["data"]
                    )
        raise AssertionError(f"{name} did not finish")


def test_a_false_cell_is_taken_out_and_a_class_corrected(address, journal):
    tab = Client(address)
    answer = tab.call("open")
    assert "1 of 5" in answer[CARD]
    answer = tab.call("no_cell", answer[SHOWN], "AB", "a drop")
    assert "no cell" in answer[STATUS] and "1 of 5 reviewed" in answer[WORKLIST]
    answer = tab.call("choose_1", answer[SHOWN], "AB", "")
    assert "normal instead of abnormal" in answer[STATUS]
    first, second = journal.read().reviews
    assert (first.verdict, first.comment, first.label) == ("no_cell", "a drop", "") and second.verdict == "correct"
    tab = Client(address)  # a tab that is opened later knows both
    assert "2 of 5 reviewed" in tab.call("open")[WORKLIST]
    while first.field not in (picture := tab.call("field")[0]):
        tab.call("use_field", event={"what": "leaf", "step": 1})
    assert "rv-box-removed" in picture and f'data-box="{first.box}"' in picture


def test_a_missed_cell_is_drawn_and_gets_a_class(address, journal):
    tab = Client(address)
    tab.call("open")
    answer = tab.call("use_field", event={"what": "box", "field": "b.png", "box": [200, 90, 260, 130]})
    assert "You drew this cell" in answer[CARD] and "drawn, no class yet" in answer[WORKLIST]
    picture = tab.call("field")[0]
    assert "rv-box-drawn rv-box-current" in picture and "Field: b.png" in picture
    refused = tab.call("cannot_tell", answer[SHOWN], "AB", "")
    assert "Not saved: a cell that you draw must get a class" in refused[STATUS]
    assert "Saved" in tab.call("choose_1", answer[SHOWN], "AB", "")[STATUS]
    assert journal.read().reviews[-1].box == "200 90 260 130"
    outside = tab.call("use_field", event={"what": "box", "field": "b.png", "box": [-50, 0, -20, 30]})
    assert "Not taken: box must be around a head" in outside[STATUS]
    answer = tab.call("use_field", event={"what": "box", "field": "b.png", "box": [20, 220, 80, 260]})
    answer = tab.call("no_cell", answer[SHOWN], "AB", "")
    assert "Taken out" in answer[STATUS] and len(journal.read().reviews) == 1
    again = Client(address)
    assert "added: normal" in again.call("open")[WORKLIST]


def test_a_click_on_a_found_cell_opens_it(address):
    tab = Client(address)
    tab.call("open")
    answer = tab.call("use_field", event={"what": "cell", "field": "a.png", "cell": 1, "box": []})
    assert "The model accepts its own answer" in answer[CARD] and "of 6" in answer[CARD]
    cut = tab.call("use_field", event={"what": "cell", "field": "a.png", "cell": 3, "box": []})
    assert "is cut by the border" in cut[STATUS] or "Please look yourself" in cut[CARD]


def test_a_person_draws_in_a_browser(address, journal, browser):
    from selenium.webdriver import ActionChains

    browser.get(address)
    body = browser.find_element("css selector", "body")
    picture = wait_for(browser, ".rv-field svg")
    wait_for(browser, ".rv-card", "1 of 5")
    name = picture.get_dom_attribute("data-field")
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", picture)
    place, size = picture.rect, picture.get_dom_attribute("viewBox").split()
    scale = min(place["width"] / float(size[2]), place["height"] / float(size[3]))
    corner = ActionChains(browser).move_to_element_with_offset(picture, round(20 * scale), round(20 * scale))
    corner.click_and_hold().move_by_offset(round(60 * scale), round(40 * scale)).release().perform()
    wait_for(browser, ".rv-card", "You drew this cell")
    wait_until_it_takes_keys(browser)
    body.send_keys("2")
    wait_for(browser, "#rv-status", "added: abnormal")
    (review,) = journal.read().reviews
    x0, y0, x1, y1 = map(int, review.box.split())
    assert review.field == name and (x1 - x0, y1 - y0) == (pytest.approx(60, abs=3), pytest.approx(40, abs=3))
    assert (x0, y0) == (pytest.approx(float(size[2]) / 2 + 20, abs=3), pytest.approx(float(size[3]) / 2 + 20, abs=3))
    wait_for(browser, ".rv-list", "1 of 6 reviewed")
    wait_until_it_takes_keys(browser)
    body.send_keys("x")
    wait_for(browser, "#rv-status", "no cell")
    assert [review.verdict for review in journal.read().reviews] == ["add", "no_cell"]
    place = int(wait_for(browser, ".rv-field .rv-title span").text.split()[0])
    wait_until_it_takes_keys(browser)
    body.send_keys("k")
    wait_for(browser, ".rv-field .rv-title span", f"{place % 3 + 1} of 3")
