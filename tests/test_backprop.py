"""Theory 3: the network against PyTorch, central differences, mpmath and sympy; the answers and the pictures."""

import re
from dataclasses import fields

import mpmath
import numpy as np
import pytest
import sympy
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

from helpers.answers import check
from helpers.answers.backprop import QUESTIONS
from helpers.core import backprop
from helpers.figures import backprop as figures

QUANTITIES = [field.name for field in fields(backprop.Gradients)]
few = settings(deadline=None, max_examples=25)
logits = st.lists(st.floats(-1000, 1000), min_size=2, max_size=6).map(lambda values: np.array([values]))


def random_case(seed, rows=1):
    """A network of random sizes and weights, an input, and a label row that need not add up to one."""
    rng = np.random.default_rng(seed)
    N, M, K = rng.integers(1, 6, 3)
    net = backprop.TwoLayerNet(*(rng.normal(size=s) for s in ((N, M), (1, M), (M, K), (1, K))))
    return net, rng.normal(size=(rows, N)), rng.uniform(0, 2, (rows, K))


def autograd(net, x, y):
    """The gradients of every quantity as PyTorch finds them."""
    leaves = {name: torch.tensor(getattr(net, name), requires_grad=True) for name in backprop.PARAMETERS}
    x = torch.tensor(np.asarray(x, dtype=float), requires_grad=True)
    f1 = x @ leaves["W1"] + leaves["b1"]
    a = torch.sigmoid(f1)
    f2 = a @ leaves["W2"] + leaves["b2"]
    o = torch.softmax(f2, dim=1)
    E = -(torch.tensor(y) * torch.log(o)).sum()
    named = {"o": o, "f2": f2, "a": a, "f1": f1, "x": x, **leaves}
    return float(E.detach()), dict(zip(named, torch.autograd.grad(E, list(named.values())), strict=True))


# --- softmax and cross-entropy ---------------------------------------------------------------------------------


@few
@given(logits)
def test_softmax_and_log_sum_exp_agree_with_scipy_at_any_size(f2):
    np.testing.assert_allclose(backprop.softmax(f2), special.softmax(f2, axis=1), rtol=1e-12)
    np.testing.assert_allclose(backprop.log_sum_exp(f2)[:, 0], special.logsumexp(f2, axis=1), rtol=1e-12, atol=1e-14)


@few
@given(logits, st.floats(-500, 500))
def test_adding_one_number_to_every_logit_changes_no_probability(f2, shift):
    np.testing.assert_allclose(backprop.softmax(f2 + shift), backprop.softmax(f2), rtol=1e-9, atol=1e-12)


def test_naive_and_stable_agree_where_both_can_compute():
    f2, y = np.array([[1.0, -2.0, 0.5]]), np.array([[0.0, 1.0, 0.0]])
    np.testing.assert_allclose(backprop.naive_softmax(f2), backprop.softmax(f2), rtol=1e-15)
    assert backprop.naive_cross_entropy(f2, y) == pytest.approx(backprop.cross_entropy(f2, y), rel=1e-15)


def test_at_logits_of_a_thousand_only_the_stable_form_survives():
    f2, y = np.array([[1000.0, 999.0, -1000.0]]), backprop.one_hot(3, 3)
    assert np.isnan(backprop.naive_softmax(f2)).any()
    assert np.isnan(backprop.naive_cross_entropy(f2, y))
    exact = [mpmath.exp(v - 1000) / (1 + mpmath.exp(-1) + mpmath.exp(-2000)) for v in (1000, 999, -1000)]
    np.testing.assert_allclose(backprop.softmax(f2)[0], [float(v) for v in exact], rtol=1e-15)
    assert backprop.cross_entropy(f2, y) == pytest.approx(float(-mpmath.log(exact[2])), rel=1e-15)


def test_naive_cross_entropy_is_spoilt_by_underflow_too():
    f2 = np.array([[0.0, -800.0]])
    assert np.isinf(backprop.naive_cross_entropy(f2, [[0, 1]]))
    assert np.isnan(backprop.naive_cross_entropy(f2, [[1, 0]]))
    assert backprop.cross_entropy(f2, [[0, 1]]) == 800.0


@few
@given(logits.map(lambda f2: f2 / 200))
def test_jacobian_is_the_derivative_of_softmax(f2):
    o = backprop.softmax(f2)
    rows = [backprop.central_difference(lambda f, k=k: backprop.softmax(f)[0, k], f2)[0] for k in range(f2.shape[1])]
    np.testing.assert_allclose(backprop.softmax_jacobian(o), rows, atol=1e-9)
    np.testing.assert_allclose(backprop.softmax_jacobian(o).sum(axis=1), 0, atol=1e-15)


# --- gradients -------------------------------------------------------------------------------------------------


@few
@given(st.integers(0, 10**6), st.integers(1, 3))
def test_every_gradient_equals_autograd(seed, rows):
    net, x, y = random_case(seed, rows)
    values = net.forward(x, y)
    gradients = backprop.backward(net, values)
    E, expected = autograd(net, x, y)
    assert pytest.approx(E, rel=1e-12) == values.E
    for name in QUANTITIES:
        np.testing.assert_allclose(getattr(gradients, name), expected[name], rtol=1e-9, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", QUANTITIES)
def test_every_gradient_equals_a_central_difference(name):
    for seed in range(5):
        net, x, y = random_case(seed)
        values = net.forward(x, y)
        difference = backprop.numerical_gradient(net, values, name)
        gradient = getattr(backprop.backward(net, values), name)
        # -y log o bends so sharply near o = 0 that the difference itself is off by h^2 / 3 o^2 there.
        assert backprop.relative_error(gradient, difference) < (1e-5 if name == "o" else 1e-7)


def test_worked_example_to_fifty_digits():
    net, x, y = backprop.worked_example()
    with mpmath.workdps(50):
        W1, b1, W2, b2 = (mpmath.matrix(getattr(net, name).tolist()) for name in backprop.PARAMETERS)

        def loss(x1, x2, x3):
            a = (mpmath.matrix([[x1, x2, x3]]) * W1 + b1).apply(lambda v: 1 / (1 + mpmath.exp(-v)))
            f2 = a * W2 + b2
            return mpmath.log(sum(mpmath.exp(v) for v in f2)) - f2[1]

        exact = [float(mpmath.diff(loss, tuple(x[0]), order)) for order in ((1, 0, 0), (0, 1, 0), (0, 0, 1))]
        E = float(loss(*x[0]))
    values = net.forward(x, y)
    assert pytest.approx(E, rel=1e-14) == values.E
    np.testing.assert_allclose(backprop.backward(net, values).x[0], exact, rtol=1e-13)


def test_worked_example_is_round():
    net, x, y = backprop.worked_example()
    assert net.sizes == (3, 4, 3)
    np.testing.assert_array_equal(net.forward(x, y).f1, [[-1, -1.5, 1, 1.5]])
    for name in backprop.PARAMETERS:
        np.testing.assert_array_equal(2 * getattr(net, name) % 1, 0)


def test_identity_of_3a_holds_symbolically_for_three_classes():
    f, y = sympy.symbols("f1:4", real=True), sympy.symbols("y1:4", real=True)
    o = [sympy.exp(f_k) / sum(map(sympy.exp, f)) for f_k in f]
    E = -sum(y_k * sympy.log(o_k) for y_k, o_k in zip(y, o, strict=True))
    general = [sympy.simplify(E.diff(f[k]) - (o[k] * sum(y) - y[k])) for k in range(3)]
    assert general == [0, 0, 0]
    printed = [sympy.simplify((E.diff(f[k]) - (o[k] - y[k])).subs(y[2], 1 - y[0] - y[1])) for k in range(3)]
    assert printed == [0, 0, 0]
    assert sympy.simplify(E.diff(f[0]) - (o[0] - y[0])) != 0  # without that condition the short form is wrong


def test_gradient_stays_finite_where_a_probability_has_underflowed():
    net, x, y = backprop.worked_example()
    net = net.scaled(logits=2000)
    values = net.forward(x, y)
    assert values.o.min() == 0
    gradients = backprop.backward(net, values)
    for name in set(QUANTITIES) - {"o"}:
        assert np.isfinite(getattr(gradients, name)).all()
    assert gradients.o[0, 0] == 0


def test_input_gradient_vanishes_as_the_hidden_layer_saturates():
    net, x, y = backprop.worked_example()
    norms = backprop.input_gradient_norms(net, x, y, [1, 2, 4, 8, 16])
    assert norms[0] == pytest.approx(np.linalg.norm(autograd(net, x, y)[1]["x"]), rel=1e-12)
    assert all(later < earlier for earlier, later in zip(norms[1:], norms[2:], strict=False))
    assert norms[-1] < 1e-4 * norms[0]


def test_scaling_multiplies_the_preactivations():
    net, x, y = backprop.worked_example()
    before = net.forward(x, y)
    np.testing.assert_allclose(net.scaled(hidden=3).forward(x, y).f1, 3 * before.f1)
    np.testing.assert_allclose(net.scaled(logits=3).forward(x, y).f2, 3 * before.f2)


# --- the gradient check itself ---------------------------------------------------------------------------------


def test_errors_of_the_difference_quotients_have_the_order_of_taylors_theorem():
    at, exact = np.array([[0.7]]), np.cos(0.7)

    def error(difference, step):
        return abs(difference(lambda v: float(np.sin(v[0, 0])), at, step)[0, 0] - exact)

    assert error(backprop.forward_difference, 1e-3) / error(backprop.forward_difference, 1e-4) == pytest.approx(
        10, 0.01
    )
    assert error(backprop.central_difference, 1e-2) / error(backprop.central_difference, 1e-3) == pytest.approx(
        100, 0.01
    )


def test_a_wrong_gradient_is_caught_and_rounding_is_not():
    net, x, y = backprop.worked_example()
    values = net.forward(x, y)
    gradient = backprop.backward(net, values).x
    difference = backprop.numerical_gradient(net, values, "x")
    assert backprop.relative_error(gradient, difference) < 1e-8
    assert backprop.relative_error(gradient * (1 + 1e-5), difference) > 5e-6
    assert backprop.relative_error(gradient, -gradient) == 2
    saturated = net.scaled(hidden=30)
    values = saturated.forward(x, y)
    gradient = backprop.backward(saturated, values).x
    difference = backprop.numerical_gradient(saturated, values, "x")
    resolution = backprop.difference_resolution(values.E)
    assert backprop.relative_error(gradient, difference) > 1e-4  # the difference quotient sees only its own rounding
    assert backprop.relative_error(gradient, difference, resolution) == 0


def test_relative_error_of_zeros_is_zero():
    assert backprop.relative_error(np.zeros((1, 3)), np.zeros((1, 3))) == 0


# --- answers ---------------------------------------------------------------------------------------------------


def right_3a(o, y):
    return o - y


def right_3b(o, y, a, W1, W2):
    """The chain rule by indices and loops, as one would do it by hand."""
    (N, M), K = W1.shape, len(W2[0])
    slope = [a[0, m] * (1 - a[0, m]) for m in range(M)]
    back = [sum((o[0, k] - y[0, k]) * W2[m, k] for k in range(K)) * slope[m] for m in range(M)]
    return [[sum(back[m] * W1[n, m] for m in range(M)) for n in range(N)]]


@pytest.mark.parametrize(("question", "answer"), [("3a", right_3a), ("3b", right_3b)])
def test_right_functions_are_right(question, answer):
    verdict = check(question, answer)
    assert (verdict.status, verdict.earned) == ("right", 5)
    assert "y adds up to 1" in verdict.sentence
    general = check(question, QUESTIONS[question].expected)
    assert general.status == "right" and "do not add up to 1" in general.sentence


def test_an_autograd_answer_is_right_too():
    def by_autograd(o, y):
        f2 = torch.log(torch.tensor(o)).requires_grad_()  # softmax gives o back from its own logarithm
        loss = -(torch.tensor(y) * torch.log_softmax(f2, dim=1)).sum()
        return torch.autograd.grad(loss, f2)[0]

    assert check("3a", by_autograd).status == "right"


@pytest.mark.parametrize(
    ("question", "slip"),
    [(q.id, slip) for q in QUESTIONS.values() for slip in q.slips],
    ids=lambda value: value if isinstance(value, str) else value.sentence[:40],
)
def test_every_slip_is_named(question, slip):
    verdict = check(question, slip.make)
    assert verdict.status == "wrong" and verdict.sentence == slip.sentence


@pytest.mark.parametrize(
    ("question", "given", "status", "words"),
    [
        ("3a", ..., "unanswered", "not answered yet"),
        ("3a", lambda o, y: ..., "unanswered", "not answered yet"),
        ("3b", lambda o, y, a, W1, W2: ..., "unanswered", "not answered yet"),
        ("3a", 0.5, "unreadable", "give one function"),
        ("3a", lambda o, y: None, "unreadable", "returned nothing"),
        ("3a", lambda o, y: o * np.nan, "unreadable", "NaN"),
        ("3a", lambda o, y: "o - y", "unreadable", "a text"),
        ("3b", lambda o, y: o - y, "wrong", "raised TypeError"),
        ("3b", lambda *named: right_3b(*named)[0], "wrong", "the shape should be (1, 4), yours is (4,)"),
        ("3b", lambda o, y, a, W1, W2: (o - y) @ W2.T @ np.diag(a[0] - 0.5) @ W1.T, "wrong", "the values are not"),
    ],
)
def test_other_answers_get_one_clear_sentence(question, given, status, words):
    verdict = check(question, given)
    assert verdict.status == status and words in verdict.sentence


# --- pictures and prose ----------------------------------------------------------------------------------------


def test_pictures_say_what_they_show():
    net, x, y = backprop.worked_example()
    values = net.forward(x, y)
    graph = figures.computation_graph(net, x, y)
    assert f"E = {values.E:.4f}" in repr(graph)
    for name in ("f2", "a", "f1", "x"):
        entries = re.search(rf"dE/d{name} = \(([^)]*)\)", repr(graph))[1].split(", ")
        np.testing.assert_allclose(
            [float(e.replace("−", "-")) for e in entries], autograd(net, x, y)[1][name][0], atol=5.1e-4
        )
    for picture in (graph, figures.network(), figures.difference_errors(net, x, y)):
        data, _ = picture._repr_mimebundle_()
        assert len(data["image/png"]) > 5000 and data["text/plain"] == repr(picture)


def test_the_picture_of_the_difference_errors_says_where_they_are_smallest():
    net, x, y = backprop.worked_example()
    values = net.forward(x, y)
    loss, exact = backprop.loss_of(net, values, "x"), backprop.backward(net, values).x

    def error(quotient, step):
        return backprop.relative_error(quotient(loss, x, step), exact)

    best = error(backprop.central_difference, None)
    assert best < 1e-9
    assert all(error(backprop.central_difference, step) > 10 * best for step in (1e-3, 1e-8, 1e-11))
    assert all(error(backprop.forward_difference, step) > 10 * best for step in (1e-3, 1e-6, 1e-8, 1e-11))


def test_what_the_notebook_says_in_words():
    net, x, y = backprop.worked_example()
    values, gradients = net.forward(x, y), autograd(net, x, y)[1]
    assert [round(100 * p) for p in values.o[0, [2, 1]]] == [54, 22]
    assert round(100 * values.a[0, 0] * (1 - values.a[0, 0])) == 20
    by_hand = 0.2434 * -2 + -0.7836 * 2 + 0.5402 * -1
    first = gradients["a"][0, 0].item()
    assert by_hand == pytest.approx(first, abs=3e-4) and round(first, 4) == -2.5941
    assert sum(gradients[name].numel() for name in ("f2", "x", *backprop.PARAMETERS)) == 37

    def length(label, hidden=1, logits=1):
        return np.linalg.norm(autograd(net.scaled(hidden, logits), x, backprop.one_hot(label, 3))[1]["x"])

    assert length(2) == pytest.approx(0.79, abs=0.005)
    assert length(2, hidden=10) == pytest.approx(0.0022, abs=5e-5)
    assert length(2, logits=10) == pytest.approx(9.02, abs=0.005)
    assert length(3, logits=10) == pytest.approx(0.0006, abs=5e-5)
    assert np.floor(1e4 * net.scaled(logits=10).forward(x, y).o[0, 2]) == 9995
    with np.errstate(over="ignore"):
        assert np.isinf(np.exp(710.0)) and np.isfinite(np.exp(709.0))


@pytest.mark.parametrize("f2", [[2, 1, 0], [702, 701, 700], [1002, 1001, 1000], [-998, -999, -1000], [0, 0, -800]])
def test_the_table_of_large_logits_in_fifty_digits(f2):
    with mpmath.workdps(50):
        total = sum(mpmath.exp(v) for v in f2)
        first, loss = float(mpmath.exp(f2[0]) / total), float(-mpmath.log(mpmath.exp(f2[2]) / total))
    assert backprop.softmax(f2)[0, 0] == pytest.approx(first, rel=1e-14)
    assert backprop.cross_entropy(f2, [0, 0, 1]) == pytest.approx(loss, rel=1e-13)
    naive = backprop.naive_softmax(f2)[0, 0], backprop.naive_cross_entropy(f2, [0, 0, 1])
    if max(f2) > 1000 or max(f2) < -900:
        assert np.isnan(naive).all()
    elif min(f2) == -800:
        assert naive[0] == pytest.approx(0.5) and np.isinf(naive[1])
    else:
        assert naive == pytest.approx((first, loss), rel=1e-12)


# --- bad input -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda net, x, y: backprop.TwoLayerNet(np.ones((3, 4)), np.ones(4), np.ones((5, 3)), np.ones(3)), "4 columns"),
        (lambda net, x, y: backprop.TwoLayerNet(net.W1, np.ones(3), net.W2, net.b2), r"b1 has shape \(1, 3\)"),
        (lambda net, x, y: net.forward([1, 2], y), "x has 2 columns; give 3"),
        (lambda net, x, y: net.forward(x, [1, 0]), "y has shape"),
        (lambda net, x, y: net.forward([1, 2, np.nan], y), "NaN"),
        (lambda net, x, y: net.forward("x", y), "not an array of numbers"),
        (lambda net, x, y: net.forward(np.ones((1, 3, 1)), y), "rows and columns"),
        (lambda net, x, y: net.scaled(hidden=np.inf), "hidden is inf"),
        (lambda net, x, y: backprop.loss_of(net, net.forward(x, y), "h"), "no quantity 'h'"),
        (lambda net, x, y: backprop.one_hot(4, 3), "from 1 to 3"),
        (lambda net, x, y: backprop.one_hot(0, 3), "from 1 to 3"),
        (lambda net, x, y: backprop.softmax_jacobian(np.ones((2, 3)) / 3), "2 rows"),
        (lambda net, x, y: backprop.central_difference(np.sum, x, step=0), "the step is 0"),
        (lambda net, x, y: backprop.central_difference(np.sum, x, step=1e-30), "lost in the rounding"),
        (lambda net, x, y: backprop.relative_error(x, x.T), "differ"),
        (lambda net, x, y: backprop.relative_error(x, x * np.nan), "NaN"),
    ],
)
def test_bad_input_gets_one_sentence(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call(*backprop.worked_example())
    assert "\n" not in str(caught.value)


QUICK = settings(max_examples=25, deadline=None)


@QUICK
@given(st.lists(st.floats(-50, 50), min_size=2, max_size=6), st.data())
def test_cross_entropy_is_a_shift_invariant_cost_of_the_right_class(f2, data):
    label = data.draw(st.integers(1, len(f2)))
    y, f2 = backprop.one_hot(label, len(f2)), np.array([f2])
    assert y.sum() == 1 and y[0, label - 1] == 1
    E = backprop.cross_entropy(f2, y)
    assert E >= 0 and E == pytest.approx(float(-np.log(special.softmax(f2, axis=1))[0, label - 1]), abs=1e-9)
    assert backprop.cross_entropy(f2 + 7.0, y) == pytest.approx(E, abs=1e-9)
    assert backprop.naive_cross_entropy(f2, y) == pytest.approx(E, abs=1e-6)
    np.testing.assert_allclose(backprop.naive_softmax(f2), special.softmax(f2, axis=1), atol=1e-12)


@QUICK
@given(st.lists(st.floats(-5, 5), min_size=3, max_size=3), st.floats(-3, 3), st.floats(-2, 2))
def test_difference_quotients_are_those_of_a_cubic(coefficients, at, other):
    a, b, c = coefficients

    def cubic(v):
        return float((a * v**3 + b * v**2 + c * v).sum())

    v = np.array([[at, other]])
    derivative = 3 * a * v**2 + 2 * b * v + c
    close = 1e-6 * (1 + np.abs(derivative).max())
    np.testing.assert_allclose(backprop.central_difference(cubic, v), derivative, atol=close)
    np.testing.assert_allclose(backprop.forward_difference(cubic, v, step=1e-6), derivative, atol=1e3 * close)
    assert backprop.difference_resolution(cubic(v)) <= close


@QUICK
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=5), st.lists(st.floats(-1e6, 1e6), min_size=5, max_size=5))
def test_relative_error_is_symmetric_and_at_most_two(first, second):
    second = second[: len(first)]
    error = backprop.relative_error(first, second)
    assert error == backprop.relative_error(second, first) and 0 <= error <= 2
    assert backprop.relative_error(first, first) == 0
    assert backprop.relative_error(first, second, resolution=1e-3) <= error


@QUICK
@given(st.integers(0, 2**32 - 1), st.sampled_from(["W1", "b1", "W2", "b2", "x", "f1", "a", "f2"]))
def test_every_numerical_gradient_is_the_derivative_along_a_random_direction(seed, name):
    rng = np.random.default_rng(seed)
    net = backprop.TwoLayerNet(*(rng.normal(size=shape) for shape in ((3, 4), (1, 4), (4, 2), (1, 2))))
    values = net.forward(rng.normal(size=(1, 3)), backprop.one_hot(int(rng.integers(1, 3)), 2))
    gradient = backprop.numerical_gradient(net, values, name)
    loss, at = backprop.loss_of(net, values, name), getattr(net if name in backprop.PARAMETERS else values, name)
    along, h = rng.normal(size=at.shape), 1e-5
    slope = (loss(at + h * along) - loss(at - h * along)) / (2 * h)
    assert float((gradient * along).sum()) == pytest.approx(slope, rel=1e-5, abs=1e-7)
