"""Classic networks as Caffe files: converted, they answer what OpenCV answers from the same files."""

import resource

import numpy as np
import pytest

import converter
import opencv
import topologies

CLASSIFIERS = ["alexnet", "googlenet", "mobilenet_v1", "mobilenet_v2", "resnet50", "squeezenet", "vgg16"]
CONVERSION_SECONDS = 5


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_a_classifier_answers_as_in_opencv(name, tmp_path):
    net = getattr(topologies, name)()
    folder = net.write(tmp_path)
    inputs = net.random_inputs()
    ours = converter.run(folder, inputs)
    theirs = opencv.run(folder, inputs, ["prob"])
    assert theirs["prob"].max() < 0.999, "a saturated softmax would hide differences"
    converter.assert_near(ours["prob"], theirs["prob"])


def test_rows_of_a_batch_are_answered_each_by_itself(tmp_path):
    net = topologies.squeezenet(side=99)
    folder = net.write(tmp_path)
    inputs = net.random_inputs(rows=3)
    together = converter.run(folder, inputs)["prob"]
    made = converter.session(folder / "model.onnx")
    for row in range(3):
        alone = made.run(["prob"], {"data": inputs["data"][row : row + 1]})[0]
        converter.assert_near(together[row : row + 1], alone)


def test_detections_are_those_of_opencv(tmp_path):
    net = topologies.ssd_mobilenet()
    folder = net.write(tmp_path)
    images = net.random_inputs(rows=2)["data"]
    ours = converter.run(folder, {"data": images})["detection_out"]
    assert ours.shape == (2, 100, 7)
    for image, found in zip(images, ours):
        theirs = opencv.run(folder, {"data": image[None]}, ["detection_out"])["detection_out"][0, 0]
        # Both keep the best 100. OpenCV leaves them in the order of their scores, Caffe in that of their labels.
        assert (np.diff(found[:, 1]) >= 0).all()
        converter.assert_near(_ordered(found), _ordered(theirs))


def _ordered(lines):
    return lines[np.lexsort((-lines[:, 2], lines[:, 1]))]


def test_lines_without_a_detection_are_minus_one(tmp_path):
    net = topologies.ssd_mobilenet(keep=400)
    net.text = [line.replace("confidence_threshold: 0.1", "confidence_threshold: 0.95") for line in net.text]
    folder = net.write(tmp_path)
    inputs = net.random_inputs()
    ours = converter.run(folder, inputs)["detection_out"][0]
    theirs = opencv.run(folder, inputs, ["detection_out"])["detection_out"][0, 0]
    theirs = theirs[theirs[:, 2] > 0]
    assert 0 < len(theirs) < 400
    converter.assert_near(_ordered(ours[: len(theirs)]), _ordered(theirs))
    assert (ours[len(theirs) :] == -1).all()


def test_resnet50_is_converted_within_five_seconds(tmp_path):
    folder = topologies.resnet50().write(tmp_path)
    before = _seconds_of_children()
    report = converter.convert(folder)
    assert report["size_bytes"] > 100_000_000
    assert _seconds_of_children() - before < CONVERSION_SECONDS


def _seconds_of_children():
    """Processor time of the programs that ran here; other programs on the machine do not change it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
