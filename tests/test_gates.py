"""Gate networks, their margins and the proofs that nothing smaller will do, each by a second route."""

import itertools
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.core import gates

NAMES = list(gates.TRUTH)
PYTHON = {
    "NOT": lambda a: not a,
    "AND": lambda a, b: a and b,
    "NAND": lambda a, b: not (a and b),
    "OR": lambda a, b: a or b,
    "NOR": lambda a, b: not (a or b),
    "XOR": lambda a, b: a != b,
    "XNOR": lambda a, b: a == b,
}
weights = st.floats(-6, 6, allow_nan=False)


def torch_output(network, inputs):
    x = torch.tensor(inputs, dtype=torch.float64)
    for number, (W, b) in enumerate(network.layers, start=1):
        x = x @ torch.tensor(np.array(W)) + torch.tensor(np.array(b))
        if number < len(network.layers):
            x = torch.sigmoid(x)
    return x[:, 0].numpy()


@pytest.mark.parametrize("gate", NAMES)
def test_truth_tables_are_pythons_own(gate):
    n = 1 if gate == "NOT" else 2
    inputs = list(itertools.product((False, True), repeat=n))
    assert gates.truth_of(gate).tolist() == [int(PYTHON[gate](*x)) for x in inputs]
    assert gates.corners(n).tolist() == [[float(v) for v in x] for x in inputs]


@pytest.mark.parametrize("gate", NAMES)
def test_every_gate_is_computed_with_a_margin_of_at_least_a_half(gate):
    network = gates.smallest_network(gate)
    rows = gates.truth_table(network, gate)
    assert all(row.right for row in rows) and len(rows) == 2 ** network.sizes[0]
    reference = torch_output(network, gates.corners(network.sizes[0]))
    assert np.allclose([row.z for row in rows], reference, rtol=0, atol=1e-14)
    signs = np.where(gates.truth_of(gate) == 1, 1, -1)
    assert gates.margin(network, gate) == pytest.approx(min(signs * reference), abs=1e-14)
    assert gates.margin(network, gate) >= 0.5
    assert network.sizes == ((1, 1) if gate == "NOT" else (2, 2, 1) if gate in ("XOR", "XNOR") else (2, 1))


def test_the_strip_network_against_exact_arithmetic():
    def s(x):
        return 1 / (1 + sympy.exp(-sympy.Rational(x)))

    for gate, sign in (("XOR", 1), ("XNOR", -1)):
        exact = [sign * (2 * s(4 * t - 2) - 2 * s(4 * t - 6) - 1) for t in (0, 1, 1, 2)]
        z = [row.z for row in gates.truth_table(gates.smallest_network(gate), gate)]
        assert z == pytest.approx([float(sympy.N(e, 30)) for e in exact], abs=1e-14)
    assert gates.margin(gates.smallest_network("XOR"), "XOR") == pytest.approx(0.5232, abs=5e-5)


def test_six_numbers_compute_xor_without_any_bias():
    network = gates.XOR_WITHOUT_BIASES
    exact = [4 / (1 + math.exp(-4 * s)) - 5 / (1 + math.exp(-s)) for s in (0, 1, 1, 2)]
    assert [row.z for row in gates.truth_table(network, "XOR")] == pytest.approx(exact, abs=1e-14)
    assert gates.margin(network, "XOR") == pytest.approx(0.2728, abs=5e-5)
    assert sum(np.count_nonzero(W) + np.count_nonzero(b) for W, b in network.layers) == 6


@pytest.mark.parametrize("missing", [0, 1, 2, 3, 6, 7])
def test_no_weight_of_the_two_two_one_network_can_be_left_out(missing):
    parameters = np.random.default_rng(missing).uniform(-8, 8, size=(40_000, 9))
    assert (0, 1, 1, 0) in gates.functions_found((2, 2, 1), parameters)
    parameters[:, missing] = 0
    found = gates.functions_found((2, 2, 1), parameters)
    assert (0, 1, 1, 0) not in found and (1, 0, 0, 1) not in found


def test_one_hidden_neuron_and_a_skip_would_do_but_that_is_no_mlp():
    for a, b in itertools.product((0, 1), repeat=2):
        z = a + b - 0.5 - 3 / (1 + math.exp(-(4 * (a + b) - 6)))
        assert (z >= 0) == (a != b) and abs(z) > 0.14


@pytest.mark.parametrize("gate", ["AND", "OR", "NAND", "NOR"])
def test_the_lines_lie_as_far_from_the_corners_as_any_line_can(gate):
    network = gates.smallest_network(gate)
    best = max(
        min(sign * (math.cos(phi) * a + math.sin(phi) * b + shift) for (a, b), sign in signed(gate))
        for phi in np.linspace(0, 2 * np.pi, 361)[:-1]
        for shift in np.linspace(-1.5, 1.5, 121)
    )
    distance = gates.margin(network, gate) / np.linalg.norm(network.layers[0][0])
    assert distance == pytest.approx(math.sqrt(2) / 4, abs=1e-15)
    assert best <= distance + 1e-12 and best > distance - 0.02


def signed(gate):
    return [(x, 1 if t else -1) for x, t in zip(itertools.product((0, 1), repeat=2), gates.truth_of(gate), strict=True)]


@pytest.mark.parametrize(("bias", "right"), [(0, True), (0.5, True), (0.999, True), (1, False), (-0.5, False)])
def test_not_needs_a_bias_from_zero_to_below_one(bias, right):
    rows = gates.truth_table(gates.neuron([-1], bias), "NOT")
    assert all(row.right for row in rows) is right


def test_not_as_printed_is_class_0_twice():
    assert [row.z for row in gates.truth_table(gates.neuron([-1], -0.5), "NOT")] == [-0.5, -1.5]
    assert gates.computes(gates.neuron([-1], -0.5)) == (0, 0)


@pytest.mark.parametrize(("gate", "low"), [("AND", -2), ("OR", -1)])
def test_a_tie_counts_as_class_1(gate, low):
    assert gates.margin(gates.neuron([1, 1], low), gate) == 0
    assert gates.computes(gates.neuron([1, 1], low)) == gates.TRUTH[gate]
    assert gates.computes(gates.neuron([1, 1], low + 1)) != gates.TRUTH[gate]


def test_which_of_the_sixteen_one_neuron_computes_by_brute_force():
    reachable = {
        tuple(int(w1 * a + w2 * b + c >= 0) for a in (0, 1) for b in (0, 1))
        for w1, w2, c in itertools.product(range(-3, 4), repeat=3)
    }
    functions = gates.all_two_input_functions()
    assert len(functions) == 16 and [o for _, o, _ in functions] == list(itertools.product((0, 1), repeat=4))
    assert {outputs for _, outputs, found in functions if found.separable} == reachable
    assert [name for name, _, found in functions if not found.separable] == ["XOR", "XNOR"]
    for name, outputs, found in functions:
        if found.separable:
            assert gates.margin(gates.neuron(found.weights, found.bias), outputs) == pytest.approx(1), name
        if name in gates.TRUTH:
            assert gates.TRUTH[name] == outputs


@pytest.mark.parametrize("gate", ["AND", "OR", "NAND", "NOR"])
def test_the_linear_program_finds_twice_our_weights(gate):
    found, (W, b) = gates.separate(gate), gates.smallest_network(gate).layers[0]
    assert [*found.weights, found.bias] == pytest.approx([*(2 * W[:, 0]), 2 * b[0]], abs=1e-9)


@pytest.mark.parametrize("gate", ["XOR", "XNOR"])
def test_the_certificate_is_a_proof_in_exact_numbers(gate):
    found = gates.separate(gate)
    multipliers = [Fraction(value).limit_denominator(1000) for value in found.certificate]
    assert multipliers == [Fraction(1, 4)] * 4
    columns = zip(*(([sign * a, sign * b, sign]) for (a, b), sign in signed(gate)), strict=True)
    assert [sum(m * c for m, c in zip(multipliers, column, strict=True)) for column in columns] == [0, 0, 0]


@settings(deadline=None, max_examples=60)
@given(st.lists(weights, min_size=5, max_size=9).filter(lambda p: len(p) % 2 == 1), st.integers(0, 999))
def test_width_one_collapses_to_one_neuron_everywhere(parameters, seed):
    layers = [(np.array(parameters[:2])[:, None], parameters[2:3])]
    layers += [([[u]], [d]) for u, d in zip(parameters[3::2], parameters[4::2], strict=True)]
    network = gates.GateNetwork(tuple(layers))
    single = gates.collapse(network)
    assert single.sizes == (2, 1)
    points = np.random.default_rng(seed).uniform(-2, 3, size=(300, 2))
    clear = np.abs(network.output(points)) > 1e-9  # not within rounding of the boundary
    assert np.array_equal(network.classify(points)[clear], single.classify(points)[clear])


@settings(deadline=None, max_examples=60)
@given(st.lists(weights, min_size=9, max_size=9))
def test_the_batch_search_agrees_with_one_network_at_a_time(parameters):
    p = np.array(parameters)
    network = gates.GateNetwork(((p[:4].reshape(2, 2), p[4:6]), (p[6:8, None], p[8:])))
    (found,) = gates.functions_found((2, 2, 1), p[None])
    z = network.output(gates.corners())
    assert found == gates.computes(network) or np.abs(z).min() < 1e-12


def test_searches_find_fourteen_functions_at_width_one_and_all_at_width_two():
    grid = gates.functions_found((2, 1, 1), gates.parameter_grid(5, range(-3, 4)))
    assert sum(grid.values()) == 7**5 and len(grid) == 14
    assert not {(0, 1, 1, 0), (1, 0, 0, 1)} & set(grid)
    assert len(gates.random_search((2, 2, 1), 100_000)) == 16
    # One narrow layer is no bar in itself: A + B is all that XOR needs, if something wide enough follows.
    assert (0, 1, 1, 0) in gates.random_search((2, 1, 2, 1), 100_000)


@settings(deadline=None, max_examples=80)
@given(st.floats(1e-2, 40))
def test_xor_stays_separable_at_every_sharpness(k):
    network = gates.strip_network(k)
    margin = gates.margin(network, "XOR")
    h = [1 / (1 + math.exp(-k * (s - 0.5))) - 1 / (1 + math.exp(-k * (s - 1.5))) for s in (0, 1, 2)]
    assert margin > 0 and margin == pytest.approx((h[1] - max(h[0], h[2])) / 2, rel=1e-6, abs=1e-15)
    sizes = [abs(row.z) for row in gates.truth_table(network, "XOR")]
    assert max(sizes) - min(sizes) < 1e-14


def test_soft_hidden_neurons_lose_margin_with_the_cube_of_their_weights():
    k = sympy.symbols("k")
    s = lambda x: 1 / (1 + sympy.exp(-x))  # noqa: E731
    gap = 3 * s(k / 2) - s(3 * k / 2) - 1
    assert sympy.series(gap, k, 0, 5).removeO() == k**3 / 16
    u = sympy.symbols("u", positive=True)
    assert sympy.simplify(gap.subs(k, -2 * sympy.log(u)) - (1 - u) ** 3 / (1 + u**3)) == 0
    for value in (0.3, 1.0, 4.0, 12.0):
        exact = float(sympy.N(gap.subs(k, sympy.Rational(str(value))), 30))
        assert gates.strip_gap(value) == pytest.approx(exact, rel=1e-13)
        assert gates.margin(gates.strip_network(value), "XOR") == pytest.approx(exact / 2)


@pytest.mark.parametrize(("sizes", "parameters", "neurons"), [
    ((1, 1), 2, 1), ((2, 1), 3, 1), ((2, 1, 1), 5, 2), ((2, 2, 1), 9, 3), ((2, 1, 1, 1), 7, 3), ((2, 3, 1), 13, 4),
])  # fmt: skip
def test_counts_against_torch(sizes, parameters, neurons):
    pairs = zip(sizes[:-1], sizes[1:], strict=True)
    count = sum(p.numel() for n_in, n_out in pairs for p in torch.nn.Linear(n_in, n_out).parameters())
    assert gates.parameter_count(sizes) == parameters == count
    assert gates.neuron_count(sizes) == neurons


def torch_counts(sizes, networks=100_000):
    """Count the truth tables of the notebook's random networks, evaluated by PyTorch."""
    parameters = torch.tensor(np.random.default_rng(0).uniform(-8, 8, size=(networks, gates.parameter_count(sizes))))
    a, start = torch.tensor(gates.corners()).T.expand(networks, 2, 4), 0
    for n_in, n_out in zip(sizes[:-1], sizes[1:], strict=True):
        W = parameters[:, start : start + n_in * n_out].reshape(networks, n_in, n_out)
        b = parameters[:, start + n_in * n_out : start + (n_in + 1) * n_out]
        start += (n_in + 1) * n_out
        z = torch.einsum("kio,kic->koc", W, a) + b[:, :, None]
        a = torch.sigmoid(z)
    classes, counts = torch.unique((z[:, 0] >= 0).int(), dim=0, return_counts=True)
    return {tuple(c.tolist()): int(n) for c, n in zip(classes, counts, strict=True)}


@pytest.mark.parametrize(("sizes", "functions", "xor", "xnor"), [
    ((2, 1), 14, 0, 0), ((2, 1, 1), 14, 0, 0), ((2, 1, 1, 1), 14, 0, 0), ((2, 2, 1), 16, 50, 41),
    ((2, 1, 2, 1), 16, 5, 3),
])  # fmt: skip
def test_the_search_of_the_notebook_by_torch(sizes, functions, xor, xnor):
    found = gates.random_search(sizes, networks=100_000)
    assert found == torch_counts(sizes)
    assert (len(found), found.get((0, 1, 1, 0), 0), found.get((1, 0, 0, 1), 0)) == (functions, xor, xnor)


def test_numbers_told_in_the_prose():
    def difference(k, s):
        return 1 / (1 + math.exp(-k * (s - 0.5))) - 1 / (1 + math.exp(-k * (s - 1.5)))

    assert [round(difference(1, s), 3) for s in (0, 1, 2)] == [0.195, 0.245, 0.195]
    assert [round(difference(4, s), 3) for s in (0, 1, 2)] == [0.117, 0.762, 0.117]
    assert round(0.5 / math.sqrt(2), 3) == 0.354
    # The explorer's question: which output biases repair XOR at sharpness 1 with output weights 2 and -2?
    low, high = -2 * difference(1, 1), -2 * difference(1, 0)
    assert low < -0.489 < low + 0.001 and high < -0.390 < high + 0.001
    assert round(min(2 * difference(1, 1) - 0.45, 0.45 - 2 * difference(1, 0)), 2) == 0.04


@pytest.mark.parametrize("bad, word", [
    (lambda: gates.truth_of("NAN"), "NAND"),
    (lambda: gates.truth_of((0, 1, 2, 0)), "0 or 1"),
    (lambda: gates.truth_of((0, 1, 0)), "2 or 4"),
    (lambda: gates.smallest_network((0, 1, 1, 0)), "XNOR"),
    (lambda: gates.corners(3), "1 or 2"),
    (lambda: gates.GateNetwork(()), "at least one layer"),
    (lambda: gates.GateNetwork((([1, 1], [0]),)), "(2,)"),
    (lambda: gates.GateNetwork((([[1], [1]], 0.5),)), "(neurons,)"),
    (lambda: gates.GateNetwork((([[1, 1], [1, 1]], [0, 0]), ([[1]], [0]))), "Layer 2"),
    (lambda: gates.GateNetwork((([[1, 1], [1, 1]], [0, 0]),)), "one output"),
    (lambda: gates.GateNetwork((([[float("nan")], [1]], [0]),)), "not finite"),
    (lambda: gates.neuron([[1, 1]], 0), "flat list"),
    (lambda: gates.neuron([1, 1], [0]), "one bias"),
    (lambda: gates.truth_table(gates.neuron([1, 1], 0), "NOT"), "(rows, 2)"),
    (lambda: gates.neuron([1, 1], 0).output([1, 1]), "one row per case"),
    (lambda: gates.strip_network(0), "positive"),
    (lambda: gates.strip_gap(-1), "positive"),
    (lambda: gates.strip_network(float("nan")), "positive"),
    (lambda: gates.collapse(gates.smallest_network("XOR")), "width one"),
    (lambda: gates.parameter_count((2,)), "(2, 2, 1)"),
    (lambda: gates.parameter_count((2, 0, 1)), "whole numbers"),
    (lambda: gates.functions_found((2, 1), np.zeros((5, 4))), "3 parameters"),
    (lambda: gates.functions_found((3, 1), np.zeros((5, 4))), "two inputs"),
    (lambda: gates.parameter_grid(9, range(7)), "fewer values"),
    (lambda: gates.random_search((2, 1), 0), "positive"),
])  # fmt: skip
def test_bad_input_gets_one_sentence(bad, word):
    with pytest.raises(ValueError) as caught:
        bad()
    message = str(caught.value)
    assert word in message and message.endswith(".") and "\n" not in message


QUICK = settings(max_examples=25, deadline=None)


@QUICK
@given(st.lists(st.integers(0, 1), min_size=4, max_size=4))
def test_a_separation_proves_what_it_says(outputs):
    """Every one of the sixteen tables: a neuron that computes it, or multipliers under which no neuron can."""
    rows, found = gates.signed_rows(tuple(outputs)), gates.separate(tuple(outputs))
    assert gates.truth_of(tuple(outputs)).tolist() == outputs
    if found.separable:
        network = gates.neuron(found.weights, found.bias)
        assert gates.computes(network) == tuple(outputs)
        assert (rows @ [*found.weights, found.bias] >= 1 - 1e-9).all()
        assert gates.margin(network, tuple(outputs)) >= 1 - 1e-9
    else:
        multipliers = np.array(found.certificate)
        assert (multipliers >= -1e-12).all() and multipliers.sum() == pytest.approx(1)
        np.testing.assert_allclose(multipliers @ rows, 0, atol=1e-9)


@QUICK
@given(st.lists(st.floats(-9, 9), min_size=2, max_size=2), st.floats(-9, 9), st.floats(0.1, 10))
def test_a_neuron_keeps_its_table_and_scales_its_margin(weights, bias, factor):
    network, scaled = gates.neuron(weights, bias), gates.neuron([factor * w for w in weights], factor * bias)
    table = gates.computes(network)
    margin = gates.margin(network, table)
    assert gates.margin(scaled, table) == pytest.approx(factor * margin, rel=1e-9, abs=1e-12)
    assert margin == pytest.approx(min(abs(weights[0] * a + weights[1] * b + bias) for a in (0, 1) for b in (0, 1)))


@QUICK
@given(st.lists(st.integers(1, 6), min_size=2, max_size=4))
def test_parameters_are_counted_as_they_are_stored(sizes):
    sizes[-1] = 1
    layers = tuple((np.zeros((a, b)), np.zeros(b)) for a, b in itertools.pairwise(sizes))
    stored = sum(W.size + b.size for W, b in gates.GateNetwork(layers).layers)
    assert gates.parameter_count(sizes) == stored and gates.neuron_count(sizes) == sum(len(b) for _, b in layers)


@QUICK
@given(st.floats(0.01, 40))
def test_the_gap_of_the_strip_is_that_of_its_sigmoids(k):
    def sigmoid(z):
        return mpmath.mpf(1) / (1 + mpmath.exp(-z))

    with mpmath.workdps(40):
        exact = 3 * sigmoid(mpmath.mpf(k) / 2) - sigmoid(3 * mpmath.mpf(k) / 2) - 1
    assert gates.strip_gap(k) == pytest.approx(float(exact), rel=1e-9) and gates.strip_gap(k) > 0


@QUICK
@given(st.integers(1, 4), st.lists(st.floats(-3, 3), min_size=1, max_size=4, unique=True))
def test_a_grid_holds_every_choice_once(count, values):
    grid = gates.parameter_grid(count, values)
    assert sorted(map(tuple, grid.tolist())) == sorted(itertools.product(values, repeat=count))
