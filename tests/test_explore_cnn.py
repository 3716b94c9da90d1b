"""The explorers and pictures of Programming 2, on a small untrained network."""

import numpy as np
import pytest
import torch
from explorers import sweep
from PIL import Image

from helpers.core import cnn, cnn_studies, training
from helpers.explore import cnn as explore
from helpers.figures import cnn as figures


@pytest.fixture(autouse=True)
def few_images(monkeypatch):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (6, 32, 32, 3), dtype=np.uint8)
    monkeypatch.setattr(explore, "_test_images", lambda: (images, np.arange(6), cnn.CLASSES, "noise"))
    return images


@pytest.fixture
def network():
    torch.manual_seed(0)
    return cnn.CNN((4, 6, 8)).eval()


def test_feature_maps_at_every_stop(network, few_images):
    explorer = explore.feature_maps(network=network)
    said = sweep(explorer, most=8)
    assert all(sentence.startswith(f"Test image {index}, a {cnn.CLASSES[index]}") for index, sentence in said["image"])
    assert all(stage in sentence for stage, sentence in said["stage"])
    assert len({sentence for _, sentence in said["channel"]}) == 4
    explorer.set(stage="group 3", channel=8)
    maps = cnn_studies.feature_maps(network, torch.from_numpy(few_images[0].transpose(2, 0, 1).copy()))["group 3"]
    rank = sorted(maps.max((1, 2)), reverse=True).index(maps[7].max()) + 1
    assert "channel 8 of 8 is a map of 3×3" in explorer.sentence and f"answers {rank}" in explorer.sentence


def test_answers_at_every_stop(network, few_images, tmp_path):
    explorer = explore.answers(network=network)
    said = sweep(explorer)
    for index, sentence in said["image"]:
        tensor = torch.from_numpy(few_images[index].transpose(2, 0, 1)[None].copy())
        probabilities = network(tensor).softmax(1)[0]
        best = int(probabilities.argmax())
        assert f"says {cnn.CLASSES[best]}" in sentence and ("right" in sentence) == (best == index)
    Image.new("RGB", (90, 60), "navy").save(tmp_path / "own.png")
    explorer.set(file=str(tmp_path / "own.png"))
    assert "90×60" in explorer.sentence and "resized" in explorer.sentence
    with pytest.raises(ValueError, match="There is no image"):
        explorer.set(file="none.png")


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda n: explore.feature_maps(image=6, network=n), "from 0 to 5"),
        (lambda n: explore.feature_maps(stage="group 9", network=n), "choose one of whitening"),
        (lambda n: explore.feature_maps(channel=5, network=n), "the channels 1 to 4"),
        (lambda n: explore.answers(image=-1, network=n), "from 0 to 5"),
    ],
)
def test_what_is_not_there_is_refused(network, call, words):
    with pytest.raises(ValueError, match=words):
        call(network)


def test_patterns_are_drawn(network, few_images):
    """Every one of the filters has an axes with an image in it, and no two images are equal."""
    images = torch.from_numpy(few_images.transpose(0, 3, 1, 2).copy())
    network.fit_input(images)
    for picture, count in ((figures.first_layer(network), 4), (figures.whitening(network, images), 12)):
        drawn = [ax.get_images()[0].get_array() for ax in picture.figure.get_axes() if ax.get_images()]
        patterns = [array for array in drawn if array.shape[-1] == 3]
        assert len(patterns) == count and len({array.tobytes() for array in patterns}) == count
        assert all(array.min() >= 0 and array.max() <= 1 and np.ptp(array) > 0.4 for array in patterns)


def test_pictures_say_what_they_show(network, few_images):
    labels = np.arange(6)
    image = torch.from_numpy(few_images[0].transpose(2, 0, 1).copy())
    history = {"epochs": [{"epoch": 1, "loss": 2.0, "accuracy": 0.3}], "test": {"accuracy": 0.4}}
    probabilities = training.predict(network, torch.from_numpy(few_images.transpose(0, 3, 1, 2).copy())).numpy()
    matrix = cnn_studies.confusion(labels, probabilities.argmax(1))
    for picture, words in (
        (figures.gallery(few_images, labels, cnn.CLASSES[:6], "noise", columns=1), "each of the 6 classes"),
        (figures.augmented(few_images[0], few_images[1:4], "noise", 2), "3 versions"),
        (figures.curves([history], ["a"]), "40.00%"),
        (figures.confusion(matrix, cnn.CLASSES, "noise"), "6 test pictures"),
        (figures.mistakes(few_images, labels, probabilities, [0, 1], cnn.CLASSES, "noise"), "The 2 test"),
        (figures.whitening(network, image[None]), "12 whitening filters of 2×2 pixels"),
        (figures.first_layer(network, 3), "3 of the 4 filters"),
        (figures.feature_maps(few_images[0], cnn_studies.feature_maps(network, image), count=3), "group 3 8×3×3"),
    ):
        assert words in picture.sentence and picture._repr_mimebundle_()[0]["image/png"]
