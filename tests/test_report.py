"""The pages of both reports keep their margins, and no words lie upon others."""

import itertools
import json
import random
import shutil

import pytest
from matplotlib.figure import Figure

from helpers import files, p1_report, p2_report, report, style
from helpers.core import cnn_studies


def extents(page):
    """Return the words of a page's own texts, those in its axes apart, with their boxes in page sizes."""
    page.dpi = 300  # at a screen's, letters are set on whole pixels; in a PDF they are not
    with style.context():
        page.draw_without_rendering()
        texts = [text for text in page.texts if text.get_text()]
        return [(t.get_text(), t.get_window_extent().transformed(page.transFigure.inverted())) for t in texts]


def keeps_its_margins(page):
    boxes = extents(page)
    for words, box in boxes:
        assert report.LEFT - 0.002 <= box.x0 and box.x1 <= report.RIGHT + 0.004, words
        assert 0.02 <= box.y0 and box.y1 <= 0.98, words
    for (words, box), (others, other) in itertools.combinations(boxes, 2):
        apart = box.x1 <= other.x0 or other.x1 <= box.x0 or box.y1 <= other.y0 or other.y1 <= box.y0
        assert apart, f"{words!r} lies upon {others!r}"
    return len(boxes)


def test_the_pages_of_programming_1():
    history = files.read_json(p1_report.ARTIFACTS / "p1_history.json")
    with style.context():
        pages = [p1_report.first_page(history), p1_report.curves_page(history)]
    for page, least in zip(pages, (40, 5), strict=True):
        assert keeps_its_margins(page) > least


def test_the_pages_of_programming_2():
    network, record = cnn_studies.load_shipped(p2_report.HAND_IN)
    loss, accuracy = record["shipped"]["test"]["loss"], record["shipped"]["test"]["accuracy"]
    fast = cnn_studies.of_preset(record, "fast")
    with style.context():
        pages = [
            p2_report.first_page("CIFAR-10", network, accuracy, loss, record),
            p2_report.architecture_page(network),
            p2_report.settings_page(record),
            p2_report.curves_page(record["shipped"], fast),
            p2_report.curves_page(fast[0], []),
            p2_report.settings_page(record | {"ablation": []}),
            p2_report.first_page("CIFAR-10", network, accuracy, loss, record | {"seeds": []}),
        ]
    for page in pages:
        assert keeps_its_margins(page) >= 4


def test_a_report_that_cannot_be_made_leaves_no_files(tmp_path, capsys):
    finished, out = tmp_path / "finished", tmp_path / "out"
    finished.mkdir()
    shutil.copy(p2_report.HAND_IN / "p2_model.pkl", finished)
    (finished / "p2_history.json").write_text(json.dumps({"test": {}}))
    for arguments, said in (
        ([str(tmp_path / "none")], "is missing or damaged; train first"),
        ([str(finished), "--seeds", str(tmp_path / "none")], "is missing or damaged; train first"),
        ([str(finished), "--data", str(tmp_path / "none")], "There is no data"),
        ([], "There is no file"),
    ):
        assert p2_report.main([*arguments, "--folder", str(out)]) == 1
        assert said in capsys.readouterr().err and not out.exists()


@pytest.mark.parametrize("seed", range(5))
def test_a_paragraph_is_broken_as_late_as_its_width_allows(seed):
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcWMil.,()", k=rng.randint(1, 9))) for _ in range(60)]
    size, width = rng.choice([8, 9.6, 10.5]), rng.uniform(120, 480)
    lines = report.wrapped(" ".join(words), size, width)
    assert " ".join(lines) == " ".join(words)

    page = Figure(figsize=(1, 1), dpi=600)

    def points(line):
        with style.context():
            return page.text(0, 0, line, fontsize=size).get_window_extent().width * 72 / page.dpi

    for line, following in itertools.pairwise(lines):
        assert points(line) <= width + 2
        assert points(f"{line} {following.split()[0]}") >= width - 2


def test_numbers_stay_with_their_signs():
    assert report.wrapped("an error of 0.37 % ± 0.02 % a", 10, 90) == ["an error of", "0.37 % ± 0.02 %", "a"]
