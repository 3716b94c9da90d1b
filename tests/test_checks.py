"""The checks: right answers pass, slips are named, nothing that a reader types raises."""

import importlib
import pkgutil
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given as over
from hypothesis import settings
from hypothesis import strategies as st

from helpers import answers, checks
from helpers.answers import check, descent, hint
from helpers.checks import FunctionQuestion, Question, Slip


def all_questions():
    found = {}
    for room in pkgutil.iter_modules(answers.__path__):
        found |= importlib.import_module(f"helpers.answers.{room.name}").QUESTIONS
    return found


QUESTIONS = all_questions()
VALUES = {name: q for name, q in QUESTIONS.items() if type(q) is Question}
FUNCTIONS = {name: q for name, q in QUESTIONS.items() if isinstance(q, FunctionQuestion)}


@pytest.mark.parametrize("name", VALUES)
def test_right_answers_pass_also_rounded_and_in_any_container(name):
    question = VALUES[name]
    right = question.expected()
    rounded = [np.round(v, question.decimals) for v in checks._arrays(right)]
    for given in (right, rounded, [v.tolist() for v in rounded], [torch.tensor(v) for v in rounded]):
        verdict = check(name, *given)
        assert (verdict.status, verdict.earned) == ("right", question.points), verdict


@pytest.mark.parametrize("name", VALUES)
def test_every_slip_is_recognised_and_not_mistaken_for_another(name):
    question = VALUES[name]
    assert len(question.slips) >= (5 if question.points else 1)
    for slip in question.slips:
        verdict = check(name, *slip.make())
        assert verdict.status == "wrong" and slip.sentence in verdict.sentence, (slip.sentence, verdict)
        for other in question.slips:
            same = all(
                a.shape == b.shape and np.allclose(a, b, rtol=0, atol=1e-8)
                for a, b in zip(checks._arrays(slip.make()), checks._arrays(other.make()), strict=True)
            )
            if other.sentence != slip.sentence and other.sentence in verdict.sentence:
                assert same, f"{slip.sentence!r} is mistaken for {other.sentence!r}"


@settings(deadline=None, max_examples=150)
@over(st.data())
def test_random_wrong_answers_never_pass(data):
    question = data.draw(st.sampled_from(list(VALUES.values())))
    given = [
        np.asarray(v, dtype=float)
        + data.draw(st.sampled_from([-1, 1])) * data.draw(st.floats(10**-question.decimals, 50))
        for v in question.expected()
    ]
    which = data.draw(st.integers(0, len(given) - 1))
    mixed = [g if i == which else e for i, (g, e) in enumerate(zip(given, question.expected(), strict=True))]
    assert question.judge(*given).earned == 0
    assert question.judge(*mixed).earned == 0


@settings(deadline=None, max_examples=40)
@over(st.sampled_from(list(FUNCTIONS)), st.floats(1e-4, 10), st.sampled_from([-1, 1]), st.integers(0, 100))
def test_random_wrong_functions_never_pass(name, size, sign, seed):
    question = FUNCTIONS[name]

    def wrong(*arguments):
        right = np.asarray(question.expected(*arguments))
        change = np.random.default_rng(seed).uniform(0.5, 1, right.shape)
        return right + sign * size * change

    assert question.judge(wrong).earned == 0
    assert question.judge(question.expected).earned == question.points


class Odd:
    """Raises when it is taken for numbers."""

    def __array__(self, *_, **__):
        raise RuntimeError("no array")

    def __float__(self):
        raise RuntimeError("no number")


ODD = [..., None, "0.5", "", float("nan"), float("inf"), 1j, [], [[1, 2], [3]], {}, {1, 2}, object(), len, b"1", True,
       np.zeros((2, 3, 4)), np.array(["a"]), torch.ones(2, requires_grad=True), 10**400, range(3), int,
       Odd(), [Odd()], torch.ones(2, dtype=torch.bfloat16)]  # fmt: skip


@pytest.mark.parametrize("name", QUESTIONS)
def test_nothing_that_a_reader_types_raises(name):
    for odd in ODD:
        for given in ((odd,), (odd,) * len(QUESTIONS[name].parts), ()):
            verdict = check(name, *given)
            assert verdict.status in ("unanswered", "unreadable", "wrong"), (odd, verdict)
            assert verdict.earned == 0 and "\n" not in verdict.sentence
    assert check(name, *[...] * len(QUESTIONS[name].parts)).status == "unanswered"


@pytest.mark.parametrize("name", QUESTIONS)
def test_hints_come_in_order_and_begin_anew(name):
    hints = QUESTIONS[name].hints
    assert hints
    answers._hinted.pop(name, None)
    assert [str(hint(name)).split(": ", 1)[1] for _ in range(len(hints) + 1)] == [*hints, hints[0]]


@pytest.mark.parametrize(("name", "known"), [
    ("9z", "such as 1a"), ("1z", "are 1a, 1b, 1c GD, 1c momentum"), ("", "such as 1a"), ("hello", "such as 1a"),
    (None, "such as 1a"), ("P2x", "are P2 sizes, P2 costs, P2 loss, P2"), ("2xor", "2 XOR, 2 XNOR"),
])  # fmt: skip
def test_an_unknown_question_is_named_beside_those_that_exist(name, known):
    for ask in (check, hint, answers.answer):
        with pytest.raises(ValueError) as caught:
            ask(name)
        said = str(caught.value)
        assert said.startswith(f"there is no question {name!r}; ") and known in said and "\n" not in said


def test_a_small_slip_shows_only_in_the_digits_that_were_given():
    question = QUESTIONS["1c momentum"]
    descent = next(s for s in question.slips if "plain gradient descent" in s.sentence).make()
    assert check("1c momentum", *descent).status == "wrong"
    assert check("1c momentum", *np.round(descent, 4)).status == "right"  # to four decimals they are the same numbers
    reading_a = question.also[0].make()
    assert "reading A" in check("1c momentum", *reading_a).sentence
    assert check("1c momentum", *reading_a).earned == 3


@pytest.mark.parametrize("fresh", [True, False])
def test_another_beta_is_named_and_where_the_digits_hide_it_nothing_false_is_said(fresh):
    found = descent._average(beta=0.99, weight=0.01, along_fresh=fresh)
    assert "this is β = 0.99" in check("1c momentum", *found).sentence
    assert "These are the values of reading A" in check("1c momentum", *np.round(found, 6)).sentence


@pytest.mark.parametrize("digits", [4, 5, 6, 7, 8])
@pytest.mark.parametrize("fresh", [True, False])
def test_a_gradient_that_was_rounded_is_not_taken_for_another_beta(fresh, digits):
    x, v = [-3.0], round(float(descent._SLOPE(-3.0)), digits)
    for _ in range(3):
        old, v = v, 0.9 * v + 0.1 * round(float(descent._SLOPE(x[-1])), digits)
        x.append(x[-1] - 0.1 * (v if fresh else old))
    for shown in range(4, 9):
        assert check("1c momentum", *np.round(descent._pairs(x[1:]), shown)).status == "right"


def test_the_hint_that_tests_a_gradient_fits_every_walk():
    for name in ("1a", "1b", "1c GD"):
        assert "GELU'(0) = ½, wherever the walk begins" in QUESTIONS[name].hints[1]


def test_digits_count_for_each_value_by_itself():
    question = QUESTIONS["1c momentum"]
    descent = next(s for s in question.slips if "plain gradient descent" in s.sentence).make()
    mixed = [*np.round(descent[:3], 6), *np.round(descent[3:], 4)]
    assert "plain gradient descent" in check("1c momentum", *mixed).sentence
    right = question.expected()
    assert check("1c momentum", *np.float32(right)).sentence == "right."
    nearly = check("1c momentum", *(v + 1.3e-5 for v in right))
    assert nearly.status == "right" and "the digits after them are not" in nearly.sentence


def test_a_slip_made_half_way_is_recognised():
    question = QUESTIONS["1a"]
    right, slip = question.expected(), question.slips[1]
    mixed = [right[0], *slip.make()[1:]]
    assert slip.sentence in check("1a", *mixed).sentence


def test_too_few_decimals_are_said():
    assert "4 decimals" in check("1a", *np.round(QUESTIONS["1a"].expected(), 3)).sentence


@pytest.mark.parametrize(("name", "given", "words"), [
    ("4a", (0.5, QUESTIONS["4a"].expected()[1]), "padding is not right"),
    ("P2 sizes", (39, 19, 9, 4.5), "group 3 is not right"),
    ("2 printed", ([0, 1],), "is not right"),
])  # fmt: skip
def test_a_wrong_value_with_all_its_digits_is_not_called_close(name, given, words):
    assert words in check(name, *given).sentence


@pytest.mark.parametrize(("name", "given", "words"), [
    ("P2 sizes", (39, 19, 10, 5), "group 2 and group 3 are not right"),
    ("4a", (0, QUESTIONS["4a"].expected()[1]), "the map is right, the padding is not"),
    ("2 printed", ([0.3775, 0.1824],), "these are σ(z)"),
    ("2 printed", ([-0.5, -1.5],), "these are the z"),
    ("4b", (False, 1.33), "right."),
    ("4b", (True, 3), "no size at all"),
    ("4b", ("no", 1.33), "True or False without quotes"),
    ("1a", (None, 1, 1, 1, 1, 1), "x1 is None"),
    ("4c", ([[..., 1], [1, 1]],), "still holds a `...`"),
    ("4c", ([[None, 1], [1, 1]],), "holds None"),
    ("4d", ([[Fraction(1, 4)] * 2] * 2, 2, 0), "right."),
    ("4d", ([0.25] * 4, 2, 0), "kernel has shape (4,); a list of rows is asked for."),
    ("4d", (0.25, 2, 0), "kernel is one number; a list of rows is asked for."),
    ("4d", ([[0.25] * 3] * 2, 2, 0), "kernel is not right, stride and padding are"),
    ("4b", (False, 1.3), "carry more digits along, and round at the end or not at all."),
    ("4c", ([[17.8, 16.8], [2, 3.5]],), "carry more digits along, and round at the end or not at all."),
    ("4b", (False, 1.334), "right to 2 decimals, which will do"),
    ("3b", (lambda o, y, a, W1, W2: ((o - y) @ W2.T * a * (a - 1)) @ W1.T,), "a (1 - a), which is never negative"),
    ("2 AND", (0.3, 0.6, -0.9), "the margin is 0."),
    ("2 AND", (np.array([1.0]), np.array([1.0]), np.array([-1.5])), "the margin is 0.5"),
    ("P1e", (dict,), "dict is a class"),
    ("P2", (0.15,), "fewer than half right"),
])  # fmt: skip
def test_what_is_said_fits_what_was_given(name, given, words):
    assert words in check(name, *given).sentence


def test_which_values_are_right_is_said():
    right = list(QUESTIONS["1a"].expected())
    right[2] = 7.0
    assert "x3 is not right" in check("1a", *right).sentence


square = FunctionQuestion(
    id="1 square",
    points=2,
    parts=("square",),
    expected=lambda x: x**2,
    cases=lambda: [(np.array([1.0, 2.0]),), (np.array([[3.0]]),)],
    slips=(Slip("that is twice x.", lambda x: 2 * x), Slip("unfit", lambda x: x @ np.ones((9, 9)))),
)


@pytest.mark.parametrize(
    ("function", "status", "word"),
    [
        (lambda x: x * x, "right", "right"),
        (lambda x: torch.tensor(x) ** 2, "right", "right"),
        (lambda x: 2 * x, "wrong", "twice"),
        (lambda x: x**3, "wrong", "the shape is right"),
        (lambda x: (x * x).sum(), "wrong", "the shape should be (2,), yours is ()"),
        (lambda x: 1 / 0, "wrong", "ZeroDivisionError"),
        (lambda: 1, "wrong", "TypeError"),
        (lambda x: None, "unreadable", "nothing"),
        (lambda x: ..., "unanswered", "not answered"),
        (lambda x: "a", "unreadable", "is a text"),
        (3.0, "unreadable", "give one function"),
    ],
)
def test_functions_are_judged_by_what_they_return(function, status, word):
    verdict = square.judge(function)
    assert verdict.status == status and word in verdict.sentence


def test_a_function_cannot_change_the_inputs_it_is_judged_on():
    def spoils(x):
        x[...] = 0
        return x

    assert square.judge(spoils).status == "wrong"


def test_verdicts_show_a_sign_and_the_points():
    assert repr(check("1a", *QUESTIONS["1a"].expected())) == "✓ 1a (3 of 3 points): right."
    assert repr(checks.Verdict("1a", "wrong", "no.", 0, 3)) == "✗ 1a (0 of 3 points): no."


def test_rounding_after_each_step_is_named_though_a_slip_gives_the_same_digits():
    verdict = check("1c GD", -2.9975, -2.995, -2.9925, -0.0181, -0.0182, -0.0183)
    assert verdict.status == "wrong" and "rounded to four decimals after each step" in verdict.sentence
    assert "rounded to four decimals" in check("1a", -0.05, -0.0958, -0.1377, -0.0239, -0.044, -0.0608).sentence
    near = check("1a", -0.05, -0.0958, -0.1375, -0.0239, -0.0440, -0.0608)
    assert near.status == "wrong" and "carry more digits along" in near.sentence


@pytest.mark.parametrize("given", [
    ("1a", -0.05, 0, 0, 0, 0, 0), ("1b", -1, -1, -1, 0, 0, 0), ("1c GD", -3, -3, -3, 0, 0, 0),
    ("4d", [[0, 0], [0, 0]], 2, 0),
])  # fmt: skip
def test_what_is_far_off_is_not_called_close(given):
    assert "close" not in check(*given).sentence


def test_digits_that_single_precision_spoils_betray_a_slip_all_the_same():
    descent = next(s for s in QUESTIONS["1c momentum"].slips if "plain gradient descent" in s.sentence).make()
    verdict = check("1c momentum", *np.float32(descent))
    assert verdict.status == "wrong" and "plain gradient descent" in verdict.sentence
    assert check("1c momentum", *np.float32(QUESTIONS["1c momentum"].expected())).sentence == "right."


def test_names_are_found_whatever_their_letters_and_a_whole_part_has_hints_and_answers():
    assert check("1A", *QUESTIONS["1a"].expected()).status == "right"
    assert answers.find("2 xor").id == "2 XOR" and answers.find("p1a").id == "P1a"
    answers._hinted.clear()
    for part in ("1", "2", "3", "4", "P1", "P2"):
        assert str(hint(part)).startswith("Hint 1 of ") and str(answers.answer(part))


def test_leaving_python_inside_a_function_does_not_leave_the_notebook():
    def leaves(*arguments):
        raise SystemExit

    assert "raised SystemExit" in check("3a", leaves).sentence
    assert "2 things were given" in check("3a", leaves, leaves).sentence
