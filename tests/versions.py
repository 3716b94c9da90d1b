"""The requirements at their lowest and at their newest: `python tests/versions.py oldest` prints them for pip.

Used by `make test-oldest` and `make test-newest`. Oldest is the lowest version that each line of requirements.txt
allows. Newest lets go of every bound but those of torch and torchvision, which have to stay a pair.
"""

import re
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).parents[1] / "requirements.txt"
PAIR = ("torch", "torchvision")


def oldest(name, bounds):
    """Return the requirement of the lowest version within bounds such as `==2.4.*` or `>=2.1,<2.5`."""
    lowest = re.match(r"(?:==(\d+\.\d+)\.\*|>=([\d.]+),<[\d.]+)$", bounds)
    if not lowest:
        raise ValueError(f"{name}{bounds} is neither a minor version, ==1.2.*, nor a range, >=1.2,<1.5")
    return f"{name}=={lowest[1]}.0" if lowest[1] else f"{name}=={lowest[2]}"


def newest(name, bounds):
    """Return the requirement of whatever is newest, but of the pair as it stands."""
    return f"{name}{bounds}" if name in PAIR else name


def lines(which, text):
    """Return the lines of a requirements file at their `which`, comments left out; options stay as they are."""
    bare = [line.partition("#")[0].strip() for line in text.splitlines()]
    parts = [re.match(r"([\w.-]*)(.*)", line).groups() for line in bare if line]
    return [name + bounds if name.startswith("-") else which(name, bounds) for name, bounds in parts]


if __name__ == "__main__":
    print("\n".join(lines({"oldest": oldest, "newest": newest}[sys.argv[1]], REQUIREMENTS.read_text(encoding="utf-8"))))
