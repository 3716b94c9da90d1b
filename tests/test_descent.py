"""Theory 1, every number by a second route: autograd, finite differences, mpmath, or brute force."""

import re
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as st
from scipy.optimize import brentq, minimize_scalar

from helpers.core import descent
from helpers.figures import descent as figures

places = st.floats(-30, 30)


def autograd(function, x):
    x = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    function(x).backward()
    return x.grad.item()


def torch_gelu(x):
    return x * torch.sigmoid(1.702 * x)


@settings(deadline=None, max_examples=60)
@over(places)
def test_values_and_gradients_agree_with_torch(x):
    t = torch.tensor(x, dtype=torch.float64)
    pairs = (
        (descent.gelu, descent.gelu_gradient, torch_gelu),
        (descent.gelu_exact, descent.gelu_exact_gradient, torch.nn.functional.gelu),
        (descent.elu, descent.elu_gradient, torch.nn.functional.elu),
        (descent.relu, descent.relu_gradient, torch.relu),
    )
    for value, gradient, reference in pairs:
        assert value(x) == pytest.approx(reference(t).item(), rel=1e-12, abs=1e-14)
        assert gradient(x) == pytest.approx(autograd(reference, x), rel=1e-11, abs=1e-13)


@settings(deadline=None, max_examples=60)
@over(places)
def test_curvature_is_the_derivative_of_the_gradient(x):
    t = torch.tensor(x, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(torch_gelu(t), t, create_graph=True)
    (second,) = torch.autograd.grad(first, t)
    assert descent.gelu_curvature(x) == pytest.approx(second.item(), rel=1e-9, abs=1e-12)


def test_sigmoid_survives_any_finite_number():
    with np.errstate(over="raise", invalid="raise"):
        assert descent.sigmoid(np.array([-1e300, -800, 0, 800, 1e300])).tolist() == [0, 0, 0.5, 1, 1]


def test_minimum_in_fifty_digits_and_by_search():
    with mpmath.workdps(50):
        closed = -(1 + mpmath.lambertw(mpmath.exp(-1))) / mpmath.mpf("1.702")
        slope = mpmath.diff(lambda x: x / (1 + mpmath.exp(-mpmath.mpf("1.702") * x)), closed)
        assert abs(slope) < 1e-40
    assert descent.minimum() == pytest.approx(float(closed), abs=1e-15)
    searched = minimize_scalar(descent.gelu, bounds=(-4, 3), method="bounded", options={"xatol": 1e-10}).x
    assert descent.minimum() == pytest.approx(searched, abs=1e-6)


def test_steepest_place_and_stable_step_by_search():
    assert descent.steepest_on_the_left() == pytest.approx(brentq(descent.gelu_curvature, -3, -1), abs=1e-12)
    h = 1e-4
    x = descent.minimum()
    curvature = (descent.gelu(x + h) - 2 * descent.gelu(x) + descent.gelu(x - h)) / h**2
    assert descent.largest_stable_step() == pytest.approx(2 / curvature, rel=1e-5)


@pytest.mark.parametrize(("step", "arrives"), [(5.38, True), (5.41, False)])
def test_descent_is_stable_exactly_below_that_step(step, arrives):
    near = descent.descend("gradient descent", descent.minimum() + 1e-4, step, 3000)
    assert (near.distance[-1] < 1e-6) == arrives


def mp_walk(x0, step, beta=None, fresh=True):
    """The same walks in fifty digits, the gradient taken by mpmath's own differentiation."""
    with mpmath.workdps(50):
        gelu = lambda x: x / (1 + mpmath.exp(-mpmath.mpf("1.702") * x))  # noqa: E731
        x, step = mpmath.mpf(x0), mpmath.mpf(step)
        v, visits = mpmath.diff(gelu, x), [x]
        for _ in range(3):
            g = mpmath.diff(gelu, x)
            if beta is None:
                along = g
            else:
                old, v = v, mpmath.mpf(beta) * v + (1 - mpmath.mpf(beta)) * g
                along = v if fresh else old
            x -= step * along
            visits.append(x)
        return [float(x) for x in visits], [float(gelu(x)) for x in visits]


@pytest.mark.parametrize(
    ("method", "x0", "step", "beta", "fresh"),
    [
        ("gradient descent", "0", "0.1", None, True),
        ("gradient descent", "0", "1", None, True),
        ("gradient descent", "-3", "0.1", None, True),
        ("gradient descent", "-3", "1", None, True),
        ("momentum A", "-3", "0.1", "0.9", False),
        ("momentum B", "-3", "0.1", "0.9", True),
        ("momentum A", "-3", "1", "0.9", False),
        ("momentum B", "-3", "1", "0.9", True),
    ],
)
def test_three_steps_in_fifty_digits(method, x0, step, beta, fresh):
    visits, values = mp_walk(x0, step, beta, fresh)
    walk = descent.descend(method, float(x0), float(step), 3, 0.9)
    np.testing.assert_allclose(walk.x, visits, rtol=0, atol=1e-14)
    np.testing.assert_allclose(walk.value, values, rtol=0, atol=1e-14)


@settings(deadline=None, max_examples=40)
@over(st.floats(-4, 3), st.floats(0.05, 3), st.floats(0, 0.95))
def test_descents_agree_with_torch_optimizers(x0, step, beta):
    for method, momentum, dampening in (
        ("gradient descent", 0, 0),
        ("heavy ball", beta, 0),
        ("momentum B", beta, beta),
    ):
        x = torch.tensor(x0, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([x], lr=step, momentum=momentum, dampening=dampening)
        visits = [x0]
        for _ in range(8):  # torch's first velocity is the undamped gradient: v0 = g0, as in Eq. 5
            optimizer.zero_grad()
            torch_gelu(x).backward()
            optimizer.step()
            visits.append(x.item())
        np.testing.assert_allclose(descent.descend(method, x0, step, 8, beta).x, visits, rtol=1e-9, atol=1e-11)


def test_what_the_notebook_says_of_the_roots_of_momentum():
    """From the walk itself and from NumPy's roots, not from the formulas of the text."""
    bend, beta = descent.gelu_curvature(descent.minimum()), 0.9

    def roots(step):
        return np.roots([1, -(1 + beta - (1 - beta) * step * bend), beta])

    assert np.isreal(roots(0.071)).all() and not np.isreal(roots(0.0711)).any()
    assert abs(roots(0.1)) == pytest.approx(0.949, abs=5e-4) and abs(roots(1.0)) == pytest.approx(0.949, abs=5e-4)
    assert abs(1 - 0.138 * bend) == pytest.approx(abs(roots(0.138)[0]), abs=5e-4)
    for step, kept in ((0.1, 0.963), (1.0, 0.629)):
        assert 1 - step * bend == pytest.approx(kept, abs=5e-4)
    errors = descent.descend("momentum B", descent.minimum() + 1e-4, 0.1, steps=400).x - descent.minimum()
    for t in (100, 200, 300):  # three errors in a row obey the recurrence whose characteristic equation this is
        last = (1 + beta - (1 - beta) * 0.1 * bend) * errors[t] - beta * errors[t - 1]
        assert errors[t + 1] == pytest.approx(last, rel=1e-3, abs=1e-9)


def test_what_the_notebook_says_of_the_long_run():
    slow = [descent.descend(m, -3, 0.1, 600) for m in ("gradient descent", "momentum B")]
    fast = [descent.descend(m, -3, 1.0, 200) for m in ("gradient descent", "momentum B")]
    ahead = slow[1].distance < slow[0].distance
    first = next(t for t in range(601) if ahead[t:].all())  # the same question, asked by brute force
    assert descent.overtaking_step(*slow) == first == 394
    assert not ahead[1:first].any()
    assert descent.overtaking_step(*fast) is None
    assert np.argmax(fast[0].distance < 1e-9) == 79
    eta5, eta6 = (descent.descend("gradient descent", -3, eta, 60) for eta in (5.0, 6.0))
    assert np.argmax(eta5.distance < 0.1) == 8
    assert eta5.distance[60] / fast[0].distance[60] == pytest.approx(2.92, abs=0.01)
    assert sorted(eta6.x[-2:].round(4)) == [-1.0113, -0.5925]


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("nesterov", 0, 0.1, 3), "no method 'nesterov'"),
        (("gradient descent", float("nan"), 0.1, 3), "x0 = nan"),
        (("gradient descent", 0, 0, 3), "step size 0"),
        (("gradient descent", 0, -1, 3), "step size -1"),
        (("gradient descent", 0, float("inf"), 3), "step size inf"),
        (("momentum B", 0, 0.1, 3, 1.0), "momentum 1.0"),
        (("gradient descent", 0, 0.1, -1), "steps -1"),
        (("gradient descent", 0, 0.1, 2.5), "steps 2.5"),
    ],
)
def test_bad_input_is_named_in_one_sentence(arguments, word):
    with pytest.raises(ValueError, match=word) as caught:
        descent.descend(*arguments)
    assert "choose" in str(caught.value) and "\n" not in str(caught.value)


def test_walks_of_different_lengths_are_not_compared():
    with pytest.raises(ValueError, match="cannot be compared"):
        descent.overtaking_step(*(descent.descend("gradient descent", 0, 0.1, n) for n in (3, 4)))


@settings(max_examples=25, deadline=None)
@over(st.floats(-6, 6))
def test_nothing_is_lower_than_the_minimum_and_nothing_left_of_it_steeper(x):
    assert descent.gelu(x) >= descent.gelu(descent.minimum())
    if x < descent.minimum():
        assert abs(descent.gelu_gradient(x)) <= abs(descent.gelu_gradient(descent.steepest_on_the_left())) + 1e-15


@settings(max_examples=15, deadline=None)
@over(st.floats(0.05, 1.9))
def test_the_largest_stable_step_divides_what_converges_from_what_does_not(factor):
    """Near the minimum a step multiplies the distance by 1 - 2 factor, whatever the curvature is."""
    step = factor * descent.largest_stable_step()
    path = descent.descend("gradient descent", descent.minimum() + 1e-5, step, steps=1)
    assert path.distance[1] / path.distance[0] == pytest.approx(abs(1 - 2 * factor), abs=1e-3)


@settings(max_examples=25, deadline=None)
@over(st.lists(st.floats(0, 9), min_size=2, max_size=8), st.data())
def test_the_overtaking_step_is_the_first_from_which_on_the_other_is_behind(slow, data):
    fast = data.draw(st.lists(st.floats(0, 9), min_size=len(slow), max_size=len(slow)))
    slow, fast = (SimpleNamespace(x=np.array(d), distance=np.array(d)) for d in (slow, fast))
    ahead = [bool(np.all(fast.distance[k:] < slow.distance[k:])) for k in range(len(slow.x))]
    assert descent.overtaking_step(slow, fast) == (ahead.index(True) if any(ahead) else None)


def test_the_landscape_names_the_minimum_and_the_steepest_place():
    """Both are found anew, by brute force on a fine grid, and the drawn curves are GELU and the size of its slope."""
    x = np.linspace(-3, 1, 400_001)
    values = x / (1 + np.exp(-1.702 * x))
    slopes = np.abs(np.gradient(values, x))
    lowest, steepest = x[values.argmin()], x[slopes[: values.argmin()].argmax()]
    picture = figures.landscape()
    said = re.search(r"minimum at x\* = (−\d\.\d{4});.* until x = (−\d\.\d\d),", picture.sentence)
    told = [float(number.replace("−", "-")) for number in said.groups()]
    assert abs(told[0] - lowest) < 6e-5 and abs(told[1] - steepest) < 6e-3
    for axes, wanted in zip(picture.figure.axes, (values, slopes), strict=True):
        drawn = axes.lines[0].get_xydata()
        inside = (drawn[:, 0] > -2.99) & (drawn[:, 0] < 0.99)
        np.testing.assert_allclose(drawn[inside, 1], np.interp(drawn[inside, 0], x, wanted), atol=1e-5)
