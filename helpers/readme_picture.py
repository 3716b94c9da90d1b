"""Draws README's two pictures, two explorers and the house of the code: python -m helpers.readme_picture."""

import argparse
import io
import os
import sys
from pathlib import Path

from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Polygon, Rectangle
from PIL import Image

from helpers import style
from helpers.explore import convolution, gates

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "artifacts"
TOPICS = ("descent", "gates", "backprop", "convolution", "mlp", "cnn")
SHARED = ("assignment", "datasets", "checks", "progress", "style")
# What each room does and its colour, with the left end, the bottom, the width and the height of the room.
ROOMS = {
    "explore": ("moves", style.PURPLE, (13, 37, 57, 11.5)),
    "figures": ("draws", style.ORANGE, (13, 24.5, 57, 11.5)),
    "core": ("computes", style.BLUE, (13, 12, 83, 11.5)),
    "answers": ("knows", style.GREEN, (71, 24.5, 25, 24)),
}


def explorers():
    """Return two explorers, one above the other, as a Pillow image: a convolution half done, and XOR solved."""
    shown = []
    for explorer in (convolution.window(position=6), gates.hidden_plane()):
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


def house():
    """Return the house of the code as a Picture: a window for each module that is really there."""
    fig, ax = style.figure(height=5.1)
    with style.context():
        ax.set(xlim=(0, 100), ylim=(0, 60.5), aspect="equal")
        ax.set_axis_off()
        _roof(ax)
        for name, (verb, colour, (left, bottom, width, height)) in ROOMS.items():
            _room(ax, name, verb, colour, left, bottom, width, height)
        _cellar(ax)
        _stairs(ax)
    count = sum(_there(f"{room}/{topic}") for room in ROOMS for topic in TOPICS)
    return style.Picture(
        fig,
        f"A house with {count} windows, one for each topic of a room: under the roof of notebooks explore stands on "
        "figures and figures on core; answers leans on core alone; all of them stand on a cellar of what they share. "
        "Imports point down.",
    )


def _there(name):
    return (ROOT / "helpers" / f"{name}.py").is_file()


def _roof(ax):
    ax.add_patch(Polygon([(9.5, 49.5), (99.5, 49.5), (88, 60), (21, 60)], facecolor=style.INK, edgecolor="none"))
    ax.text(54.5, 56.9, "notebooks", color=style.PAPER, ha="center", va="center", fontsize=13, weight="bold")
    names = sorted(path.stem for path in (ROOT / "notebooks").glob("0*.ipynb"))
    shown = "   ·   ".join(name[:2] for name in names)
    ax.text(54.5, 52.8, f"explain      {shown}", color=style.PAPER, ha="center", va="center", fontsize=10)


def _room(ax, name, verb, colour, left, bottom, width, height):
    ax.add_patch(Rectangle((left, bottom), width, height, facecolor=colour, alpha=0.13, edgecolor="none"))
    ax.add_patch(Rectangle((left, bottom), width, height, facecolor="none", edgecolor=colour, linewidth=1.6))
    ax.text(left + 1.6, bottom + height - 2.9, name, color=style.INK, fontsize=11.5, weight="bold", va="center")
    ax.text(left + width - 1.6, bottom + height - 2.9, verb, color=style.INK, fontsize=10, va="center", ha="right")
    columns = len(TOPICS) if width > 2 * height else 2
    wide = (width - 2) / columns - 0.8
    for position, topic in enumerate(TOPICS):
        row, column = divmod(position, columns)
        x, y = left + 1.4 + column * (wide + 0.8), bottom + height - 9.9 - 6.2 * row
        there = _there(f"{name}/{topic}")
        ax.add_patch(FancyBboxPatch((x, y), wide, 4.4, boxstyle="round,pad=0,rounding_size=0.6", linewidth=1,
                                    facecolor=style.PAPER if there else style.FAINT, edgecolor=colour))  # fmt: skip
        ax.text(x + wide / 2, y + 2.2, topic, ha="center", va="center", fontsize=7.6, color=style.INK)


def _cellar(ax):
    ax.add_patch(Rectangle((13, 1), 83, 10, facecolor=style.FAINT, alpha=0.55, edgecolor=style.GREY, linewidth=1.6))
    ax.text(14.6, 8.1, "shared", color=style.INK, fontsize=11.5, weight="bold", va="center")
    ax.text(94.4, 8.1, "what all of them use", color=style.INK, fontsize=10, va="center", ha="right")
    names = [name for name in SHARED if _there(name)]
    ax.text(54.5, 3.9, "   ·   ".join(names), ha="center", va="center", fontsize=9.5, color=style.INK)


def _stairs(ax):
    """Draw beside the house what imports what: from the roof down, and never up."""
    ax.text(5.4, 27, "imports point down", rotation=90, ha="center", va="center", fontsize=10, color=style.GREY)
    ax.add_patch(FancyArrowPatch((8.8, 48), (8.8, 3), arrowstyle="-|>", mutation_scale=16, color=style.GREY))


PICTURES = {"readme.png": explorers, "readme_house.png": lambda: Image.open(io.BytesIO(style.png(house().figure)))}


def main(folder=FOLDER, arguments=()):
    """Write the pictures into `folder`, each under a temporary name first."""
    argparse.ArgumentParser(description=__doc__).parse_args(arguments)
    for name, drawn in PICTURES.items():
        temporary = folder / f".{name}.part"
        drawn().convert("RGB").quantize(256, dither=Image.Dither.NONE).save(temporary, format="png", optimize=True)
        os.replace(temporary, folder / name)
        print(f"{name}: {(folder / name).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(arguments=sys.argv[1:])
