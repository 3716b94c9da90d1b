"""The pictures of Theory 3: the network, its computation graph with values and gradients, and the gradient check."""

from functools import lru_cache

import numpy as np
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.patches import Circle, FancyArrowPatch
from matplotlib.path import Path
from matplotlib.textpath import TextPath
from matplotlib.transforms import Affine2D

from helpers import style
from helpers.core import backprop
from helpers.figures.scene import Scene

STEPS = 10  # from x alone (0) through E (5) to dE/dx (10)

_FORWARD = ("x", "f1", "a", "f2", "o", "E")
_MATH = {"x": "x", "f1": "f_1", "a": "a", "f2": "f_2", "o": "o", "E": "E"}


# --- still pictures --------------------------------------------------------------------------------------------


def network():
    """Draw Fig. 4 anew: x1 ... xN, h1 ... hM, o1 ... oK and the weights between them, with every shape."""
    fig, ax = style.figure(height=4.1)
    columns = ((1.2, "x", "N"), (5.0, "h", "M"), (8.8, "o", "K"))
    heights = (3.1, 2.2, 0.6)
    with style.context():
        ax.set(xlim=(0, 10), ylim=(-0.8, 4.2))
        ax.set_aspect("equal")
        ax.axis("off")
        for (left, _, _), (right, _, _) in zip(columns, columns[1:], strict=False):
            for start in heights:
                for end in heights:
                    ax.plot((left, right), (start, end), color=style.GREY, linewidth=0.9, zorder=1)
        for place, letter, last in columns:
            for index, height in zip(("1", "2", last), heights, strict=True):
                ax.add_patch(Circle((place, height), 0.36, facecolor=style.PAPER, edgecolor=style.BLUE, lw=2, zorder=2))
                ax.text(place, height, f"${letter}_{{{index}}}$", ha="center", va="center", fontsize=14, zorder=3)
            ax.text(place, 1.4, "⋮", ha="center", va="center", fontsize=18, zorder=3, backgroundcolor=style.PAPER)
        for place, said in ((1.2, "input"), (5.0, "hidden layer"), (8.8, "output")):
            ax.text(place, 3.95, said, ha="center", fontsize=12, fontweight="bold")
        for place, said in ((3.1, "$W_1,\\ b_1$"), (6.9, "$W_2,\\ b_2$")):
            ax.text(place, 3.55, said, ha="center", va="center", fontsize=13)
        below = (
            (1.2, "x is 1×N"),
            (3.1, "W₁ is N×M\nb₁ is 1×M"),
            (5.0, "1×M\nf₁ before σ, a after it"),
            (6.9, "W₂ is M×K\nb₂ is 1×K"),
            (8.8, "1×K\nf₂ before softmax,\no after it"),
        )
        for place, said in below:
            ax.text(place, 0.02, said, ha="center", va="top", fontsize=10, linespacing=1.5)
    return style.Picture(
        fig,
        "The two-layer network as columns of circles: x1 to xN, every one joined to h1 to hM by the weights W1, and "
        "every one of these joined to o1 to oK by W2; row vectors of shapes 1 by N, 1 by M and 1 by K.",
    )


def computation_graph(net, x, y):
    """Draw the values of a forward pass above and the gradients of the backward pass below, node by node."""
    fig, ax = style.figure(height=5.1)
    values = net.forward(x, y)
    gradients = backprop.backward(net, values)
    with style.context():
        graph = _Graph(ax, net.sizes)
        graph.show(values, gradients, STEPS, highlight=False)
    return style.Picture(
        fig,
        "A computation graph. Above, values flow to the right: x, f1, a, f2, o, and the loss "
        f"E = {values.E:.4f}. Below, gradients flow to the left: dE/df2 = ({_listed(gradients.f2)}), "
        f"dE/da = ({_listed(gradients.a)}), dE/df1 = ({_listed(gradients.f1)}), dE/dx = ({_listed(gradients.x)}).",
    )


def difference_errors(net, x, y):
    """Draw the error of forward and central differences of E with respect to x against their step h."""
    fig, ax = style.figure(height=3.6)
    values = net.forward(x, y)
    exact, loss = backprop.backward(net, values).x, backprop.loss_of(net, values, "x")
    steps = np.logspace(-13, 0, 79)

    def errors(quotient):
        return [max(1e-16, backprop.relative_error(quotient(loss, x, h), exact)) for h in steps]

    chosen = np.cbrt(backprop.EPSILON)
    with style.context():
        ax.loglog(
            steps, errors(backprop.forward_difference), color=style.GREY, linestyle="--", label="forward, error ~ h"
        )
        ax.loglog(steps, errors(backprop.central_difference), color=style.BLUE, label="central, error ~ h²")
        ax.axvline(chosen, color=style.INK, linestyle=":", linewidth=1.4)
        ax.text(chosen * 1.25, 3e-1, "h = ε$^{1/3}$ = 6e−6", va="center")
        ax.text(2e-12, 6e-7, "too small:\nrounding of E rules", ha="center", va="center")
        ax.text(3e-2, 2e-8, "too large:\nE bends within h", ha="center", va="center")
        ax.set(xlabel="step h", ylabel="relative error of ∂E/∂x", ylim=(1e-12, 3))
        ax.legend(loc="lower left")
    return style.Picture(
        fig,
        "Relative error of two difference quotients of dE/dx against the step h, both axes logarithmic: two V shapes. "
        "Going left from h = 1, the forward difference improves with h until about 1e-8, the central one with h "
        "squared until about 6e-6 and to a much smaller error; further left the rounding of E makes both worse.",
    )


# --- the computation graph -------------------------------------------------------------------------------------


class _Graph:
    """Columns of cells, values in the upper lane and gradients in the lower one, joined by arrows."""

    PITCH, CELL_WIDTH, CELL_HEIGHT = 15.2, 9.4, 4.6
    UPPER, LOWER = 49.0, 20.0  # where the middles of the two lanes lie

    _MADE_FROM = {
        ("value", "x"): "given", ("value", "f1"): "= x W₁ + b₁", ("value", "a"): "= σ(f₁)",
        ("value", "f2"): "= a W₂ + b₂", ("value", "o"): "= softmax(f₂)", ("value", "E"): "= −Σ y log o",
        ("gradient", "E"): "= 1", ("gradient", "o"): "= −y / o", ("gradient", "f2"): "= o Σy − y",
        ("gradient", "a"): "= ∂E/∂f₂ · W₂ᵀ", ("gradient", "f1"): "= ∂E/∂a ⊙ a(1−a)",
        ("gradient", "x"): "= ∂E/∂f₁ · W₁ᵀ",
    }  # fmt: skip

    def __init__(self, ax, sizes):
        ax.set(xlim=(0.3, 93), ylim=(0.5, 69))
        ax.axis("off")
        self.ax, self.sizes = (
            ax,
            dict(zip(_FORWARD, (sizes[0], sizes[1], sizes[1], sizes[2], sizes[2], 1), strict=True)),
        )
        self.nodes, boxes, frames = [], [], []
        for column, name in enumerate(_FORWARD):
            middle = 9.0 + self.PITCH * column
            self._head(middle, 66.5, f"${_MATH[name]}$", self._MADE_FROM["value", name])
            self._head(middle, 7.3, f"$\\partial E/\\partial {_MATH[name]}$", self._MADE_FROM["gradient", name])
            for lane, height in (("value", self.UPPER), ("gradient", self.LOWER)):
                cells = self._cells(middle, height, self.sizes[name])
                self.nodes.append((lane, name))
                boxes += [_rectangle(*cell) for cell in cells]
                frames.append(_rectangle(middle, height, self.CELL_WIDTH, self.sizes[name] * self.CELL_HEIGHT))
                if column:
                    self._arrow(middle - self.PITCH / 2, height, 1 if lane == "value" else -1)
        # Three collections instead of dozens of patches and texts: an explorer redraws them at every move of a slider.
        self.boxes = ax.add_collection(PolyCollection(boxes, edgecolors=style.FAINT, linewidths=1, zorder=1))
        self.frames = ax.add_collection(PolyCollection(frames, facecolors="none", zorder=2))
        centres = [np.mean(box, axis=0) for box in boxes]
        self.numbers = ax.add_collection(
            PathCollection(
                [], offsets=centres, offset_transform=ax.transData, facecolors=style.INK, linewidths=0, zorder=3,
                transform=Affine2D().scale(1 / 72) + ax.figure.dpi_scale_trans,  # the outlines are in points
            )
        )  # fmt: skip
        self.label = ax.text(middle, self.UPPER - 4.5, "", ha="center", va="top", fontsize=10, linespacing=1.4)
        ax.text(0.5, 34.5, "values flow to the right  →", color=style.BLUE, va="bottom")
        ax.text(92.3, 33.0, "←  gradients flow to the left", va="top", ha="right")
        ax.axhline(34.0, color=style.FAINT, linewidth=1)

    def _head(self, middle, height, name, made_from):
        self.ax.text(middle, height, name, ha="center", va="center", fontsize=15)
        self.ax.text(middle, height - 4.6, made_from, ha="center", va="center", fontsize=10)

    def _cells(self, middle, height, count):
        above = [(count - 1) / 2 - row for row in range(count)]
        return [(middle, height + up * self.CELL_HEIGHT, self.CELL_WIDTH, self.CELL_HEIGHT) for up in above]

    def _arrow(self, gap, height, direction):
        reach = direction * ((self.PITCH - self.CELL_WIDTH) / 2 - 0.5)
        colour, dash = (style.BLUE, "-") if direction > 0 else (style.INK, (0, (3, 1.5)))
        self.ax.add_patch(
            FancyArrowPatch(
                (gap - reach, height), (gap + reach, height), arrowstyle="-|>", mutation_scale=14, color=colour,
                linestyle=dash, linewidth=1.8, shrinkA=0, shrinkB=0,
            )
        )  # fmt: skip

    def moving_artists(self):
        """Return every artist that `show` changes."""
        return [self.boxes, self.frames, self.numbers, self.label]

    def show(self, values, gradients, step, highlight=True):
        """Fill the first `step` + 1 nodes, forward and then backward, and frame the newest."""
        colours, frames, outlines = [], [], []
        for lane, name in self.nodes:
            place = _FORWARD.index(name) if lane == "value" else STEPS - _FORWARD.index(name)
            numbers = np.ravel(getattr(values if lane == "value" else gradients, name, 1.0))
            largest = max(np.max(np.abs(numbers)), 1e-300)
            for number in numbers:
                outlines.append(_outline(_short(number) if place <= step else ""))
                # The middle half of the colours: dark figures stay readable on them.
                colours.append(style.DIVERGING(0.5 + 0.25 * number / largest) if place <= step else style.PAPER)
            frames.append(highlight and place == step and (lane, name) != ("gradient", "E"))
        self.boxes.set_facecolors(colours)
        self.numbers.set_paths(outlines)
        self.frames.set(
            linewidths=[3 if newest else 1 for newest in frames],
            edgecolors=[style.INK if newest else style.GREY for newest in frames],
        )
        self.label.set_text("label\ny = (" + ", ".join(f"{v:g}" for v in values.y[0]) + ")")


def _rectangle(middle, height, wide, tall):
    right, up = wide / 2, tall / 2
    return [(middle + i * right, height + j * up) for i, j in ((-1, -1), (1, -1), (1, 1), (-1, 1))]


@lru_cache(maxsize=64)
def _glyph(character, size=11):
    """Return the vertices and codes of one character, and how far the next one stands from it, in points."""
    outline = TextPath((0, 0), character, size=size)
    pair = TextPath((0, 0), character * 2, size=size)
    return outline.vertices, outline.codes, pair.get_extents().x1 - outline.get_extents().x1


@lru_cache(maxsize=4096)
def _outline(text):
    """Return the outline of a number, centred at the origin."""
    if not text:
        return Path(np.empty((0, 2)))
    vertices, codes, advances = zip(*map(_glyph, text), strict=True)
    starts = np.cumsum([0.0, *advances]) - sum(advances) / 2
    middle = _glyph("0")[0][:, 1].max() / 2
    placed = [outline + (start, -middle) for outline, start in zip(vertices, starts[:-1], strict=True)]
    return Path(np.concatenate(placed), np.concatenate(codes))


class BackpropScene(Scene):
    """The computation graph of the worked example, filled node by node, and how far its hidden layer is saturated."""

    SCALES = np.linspace(0.25, 10, 79)

    def __init__(self):
        fig, axes = style.figure(height=7.0, nrows=2, ncols=2, height_ratios=(2.75, 1))
        super().__init__(fig)
        self.net, self.x, _ = backprop.worked_example()
        with style.context():
            grid = axes[0, 0].get_gridspec()
            for ax in axes[0]:
                ax.remove()
            self.graph = _Graph(fig.add_subplot(grid[0, :]), self.net.sizes)
            self.graph.ax.set_ylim(-7, 69)
            self.worked = self.graph.ax.text(46.5, -3.5, "", ha="center", va="center", fontsize=11, color=style.BLUE)
            slope, norm = axes[1]
            f1 = np.linspace(-16, 16, 321)
            a = backprop.sigmoid(f1)
            slope.plot(f1, a * (1 - a), color=style.GREY, linewidth=1.4)
            slope.set(
                title="slope of the sigmoid, a (1 − a), at each f₁", ylim=(-0.02, 0.3), xlim=(-16.5, 16.5), xlabel="f₁"
            )
            self.slopes = slope.plot([], [], "o", color=style.BLUE, markersize=7)[0]
            norm.set(
                title="length of ∂E/∂x", xlabel="factor on W₁ and b₁", yscale="log", xlim=(0, 10.25), ylim=(1e-4, 20),
            )  # fmt: skip
            self.curve = norm.plot([], [], color=style.BLUE)[0]
            self.now = norm.plot([], [], "o", color=style.PAPER, markeredgecolor=style.INK, markersize=10, mew=2)[0]
        for artist in (*self.graph.moving_artists(), self.worked, self.slopes, self.curve, self.now):
            self.moving(artist)

    def update(self, label, hidden, logits, step):
        """Fill the graph up to `step` for the class `label`, with f1 scaled by `hidden` and f2 by `logits`."""
        net = self.net.scaled(hidden, logits)
        values = net.forward(self.x, backprop.one_hot(label, net.sizes[2]))
        gradients = backprop.backward(net, values)
        self.graph.show(values, gradients, step)
        worked = _worked(net, values, gradients, label, step)
        self.worked.set_text(worked)
        self.slopes.set_data(values.f1[0], values.a[0] * (1 - values.a[0]))
        length = float(np.linalg.norm(gradients.x))
        self.curve.set_data(self.SCALES, backprop.input_gradient_norms(self.net, self.x, values.y, self.SCALES, logits))
        self.now.set_data([hidden], [length])
        largest = float(np.max(values.a * (1 - values.a)))
        return (
            f"Label {label}, f₁ times {hidden:g}, f₂ times {logits:g}, step {step} of {STEPS}: {worked}. "
            f"The loss is {_short(values.E)}, the steepest sigmoid has slope {_short(largest)}, "
            f"and ∂E/∂x has length {_short(length)}."
        )


def _worked(net, values, gradients, label, step):
    """Write the step's formula with its numbers: for one entry, the label's where there is one, else the first."""
    k, n = label - 1, _short
    v, g = values, gradients

    def product(row, column, bias=0.0):
        terms = " + ".join(f"{n(left)} · {_bracketed(right)}" for left, right in zip(row, column, strict=True))
        terms = terms.replace("+ −", "− ")
        return f"{terms} + {_bracketed(bias)}" if bias else terms

    return (
        lambda: f"x is given: x = ({', '.join(n(entry) for entry in v.x[0])})",
        lambda: f"first entry of f₁: {product(v.x[0], net.W1[:, 0], net.b1[0, 0])} = {n(v.f1[0, 0])}",
        lambda: f"first entry of a: 1 / (1 + exp({n(-v.f1[0, 0])})) = {n(v.a[0, 0])}",
        lambda: f"first entry of f₂: {product(v.a[0], net.W2[:, 0], net.b2[0, 0])} = {n(v.f2[0, 0])}",
        lambda: f"first entry of o: exp({n(v.f2[0, 0])}) / sum of exp(f₂) = {n(v.o[0, 0])}",
        lambda: f"E = −log o at the label {label} = −log {n(v.o[0, k])} = {n(v.E)}",
        lambda: f"∂E/∂o at the label {label}: −1 / {n(v.o[0, k])} = {n(g.o[0, k])}",
        lambda: f"∂E/∂f₂ at the label {label}: o − y = {n(v.o[0, k])} − 1 = {n(g.f2[0, k])}",
        lambda: f"first entry of ∂E/∂a: {product(g.f2[0], net.W2[0])} = {n(g.a[0, 0])}",
        lambda: f"first entry of ∂E/∂f₁: {n(g.a[0, 0])} · {n(v.a[0, 0])} · {n(1 - v.a[0, 0])} = {n(g.f1[0, 0])}",
        lambda: f"first entry of ∂E/∂x: {product(g.f1[0], net.W1[0])} = {n(g.x[0, 0])}",
    )[step]()


def _bracketed(number):
    """Write a weight as it was chosen, a whole number or a half, in brackets where it is negative."""
    text = f"{number:.4g}".replace("-", "−")
    return f"({text})" if number < 0 else text


def _short(number):
    """Write a number in at most seven characters and, so that one can calculate along, at least two digits."""
    size = abs(number)
    if size == 0:
        return "0"
    if 1e-3 <= size < 9999.5:
        decimals = 0 if size >= 999.95 else 1 if size >= 99.9995 else 3 if size >= 0.09995 else 4
        text = f"{number:.{decimals}f}"
    else:
        text = f"{number:.1e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e")
    return text.replace("-", "−")


def _listed(row):
    return ", ".join(_short(number) for number in np.ravel(row))
