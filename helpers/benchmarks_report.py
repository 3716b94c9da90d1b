"""What `python -m helpers.benchmarks` has measured, as README's table and as one picture."""

import json
import math
import statistics
import textwrap
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from helpers import style
from helpers.files import whole

BEGIN = "<!-- benchmarks: written by `make bench` from artifacts/benchmarks.json -->"
END = "<!-- end of benchmarks -->"
NAMES = {"torch eager": "PyTorch eager", "torch compiled": "PyTorch compiled"}
BUSY = 0.1  # from here on what other programs did is told


def read(path):
    """The record in the file `path`; raises ValueError, with the remedy, where there is none that can be read."""
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(record["sections"], dict):
            raise ValueError("sections are missing")
    except (OSError, ValueError, KeyError, TypeError) as reason:
        raise ValueError(
            f"{Path(path).name} cannot be read ({reason}); remove it and measure anew with make bench"
        ) from None
    return record


def publish(path, readme=None):
    """Draw the record in the file `path` into a picture beside it, and write its table into the file `readme`.

    Raises ValueError where the record cannot be read, is another version's, or README has lost its two marks.
    """
    record = read(path)
    if not record["sections"]:
        return
    try:
        picture = style.png(draw(record))
        text = with_table(Path(readme).read_text(encoding="utf-8"), record) if readme else ""
    except (KeyError, TypeError, AttributeError, IndexError) as reason:
        raise ValueError(
            f"{Path(path).name} is not what this version of the workbook measures (missing: {reason}); "
            "remove it and measure anew with make bench"
        ) from None
    with whole(Path(path).with_suffix(".png")) as part:
        part.write_bytes(picture)
    if readme:
        with whole(readme) as part:
            part.write_text(text, encoding="utf-8", newline="\n")


# ---------------------------------------------------------------------------------------------------------------
# The table
# ---------------------------------------------------------------------------------------------------------------


def with_table(text, record):
    """README's `text` with what stands between the two marks replaced; raises ValueError where they are missing."""
    if text.count(BEGIN) != 1 or text.count(END) != 1 or text.index(BEGIN) > text.index(END):
        raise ValueError(f"README.md needs the lines {BEGIN!r} and {END!r}, once each and in this order")
    return text[: text.index(BEGIN) + len(BEGIN)] + "\n\n" + block(record) + "\n" + text[text.index(END) :]


def block(record):
    """The table of everything that was measured, and below it when, on what and with which versions."""
    sections = record["sections"]
    usual = Counter(_conditions(section) for section in sections.values()).most_common(1)[0][0]
    lines = ["| question | answer |", "|---|---|"]
    for name in (name for name in ROWS if name in sections):
        date, *machine = _conditions(section := sections[name])
        apart = [date] * (date != usual[0]) + [f"on {_processor(*machine)}"] * (machine != list(usual[1:]))
        mark = f" ({', '.join(apart)})" if apart else ""
        lines += [f"| {question} | {answer}{mark} |" for question, answer in ROWS[name](section["results"])]
    latest = max((s for s in sections.values() if _conditions(s) == usual), key=lambda s: len(s["versions"]))
    lines += ["", _below(usual, latest, sections.values())]
    return "\n".join(lines) + "\n"


def _below(usual, latest, sections):
    date, *machine = usual
    found = latest["versions"]
    named = [f"{NAMES.get(name, name)} {found[name]}" for name in ("numpy", "scipy", "torch", "scikit-learn")
             if name in found]  # fmt: skip
    hardware = f"{_processor(*machine)}, {latest['hardware']['memory_gb']} GB of memory, {latest['hardware']['system']}"
    text = f"Measured on {date} on {hardware}; Python {found['python']}, {', '.join(named)} ({found['blas']})"
    steered = [f"{name}={value}" for name, value in latest["hardware"]["settings"].items()]
    text += f"; {', '.join(steered)}. " if steered else ". "
    busy = max(section["busy"] for section in sections)
    if busy > BUSY:
        text += f"Other programs took up to {busy:.0%} of the processor meanwhile, so times are longer than need be. "
    notes = dict.fromkeys(note for section in sections for note in section["left_out"])
    if notes:
        text += f"Left out: {'; '.join(notes)}. "
    text += ('`make bench` measures anew, `make bench SECTIONS="mlp cnn"` a part of it; the same '
             "[as a picture](artifacts/benchmarks.png).")  # fmt: skip
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)


def _conditions(section):
    return section["date"], section["hardware"]["processor"], section["hardware"]["cores"]


def _processor(processor, cores):
    return f"{cores} core{'s' * (cores != 1)} of {processor}"


def ratios(seconds, name, reference):
    """How many times as long as `reference` the contender took, round by round."""
    return [mine / other for mine, other in zip(seconds[name], seconds[reference], strict=True)]


def ratio(seconds, name, reference):
    return statistics.median(ratios(seconds, name, reference))


def told(seconds):
    """A time in the unit that suits it."""
    for limit, factor, digits, unit in ((1e-3, 1e6, 0, "µs"), (0.0995, 1e3, 1, "ms"), (9.95, 1, 2, "s"),
                                        (99.5, 1, 1, "s"), (math.inf, 1, 0, "s")):  # fmt: skip
        if seconds < limit:
            return f"{seconds * factor:.{digits}f} {unit}"
    raise ValueError(f"{seconds} is no time")


def mlp_rows(results):
    question = "How fast is numpy beside PyTorch and scikit-learn? "
    for network, measured in results["networks"].items():
        seconds = measured["seconds"]
        others = [f"{NAMES.get(name, name)} {told(statistics.median(values))}, {ratio(seconds, name, 'numpy'):.2f} ×"
                  for name, values in seconds.items() if name != "numpy"]  # fmt: skip
        question += f"{results['samples']:,} images through {network} in batches of {results['batch_size']}"
        yield question, "; ".join([f"numpy **{told(statistics.median(seconds['numpy']))}**", *others])
        question = ""


def convolution_rows(results):
    told_cases = [
        f"{case['kernel']}×{case['kernel']} on {case['map']}×{case['map']}: "
        f"**{told(statistics.median(case['seconds']['helper']))}**, "
        f"{ratio(case['seconds'], 'helper', 'correlate2d'):.2f} × `correlate2d`, "
        f"{ratio(case['seconds'], 'helper', 'correlate'):.2f} × `correlate`"
        for case in results["cases"]
    ]
    yield "How far is the convolution helper from `scipy.signal`?", "; ".join(told_cases)


def cnn_rows(results):
    sizes = {size: {key: statistics.median(values) for key, values in measured.items()}
             for size, measured in results["sizes"].items()}  # fmt: skip
    ends = [min(sizes, key=int), max(sizes, key=int)]
    epochs = [f"{told(sizes[end]['seconds_per_epoch'])} at {end}×{end} pixels" for end in ends]
    yield "How long is an epoch of the CNN, preset `fast`, 50,000 images?", " to ".join(epochs)
    now = results["sizes"][ends[1]]
    part = statistics.median(a / b for a, b in zip(now["gflops"], now["peak_gflops"], strict=True))
    yield ("How much of the machine does it use?",
           f"{sizes[ends[1]]['gflops']:.0f} GFLOP/s in {results['precision']} at {ends[1]}×{ends[1]} pixels, "
           f"**{part:.0%}** of a plain matrix product's {sizes[ends[1]]['peak_gflops']:.0f}")  # fmt: skip
    if goal := results.get("to_goal"):
        needed = f"{goal['epochs']} epoch{'s' * (goal['epochs'] != 1)}"
        found = f"{goal['accuracy']:.1%} of {goal['held_out_images']:,} held-out images"
        reached = goal["accuracy"] >= goal["goal"]
        yield (f"How long until it recognises {goal['goal']:.0%} of CIFAR-10?",
               f"**{told(goal['seconds'])}** of training, {needed}: {found}" if reached
               else f"not within {needed} on {goal['training_images']:,} images: {found}")  # fmt: skip


def _range(summaries):
    low, *_, high = sorted([one["median_ms"] for one in summaries.values()] * 2)
    slowest = max(summaries, key=lambda name: summaries[name]["p90_ms"])
    return (f"medians of {low:.0f} to {high:.0f} ms from explorer to explorer; "
            f"nine in ten within **{summaries[slowest]['p90_ms']:.0f} ms** for the slowest, `{slowest}`")  # fmt: skip


def explorers_rows(results):
    if results["all"]:
        yield "How long does an explorer compute a picture?", _range(results["all"])


def browser_rows(results):
    if results["all"]:
        yield "How long does a reader wait for it in JupyterLab?", _range(results["all"])


def notebooks_rows(results):
    if results["seconds"]:
        each = [f"{name[:2]}: {told(seconds)}" for name, seconds in results["seconds"].items()]
        yield "How long does a notebook run, its kernel's start included?", ", ".join(each)


def imports_rows(results):
    medians = {name: statistics.median(one["seconds"]) for name, one in results["imports"].items()}
    answers = []
    if "helpers" in medians:
        answers.append(f"`import helpers` **{told(medians['helpers'])}**, without torch")
    for torch, what in ((False, "the imports of a notebook"), (True, "of one that uses torch")):
        some = sorted(medians[name] for name, one in results["imports"].items()
                      if name != "helpers" and one["torch"] == torch)  # fmt: skip
        if some:
            answers.append(f"{what} " + " to ".join(dict.fromkeys([told(some[0]), told(some[-1])])))
    yield "How long does importing take?", "; ".join(answers)


def setup_rows(results):
    answer = f"**{results['bytes'] / 1e9:.2f} GB** in {results['files']:,} files"
    if "install" in results:
        answer += f"; {told(results['install']['seconds'])} with every package downloaded anew"
        answer += f" (timed on {results['install']['date']})"
    yield "How large is what `make lab` sets up?", answer


ROWS = {"mlp": mlp_rows, "cnn": cnn_rows, "convolution": convolution_rows, "explorers": explorers_rows,
        "browser": browser_rows, "notebooks": notebooks_rows, "imports": imports_rows, "setup": setup_rows}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------
# The picture
# ---------------------------------------------------------------------------------------------------------------


def draw(record):
    """The record as a Figure with a panel for each question that has an answer."""
    sections = record["sections"]
    panels = [(panel, [sections.get(name, {}).get("results") for name in needed])
              for panel, needed in PANELS.items() if any(name in sections for name in needed)]  # fmt: skip
    rows = math.ceil(len(panels) / 2) or 1
    fig, axes = style.figure(height=3.5 * rows + 0.5, width=12.4, nrows=rows, ncols=2, squeeze=False)
    fig.get_layout_engine().set(w_pad=0.15, h_pad=0.12)
    with style.context():
        for ax, (panel, given) in zip(axes.flat, panels, strict=False):
            panel(ax, *given)
            ax.grid(axis="y", visible=False)
            ax.tick_params(axis="y", length=0)
        for ax in axes.flat[len(panels) :]:
            ax.remove()
        dates = sorted({section["date"] for section in sections.values()})
        when = " to ".join(dict.fromkeys([dates[0], dates[-1]]))
        _, *machine = _conditions(list(sections.values())[-1])
        said = f"{_processor(*machine)}, {when}; bars and marks are medians."
        busy = max(section["busy"] for section in sections.values())
        if busy > BUSY:
            said += f" Other programs took up to {busy:.0%} of the processor meanwhile."
        fig.supxlabel(said, fontsize=9.5, color=style.GREY, x=0.01, ha="left")
    return fig


def _bars(ax, groups, unit, mine="", room=1.25):
    """Horizontal bars in titled groups [(title, {name: (value, label)})]; `mine` is the one to look at, "" for all."""
    place, ticks, longest = 0.0, {}, 0.0
    for title, values in groups:
        if title:
            ax.text(0.008, place, title, transform=ax.get_yaxis_transform(), va="center", color=style.GREY)
            place += 0.9
        for name, (value, label) in values.items():
            stressed = mine in ("", name)
            ax.barh(place, value, height=0.72, color=style.BLUE if stressed else style.FAINT)
            ax.annotate(label, (value, place), (5, 0), textcoords="offset points", va="center", fontsize=9.5,
                        weight="bold" if mine and stressed else "normal")  # fmt: skip
            ticks[place], longest = NAMES.get(name, name), max(longest, value)
            place += 1.0
        place += 0.35
    ax.set_yticks(list(ticks), ticks.values())
    ax.set_ylim(max(place - 0.75, 4.5), -0.6)  # a lonely bar should look like a bar
    ax.set_xlim(0, room * longest)
    ax.set_xlabel(unit)


def mlp_panel(ax, results):
    groups = []
    for network, measured in results["networks"].items():
        seconds = measured["seconds"]
        labels = {name: f"   {ratio(seconds, name, 'numpy'):.2f} × numpy" * (name != "numpy") for name in seconds}
        medians = {name: statistics.median(values) for name, values in seconds.items()}
        groups.append((network, {name: (medians[name], told(medians[name]) + labels[name]) for name in seconds}))
    unit = f"seconds for {results['samples']:,} images in batches of {results['batch_size']}"
    _bars(ax, groups, unit, "numpy", 1.4)
    ax.set_title("How fast is numpy beside PyTorch and scikit-learn?")


def cnn_panel(ax, results):
    longest = 0
    for place, measured in enumerate(results["sizes"].values()):
        speed, peak = (statistics.median(measured[key]) for key in ("gflops", "peak_gflops"))
        part = statistics.median(a / b for a, b in zip(measured["gflops"], measured["peak_gflops"], strict=True))
        ax.barh(place, peak, height=0.72, color=style.FAINT)
        ax.barh(place, speed, height=0.72, color=style.BLUE)
        ax.annotate(f"{part:.0%}", (speed, place), (-6, 0), textcoords="offset points", ha="right", va="center",
                    color=style.PAPER, weight="bold", fontsize=9.5)  # fmt: skip
        epoch = told(statistics.median(measured["seconds_per_epoch"]))
        ax.annotate(f"{epoch} an epoch", (max(peak, speed), place), (5, 0), textcoords="offset points", va="center",
                    fontsize=9.5)  # fmt: skip
        longest = max(longest, peak, speed)
    ax.set_yticks(range(len(results["sizes"])), [f"{size}×{size} pixels" for size in results["sizes"]])
    ax.set_ylim(len(results["sizes"]) - 0.4, -0.6)
    ax.set_xlim(0, 1.32 * longest)
    ax.set_xlabel(f"GFLOP/s in {results['precision']}; grey: a plain matrix product's")
    ax.set_title("How much of the machine does the CNN use?")


def explorers_panel(ax, kernel, browser):
    """Lines from the median to the ninth in ten, the kernel's above the browser's, a row for each explorer."""
    computed, waited = ({name.partition(".")[2]: one for name, one in (given or {}).get("all", {}).items()}
                        for given in (kernel, browser))  # fmt: skip
    names = list(dict.fromkeys([*computed, *waited]))
    for measured, shift, colour, marker, what in (
        (computed, -0.17, style.BLUE, "o", "drawn in the kernel"),
        (waited, 0.17, style.ORANGE, "s", "seen in JupyterLab"),
    ):
        for place, name in enumerate(names):
            if name in measured:
                low, high = measured[name]["median_ms"], measured[name]["p90_ms"]
                ax.plot([low, high], [place + shift] * 2, color=colour, linewidth=2.5, solid_capstyle="round")
                ax.plot(low, place + shift, marker, color=colour, markersize=6)
        if measured:
            ax.plot([], [], marker=marker, color=colour, linewidth=2.5, markersize=6, label=what)
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(names) - 0.3, -0.7)
    ax.set_xlim(0, 1.08 * max([100, *(one["p90_ms"] for one in (*computed.values(), *waited.values()))]))
    ax.axvline(100, color=style.GREY, linestyle=":", linewidth=1.4)
    ax.set_xlabel("milliseconds, median to nine in ten; 100 are felt as at once")
    ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=2, frameon=False, borderaxespad=0, handlelength=1.6)
    ax.set_title("How long until an explorer's picture has changed?", pad=24)


def _short(name):
    """The name of a notebook in two words."""
    return " ".join(word for word in name.split("_")[:3] if word != "and")


def notebooks_panel(ax, results):
    seconds = {_short(name): (value, told(value)) for name, value in results["seconds"].items()}
    _bars(ax, [("", seconds)], "seconds, the start of its kernel included")
    ax.set_title("How long does a notebook run?")


def convolution_panel(ax, results):
    """On a logarithmic axis: how many times as long as correlate2d, which is 1."""
    for place, case in enumerate(results["cases"]):
        others = {name: ratio(case["seconds"], name, "correlate2d") for name in ("helper", "correlate")}
        ax.plot([min(1, *others.values()), max(1, *others.values())], [place] * 2, color=style.FAINT, zorder=1)
        ax.plot(others["correlate"], place, "D", color=style.GREY, markersize=7)
        ax.plot(1, place, "s", color=style.GREY, markersize=7)
        ax.plot(others["helper"], place, "o", color=style.BLUE, markersize=9)
        ax.annotate(f"{others['helper']:.2f} ×   {told(statistics.median(case['seconds']['helper']))}",
                    (others["helper"], place), (0, 9), textcoords="offset points", ha="center", weight="bold",
                    fontsize=9.5)  # fmt: skip
    for marker, colour, what in (("o", style.BLUE, "the helper"), ("s", style.GREY, "correlate2d"),
                                 ("D", style.GREY, "correlate")):  # fmt: skip
        ax.plot([], [], marker, color=colour, label=what)
    ax.set_xscale("log")
    ax.margins(x=0.14)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    names = [f"{case['kernel']}×{case['kernel']} on {case['map']}×{case['map']}" for case in results["cases"]]
    ax.set_yticks(range(len(names)), names)
    ax.set_ylim(len(results["cases"]) - 0.5, -0.6)
    ax.set_xlabel("times as long as correlate2d; left is faster")
    ax.legend(loc="lower left", bbox_to_anchor=(-0.01, 1.0), ncols=3, frameon=False, borderaxespad=0, handletextpad=0.2)
    ax.set_title("How far from scipy.signal is our convolution?", pad=24)


def imports_panel(ax, results):
    medians = {name: statistics.median(one["seconds"]) for name, one in results["imports"].items()}
    bars = {_short(name): (median, told(median) + ", with torch" * results["imports"][name]["torch"])
            for name, median in medians.items()}  # fmt: skip
    _bars(ax, [("", bars)], "seconds, in a fresh process", room=1.38)
    ax.set_title("How long does importing take?")


PANELS: dict[Callable, list[str]] = {
    mlp_panel: ["mlp"],
    cnn_panel: ["cnn"],
    explorers_panel: ["explorers", "browser"],
    convolution_panel: ["convolution"],
    notebooks_panel: ["notebooks"],
    imports_panel: ["imports"],
}
