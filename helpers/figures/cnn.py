"""The pictures of Programming 2: the data, learning curves, confusions, mistakes, filters and feature maps."""

import numpy as np
import torch

from helpers import style
from helpers.core import cnn_studies
from helpers.figures.scene import Scene


def _picture(ax, image):
    ax.imshow(image)
    _bare(ax)


def _bare(ax):
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)


def _source(fig, name):
    return fig.suptitle(name, fontsize=10, color=style.GREY, x=0.008, ha="left")


def gallery(images, labels, class_names, name, columns=6):
    """Draw the first `columns` pictures of each class, one class a row: the assignment's Fig. 8."""
    fig, axes = style.figure(height=0.46 * len(class_names) + 0.2, width=0.46 * columns + 1.2,
                             nrows=len(class_names), ncols=columns, squeeze=False)  # fmt: skip
    with style.context():
        for label, row in enumerate(axes):
            for ax, image in zip(row, images[labels == label][:columns], strict=False):
                _picture(ax, image)
            for ax in row:
                _bare(ax)
            row[0].set_ylabel(class_names[label], rotation=0, ha="right", va="center")
    return style.Picture(
        fig, f"{name}: the first {columns} training pictures of each of the {len(class_names)} classes."
    )


def augmented(original, views, name, shift):
    """Draw one picture (32, 32, 3) and what augmentation with shifts up to `shift` makes of it in several epochs."""
    fig, axes = style.figure(height=1.25, ncols=1 + len(views))
    with style.context():
        for ax, image, title in zip(axes, [original, *views], ["as it is"] + [""] * len(views), strict=True):
            _picture(ax, image)
            ax.set_title(title, fontsize=9.5)
    return style.Picture(
        fig, f"A picture of {name} and {len(views)} versions of it: mirrored, shifted by up to {shift} pixels, or both."
    )


def draw_curves(axes, histories, labels):
    """Draw loss and accuracy over the epochs into two axes, one line a history."""
    for ax, key, title, factor in ((axes[0], "loss", "training loss", 1), (axes[1], "accuracy", "accuracy (%)", 100)):
        for k, (history, label) in enumerate(zip(histories, labels, strict=True)):
            entries = history["epochs"]
            epochs = [entry["epoch"] for entry in entries]
            look = {"color": style.CYCLE[k], "marker": style.MARKERS[k], "markersize": 4}
            ax.plot(epochs, [factor * entry[key] for entry in entries], style.DASHES[k], label=label, **look)
            if key == "accuracy" and "test" in history:
                final = 100 * history["test"]["accuracy"]
                ax.plot(epochs[-1], final, marker="*", markersize=13, color=style.CYCLE[k], markeredgecolor=style.INK)
        ax.set(title=title, xlabel="epoch")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend(loc="upper right" if key == "loss" else "lower right")


def curves(histories, labels):
    """Draw loss and accuracy of the training pictures over the epochs; a star marks the final test accuracy."""
    fig, axes = style.figure(height=3.3, ncols=2)
    with style.context():
        draw_curves(axes, histories, labels)
    told = [
        f"{label} ({len(history['epochs'])} epochs"
        + (f"; the star is its test accuracy, {history['test']['accuracy']:.2%})" if "test" in history else ")")
        for history, label in zip(histories, labels, strict=True)
    ]
    return style.Picture(fig, f"Loss and accuracy on augmented training pictures: {', '.join(told)}.")


def draw_confusion(ax, matrix, class_names):
    """Draw a confusion matrix into `ax`: counts, and the shade shows the mistakes."""
    off = matrix - np.diag(np.diag(matrix))
    shade = np.where(np.eye(len(matrix), dtype=bool), 0, off)
    ax.imshow(shade, cmap="Oranges", vmax=max(1, 1.6 * off.max()))
    for (i, j), count in np.ndenumerate(matrix):
        if count:
            ax.text(j, i, f"{count}", ha="center", va="center", color=style.INK, fontsize=8.5,
                    weight="bold" if i == j else "normal")  # fmt: skip
    places = range(len(class_names))
    ax.set_xticks(places, class_names, rotation=40, ha="right")
    ax.set_yticks(places, class_names)
    ax.set(xlabel="predicted", ylabel="true")
    ax.grid(False)


def confusion(matrix, class_names, name):
    """Draw the confusion matrix of the test pictures."""
    fig, ax = style.figure(height=5.2, width=6.2)
    with style.context():
        draw_confusion(ax, matrix, class_names)
    off = matrix - np.diag(np.diag(matrix))
    i, j = np.unravel_index(off.argmax(), off.shape)
    return style.Picture(
        fig,
        f"Confusion matrix on {matrix.sum():,} test pictures of {name}: the most frequent mistake takes "
        f"{off[i, j]} times a {class_names[i]} for a {class_names[j]}.",
    )


def draw_answers(axes, images, labels, probabilities, indices, class_names):
    """Draw chosen pictures with the network's answer, its probability, and the truth where they differ."""
    axes = list(axes)
    for ax in axes:
        _bare(ax)
    for ax, index in zip(axes, indices, strict=False):
        _picture(ax, images[index])
        answer = int(probabilities[index].argmax())
        title = f"{class_names[answer]} {probabilities[index, answer]:.0%}"
        if answer != labels[index]:
            title += f"\nis: {class_names[labels[index]]}"
        ax.set_title(title, fontsize=8, loc="center", weight="normal")


def mistakes(images, labels, probabilities, indices, class_names, name):
    """Draw the pictures that the network got wrong most surely, with its probability and the truth."""
    columns = 8
    rows = -(-len(indices) // columns)
    fig, axes = style.figure(height=1.45 * rows, nrows=rows, ncols=columns, squeeze=False)
    with style.context():
        draw_answers(axes.flat, images, labels, probabilities, indices, class_names)
    return style.Picture(fig, f"The {len(indices)} test pictures of {name} that the network gets wrong most surely.")


def _patterns(axes, patterns):
    """Draw patterns (n, 3, side, side), zero as middle grey, each stretched to the full range."""
    axes = list(axes)
    for ax in axes:
        _bare(ax)
    for ax, pattern in zip(axes, patterns, strict=False):
        _picture(ax, (0.5 + 0.5 * pattern / max(np.abs(pattern).max(), 1e-9)).transpose(1, 2, 0))
        ax.spines[:].set(visible=True, color=style.GREY, linewidth=0.6)  # a pattern may be as white as the page


def whitening(network, images):
    """Draw the whitening filters, the most common pattern first, and what they do to the correlations of a patch.

    `images` uint8 (n, 3, height, width).
    """
    patterns = cnn_studies.common_patterns(network)
    columns = 12
    rows = -(-len(patterns) // columns)
    fig, unused = style.figure(height=3.0 + 0.62 * rows)
    unused.remove()
    above, below = fig.subfigures(2, 1, height_ratios=(0.62 * rows, 3.0))
    side = patterns.shape[-1]
    with style.context():
        axes = above.subplots(rows, columns, squeeze=False)
        _patterns(axes.flat, patterns)
        places = below.subplots(1, 2)
        before, after = cnn_studies.patch_correlations(network, images)
        for ax, values, title in zip(
            places, (before, after), ("before: {} numbers", "after: {} channels"), strict=True
        ):
            shade = ax.imshow(values, cmap=style.DIVERGING, vmin=-1, vmax=1)
            ax.set(xticks=[], yticks=[])
            ax.set_title(title.format(len(values)), loc="center", fontsize=10)
            ax.grid(False)
        below.colorbar(shade, ax=list(places), shrink=0.8, label="correlation")
    largest = [np.abs(values - np.diag(np.diag(values))).max() for values in (before, after)]
    return style.Picture(
        fig,
        f"{len(patterns)} whitening filters of {side}×{side} pixels, the most common pattern first. Two numbers of a "
        f"patch correlate by up to {largest[0]:.2f}, two channels after whitening by at most {largest[1]:.2f}.",
    )


def first_layer(network, count=32):
    """Draw what the first trained convolution looks for, in pixels: its `count` strongest filters."""
    patterns = cnn_studies.first_patterns(network)
    strongest = np.argsort(-np.abs(patterns).sum((1, 2, 3)), kind="stable")[:count]
    columns = 16
    rows = -(-len(strongest) // columns)
    fig, axes = style.figure(height=0.6 * rows + 0.1, nrows=rows, ncols=columns, squeeze=False)
    with style.context():
        _patterns(axes.flat, patterns[strongest])
    side = patterns.shape[-1]
    return style.Picture(
        fig, f"{len(strongest)} of the {len(patterns)} filters of the first trained convolution as patterns of "
        f"{side}×{side} pixels.",
    )  # fmt: skip


def feature_maps(image, maps, count=7):
    """Draw one picture and the `count` strongest channels after each stage."""
    fig, axes = style.figure(height=1.15 * len(maps), nrows=len(maps), ncols=count + 1)
    with style.context():
        for ax in axes.flat:
            _bare(ax)
        _picture(axes[0, 0], image)
        for row, (stage, values) in zip(axes, maps.items(), strict=True):
            strongest = np.argsort(-values.max((1, 2)), kind="stable")[:count]
            said = f"{stage}: {values.shape[0]} channels, {values.shape[1]}×{values.shape[2]}"
            row[1].set_title(" ", fontsize=9.5)  # a line's height; the words may be wider than their map
            title = row[1].annotate(said, (0, 1), xytext=(0, 6), xycoords="axes fraction", textcoords="offset points",
                                    fontsize=9.5, weight="bold")  # fmt: skip
            title.set_in_layout(False)
            for ax, channel in zip(row[1:], strongest, strict=True):
                ax.imshow(values[channel], cmap="viridis")
    stages = ", ".join(f"{stage} {v.shape[0]}×{v.shape[1]}×{v.shape[2]}" for stage, v in maps.items())
    return style.Picture(fig, f"A picture and its strongest channels after each stage ({stages}).")


class FeatureScene(Scene):
    """One test image, and one channel after one stage of the network, over all channels of that stage."""

    def __init__(self, network, images, labels, class_names, name):
        fig, (left, middle, right) = style.figure(height=3.1, ncols=3, width_ratios=(1, 1, 1.35))
        super().__init__(fig)
        self.network, self.images, self.labels, self.class_names = network, images, labels, class_names
        self.latest: tuple = (None, {})  # the number of an image, and its maps so far
        with style.context():
            self.image = self.moving(left.imshow(np.zeros((32, 32, 3), np.uint8)))
            self.map = self.moving(middle.imshow(np.zeros((31, 31)), cmap="viridis", extent=(0, 32, 32, 0)))
            self.channels = right
            for ax in (left, middle):
                _bare(ax)
            left.set(title="the picture", xlabel="32 × 32 pixels")
            middle.set(title="the channel", xlabel="dark: nothing, yellow: most")
            _source(fig, name)
            right.set_box_aspect(1 / 1.35)  # as high as the pictures
            right.set(title="largest value of each channel", xlabel="channel", ylabel="% of the strongest",
                      xlim=(0.5, 400.5), ylim=(0, 108), yticks=range(0, 101, 25))  # fmt: skip
            right.grid(axis="x", visible=False)
            self.values = self.moving(right.stairs([0], [0.5, 1.5], fill=True, color=style.GREY))
            self.here = self.moving(right.plot([], [], "-", color=style.ORANGE, linewidth=3, solid_capstyle="butt")[0])
            self.top = self.moving(right.plot([], [], "o", color=style.ORANGE, markeredgecolor=style.INK)[0])
            self._lay_out()  # before the first state: its tick labels must not decide where the axes stand

    def maps(self, index, stage):
        """The maps of a stage for the test image `index`; the latest are kept, as the reader looks at many channels."""
        if self.latest[0] != index or stage not in self.latest[1]:
            image = torch.from_numpy(self.images[index].transpose(2, 0, 1).copy())
            last = stage if self.latest[0] != index else None  # who asks for a second stage may ask for all
            with cnn_studies.one_thread():
                self.latest = index, cnn_studies.feature_maps(self.network, image, last)
        return self.latest[1][stage]

    def update(self, image, stage, channel):
        """Show channel `channel` (from 1; beyond the last one, the last) of `stage` for the test image `image`."""
        values = self.maps(image, stage)
        channel = min(channel, len(values))
        shown, largest = values[channel - 1], values.max((1, 2))
        self.image.set_data(self.images[image])
        self.map.set_data(shown)
        self.map.set_clim(0, max(shown.max(), 1e-6))
        count = len(values)
        percent = 100 * largest.clip(min=0) / max(largest.max(), 1e-6)
        if self.channels.get_xlim() != (0.5, count + 0.5):
            self.channels.set_xlim(0.5, count + 0.5)
            self.still_changed(count)
        self.values.set_data(percent, np.arange(0.5, count + 1))
        self.here.set_data([channel, channel], [0, percent[channel - 1]])
        self.top.set_data([channel], [percent[channel - 1]])
        rank = 1 + int((largest > largest[channel - 1]).sum())
        height, width = shown.shape
        thing = self.class_names[self.labels[image]]
        return (
            f"Test image {image}, a {thing}: after {stage}, channel {channel} of {count} "
            f"is a map of {height}×{width}; it answers {rank}{_ordinal(rank)} strongest of all."
        )


def _ordinal(n):
    return "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")


class AnswerScene(Scene):
    """One image and the ten probabilities that the network gives it.

    `known`: its answers to all `images` (n, classes), where they are at hand; asking it takes longer than drawing.
    """

    def __init__(self, network, images, labels, class_names, name, known=None):
        fig, (left, right) = style.figure(height=3.75, ncols=2, width_ratios=(1, 1.5))
        super().__init__(fig)
        self.network, self.images, self.labels, self.class_names = network, images, labels, class_names
        self.known = known
        with style.context():
            self.image = self.moving(left.imshow(np.zeros((32, 32, 3), np.uint8)))
            left.set(title="what the network sees", xlabel="32 × 32 pixels", anchor="N")
            self.name, source = name, _source(fig, name)
            _bare(left)
            places = np.arange(len(class_names))
            self.bars = [self.moving(bar) for bar in right.barh(places, np.zeros(len(places)), color=style.SKY)]
            # In one column, so that a number once set is copied wherever its bar ends.
            self.percents = [self.moving(right.text(122, k, "", va="center", ha="right")) for k in places]
            self.truth = self.moving(right.plot([], [], "D", color=style.ORANGE, markeredgecolor=style.INK)[0])
            right.set_yticks(places, class_names)
            right.set(title="what it says", xlim=(0, 123), ylim=(len(places) - 0.4, -0.6), xticks=range(0, 101, 25),
                      xlabel="probability, %; the diamond marks the truth")  # fmt: skip
            right.grid(axis="y", visible=False)
            self.in_step(self.percents)
            self.source = self.moving(source)  # only now: what moves gets no room of its own

    def update(self, image, file):
        """Show the test image `image`, or, unless it is empty, the reader's own image that `file` names or holds."""
        if file:
            tensor, said = cnn_studies.own_image(file)
            truth = None
        else:
            tensor = torch.from_numpy(self.images[image].transpose(2, 0, 1)[None].copy())
            truth = int(self.labels[image])
            said = f"Test image {image}, a {self.class_names[truth]}."
        at_hand = self.known is not None and truth is not None
        probabilities = self.known[image] if at_hand else cnn_studies.answer(self.network, tensor)
        self.source.set_text("a picture of your own" if truth is None else self.name)
        self.image.set_data(tensor[0].permute(1, 2, 0).numpy())
        best = int(probabilities.argmax())
        for label, (bar, percent) in enumerate(zip(self.bars, self.percents, strict=True)):
            bar.set_width(100 * probabilities[label])
            bar.set_facecolor(style.BLUE if label == best else style.SKY)
            percent.set_text(f"{100 * probabilities[label]:.0f} %")
        self.truth.set_data([] if truth is None else [104], [] if truth is None else [truth])  # right of every bar
        verdict = "" if truth is None else ", which is right" if best == truth else ", which is wrong"
        return f"{said} The network says {self.class_names[best]} with {probabilities[best]:.0%}{verdict}."
