"""The explorers and pictures of Programming 2, on a small untrained network."""

import base64
import io
import os
import struct
import zlib

import numpy as np
import pytest
import torch
from explorers import pixels, sweep
from PIL import Image

from helpers.core import cnn, cnn_studies, training
from helpers.explore import cnn as explore
from helpers.figures import cnn as figures

REAL_IMAGES = explore._test_images


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
    (tmp_path / "own.png").write_bytes(png(90, 60))
    explorer.set(file=str(tmp_path / "own.png"))
    assert "90×60" in explorer.sentence and "resized" in explorer.sentence
    with pytest.raises(ValueError, match="There is no image"):
        explorer.set(file="none.png")


def test_answers_on_file_are_used_and_those_of_the_shipped_network(few_images, monkeypatch):
    """What the file holds is what the explorer shows; a file of other images is left alone and the network asked."""
    explore._shipped_answers.cache_clear()
    assert explore._shipped_answers() is None and explore.answers().scene.known is None
    explore._shipped_answers.cache_clear()
    if "WORKBOOK_DATA" in os.environ:
        monkeypatch.setattr(explore, "_test_images", REAL_IMAGES)
        images, known = REAL_IMAGES()[0], explore.answers().scene.known
        for index in (0, 17, 9999):
            asked = cnn_studies.answer(
                explore._shipped(), torch.from_numpy(images[index].transpose(2, 0, 1)[None].copy())
            )
            np.testing.assert_allclose(known[index], asked, atol=1e-5)
        explore._shipped_answers.cache_clear()


def png(width, height):
    file = io.BytesIO()
    pattern = np.add.outer(np.arange(height), 2 * np.arange(width))[..., None] * (1, 2, 3) % 256
    Image.fromarray(pattern.astype(np.uint8)).save(file, format="png")
    return file.getvalue()


def upload(explorer, name, content):
    """Do what the page does with a file that the reader has chosen, and return the answer."""
    shown = {"name": name, "data": base64.b64encode(content).decode()}
    explorer._page._handle_custom_msg({"view": "a", "values": {"file": shown}}, [])
    return explorer.frame


def test_an_uploaded_picture_is_read_and_the_code_holds_it(network, tmp_path):
    explorer = explore.answers(image=2, network=network)
    frame = upload(explorer, "C:\\pictures\\my cat, asleep.png", png(90, 60))
    said = (
        "pictures my cat asleep.png, 90×60 pixels, was cut to its middle square and resized to 32×32. The network says "
    )
    assert said in frame["sentence"] and not frame["problem"]
    assert explorer.scene.source.get_text() == "a picture of your own"  # and none of the data set
    assert frame["values"]["file"]["name"].endswith("my cat asleep.png")
    (tmp_path / "own.png").write_bytes(png(90, 60))
    from_disk = explore.answers(image=2, file=str(tmp_path / "own.png"), network=network)
    assert np.array_equal(pixels(from_disk), pixels(explorer))  # PNG has lost nothing
    again = eval(explorer.as_code[:-1] + ", network=network)", {"explore": explore, "network": network})
    assert again.state == explorer.state and again.sentence == explorer.sentence
    assert np.array_equal(pixels(again), pixels(explorer))
    explorer.set(image=3)  # another test image takes its place
    assert explorer.state == {"image": 3, "file": ""} and explorer.sentence.startswith("Test image 3")
    again.set(image=3)
    again.reset()
    assert again.state["file"] and again.sentence.startswith(again.state["file"].partition(".")[0])


def huge():
    """The head of a PNG of 51 million pixels that nobody would want to unpack."""
    head = struct.pack(">IIBBBBB", 10_200, 5_000, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", len(head)) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    return b"\x89PNG\r\n\x1a\n" + chunk + png(2, 2)[33:]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"no picture at all", "notes.png is not an image that can be read; give a PNG or JPEG file."),
        (b"", "notes.png is not an image that can be read; give a PNG or JPEG file."),
        (png(90, 60)[:90], "notes.png is not an image that can be read; give a PNG or JPEG file."),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n", "notes.png is not an image that can be read; give a PNG or JPEG file."),
        (huge(), "notes.png has more than 50,000,000 pixels; shrink it first, for it could fill the memory."),
    ],
)
def test_a_file_that_is_no_picture_is_answered_in_one_sentence(network, monkeypatch, content, complaint):
    explorer = explore.answers(image=2, network=network)
    monkeypatch.setattr(type(explorer), "raise_errors", False)
    before = explorer.picture
    frame = upload(explorer, "notes.png", content)
    assert frame["problem"] == complaint and frame["answers"] == "a"
    assert explorer.picture == before and explorer.state == {"image": 2, "file": ""}
    frame = upload(explorer, "own.png", png(32, 32))
    assert "own.png, 32×32 pixels, was kept as it is." in frame["sentence"] and not frame["problem"]


def test_a_line_of_code_that_was_cut_off_is_named(network):
    whole = cnn_studies.pack_image("own.png", png(40, 40))
    for broken in (whole[:-3], whole.replace(",iVBOR", ",iVBOR*")):
        with pytest.raises(ValueError, match="is not whole; copy the line again"):
            explore.answers(file=broken, network=network)


def test_the_diamond_of_the_truth_never_stands_on_a_bar_or_a_number(network):
    scene = explore.answers(network=network).scene
    renderer = scene.figure.canvas.get_renderer()
    for bar, percent in zip(scene.bars, scene.percents, strict=True):
        bar.set_width(100)
        percent.set_text("100 %")
    for truth in range(6):
        scene.update(image=truth, file="")
        for bar, percent in zip(scene.bars, scene.percents, strict=True):
            bar.set_width(100)
            percent.set_text("100 %")
        diamond = scene.truth.get_window_extent(renderer)
        assert scene.truth.get_ydata() == [truth] and diamond.width > 5
        assert all(bar.get_window_extent(renderer).x1 < diamond.x0 for bar in scene.bars)
        assert all(diamond.x1 < percent.get_window_extent(renderer).x0 for percent in scene.percents)


def test_what_is_kept_of_a_stage_equals_a_fresh_drawing(network, monkeypatch):
    explorer = explore.feature_maps(network=network)
    canvas, drawn = explorer.scene._canvas, []
    monkeypatch.setattr(canvas, "draw", lambda: drawn.append(1) or type(canvas).draw(canvas))
    visits = "group 3", "group 1", "group 3", "whitening", "group 3", "group 1"
    for image, stage in enumerate(visits):
        explorer.set(image=image, stage=stage, channel=3)
        fresh = explore.feature_maps(image, stage, 3, network)
        assert np.array_equal(pixels(explorer), pixels(fresh)), (image, stage)
    assert len(drawn) == 2  # group 1 had been drawn already
    explorer.scene.still(explorer.sentence)
    explorer.set(stage="group 3")
    assert np.array_equal(pixels(explorer), pixels(explore.feature_maps(5, "group 3", 3, network)))


def test_bars_show_the_largest_value_of_each_channel(network, few_images):
    explorer = explore.feature_maps(image=2, stage="group 2", channel=5, network=network)
    maps = cnn_studies.feature_maps(network, torch.from_numpy(few_images[2].transpose(2, 0, 1).copy()))["group 2"]
    largest = np.array([values.max() for values in maps]).clip(min=0)
    np.testing.assert_allclose(explorer.scene.values.get_data().values, 100 * largest / largest.max(), rtol=1e-6)
    assert explorer.scene.top.get_data()[0] == [5]
    assert explorer.scene.top.get_data()[1] == pytest.approx([100 * largest[4] / largest.max()])


def test_the_answer_to_one_image_is_that_of_many(network, few_images):
    images = torch.from_numpy(few_images.transpose(0, 3, 1, 2).copy())
    many = training.predict(network, images).numpy()
    for index in range(6):
        np.testing.assert_allclose(
            cnn_studies.answer(network.train(), images[index : index + 1]), many[index], atol=1e-6
        )


def test_one_thread_gives_the_threads_back(network):
    before = torch.get_num_threads()
    with pytest.raises(KeyError), cnn_studies.one_thread():
        assert torch.get_num_threads() == 1
        raise KeyError
    assert torch.get_num_threads() == before


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
