"""The explorers of Programming 2: the feature maps of an image, and the network's answer to any image."""

import functools

import torch

from helpers import datasets
from helpers.core import cnn, cnn_studies
from helpers.explore.explorer import Explorer, choice, upload, whole
from helpers.figures.cnn import AnswerScene, FeatureScene


@functools.cache
def _shipped():
    # With the channels of a place side by side, as the processor's routine wants them, one image takes a third less.
    return cnn_studies.load_shipped()[0].to(memory_format=torch.channels_last)


@functools.cache
def _test_images():
    data = cnn_studies.in_one_order(datasets.cifar10(part="test"))
    return data.test_images, data.test_labels, data.class_names, data.name


@functools.cache
def _shipped_answers():
    # The shipped network's answers to the test images, from its file; None where the file or the images are others.
    try:
        return cnn_studies.read_answers(cnn_studies.ARTIFACTS / "p2_test.npz", _test_images()[0])
    except ValueError:
        return None


def _check(name, value, last):
    if value not in range(last + 1):
        raise ValueError(f"{name} is {value!r}; give a whole number from 0 to {last}.")


def feature_maps(image=0, stage="group 1", channel=1, network=None):
    """Return the explorer of one channel (from 1) after one stage of the network, for one test image.

    `network` is the shipped one unless given. Raises ValueError for an image, stage or channel that is not there.
    """
    images, labels, class_names, name = _test_images()
    network = network or _shipped()
    widths = cnn_studies.stages(network)
    _check("image", image, len(labels) - 1)
    if stage not in widths:
        raise ValueError(f"stage is {stage!r}; choose one of {', '.join(widths)}.")
    if channel not in range(1, widths[stage] + 1):
        raise ValueError(f"channel is {channel!r}; {stage} has the channels 1 to {widths[stage]}.")
    controls = {
        "image": whole("test image", image, 0, len(labels) - 1),
        "stage": choice("stage", list(widths), stage),
        "channel": whole("channel", channel, 1, widths[stage]),
    }

    def stage_chosen(change):
        controls["channel"].max = widths[change["new"]]

    controls["stage"].observe(stage_chosen, "value")
    scene = FeatureScene(network, images, labels, class_names, name)
    return Explorer(
        scene, controls, call="explore.feature_maps", steps="channel", rows=[["image", "stage"], ["channel"]]
    )


def answers(image=0, file="", network=None):
    """Return the explorer of the ten probabilities, for a test image or for a picture of the reader's own.

    `file` names an image file, or holds what an uploaded one became (see `cnn_studies.pack_image`). `network` is the
    shipped one unless given. Raises ValueError for a test image that is not there or a file that holds no image.
    """
    images, labels, class_names, name = _test_images()
    _check("image", image, len(labels) - 1)
    formats = ",".join(f"image/{kind.lower()}" for kind in cnn.IMAGE_FORMATS)
    controls = {
        "image": whole("test image", image, 0, len(labels) - 1),
        "file": upload("your own picture", file, cnn_studies.pack_image, formats),
    }

    def image_chosen(change):
        controls["file"].value = ""

    controls["image"].observe(image_chosen, "value")
    known = _shipped_answers() if network is None else None
    scene = AnswerScene(network or _shipped(), images, labels, class_names, name, known)
    return Explorer(scene, controls, call="explore.answers", steps="image")
