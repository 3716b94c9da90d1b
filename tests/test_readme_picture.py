"""README's pictures: the house shows what is there, README's words for it are its own, and what is drawn is written."""

import ast

import pytest
from PIL import Image

from helpers import readme_picture

README = (readme_picture.ROOT / "README.md").read_text(encoding="utf-8")


def test_the_house_is_described_in_its_own_words_and_every_window_is_a_module():
    picture = readme_picture.house()
    assert f"![{picture.sentence}](artifacts/readme_house.png)" in README
    rooms = [readme_picture.ROOT / "helpers" / room for room in readme_picture.ROOMS]
    windows = [room / f"{topic}.py" for room in rooms for topic in readme_picture.TOPICS]
    assert f"with {sum(path.is_file() for path in windows)} windows" in picture.sentence
    written = [text.get_text() for text in picture.figure.axes[0].texts]
    assert all(written.count(topic) == len(rooms) for topic in readme_picture.TOPICS)
    assert all(room.name in written for room in rooms)


@pytest.mark.parametrize("name", readme_picture.SHARED)
def test_the_cellar_stands_on_no_room(name):
    tree = ast.parse((readme_picture.ROOT / "helpers" / f"{name}.py").read_text(encoding="utf-8"))
    imported = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
    rooms = {f"helpers.{room}" for room in readme_picture.ROOMS}
    assert not [module for module in imported if module.startswith(tuple(rooms))]
    assert not rooms & {
        f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_pictures_are_written_whole_and_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(readme_picture, "PICTURES", {"a.png": lambda: Image.new("RGB", (3, 2), "red")})
    readme_picture.main(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"] and "a.png: 0 kB" in capsys.readouterr().out
    assert Image.open(tmp_path / "a.png").convert("RGB").getpixel((0, 0)) == (255, 0, 0)
