"""A full disk, a folder without write permission, two processes at once: a sentence, and what was there stays."""

import re

import acts
import pytest

from helpers import datasets

OLD = {
    "mlp": ["best_seed0.json", "best_seed0.npz"],
    "cnn": ["p2_checkpoint.pt", "p2_history.json", "p2_model.pkl"],
    "report": ["p1.py", "p1_history.json", "p1_model.npz", "p1_report.pdf"],
    "notebook": ["01_small.ipynb", "text/01_small.py"],
}
ANEW = {"mlp": ("best", "--no-resume"), "cnn": ("--seed", "0"), "report": (), "notebook": ()}


@pytest.mark.parametrize("command", OLD)
def test_a_full_disk(command, inputs, disk, tally):
    assert acts.perform(command, inputs, disk.place)[0] == 0
    before = acts.contents(disk.place)
    assert sorted(before) == OLD[command]
    again = (command, inputs, disk.place, *ANEW[command])
    free = (0, 8192, 40_000)
    if command == "notebook" and not disk.real:
        pytest.skip("the small notebook is smaller than the limit, and no small file system can be mounted here")
    if command == "notebook":
        again, free = ("notebook_as_it_is", disk.place), (0,)
    for room in free:
        (disk.place / "filler").unlink(missing_ok=True)
        disk.fill(room)
        code, said = acts.perform(*again, limit=disk.limit)
        assert code == 1, said
        assert re.search("No space left on device|File too large", acts.sentence(said)), said
        assert "untouched" in said and acts.contents(disk.place) == before
        assert not list(disk.place.rglob("*.part"))
    (disk.place / "filler").unlink(missing_ok=True)
    assert acts.perform(*again)[0] == 0
    tally(f"{disk.how}, {command}", len(free), "one sentence, old files intact")


def test_a_full_disk_while_downloading(disk, server, tally):
    from test_datasets import assert_same, small_mnist

    arrays, specification = small_mnist(server, "good")
    rooms = (0, 4096, 16_384, 40_000)  # nothing, in a download, in the last of them, in the cache
    for room in rooms:
        disk.fill(room)
        code, said = acts.perform("download", specification, disk.place, limit=disk.limit)
        assert code == 1 and "nothing can be stored in" in said, said
        assert re.search("No space left on device|File too large", acts.sentence(said))
        assert "mnist.npz" not in acts.contents(disk.place)
        (disk.place / "filler").unlink(missing_ok=True)
    assert acts.perform("download", specification, disk.place)[0] == 0
    assert_same(datasets.read_npz(disk.place / "mnist.npz", specification), arrays)
    tally(f"{disk.how}, download", len(rooms), "one sentence, then it goes on")


@pytest.mark.parametrize("command", OLD)
def test_a_read_only_folder(command, inputs, tmp_path, read_only, tally):
    assert acts.perform(command, inputs, tmp_path)[0] == 0
    before = acts.contents(tmp_path)
    how = read_only(tmp_path)
    given = ("notebook_as_it_is", tmp_path) if command == "notebook" else (command, inputs, tmp_path, *ANEW[command])
    code, said = acts.perform(*given)
    assert code == 1 and re.search("Read-only file system|Permission denied", acts.sentence(said)), said
    assert acts.contents(tmp_path) == before
    tally(f"{how}, {command}", 1, "one sentence, old files intact")


def test_a_read_only_data_folder(tmp_path, read_only, server, tally):
    from test_datasets import small_mnist

    _, specification = small_mnist(server, "good")
    how = read_only(tmp_path)
    code, said = acts.perform("download", specification, tmp_path)
    assert code == 1 and re.search("nothing can be stored in .*(Read-only|Permission)", acts.sentence(said)), said
    tally(f"{how}, download", 1, "one sentence")


def test_progress_where_nothing_can_be_kept(tmp_path, read_only, tally):
    how = read_only(tmp_path)
    assert acts.perform("progress", tmp_path, ["1a", "1b"])[0] == 0
    tally(f"{how}, progress", 2, "nothing is kept and nothing raised")


def test_two_processes_download_into_one_folder(rng, tmp_path, server, tally):
    from test_datasets import assert_same, small_mnist

    arrays, specification = small_mnist(server, "slow")
    for number in range(5):
        server.requests.clear()
        folder = tmp_path / str(number)
        both = [acts.start(tmp_path / f"log{i}", "download", specification, folder) for i in range(2)]
        for process in both:
            process.join(60)
            assert process.exitcode == 0, (tmp_path / "log0").read_text() + (tmp_path / "log1").read_text()
        assert_same(datasets.read_npz(folder / "mnist.npz", specification), arrays)
        assert sorted(name for _, name, _ in server.requests) == sorted(file.name for file in specification.files)
    tally("two processes, one data folder", 5, "each file was asked for once")


def test_two_processes_keep_progress_in_one_file(tmp_path, tally):
    from helpers import progress

    mine, theirs = ([f"{k} {i}" for i in range(40)] for k in "ab")
    both = [acts.start(tmp_path / f"log{i}", "progress", tmp_path, names) for i, names in enumerate((mine, theirs))]
    for process in both:
        process.join(60)
        assert process.exitcode == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBOOK_PROGRESS", str(tmp_path / "progress.json"))
        assert sorted(progress.read()) == sorted(mine + theirs)
    tally("two processes, one file of progress", 80, "every result was kept")
