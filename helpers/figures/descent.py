"""The pictures of Theory 1: activation functions, descents on GELU, and the race of their errors."""

from functools import lru_cache

import numpy as np

from helpers import style
from helpers.core import descent
from helpers.figures.scene import Scene

_LOW, _HIGH = -4.0, 3.0  # the range of Fig. 1
_RING = {"color": style.PAPER, "markeredgecolor": style.INK, "markersize": 10, "markeredgewidth": 2}


def activations():
    """Draw Fig. 1 anew: ReLU, ELU and GELU with their derivatives, the exact GELU beside its approximation."""
    fig, (left, right) = style.figure(height=3.9, ncols=2)
    x = np.linspace(_LOW, _HIGH, 701)  # holds 0, the kink
    curves = (
        ("ReLU", style.GREY, ":", descent.relu(x), descent.relu_gradient(x)),
        ("ELU, α = 1", style.ORANGE, "--", descent.elu(x), descent.elu_gradient(x)),
        ("GELU, exact", style.AMBER, "-", descent.gelu_exact(x), descent.gelu_exact_gradient(x)),
        ("GELU, x σ(1.702 x)", style.BLUE, "-", descent.gelu(x), descent.gelu_gradient(x)),
    )
    with style.context():
        for name, colour, dash, value, gradient in curves:
            width = 5 if name.endswith("exact") else 2
            gradient = np.where(x == 0, np.nan, gradient) if name == "ReLU" else gradient
            left.plot(x, value, color=colour, linestyle=dash, linewidth=width, label=name)
            right.plot(x, gradient, color=colour, linestyle=dash, linewidth=width, label=name)
        left.set(title="the function", xlabel="x", ylim=(-1.2, 3.1))
        right.set(title="its derivative", xlabel="x", ylim=(-0.25, 1.25))
        left.legend(loc="upper left")
    apart = np.max(np.abs(descent.gelu(x) - descent.gelu_exact(x)))
    return style.Picture(
        fig,
        "Two panels over x from -4 to 3. Left: ReLU is 0 below zero, ELU saturates at -1, GELU dips to "
        f"{descent.gelu(descent.minimum()):.3f} and returns towards 0. Right: their derivatives; only that of GELU is "
        f"negative anywhere. The sigmoid form of GELU stays within {apart:.4f} of the exact one.",
    )


def landscape():
    """Draw what a descent on GELU meets: the valley, and how steep each place is."""
    fig, (top, bottom) = style.figure(height=4.6, nrows=2, sharex=True)
    x = np.linspace(_LOW, 1.5, 551)
    lowest, steepest = descent.minimum(), descent.steepest_on_the_left()
    with style.context():
        top.plot(x, descent.gelu(x), color=style.BLUE)
        top.plot(lowest, descent.gelu(lowest), "D", color=style.ORANGE)
        named = f"minimum, x* = {lowest:.4f}".replace("-", "−")
        top.text(lowest, -0.24, named, ha="center", va="center")
        top.set(title="GELU(x)", ylim=(-0.3, 0.35))
        slope = np.abs(descent.gelu_gradient(x))
        bottom.plot(x, slope, color=style.BLUE)
        growing = (x <= steepest) & (x >= -3)
        bottom.fill_between(x[growing], slope[growing], color=style.SKY, alpha=0.5, hatch="//", edgecolor=style.BLUE)
        bottom.annotate(
            "on the way from −3 the slope\ngrows until x = " + f"{steepest:.2f}".replace("-", "−"),
            (steepest, descent.gelu_gradient(steepest) * -1), xytext=(-2.9, 0.36), va="center",
            arrowprops={"arrowstyle": "->", "color": style.GREY},
        )  # fmt: skip
        bottom.set(title="|GELU′(x)|, the length of a step for η = 1", xlabel="x", ylim=(0, 0.6))
        for ax in (top, bottom):
            for start in (-3, 0):
                ax.axvline(start, color=style.GREY, linestyle=":", linewidth=1.2)
        top.text(-3, 0.3, " start of 1c", color=style.GREY, va="top")
        top.text(0, 0.3, "start of 1a, 1b ", color=style.GREY, va="top", ha="right")
    return style.Picture(
        fig,
        f"GELU from -4 to 1.5 with its one minimum at x* = {lowest:.4f}; below it the size of its slope, which on the "
        f"way from -3 grows until x = {steepest:.2f}, falls to 0 at the minimum, and is 1/2 at 0.",
    )


def paths(*trajectories):
    """Draw descents on the curve, one panel each, every visit numbered."""
    fig, axes = style.figure(height=3.4, ncols=len(trajectories), sharey=True, squeeze=False)
    visits = np.concatenate([t.x for t in trajectories])
    low, high = min(visits.min(), descent.minimum()) - 0.25, max(visits.max(), descent.minimum()) + 0.25
    x = np.linspace(low, high, 300)
    told = []
    with style.context():
        for ax, t in zip(axes[0], trajectories, strict=True):
            ax.plot(x, descent.gelu(x), color=style.GREY, linewidth=1.4)
            ax.plot(t.x, t.value, color=style.BLUE, linewidth=1)
            ax.plot(t.x, t.value, "o", color=style.BLUE, markersize=8)
            ax.plot(descent.minimum(), descent.gelu(descent.minimum()), "D", color=style.ORANGE, markersize=7)
            for n, (place, value) in enumerate(zip(t.x, t.value, strict=True)):
                ax.annotate(f"{n}", (place, value), xytext=(0, 8), textcoords="offset points", ha="center")
            ax.set(title=f"{t.method}, η = {t.learning_rate:g}", xlabel="x")
            ax.margins(y=0.12)
            told.append(
                f"{t.method} with η = {t.learning_rate:g} from {t.x[0]:g} to {t.x[-1]:.4f} in {len(t.x) - 1} steps"
            )
        axes[0, 0].set_ylabel("GELU(x)")
    return style.Picture(fig, f"Descents on GELU, the minimum marked by a diamond: {'; '.join(told)}.")


def race(*groups):
    """Draw the distance from the minimum over the steps, one panel a group of descents with the same step size."""
    fig, axes = style.figure(height=3.7, ncols=len(groups), squeeze=False)
    told = []
    with style.context():
        for ax, group in zip(axes[0], groups, strict=True):
            for t in group:
                number = descent.METHODS.index(t.method)  # the colours of RaceScene
                ax.semilogy(
                    np.maximum(t.distance, 1e-12),
                    color=style.CYCLE[number],
                    linestyle=style.DASHES[number],
                    label=t.method,
                )
            if lead := descent.overtaking_step(*group[:2]):
                ax.plot(lead, group[1].distance[lead], "o", **_RING)
                ax.annotate(f"step {lead}", (lead, group[1].distance[lead]), xytext=(6, 8), textcoords="offset points")
            ax.set(title=f"η = {group[0].learning_rate:g}", xlabel="step t", ylim=(1e-9, 10))
            told.append(
                f"with η = {group[0].learning_rate:g} after {len(group[0].x) - 1} steps "
                + ", ".join(f"{t.method} is {_tiny(t.distance[-1])} away" for t in group)
            )
        axes[0, 0].set_ylabel("|xₜ − x*|")
        axes[0, 0].legend(loc="lower left")
    return style.Picture(fig, f"Distance from the minimum on a logarithmic axis: {'; '.join(told)}.")


def _away(distance):
    return f"{distance:.4f}" if distance >= 0.001 else _tiny(distance)


def _tiny(distance):
    # Below 1e-9 only the rounding of the machine is left, which differs from one to the next.
    return f"{distance:.1e}" if distance >= 1e-9 else "less than 1e-9"


class DescentScene(Scene):
    """A descent on the curve of GELU, and its distance from the minimum step by step."""

    LEFT, RIGHT = -6.0, 3.5

    def __init__(self, steps):
        fig, (valley, errors) = style.figure(height=3.9, ncols=2, width_ratios=(1.35, 1))
        super().__init__(fig)
        self.steps = steps
        x = np.linspace(self.LEFT, self.RIGHT, 800)
        lowest = descent.minimum()
        with style.context():
            near = valley.inset_axes((0.13, 0.44, 0.5, 0.54), xlim=(-3.2, 0.35), ylim=(-0.19, 0.06))
            near.set_title("the valley, enlarged", fontsize=9.5, fontweight="normal", y=0.86, x=0.04)
            near.set_yticks([-0.15, -0.1, -0.05, 0])
            near.tick_params(labelsize=9)
            valley.set_yticks([0, 1, 2, 3])
            valley.set(title="the path on GELU", xlabel="x", xlim=(self.LEFT, self.RIGHT), ylim=(-0.6, 3.6))
            errors.set(
                title="distance from the minimum", xlabel="step t", ylabel="|xₜ − x*|", yscale="log",
                xlim=(-1.5, steps + 1.5), ylim=(1e-8, 20),
            )  # fmt: skip
            self.visits = []
            for ax in (valley, near):
                ax.plot(x, descent.gelu(x), color=style.GREY, linewidth=1.4)
                ax.plot(lowest, descent.gelu(lowest), "D", color=style.ORANGE)
                path = ax.plot([], [], "o-", color=style.BLUE, linewidth=1, markersize=5)[0]
                self.visits.append((path, self._now(ax)))
            self.ahead = errors.plot([], [], ":", color=style.GREY, linewidth=1.4)[0]
            self.behind = errors.plot([], [], "-", color=style.BLUE)[0]
            self.now = self._now(errors)
        for artist in (*self.visits[0], *self.visits[1], self.ahead, self.behind, self.now):
            self.moving(artist)

    @staticmethod
    def _now(ax):
        return ax.plot([], [], "o", **_RING)[0]

    def update(self, method, x0, learning_rate, momentum, n):
        """Move to step `n` of the descent that the other arguments of `core.descent.descend` describe."""
        t = descent.descend(method, x0, learning_rate, self.steps, momentum)
        seen = np.clip(t.x[: n + 1], self.LEFT, self.RIGHT)
        for path, now in self.visits:
            path.set_data(seen, descent.gelu(seen))
            now.set_data(seen[-1:], descent.gelu(seen[-1:]))
        shown = np.maximum(t.distance, 1e-8)
        self.ahead.set_data(np.arange(self.steps + 1), shown)
        self.behind.set_data(np.arange(n + 1), shown[: n + 1])
        self.now.set_data([n], shown[n : n + 1])
        rule = method if method == "gradient descent" else f"{method} with β = {momentum:.2f}"
        where = f"x = {t.x[n]:.4f}, GELU = {t.value[n]:.4f}, {_away(t.distance[n])} from the minimum"
        gone = "" if self.LEFT <= t.x[n] <= self.RIGHT else " The point has left the picture and is drawn at its edge."
        return f"{rule[0].upper()}{rule[1:]} from x₀ = {x0:.2f} with η = {learning_rate:.2f}, step {n}: {where}.{gone}"


class RaceScene(Scene):
    """All four rules released together: on the curve, in a lane each, and by their distance from the minimum."""

    LEFT, RIGHT = -6.0, 3.5
    _PLACE = {"markeredgecolor": style.INK, "markeredgewidth": 1, "markersize": 10, "zorder": 4}

    def __init__(self, steps, low, high):
        fig, axes = style.figure(height=4.4, nrows=2, ncols=2, width_ratios=(1.35, 1), height_ratios=(1.25, 1))
        super().__init__(fig)
        self.steps, self.low, self.high = steps, low, high
        for ax in axes[:, 1]:
            ax.remove()
        self.valley, self.lanes = axes[:, 0]
        x, lowest = np.linspace(self.LEFT, self.RIGHT, 800), descent.minimum()
        with style.context():
            self.errors = fig.add_subplot(self.valley.get_gridspec()[:, 1])
            self.valley.plot(x, descent.gelu(x), color=style.GREY, linewidth=1.4)
            self.valley.set(title="the four on GELU", xlim=(self.LEFT, self.RIGHT), ylim=(-0.6, 3.2), yticks=range(4))
            self.valley.tick_params(labelbottom=False)
            lanes = np.arange(len(descent.METHODS))
            self.lanes.set(xlabel="x", xlim=(self.LEFT, self.RIGHT), ylim=(len(lanes) - 0.4, -0.6), yticks=lanes,
                           yticklabels=descent.METHODS)  # fmt: skip
            self.lanes.grid(axis="y", visible=False)
            self.lanes.tick_params(axis="y", length=0)
            for ax in (self.valley, self.lanes):
                ax.axvline(lowest, color=style.GREY, linestyle=":", linewidth=1.4)
            self.valley.text(lowest, 2.4, " minimum", color=style.GREY)
            self.errors.set(
                title="distance from the minimum", xlabel="step t", ylabel="|xₜ − x*|", yscale="log",
                xlim=(-3, steps + 3), ylim=(1e-8, 20),
            )  # fmt: skip
            self.start = self.moving(self.lanes.axvline(0, color=style.INK, linewidth=1))
            self.runners = [self._runner(number) for number in range(len(lanes))]

    def _runner(self, number):
        look = {"color": style.CYCLE[number]}
        place = look | {"marker": style.MARKERS[number], "linestyle": ""} | self._PLACE
        return [
            self.moving(artist)
            for artist in (
                self.valley.plot([], [], **place)[0],
                self.lanes.plot([], [], linewidth=2, **look)[0],
                self.lanes.plot([], [], **place)[0],
                self.errors.plot([], [], linestyle=style.DASHES[number], **look)[0],
                self.errors.plot([], [], **place)[0],
            )
        ]

    def update(self, x0, learning_rate, momentum, n):
        """Move all four to step `n` of their descents from `x0`."""
        runs = _runs(x0, learning_rate, self.steps, momentum)
        self.start.set_xdata([x0, x0])
        for number, (t, (on_curve, trail, in_lane, line, end)) in enumerate(zip(runs, self.runners, strict=True)):
            seen = np.clip(t.x[: n + 1], self.LEFT, self.RIGHT)
            on_curve.set_data(seen[-1:], descent.gelu(seen[-1:]))
            trail.set_data(seen, np.full(n + 1, number))
            in_lane.set_data(seen[-1:], [number])
            shown = np.maximum(t.distance[: n + 1], 1e-8)
            line.set_data(np.arange(n + 1), shown)
            end.set_data([n], shown[-1:])
        ranked = sorted(runs, key=lambda t: t.distance[n])
        if ranked[-1].distance[n] - ranked[0].distance[n] < 1e-9:
            told = f"all four are {_away(ranked[0].distance[n])} from the minimum"
        else:
            told = (
                f"nearest to the minimum is {ranked[0].method}, {_away(ranked[0].distance[n])} away, then "
                + ", ".join(f"{t.method} {_away(t.distance[n])}" for t in ranked[1:])
            )
        gone = [t.method for t in runs if not self.LEFT <= t.x[n] <= self.RIGHT]
        edge = f" Out of the picture, drawn at its edge: {', '.join(gone)}." if gone else ""
        setting = f"from x₀ = {x0:.2f} with η = {learning_rate:.2f} and β = {momentum:.2f}"
        return f"Step {n} of {self.steps} {setting}: {told}.{edge}"

    def pointed(self, x, y):
        """Left, lift all four to a new start; right, go to the step that is pointed at."""
        place = np.array([x, y]) * self.size
        if self.errors.bbox.contains(*place):
            step = self.errors.transData.inverted().transform(place)[0]
            return {"n": int(np.clip(round(step), 0, self.steps))}
        if self.valley.bbox.contains(*place) or self.lanes.bbox.contains(*place):
            start = self.lanes.transData.inverted().transform(place)[0]
            return {"x0": float(np.clip(round(20 * start) / 20, self.low, self.high)), "n": 0}
        return {}


@lru_cache(maxsize=64)
def _runs(x0, learning_rate, steps, momentum):
    return [descent.descend(method, x0, learning_rate, steps, momentum) for method in descent.METHODS]
