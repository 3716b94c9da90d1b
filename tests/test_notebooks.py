"""The notebooks as files: run, complete, light, described, equal to their text twins. nbval compares the outputs."""

import base64
import io
import re
import statistics
from pathlib import Path

import jupytext
import nbformat
import pytest
from PIL import Image

from helpers import build_notebooks

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
THEORY = ("01", "02", "03", "04")


def load(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook):
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def ignored(cell):
    return {"nbval-ignore-output", "nbval-skip"} & set(cell.metadata.get("tags", []))


notebooks = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def test_every_twin_has_its_notebook():
    assert NOTEBOOKS
    assert [p.stem for p in NOTEBOOKS] == [p.stem for p in sorted((ROOT / "notebooks/text").glob("*.py"))]


@notebooks
def test_equal_to_its_text_twin(path):
    twin = jupytext.read(path.parent / "text" / f"{path.stem}.py", fmt="py:percent")
    stored = load(path)
    kind = lambda nb: [(c.cell_type, c.source, sorted(c.metadata.get("tags", []))) for c in nb.cells]  # noqa: E731
    assert kind(stored) == kind(twin), f"run: python -m helpers.build_notebooks {path.stem[:2]}"


@notebooks
def test_executed_in_order_without_errors_or_warnings(path):
    cells = code_cells(load(path))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    for cell in cells:
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source


@notebooks
def test_clean(path):
    notebook = load(path)
    nbformat.validate(notebook)
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags"}
        for output in cell.get("outputs", []):
            assert "application/vnd.jupyter.widget-view+json" not in output.get("data", {})
    before = nbformat.writes(notebook)
    assert nbformat.writes(build_notebooks.clean(notebook)) == before


@notebooks
def test_every_picture_is_described_and_opaque(path):
    for cell in code_cells(load(path)):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                alt = output.metadata["image/png"].get("alt", "")
                assert len(alt.split()) >= 5, f"a picture without alternative text: {cell.source}"
                image = Image.open(io.BytesIO(base64.b64decode(output.data["image/png"])))
                assert image.convert("RGBA").getextrema()[3] == (255, 255), "transparent: unreadable on a dark theme"
            assert not {"image/svg+xml", "application/javascript"} & set(output.get("data", {}))


@notebooks
def test_light_and_short(path):
    notebook = load(path)
    cells = code_cells(notebook)
    lines = [len(cell.source.splitlines()) for cell in cells]
    assert path.stat().st_size < 400_000
    assert statistics.median(lines) <= 4
    assert max(lines) <= 10, cells[lines.index(max(lines))].source
    wide = [line for cell in cells for line in cell.source.splitlines() if len(line) > 96]
    assert wide == []
    assert sum(bool(ignored(cell)) for cell in cells) <= max(1, len(cells) // 10)


@pytest.mark.parametrize("path", [p for p in NOTEBOOKS if p.stem[:2] in THEORY], ids=lambda p: p.stem)
def test_anatomy_of_a_theory_notebook(path):
    notebook = load(path)
    text = prose(notebook)
    assert 1_000 <= len(text.split()) <= 2_200
    assert 12 <= len(code_cells(notebook)) <= 26
    for heading in (
        "## The question",
        "## See it",
        "### Your turn",
        "## Explore",
        "## What it says, honestly",
        "## Recap",
    ):
        assert heading in text, heading
    source = "\n".join(cell.source for cell in code_cells(notebook))
    assert "check(" in source and "explore." in source


@notebooks
def test_links_between_notebooks_lead_somewhere(path):
    for target in re.findall(r"\]\((?!https?://|#)([^)#\s]+)", prose(load(path))):
        target = path.parent / target
        planned = target.suffix == ".ipynb" and re.fullmatch(r"0[0-6]_\w+", target.stem)
        assert target.exists() or planned, f"{path.name} links to {target.name}, which is not there"


@notebooks
def test_headings_descend_one_level_at_a_time(path):
    levels = [len(m) for m in re.findall(r"^(#{1,6}) ", prose(load(path)), flags=re.M)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b <= a + 1 for a, b in zip(levels, levels[1:], strict=False))


def test_cleaning_drops_what_changes_between_runs():
    notebook = nbformat.v4.new_notebook(metadata={"widgets": {"state": {}}, "kernelspec": build_notebooks.KERNEL})
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "1"}, "text/plain": "said"}
    output = nbformat.v4.new_output("execute_result", data=view, metadata={"image/png": {"alt": "a", "needs": 1}})
    output.execution_count = 7
    notebook.cells = [
        nbformat.v4.new_markdown_cell("text", metadata={"editable": True}),
        nbformat.v4.new_code_cell("1", execution_count=7, outputs=[output], metadata={"tags": ["x"], "execution": {}}),
    ]
    cleaned = build_notebooks.clean(notebook)
    cell = cleaned.cells[1]
    assert set(cleaned.metadata) == {"kernelspec", "language_info"} and cleaned.cells[0].metadata == {}
    assert (cell.execution_count, cell.outputs[0].execution_count) == (1, 1) and cell.metadata == {"tags": ["x"]}
    assert cell.outputs[0].data == {"text/plain": "said"}
    assert cell.outputs[0].metadata == {"image/png": {"alt": "a"}}


def test_a_failing_cell_leaves_the_stored_notebook_as_it_was(tmp_path, monkeypatch, capsys):
    (tmp_path / "text").mkdir()
    twin = tmp_path / "text" / "07_test.py"
    monkeypatch.setattr(build_notebooks, "NOTEBOOKS", tmp_path)
    twin.write_text("# %% [markdown]\n# # T\n\n# %%\n1 + 1\n")
    assert build_notebooks.main(["07"]) == 0
    before = (tmp_path / "07_test.ipynb").read_bytes()
    assert load(tmp_path / "07_test.ipynb").cells[1].outputs[0].data["text/plain"] == "2"
    twin.write_text("# %%\n1 / 0\n")
    assert build_notebooks.main(["07"]) == 1
    assert (tmp_path / "07_test.ipynb").read_bytes() == before
    twin.write_text("# %%\nimport warnings\n\nwarnings.warn('a stand-in')\n")
    assert build_notebooks.main(["07"]) == 1
    assert (tmp_path / "07_test.ipynb").read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["07_test.ipynb", "text"]
    said = capsys.readouterr().err
    assert "ZeroDivisionError" in said and "a stand-in" in said


def test_an_unknown_notebook_is_named(capsys):
    with pytest.raises(SystemExit):
        build_notebooks.main(["99"])
    assert "no notebook begins with 99; there are 0" in capsys.readouterr().err
