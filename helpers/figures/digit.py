"""The picture beside the drawing pad: what the network is given, and what it makes of it."""

import numpy as np
from matplotlib.patches import Rectangle

from helpers import style
from helpers.core import digit
from helpers.figures.scene import Scene


class DigitScene(Scene):
    """A drawing as an image of MNIST's kind, and the ten probabilities that `network` gives it."""

    def __init__(self, network):
        fig, (left, right) = style.figure(height=3.3, ncols=2, width_ratios=(1, 1.5))
        super().__init__(fig)
        self.network = network
        with style.context():
            self.image = self.moving(left.imshow(np.zeros((digit.SIZE, digit.SIZE)), cmap="gray_r", vmin=0, vmax=1))
            box = Rectangle((0, 0), digit.BOX, digit.BOX, fill=False, color=style.BLUE, linestyle=":")
            self.box = self.moving(left.add_patch(box))
            middle = (digit.SIZE - 1) / 2
            self.moving(left.plot(middle, middle, "+", color=style.ORANGE, markersize=10, markeredgewidth=2)[0])
            left.set(title="what the network sees", xticks=[], yticks=[])
            left.set_xlabel("28 × 28 pixels, + centre of mass")
            left.grid(False)
            left.spines[:].set_visible(False)  # the image would cover two of them
            edge = Rectangle(
                (-0.5, -0.5), digit.SIZE, digit.SIZE, fill=False, color=style.GREY, linewidth=1, clip_on=False
            )
            self.moving(left.add_patch(edge))
            self.bars = [self.moving(bar) for bar in right.barh(range(10), np.zeros(10), color=style.SKY)]
            # In one column, so that a number once set is copied wherever its bar ends.
            self.percents = [self.moving(right.text(120, k, "", va="center", ha="right")) for k in range(10)]
            right.set(title="what it says", xlim=(0, 121), ylim=(9.6, -0.6), yticks=range(10), xlabel="probability, %",
                      xticks=range(0, 101, 25))  # fmt: skip
            right.grid(axis="y", visible=False)
            self.in_step(self.percents)

    def update(self, example, strokes):
        """Show the drawing that `strokes` describes; where it came from (`example`) does not matter here."""
        image = digit.as_mnist(digit.parse_strokes(strokes))
        self.image.set_data(image)
        drawn = image.any()
        self.box.set_visible(drawn)
        if drawn:
            self.box.set_xy([np.flatnonzero(image.any(axis=axis))[[0, -1]].mean() - digit.BOX / 2 for axis in (0, 1)])
        chances = digit.answer(self.network, image) if drawn else np.zeros(10)
        best, second = np.argsort(-chances, kind="stable")[:2]
        for k, (bar, percent) in enumerate(zip(self.bars, self.percents, strict=True)):
            bar.set_width(100 * chances[k])
            bar.set_facecolor(style.BLUE if drawn and k == best else style.SKY)
            percent.set_text(f"{100 * chances[k]:.0f} %" if drawn else "")
        if not drawn:
            return "Nothing is drawn yet. Draw a digit, or choose an example."
        doubt = " It hesitates." if chances[best] < 0.7 else ""
        first, other = _percent(chances[best]), _percent(chances[second])
        return f"The network reads {_a(best)} with {first}, or else {_a(second)} with {other}.{doubt}"


def _percent(chance):
    return f"{100 * chance:.1f} %"


def _a(number):
    return f"an {number}" if number == 8 else f"a {number}"
