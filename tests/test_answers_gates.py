"""The checks of Theory 2: any right network passes, mistakes are named, nothing a reader types raises."""

import math

import numpy as np
import pytest

from helpers import answers
from helpers.answers import check, hint
from helpers.answers.gates import QUESTIONS
from helpers.core import gates

STRIP = ([[4, 4], [4, 4]], [-2, -6])


def test_four_gates_earn_the_twelve_points():
    assert sum(question.points for question in QUESTIONS.values()) == 12
    assert set(QUESTIONS) == {"2 printed", *(f"2 {gate}" for gate in gates.TRUTH)}
    for question in QUESTIONS.values():
        verdict = question.judge(*question.expected())
        assert verdict.status == "right" and verdict.earned == question.points
        assert len(question.hints) >= 1


@pytest.mark.parametrize("given", [
    ("2 AND", 1, 1, -1.5), ("2 AND", 3, 5, -6), ("2 AND", [1, 1], -1.5), ("2 AND", [[1], [1]], [-1.5]),
    ("2 AND", 1, 1, -2),
    ("2 OR", 1, 1, -0.5), ("2 OR", 20, 20, -10), ("2 NAND", -2, -2, 3), ("2 NOR", -1, -1, 0), ("2 NOT", -1, 0),
    ("2 XOR", *STRIP, [2, -2], -1), ("2 XOR", *STRIP, [[2], [-2]], [-1]), ("2 XNOR", *STRIP, [-2, 2], 1),
    ("2 XOR", [[6, -6], [6, -6]], [-3, 9], [2, 2], -3),  # OR and NAND, joined by AND
    ("2 XOR", [[4, 1], [4, 1]], [0, 0], [4, -5], 0),
    ("2 XOR", [[9, -9], [-9, 9]], [-4.5, -4.5], [1, 1], -0.5),  # A and not B, B and not A
])  # fmt: skip
def test_whatever_computes_the_gate_at_the_smallest_size_is_right(given):
    assert check(*given).status == "right"


@pytest.mark.parametrize(("given", "words"), [
    (("2 printed", [1, 1]), "asking whether σ(z) is ≥ 0"),
    (("2 printed", [1, 0]), "should do"),
    (("2 NOT", -1, -0.5), "as printed"),
    (("2 NOT", -1, 1), "exactly 0 at A = 1; a tie"),
    (("2 AND", 1, 1, -0.5), "computes OR, not AND"),
    (("2 AND", 1, 1, -1), "a tie counts as class 1"),
    (("2 AND", 1, 1, 1.5), "wrong sign"),
    (("2 AND", 10, 10, 15), "wrong sign"),
    (("2 AND", 1, 0.7, -0.9), "if class 1 began at z ≥ ½"),
    (("2 AND", -1, -1, 1.5), "turned round"),
    (("2 AND", 1, 1, -2.5), "every input gets class 0"),
    (("2 AND", *STRIP, [0, 1], -0.5), "fewest layers come first"),
    (("2 OR", 1, 1, -1.5), "computes AND, not OR"),
    (("2 OR", 1, 1, 0), "a tie counts as class 1"),
    (("2 XOR", 1, 1, -0.5), "no single neuron computes XOR"),
    (("2 XOR", [4, 4], -2, 1, -0.5), "width one"),
    (("2 XOR", [[1, 1], [1, 1]], [-0.5, -1.5], [1, -1], -0.5), "hard steps"),
    (("2 XNOR", [[1, 1], [1, 1]], [-0.5, -1.5], [-1, 1], 0.5), "hard steps"),
    (("2 XOR", [[1, 1], [1, 1]], [0, -1], [1, -2], -0.1), "ReLU"),
    (("2 XOR", [[6, 6], [-6, -6]], [-3, 9], [2, 2], -3), "on its side"),
    (("2 XOR", [[4, 4], [4, 4]], [2, 6], [2, -2], 1), "wrong sign"),
    (("2 XOR", *STRIP, [2, 2], -1), "computes OR, not XOR"),
    (("2 XNOR", *STRIP, [2, -2], -1), "turned round"),
    (("2 XOR", [[4, 4, 0], [4, 4, 0]], [-2, -6, 0], [2, -2, 0], -1), "4 neurons"),
])  # fmt: skip
def test_mistakes_are_named(given, words):
    verdict = check(*given)
    assert verdict.status == "wrong" and verdict.earned == 0
    assert words in verdict.sentence


@pytest.mark.parametrize("question", [q for q in QUESTIONS.values() if hasattr(q, "gate")], ids=lambda q: q.id)
def test_every_gate_knows_five_slips_and_a_wrong_network_never_passes(question):
    """Networks at random, and on the boundary: what passes computes the gate by arithmetic written out here."""
    assert len(question.slips) >= 5
    rng, passed = np.random.default_rng(0), 0
    for trial in range(300):
        weights = rng.integers(-3, 4, 3) / (1 if trial % 2 else 2)
        w, b = (weights[:1], weights[2]) if question.gate == "NOT" else (weights[:2], weights[2])
        rows = [(A,) for A in (0, 1)] if question.gate == "NOT" else [(A, B) for A in (0, 1) for B in (0, 1)]
        outputs = tuple(int(sum(wi * xi for wi, xi in zip(w, row, strict=True)) + b >= 0) for row in rows)
        verdict = question.judge(*w, b)
        assert (verdict.status == "right") == (outputs == gates.TRUTH[question.gate]), (w, b, verdict)
        passed += verdict.status == "right"
    assert passed or question.gate in ("XOR", "XNOR")


def test_a_network_for_hard_steps_matches_that_slip_and_no_other():
    soft = gates.GateNetwork((([[1, 1], [1, 1]], [-0.5, -1.5]), ([[1], [-1]], [-0.5])))
    made = {slip.sentence: slip.make(soft) for slip in QUESTIONS["2 XOR"].slips}
    assert gates.computes(soft) == (0, 0, 0, 0)
    (found,) = [sentence for sentence, outputs in made.items() if outputs == (0, 1, 1, 0)]
    assert "hard steps" in found


@pytest.mark.parametrize("given", [
    ("2 AND",), ("2 AND", ..., 1, 1), ("2 AND", 1, 1), ("2 AND", "one", 1, 1), ("2 AND", None, 1, 1),
    ("2 AND", math.nan, 1, 1),
    ("2 AND", [1, 1, 1], 0), ("2 AND", [[1, 2], [3]], 0), ("2 AND", 1, 2, 3, 4, 5), ("2 AND", len, 1, 1),
    ("2 AND", 1j, 1, 1),
    ("2 NOT", 1, 1, 1), ("2 AND", 1e308, 1e308, -1e308),
    ("2 XOR", ..., ..., ..., ...), ("2 XOR", [[4, 4], [4, 4]], [-2], [2, -2], -1),
    ("2 XOR", [[4, 4], [4, 4]], [-2, -6], [2, -2]), ("2 XOR", [[4, 4], [4, 4]], [-2, -6], [[2, -2]], -1),
    ("2 AND", [1], [1], [1], [1], [1]), ("2 XOR", [], [], [], []),
    ("2 XOR", np.zeros((2, 2, 2)), 1, 1, 1), ("2 printed", 0), ("2 printed", [0, 0, 0]),
])  # fmt: skip
def test_what_cannot_be_read_gets_a_sentence(given):
    verdict = check(*given)
    assert verdict.status in ("unreadable", "unanswered") and verdict.earned == 0
    assert verdict.sentence.endswith((".", "helps."))


def test_xnor_has_hints_of_its_own_that_lead_to_it():
    xor, xnor = QUESTIONS["2 XOR"].hints, QUESTIONS["2 XNOR"].hints
    assert len(xnor) == 3 and not set(xor) & set(xnor)
    assert "h2 - h1" in xnor[2] and "weights 4 and biases -2 and -6" in xnor[2]
    s = 4 * np.array([0, 1, 2])
    h1, h2 = gates.sigmoid(s - 2), gates.sigmoid(s - 6)
    none, one, both = h2 - h1
    assert one < min(none, both)  # so a bias lifts the two others to 0 and leaves this one below
    assert check("2 XNOR", *STRIP, [-1, 1], -(one + none) / 2).status == "right"


def test_hints_come_one_by_one():
    answers._hinted.clear()
    assert "Hint 1 of 3" in hint("2 XOR") and "Hint 2 of 3" in hint("2 XOR")
