"""Files are whole or absent, and a command ends in one sentence, whatever went wrong."""

from types import SimpleNamespace

import pytest

from helpers import files


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "a.json"
    files.write_json(path, {"epochs": [1, 2]})
    assert files.read_json(path) == {"epochs": [1, 2]}
    with pytest.raises(RuntimeError), files.whole(path) as part:
        part.write_text("half")
        raise RuntimeError
    assert files.read_json(path) == {"epochs": [1, 2]} and [p.name for p in tmp_path.iterdir()] == ["a.json"]
    files.copy(path, tmp_path / "b.json")
    assert (tmp_path / "b.json").read_bytes() == path.read_bytes()


def test_a_file_that_a_virus_scanner_holds_is_tried_again(tmp_path, monkeypatch):
    tried = []

    def held(part, path):
        tried.append(part)
        if len(tried) < 3:
            raise PermissionError(13, "held")

    monkeypatch.setattr(files, "time", SimpleNamespace(sleep=lambda seconds: None))
    monkeypatch.setattr(files, "os", SimpleNamespace(name="nt", replace=held))
    files.replace("a", "b")
    assert len(tried) == 3
    monkeypatch.setattr(files, "os", SimpleNamespace(name="posix", replace=held))
    tried.clear()
    with pytest.raises(PermissionError):
        files.replace("a", "b")
    assert len(tried) == 1


def test_a_damaged_file_is_told_in_a_sentence(tmp_path):
    (tmp_path / "a.json").write_text('{"epochs": [')
    with pytest.raises(ValueError, match=r"a\.json is damaged; delete it and run the training again\.$"):
        files.read_json(tmp_path / "a.json")


def test_a_command_prints_what_its_work_returns(capsys, tmp_path):
    (tmp_path / "a").write_bytes(bytes(1_250_000))
    assert files.finish(lambda: files.megabytes(tmp_path / "a"), tmp_path) == 0
    assert capsys.readouterr() == (f"{tmp_path / 'a'}: 1.2 MB\n", "")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("a is missing"), "x: a is missing\n"),
        (OSError("odd"), "x: odd\n"),
        (PermissionError(13, "Permission denied", "/a"), "x: /a could not be read or written (Permission denied); "),
        (OSError(28, "No space left on device"), "x: FOLDER could not be read or written (No space left on device); "),
    ],
)
def test_what_went_wrong_is_one_sentence_and_the_exit_status(capsys, error, said):
    def work():
        raise error

    assert files.finish(work, "FOLDER", "x: ") == 1
    out, told = capsys.readouterr()
    assert out == "" and told.startswith(said) and told.count("\n") == 1


def test_a_mistake_of_the_program_is_not_hidden():
    with pytest.raises(ZeroDivisionError):
        files.finish(lambda: 1 / 0, "FOLDER")
