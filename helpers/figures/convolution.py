"""Pictures of maps, windows and kernels as grids of numbers; rows and columns on them count from 1."""

from functools import lru_cache
from textwrap import wrap

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection
from matplotlib.font_manager import FontProperties
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.textpath import TextPath

from helpers import style
from helpers.core import convolution as core
from helpers.figures.scene import Scene
from helpers.style import BLUE, DIVERGING, FAINT, GREY, INK, ORANGE, PAPER, Picture

_PALE = 1.7  # colours stop short of the palette's ends, so that dark numbers stay legible on every cell


def given_maps(feature_map, filters):
    """Return Fig. 5 redrawn: the map and the filters, each a grid of numbers.

    `feature_map` is (rows, columns); `filters` maps names to 2-D arrays.
    """
    grids = {"F": np.asarray(feature_map, dtype=float), **filters}
    fig, ax = _board(sum(g.shape[1] + 1.6 for g in grids.values()) - 1.6, feature_map.shape[0])
    left = 0.0
    with style.context():
        for name, grid in grids.items():
            _grid(ax, grid, left, 0, title=name, size=15)
            left += grid.shape[1] + 1.6
    shapes = ", ".join(f"{name} with {_shape(grid)} cells" for name, grid in grids.items())
    return Picture(fig, f"Three grids of numbers: {shapes}; negative cells are blue, positive ones orange.")


def all_windows(feature_map, kernel, padding=0, stride=1, name="F′"):
    """Return every output cell with its products: one small grid a cell, value times weight in each of its places.

    `feature_map` and `kernel` are 2-D; `name` is what the output is called.
    """
    cells = core.trace(feature_map, kernel, stride, padding)
    rows, columns = cells[-1].row + 1, cells[-1].column + 1
    height, width = cells[0].window.shape
    across, down = width + 0.5, height + 1.15
    fig, ax = _board(columns * across - 0.5, rows * down - 1.15, cell_aspect=0.62)
    limit = max(np.abs(cell.products).max() for cell in cells)
    with style.context():
        for cell in cells:
            left, top = cell.column * across, cell.row * down
            title = f"{name}({cell.row + 1}, {cell.column + 1}) = {_number(cell.total)}"
            _grid(ax, cell.products, left, top, title=title, size=10.5, limit=limit, text_at=0.36, title_size=10.5)
            for i, j in np.ndindex(height, width):
                small = f"{_number(cell.window[i, j])} · {_number(cell.kernel[i, j])}"
                ax.text(left + j + 0.5, top + i + 0.76, small, ha="center", va="center", fontsize=7.5, color=GREY)
    totals = "; ".join(" ".join(_number(c.total) for c in cells if c.row == row) for row in range(rows))
    return Picture(
        fig,
        f"{len(cells)} small grids, one for each output cell, with value times weight in every place and the sum as "
        f"title. The sums, row by row: {totals}.",
    )


def both_conventions(feature_map, kernel, padding=0):
    """Return correlation beside true convolution: the kernel as it lies on the map, and the output.

    `feature_map` and `kernel` are 2-D.
    """
    lying = {"correlation": np.asarray(kernel), "convolution": core.flip(kernel)}
    outputs = {
        "correlation": core.correlate(feature_map, kernel, padding=padding),
        "convolution": core.convolve(feature_map, kernel, padding=padding),
    }
    rows, columns = outputs["correlation"].shape
    half = kernel.shape[1] + 1.1 + columns
    fig, ax = _board(2 * half + 1.6, rows, above=1.3)
    with style.context():
        for index, name in enumerate(lying):
            left = index * (half + 1.6)
            above = (rows - kernel.shape[0]) / 2
            how = "kernel as printed" if index == 0 else "turned by 180°"
            _grid(ax, lying[name], left, above, title=how, size=11.5, title_size=10)
            ax.text(left + kernel.shape[1] + 0.55, rows / 2, "→", ha="center", va="center", fontsize=17, color=GREY)
            _grid(ax, outputs[name], left + kernel.shape[1] + 1.1, 0, title="output", size=9.5, title_size=10)
            heading = "Cross-correlation (deep learning)" if index == 0 else "Convolution (mathematics)"
            ax.text(left, -0.95, heading, fontsize=11.5, weight="bold", va="center")
    one, other = outputs.values()
    same = int(np.sum(np.isclose(one, other)))
    return Picture(
        fig,
        "The kernel as printed with its output map on the left, the kernel turned by 180 degrees with its output map "
        f"on the right; {same} of the {rows * columns} output cells agree.",
    )


def window_tape(size, kernel_size, padding, strides):
    """Return the positions of a window along one axis, one row for each stride, left-over cells crossed out.

    All four are whole numbers, `strides` a sequence of them; `padding` is per side.
    """
    length = size + 2 * padding
    fig, ax = _board(length + 6.6, 1.25 * len(strides) - 0.25, cell_aspect=0.72)
    found = []
    with style.context():
        for index, stride in enumerate(strides):
            arithmetic = core.size_arithmetic(size, kernel_size, stride, padding)
            top = 1.25 * index
            starts = [stride * i for i in range(arithmetic.floored or 0)]
            unread = range(starts[-1] + kernel_size, length) if starts else range(length)
            for cell in range(length):
                padded = cell < padding or cell >= padding + size
                _cell(ax, cell, top, PAPER, hatched=padded)
                ax.text(cell + 0.5, top + 0.23, "pad" if padded else f"{cell - padding + 1}",
                        fontsize=8, color=GREY, ha="center", va="center")  # fmt: skip
                if cell in unread:
                    ax.text(cell + 0.5, top + 0.6, "×", fontsize=19, color=ORANGE, ha="center", va="center")
            for number, start in enumerate(starts):
                # Overlapping windows are lifted in turn, so that each line can be told from the next.
                line = top + 0.5 + 0.2 * (number % 3) * (stride < kernel_size) + 0.15 * (stride >= kernel_size)
                ax.plot([start + 0.08, start + kernel_size - 0.08], [line, line], color=BLUE, linewidth=3.2,
                        solid_capstyle="butt", zorder=6)  # fmt: skip
            ax.text(-0.25, top + 0.5, f"stride {stride}", ha="right", va="center", fontsize=11, weight="bold")
            says = arithmetic.expression.replace("-", "−")
            says += f" = {arithmetic.exact}" + ("" if arithmetic.size else ", not whole")
            ax.text(length + 0.3, top + 0.5, says, ha="left", va="center", fontsize=11)
            found.append(f"stride {stride} gives {arithmetic.size or 'no size'}")
        ax.text(0, -0.4, f"{size} cells and {padding} of padding on each side", fontsize=10, color=GREY, va="center")
        ax.set_xlim(-1.75, length + 4.85)
    return Picture(
        fig,
        f"A tape of {length} cells under a window of {kernel_size}: {', '.join(found)}. Cells beyond the last "
        "window are crossed out.",
    )


def pooling_two_ways(feature_map, size=2):
    """Return average pooling beside the convolution that does the same: means of all windows, every second one kept.

    `feature_map` is 2-D, its sides multiples of `size`.
    """
    feature_map = np.asarray(feature_map, dtype=float)
    everywhere = core.correlate(feature_map, core.averaging_kernel(size))
    pooled = core.average_pool(feature_map, size)
    rows, columns = feature_map.shape
    offsets = [0, columns + 1.6, columns + everywhere.shape[1] + 3.2]
    fig, ax = _board(offsets[2] + pooled.shape[1], rows)
    with style.context():
        _grid(ax, feature_map, offsets[0], 0, title="map, in blocks", size=12)
        _grid(ax, everywhere, offsets[1], 0.5, title="mean at stride 1", size=11)
        _grid(ax, pooled, offsets[2], (rows - pooled.shape[0]) / 2, title="stride 2", size=12)
        for i, j in np.ndindex(pooled.shape):
            _frame(ax, offsets[0] + j * size, i * size, size, size)
            _frame(ax, offsets[1] + j * size, 0.5 + i * size, 1, 1)
            _frame(ax, offsets[2] + j, (rows - pooled.shape[0]) / 2 + i, 1, 1)
        for x in offsets[1:]:
            ax.text(x - 0.8, rows / 2, "→", ha="center", va="center", fontsize=17, color=GREY)
    kept = "; ".join(" ".join(_number(v) for v in row) for row in pooled)
    return Picture(
        fig,
        f"A map in framed blocks of {size} by {size}, the means of all its windows at stride 1 with "
        f"{pooled.size} of them framed, and the pooled map that these make: {kept}.",
    )


def kernel_matrix(matrix):
    """Return the matrix of a convolution as a picture: one row per output cell, one column per input cell."""
    fig, ax = style.figure(height=4.3, width=5.6)
    with style.context():
        limit = _PALE * np.abs(matrix).max()
        ax.imshow(matrix, cmap=DIVERGING, vmin=-limit, vmax=limit)
        for i, j in zip(*np.nonzero(matrix), strict=True):
            ax.text(j, i, _number(matrix[i, j]), ha="center", va="center", fontsize=7)
        outputs, inputs = matrix.shape
        ax.set(xlabel="input cell", ylabel="output cell", xticks=range(0, inputs, 4), yticks=range(0, outputs, 4))
        ax.set_xticklabels(range(1, inputs + 1, 4))
        ax.set_yticklabels(range(1, outputs + 1, 4))
        ax.grid(False)
    filled, weights = np.count_nonzero(matrix), np.unique(matrix[matrix != 0]).size
    return Picture(
        fig,
        f"A matrix of {outputs} rows and {inputs} columns with diagonal bands: {filled} of its {matrix.size} entries "
        f"are not zero, and they take only {weights} different values.",
    )


def filtered_picture(picture, name):
    """Return one photograph after blur, sharpening, two edge filters and two kinds of pooling.

    `picture` is (rows, columns, 3) with values in [0, 1]; `name` says where it comes from and stands on the figure.
    """
    channels = np.moveaxis(np.asarray(picture, dtype=float), -1, 0)
    grey = channels.mean(0)

    def filtered(kernel):
        return np.moveaxis(core.correlate(channels, core.KERNELS[kernel], padding=1), 0, -1)

    panels = {
        "original": np.moveaxis(channels, 0, -1),
        "blur": filtered("blur"),
        "sharpen": filtered("sharpen"),
        "average pooling, 4 × 4": np.moveaxis(core.average_pool(channels, 4), 0, -1),
        "vertical edges": core.correlate(grey, core.KERNELS["vertical edges"]),
        "horizontal edges": core.correlate(grey, core.KERNELS["horizontal edges"]),
        "strength of the edges": core.edge_strength(grey),
        "max pooling, 4 × 4": np.moveaxis(core.max_pool(channels, 4), 0, -1),
    }
    limit = 0.6 * panels["strength of the edges"].max() or 1.0  # the few strongest edges may saturate
    fig, axes = style.figure(height=4.85, nrows=2, ncols=4)
    with style.context():
        for ax, (title, image) in zip(axes.flat, panels.items(), strict=True):
            if image.ndim == 3:
                ax.imshow(np.clip(image, 0, 1))
            elif title.startswith("strength"):
                ax.imshow(image, cmap="gray", vmin=0, vmax=limit)
            else:
                ax.imshow(image, cmap=DIVERGING, vmin=-limit, vmax=limit)
            _bare(ax, title)
        fig.suptitle(name, x=0.01, ha="left", fontsize=10.5, color=GREY)
    return Picture(
        fig,
        "Eight panels of one small colour picture: the original, blurred, sharpened, average-pooled to a quarter of "
        "its side, its vertical edges, its horizontal edges, their strength, and max-pooled. Its name stands on top.",
        photographs=True,
    )


def subsampling(picture, name, size=4):
    """Return what is lost when cells are thrown away unread: stripes and a photograph, subsampled and pooled.

    `picture` is (rows, columns, 3) in [0, 1]; `name` stands on the figure; `size` is the step and the pooling window.
    """
    channels = np.moveaxis(np.asarray(picture, dtype=float), -1, 0)
    stripes = _stripes(channels.shape[1], size)
    fig, axes = style.figure(height=4.95, nrows=2, ncols=4)
    blur = core.averaging_kernel(size)
    with style.context():
        for row, maps in zip(axes, (np.tile(stripes, (3, 1, 1)), channels), strict=True):
            panels = {
                "original": maps,
                f"every {size}th pixel": maps[:, ::size, ::size],
                f"blurred, {size} × {size}": core.correlate(maps, blur),
                f"blurred, then every {size}th": core.correlate(maps, blur)[:, ::size, ::size],
            }
            for ax, (title, image) in zip(row, panels.items(), strict=True):
                ax.imshow(np.clip(np.moveaxis(image, 0, -1), 0, 1))
                _bare(ax, title)
        fig.suptitle(f"lower row: {name}", x=0.01, ha="left", fontsize=10.5, color=GREY)
    return Picture(
        fig,
        f"Two rows of four panels, stripes above and a small colour picture below: the original, every {size}th pixel "
        "with false broad stripes in the upper row, the blurred original, and the blurred one at the same pixels, "
        "where stripes too fine to be shown have faded to grey.",
        photographs=True,
    )


class WindowScene(Scene):
    """A window that slides over a padded map: the products in the kernel's place, their sum in the output cell."""

    LARGEST_MAP, LARGEST_KERNEL = 8, 5
    # The board measures 21 by 8.75 units of 0.4 inches; map, kernel and output begin at these places on it.
    _UNIT, _WIDE, _TALL = 0.4, 21.0, 8.75
    _MAP, _KERNEL, _OUTPUT = np.array([0.3, 1.0]), np.array([8.6, 1.0]), np.array([14.6, 1.0])

    def __init__(self):
        fig, ax = style.figure(height=self._TALL * self._UNIT)
        super().__init__(fig)
        fig.set_layout_engine("none")
        ax.set_position((0, 0, 1, 1))
        ax.set(xlim=(0, self._WIDE), ylim=(self._TALL, 0))
        ax.set_axis_off()
        with style.context():
            self._map, self._kernel, self._blank = (_Cells(ax) for _ in range(3))
            self._products, self._totals = _Cells(ax, self.moving), _Cells(ax, self.moving)
            self._factors = self.moving(_letters(ax, GREY))
            self._window = self.moving(_frame(ax, 0, 0, 1, 1))
            self._here = self.moving(_frame(ax, 0, 0, 1, 1))
            self._sum = self.moving(ax.text(self._KERNEL[0], 0, "", fontsize=11, weight="bold", va="top"))
            self._padding = ax.add_collection(LineCollection([], colors=GREY, linewidths=0.4, zorder=3))
            self._unread = ax.add_collection(LineCollection([], colors=ORANGE, linewidths=1.8, zorder=5))
            self._only_with_output = tuple(self._moving)
            # These stand still, but letters are set faster as moving ones, from memory.
            self._why = self.moving(ax.text(*self._OUTPUT, "", fontsize=10.5, va="top", linespacing=1.5))
            self._titles = [
                self.moving(ax.text(x, y - 0.25, "", fontsize=11.5, weight="bold", va="bottom"))
                for x, y in (self._MAP, self._KERNEL, self._OUTPUT)
            ]
        self._set_up = None

    def update(self, position, filter, kernel, stride, padding, flipped, floor, map):
        """Move the window to `position` (from 1); `map` and `kernel` are text, `filter` names what kernel is.

        Raises ValueError for text that is no grid, or a grid too large to be shown.
        """
        weights = self._read(kernel, "the filter", self.LARGEST_KERNEL)
        feature_map = self._read(map, "the map", self.LARGEST_MAP)
        problem = why_not(feature_map.shape, weights.shape, stride, padding, floor)
        key = (map, kernel, stride, padding, flipped, floor)
        if key != self._set_up:
            options = dict(stride=stride, padding=padding, flipped=flipped, floor=floor)
            self._trace = [] if problem else core.trace(feature_map, weights, **options)
            self._lay(feature_map, core.flip(weights) if flipped else weights, stride, padding, problem)
            self._set_up = key
            self.still_changed(key)
        if problem:
            return f"No output map: {problem}."
        number = min(position, len(self._trace))
        cell = self._trace[number - 1]
        self._show(cell, number)
        # The sum is written without its zeros, which would only hide what matters.
        terms = [_number(v, 4) for v in cell.products.ravel() if v != 0]
        added = " + ".join(terms).replace("+ −", "− ") or "0"
        return (
            f"Window {number} of {len(self._trace)} of the {'convolution' if flipped else 'correlation'}, output row "
            f"{cell.row + 1}, column {cell.column + 1}: {added}"
            f"{f' = {_number(cell.total, 4)}' if len(terms) > 1 else ''}."
        )

    @staticmethod
    def _read(text, name, largest):
        grid = core.parse_grid(text, name)
        if max(grid.shape) > largest:
            raise ValueError(f"{name} has {_shape(grid)} cells; at most {largest} by {largest} can be shown")
        return grid

    def _lay(self, feature_map, kernel, stride, padding, problem):
        """Draw what stands still for one choice of map, filter, stride and padding."""
        padded = core.pad(feature_map, padding)
        rows, columns = padded.shape
        self._map.side = min(7.4 / rows, 7.6 / columns, 1.35)
        around = np.ones(padded.shape, dtype=bool)
        around[padding : rows - padding, padding : columns - padding] = False
        self._map.fill(padded, self._MAP, greyed=around)
        corners = self._map.corners(self._MAP)
        self._padding.set_segments(_hatch(corners[around.ravel()], self._map.side))
        self._unread.set_segments(_crosses(corners[_unread(padded.shape, kernel.shape, stride)], self._map.side))

        side = min(5.3 / max(kernel.shape), 1.75)
        self._kernel.side = self._products.side = side
        self._kernel.fill(kernel if problem else np.full(kernel.shape, np.nan), self._KERNEL)
        shape = (self._trace[-1].row + 1, self._trace[-1].column + 1) if self._trace else (0, 0)
        self._blank.side = self._totals.side = min(7.4 / max(1, shape[0]), 6.1 / max(1, shape[1]), 1.5)
        self._blank.fill(np.full(shape, np.nan), self._OUTPUT)
        if self._trace:
            self._products.scale([cell.products for cell in self._trace])
            self._totals.scale([cell.total for cell in self._trace])
        self._sum.set_y(self._KERNEL[1] + kernel.shape[0] * side + 0.3)
        self._why.set_text("\n".join(wrap(problem.replace("-", "−"), 30)))
        titles = (
            f"map with padding {padding}" if padding else "map",
            "filter" if problem else "value · weight = product",
            "no output map" if problem else "output",
        )
        for artist, title in zip(self._titles, titles, strict=True):
            artist.set_text(title)
        for artist in self._only_with_output:
            artist.set_visible(not problem)

    def _show(self, cell, number):
        """Draw what moves with the window."""
        height, width = cell.window.shape
        side = self._map.side
        _move(self._window, self._MAP + np.array([cell.left, cell.top]) * side, width * side, height * side)
        self._products.fill(cell.products, self._KERNEL, at=0.66)
        factors = [f"{_number(v)} · {_number(w)}" for v, w in zip(cell.window.flat, cell.kernel.flat, strict=True)]
        side = self._products.side
        places = self._products.corners(self._KERNEL) + np.array([0.5, 0.27]) * side
        self._factors.set_path(_outline(factors, places, min(0.23 * side, 0.8 * side / max(map(_width, factors)))))
        self._sum.set_text(f"sum = {_number(cell.total, 4)}")
        totals = np.full((self._trace[-1].row + 1, self._trace[-1].column + 1), np.nan)
        totals.flat[:number] = [c.total for c in self._trace[:number]]
        self._totals.fill(totals, self._OUTPUT)
        side = self._totals.side
        _move(self._here, self._OUTPUT + np.array([cell.column, cell.row]) * side, side, side)


class _Cells:
    """Coloured squares with numbers in them, made once and filled again and again.

    Numbers are drawn as outlines, all of one colour in one artist: a hundred Text objects would take 50 ms.
    """

    def __init__(self, ax, register=lambda artist: artist):
        self.side, self._shape = 1.0, (0, 0)
        colours = DIVERGING.with_extremes(bad=PAPER)
        self._squares = register(PolyCollection([], cmap=colours, edgecolors=FAINT, linewidths=0.8, zorder=2))
        ax.add_collection(self._squares, autolim=False)
        self._fixed_scale = False
        self._ink, self._grey = register(_letters(ax, INK)), register(_letters(ax, GREY))

    def scale(self, values):
        """Fix what the strongest colour means, so that it does not change from one filling to the next."""
        _scale(self._squares, values)
        self._fixed_scale = True

    def corners(self, place):
        """Return the upper left corners of the cells, row by row, (cells, 2)."""
        return np.array([(j, i) for i, j in np.ndindex(self._shape)]).reshape(-1, 2) * self.side + place

    def fill(self, values, place, greyed=None, at=0.5):
        """Show `values` from the corner `place` on; NaN leaves a cell blank, `at` is the height of its number."""
        self._shape = values.shape
        corners, flat = self.corners(place), values.ravel()
        self._squares.set_verts(corners[:, None] + np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * self.side)
        if not self._fixed_scale:
            _scale(self._squares, values)
        self._squares.set_array(np.ma.masked_invalid(flat))
        greyed = np.zeros(flat.shape, dtype=bool) if greyed is None else greyed.ravel()
        words = [_number(value) for value in flat]
        widest = max((_width(w) for w, v in zip(words, flat, strict=True) if not np.isnan(v)), default=1.0)
        size = min(0.36 * self.side, 0.88 * self.side / widest, 0.46)
        for letters, chosen in ((self._ink, ~greyed), (self._grey, greyed)):
            chosen = np.flatnonzero(chosen & ~np.isnan(flat))
            places = corners[chosen] + np.array([0.5, at]) * self.side
            letters.set_path(_outline([words[k] for k in chosen], places, size))


@lru_cache(maxsize=4096)
def _glyphs(word):
    """The outline of a word at size 1, centred on the origin, y down: vertices, codes, width."""
    path = TextPath((0, 0), word, size=1, prop=FontProperties(family="DejaVu Sans"))
    left, right = (path.vertices[:, 0].min(), path.vertices[:, 0].max()) if len(path.vertices) else (0.0, 0.0)
    return (path.vertices - ((left + right) / 2, 0.365)) * (1, -1), path.codes, right - left  # digits are 0.73 high


def _width(word):
    return _glyphs(word)[2]


def _outline(words, places, size):
    """One path for many words, each centred on its place; `size` is the font size in the units of the places."""
    if not words:
        return Path(np.empty((0, 2)))
    glyphs = [_glyphs(word) for word in words]
    vertices = np.concatenate([size * g[0] + place for g, place in zip(glyphs, places, strict=True)])
    return Path(vertices, np.concatenate([g[1] for g in glyphs]))


def _letters(ax, colour):
    return ax.add_patch(PathPatch(Path(np.empty((0, 2))), facecolor=colour, edgecolor="none", zorder=4))


def _hatch(corners, side):
    """Two slanted lines beside the number of every cell."""
    lines = np.array([[(0, 0.45), (0.45, 0)], [(0.55, 1), (1, 0.55)]]) * side
    return (corners[:, None, None] + lines).reshape(-1, 2, 2)


def _crosses(corners, side):
    lines = np.array([[(0.15, 0.15), (0.85, 0.85)], [(0.15, 0.85), (0.85, 0.15)]]) * side
    return (corners[:, None, None] + lines).reshape(-1, 2, 2)


def _unread(shape, kernel_shape, stride):
    """Tell which cells of a padded map lie beyond the last window, as a flat mask."""
    reached = [(n - k) // stride * stride + k if n >= k else 0 for n, k in zip(shape, kernel_shape, strict=True)]
    rows, columns = np.indices(shape)
    return ((rows >= reached[0]) | (columns >= reached[1])).ravel()


def _move(frame, corner, width, height):
    frame.set(x=corner[0], y=corner[1], width=width, height=height)


def why_not(map_shape, kernel_shape, stride, padding, floor=False):
    """Return why a window has no whole number of positions on a map, in words, or "" where it has.

    The shapes are (rows, columns); `stride` and `padding` are whole numbers, `padding` per side.
    """
    axes = {
        axis: core.size_arithmetic(n, k, stride, padding)
        for axis, n, k in zip(("rows", "columns"), map_shape, kernel_shape, strict=True)
    }
    bad = {axis: a.reason for axis, a in axes.items() if (a.floored if floor else a.size) is None}
    if len(bad) == 2 and len(set(bad.values())) == 1:
        return bad["rows"]
    return " and ".join(f"for the {axis}, {reason}" for axis, reason in bad.items())


# --- grids of numbers -----------------------------------------------------------------------------


def _board(columns, rows, above=0.75, cell_aspect=1.0):
    """A figure as wide as the page whose only axes measure cells: x to the right, y down, titles above y = 0."""
    down, across = rows + above + 0.1, columns + 0.2
    fig, ax = style.figure(height=style.WIDTH * cell_aspect * down / across)
    ax.set(xlim=(-0.1, columns + 0.1), ylim=(rows + 0.1, -above))
    ax.set_axis_off()
    return fig, ax


def _grid(ax, values, left, top, cell=1.0, title="", size=12, limit=None, hatched=None, text_at=0.5, title_size=None):
    """Draw a grid of numbers with its upper left corner at (left, top); NaN leaves a cell blank."""
    values = np.asarray(values, dtype=float)
    hatched = np.zeros(values.shape, dtype=bool) if hatched is None else hatched
    filled = PolyCollection(
        _squares(values.shape, left, top, cell), cmap=DIVERGING, edgecolors=FAINT, linewidths=0.8, zorder=2
    )
    _scale(filled, values if limit is None else limit)
    filled.set_array(np.nan_to_num(values).ravel())
    ax.add_collection(filled, autolim=False)
    for i, j in np.ndindex(values.shape):
        if hatched[i, j]:
            _cell(ax, left + j * cell, top + i * cell, "none", hatched=True, side=cell)
        if not np.isnan(values[i, j]):
            ax.text(left + (j + 0.5) * cell, top + (i + text_at) * cell, _number(values[i, j]), ha="center",
                    va="center", fontsize=size, zorder=4, color=GREY if hatched[i, j] else INK)  # fmt: skip
    if title:
        ax.text(left, top - 0.22, title, fontsize=title_size or 11.5, weight="bold", va="bottom")


def _squares(shape, left, top, cell):
    corners = np.array([(0, 0), (1, 0), (1, 1), (0, 1)]) * cell
    places = [(left + j * cell, top + i * cell) for i, j in np.ndindex(shape)]
    return [corners + place for place in places]


def _scale(collection, values):
    limit = _PALE * (float(np.nanmax(np.abs(values), initial=0.0)) or 1.0)
    collection.set_clim(-limit, limit)


def _cell(ax, left, top, colour, hatched=False, side=1.0):
    ax.add_patch(
        Rectangle((left, top), side, side, facecolor=colour, edgecolor=FAINT, linewidth=0.8, zorder=3 if hatched else 1,
                  hatch="////" if hatched else None)
    )  # fmt: skip


def _frame(ax, left, top, width, height):
    patch = Rectangle((left, top), width, height, fill=False, edgecolor=BLUE, linewidth=2.6, zorder=5)
    ax.add_patch(patch)
    return patch


def _bare(ax, title):
    ax.set_title(title, fontsize=9.5, weight="normal")
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    for spine in ax.spines.values():  # a frame, for pictures may be as white as the page
        spine.set(visible=True, color=GREY, linewidth=0.6)


def _stripes(side, size):
    """Vertical stripes in [0, 1] whose frequency grows from left to right, to half a cycle a pixel."""
    x = np.arange(side)
    phase = np.pi * x**2 / (2 * side)
    return np.tile(0.5 + 0.5 * np.cos(phase), (side, 1))


def _number(value, digits=2):
    """A number as on paper: at most so many decimals, no trailing zeros, a true minus sign."""
    text = f"{round(float(value), digits) + 0.0:.{digits}f}".rstrip("0").rstrip(".")
    return text.replace("-", "−")


def _shape(grid):
    return " by ".join(str(n) for n in grid.shape)
