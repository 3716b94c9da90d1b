"""What Theory 1 expects, and the slips that lead elsewhere; every value is computed by making the slip."""

from helpers import assignment as given
from helpers.checks import Question, Slip
from helpers.core import descent

_SLOPE = descent.gelu_gradient


def _walk(gradient=_SLOPE, x0=given.START_NEAR, step=given.SMALL_STEP, value=descent.gelu, fresh=True, digits=15):
    """Make the three updates with whatever the reader may have put in place of the right pieces; return x and value."""
    x = [x0]
    for _ in range(given.STEPS):
        x.append(round(x[-1] - step * float(gradient(x[-1] if fresh else x0)), digits))
    return _pairs(x[1:], value)


def _average(
    v0=None, beta=given.MOMENTUM, weight=1 - given.MOMENTUM, step=given.SMALL_STEP, along_fresh=True, sign=-1.0,
    digits=15,
):  # fmt: skip
    """Make the three updates of 1c with an average that starts at v0 and weighs a new gradient with `weight`."""
    x, v = [given.START_FAR], float(_SLOPE(given.START_FAR)) if v0 is None else v0
    for _ in range(given.STEPS):
        old, v = v, beta * v + weight * float(_SLOPE(x[-1]))
        x.append(round(x[-1] + sign * step * (v if along_fresh else old), digits))
    return _pairs(x[1:])


def _pairs(x, value=descent.gelu):
    return (*x, *(float(value(point)) for point in x))


def _sigmoid_only(x):
    return descent.sigmoid(given.GELU_SCALE * x)


def _inner_forgotten(x):
    s = _sigmoid_only(x)
    return s + x * s * (1 - s)


def _scale_nowhere(x):
    s = descent.sigmoid(x)
    return s + x * s * (1 - s)


def _product_half(x):
    s = _sigmoid_only(x)
    return given.GELU_SCALE * x * s * (1 - s)


def _one_less_forgotten(x):
    s = _sigmoid_only(x)
    return s + given.GELU_SCALE * x * s


def _terms_subtracted(x):
    s = _sigmoid_only(x)
    return s - given.GELU_SCALE * x * s * (1 - s)


def _late(x0, right):
    """The x of `right`, and GELU at the point before each."""
    x = right[: given.STEPS]
    return (*x, *_pairs((x0, *x[:-1]))[given.STEPS :])


_ROUNDED = "x was rounded to four decimals after each step, and that adds up: carry more digits, and round at the end."
_LATE = "the x are right, the GELU values are one step late: GELU(x1) belongs to x1."


def _slips(x0, step, other_step):
    same = dict(x0=x0, step=step)
    return (
        Slip(_LATE, lambda: _late(x0, _walk(**same))),
        # With the large step the rounding stays within that of the answer.
        *((Slip(_ROUNDED, lambda: _walk(digits=4, **same)),) if step == given.SMALL_STEP else ()),
        Slip(
            "the factor 1 - σ is missing in the derivative: σ(z) has the derivative σ(z) (1 - σ(z)).",
            lambda: _walk(_one_less_forgotten, **same),
        ),
        Slip(
            "the two terms of the product rule are added, not subtracted: σ(1.702 x) + 1.702 x σ(1 - σ).",
            lambda: _walk(_terms_subtracted, **same),
        ),
        Slip(
            "the 1.702 is missing in the derivative: by the chain rule, σ(1.702 x) has the derivative 1.702 σ(1 - σ).",
            lambda: _walk(_inner_forgotten, **same),
        ),
        Slip("the sign is turned: descent subtracts η times the gradient.", lambda: _walk(x0=x0, step=-step)),
        Slip(
            "the derivative has only its first half, σ(1.702 x); the product rule has two terms.",
            lambda: _walk(_sigmoid_only, **same),
        ),
        Slip(
            "the derivative has only its second half, 1.702 x σ(1 - σ): the product rule has two terms.",
            lambda: _walk(_product_half, **same),
        ),
        Slip(
            "this is the exact GELU, x Φ(x); the assignment's is x σ(1.702 x).",
            lambda: _walk(descent.gelu_exact_gradient, value=descent.gelu_exact, **same),
        ),
        Slip(
            "the gradient of x₀ was used for every step; take it anew at each point.",
            lambda: _walk(fresh=False, **same),
        ),
        Slip("the 1.702 is missing throughout: GELU is x σ(1.702 x).", lambda: _walk(_scale_nowhere, **same)),
        Slip(f"this is η = {other_step:g}; {step:g} is asked for.", lambda: _walk(x0=x0, step=other_step)),
        Slip(
            "GELU itself was subtracted; descent subtracts η times its derivative.",
            lambda: _walk(descent.gelu, **same),
        ),
    )


_PARTS = ("x1", "x2", "x3", "GELU(x1)", "GELU(x2)", "GELU(x3)")
_HINTS = (
    "GELU is a product, x times σ(1.702 x). Which rule differentiates a product, and what does the 1.702 add?",
    "GELU'(x) = σ(1.702 x) + 1.702 x σ(1.702 x) (1 - σ(1.702 x)). To test yours: GELU'(0) = ½, wherever the "
    "walk begins.",
    "Take the gradient anew at each point: x1 = x0 - η GELU'(x0), then x2 = x1 - η GELU'(x1).",
)
_SIDE = (
    Slip(
        "(These are the values of reading A of Eq. 5, which steps along v_t; reading B steps along v_{t+1}. They part "
        "in the sixth decimal.)",
        lambda: _average(along_fresh=False),
    ),
)


_DESCENT = (
    "GELU'(x) = σ(1.702 x) + 1.702 x σ(1.702 x) (1 - σ(1.702 x)), and three times x ← x - η GELU'(x) with a gradient "
    "taken anew, from x0 = {x0:g} with η = {step:g}."
)


def _way(x0, step):
    return _DESCENT.format(x0=x0, step=step)


def _far(**changes):
    return _walk(x0=given.START_FAR, **changes)


QUESTIONS = {
    question.id: question
    for question in (
        Question(
            id="1a", points=3, parts=_PARTS, expected=_walk, hints=_HINTS,
            answer=_way(given.START_NEAR, given.SMALL_STEP),
            slips=_slips(given.START_NEAR, given.SMALL_STEP, given.LARGE_STEP),
        ),
        Question(
            id="1b", points=3, parts=_PARTS, expected=lambda: _walk(step=given.LARGE_STEP), hints=_HINTS,
            answer=_way(given.START_NEAR, given.LARGE_STEP)
            + " Ten times the step is not ten times the progress: the slope falls on the way down.",
            slips=_slips(given.START_NEAR, given.LARGE_STEP, given.SMALL_STEP),
        ),
        Question(
            id="1c GD", points=3, parts=_PARTS, expected=_far, hints=_HINTS,
            answer=_way(given.START_FAR, given.SMALL_STEP),
            slips=(
                *_slips(given.START_FAR, given.SMALL_STEP, given.LARGE_STEP),
                Slip("these values belong to momentum; plain gradient descent is asked for here.", _average),
                Slip("this starts at 0; part 1c starts at -3.", _walk),
            ),
        ),
        Question(
            id="1c momentum", points=3, parts=_PARTS, expected=_average, also=_SIDE,
            answer="v0 = GELU'(-3), then three times v ← 0.9 v + 0.1 GELU'(x) and x ← x - 0.1 v. Momentum lags behind "
            "descent, from the fifth decimal on: the slope grows on the way, and an average of old slopes is smaller.",
            hints=(
                "v0 is the gradient at x0 = -3, and the first average is β v0 + (1-β) ∇f(x0): what does that give?",
                "v1 = v0, so x1 is that of gradient descent. Then v2 = 0.9 v1 + 0.1 GELU'(x1) and x2 = x1 - η v2.",
                "The answers agree with gradient descent to four decimals. That is no accident: see the fifth.",
            ),
            slips=(
                Slip("these are the values of plain gradient descent; the average lags behind them.", _far),
                Slip(_LATE, lambda: _late(given.START_FAR, _average())),
                Slip(_ROUNDED, lambda: _average(digits=4)),
                Slip("v0 is taken as 0; here it is the gradient at x0.", lambda: _average(v0=0.0)),
                *(
                    Slip("the factor (1-β) before the gradient is missing.",
                         lambda fresh=fresh: _average(weight=1.0, along_fresh=fresh))
                    for fresh in (True, False)
                ),
                Slip("this is η = 1; the corrected edition says 0.1.", lambda: _average(step=given.LARGE_STEP)),
                *(
                    Slip("β and 1-β have changed places.",
                         lambda fresh=fresh: _average(
                             beta=1 - given.MOMENTUM, weight=given.MOMENTUM, along_fresh=fresh))
                    for fresh in (True, False)
                ),
                *(  # no β that is nearer: what it changes, a gradient rounded to five decimals changes too
                    Slip(f"this is β = {beta:g}; {given.MOMENTUM:g} is asked for.",
                         lambda beta=beta, fresh=fresh: _average(beta=beta, weight=1 - beta, along_fresh=fresh))
                    for beta in (0.5, 0.99)
                    for fresh in (True, False)
                ),
                Slip("the sign is turned: the update subtracts η v.", lambda: _average(sign=1.0)),
                Slip(
                    "this is heavy ball: its v starts at 0 and the gradient enters with weight 1.",
                    lambda: _average(v0=0.0, weight=1.0),
                ),
            ),
        ),
    )
}  # fmt: skip
