"""The door to torchvision: a pair that does not match works all the same, and a matching one is left alone."""

import subprocess
import sys
from pathlib import Path

import pytest

from helpers import datasets

torch = pytest.importorskip("torch")
REPOSITORY = Path(__file__).resolve().parent.parent


def run(script, *options, path=None):
    """Run a script in a fresh interpreter, optionally with `path` searched first, and return what it printed."""
    prelude = f"import sys; sys.path.insert(0, {str(path)!r})\n" if path else ""
    command = [sys.executable, *options, "-c", prelude + script]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr.strip()


def test_data_sets_transforms_and_grids_work_on_this_machine_without_a_warning():
    """Whatever pair is installed here; the shim is at work exactly where a plain `import torchvision` fails."""
    printed, complaints = run(
        """
import gc, struct, sys, tempfile, pathlib, warnings
try:
    with warnings.catch_warnings(action="ignore"):
        import torchvision
except RuntimeError as error:
    plain = "declared" if "operator torchvision::nms does not exist" in str(error) else error
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        del sys.modules[name]
else:
    plain = "matched"
from helpers.vision import datasets, state, transforms, utils
import torch
gc.collect()  # the declared operators must outlive a collection
raw = pathlib.Path(tempfile.mkdtemp(), "MNIST", "raw")
raw.mkdir(parents=True)
for part in ("train", "t10k"):
    raw.joinpath(part + "-images-idx3-ubyte").write_bytes(struct.pack(">4I", 2051, 3, 28, 28) + bytes(range(196)) * 12)
    raw.joinpath(part + "-labels-idx1-ubyte").write_bytes(struct.pack(">2I", 2049, 3) + bytes([7, 0, 9]))
pipeline = transforms.Compose([
    transforms.ToImage(), transforms.RandomCrop(28, padding=2), transforms.ToDtype(torch.float32, scale=True),
    transforms.Normalize([0.5], [0.5]),
])
images, labels = zip(*datasets.MNIST(raw.parent.parent, train=True, transform=pipeline))
print([tuple(image.shape) for image in images], labels)
print(tuple(utils.make_grid(torch.stack(images), nrow=3).shape))
print(plain, state(), hasattr(torch.ops.torchvision, "nms"), hasattr(torch.ops.torchvision, "qnms"))
""",
        "-W",
        "error",
    )
    lines = printed.splitlines()
    assert lines[0] == "[(1, 28, 28), (1, 28, 28), (1, 28, 28)] (7, 0, 9)"
    assert lines[1] == "(3, 32, 92)"
    assert lines[2] in ("matched matched True True", "declared declared True True")
    assert complaints == ""


FAKES = {
    "matching": "imports = globals().get('imports', 0) + 1\n",
    "disordered": "raise RuntimeError('CUDA is out of order')\n",
    "gone": "raise ImportError('gone')\n",
    # It fails like the real one until both operators are declared, and remembers each of its imports.
    "half": """
import builtins, sys, torch
from torchvision import datasets
builtins.seen = getattr(builtins, "seen", [])
builtins.seen.append(datasets)
if not (hasattr(torch.ops.torchvision, "nms") and hasattr(torch.ops.torchvision, "qnms")):
    raise RuntimeError("operator torchvision::nms does not exist")
""",
}


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """What one interpreter saw of the packages in FAKES, one after the other: importing torch is what takes time."""
    folder = tmp_path_factory.mktemp("fakes")
    for fake, code in FAKES.items():
        package = folder / fake / "torchvision"
        (package / "transforms").mkdir(parents=True)
        (package / "__init__.py").write_text(code)
        for name in ("datasets.py", "utils.py", "transforms/__init__.py", "transforms/v2.py"):
            (package / name).write_text("")
    lines, _ = run(
        f"""
import builtins, warnings
import helpers, torch
def use(fake):
    sys.path[0] = {str(folder)!r} + "/" + fake
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision" or name == "helpers.vision"]:
        del sys.modules[name]
    vars(helpers).pop("vision", None)
def declared():
    return hasattr(torch.ops.torchvision, "nms")

use("matching")
library, torch.library.Library = torch.library.Library, None  # declaring an operator would fail
import torchvision
before, filters = sys.modules["torchvision"], list(warnings.filters)
from helpers import vision
print(vision.state(), sys.modules["torchvision"] is before, vision.torchvision is before, before.imports,
      warnings.filters == filters, declared())
torch.library.Library = library
for fake in ("disordered", "gone"):
    use(fake)
    try:
        from helpers import vision
    except Exception as error:
        print(repr(error), declared())
use("half")
from helpers import vision
first, second = builtins.seen
print(vision.state(), first is not second, sys.modules["torchvision.datasets"] is second is vision.datasets)
""",
        path=folder,
    )
    return lines.splitlines()


def test_a_matching_pair_is_left_alone(printed):
    assert printed[0] == "matched True True 1 True False"


def test_other_failures_pass_unchanged(printed):
    assert printed[1:3] == ["RuntimeError('CUDA is out of order') False", "ImportError('gone') False"]


def test_the_half_imported_modules_are_purged_and_the_import_repeated(printed):
    assert printed[3:] == ["declared True True"]


def test_the_download_lists_agree_with_torchvision():
    from helpers import vision

    resources = {file.name: file.md5 for file in datasets.MNIST.files}
    assert resources == dict(vision.datasets.MNIST.resources)
    for file in datasets.MNIST.files:
        assert {mirror + file.name for mirror in vision.datasets.MNIST.mirrors} <= set(file.urls)
    origin = vision.datasets.CIFAR10.url.removesuffix("cifar-10-python.tar.gz")
    assert datasets.CIFAR10.files[0].urls[-1] == origin + "cifar-10-binary.tar.gz"


def test_only_the_door_imports_torchvision():
    importers = [
        path.relative_to(REPOSITORY).as_posix()
        for path in sorted((REPOSITORY / "helpers").rglob("*.py"))
        if any(
            line.lstrip().startswith(("import torchvision", "from torchvision")) for line in path.open(encoding="utf-8")
        )
        or 'import_module("torchvision' in path.read_text(encoding="utf-8")
    ]
    assert importers == ["helpers/vision.py"]
