"""What a fit shows while it runs."""

import io

import pytest
from small import TINY, picture

import fields
from fields.progress import Bar, Figures, Lines, Silent, choose, duration


def test_a_line_holds_rate_score_and_time_left():
    assert str(Figures(0.25, 2.0, 2.5e6, 31.26)) == "2.50 M samples/s  31.3 dB  6.0 s left"
    assert str(Figures(0.9, 2.0, 2.5e6, 31.26, target=35)) == (
        "2.50 M samples/s  31.3 of 35 dB  2.0 s"
    )


def test_without_a_score_a_line_holds_the_loss():
    assert "loss 0.0123  6.0 s" in str(Figures(0.25, 2.0, 2.5e6, None, loss=0.01234))
    assert "loss 0.0123, to 35 dB" in str(Figures(0.25, 2.0, 2.5e6, None, 35, 0.01234))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0 s"), (9.9, "9.9 s"), (59, "59 s"), (185, "3:05"), (3725, "1:02:05")],
)
def test_durations_are_short(seconds, text):
    assert duration(seconds) == text


def test_plain_lines_come_seldom():
    stream = io.StringIO()
    lines = Lines(stream)
    for tick in range(120):
        lines.advance(Figures(tick / 120, tick / 10, 1e6, 30))
    assert len(stream.getvalue().splitlines()) == 2


def test_what_is_said_to_a_closed_stream_is_lost_and_no_more():
    stream = io.StringIO()
    stream.close()
    Lines(stream).say("hello")


def test_nothing_is_shown_where_nobody_looks():
    assert isinstance(choose(), Silent)


def test_a_bar_is_drawn_on_a_terminal(tmp_path, capfd, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    fields.fit(picture(), out=tmp_path / "run", seconds=0.5, progress=Bar(), **TINY)
    shown = capfd.readouterr().err
    assert "M samples/s" in shown and "left" in shown and "array (56 x 40" in shown
