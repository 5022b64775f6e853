"""What is shown of the work that goes on."""

import sys
import threading

import pytest

from pipelines.orchestration import progress


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(progress, "_PERIOD_S", 0.01)
    monkeypatch.setattr(progress, "_LOG_PERIOD_S", 0.02)


def wait_for(capsys, words):
    seen = ""
    for _ in range(400):
        threading.Event().wait(0.01)
        seen += capsys.readouterr().err
        if words in seen:
            return seen
    raise AssertionError(f"{words!r} is not in {seen!r}")


@pytest.mark.parametrize(
    ("done", "seconds", "line"),
    [
        (0, 5, "0 of 1,200 images"),
        (300, 30, "300 of 1,200 images · 1 min 30 s left"),
        (1199, 1199, "1,199 of 1,200 images · 1.0 s left"),
    ],
)
def test_the_time_left_is_that_of_the_rate_so_far(done, seconds, line):
    assert progress.describe(done, 1200, "images", seconds) == line


def test_a_log_says_what_is_counted_and_before_that_how_long_it_works(fast, capsys):
    with progress.shown("Transform"):
        wait_for(capsys, "Transform: working for")
        progress.expect(8, "images")
        threads = [threading.Thread(target=progress.advance) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert "\x1b" not in wait_for(capsys, "Transform: 3 of 8 images · ")


def test_a_terminal_has_one_line_that_is_written_over_and_empty_in_the_end(fast, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.shown("Explainer"):
        progress.expect(4, "images")
        progress.advance(2)
        seen = wait_for(capsys, "\r\x1b[KExplainer: 2 of 4 images")
    seen += capsys.readouterr().err
    assert "\n" not in seen and seen.endswith("\r\x1b[K")


def test_work_inside_work_leaves_the_outer_count_alone(fast, capsys):
    with progress.shown("Outer"):
        progress.expect(10, "fits")
        progress.advance()
        with progress.shown("Inner"):
            progress.advance(7)
        wait_for(capsys, "Outer: 1 of 10 fits")


def test_nobody_has_to_watch():
    progress.expect(3, "images")
    progress.advance()
