"""What an error shows: one line, in the words of the place where it is read."""

import pytest

from fields import FieldsError
from fields.configs import HashGridConfig
from fields.errors import Cancelled, Interrupted, SettingError, either

ERRORS = [
    FieldsError("a is wrong; make it b"),
    Cancelled("cancelled"),
    Interrupted("stopped by SIGINT; step 5 is kept in run", 2),
]


def test_a_setting_is_named_as_in_python_and_on_the_command_line_as_its_flag():
    with pytest.raises(SettingError) as caught:
        HashGridConfig(3, num_levels=0)
    assert str(caught.value) == "num_levels must be at least 1, got 0"
    assert caught.value.with_flags() == "--num-levels must be at least 1, got 0"
    with pytest.raises(SettingError) as caught:
        HashGridConfig(3, num_levels=32, growth=4.0, base_resolution=40)
    assert str(caught.value).startswith("num_levels 32 with growth 4 and base_resolution 40 makes")
    start = "--num-levels 32 with --growth 4 and --base-resolution 40 makes"
    assert caught.value.with_flags().startswith(start)


def test_a_value_that_looks_like_the_setting_stays():
    with pytest.raises(SettingError) as caught:
        HashGridConfig(3, activation="activation")
    assert caught.value.with_flags().endswith("got 'activation'")


def test_choices_are_listed_in_words():
    assert [either(c) for c in ("a", "ab", (1, 2, 4))] == ["a", "a or b", "1, 2 or 4"]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_notebook_shows_one_line_and_no_traceback(error, capsys):
    shells = pytest.importorskip("IPython.core.interactiveshell")
    shell = shells.InteractiveShell()
    shell.user_ns["error"] = error
    shell.run_cell("def fails():\n    raise error\nfails()")
    shown = capsys.readouterr().out.strip()
    assert shown == f"{type(error).__name__}: {error}"
