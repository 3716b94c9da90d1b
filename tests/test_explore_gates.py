"""The pictures and explorers of Theory 2: what is drawn is what the sentence and the core say."""

import itertools

import numpy as np
import pytest
from explorers import pixels, sweep

from helpers.core import gates
from helpers.explore import gates as explore
from helpers.figures import gates as figures


@pytest.mark.parametrize("draw", [
    figures.corner_gallery, figures.crossing_diagonals, figures.sixteen_functions, figures.softness,
    lambda: figures.gate_cards("AND", "OR"), lambda: figures.gate_cards("NOT"),
    lambda: figures.hidden_cards("XOR", "XNOR"),
])  # fmt: skip
def test_every_picture_draws_and_describes_itself(draw):
    picture = draw()
    assert len(repr(picture).split()) >= 15 and repr(picture).endswith(".")
    assert picture._repr_mimebundle_()[1]["image/png"]["alt"] == repr(picture)


def expected_right(gate, z):
    wanted = gates.TRUTH[gate]
    return sum((value >= -1e-9) == bool(t) for value, t in zip(z, wanted, strict=True))


def test_the_neuron_at_every_stop_of_every_control():
    explorer = explore.neuron()
    for name, said in sweep(explorer, most=9).items():
        for value, sentence in said:
            state = explorer.state | {name: value}
            inputs = (0, 1) if state["gate"] == "NOT" else itertools.product((0, 1), repeat=2)
            z = [state["w1"] * np.ravel(x)[0] + state["w2"] * (np.ravel(x)[1:].sum()) + state["b"] for x in inputs]
            right = expected_right(state["gate"], z)
            counted = f"all {len(z)} rows" if right == len(z) else f"{right} of {len(z)} rows"
            assert f"{counted} of {state['gate']} right" in sentence, (state, sentence)


def test_the_hidden_plane_at_every_stop_of_every_control():
    explorer = explore.hidden_plane()
    for name, said in sweep(explorer, most=9).items():
        for value, sentence in said:
            state = explorer.state | {name: value}
            s = np.array([0, 1, 1, 2])
            h1, h2 = (1 / (1 + np.exp(-state["sharpness"] * (s - state[line]))) for line in ("line1", "line2"))
            right = expected_right(state["gate"], state["v1"] * h1 + state["v2"] * h2 + state["c"])
            counted = "all 4 rows" if right == 4 else f"{right} of 4 rows"
            assert f"{counted} of {state['gate']} right" in sentence, (state, sentence)


def test_the_bias_walks_through_the_gates_in_the_order_told():
    explorer = explore.neuron(gate="XOR", b=-2.5)
    seen = []
    for tenths in range(-25, 6):
        explorer.controls["b"].value = tenths / 10
        seen.append((tenths, explorer.sentence.split("It computes ")[1].rstrip(".")))
    assert [(n, k) for n, ((_, k), (_, j)) in enumerate(zip(seen[1:], seen, strict=False)) if k != j] == [
        (4, "AND"), (14, "OR"), (24, "always 1"),
    ]  # fmt: skip
    assert seen[0][1] == "always 0" and "margin" not in explorer.sentence


def test_a_tie_in_tenths_is_a_tie():
    explorer = explore.neuron(gate="AND", w1=0.7, w2=-0.4, b=-0.3)  # 0.7 - 0.4 - 0.3 is -5.6e-17 in binary
    assert "all 4 rows" not in explorer.sentence and "(1, 1)" not in explorer.sentence


def test_the_tinted_half_is_where_the_neuron_says_1():
    explorer = explore.neuron(gate="OR", w1=1.0, w2=1.0, b=-0.5)
    scene = explorer.scene
    picture = pixels(explorer)
    for point, tinted in (((1.3, 0.6), True), ((-0.3, 0.2), False), ((0.55, 0.45), True), ((0.1, -0.4), False)):
        x, y = scene.plane.transData.transform(point)
        around = picture[picture.shape[0] - int(y) - 4 : picture.shape[0] - int(y) + 4, int(x) - 4 : int(x) + 4]
        assert (np.median(around.reshape(-1, 3), axis=0)[0] < 250) is np.bool_(tinted)


def test_strips_of_the_input_plane_end_where_z_changes_sign():
    explorer = explore.hidden_plane()
    x, y = explorer.scene.boundary.get_data()
    sums = sorted({round(a + b, 6) for a, b in zip(x, y, strict=True) if not np.isnan(a)})
    network = gates.smallest_network("XOR")
    assert len(sums) == 2
    for value in sums:
        below, above = network.output([[value / 2 - 0.005] * 2, [value / 2 + 0.005] * 2])
        assert below * above < 0


def test_wrong_rows_are_marked_by_a_symbol_and_not_by_colour_alone():
    explorer = explore.neuron(gate="AND", w1=1.0, w2=1.0, b=-2.5)
    assert [mark.get_text() for mark in explorer.scene.rows.marks] == ["✓", "✓", "✓", "✗"]
    assert explorer.scene.corners.wrong.get_xydata().tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize(("make", "changes"), [
    (explore.neuron, {"gate": "NOT", "w1": -1.0, "b": 0.5}),
    (explore.hidden_plane, {"gate": "XNOR", "sharpness": 2.0, "v1": -2.0, "v2": 2.0, "c": 0.6}),
])  # fmt: skip
def test_the_line_as_code_makes_the_same_picture(make, changes):
    explorer = make()
    explorer.set(**changes)
    again = eval(explorer.as_code, {"explore": explore})
    assert again.sentence == explorer.sentence and np.array_equal(pixels(again), pixels(explorer))


def test_an_unknown_gate_is_refused():
    with pytest.raises(Exception, match="XAND|invalid|Invalid"):
        explore.neuron(gate="XAND")
