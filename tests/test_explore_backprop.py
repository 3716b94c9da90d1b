"""The explorer of Theory 3, every control at every stop, its words against a forward and backward pass by PyTorch."""

import re
from itertools import product

import numpy as np
import pytest
import torch
from explorers import pixels, sweep

from helpers.core import backprop
from helpers.explore import backprop as explore
from helpers.figures.backprop import STEPS


def reference(label, hidden, logits):
    """Loss, steepest slope and length of dE/dx as PyTorch finds them, with f1 and f2 themselves scaled."""
    net, x, _ = backprop.worked_example()
    W1, b1, W2, b2, x = (torch.tensor(v) for v in (net.W1, net.b1, net.W2, net.b2, x))
    x.requires_grad_()
    a = torch.sigmoid(hidden * (x @ W1 + b1))
    loss = torch.nn.functional.cross_entropy(logits * (a @ W2 + b2), torch.tensor([label - 1]))
    loss.backward()
    return loss.item(), (a * (1 - a)).max().item(), x.grad.norm().item()


def read(sentence):
    """The last three numbers of a sentence: loss, steepest slope, length of the input's gradient."""
    numbers = re.findall(r"\d+\.?\d*(?:e[−-]?\d+)?", sentence)[-3:]
    return [float(number.replace("−", "-")) for number in numbers]


def test_every_stop_says_the_right_numbers():
    explorer = explore.backpropagation()
    said = sweep(explorer, most=12)
    for name in ("label", "hidden", "logits"):
        assert len({sentence for _, sentence in said[name]}) == len(said[name])
        for value, sentence in said[name]:
            state = {key: explorer.initial[key] for key in ("label", "hidden", "logits")} | {name: value}
            # Three decimals, or two digits of what is smaller than 0.001.
            np.testing.assert_allclose(read(sentence), reference(**state), rtol=0.01, atol=6e-4)


def test_every_step_fills_one_node():
    explorer = explore.backpropagation(step=0)
    seen = [pixels(explorer)]
    for step in range(1, STEPS + 1):
        explorer.controls["step"].value = step
        assert f"step {step} of 10:" in explorer.sentence
        seen.append(pixels(explorer))
        assert np.any(seen[-1] != seen[-2])
    explorer.controls["step"].value = STEPS - 1
    assert np.array_equal(pixels(explorer), seen[-2])
    explorer.reset()
    assert np.array_equal(pixels(explorer), seen[0])


@pytest.mark.parametrize("state", [{}, {"label": 3, "hidden": 2.25, "logits": 3.5}, {"label": 1, "hidden": 0.5}])
def test_the_arithmetic_of_each_step_comes_out(state):
    explorer = explore.backpropagation(step=0, **state)
    for step in (1, 3, 7, 8, 9, 10):
        explorer.controls["step"].value = step
        worked = re.search(r": ([^:]*)\. The loss", explorer.sentence.replace("−", "-"))[1]
        left, right = worked.split(" = ")[-2:]
        terms = re.sub(r"^[^:]*: ", "", left).replace("o - y", "0").replace("·", "*")
        assert eval(terms) == pytest.approx(float(right), rel=0.02, abs=0.01), worked


def test_every_number_and_line_fits_its_place():
    scene = explore.backpropagation().scene
    graph, canvas = scene.graph, scene.figure.canvas
    cell = np.ptp(graph.ax.transData.transform([(0, 0), (graph.CELL_WIDTH, 0)])[:, 0])
    for label, hidden, logits, step in product((1, 2, 3), (0.25, 10.0), (0.25, 10.0), range(STEPS + 1)):
        sentence = scene.update(label, hidden, logits, step)
        widest = max(np.ptp(path.vertices[:, 0]) for path in graph.numbers.get_paths() if len(path.vertices))
        assert widest * scene.figure.dpi / 72 < 0.95 * cell, sentence
        line = scene.worked.get_window_extent(canvas.get_renderer())
        assert 0 < line.x0 and line.x1 < canvas.get_width_height()[0], sentence


def test_the_gradient_dies_with_the_hidden_layer_and_not_with_the_softmax():
    explorer = explore.backpropagation(label=2)
    start = read(explorer.sentence)[2]
    explorer.set(hidden=10.0)
    assert read(explorer.sentence)[2] < start / 100
    explorer.set(hidden=1.0, logits=10.0)
    assert read(explorer.sentence)[2] > 10 * start
    explorer.set(label=3)
    assert read(explorer.sentence)[2] < start / 100


def test_as_code_reproduces_the_picture():
    explorer = explore.backpropagation()
    explorer.set(label=3, hidden=4.5, logits=2.0, step=8)
    again = eval(explorer.as_code, {"explore": explore})
    assert again.sentence == explorer.sentence and np.array_equal(pixels(again), pixels(explorer))


def test_a_label_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match="label is 4; choose 1, 2 or 3"):
        explore.backpropagation(label=4)
