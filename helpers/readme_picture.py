"""Draws the picture at the top of README from the explorers themselves: python -m helpers.readme_picture."""

import io
import os
from pathlib import Path

from PIL import Image

from helpers import style
from helpers.explore import convolution, descent

PATH = Path(__file__).parents[1] / "artifacts" / "readme.png"


def draw():
    """Return the pictures of two explorers, one above the other, as a Pillow image."""
    shown = []
    for explorer in (convolution.window(position=6), descent.descend("momentum B", learning_rate=1.0, n=50)):
        with style.context():
            explorer.scene.update(**explorer.state)
        shown.append(Image.open(io.BytesIO(style.png(explorer.scene.figure))).convert("RGB"))
    gap = 24
    both = Image.new("RGB", (max(i.width for i in shown), sum(i.height for i in shown) + gap), style.PAPER)
    top = 0
    for image in shown:
        both.paste(image, (0, top))
        top += image.height + gap
    return both


def main(path=PATH):
    """Write the picture to `path`, under a temporary name first."""
    temporary = path.with_name(f".{path.name}.part")
    draw().quantize(256, dither=Image.Dither.NONE).save(temporary, format="png", optimize=True)
    os.replace(temporary, path)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
