# SPDX-License-Identifier: MPL-2.0
"""A trained network as ONNX (opset 17, batch normalisation folded) with its sidecar."""

import copy
import time

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from .evaluation import PEAK_RATIO, THRESHOLD, session
from .networks import INPUT, STRIDE, parameters
from .tasks import JOINTS, SKELETON

OPSET = 17
# Larger networks keep their weights as float16 in the file and compute with float32: files stay under 10 MB.
LARGEST_FLOAT32 = 2_400_000


def folded(block):
    """A block's convolution with its batch normalisation folded into the weights."""
    conv, norm, _ = copy.deepcopy(block).eval()
    return nn.utils.fuse_conv_bn_eval(conv, norm)


def onnx_model(network, task):
    """Written node by node: the graph holds what the network needs and readable names for the cuts."""
    nodes, weights = [], []
    half = parameters(network) > LARGEST_FLOAT32

    def weight(name, values):
        values = values.detach().numpy()
        if half:
            weights.append(numpy_helper.from_array(values.astype(np.float16), f"{name}.half"))
            nodes.append(helper.make_node("Cast", [f"{name}.half"], [name], f"{name}.cast", to=TensorProto.FLOAT))
        else:
            weights.append(numpy_helper.from_array(values, name))

    def conv(name, source, layer):
        weight(f"{name}.weight", layer.weight)
        weight(f"{name}.bias", layer.bias)
        attributes = {
            "kernel_shape": list(layer.kernel_size),
            "strides": list(layer.stride),
            "dilations": list(layer.dilation),
            "pads": list(layer.padding) * 2,
        }
        nodes.append(helper.make_node("Conv", [source, f"{name}.weight", f"{name}.bias"], [name], name, **attributes))
        return name

    x = "image"
    for i, block in enumerate([*network.body, network.refine]):
        if block is network.refine:
            # CRD is the order of PyTorch's PixelShuffle.
            nodes.append(helper.make_node("DepthToSpace", [x], ["spread"], "spread", blocksize=2, mode="CRD"))
            x = "spread"
        c = conv(f"conv{i}", x, folded(block))
        x = f"features{i}"
        nodes.append(helper.make_node("Relu", [c], [x], f"relu{i}"))
    nodes.append(helper.make_node("Sigmoid", [conv("heatmap_logits", x, network.heatmap)], ["heatmap"], "sigmoid"))
    if network.second == "exp":
        nodes.append(helper.make_node("Exp", [conv("log_" + task.second_name, x, network.values)], [task.second_name], "exp"))
    else:
        conv(task.second_name, x, network.values)
    h, w = INPUT[0] // STRIDE, INPUT[1] // STRIDE
    value = lambda name, *shape: helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)  # noqa: E731
    graph = helper.make_graph(
        nodes,
        f"splitinfer-{task.kind}",
        [value("image", 1, 3, *INPUT)],
        [value("heatmap", 1, task.heatmaps, h, w), value(task.second_name, 1, task.values, h, w)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="splitinfer recipe")
    model.ir_version = 8
    onnx.checker.check_model(model, full_check=True)
    return model


def export(network, task, path):
    """Writes the model and checks that ONNX Runtime gives what PyTorch gives; returns the largest difference, which
    for float16 weights is that of their rounding."""
    onnx.save(onnx_model(network, task), path)
    x = torch.rand(1, 3, *INPUT, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = network(x)
    given = session(path).run(None, {"image": x.numpy()})
    difference = max(float(np.abs(e.numpy() - g).max()) for e, g in zip(expected, given))
    if difference > (0.02 if parameters(network) > LARGEST_FLOAT32 else 1e-3):
        raise RuntimeError(f"{path} differs from the network by {difference}")
    return difference


def cost(path):
    """Parameters, multiply–accumulates and milliseconds on one core."""
    model = onnx.load(path)
    shapes = {v.name: [d.dim_value for d in v.type.tensor_type.shape.dim] for v in onnx.shape_inference.infer_shapes(model).graph.value_info}
    shapes |= {o.name: [d.dim_value for d in o.type.tensor_type.shape.dim] for o in model.graph.output}
    weights = {w.name.removesuffix(".half"): list(w.dims) for w in model.graph.initializer}
    macs = sum(
        int(np.prod(weights[n.input[1]])) * int(np.prod(shapes[n.output[0]][2:]))
        for n in model.graph.node
        if n.op_type == "Conv"
    )
    runner = session(path)
    x = {"image": np.zeros((1, 3, *INPUT), np.float32)}
    times = []
    for _ in range(60):
        start = time.perf_counter()
        runner.run(None, x)
        times.append(time.perf_counter() - start)
    return {"parameters": sum(int(np.prod(w)) for w in weights.values()), "MACs": macs, "ms": 1000 * float(np.median(times))}


def sidecar(task, name):
    """The `.modelinfo` beside the model: GStreamer 1.28's keys and the project's own section."""
    h, w = INPUT[0] // STRIDE, INPUT[1] // STRIDE

    def tensor(name, role, dims, direction, extra=""):
        dims = ",".join(map(str, dims))
        return f"[{name}]\nid={role}\ntype=float32\ndims={dims}\ndir={direction}\ndims-order=row-major\n{extra}\n"

    text = "# SPDX-License-Identifier: MPL-2.0\n[modelinfo]\nversion=1.0\ngroup-id=" + name + "\n\n"
    text += tensor("image", "splitinfer-image", (1, 3, *INPUT), "input", "ranges=0,1;0,1;0,1\n")
    text += tensor("heatmap", "splitinfer-heatmap", (1, task.heatmaps, h, w), "output")
    text += tensor(task.second_name, f"splitinfer-{task.second_name}", (1, task.values, h, w), "output")
    return text + own_section(task)


def own_section(task):
    lines = ["[splitinfer]", "colour=rgb", "resize=stretch", "filter=area", "activation=none"]
    if task.kind == "traffic":
        lines += ["head=center", f"score-threshold={THRESHOLD}", f"peak-ratio={PEAK_RATIO}", "nms-threshold=0.5"]
        lines += ["class-agnostic=true", "labels=" + ",".join(task.labels)]
    else:
        pairs = ",".join(f"{a}-{b}" for a, b in SKELETON)
        lines += ["head=pose-heatmaps", "labels=person", "keypoints=" + ",".join(JOINTS), "skeleton=" + pairs]
    return "\n".join(lines) + "\n"
