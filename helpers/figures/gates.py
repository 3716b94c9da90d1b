"""The pictures of Theory 2: truth tables as corners of a square, networks with their weights, and separating lines."""

from dataclasses import replace

import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.patches import Circle

from helpers import style
from helpers.core import gates
from helpers.figures.scene import Scene

_LOW, _HIGH = -0.5, 1.5  # the square on which decision regions are drawn
_HIDDEN = (-0.15, 1.35)  # the hidden plane is the unit square; the rest is room for labels
_ONE_FACE, _ONE_EDGE = "#DCEAF5", "#A9C9E2"  # the region of class 1: tinted and hatched
_DIGITS = ("$\\mathbf{0}$", "$\\mathbf{1}$")
_TICK, _CROSS = "\N{CHECK MARK}", "\N{BALLOT X}"


def corner_gallery():
    """Draw the seven truth tables of Fig. 2 as corners of the input square, with no line yet."""
    fig, axes = style.figure(height=4.6, nrows=2, ncols=4)
    with style.context():
        for ax, name in zip(axes.flat, gates.TRUTH, strict=False):
            _plane(ax, 1 if name == "NOT" else 2)
            _corner_marks(ax, gates.truth_of(name))
            ax.set_title(name)
        key = axes.flat[-1]
        key.set_axis_off()
        key.set(xlim=(0, 1), ylim=(0, 1))
        _mark(key, 0.12, 0.72, 1)
        _mark(key, 0.12, 0.42, 0)
        key.text(0.26, 0.72, "output 1 (class 1)", va="center")
        key.text(0.26, 0.42, "output 0 (class 0)", va="center")
    return style.Picture(
        fig,
        "Seven small squares, one a gate, whose corners are the inputs (A, B); a filled disc marks output 1 and an "
        "open square output 0. For XOR and XNOR equal outputs sit on opposite corners.",
    )


def gate_cards(*names):
    """Draw single-neuron gates side by side: above the network with its weights, below the regions of its classes.

    names: gates of which one neuron is the smallest network, such as "AND".
    """
    columns = len(names)
    width = min(style.WIDTH, 3.0 * columns)
    fig, axes = style.figure(height=4.4, width=width, nrows=2, ncols=columns, height_ratios=(1, 1.6), squeeze=False)
    told = []
    with style.context():
        for name, above, below in zip(names, *axes, strict=True):
            network = gates.smallest_network(name)
            draw_network(above, network)
            above.set_title(name)
            draw_regions(below, network, name)
            told.append(
                f"{name} with weights {_numbers(network.layers[0][0][:, 0])} and bias {_numbers(network.layers[0][1])}"
            )
    return style.Picture(
        fig,
        f"Single neurons above, the input plane below, cut by the neuron's line with every corner on its proper side: "
        f"{'; '.join(told)}.",
    )


def hidden_cards(*names):
    """Draw gates that need a hidden layer, one a row: the network, its classes over the input and the hidden plane.

    names: gates of which a 2-2-1 network is the smallest, XOR and XNOR.
    """
    rows = len(names)
    fig, axes = style.figure(height=2.9 * rows, nrows=rows, ncols=3, width_ratios=(1.3, 1, 1), squeeze=False)
    told = []
    with style.context():
        for name, (left, middle, right) in zip(names, axes, strict=True):
            network = gates.smallest_network(name)
            draw_network(left, network)
            left.set_title(name)
            draw_regions(middle, network, name)
            middle.set_title("input plane")
            draw_hidden_plane(right, network, name)
            right.set_title("hidden plane")
            middle.set_anchor("N")
            right.set_anchor("N")
            told.append(f"for {name} it is class {network.classify([[0.0, 1.0]])[0]}")
    return style.Picture(
        fig,
        f"2-2-1 networks. In the input plane the corners (0, 1) and (1, 0) lie in a diagonal strip: {', '.join(told)}. "
        "In the hidden plane these two corners are one point, and a single line cuts it off from the other two.",
    )


def crossing_diagonals():
    """Draw why no line separates XOR: the segments between equal outputs cross in the middle of the square."""
    fig, (left, right) = style.figure(height=3.5, ncols=2)
    with style.context():
        _plane(left, 2)
        left.plot([0, 1], [0, 1], color=style.ORANGE, linestyle="--")
        left.plot([0, 1], [1, 0], color=style.BLUE)
        left.plot(0.5, 0.5, "D", color=style.INK)
        left.annotate(
            "(½, ½) lies on both", (0.5, 0.5), xytext=(0.5, -0.3), ha="center",
            arrowprops={"arrowstyle": "->", "color": style.GREY, "shrinkB": 6},
        )  # fmt: skip
        _corner_marks(left, gates.truth_of("XOR"))
        left.set_title("XOR: the diagonals cross")
        s = np.linspace(-0.25, 2.25, 251)
        for number, (k, c) in enumerate(((6, -3), (2.5, -2.5), (-4, 5))):
            right.plot(s, 2 * gates.sigmoid(k * s + c) - 1, color=style.GREY, linestyle=style.DASHES[number + 1],
                       linewidth=1.4, label="width one" if number == 0 else None)  # fmt: skip
        W, b = gates.SMALLEST["XOR"].layers[0]
        h = gates.sigmoid(s[:, None] * W[0] + b)
        V, c = gates.SMALLEST["XOR"].layers[1]
        right.plot(s, (h @ V + c)[:, 0], color=style.BLUE, label="two neurons")
        right.axhline(0, color=style.INK, linewidth=1)
        for row in gates.truth_table(gates.SMALLEST["XOR"], "XOR"):
            _mark(right, sum(row.inputs), row.z, row.wanted, size=13)
        right.set(title="z over s = A + B", xlabel="s = A + B", ylim=(-1.15, 1.15), xticks=[0, 1, 2])
        right.legend(loc="lower center")
    return style.Picture(
        fig,
        "Left: the segment between the two ones of XOR and the segment between its two zeros cross at (1/2, 1/2). "
        "Right: over s = A + B, networks of width one only rise or only fall, while a 2-2-1 network rises above 0 near "
        "s = 1 and falls again.",
    )


def sixteen_functions():
    """Draw all functions of two inputs: the line that the linear program found, or the crossing that forbids one."""
    fig, axes = style.figure(height=8.2, nrows=4, ncols=4)
    functions = gates.all_two_input_functions()
    with style.context():
        for ax, (name, outputs, found) in zip(axes.flat, functions, strict=True):
            _plane(ax, 2, small=True)
            if found.separable:
                draw_regions(ax, gates.neuron(found.weights, found.bias), None, words=False)
            else:
                ax.plot([0, 1], [0, 1], color=style.ORANGE, linestyle="--")
                ax.plot([0, 1], [1, 0], color=style.BLUE)
                ax.set_facecolor("#FBEFE6")
                ax.text(0.5, -0.33, "needs a hidden layer", ha="center", fontsize=9)
            ax.set(xlabel="", ylabel="", xticks=[], yticks=[])
            _corner_marks(ax, np.array(outputs), size=13)
            ax.set_title(name, fontsize=10.5)
    apart = [name for name, _, found in functions if not found.separable]
    return style.Picture(
        fig,
        f"Sixteen squares, one a function of two inputs. {len(functions) - len(apart)} are cut by one line, or need "
        f"none because they are constant; only {' and '.join(apart)} cannot be cut and need a hidden layer.",
    )


def softness():
    """Draw how the hidden plane bends with the size of the hidden weights, and the margin that the bend leaves."""
    fig, (left, right) = style.figure(height=3.6, ncols=2)
    with style.context():
        for number, k in enumerate((0.5, 2, 4, 8)):
            network = gates.strip_network(k)
            colour = style.CYCLE[number] if number else style.GREY
            curve = _hidden_curve(network, 0, 2)
            left.plot(*curve.T, color=colour, linestyle=style.DASHES[number], label=f"k = {k:g}")
            left.plot(*network.hidden(gates.corners()).T, "o", color=colour, markersize=6)
        left.set(title="corners in the hidden plane", xlabel="h₁", ylabel="h₂", xlim=(0, 1.02), ylim=(0, 1.02),
                 aspect="equal")  # fmt: skip
        left.legend(loc="upper left")
        weights = np.logspace(-1, np.log10(20), 120)
        margins = [gates.strip_gap(weight) / 2 for weight in weights]
        small = weights[weights < 2.5]
        right.loglog(weights, margins, color=style.BLUE, label="margin of XOR")
        right.loglog(small, small**3 / 32, color=style.ORANGE, linestyle="--", label="k³ / 32")
        right.axhline(0.5, color=style.GREY, linestyle=":", label="hard steps: ½")
        right.set(title="margin, output weights 1, −1", xlabel="hidden weight k")
        right.legend(loc="lower right")
    return style.Picture(
        fig,
        "Left: the path of the corners through the hidden plane is almost straight for small hidden weights k and "
        "bends towards the corner (1, 0) as k grows. Right: the margin of XOR with output weights 1 and -1 grows like "
        "the cube of k, then levels off at one half; it is never zero.",
    )


class NeuronScene(Scene):
    """One neuron of two inputs: its line over the input plane, and the truth table with every row judged."""

    def __init__(self):
        fig, (self.plane, self.table) = style.figure(height=3.7, ncols=2, width_ratios=(1, 1.05))
        super().__init__(fig)
        with style.context():
            _plane(self.plane, 2)
            self.plane.set_title("input plane")
            self.region = self.moving(_region(self.plane))
            (self.line,) = self.plane.plot([], [], color=style.INK, zorder=3)
            self.moving(self.line)
            self.corners = _Corners(self, self.plane)
            self.rows = _Rows(self, self.table)
        self.alone = False

    def update(self, gate, w1, w2, b):
        """Show the neuron z = w1 A + w2 B + b against `gate`; NOT has no B, and w2 is then left out."""
        alone = gate == "NOT"
        network = gates.neuron([w1] if alone else [w1, w2], b)
        judged = _judge(network, gate)
        w = (w1, 0.0 if alone else w2)
        if alone != self.alone:
            self.alone = alone
            self.plane.set(yticks=[] if alone else [0, 1], ylabel="" if alone else "B")
            self.still_changed()
        self.region.set_verts([_half_plane(_box(_LOW, _HIGH), *w, b)])
        self.line.set_data(*_line(*w, b))
        places = np.array([(0, 0.5), (1, 0.5)]) if alone else gates.corners(2)
        self.corners.show(places, judged)
        self.rows.show(judged)
        z = f"z = {_number(w1)} A {_term(b)}" if alone else f"z = {_number(w1)} A {_term(w2)} B {_term(b)}"
        return f"One neuron, {z}: {_verdict(gate, judged)}"


class HiddenPlaneScene(Scene):
    """A 2-2-1 network whose hidden neurons look along A + B: the input plane, the hidden plane, the truth table."""

    def __init__(self):
        fig, (self.plane, self.hidden, self.table) = style.figure(height=3.1, ncols=3, width_ratios=(1, 1, 1.05))
        super().__init__(fig)
        with style.context():
            _plane(self.plane, 2)
            self.plane.set_title("input plane")
            self.hidden.set(xlim=_HIDDEN, ylim=_HIDDEN, xlabel="h₁", ylabel="h₂", aspect="equal", xticks=[0, 1],
                            yticks=[0, 1], title="hidden plane")  # fmt: skip
            self.hidden.grid(False)
            self.plane.set_anchor("N")
            self.hidden.set_anchor("N")
            self.strips = self.moving(_region(self.plane))
            self.half = self.moving(_region(self.hidden))
            lines = (
                self.plane.plot([], [], color=style.INK, zorder=3),
                self.plane.plot([], [], color=style.PURPLE, linestyle="--", linewidth=1.4, zorder=3.1),
                self.plane.plot([], [], color=style.GREEN, linestyle=":", linewidth=1.8, zorder=3.1),
                self.hidden.plot([], [], color=style.INK, zorder=3),
                self.hidden.plot([], [], color=style.GREY, linestyle=":", linewidth=1.6, zorder=3.1),
            )
            self.boundary, self.first, self.second, self.cut, self.curve = (self.moving(line) for (line,) in lines)
            self.corners = _Corners(self, self.plane, size=13)
            self.images = _Corners(self, self.hidden, size=11)
            label = {"fontsize": 8.5, "ha": "center", "va": "center", "zorder": 4, "in_layout": False}
            label["bbox"] = {"facecolor": style.PAPER, "edgecolor": "none", "pad": 0.8}
            self.names = [self.moving(self.plane.text(0, 0, name, **label)) for name in ("h₁=½", "h₂=½")]
            self.rows = _Rows(self, self.table, hidden=True)

    def update(self, gate, sharpness, line1, line2, v1, v2, c):
        """Show z = v1 h1 + v2 h2 + c with h = sigmoid(sharpness (A + B - line)) against `gate`."""
        k = sharpness
        network = gates.GateNetwork((([[k, k], [k, k]], [-k * line1, -k * line2]), ([[v1], [v2]], [c])))
        judged = _judge(network, gate)
        s = np.linspace(2 * _LOW, 2 * _HIGH, 801)
        z = network.output(np.column_stack([s / 2, s / 2]))
        edges = _crossings(s, z)
        self.strips.set_verts([_strip(low, high) for low, high in _intervals(s, z, edges)])
        self.boundary.set_data(*_diagonals(edges))
        self.first.set_data(*_diagonals([line1]))
        self.second.set_data(*_diagonals([line2]))
        for text, place, a in zip(self.names, (line1, line2), (-0.26, 1.26), strict=True):
            text.set_position((a, place - a))
            text.set_visible(_LOW < place - a < _HIGH)
        self.half.set_verts([_half_plane(_box(*_HIDDEN), v1, v2, c)])
        self.cut.set_data(*_line(v1, v2, c))
        self.curve.set_data(*_hidden_curve(network, -1, 3).T)
        self.corners.show(gates.corners(2), judged)
        h = network.hidden(gates.corners())
        self.images.show(h, judged)
        self.rows.show(judged, h)
        return (
            f"Two hidden neurons, h₁ = σ({_number(k)} (A + B {_term(-line1)})) and h₂ = σ({_number(k)} (A + B "
            f"{_term(-line2)})), z = {_number(v1)} h₁ {_term(v2)} h₂ {_term(c)}: {_verdict(gate, judged)}"
        )


class _Corners:
    """The corners of a truth table as marks that move: a disc for wanted 1, a square for 0, a cross where wrong."""

    def __init__(self, scene, ax, size=15):
        # Digits as markers, not as text: a text costs ten times as long to draw. Marks lie inside the axes; without
        # data the layout would take them to lie at the figure's corner.
        always = {"linestyle": "", "clip_on": False, "in_layout": False}
        self.ones, self.zeros, self.wrong, self.one, self.zero = (
            scene.moving(ax.plot([], [], marker=shape, markersize=width, markerfacecolor=face, markeredgecolor=edge,
                                 markeredgewidth=thick, zorder=order, **always)[0])
            for shape, width, face, edge, thick, order in (
                ("o", size, style.BLUE, style.INK, 1.4, 5),
                ("s", size - 1, style.PAPER, style.INK, 1.4, 5),
                ("x", size + 9, style.INK, style.ORANGE, 2.6, 4.9),
                (_DIGITS[1], size * 0.5, style.PAPER, style.PAPER, 0.3, 6),
                (_DIGITS[0], size * 0.5, style.INK, style.INK, 0.3, 6),
            )
        )  # fmt: skip

    def show(self, places, judged):
        wanted = np.array([row.wanted == 1 for row in judged])
        wrong = np.array([not row.right for row in judged])
        for marks, chosen in (
            (self.ones, wanted), (self.one, wanted), (self.zeros, ~wanted), (self.zero, ~wanted), (self.wrong, wrong)
        ):  # fmt: skip
            marks.set_data(*places[chosen].T)


class _Rows:
    """A truth table of text, one line a row, each ending in a tick or a cross."""

    def __init__(self, scene, ax, hidden=False):
        ax.set_axis_off()
        ax.set(xlim=(0, 1), ylim=(0, 1), title="truth table")
        self.hidden = hidden
        header = "A B want  h₁   h₂     z" if hidden else "A   B   want       z   class"
        font = {"family": "DejaVu Sans Mono", "fontsize": 9 if hidden else 11, "va": "center", "in_layout": False}
        ax.text(0.02, 0.9, header, color=style.GREY, **font)
        ax.plot([0, 1 if hidden else 0.83], [0.83, 0.83], color=style.FAINT, linewidth=1)
        self.lines = [scene.moving(ax.text(0.02, 0.74 - 0.15 * n, "", **font)) for n in range(4)]
        mark = {"fontsize": 12, "ha": "right", "va": "center", "in_layout": False}
        mark["bbox"] = {"boxstyle": "round,pad=0.25", "linewidth": 1.2}
        column = 0.97 if hidden else 0.8
        self.marks = [scene.moving(ax.text(column, 0.74 - 0.15 * n, "", **mark)) for n in range(4)]
        self.total = scene.moving(ax.text(0.02, 0.1, "", fontsize=10.5, va="center", in_layout=False))

    def show(self, judged, h=None):
        for n, (line, mark) in enumerate(zip(self.lines, self.marks, strict=True)):
            line.set_visible(n < len(judged))
            mark.set_visible(n < len(judged))
            if n >= len(judged):
                continue
            row = judged[n]
            a, b = (*row.inputs, " ")[:2]
            if self.hidden:
                line.set_text(f"{a} {b}  {row.wanted}   {h[n][0]:.2f} {h[n][1]:.2f} {_fixed(row.z)}")
            else:
                line.set_text(f"{a}   {b}    {row.wanted}    {_fixed(row.z)}     {row.predicted}")
            mark.set(text=_TICK if row.right else _CROSS, color=style.INK)
            mark.get_bbox_patch().set(
                facecolor=_ONE_FACE if row.right else "#FBE3D3", edgecolor=style.BLUE if row.right else style.ORANGE
            )
        right = sum(row.right for row in judged)
        self.total.set_text(f"{right} of {len(judged)} rows right")


def draw_network(ax, network):
    """Draw the neurons of `network` on `ax` with a weight on every edge and a bias beside every neuron."""
    ax.set_axis_off()
    ax.set_anchor("N")
    sizes = network.sizes
    ax.set(xlim=(-0.3, 1.5 * (len(sizes) - 1) + 0.95), ylim=(-1.15, 1.15), aspect="equal")
    places = [[(1.5 * layer, 0.62 * (n - 1) - 1.24 * i) for i in range(n)] for layer, n in enumerate(sizes)]
    for layer, (W, b) in enumerate(network.layers):
        for i, start in enumerate(places[layer]):
            for j, end in enumerate(places[layer + 1]):
                _edge(ax, start, end, W[i, j], crossed=len(places[layer + 1]) > 1)
        last = layer == len(network.layers) - 1
        for j, (x, y) in enumerate(places[layer + 1]):
            _node(ax, x, y, "z" if last else f"h{'₁₂'[j]}", style.PAPER)
            # Edges arrive from the left and leave to the right: a bias is written where none passes.
            aside = (x + 0.3, y, "left", "center") if last else (x, y + (0.34 if j == 0 else -0.34), "center", "center")
            ax.text(*aside[:2], f"bias {_number(b[j])}", ha=aside[2], va=aside[3], fontsize=9.5)
    for (x, y), name in zip(places[0], "AB", strict=False):
        _node(ax, x, y, name, style.FAINT)


def draw_regions(ax, network, gate, words=True):
    """Draw where `network` says class 1 (tinted, hatched) and class 0 over [-0.5, 1.5]^2, with `gate`'s corners."""
    n = network.sizes[0]
    _plane(ax, n)
    grid = np.linspace(_LOW, _HIGH, 201)
    a, b = np.meshgrid(grid, grid)
    points = np.column_stack([a.ravel(), b.ravel()])[:, :n]
    z = network.output(points).reshape(a.shape)
    if z.max() >= 0:
        shown = ax.contourf(a, b, z, levels=[0, max(z.max(), 0) + 1], colors=[_ONE_FACE], hatches=["//"])
        shown.set_edgecolor(_ONE_EDGE)
        shown.set_linewidth(0)
    if z.min() < 0 <= z.max():
        ax.contour(a, b, z, levels=[0], colors=[style.INK], linewidths=1.8)
    if words:
        for label in (1, 0):
            place = _roomy_place(a, b, (z >= 0) == bool(label), n)
            if place is not None:
                ax.text(*place, f"class {label}", ha="center", va="center", fontsize=9, zorder=6,
                        bbox={"facecolor": style.PAPER, "edgecolor": "none", "pad": 1.2})  # fmt: skip
    if gate is not None:
        _corner_marks(ax, gates.truth_of(gate))


def draw_hidden_plane(ax, network, gate):
    """Draw where the four corners land in the plane of two hidden neurons, and the output neuron's line there."""
    (v1, v2), c = network.layers[-1][0][:, 0], network.layers[-1][1][0]
    grid = np.linspace(*_HIDDEN, 101)
    h1, h2 = np.meshgrid(grid, grid)
    z = v1 * h1 + v2 * h2 + c
    shown = ax.contourf(h1, h2, z, levels=[0, z.max() + 1], colors=[_ONE_FACE], hatches=["//"])
    shown.set_edgecolor(_ONE_EDGE)
    shown.set_linewidth(0)
    ax.contour(h1, h2, z, levels=[0], colors=[style.INK], linewidths=1.8)
    ax.plot(*_hidden_curve(network, -1, 3).T, color=style.GREY, linestyle=":", linewidth=1.6)
    h = network.hidden(gates.corners())
    names: dict[tuple, list[str]] = {}
    for point, label, corner in zip(h, gates.truth_of(gate), ("00", "01", "10", "11"), strict=True):
        _mark(ax, point[0], point[1], label, size=13)
        names.setdefault(tuple(np.round(point, 9)), []).append(corner)
    for (x, y), corners in names.items():
        ax.annotate(", ".join(corners), (x, y), xytext=(11, 9), textcoords="offset points", fontsize=9, zorder=7,
                    bbox={"facecolor": style.PAPER, "edgecolor": "none", "pad": 0.8})  # fmt: skip
    ax.set(xlim=_HIDDEN, ylim=_HIDDEN, xlabel="h₁", ylabel="h₂", aspect="equal", xticks=[0, 1], yticks=[0, 1])
    ax.grid(False)


def _plane(ax, n_inputs, small=False):
    ax.set(xlim=(_LOW, _HIGH), ylim=(_LOW, _HIGH), aspect="equal", xticks=[0, 1], xlabel="A")
    if n_inputs == 2:
        ax.set(yticks=[0, 1], ylabel="B")
    else:
        ax.set(yticks=[])
    ax.grid(False)


def _corner_marks(ax, outputs, size=15):
    points = gates.corners(2) if len(outputs) == 4 else np.array([(0, 0.5), (1, 0.5)])
    for (x, y), label in zip(points, outputs, strict=True):
        _mark(ax, x, y, label, size)


def _mark(ax, x, y, label, size=15):
    """Mark a point by its wanted class: a filled disc with a 1 or an open square with a 0."""
    face, digit = (style.BLUE, style.PAPER) if label else (style.PAPER, style.INK)
    ax.plot([x], [y], "o" if label else "s", markersize=size if label else size - 1, markerfacecolor=face,
            markeredgecolor=style.INK, markeredgewidth=1.4, zorder=5, clip_on=False)  # fmt: skip
    ax.plot([x], [y], marker=_DIGITS[int(label)], markersize=size * 0.5, markerfacecolor=digit, markeredgecolor=digit,
            markeredgewidth=0.3, zorder=6, clip_on=False)  # fmt: skip


def _node(ax, x, y, name, face):
    ax.add_patch(Circle((x, y), 0.2, facecolor=face, edgecolor=style.INK, linewidth=1.5, zorder=4))
    ax.text(x, y, name, ha="center", va="center", zorder=5)


def _edge(ax, start, end, weight, crossed):
    (x0, y0), (x1, y1) = start, end
    length = np.hypot(x1 - x0, y1 - y0)
    dx, dy = (x1 - x0) / length, (y1 - y0) / length
    negative = weight < 0
    ax.annotate(
        "", (x1 - 0.2 * dx, y1 - 0.2 * dy), xytext=(x0 + 0.2 * dx, y0 + 0.2 * dy), zorder=2,
        arrowprops={"arrowstyle": "-|>", "color": style.ORANGE if negative else style.BLUE, "linewidth": 1.6,
                    "linestyle": "--" if negative else "-", "shrinkA": 0, "shrinkB": 0},
    )  # fmt: skip
    share = 0.34 if crossed else 0.45  # before the middle, where two edges cross
    ax.text(x0 + share * (x1 - x0), y0 + share * (y1 - y0), _number(weight), ha="center", va="center", fontsize=9.5,
            zorder=3, bbox={"facecolor": style.PAPER, "edgecolor": "none", "pad": 1.0})  # fmt: skip


def _hidden_curve(network, low, high):
    s = np.linspace(low, high, 121)
    return network.hidden(np.column_stack([s / 2, s / 2]))


def _roomy_place(a, b, inside, n):
    """Return the place inside a region that is farthest from corners, border and frame; None if there is no room."""
    step = 8
    a, b, inside = a[::step, ::step].ravel(), b[::step, ::step].ravel(), inside[::step, ::step].ravel()
    if not inside.any():
        return None
    corners = gates.corners(2) if n == 2 else np.array([(0, 0.5), (1, 0.5)])
    taken = np.vstack([corners, np.column_stack([a, b])[~inside]])
    here = np.column_stack([a, b])[inside]
    # A word is about three times as wide as high.
    away = np.min(np.hypot((here[:, None, 0] - taken[None, :, 0]) / 2.4, here[:, None, 1] - taken[None, :, 1]), axis=1)
    frame = np.minimum((0.95 - np.abs(here[:, 0] - 0.5)) / 2.4, 0.95 - np.abs(here[:, 1] - 0.5))
    room = np.minimum(away, frame)
    best = int(np.argmax(room))
    return tuple(here[best]) if room[best] > 0.05 else None


def _region(ax):
    """Return the still empty area of class 1: tinted and hatched."""
    area = PolyCollection([], facecolor=_ONE_FACE, edgecolor=_ONE_EDGE, hatch="//", linewidth=0, zorder=1)
    ax.add_collection(area, autolim=False)
    return area


def _box(low, high):
    return np.array([(low, low), (high, low), (high, high), (low, high)])


def _half_plane(polygon, w1, w2, b):
    """Return the part of a convex polygon (corners, 2) where w1 x + w2 y + b >= 0, perhaps without corners."""
    z = polygon @ (w1, w2) + b
    kept = []
    for here, there, z0, z1 in zip(polygon, np.roll(polygon, -1, 0), z, np.roll(z, -1), strict=True):
        if z0 >= 0:
            kept.append(here)
        if (z0 >= 0) != (z1 >= 0):
            kept.append(here + (there - here) * z0 / (z0 - z1))
    return np.array(kept).reshape(-1, 2)


def _line(w1, w2, b):
    """Return two far points on the line w1 x + w2 y + b = 0, or none when both weights are zero."""
    length = w1 * w1 + w2 * w2
    if length == 0:
        return [], []
    foot, along = np.array([w1, w2]) * -b / length, np.array([-w2, w1]) / np.sqrt(length)
    return np.array([foot - 9 * along, foot + 9 * along]).T


def _crossings(s, z):
    """Return where z, sampled at s, changes between >= 0 and < 0, in order."""
    change = np.flatnonzero((z[:-1] >= 0) != (z[1:] >= 0))
    return s[change] + (s[change + 1] - s[change]) * z[change] / (z[change] - z[change + 1])


def _intervals(s, z, edges):
    """Return the intervals of s between `edges` on which z >= 0."""
    ends = np.concatenate([s[:1], edges, s[-1:]])
    first = 0 if z[0] >= 0 else 1
    return list(zip(ends[first:-1:2], ends[first + 1 :: 2], strict=False))


def _strip(low, high):
    """Return the part of the input square where low <= A + B <= high."""
    return _half_plane(_half_plane(_box(_LOW, _HIGH), 1, 1, -low), -1, -1, high)


def _diagonals(sums):
    """Return the lines A + B = s for every s in `sums`, parted by NaN."""
    x = [v for s in sums for v in (s - 3, s + 3, np.nan)]
    y = [v for _ in sums for v in (3, -3, np.nan)]
    return x, y


def _judge(network, gate):
    """Return the truth table of `network` with z cleared of rounding: sliders move in tenths, and 1e-17 is a tie."""
    rows = gates.truth_table(network, gate)
    return [replace(row, z=round(row.z, 12), predicted=int(round(row.z, 12) >= 0)) for row in rows]


def _verdict(gate, judged):
    wrong = [f"({', '.join(str(v) for v in row.inputs)})" for row in judged if not row.right]
    if not wrong:
        margin = min(abs(row.z) for row in judged)
        return f"all {len(judged)} rows of {gate} right, margin {_fixed(margin).strip()}."
    does = gates.FUNCTION_NAMES.get(tuple(row.predicted for row in judged))
    named = f" It computes {does}." if does else ""
    return f"{len(judged) - len(wrong)} of {len(judged)} rows of {gate} right, wrong at {', '.join(wrong)}.{named}"


def _fixed(value):
    text = f"{value:6.2f}"
    return (text.replace("-", " ") if float(text) == 0 else text).replace("-", "\N{MINUS SIGN}")


def _term(value):
    return f"{'−' if value < 0 else '+'} {abs(value):g}"


def _number(value):
    return f"{value:g}".replace("-", "\N{MINUS SIGN}")


def _numbers(values):
    return ", ".join(f"{v:g}" for v in values)
