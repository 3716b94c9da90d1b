"""The theory report: what it leaves out, and, where Chromium is, that answers and formulas are on its pages."""

import re

import nbformat
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_output
from pypdf import PdfReader

from helpers import answers, theory_report
from helpers.build_notebooks import NOTEBOOKS

THEORY = [nbformat.read(path, as_version=4) for path in sorted(NOTEBOOKS.glob("0[1-4]_*.ipynb"))]


def kept(*cells):
    return [cell.source for cell in theory_report.selected(nbformat.v4.new_notebook(cells=list(cells)))]


def test_what_is_left_out():
    shown = new_code_cell("1", outputs=[new_output("stream", text="1")])
    assert kept(new_markdown_cell("# T\n\n**Minutes** 40 · **Points** 3\n\ntext"), shown) == ["# T\n\n\n\ntext", "1"]
    assert kept(new_code_cell("silent")) == []
    turn = new_markdown_cell("## Part\nask\n### Your turn\ntype")
    assert kept(turn, shown, new_markdown_cell("### Worked\n\nso")) == ["## Part\nask", "so"]
    assert kept(new_markdown_cell("## Explore\n### One\n"), shown, new_markdown_cell("## Next")) == ["## Next"]
    fold = "<details><summary>a</summary><details>b</details></details>\n\nafter"
    assert kept(new_markdown_cell(fold)) == ["after"]
    assert kept(new_markdown_cell("[05](05.ipynb) and [*far*](https://a.b)")) == ["05 and [*far*](https://a.b)"]
    assert kept(new_markdown_cell("## A\n```\n## Explore\n```")) == ["## A\n```\n## Explore\n```"]


def test_the_page_asks_no_one_else_and_holds_every_part():
    page = theory_report.as_html(THEORY, "Ada Lovelace")
    assert "Ada Lovelace" in page
    assert re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="https?://[^"]+', page) == []
    for part in ("1a", "1b", "1c", "AND", "XOR", "3a", "3b", "4a", "4b", "4c", "4d"):
        assert re.search(rf"<h2[^>]*>Part [^<]*{part}", page), part
    assert not re.search(r"Your turn|hint\(|check\(|Predict first|jp-Cell-inputWrapper\"><div class=\"jp-Inp", page)


def test_pages_with_answers_and_formulas(tmp_path):
    try:
        path = theory_report.make(tmp_path / "report.pdf", "Ada")
    except ValueError as error:
        if "cannot print" in str(error):
            pytest.skip("no Chromium here")
        raise
    pages = PdfReader(path).pages
    text = "\n".join(page.extract_text() for page in pages)
    assert 15 <= len(pages) <= 40 and "Ada" in text
    for question in ("1a", "1b"):
        for value in np.ravel(answers.find(question).expected()):
            assert f"{abs(value):.6f}" in text, (question, value)
    for value in np.ravel(answers.find("4a").expected()[1]):
        assert f"{abs(value):g}" in text
    assert "$" not in text and "\\frac" not in text and "\\sigma" not in text, "a formula is not set"
    pictures = sum(len(page.images) for page in pages)
    stored = sum("image/png" in o.get("data", {}) for n in THEORY for c in theory_report.selected(n)
                 for o in c.get("outputs", []))  # fmt: skip
    assert pictures >= stored >= 15


def test_a_formula_that_cannot_be_set_and_a_missing_chromium_are_said(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("CHROMIUM", "/bin/false")
    monkeypatch.setattr(theory_report, "chromium", lambda: "/bin/false")
    assert theory_report.main(["--output", str(tmp_path / "a.pdf")]) == 1
    assert "Chromium cannot print the report" in capsys.readouterr().err and not list(tmp_path.iterdir())
