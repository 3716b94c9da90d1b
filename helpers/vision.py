"""The one door to torchvision: `from helpers.vision import datasets, transforms, utils`.

torchvision ships a compiled library that must be built for exactly the torch beside it. Where the two do not match (a
CPU build of one and a CUDA build of the other is the usual case) that library does not load, and the import stops at
"operator torchvision::nms does not exist". The workbook needs nothing of the compiled part: data sets, transforms and
picture grids are plain Python. So where the library cannot load, this module declares the two operators whose absence
stops the import and imports again. On a matching pair it does nothing.
"""

import importlib
import sys
import warnings

import torch

# The operators that torchvision's Python code refers to while it is being imported.
MISSING_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

REMEDY = (
    "torchvision's compiled library was not built for this torch; the workbook runs without it, and `python -m pip "
    "install --force-reinstall --no-deps 'torch==2.13.*' 'torchvision==0.28.*' "
    "--index-url https://download.pytorch.org/whl/cpu` installs a matching pair for the CPU."
)

_declarations = None  # torch forgets the operators as soon as this object is collected, so the module holds it


def import_torchvision():
    """Import torchvision, with its two missing operators declared where its compiled library does not load.

    Returns the module. Raises ImportError when torchvision is not installed, and RuntimeError, unchanged, when the
    import stops for any other reason. Source of the signatures: torchvision's own declarations of the two operators.
    """
    global _declarations
    with warnings.catch_warnings():
        # Pictures are read with Pillow here, so a missing image extension is no news.
        warnings.filterwarnings("ignore", r"Failed to load ('image'|image Python) extension", UserWarning)
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            if "torchvision::nms" not in str(error) or _declarations is not None:
                raise
        for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
            del sys.modules[name]  # half-imported: a second import would find them and stop elsewhere
        _declarations = torch.library.Library("torchvision", "FRAGMENT")
        for operator in MISSING_OPERATORS:
            _declarations.define(operator)
        return importlib.import_module("torchvision")


def state():
    """Say how torchvision was imported: "matched" with its compiled library, or "declared" without it."""
    return "matched" if _declarations is None else "declared"


torchvision = import_torchvision()
datasets = importlib.import_module("torchvision.datasets")
transforms = importlib.import_module("torchvision.transforms.v2")
utils = importlib.import_module("torchvision.utils")
