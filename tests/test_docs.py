"""The documents are true: their code runs, their links lead somewhere, what they name is there."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from small import picture

from fields import plan
from fields.cli import main
from fields.pictures import write_picture

ROOT = Path(__file__).parent.parent
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

documents = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.stem)


def text_of(document):
    return document.read_text(encoding="utf-8")


def blocks(document):
    """(language, code, number of the line before it) of each fenced block."""
    text = text_of(document)
    for match in FENCE.finditer(text):
        yield match[1], match[2], text.count("\n", 0, match.start(2))


def commands(code):
    """The lines of a shell block that call `fields`, as argument lists."""
    for line in code.splitlines():
        if line.startswith("fields "):
            yield shlex.split(line, comments=True)[1:]


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with the small pictures that the documents name; fits without an end are short."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(plan, "DEFAULT_SECONDS", 0.3)
    monkeypatch.setattr(plan, "SHAPE_SECONDS", 1.0)
    write_picture("image.png", picture(48, 64))
    write_picture("lights.exr", picture(32, 32, dtype=np.float16))


@documents
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12, with threads
@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")  # torch's own compiler
def test_the_code_of_a_document_runs(document, place, capfd):
    namespace = {"__name__": "__main__"}
    for language, code, line in blocks(document):
        if language == "python":
            exec(compile("\n" * line + code, str(document), "exec"), namespace)
        elif language == "sh":
            for arguments in commands(code):
                assert main(arguments) == 0, f"{arguments}: {capfd.readouterr().err}"
        else:
            assert language == "text", f"what is {language!r}?"


@documents
def test_links_within_the_project_lead_somewhere(document):
    for target in re.findall(r"\]\(([^)]+)\)", text_of(document)):
        if target.startswith("#"):
            headings = re.findall(r"^#+ (.+)$", text_of(document), re.MULTILINE)
            assert target[1:] in [heading.lower().replace(" ", "-") for heading in headings]
        elif not target.startswith("https://"):
            assert (document.parent / target).exists(), target


@documents
def test_files_targets_and_variables_that_are_named_exist(document):
    text = text_of(document)
    for path in re.findall(r"`((?:csrc|fields|tests|docs|benchmarks|examples)/[\w./*]*)`", text):
        assert list(ROOT.glob(path)), path
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"(?:`|^    )make ([\w-]+)", text, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    sources = [*(ROOT / "fields").rglob("*.py"), ROOT / "setup.py"]
    code = "".join(path.read_text(encoding="utf-8") for path in sources)
    for variable in set(re.findall(r"\bFIELDS_[A-Z_]+\b", text)):
        assert f'"{variable}"' in code, variable


def test_the_readme_opens_with_a_picture_and_two_commands():
    lines = [line for line in text_of(ROOT / "README.md").splitlines() if line]
    assert lines[0] == "# fields"
    image = re.fullmatch(r"!\[[^\]]+\]\((\S+)\)", lines[1])
    assert image and (ROOT / image[1]).stat().st_size < 300_000
    assert lines[2:4] == ["    make demo", "    make test"]


def test_examples_of_python_in_the_readme_are_short():
    (code,) = [code for language, code, _ in blocks(ROOT / "README.md") if language == "python"]
    assert len([line for line in code.splitlines() if line]) <= 10
