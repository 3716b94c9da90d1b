"""Activation functions, their derivatives, and gradient descent with and without momentum, step by step."""

from dataclasses import dataclass

import numpy as np
from scipy.special import erf, lambertw

from helpers.assignment import GELU_SCALE

METHODS = ("gradient descent", "momentum A", "momentum B", "heavy ball")


def sigmoid(x):
    """Return 1 / (1 + e^-x) of a number or an array of any shape, without overflow for any finite x."""
    x = np.asarray(x, dtype=float)
    small = np.exp(-np.abs(x))  # never above 1
    return np.where(x >= 0, 1.0, small) / (1.0 + small)


def gelu(x):
    """Return x * sigmoid(1.702 x), the GELU of the assignment (Hendrycks and Gimpel 2016, section 2)."""
    return np.asarray(x, dtype=float) * sigmoid(GELU_SCALE * np.asarray(x, dtype=float))


def gelu_gradient(x):
    """Return the first derivative of `gelu`: s + 1.702 x s (1 - s) with s = sigmoid(1.702 x), by the product rule."""
    s = sigmoid(GELU_SCALE * np.asarray(x, dtype=float))
    return s + GELU_SCALE * np.asarray(x, dtype=float) * s * (1 - s)


def gelu_curvature(x):
    """Return the second derivative of `gelu`: 1.702 s (1 - s) (2 + z (1 - 2 s)), z = 1.702 x, s = sigmoid(z)."""
    z = GELU_SCALE * np.asarray(x, dtype=float)
    s = sigmoid(z)
    return GELU_SCALE * s * (1 - s) * (2 + z * (1 - 2 * s))


def gelu_exact(x):
    """Return x Phi(x), the GELU that the sigmoid form approximates; Phi is the normal distribution function."""
    x = np.asarray(x, dtype=float)
    return x * 0.5 * (1 + erf(x / np.sqrt(2)))


def gelu_exact_gradient(x):
    """Return the derivative of `gelu_exact`: Phi(x) + x phi(x), with phi the standard normal density."""
    x = np.asarray(x, dtype=float)
    return 0.5 * (1 + erf(x / np.sqrt(2))) + x * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


def relu(x):
    """Return max(0, x)."""
    return np.maximum(0.0, x)


def relu_gradient(x):
    """Return the derivative of `relu`: 1 for x > 0, else 0; at the kink itself 0 is chosen, as is the custom."""
    return (np.asarray(x) > 0).astype(float)


def elu(x, alpha=1.0):
    """Return x for x >= 0 and alpha (e^x - 1) below (Clevert, Unterthiner and Hochreiter 2015)."""
    x = np.asarray(x, dtype=float)
    return np.where(x >= 0, x, alpha * np.expm1(np.minimum(x, 0)))


def elu_gradient(x, alpha=1.0):
    """Return the derivative of `elu`: 1 for x >= 0 and alpha e^x below."""
    x = np.asarray(x, dtype=float)
    return np.where(x >= 0, 1.0, alpha * np.exp(np.minimum(x, 0)))


def minimum():
    """Return x* = -(1 + W(1/e)) / 1.702, where `gelu` is smallest; W is Lambert's function.

    gelu'(x) = 0 means 1 + z (1 - sigmoid(z)) = 0 with z = 1.702 x; with u = -(1 + z) this is u e^u = 1/e.
    """
    return float(-(1 + lambertw(np.exp(-1)).real) / GELU_SCALE)


def steepest_on_the_left():
    """Return the x < x* at which |gelu'| is largest: where the curvature changes its sign.

    gelu''(x) = 0 means z tanh(z / 2) = 2 with z = 1.702 x; Newton's method converges to it from z = -2.4.
    """
    z = -2.4
    for _ in range(20):
        t = np.tanh(z / 2)
        z -= (z * t - 2) / (t + z * (1 - t * t) / 2)
    return float(z / GELU_SCALE)


def largest_stable_step():
    """Return 2 / gelu''(x*): gradient descent that starts near x* converges for every smaller step size."""
    return float(2 / gelu_curvature(minimum()))


@dataclass(frozen=True)
class Trajectory:
    """The visits of a descent: `x`, `value` and `gradient` have n + 1 entries, `velocity` one for each of n updates."""

    method: str
    learning_rate: float
    momentum: float
    x: np.ndarray
    value: np.ndarray
    gradient: np.ndarray
    velocity: np.ndarray

    @property
    def distance(self):
        """Return |x_t - x*| for every visit."""
        return np.abs(self.x - minimum())


def descend(method, x0, learning_rate, steps, momentum=0.9) -> Trajectory:
    """Follow one of four rules for `steps` updates of x on GELU, from `x0`; g_t is the gradient at x_t.

    - "gradient descent": x_{t+1} = x_t - learning_rate g_t.
    - "momentum A", "momentum B": v_0 = g_0, v_{t+1} = momentum v_t + (1 - momentum) g_t, the exponentially weighted
      average of Eq. 5. Reading A steps along v_t, reading B along the fresh v_{t+1}.
    - "heavy ball": v_{t+1} = momentum v_t + g_t from v_0 = 0, no (1 - momentum); x steps along v_{t+1} (Polyak 1964).

    Raises ValueError for a method that does not exist, a step size that is not positive, a momentum outside [0, 1),
    a negative number of steps, or a start that is not a finite number.
    """
    if method not in METHODS:
        raise ValueError(f"there is no method {method!r}; choose one of {', '.join(METHODS)}")
    if not np.isfinite(x0):
        raise ValueError(f"the start x0 = {x0} is not a finite number; choose one such as -3")
    if not (np.isfinite(learning_rate) and learning_rate > 0):
        raise ValueError(f"the step size {learning_rate} is not positive; choose one such as 0.1")
    if not 0 <= momentum < 1:
        raise ValueError(f"the momentum {momentum} is outside [0, 1); choose one such as 0.9")
    if steps < 0 or steps != int(steps):
        raise ValueError(f"the number of steps {steps} is not a whole number from 0 on; choose one such as 3")

    visited, velocities = [float(x0)], []
    v = 0.0 if method == "heavy ball" else float(gelu_gradient(x0))
    for _ in range(int(steps)):
        g = float(gelu_gradient(visited[-1]))
        if method == "gradient descent":
            along = g
        elif method == "momentum A":
            along, v = v, momentum * v + (1 - momentum) * g
        elif method == "momentum B":
            along = v = momentum * v + (1 - momentum) * g
        else:
            along = v = momentum * v + g
        velocities.append(along)
        visited.append(visited[-1] - learning_rate * along)
    x = np.array(visited)
    return Trajectory(method, learning_rate, momentum, x, gelu(x), gelu_gradient(x), np.array(velocities))


def overtaking_step(slow: Trajectory, fast: Trajectory):
    """Return the first step from which on `fast` is nearer to x* than `slow`, to the end of both; None if never.

    Raises ValueError for trajectories of different lengths.
    """
    if len(slow.x) != len(fast.x):
        raise ValueError(f"trajectories of {len(slow.x)} and {len(fast.x)} points cannot be compared; make them equal")
    behind = np.flatnonzero(fast.distance >= slow.distance)
    first = int(behind[-1]) + 1 if len(behind) else 0
    return first if first < len(slow.x) else None
