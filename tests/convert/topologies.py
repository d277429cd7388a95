"""The networks that people served with Caffe, whole: their layers written anew, with seeded random weights."""

from caffe_files import Net


def alexnet(side=227, width=512):
    """Krizhevsky 2012 as Caffe's model zoo has it: groups, LRN, overlapping pooling. The wide layers are 4096 there."""
    net = Net(1)
    x = net.input("data", (1, 3, side, side))
    x = net.relu(net.convolution(x, 96, 11, 4))
    x = net.pool(net.layer("LRN", x, "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"))
    x = net.relu(net.convolution(x, 256, 5, pad=2, group=2))
    x = net.pool(net.layer("LRN", x, "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"))
    x = net.relu(net.convolution(x, 384, 3, pad=1))
    x = net.relu(net.convolution(x, 384, 3, pad=1, group=2))
    x = net.pool(net.relu(net.convolution(x, 256, 3, pad=1, group=2)))
    return _classifier(net, x, width)


def _classifier(net, x, width, classes=1000):
    for _ in range(2):
        x = net.relu(net.inner_product(x, width))
        x = net.layer("Dropout", x, "dropout_param { dropout_ratio: 0.5 }", top=x)
    x = net.inner_product(x, classes, gain=1.0)
    net.layer("Softmax", x, top="prob")
    return net


def vgg16(side=64, width=512):
    """Simonyan 2014; images and the two wide layers are smaller here, the topology is whole."""
    net = Net(2, inputs="input_dim")
    x = net.input("data", (1, 3, side, side))
    for outputs, count in [(64, 2), (128, 2), (256, 3), (512, 3), (512, 3)]:
        for _ in range(count):
            x = net.relu(net.convolution(x, outputs, 3, pad=1))
        x = net.pool(x, kernel=2)
    return _classifier(net, x, width)


def googlenet(side=224):
    """Szegedy 2014: pooling that rounds up, concatenated branches."""
    net = Net(3, inputs="input_shape")
    lrn = "lrn_param { local_size: 5 alpha: 0.0001 beta: 0.75 }"
    x = net.input("data", (1, 3, side, side))
    x = net.pool(net.relu(net.convolution(x, 64, 7, 2, pad=3)))
    x = net.layer("LRN", x, lrn)
    x = net.relu(net.convolution(x, 64, 1))
    x = net.layer("LRN", net.relu(net.convolution(x, 192, 3, pad=1)), lrn)
    x = net.pool(x)
    stages = [
        [(64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)],
        [
            (192, 96, 208, 16, 48, 64),
            (160, 112, 224, 24, 64, 64),
            (128, 128, 256, 24, 64, 64),
            (112, 144, 288, 32, 64, 64),
            (256, 160, 320, 32, 128, 128),
        ],
        [(256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)],
    ]
    for number, stage in enumerate(stages):
        if number:
            x = net.pool(x)
        for sizes in stage:
            x = _inception(net, x, sizes)
    x = net.pool(x, "AVE", kernel=net.shapes[x][2], stride=1)
    x = net.layer("Dropout", x, "dropout_param { dropout_ratio: 0.4 }", top=x)
    x = net.inner_product(x, 1000, gain=1.0)
    net.layer("Softmax", x, top="prob")
    return net


def _inception(net, x, sizes):
    one, reduce3, three, reduce5, five, pooled = sizes
    branches = [net.relu(net.convolution(x, one, 1))]
    branches.append(net.relu(net.convolution(net.relu(net.convolution(x, reduce3, 1)), three, 3, pad=1)))
    branches.append(net.relu(net.convolution(net.relu(net.convolution(x, reduce5, 1)), five, 5, pad=2)))
    branches.append(net.relu(net.convolution(net.pool(x, stride=1, pad=1), pooled, 1)))
    return net.concat(branches)


def resnet50(side=224):
    """He 2015: BatchNorm and Scale after each convolution, sums of branches."""
    net = Net(4)
    x = net.input("data", (1, 3, side, side))
    x = net.relu(net.batch_norm(net.convolution(x, 64, 7, 2, pad=3)))
    x = net.pool(x)
    for stage, (width, count) in enumerate([(64, 3), (128, 4), (256, 6), (512, 3)]):
        for block in range(count):
            stride = 2 if stage and not block else 1
            branch = net.relu(net.batch_norm(net.convolution(x, width, 1, stride, bias=False)))
            branch = net.relu(net.batch_norm(net.convolution(branch, width, 3, pad=1, bias=False)))
            branch = net.batch_norm(net.convolution(branch, 4 * width, 1, bias=False))
            if not block:
                x = net.batch_norm(net.convolution(x, 4 * width, 1, stride, bias=False))
            # Halved, because random branches do not grow smaller as trained ones do.
            x = net.layer("Eltwise", [x, branch], "eltwise_param { operation: SUM coeff: 0.7 coeff: 0.7 }")
            x = net.relu(x)
    x = net.inner_product(net.pool(x, "AVE", kernel=net.shapes[x][2], stride=1), 1000, gain=0.2)
    net.layer("Softmax", x, top="prob")
    return net


def mobilenet_v1(side=224):
    """Howard 2017: each image channel convolved by itself, then all of a place."""
    net = Net(5)
    x = net.input("data", (1, 3, side, side))
    for _, x in _mobilenet_v1_body(net, x):
        pass
    x = net.convolution(net.global_average(x), 1000, 1, gain=0.05)
    net.layer("Softmax", x, top="prob")
    return net


def _mobilenet_v1_body(net, x):
    x = net.relu(net.batch_norm(net.convolution(x, 32, 3, 2, pad=1, bias=False)))
    plan = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2)] + [(512, 1)] * 5 + [(1024, 2), (1024, 1)]
    for number, (outputs, stride) in enumerate(plan):
        channels = net.shapes[x][1]
        x = net.relu(net.batch_norm(net.convolution(x, channels, 3, stride, pad=1, group=channels, bias=False)))
        x = net.relu(net.batch_norm(net.convolution(x, outputs, 1, bias=False)))
        yield number, x


def mobilenet_v2(side=224):
    """Sandler 2018: narrow sums between wide blocks."""
    net = Net(6)
    x = net.input("data", (1, 3, side, side))
    x = net.relu(net.batch_norm(net.convolution(x, 32, 3, 2, pad=1, bias=False)))
    plan = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)]
    for widen, outputs, count, first_stride in plan:
        for block in range(count):
            channels = net.shapes[x][1]
            stride = 1 if block else first_stride
            branch = x
            if widen > 1:
                branch = net.relu(net.batch_norm(net.convolution(branch, widen * channels, 1, bias=False)))
            width = net.shapes[branch][1]
            branch = net.convolution(branch, width, 3, stride, pad=1, group=width, bias=False)
            branch = net.relu(net.batch_norm(branch))
            # No ReLU follows that would halve the variance.
            branch = net.batch_norm(net.convolution(branch, outputs, 1, bias=False, gain=0.7))
            x = net.add([x, branch]) if block else branch
    x = net.relu(net.batch_norm(net.convolution(x, 1280, 1, bias=False)))
    x = net.convolution(net.global_average(x), 1000, 1, gain=0.05)
    net.layer("Softmax", x, top="prob")
    return net


def squeezenet(side=227):
    """Iandola 2016, version 1.1: fire modules, no matrix at the end."""
    net = Net(7)
    x = net.input("data", (1, 3, side, side))
    x = net.pool(net.relu(net.convolution(x, 64, 3, 2)))
    for squeeze, expand, pooled in [
        (16, 64, False),
        (16, 64, True),
        (32, 128, False),
        (32, 128, True),
        (48, 192, False),
        (48, 192, False),
        (64, 256, False),
        (64, 256, False),
    ]:
        x = net.relu(net.convolution(x, squeeze, 1))
        wide = [net.relu(net.convolution(x, expand, 1)), net.relu(net.convolution(x, expand, 3, pad=1))]
        x = net.concat(wide)
        x = net.pool(x) if pooled else x
    x = net.layer("Dropout", x, "dropout_param { dropout_ratio: 0.5 }", top=x)
    x = net.global_average(net.relu(net.convolution(x, 1000, 1)))
    net.layer("Softmax", x, top="prob")
    return net


def ssd_mobilenet(side=300, classes=21, keep=100):
    """Liu 2016 over MobileNet v1: six feature maps, boxes around each place, non-maximum suppression."""
    net = Net(8)
    image = x = net.input("data", (1, 3, side, side))
    maps = []
    for number, x in _mobilenet_v1_body(net, x):
        if number in (10, 12):
            maps.append(x)
    for narrow, wide in [(256, 512), (128, 256), (128, 256), (64, 128)]:
        x = net.relu(net.batch_norm(net.convolution(x, narrow, 1, bias=False)))
        x = net.relu(net.batch_norm(net.convolution(x, wide, 3, 2, pad=1, bias=False)))
        maps.append(x)
    sizes = [(60, None), (105, 150), (150, 195), (195, 240), (240, 285), (285, 300)]
    locations, confidences, priors = [], [], []
    for x, (least, most) in zip(maps, sizes):
        ratios = [2.0] if most is None else [2.0, 3.0]
        count = 1 + 2 * len(ratios) + (most is not None)
        locations.append(_head(net, x, 4 * count))
        confidences.append(_head(net, x, classes * count))
        params = f"min_size: {least}.0 " + (f"max_size: {most}.0 " if most else "")
        params += " ".join(f"aspect_ratio: {it}" for it in ratios)
        params += " flip: true clip: false variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 offset: 0.5"
        shape = (1, 2, net.shapes[x][2] * net.shapes[x][3] * count * 4)
        priors.append(net.layer("PriorBox", [x, image], f"prior_box_param {{ {params} }}", shape=shape))
    locations, confidences = net.concat(locations), net.concat(confidences)
    boxes = net.concat(priors, axis=2)
    count = net.shapes[boxes][2] // 4
    shape = (1, count, classes)
    x = net.layer("Reshape", confidences, f"reshape_param {{ shape {{ dim: 0 dim: -1 dim: {classes} }} }}", shape=shape)
    x = net.layer("Softmax", x, "softmax_param { axis: 2 }")
    x = net.layer("Flatten", x, "flatten_param { axis: 1 }", shape=(1, count * classes))
    params = f"num_classes: {classes} share_location: true background_label_id: 0 code_type: CENTER_SIZE"
    params += f" nms_param {{ nms_threshold: 0.45 top_k: 100 }} keep_top_k: {keep} confidence_threshold: 0.1"
    detect = f"detection_output_param {{ {params} }}"
    net.layer("DetectionOutput", [locations, x, boxes], detect, top="detection_out", shape=(1, 1, 1, 7))
    return net


def _head(net, x, outputs):
    x = net.convolution(x, outputs, 1)
    rows, channels, height, width = net.shapes[x]
    shape = (rows, height, width, channels)
    x = net.layer("Permute", x, "permute_param { order: 0 order: 2 order: 3 order: 1 }", shape=shape)
    return net.layer("Flatten", x, "flatten_param { axis: 1 }", shape=(rows, height * width * channels))
