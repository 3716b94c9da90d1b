"""Every decimal number of the errata page, computed here from nothing but Python's own arithmetic."""

import json
import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from helpers import datasets

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "notebooks" / "errata_and_glossary.md").read_text(encoding="utf-8")
ERRATA, GLOSSARY = PAGE.split("## Glossary")
SECTIONS = {
    int(number): text for number, text in re.findall(r"^### (\d+)\. (.*?)(?=^### |\Z)", ERRATA, flags=re.M | re.S)
}


def sigmoid(z):
    return 1 / (1 + math.exp(-z))


def gelu_gradient(x):
    s = sigmoid(1.702 * x)
    return s + 1.702 * x * s * (1 - s)


def walk(rule, x, rate, steps):
    """Visits of plain descent, or of momentum (0.9) in reading A or B."""
    visits, v = [x], gelu_gradient(x)
    for _ in range(steps):
        gradient, old = gelu_gradient(x), v
        v = 0.9 * v + 0.1 * gradient
        x -= rate * {"descent": gradient, "A": old, "B": v}[rule]
        visits.append(x)
    return visits


def minimum():
    """Where the slope changes its sign, by halving."""
    low, high = -1.2, 0.0
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if gelu_gradient(middle) < 0 else (low, middle)
    return low


def curvature():
    return (gelu_gradient(minimum() + 1e-4) - gelu_gradient(minimum() - 1e-4)) / 2e-4


def not_gate():
    z = {bias: [-a + bias for a in (0, 1)] for bias in (-0.5, 0.5)}
    assert [[int(v >= 0) for v in z[bias]] for bias in z] == [[0, 0], [1, 0]]
    assert [[int(-a + b >= 0) for a in (0, 1)] for b in (0, 0.999, 1)] == [[1, 0], [1, 0], [1, 1]]
    return [f"{v:.1f}" for bias in z for v in (bias, *z[bias])]


def threshold():
    z = [a + b - 1.5 for a in (0, 1) for b in (0, 1)]
    assert [int(v >= 0) for v in z] == [int(sigmoid(v) >= 0.5) for v in z] == [0, 0, 0, 1]
    assert all(sigmoid(v) >= 0 for v in z)
    return ["1.5", "0.5", *(f"{sigmoid(v):.3f}" for v in z)]


def step_size():
    return ["0.1", *(f"{walk('descent', -3, rate, 3)[3]:.6f}" for rate in (0.1, 1))]


def readings():
    slow, fast = ({rule: walk(rule, -3, rate, 3) for rule in "AB"} for rate in (0.1, 1))
    assert f"{slow['A'][1]:.6f}" == f"{slow['B'][1]:.6f}" and slow["A"][2] != slow["B"][2]
    visits = [walked[step] for step in (1, 2, 3) for walked in slow.values()]
    return ["0.1", "0.9", *(f"{x:.6f}" for x in (*visits, fast["A"][3], fast["B"][3]))]


def momentum():
    plain, slow = walk("descent", -3, 0.1, 600), walk("B", -3, 0.1, 600)
    far = [abs(b - minimum()) >= abs(a - minimum()) for a, b in zip(plain, slow, strict=True)]
    assert f"from step {600 - far[::-1].index(True) + 1} on" in SECTIONS[5].replace("\n", " ")
    plain_fast, fast = walk("descent", -3, 1, 200), walk("B", -3, 1, 200)
    assert max(fast) > minimum() + 0.1 > max(plain_fast)  # momentum overshoots and descent does not
    assert abs(fast[200] - minimum()) > abs(plain_fast[200] - minimum())
    slopes = {x / 100: -gelu_gradient(x / 100) for x in range(-300, -75)}
    steepest = max(slopes, key=slopes.get)
    grown = [slopes[x] for x in slopes if x <= steepest]
    assert grown == sorted(grown)
    places = [f"{v:.6f}" for v in (plain[3], slow[3])]
    return ["0.1", *places, f"{slopes[-3.0]:.4f}", f"{slopes[steepest]:.4f}", f"{steepest:.2f}"]


def labels():
    x, W1, b1 = [1, -1, 2], [[-1, 1, -0.5, -1], [1, 1, -0.5, -0.5], [0.5, -0.5, 0.5, 1]], [0, -0.5, 0, 0]
    W2, b2 = [[-2, 2, -1], [1, 2, 0], [2, -1, -2], [-2, -1, 0]], [-1, -1, 1]
    y = [0.2, 0.9, 0.4]

    def logits():
        a = [sigmoid(sum(x[n] * W1[n][m] for n in range(3)) + b1[m]) for m in range(4)]
        return [sum(a[m] * W2[m][k] for m in range(4)) + b2[k] for k in range(3)]

    def loss(f):
        return -sum(t * (v - math.log(sum(map(math.exp, f)))) for t, v in zip(y, f, strict=True))

    f = logits()
    o = [math.exp(v) / sum(map(math.exp, f)) for v in f]
    short, right = ([p * total - t for p, t in zip(o, y, strict=True)] for total in (1, sum(y)))
    for k in range(3):  # which of the two is right, a difference quotient decides
        up, down = ([v + sign * 1e-5 * (j == k) for j, v in enumerate(f)] for sign in (1, -1))
        assert (loss(up) - loss(down)) / 2e-5 == pytest.approx(right[k], abs=1e-8)
    return [*map(str, y), f"{sum(y):.1f}", *(f"{v:.4f}" for v in short + right)]


F = [[3, 5, 2, 3], [9, 1, 8, 4], [6, 4, 3, 7], [7, 0, 2, 4]]


def correlate(kernel):
    """A 3 by 3 kernel over F with a border of zeros."""
    padded = [[0] * 6, *([0, *row, 0] for row in F), [0] * 6]
    cells = [(a, b) for a in range(3) for b in range(3)]
    return [[sum(kernel[a][b] * padded[i + a][j + b] for a, b in cells) for j in range(4)] for i in range(4)]


def turned():
    kernel = [[-1, 0.5, -2], [2, 0, 1], [0, 1, 1.5]]
    straight, flipped = correlate(kernel), correlate([row[::-1] for row in kernel[::-1]])
    assert all(p != q for p, q in zip(sum(straight, []), sum(flipped, []), strict=True))
    said = []
    for values, form in ((straight, ".2f"), (flipped, ".3f")):
        means = [sum(sum(row[j : j + 2]) for row in values[i : i + 2]) / 4 for i in (0, 2) for j in (0, 2)]
        said += [f"{v:.1f}" for v in sum(values, [])] + [format(v, form) for v in means]
    lines = [line for line in SECTIONS[7].splitlines() if line.startswith(("| not", "| turned"))]
    assert decimals(" ".join(lines)) == [v.replace("-", "−") for v in said]  # in this order
    return said


def strides():
    sizes = {s: Fraction(4 + 2 - 2, s) + 1 for s in (1, 2, 3, 4)}
    assert sizes == {1: 5, 2: 3, 3: Fraction(7, 3), 4: 2} and Fraction(4, 4 - 1) == Fraction(4, 3)
    assert Fraction(4 + 1 - 2, 1) + 1 == 4  # one cell of padding in all
    text = SECTIONS[8].replace("\n", " ")
    assert all(said in text for said in ("s = 4/3", "Stride 1 gives 5 cells", "stride 2 gives 3", "$7/3$", "4 gives 2"))
    return []


def first_weights():
    data = datasets.mnist()
    if data.is_stand_in:
        pytest.skip("the spread is that of real images: make data")
    counts = np.bincount(data.train_images[:50_000].ravel(), minlength=256).tolist()
    length = sum(n * (grey / 255) ** 2 for grey, n in enumerate(counts)) / 50_000  # mean of |x|^2
    # A sum of independent weights of variance 1 has variance |x|^2; ReLU keeps half of a symmetric one's square.
    first, logits = math.sqrt(length), math.sqrt(length * 256 / 2 * 128 / 2)
    assert f"about {logits:.0f}." in SECTIONS[9]
    rng = np.random.default_rng(0)  # and by drawing
    a = data.train_images[:500].reshape(500, -1) / 255
    drawn = []
    for wide, narrow in ((784, 256), (256, 128), (128, 10)):
        z = a @ rng.standard_normal((wide, narrow))
        drawn.append(z.std())
        a = np.maximum(z, 0)
    assert drawn[0] == pytest.approx(first, rel=0.1) and drawn[2] == pytest.approx(logits, rel=0.35)
    math.exp(709)
    with pytest.raises(OverflowError):
        math.exp(710)
    return [f"{first:.1f}", f"{first * math.sqrt(2 / 784):.2f}"]


def three_errors():
    history = json.loads((ROOT / "artifacts" / "p1" / "p1_history.json").read_text(encoding="utf-8"))
    recipe, seed = re.fullmatch(r"p1_model.npz is recipe (\w+), seed (\d+)", history["model"]).groups()
    (rate,) = [run["test_error"] for run in history[recipe]["seeds"] if run["seed"] == int(seed)]
    assert f"{round(10_000 * rate)} of 10,000 test digits" in SECTIONS[10]
    return [f"{rate:.4f}", f"{100 * rate:.2f}"]


def twice():
    perfect = [1.0] + [0.0] * 9
    again = [math.exp(p) / sum(map(math.exp, perfect)) for p in perfect]
    assert -math.log(again[0]) == pytest.approx(math.log(math.e + 9) - 1)
    return [f"{-math.log(again[0]):.4f}", f"{-math.log(again[0]):.1f}"]


def too_large():
    ends = [walk("descent", 0, rate, 3)[3] for rate in (1, 0.1)]
    for rate, arrives in ((5.38, True), (5.41, False)):
        assert (abs(walk("descent", minimum() + 1e-3, rate, 5000)[-1] - minimum()) < 1e-4) == arrives
    jumps = sorted(walk("descent", -3, 6, 5001)[-2:])
    values = [f"{v:.4f}" for v in (*ends, minimum(), curvature(), *jumps)]
    return [*values, f"{2 / curvature():.3f}"]


POINTS = dict(
    enumerate(
        (not_gate, threshold, step_size, readings, momentum, labels, turned, strides, first_weights, three_errors)
        + (twice, too_large),
        start=1,
    )
)


def decimals(text):
    """The decimal numbers of a text with their signs; a minus that subtracts has a space behind it and is none."""
    return re.findall(r"[-−]?(?<![\d.,])\d+\.\d+", text.replace("$", ""))


@pytest.mark.parametrize("number", POINTS)
def test_every_number_of_an_erratum_is_computed_here(number):
    computed = {value.replace("-", "−") for value in POINTS[number]()}
    said = {value.replace("-", "−") for value in decimals(SECTIONS[number])}
    assert said == computed


def test_the_errata_are_twelve_and_in_order():
    assert list(SECTIONS) == list(POINTS) == list(range(1, 13))


def test_every_link_of_the_page_leads_somewhere():
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / "notebooks" / target).exists() or target == "06_pytorch_cnn_on_cifar10.ipynb", target
    for anchor in re.findall(r"\]\(#([\w-]+)\)", PAGE):
        assert f"## {anchor.capitalize()}\n" in PAGE


ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in GLOSSARY.splitlines() if line.startswith("| ")
]


def test_the_glossary_is_sorted_and_each_term_has_one_sentence():
    terms = [row[0] for row in ROWS[1:]]
    assert len(terms) > 40 and terms == sorted(terms, key=str.lower) and len(set(terms)) == len(terms)
    for term, _, sentence, notebook in ROWS[1:]:
        assert sentence.endswith(".") and not re.search(r"[.!?] [A-Z]", sentence), term
        assert re.fullmatch(r"0[1-6]", notebook), term


@pytest.mark.parametrize("row", ROWS[1:], ids=lambda row: row[0])
def test_each_term_is_used_in_the_notebook_that_teaches_it(row):
    twins = list((ROOT / "notebooks" / "text").glob(f"{row[3]}_*.py"))
    if not twins:
        pytest.skip(f"notebook {row[3]} is not there yet")
    text = twins[0].read_text(encoding="utf-8").lower().replace("\n# ", " ").replace("*", "").replace("_", " ")
    words = row[0].lower().split(", ")
    assert any(word in " ".join(text.split()) for word in words), f"notebook {row[3]} does not speak of {row[0]}"
