"""The explorer of Theory 4: a window that slides over a padded map, one position at a time."""

from helpers import assignment as given
from helpers.core.convolution import KERNELS, averaging_kernel, format_grid, output_size, parse_grid
from helpers.explore.explorer import Explorer, choice, switch, text, whole
from helpers.figures.convolution import WindowScene

FILTERS = {
    "Filter1": given.FILTER_1,
    "Filter2": given.FILTER_2,
    "average 2 × 2": averaging_kernel(2),
    **KERNELS,
}
TYPED = "typed below"
_FIELDS = ("filter", "kernel", "stride", "padding", "floor", "map")  # on these the number of positions depends


def window(
    position=1, filter="Filter1", kernel=None, stride=1, padding=1, flipped=False, floor=False, map=None
):  # fmt: skip
    """Return the explorer of one convolution, its window at `position` (from 1, row by row).

    `filter` is a name in FILTERS, or "typed below" to use `kernel`; `kernel` and `map` are text, rows on lines of their
    own or after ";"; the map is the assignment's F unless given. `stride` is 1 to 4, `padding` 0 to 3 on every side;
    `flipped` turns the kernel; `floor` leaves cells at the far edge unread, as PyTorch does. Raises ValueError for an
    unknown filter, text that is no grid, or numbers out of range.
    """
    if filter not in (*FILTERS, TYPED):
        raise ValueError(f"there is no filter {filter!r}; there are {', '.join(FILTERS)} and {TYPED!r}")
    for name, value, low, high in (("stride", stride, 1, 4), ("padding", padding, 0, 3)):
        if value not in range(low, high + 1):
            raise ValueError(f"{name} {value!r} is not a whole number from {low} to {high}")
    if filter == TYPED and kernel is None:
        raise ValueError(f"the filter is {TYPED!r}, but no kernel is given; write it as in kernel='1 0; 0 -1'")
    map = _tidy(format_grid(given.FEATURE_MAP) if map is None else map, "the map")
    kernel = _tidy(kernel if filter == TYPED else _written(filter), "the filter")
    count = _positions(kernel, map, stride, padding, floor) or 1
    if position not in range(1, count + 1):
        raise ValueError(f"position {position!r} is not a whole number from 1 to {count}")
    controls = {
        "filter": choice("filter", [*FILTERS, TYPED], filter),
        "kernel": text("its numbers", kernel, rows=4),
        "stride": whole("stride", stride, 1, 4),
        "padding": whole("padding", padding, 0, 3),
        "flipped": switch("turn the filter by 180° (true convolution)", flipped),
        "floor": switch("leave left-over cells unread (PyTorch)", floor),
        "map": text("map F", map, rows=4),
        "position": whole("position", position, 1, count),
    }
    _tie(controls)
    rows = [["filter", "position"], ["stride", "padding"], ["map", "kernel"], ["flipped", "floor"]]
    return Explorer(WindowScene(), controls, call="explore.window", steps="position", rows=rows)


def _tie(controls):
    """Let the filter's name and its numbers follow each other, and the position's end follow the number of windows."""

    def name_chosen(change):
        if change["new"] != TYPED:
            controls["kernel"].value = _written(change["new"])

    def numbers_typed(change):
        name = controls["filter"].value
        if name != TYPED and change["new"] != _written(name):
            controls["filter"].value = TYPED

    def count_positions(_):
        values = {name: controls[name].value for name in _FIELDS}
        del values["filter"]
        try:
            count = _positions(**values)
        except ValueError:
            return  # unreadable text: the scene says so, the slider waits
        controls["position"].max = count or 1

    controls["filter"].observe(name_chosen, "value")
    controls["kernel"].observe(numbers_typed, "value")
    for name in _FIELDS:
        controls[name].observe(count_positions, "value")


def _positions(kernel, map, stride, padding, floor):
    """Count the positions of the window; 0 where it has no whole number of them."""
    shapes = zip(parse_grid(map).shape, parse_grid(kernel).shape, strict=True)
    try:
        rows, columns = (output_size(n, k, stride, padding, floor=floor) for n, k in shapes)
    except ValueError:
        return 0
    return rows * columns


def _written(name):
    return _tidy(format_grid(FILTERS[name]), "the filter")


def _tidy(grid, name):
    """The same grid, one row a line; text that is none raises here."""
    parse_grid(grid, name)
    return "\n".join(line.strip() for line in grid.replace(";", "\n").splitlines() if line.strip())
