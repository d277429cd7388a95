"""Caffe models in OpenCV: another program that reads the same two files."""

import cv2


def run(folder, inputs, outputs):
    """Outputs by name."""
    net = cv2.dnn.readNetFromCaffe(str(folder / "deploy.prototxt"), str(folder / "weights.caffemodel"))
    # The plain arithmetic, without approximations.
    net.enableFusion(False)
    net.enableWinograd(False)
    for name, value in inputs.items():
        net.setInput(value, name)
    found = net.forward(list(outputs))
    return dict(zip(outputs, found))
