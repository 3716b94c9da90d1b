"""The pictures of Programming 1: digits, what a layer adds up, learning curves, mistakes, weights, and two knobs."""

import numpy as np

from helpers import style
from helpers.core import mlp_studies as studies
from helpers.figures.scene import Scene


def gallery(images, labels, name, rows=4):
    """Draw the first `rows` images of each class, one class a column; `name` is the data set's."""
    fig, axes = style.figure(height=0.78 * rows + 0.55, nrows=rows, ncols=10)
    with style.context():
        for digit in range(10):
            for ax, image in zip(axes[:, digit], images[labels == digit][:rows], strict=False):
                ax.imshow(image, cmap="gray_r", vmin=0, vmax=255)
            axes[0, digit].set_title(f"{digit}", loc="center")
        for ax in axes.flat:
            ax.set(xticks=[], yticks=[])
            ax.grid(False)
            ax.spines[:].set_visible(False)
        fig.suptitle(name, fontsize=10.5, color=style.GREY, x=0.01, ha="left")
    return style.Picture(fig, f"The first {rows} training images of each digit from 0 to 9, dark ink on white; {name}.")


def saturation(sums, name):
    """Draw how wide the sums of the first layer spread under both inits, over the slope of the sigmoid.

    `sums` maps the name of an init to the first layer's xW + b, an array of any shape.
    """
    fig, axes = style.figure(height=3.0, ncols=len(sums), sharex=True)
    z = np.linspace(-30, 30, 601)
    s = 1 / (1 + np.exp(-z))
    told = []
    with style.context():
        for ax, (init, values) in zip(axes, sums.items(), strict=True):
            bins = np.linspace(-30, 30, 121)
            ax.hist(np.ravel(values), bins=bins, density=True, color=style.SKY, edgecolor="none")
            ax.set(title=f"weights {init}", xlabel="z = xW + b of the first layer", xlim=(-30, 30))
            ax.set_yticks([])
            ax.spines["left"].set_visible(False)
            slope = ax.twinx()
            slope.plot(z, s * (1 - s), color=style.ORANGE, linestyle="--")
            slope.set(ylim=(0, 0.3), yticks=[])
            slope.grid(False)
            slope.spines[:].set_visible(False)
            slope.text(29, 0.265, "dashed: σ′(z)", ha="right", color=style.INK)
            ax.text(-29, ax.get_ylim()[1] * 0.88, f"std {np.std(values):.1f}", color=style.INK)
            told.append(f"{init} weights give a standard deviation of {np.std(values):.1f}")
    return style.Picture(
        fig,
        f"What the first layer adds up on {name}: {'; '.join(told)}. The slope of the sigmoid, dashed, is near zero "
        "beyond 5 on either side, so that wide sums leave almost no gradient.",
    )


def distortions(image, copies, name):
    """Draw one digit (784,) and distorted copies of it (n, 784)."""
    fig, axes = style.figure(height=1.15, ncols=len(copies) + 1)
    with style.context():
        for ax, picture in zip(axes, [image, *copies], strict=True):
            ax.imshow(np.reshape(picture, (28, 28)), cmap="gray_r", vmin=0, vmax=1)
            ax.set_axis_off()
        axes[0].set_title("original", fontsize=9.5, weight="normal")
        axes[1].set_title("as the network sees it", fontsize=9.5, weight="normal")
    return style.Picture(
        fig, f"A digit of {name} and {len(copies)} distorted copies: turned, scaled, sheared, moved and bent a little."
    )


def curves(curves, name, said=True):
    """Draw the handout's Fig. 7: loss and error over the epochs, training and validation.

    `curves` are the four lists that get_training_stats returns; `said` tells whether the sentence names the last
    values, which it should only for a stored history: a fresh training differs in its last digits between machines.
    """
    fig, axes = style.figure(height=3.3, ncols=2)
    epochs = np.arange(1, len(curves[0]) + 1)
    panels = (
        ("loss per sample", curves[0], curves[2]),
        ("error (%)", np.multiply(curves[1], 100), np.multiply(curves[3], 100)),
    )
    with style.context():
        for ax, (label, training, validation) in zip(axes, panels, strict=True):
            marker = "o" if len(epochs) <= 12 else None
            ax.plot(epochs, training, color=style.BLUE, marker=marker, markersize=4, label="training")
            ax.plot(
                epochs, validation, "--", color=style.ORANGE, marker=marker and "s", markersize=4, label="validation"
            )
            ax.set(title=label, xlabel="epoch", yscale="log")
            ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
            ax.yaxis.set_minor_formatter(lambda value, _: "")
            ax.legend()
    last = ""
    if said:
        last = (
            f" At the end the training error is {panels[1][1][-1]:.2f} % and the validation error "
            f"{panels[1][2][-1]:.2f} %."
        )
    return style.Picture(
        fig, f"Loss and error of {name} over {len(epochs)} epochs on logarithmic axes, training and validation.{last}"
    )


def confusion(counts, name):
    """Draw a confusion matrix (10, 10), rows the truth; the diagonal is left out of the shading."""
    fig, ax = style.figure(height=4.4, width=5.4)
    wrong = counts * (1 - np.eye(len(counts), dtype=int))
    with style.context():
        ax.imshow(wrong, cmap="Blues", vmin=0, vmax=max(4, wrong.max() * 1.6))
        for (row, column), count in np.ndenumerate(counts):
            if count:
                weight = "normal" if row == column else "bold"
                colour = style.GREY if row == column else style.INK
                ax.text(column, row, f"{count}", ha="center", va="center", fontsize=9, weight=weight, color=colour)
        ax.set(xticks=range(10), yticks=range(10), xlabel="read as", ylabel="is", title=f"test set, {name}")
        ax.grid(False)
    truth, read = np.unravel_index(np.argmax(wrong), wrong.shape)
    return style.Picture(
        fig,
        f"Confusion matrix of {name}: {wrong.sum()} of {counts.sum()} digits are misread; most often a {truth} is read "
        f"as a {read}, {wrong[truth, read]} times.",
    )


def mistakes(images, labels, probabilities, name, count=20):
    """Draw the misread images about which the network was surest, with truth, reading and probability."""
    read = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(read != labels)
    worst = wrong[np.argsort(-probabilities[wrong, read[wrong]], kind="stable")][:count]
    rows = max(1, -(-len(worst) // 10))
    fig, axes = style.figure(height=1.15 * rows + 0.1, nrows=rows, ncols=10, squeeze=False)
    with style.context():
        for ax in axes.flat:
            ax.set_axis_off()
        for ax, i in zip(axes.flat, worst, strict=False):
            ax.imshow(images[i], cmap="gray_r", vmin=0, vmax=255)
            title = f"{labels[i]} read as {read[i]}\nat {probabilities[i, read[i]]:.0%}"
            ax.set_title(title, fontsize=8.5, weight="normal", loc="center")
    return style.Picture(
        fig,
        f"The {len(worst)} misread test images of {name} about which the network was surest, with truth and reading.",
    )


def first_layer(W, count=40):
    """Draw the weights into the `count` hidden neurons with the largest weights as 28 x 28 pictures."""
    chosen = np.argsort(-np.linalg.norm(W, axis=0), kind="stable")[:count]
    rows = -(-len(chosen) // 10)
    fig, axes = style.figure(height=0.84 * rows, nrows=rows, ncols=10, squeeze=False)
    with style.context():
        for ax in axes.flat:
            ax.set_axis_off()
        for ax, neuron in zip(axes.flat, chosen, strict=False):
            image = W[:, neuron].reshape(28, 28)
            top = np.abs(image).max()
            ax.imshow(image, cmap=style.DIVERGING, vmin=-top, vmax=top)
    return style.Picture(
        fig,
        f"Weights into {len(chosen)} first-layer neurons as pictures, blue negative, white zero, orange positive: "
        "strokes and spots, each within the window that its neuron sees.",
    )


class KnobScene(Scene):
    """The loss of one short training, and the map of all of them over learning rate and momentum."""

    def __init__(self, grid, name):
        fig, (run, chart) = style.figure(height=3.9, ncols=2, width_ratios=(1, 1.15))
        super().__init__(fig)
        self.grid = grid
        rates, momenta = studies.LEARNING_RATES, studies.MOMENTA
        errors = np.array([[grid[lr, m].error for lr in rates] for m in momenta])
        longest = max(len(r.losses) for r in grid.values())
        with style.context():
            run.set(
                title="loss of each batch", xlabel="step", yscale="log", xlim=(0, longest + 1), ylim=(1e-3, 30),
            )  # fmt: skip
            self.line = self.moving(run.plot([], [], color=style.BLUE, linewidth=1.2)[0])
            chart.imshow(-np.log(errors), cmap="Blues", aspect="auto", vmax=4.2, origin="lower")
            for (row, column), error in np.ndenumerate(errors):
                best = error == errors.min()
                chart.text(
                    column, row, f"{error:.0%}", ha="center", va="center", fontsize=9.5, weight="bold" if best else None
                )
            chart.set(
                title="validation error", xlabel="learning rate", ylabel="momentum",
                xticks=range(len(rates)), xticklabels=[f"{r:g}" for r in rates],
                yticks=range(len(momenta)), yticklabels=[f"{m:g}" for m in momenta],
            )  # fmt: skip
            chart.grid(False)
            fig.suptitle(f"{name}: 1,000 training images, 784-32-10, 10 epochs", fontsize=10, color=style.GREY,
                         x=0.008, ha="left")  # fmt: skip
            self.here = self.moving(
                chart.plot([], [], "s", markersize=27, fillstyle="none", color=style.ORANGE, markeredgewidth=3)[0]
            )

    def update(self, learning_rate, momentum):
        """Show the run with these two knobs."""
        run = self.grid[learning_rate, momentum]
        steps = np.arange(1, len(run.losses) + 1)
        self.line.set_data(steps, np.maximum(run.losses, 1e-3))
        column, row = studies.LEARNING_RATES.index(learning_rate), studies.MOMENTA.index(momentum)
        self.here.set_data([column], [row])
        effective = learning_rate / (1 - momentum)
        end = "diverges" if run.diverged else f"ends with {run.error:.1%} validation error"
        return (
            f"Learning rate {learning_rate:g} and momentum {momentum:g}, a long-run step of {effective:.2g}: "
            f"the training {end}."
        )
