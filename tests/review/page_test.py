import asyncio
import csv
import http.client
import json
import pathlib
import shutil
import socket
import threading
import time
import urllib.parse

import pytest
from PIL import Image

from sperm_tf.synthesis.renderer import render
from tests.review.browser import PATIENCE_S, wait_for, wait_until_it_takes_keys


def setup_module():
    """Imports TensorFlow, which takes seconds, when a test runs and not when it is found."""
    global Actions, gr, gradio_client, Maps, OriginCheck, Page, Session
    gr = pytest.importorskip("gradio", reason="pip install 'gradio>=6'")
    gradio_client = pytest.importorskip("gradio_client", reason="pip install 'gradio>=6'")
    from sperm_tf.review.actions import Actions
    from sperm_tf.review.maps import Maps
    from sperm_tf.review.origin_check import OriginCheck
    from sperm_tf.review.page import Page
    from sperm_tf.review.session import Session


pytestmark = pytest.mark.integration

SHOWN, STATUS, WORKLIST, CARD, COMMENT = range(5)  # of an answer of the page's interface for programs


@pytest.fixture
def address(reader, journal):
    page = Page(reader, journal)
    yield page.launch(host="127.0.0.1", port=None)
    page.close()


def _rows(journal, name="reviews.csv"):
    with (journal.folder / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _drop(client, files, group=""):
    files = [gradio_client.handle_file(file) for file in files if pathlib.Path(file).exists()]
    return client.predict(files, group, api_name="/add")


def test_the_page_starts_on_a_busy_machine(reader, journal, monkeypatch):
    monkeypatch.setattr("gradio.networking.url_ok", lambda url: False)  # as where an answer takes three seconds
    page = Page(reader, journal)
    assert page.launch(host="127.0.0.1", port=None).startswith("http://127.0.0.1:")
    page.close()


def test_a_pile_is_worked_through(address, reader, journal, files):
    client = gradio_client.Client(address, verbose=False)
    answer = _drop(client, files, group="P 1")
    expected = [
        prediction for prediction in reader.classifier.predict(files, errors="rows") if prediction.status == "ok"
    ]
    expected.sort(key=lambda prediction: (prediction.decision == "accept", max(prediction.probabilities.values())))
    for number, prediction in enumerate(expected):
        card = answer[CARD]
        assert pathlib.Path(prediction.file).name in card and f"{number + 1} of 6" in card
        late_map = client.predict(api_name="/map")
        assert ('alt="Attribution map"' in card) is not ('alt="Attribution map"' in str(late_map))
        assert "Grad-CAM" not in card and "attention" not in card.casefold()
        is_accepted = prediction.decision == "accept"
        assert ("Please look yourself" in card) is not is_accepted and ("rv-decision rv-accept" in card) is is_accepted
        for probability in prediction.probabilities.values():
            assert f"width: {100 * probability:.1f}%" in card
        runner_up = sorted(prediction.probabilities, key=prediction.probabilities.get)[-2]
        assert (f"<b>{runner_up}</b>" in card and "Runner-up" in card) is not is_accepted
        answer = client.predict(answer[SHOWN], "ab", f"comment {number}", api_name="/agree" if number else "/choose_3")
        assert "Saved:" in answer[STATUS] and f"{number + 1} of 6 reviewed" in answer[WORKLIST]
    assert "All 6 images are reviewed" in answer[CARD]
    rows = _rows(journal)
    assert [row["predicted_class"] for row in rows] == [prediction.predicted_class for prediction in expected]
    assert [json.loads(row["probabilities"]) for row in rows] == [prediction.probabilities for prediction in expected]
    assert [(row["decision"], row["reason"]) for row in rows] == [(p.decision, p.reason) for p in expected]
    assert rows[0]["label"] == "non-sperm" and {row["verdict"] for row in rows[1:]} == {"agree"}
    assert [row["comment"] for row in rows] == [f"comment {number}" for number in range(6)]
    assert len(_rows(journal, "labels.csv")) == 6


def _request(address, path, host, origin=None, method="GET"):
    own = urllib.parse.urlsplit(address)
    connection = http.client.HTTPConnection(own.hostname, own.port, timeout=30)
    connection.putrequest(method, path, skip_host=True)
    for name, value in {"Host": host, "Origin": origin, "Content-Length": "2", "Content-Type": "text/plain"}.items():
        if value is not None:
            connection.putheader(name, value.replace("PORT", str(own.port)))
    connection.endheaders(b"{}")
    response = connection.getresponse()
    return response.status, response.read()


FOREIGN_HOSTS = ("evil.example:PORT", "localhost", "localhost:1", "localhost:PORT.evil.example", "127.0.0.1.:PORT", "")
FOREIGN_ORIGINS = (
    "http://evil.example", "http://evil.example:PORT", "http://127.0.0.1:1", "http://127.0.0.1", "null", "",
    "https://127.0.0.1:PORT", "http://127.0.0.1:PORT@evil.example", "file://",
)  # fmt: skip


def test_requests_of_other_sites_are_refused(address):
    """Also those of a site whose name points to this machine (DNS rebinding)."""
    add, own = "/gradio_api/call/add", "127.0.0.1:PORT"
    for host in (own, "localhost:PORT", "LOCALHOST:PORT", "[::1]:PORT"):
        for origin in (None, f"http://{own}", "http://localhost:PORT"):
            assert _request(address, "/config", host, origin)[0] == 200, (host, origin)
            assert _request(address, add, host, origin, "POST")[0] not in (403, 404), (host, origin)
    for host in FOREIGN_HOSTS:
        for path, method in (("/", "GET"), ("/config", "GET"), (add, "POST"), ("/gradio_api/upload", "POST")):
            status, content = _request(address, path, host, method=method)
            assert status == 403 and b"Host and Origin must be" in content, (host, path)
    for origin in FOREIGN_ORIGINS:
        assert _request(address, "/config", own, origin)[0] == 403, origin
        assert _request(address, add, own, origin, "POST")[0] == 403, origin


def test_a_stated_host_is_an_own_name():
    reached = []

    async def app(scope, receive, send):
        reached.append(scope)

    def is_let_through(host, header, server):
        reached.clear()
        scope = {"type": "websocket", "server": (server, 7860), "headers": [(b"host", header.encode())]}
        asyncio.run(OriginCheck(app, host=host)(scope, None, lambda message: asyncio.sleep(0)))
        return bool(reached)

    assert is_let_through("microscope.lab", "microscope.lab:7860", "10.0.0.7")
    assert not is_let_through("127.0.0.1", "microscope.lab:7860", "127.0.0.1")
    assert is_let_through("0.0.0.0", "10.0.0.7:7860", "10.0.0.7"), "the address that the connection was made to"
    assert is_let_through("0.0.0.0", f"{socket.gethostname()}:7860", "10.0.0.7")
    assert not is_let_through("0.0.0.0", "evil.example:7860", "10.0.0.7")
    assert is_let_through("fd00::7", "[fd00::7]:7860", "fd00::7")


def test_what_cannot_be_read_or_saved_is_said(address, journal, files, tmp_path):
    hostile = tmp_path / "<img src=x onerror=alert(1)>${1+1}{{value}}.png"
    shutil.copy(files[0], hostile)
    (tmp_path / "broken <b>.png").write_bytes(b"no image")
    client = gradio_client.Client(address, verbose=False)
    answer = _drop(client, [hostile, tmp_path / "broken <b>.png"])
    assert "1 file could not be read" in answer[WORKLIST] and "Save the crop as PNG" in answer[WORKLIST]
    assert "<img src=x" not in answer[CARD] + answer[WORKLIST] and "onerror" in answer[CARD]
    (journal.folder / "reviews.csv").write_text("spoilt\n", encoding="utf-8")
    failed = client.predict(answer[SHOWN], "ab", "keep me", api_name="/cannot_tell")
    assert "Not saved: reviews.csv must have the columns" in failed[STATUS] and failed[COMMENT] == "keep me"
    assert failed[SHOWN] == answer[SHOWN] and "onerror" in failed[CARD]
    refused = client.predict(answer[SHOWN], " ", "keep me", api_name="/cannot_tell")
    assert "Not saved: initials must be filled in" in refused[STATUS] and refused[COMMENT] == "keep me"


def test_a_tab_of_before_a_restart_is_told_that_nothing_is_kept(reader, journal):
    actions = Actions(reader, journal, Maps(reader))
    for answer in (
        actions.judge("normal", None, 0.0, "", ""),
        actions.show(None, None),
        actions.back(None),
        actions.skip(None),
    ):
        assert len(answer) == 8 and "nothing was kept" in answer[2]
    assert not journal.read().reviews


def test_a_correction_that_comes_before_the_next_image_is_not_lost_in_silence(reader, journal, files):
    actions, session = Actions(reader, journal, Maps(reader)), Session(reader, journal)
    session.add(reader.read(files))
    shown = session.current
    assert "Saved" in actions.judge("normal", session, shown, "ab", "")[2]
    again = actions.judge("normal", session, shown, "ab", "")  # a key pressed twice
    assert all(value == gr.skip() for value in again)
    other = actions.judge("abnormal", session, shown, "ab", "keep me")
    assert f"Not kept: the page had gone on by then. To decide on {session.items[shown].name}" in other[2]
    assert other[-1] == "keep me" and len(journal.read().reviews) == 1
    while session.current is not None:
        shown = session.current
        actions.judge("normal", session, shown, "ab", "")
    assert "Not kept" in actions.judge("abnormal", session, shown, "ab", "")[2]  # of the last image, too


def test_two_tabs_do_not_mix(address, journal, files):
    tabs = [gradio_client.Client(address, verbose=False) for _ in range(2)]
    answers = [_drop(tab, files[start : start + 2]) for tab, start in zip(tabs, (0, 2), strict=True)]
    jobs = [
        tab.submit(answer[SHOWN], name, "", api_name="/cannot_tell")
        for tab, answer, name in zip(tabs, answers, "ab", strict=True)
    ]
    results = [job.result() for job in jobs]
    assert all("1 of 2 reviewed" in result[WORKLIST] for result in results)
    assert {row["reviewer"] for row in _rows(journal)} == {"a", "b"}


def _asked_hosts(browser):
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return {url.split("/")[2] for url in urls if url.startswith(("http", "ws"))}


def test_a_person_agrees_and_corrects_in_a_browser(address, browser, journal, tmp_path):
    files = [tmp_path / f"drawn {index}.png" for index in range(2)]
    for index, file in enumerate(files):
        Image.fromarray(render(index, label_set="quality", seed=1).image).save(file)
    (tmp_path / "broken.png").write_bytes(b"no image")
    browser.get(address)
    wait_for(browser, "#rv-files")
    upload = wait_for(browser, "#rv-files input[type=file]")
    upload.send_keys("\n".join(map(str, [*files, tmp_path / "broken.png"])))
    wait_for(browser, ".rv-problems", "1 file could not be read")
    card = wait_for(browser, ".rv-card", "1 of 2")
    assert "Model’s" in card.text and "not a medical device" in wait_for(browser, ".rv-notice").text
    first = wait_for(browser, ".rv-card h2").text
    predicted = wait_for(browser, ".rv-class b").text
    agree = wait_for(browser, "#rv-agree", predicted)
    agree.click()
    wait_for(browser, "#rv-refusal", "Not taken: fill in your initials first")
    assert not (journal.folder / "reviews.csv").exists()
    wait_for(browser, "#rv-reviewer textarea, #rv-reviewer input").send_keys("AB\n")
    is_accepted = bool(browser.find_elements("css selector", ".rv-decision.rv-accept"))
    assert ("primary" in agree.get_attribute("class")) is is_accepted, "nothing may invite to agree with a referral"
    agree.click()
    second = wait_for(browser, ".rv-card", "2 of 2").find_element("css selector", "h2").text
    wait_for(browser, "#rv-status", f"Saved: {first}, {predicted}")
    wait_until_it_takes_keys(browser)
    browser.find_element("css selector", "body").send_keys("3")  # the key of the third class
    wait_for(browser, ".rv-empty", "All 2 images are reviewed")
    rows = _rows(journal)
    assert {row["reviewer"] for row in rows} == {"AB"}
    assert [row["file"] for row in rows] == [first, second] and {first, second} == {file.name for file in files}
    assert rows[0]["verdict"] == "agree" and rows[0]["label"] == predicted
    assert rows[1]["label"] == "non-sperm"
    wait_for(browser, ".rv-entry[data-position]", first).click()  # an image of the list can be decided again
    wait_for(browser, ".rv-earlier", "Reviewed before")
    hosts = _asked_hosts(browser)
    assert hosts == {address.split("/")[2]}, "the page must work without a network"


def _slow(reader, monkeypatch, seconds):
    explain = reader.explain

    def wait_and_explain(item):
        time.sleep(seconds)
        return explain(item)

    monkeypatch.setattr(reader, "explain", wait_and_explain)


def test_a_verdict_does_not_wait_for_a_map_and_the_map_follows(reader, journal, files, monkeypatch):
    _slow(reader, monkeypatch, 1.0)
    maps = Maps(reader)
    actions, session = Actions(reader, journal, maps), Session(reader, journal)
    session.add(reader.read(files))
    start = time.monotonic()
    for _ in range(3):
        card = actions.judge("normal", session, session.current, "ab", "")[4]
        assert "The attribution map is being computed" in card and 'alt="Attribution map"' not in card
    assert time.monotonic() - start < 1.5, "three verdicts must not wait for three maps of a second each"
    item = session.items[session.current]
    late = actions.draw_map(session)
    assert f'data-late-map="{item.sha256}"' in late and 'alt="Attribution map"' in late
    for following in session.upcoming(2):  # drawn while the person looks at the current one
        assert maps.find(following, timeout_s=30)
    actions.judge("normal", session, session.current, "ab", "")
    assert actions.draw_map(session) == gr.skip(), "the card came with its map"
    maps.close()


def test_the_next_maps_are_computed_while_the_person_looks(reader, journal, files, monkeypatch):
    explain, computed = reader.explain, []
    monkeypatch.setattr(reader, "explain", lambda item: computed.append(item.name) or explain(item))
    maps = Maps(reader)
    actions = Actions(reader, journal, maps)
    session = actions.open(reader.read(files))[0]
    expected = [session.items[position].name for position in session.order[:4]]
    end = time.monotonic() + PATIENCE_S
    while len(computed) < 4 and time.monotonic() < end:  # nothing is asked for meanwhile
        time.sleep(0.05)
    assert computed == expected
    maps.close()


def test_without_a_map_the_review_goes_on_and_the_reason_is_said(reader, journal, files, monkeypatch):
    def fail(item):
        raise ValueError("the model is no longer at <there>.")

    monkeypatch.setattr(reader, "explain", fail)
    maps = Maps(reader)
    actions, session = Actions(reader, journal, maps), Session(reader, journal)
    session.add(reader.read(files))
    maps.find(session.items[session.current])
    card = actions.back(session)[4]
    assert "No attribution map: the model is no longer at &lt;there&gt;." in card
    assert "Saved" in actions.judge("normal", session, session.current, "ab", "")[2]
    maps.close()


def test_keys_that_come_before_the_next_image_are_refused_visibly(reader, journal, files, browser, monkeypatch):
    items = reader.read(files)
    append, is_refused = journal.append, threading.Event()

    def append_late(*args):
        assert is_refused.wait(PATIENCE_S)
        return append(*args)

    monkeypatch.setattr(journal, "append", append_late)
    page = Page(reader, journal, items=items, initials="AB")
    try:
        browser.get(page.launch(host="127.0.0.1", port=None))
        wait_for(browser, ".rv-card", "1 of 6")
        wait_until_it_takes_keys(browser)
        assert "3 files could not be read" in wait_for(browser, ".rv-problems").text
        assert not browser.find_elements("css selector", "#rv-files"), "nothing is dropped in where a run is reviewed"
        body = browser.find_element("css selector", "body")
        body.send_keys("12")
        wait_for(browser, "#rv-refusal", "Not taken: “2 · abnormal” came before the next image was shown")
        is_refused.set()
        wait_for(browser, ".rv-card", "2 of 6")
        wait_until_it_takes_keys(browser)
        assert len(_rows(journal)) == 1 and _rows(journal)[0]["label"] == "normal"
        body.send_keys("2")
        wait_for(browser, ".rv-card", "3 of 6")
        wait_until_it_takes_keys(browser)
        assert not wait_for(browser, "#rv-refusal").is_displayed()
        assert [row["label"] for row in _rows(journal)] == ["normal", "abnormal"]
        browser.refresh()  # what was judged is known, and the pile goes on where it stood
        wait_for(browser, ".rv-list", "2 of 6 reviewed")
    finally:
        page.close()


def test_a_map_that_comes_late_goes_into_its_own_card(reader, journal, files, browser, monkeypatch):
    items = reader.read(files)
    maps = Maps(reader)
    expected = {item.name: maps.find(item).uri for item in items if item.is_readable}
    maps.close()
    assert len(set(expected.values())) == 6
    _slow(reader, monkeypatch, 1.0)
    page = Page(reader, journal, items=items, initials="AB")
    try:
        browser.get(page.launch(host="127.0.0.1", port=None))
        wait_for(browser, ".rv-no-map", "is being computed")
        for shown in range(1, 4):
            name = wait_for(browser, ".rv-card", f"{shown} of 6").find_element("css selector", "h2").text
            image = wait_for(browser, "[data-map-of] img[alt='Attribution map']")
            assert image.get_attribute("src") == expected[name]
            wait_until_it_takes_keys(browser)
            browser.find_element("css selector", "body").send_keys("1")
            wait_for(browser, ".rv-card", f"{shown + 1} of 6")
    finally:
        page.close()
