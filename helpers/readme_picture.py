"""Draws README's pictures from the explorers themselves: python -m helpers.readme_picture."""

import io
import os
from pathlib import Path

from PIL import Image

from helpers import style
from helpers.explore import convolution, descent, mlp

FOLDER = Path(__file__).parents[1] / "artifacts"
PICTURES = {
    "readme.png": lambda: (convolution.window(position=6), descent.descend("momentum B", learning_rate=1.0, n=50)),
    "readme_explorers.png": lambda: (descent.race(n=34), mlp.draw("a smile")),
}


def draw(explorers):
    """Return the pictures of `explorers`, one above the other, as a Pillow image."""
    shown = []
    for explorer in explorers:
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


def main(folder=FOLDER):
    """Write the pictures into `folder`, each under a temporary name first."""
    for name, explorers in PICTURES.items():
        temporary = folder / f".{name}.part"
        draw(explorers()).quantize(256, dither=Image.Dither.NONE).save(temporary, format="png", optimize=True)
        os.replace(temporary, folder / name)
        print(f"{name}: {(folder / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
