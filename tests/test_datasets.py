"""The data room: verification, CSV, downloads from a local server, stand-ins, and the real copies where there are."""

import dataclasses
import gzip
import hashlib
import http.server
import io
import multiprocessing
import os
import socket
import subprocess
import sys
import tarfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from helpers import datasets
from helpers.datasets import CIFAR10, MNIST, DatasetError, DownloadError, Part, RemoteFile, StandInWarning

# ------------------------------------------------------------------------------------------- small data sets, for speed


def small_arrays(specification, train=40, test=20, seed=1):
    random = np.random.default_rng(seed)
    arrays = {}
    for part, count in (("train", train), ("test", test)):
        arrays[f"{part}_images"] = random.integers(0, 256, (count, *specification.image_shape), dtype=np.uint8)
        arrays[f"{part}_labels"] = random.permutation(np.arange(count) % 10).astype(np.uint8)
    return arrays


def small(specification, arrays, files=()):
    """The specification of a data set that has the given arrays."""
    parts = {}
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        parts[part] = Part(
            class_counts=tuple(int((labels == label).sum()) for label in range(10)),
            pixel_sum=sum(images.ravel().tolist()),
            fingerprint=datasets.fingerprint(images, labels, specification.ordered),
        )
    return dataclasses.replace(specification, parts=parts, files=tuple(files))


def idx(array):
    header = bytes([0, 0, 8, array.ndim]) + b"".join(length.to_bytes(4, "big") for length in array.shape)
    return gzip.compress(header + array.tobytes())


def cifar_archive(arrays):
    def records(part):
        pairs = zip(arrays[f"{part}_labels"], arrays[f"{part}_images"], strict=True)
        return b"".join(
            bytes([label]) + b"".join(image[:, :, channel].tobytes() for channel in range(3)) for label, image in pairs
        )

    buffer = io.BytesIO()
    train, test = records("train"), records("test")
    batch = len(train) // 5
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        members = [(f"data_batch_{k + 1}.bin", train[k * batch : (k + 1) * batch]) for k in (3, 0, 1, 4, 2)]
        for name, content in [*members, ("test_batch.bin", test), ("../../outside.txt", b"must not be written")]:
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def md5(content):
    return hashlib.md5(content).hexdigest()


# ------------------------------------------------------------------------------------------------------ a local server


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` by name; the folder of the address says how: /good/, /missing/, /wrong/, /short/, /dies/ ..."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files, self.requests = {}, []
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def url(self, behaviour, name):
        return f"http://127.0.0.1:{self.server_port}/{behaviour}/{name}"

    def remote(self, name, *behaviours):
        content = self.files[name]
        return RemoteFile(
            name, len(content), md5(content), tuple(self.url(behaviour, name) for behaviour in behaviours)
        )


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        _, behaviour, name = self.path.split("/")
        wanted = self.headers.get("Range")
        self.server.requests.append((behaviour, name, wanted))
        content = self.server.files[name]
        if behaviour == "missing":
            return self.send_error(404)
        if behaviour == "wrong":
            content = bytes(255 - byte for byte in content)
        if behaviour == "short":
            content = content[: len(content) // 2]
        if behaviour == "slow":
            time.sleep(0.2)
        first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and behaviour != "norange" else 0
        self.send_response(206 if first else 200)
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - first))
        self.end_headers()
        body = content[first:]
        # "dies" breaks off the first, whole request; "diesalways" each one, in the middle of what is left.
        if behaviour == "diesalways" or (behaviour == "dies" and not first):
            body = body[: len(body) // 2]
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def server():
    server = Server()
    server.files["one.bin"] = np.random.default_rng(0).bytes(300_000)
    yield server
    server.shutdown()
    server.server_close()


def leftovers(folder):
    return sorted(path.name for path in folder.iterdir())


def test_download_of_a_good_file(server, tmp_path, capsys):
    file = server.remote("one.bin", "good")
    assert datasets.download(file, tmp_path).read_bytes() == server.files["one.bin"]
    assert leftovers(tmp_path) == ["one.bin"]
    captured = capsys.readouterr()
    assert captured.out == "" and "one.bin" in captured.err  # the progress bar, on stderr
    datasets.download(file, tmp_path)
    assert len(server.requests) == 1  # a file with the right md5 is kept
    assert capsys.readouterr().err == ""  # and nothing is said


def test_download_replaces_a_file_with_another_md5(server, tmp_path):
    (tmp_path / "one.bin").write_bytes(b"not it")
    assert datasets.download(server.remote("one.bin", "good"), tmp_path).read_bytes() == server.files["one.bin"]


@pytest.mark.parametrize(
    ("behaviour", "said"), [("short", "150,000 bytes where 300,000"), ("wrong", "md5"), ("missing", "404")]
)
def test_bad_mirror_alone_fails_with_a_sentence_and_leaves_nothing(server, tmp_path, behaviour, said):
    with pytest.raises(DownloadError, match=said):
        datasets.download(server.remote("one.bin", behaviour), tmp_path)
    assert leftovers(tmp_path) == []


@pytest.mark.parametrize("behaviour", ["short", "wrong", "missing", "diesalways"])
def test_bad_mirror_then_a_good_one(server, tmp_path, behaviour):
    file = server.remote("one.bin", behaviour, "good")
    assert datasets.download(file, tmp_path).read_bytes() == server.files["one.bin"]
    assert leftovers(tmp_path) == ["one.bin"]


def test_second_call_resumes_where_the_server_died(server, tmp_path):
    file = server.remote("one.bin", "dies")
    with pytest.raises(DownloadError, match="150,000 of 300,000 bytes"):
        datasets.download(file, tmp_path)
    assert leftovers(tmp_path) == ["one.bin.part"]
    assert datasets.download(file, tmp_path).read_bytes() == server.files["one.bin"]
    assert server.requests == [("dies", "one.bin", None), ("dies", "one.bin", "bytes=150000-")]
    assert leftovers(tmp_path) == ["one.bin"]


def test_resume_from_a_server_that_ignores_range_starts_over(server, tmp_path):
    (tmp_path / "one.bin.part").write_bytes(server.files["one.bin"][:1000])
    file = server.remote("one.bin", "norange")
    assert datasets.download(file, tmp_path).read_bytes() == server.files["one.bin"]
    assert server.requests == [("norange", "one.bin", "bytes=1000-")]


@pytest.mark.parametrize("length", [1000, 300_000, 400_000])
def test_a_beginning_from_elsewhere_does_not_spoil_a_good_mirror(server, tmp_path, length):
    (tmp_path / "one.bin.part").write_bytes(bytes(length))
    assert datasets.download(server.remote("one.bin", "good"), tmp_path).read_bytes() == server.files["one.bin"]
    assert server.requests[-1] == ("good", "one.bin", None)


def closed_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def small_mnist(server, *behaviours):
    arrays = small_arrays(MNIST)
    for key, file in zip(datasets.KEYS, MNIST.files, strict=True):
        server.files[file.name] = idx(arrays[key])
    return arrays, small(MNIST, arrays, [server.remote(file.name, *behaviours) for file in MNIST.files])


def assert_same(dataset, arrays):
    for key in datasets.KEYS:
        np.testing.assert_array_equal(getattr(dataset, key), arrays[key], strict=True)


def test_mnist_from_download_to_cache(server, tmp_path, capsys):
    arrays, specification = small_mnist(server, "missing", "good")
    folder = tmp_path / "data"
    dataset = datasets.obtain(specification, folder)
    assert_same(dataset, arrays)
    assert (dataset.name, dataset.is_stand_in, dataset.source) == ("MNIST", False, str(folder / "mnist.npz"))
    assert [name for name in leftovers(folder) if not name.endswith(".lock")] == ["mnist.npz"]
    asked = len(server.requests)
    capsys.readouterr()
    assert_same(datasets.obtain(specification, folder), arrays)
    assert len(server.requests) == asked
    assert capsys.readouterr() == ("", "")  # silent when nothing is downloaded


def test_cifar10_from_download_to_cache_unpacks_nothing(server, tmp_path):
    arrays = small_arrays(CIFAR10)
    server.files["cifar-10-binary.tar.gz"] = cifar_archive(arrays)
    specification = small(CIFAR10, arrays, [server.remote("cifar-10-binary.tar.gz", "good")])
    folder = tmp_path / "a" / "b" / "data"
    assert_same(datasets.obtain(specification, folder), arrays)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"] == ["cifar10.npz"]


def test_downloaded_archive_with_other_contents_is_refused(server, tmp_path):
    _, specification = small_mnist(server, "good")
    other = small(MNIST, small_arrays(MNIST, seed=2), specification.files)
    with pytest.raises(DatasetError, match="not a good copy of MNIST"):
        datasets.obtain(other, tmp_path)
    assert "mnist.npz" not in leftovers(tmp_path)


def test_no_network_gives_the_stand_in_with_one_warning(tmp_path, monkeypatch):
    file = RemoteFile("x", 1, "0" * 32, (f"http://127.0.0.1:{closed_port()}/x",))
    monkeypatch.setattr(datasets, "MNIST", dataclasses.replace(MNIST, files=(file,)))
    with pytest.warns(StandInWarning, match="could not be had .*refused.*stand-in") as warned:
        dataset = datasets.mnist(folder=tmp_path)
    assert len(warned) == 1 and warned[0].filename == __file__
    assert dataset.is_stand_in and dataset.name == "generated stand-in for MNIST (not real data)"
    assert "not real data" in repr(dataset)


def test_download_false_never_asks_the_server(server, tmp_path, monkeypatch):
    _, specification = small_mnist(server, "good")
    monkeypatch.setattr(datasets, "MNIST", specification)
    with pytest.warns(StandInWarning, match="not allowed"):
        assert datasets.mnist(folder=tmp_path, download=False).is_stand_in
    assert server.requests == []


def test_folder_that_cannot_be_written_is_said(server, tmp_path):
    _, specification = small_mnist(server, "good")
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DownloadError, match="nothing can be stored in"):
        datasets.obtain(specification, tmp_path / "file" / "data")


def test_two_processes_at_once_download_once(server, tmp_path):
    arrays, specification = small_mnist(server, "slow")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        both = pool.starmap(datasets.obtain, [(specification, tmp_path)] * 2)
    for dataset in both:
        assert_same(dataset, arrays)
    assert sorted(name for _, name, _ in server.requests) == sorted(file.name for file in MNIST.files)


# -------------------------------------------------------------------------------------------------------- search order


def test_search_order_is_workbook_data_then_data(tmp_path, monkeypatch):
    arrays, others = small_arrays(MNIST), small_arrays(MNIST, seed=2)
    monkeypatch.setattr(datasets, "REPOSITORY", tmp_path)
    shared = tmp_path / "shared"
    for folder, content in ((shared, arrays), (tmp_path / "data", others)):
        folder.mkdir()
        np.savez(folder / "mnist.npz", **content)
    monkeypatch.setenv("WORKBOOK_DATA", str(shared))
    assert_same(datasets.obtain(small(MNIST, arrays)), arrays)
    monkeypatch.setenv("WORKBOOK_DATA", "shared")  # counts from the repository
    assert_same(datasets.obtain(small(MNIST, arrays)), arrays)
    monkeypatch.delenv("WORKBOOK_DATA")
    assert_same(datasets.obtain(small(MNIST, others)), others)
    monkeypatch.setenv("WORKBOOK_DATA", str(tmp_path / "absent"))
    with pytest.raises(DatasetError, match="absent.*not a folder"):
        datasets.mnist()


# -------------------------------------------------------------------------------------------------------- verification


def change(arrays, key, **replacement):
    return {**{name: array.copy() for name, array in arrays.items()}, key: replacement["by"]}


def swap_two_labels(labels):
    labels = labels.copy()
    second = int(np.flatnonzero(labels != labels[0])[0])
    labels[[0, second]] = labels[[second, 0]]
    return labels


def move_one_grey_level(images):
    images = images.astype(np.int64)
    images[0].flat[0] = images[0].flat[0] + 1 if images[0].flat[0] < 255 else 254
    return images.astype(np.uint8)


def relabel_one(labels):
    labels = labels.copy()
    labels[0] = (labels[0] + 1) % 10
    return labels


@pytest.mark.parametrize("specification", [MNIST, CIFAR10], ids=["mnist", "cifar10"])
@pytest.mark.parametrize(
    ("key", "damage", "said"),
    [
        ("train_images", lambda a: a[:-1], "shape"),
        ("test_images", lambda a: a.astype(np.float32), "float32"),
        ("test_labels", lambda a: a.astype(np.int64), "int64"),
        ("test_labels", lambda a: a + np.uint8(10 * (np.arange(len(a)) == 3)), "only 0 to 9"),
        ("train_labels", relabel_one, "times where"),
        ("train_images", move_one_grey_level, "add up to"),
        ("train_labels", swap_two_labels, "hash to"),
        ("test_labels", swap_two_labels, "hash to"),
    ],
)
def test_every_kind_of_damage_is_named(specification, key, damage, said):
    arrays = small_arrays(specification)
    known = small(specification, arrays)
    assert not datasets.verify(arrays, known, "copy.npz").is_stand_in
    with pytest.raises(DatasetError, match=said) as raised:
        datasets.verify(change(arrays, key, by=damage(arrays[key])), known, "copy.npz")
    message = str(raised.value)
    assert message.startswith("copy.npz") and known.command in message and message.endswith(".") and "\n" not in message


@given(seed=st.integers(0, 2**32 - 1))
def test_order_matters_for_mnist_and_not_for_cifar10(seed):
    order = np.random.default_rng(seed).permutation(20)
    for specification in (MNIST, CIFAR10):
        arrays = small_arrays(specification)
        known = small(specification, arrays)
        arrays["test_images"], arrays["test_labels"] = arrays["test_images"][order], arrays["test_labels"][order]
        if specification.ordered and (order != np.arange(20)).any():
            with pytest.raises(DatasetError, match="hash to"):
                datasets.verify(arrays, known, "copy")
        else:
            datasets.verify(arrays, known, "copy")


def test_damaged_cache_files_are_named_and_not_used(tmp_path, monkeypatch):
    arrays = small_arrays(MNIST)
    known = small(MNIST, arrays)
    path = tmp_path / "mnist.npz"
    np.savez_compressed(path, **arrays)
    good = path.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 255
    locked = bytearray(good)
    locked[good.index(b"PK\x01\x02") + 8] ^= 1  # the flag of an encrypted file
    no_labels = io.BytesIO()
    np.savez(no_labels, **{key: arrays[key] for key in datasets.KEYS[:3]})
    pickled = io.BytesIO()
    np.savez(pickled, **{**arrays, "train_labels": np.array([{"a": 1}], dtype=object)})
    monkeypatch.setattr(datasets, "MNIST", known)
    assert_same(datasets.mnist(tmp_path), arrays)
    damaged = [
        good[: len(good) // 2],
        bytes(flipped),
        bytes(locked),
        b"",
        b"<html>404</html>",
        pickled.getvalue(),
        no_labels.getvalue(),
    ]
    for content in damaged:
        path.write_bytes(content)
        with pytest.raises(DatasetError, match="delete it and run") as raised:
            datasets.mnist(tmp_path)
        assert str(path) in str(raised.value)
    path.unlink()
    path.mkdir()
    with pytest.raises(DownloadError):  # a folder of that name is no copy, and nothing can be downloaded here
        datasets.obtain(dataclasses.replace(known, files=()), tmp_path, download=False)


def test_pixel_sum_and_counts_of_the_specifications_are_the_published_facts():
    for specification, sums, sizes in (
        (MNIST, (1567298545, 264923200), (60_000, 10_000)),
        (CIFAR10, (18540682003, 3733375634), (50_000, 10_000)),
    ):
        assert tuple(part.pixel_sum for part in specification.parts.values()) == sums
        assert tuple(sum(part.class_counts) for part in specification.parts.values()) == sizes
    assert CIFAR10.parts["train"].class_counts == (5000,) * 10 and CIFAR10.parts["test"].class_counts == (1000,) * 10


@pytest.mark.parametrize("specification", [MNIST, CIFAR10], ids=["mnist", "cifar10"])
def test_real_copy(specification):
    folder = os.environ.get("WORKBOOK_DATA")
    path = Path(datasets.REPOSITORY, folder or "data", f"{specification.key}.npz")
    if not path.is_file():
        pytest.skip("no real copy here: set WORKBOOK_DATA, or run python -m helpers.datasets")
    dataset = datasets.obtain(specification, path.parent, download=False)
    assert not dataset.is_stand_in and dataset.name == specification.name
    assert dataset.fingerprint == "-".join(part.fingerprint for part in specification.parts.values())
    # The fingerprint's second route: the same sum over records, one image at a time, from another reading of the file.
    with np.load(path) as stored:
        images, labels = stored["test_images"], stored["test_labels"]
    assert (
        int(images.reshape(len(images), -1).sum(axis=1, dtype=np.int64).sum()) == specification.parts["test"].pixel_sum
    )
    if specification is CIFAR10:
        total = 0
        for image, label in zip(images, labels, strict=True):
            digest = hashlib.blake2b(bytes([label]) + image.tobytes(), digest_size=8).hexdigest()
            total += int(digest, 16)
        assert f"{total:x}"[-16:] == specification.parts["test"].fingerprint


# ----------------------------------------------------------------------------------------------------------------- csv


def write_csv(path, images, labels, header=False, newline="\n"):
    lines = (
        ["label," + ",".join(f"{row}x{column}" for row in range(1, 29) for column in range(1, 29))] if header else []
    )
    for image, label in zip(images.tolist(), labels.tolist(), strict=True):
        lines.append(",".join(str(value) for value in [label, *sum(image, [])]))
    path.write_bytes((newline.join(lines) + newline).encode())


@pytest.mark.parametrize("part, other", [("train", "test"), ("test", "train")])
@pytest.mark.parametrize("store", ["npz", "csv", "nothing"])
def test_one_part_alone(tmp_path, monkeypatch, recwarn, store, part, other):
    """Wherever it comes from: the arrays and the hash that the whole has; of a copy the other part is not looked at."""
    arrays = small_arrays(MNIST)
    monkeypatch.setattr(datasets, "MNIST", small(MNIST, arrays))
    if store == "npz":
        damaged = {key: array // 2 if key.startswith(other) else array for key, array in arrays.items()}
        np.savez(tmp_path / "mnist.npz", **damaged)
        with pytest.raises(DatasetError):
            datasets.mnist(tmp_path, download=False)
    if store == "csv":
        for name in ("train", "test"):
            write_csv(tmp_path / f"mnist_{name}.csv", arrays[f"{name}_images"], arrays[f"{name}_labels"])
    alone = datasets.mnist(tmp_path, download=False, part=part)
    whole = datasets.generate(datasets.MNIST) if store == "nothing" else datasets.verify(arrays, datasets.MNIST, "here")
    assert alone.is_stand_in == (store == "nothing") == any(w.category is StandInWarning for w in recwarn)
    for kind in ("images", "labels"):
        np.testing.assert_array_equal(getattr(alone, f"{part}_{kind}"), getattr(whole, f"{part}_{kind}"), strict=True)
        empty = getattr(alone, f"{other}_{kind}")
        assert len(empty) == 0 and empty.shape[1:] == getattr(whole, f"{other}_{kind}").shape[1:]
    assert alone.fingerprint == whole.fingerprint.split("-")[part == "test"]
    count, word = len(getattr(whole, f"{part}_labels")), {"train": "training", "test": "test"}[part]
    assert repr(alone) == f"{whole.name}: {count:,} {word} images, 28×28, uint8"


def test_a_part_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(ValueError, match="part is 'validation'; give 'train' or 'test', or leave it out"):
        datasets.cifar10(tmp_path, part="validation")


@pytest.mark.parametrize(("header", "newline"), [(False, "\n"), (True, "\n"), (True, "\r\n")])
def test_csv_gives_the_same_arrays_bit_for_bit(tmp_path, monkeypatch, header, newline):
    path = Path(datasets.REPOSITORY, os.environ.get("WORKBOOK_DATA") or "data", "mnist.npz")
    if path.is_file():
        with np.load(path) as stored:
            arrays = {key: stored[key][:200] for key in datasets.KEYS}
    else:
        arrays = small_arrays(MNIST)
    for part in ("train", "test"):
        write_csv(tmp_path / f"mnist_{part}.csv", arrays[f"{part}_images"], arrays[f"{part}_labels"], header, newline)
    images, labels = datasets.read_mnist_csv(tmp_path / "mnist_test.csv")
    np.testing.assert_array_equal(images, arrays["test_images"], strict=True)
    np.testing.assert_array_equal(labels, arrays["test_labels"], strict=True)
    specification = small(MNIST, arrays)
    assert_same(datasets.obtain(specification, tmp_path, download=False), arrays)
    for part in ("train", "test"):
        (tmp_path / f"mnist_{part}.csv").unlink()
    assert_same(datasets.obtain(specification, tmp_path, download=False), arrays)  # from the cache it left


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("5,1,2,3", "Line 3 .* has 4 values where a label and 784 pixels"),
        ("5" + ",0" * 785, "Line 3 .* has 786 values"),
        ("5" + ",0" * 783 + ",3.5", "Line 3 .* holds '3.5'"),
        ("5" + ",0" * 783 + ",256", "Line 3 .* holds '256'"),
        ("5" + ",0" * 783 + ",-1", "Line 3 .* holds '-1'"),
        ("5" + ",0" * 783 + ",", "Line 3 .* holds ''"),
        ("5" + ",0" * 783 + ",nan", "Line 3 .* holds 'nan'"),
        ("label" + ",0" * 784, "Line 3 .* holds 'label'"),  # a header in the middle
        ("17" + ",0" * 784, "Line 3 .* begins with 17"),
    ],
)
def test_bad_csv_line_is_named_by_number(tmp_path, line, said):
    path = tmp_path / "mnist_train.csv"
    good = "1" + ",0" * 784
    path.write_text("\n".join([good, good, line, good]) + "\n")
    with pytest.raises(DatasetError, match=said) as raised:
        datasets.read_mnist_csv(path)
    assert "\n" not in str(raised.value) and str(raised.value).endswith(".")


def test_first_line_with_a_broken_label_is_no_header(tmp_path):
    path = tmp_path / "mnist_train.csv"
    path.write_text("3.0" + ",0" * 784 + "\n")
    with pytest.raises(DatasetError, match="Line 1 .* holds '3.0'"):
        datasets.read_mnist_csv(path)


def test_empty_and_half_csv(tmp_path):
    arrays = small_arrays(MNIST)
    write_csv(tmp_path / "mnist_train.csv", arrays["train_images"], arrays["train_labels"])
    with pytest.raises(DatasetError, match=r"put mnist_test\.csv there too"):
        datasets.obtain(small(MNIST, arrays), tmp_path)
    (tmp_path / "mnist_test.csv").write_text("label\n\n")
    with pytest.raises(DatasetError, match="holds no images"):
        datasets.obtain(small(MNIST, arrays), tmp_path)


# ------------------------------------------------------------------------------------------------------------ stand-in


def nearest_centroid_accuracy(train, train_labels, test, test_labels):
    centroids = np.stack([train[train_labels == label].mean(axis=0) for label in range(10)])
    distances = ((test[:, None] - centroids) ** 2).sum(axis=-1)
    return float((distances.argmin(axis=1) == test_labels).mean())


def spectrum(images):
    grey = images.mean(axis=-1)
    amplitude = np.abs(np.fft.rfft2(grey - grey.mean(axis=(1, 2), keepdims=True))).reshape(len(images), -1)
    return amplitude / np.linalg.norm(amplitude, axis=1, keepdims=True)


def test_stand_ins_are_deterministic_balanced_and_learnable():
    digits, shapes = datasets.generate(MNIST), datasets.generate(CIFAR10)
    assert digits.train_images.shape == (6000, 28, 28) and shapes.test_images.shape == (1000, 32, 32, 3)
    for dataset, specification in ((digits, MNIST), (shapes, CIFAR10)):
        for key in datasets.KEYS:
            assert getattr(dataset, key).dtype == np.uint8
        assert len(set(np.bincount(dataset.train_labels).tolist())) == 1
        assert dataset.fingerprint == datasets.generate(specification).fingerprint
        assert dataset.is_stand_in and "not real data" in dataset.name
        assert len(set(dataset.class_names)) == 10 and not set(dataset.class_names) & set(specification.class_names)
    flat = [images.reshape(len(images), -1) / 255 for images in (digits.train_images, digits.test_images)]
    assert nearest_centroid_accuracy(flat[0], digits.train_labels, flat[1], digits.test_labels) > 0.8
    features = [spectrum(images) for images in (shapes.train_images, shapes.test_images)]
    assert nearest_centroid_accuracy(features[0], shapes.train_labels, features[1], shapes.test_labels) > 0.6


def test_split_holds_out_the_last_training_images():
    dataset = datasets.generate(MNIST)
    (x_train, y_train), (x_validation, y_validation), (x_test, _) = dataset.split()
    assert [len(x_train), len(x_validation), len(x_test)] == [5000, 1000, 1000]
    np.testing.assert_array_equal(np.concatenate([x_train, x_validation]), dataset.train_images)
    np.testing.assert_array_equal(np.concatenate([y_train, y_validation]), dataset.train_labels)
    for fraction in (0, 1, -0.1, 10_000, float("nan")):
        with pytest.raises(ValueError, match="strictly between 0 and 1"):
            dataset.split(fraction)


# ------------------------------------------------------------------------------------------------------- the command


def test_command_prints_a_table_and_an_exit_code(server, tmp_path, monkeypatch, capsys):
    arrays, specification = small_mnist(server, "good")
    monkeypatch.setattr(datasets, "MNIST", specification)
    monkeypatch.setattr(datasets, "CIFAR10", dataclasses.replace(CIFAR10, files=(server.remote("one.bin", "missing"),)))
    assert datasets.main(["--mnist", "--folder", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (
        len(lines) == 2 and lines[1].split()[:3] == ["MNIST", "40", "20"] and lines[1].endswith("mnist.npz, verified")
    )
    assert datasets.main(["--folder", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3 and "missing: no mirror delivers one.bin" in lines[2] and "stand-in" not in lines[2]


def test_reading_data_imports_neither_torch_nor_anything_but_numpy():
    script = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "from helpers import datasets\n"
        "datasets.mnist(download=False)\n"
        "print([name for name in ('torch', 'torchvision', 'tqdm', 'filelock', 'matplotlib') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=datasets.REPOSITORY)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_a_flipped_bit_in_an_uncompressed_cache_is_noticed(tmp_path):
    arrays = small_arrays(MNIST)
    path = tmp_path / "mnist.npz"
    np.savez(path, **arrays)
    content = bytearray(path.read_bytes())
    content[bytes(content).index(arrays["train_images"].tobytes()) + 5] ^= 1
    path.write_bytes(content)
    with pytest.raises(DatasetError, match="damaged"):
        datasets.read_npz(path, small(MNIST, arrays))
