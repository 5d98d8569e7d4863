"""A network that tells what another one's layers depend on.

Every tensor has one channel and holds 0 (untouched) or 1 (depends on a changed
pixel): kernels are ones, activations and normalizations are left out, branches
meet in their sum, and the sign after each step keeps numbers at 0 and 1. What
slides, pads, crops and resizes is the original's.
"""

import numpy
import onnx
from onnx import helper, numpy_helper

WINDOWS = {"Conv", "ConvTranspose", "MaxPool", "AveragePool"}
UPSAMPLING = {"ConvTranspose", "Resize"}
GLOBAL = {"GlobalAveragePool", "GlobalMaxPool"}
# One position in, the same position out.
POINTWISE = {
    "Relu", "Clip", "Tanh", "Sigmoid", "Gelu", "Dropout", "Identity", "LRN",
    "BatchNormalization", "InstanceNormalization", "LayerNormalization", "ImageScaler", "Affine",
}  # fmt: skip
MEETING = {"Add", "Sum", "Mul", "Concat"}
KEPT = {
    "strides", "dilations", "pads", "auto_pad", "ceil_mode", "count_include_pad", "output_padding",
    "output_shape", "mode", "coordinate_transformation_mode", "nearest_mode",
}  # fmt: skip


class Probe:
    """The probe of a model, built node by node."""

    def __init__(self, model):
        self.model = model
        weights = {t.name for t in model.graph.initializer}
        (image,) = [i for i in model.graph.input if i.name not in weights]
        self.image = image.name
        self.size = [d.dim_value for d in image.type.tensor_type.shape.dim[2:]]
        self.constants = {t.name: t for t in model.graph.initializer}
        self.shapes = inferred(model)
        # Value of the model -> value of the probe, and where its channels are.
        self.alive = {self.image: ("image", "nchw")}
        # What no longer has positions.
        self.lost = set()
        self.nodes, self.tensors = [], []
        # Name of each convolution and pool -> value of the probe.
        self.layers = {}
        # Values behind upsampling: what their units see differs from one to the next.
        self.upsampled = set()
        # Whether a border shows the image.
        self.mirrors = False
        for node in model.graph.node:
            self.visit(node)

    def visit(self, node):
        """Adds what stands for a node."""
        read = [i for i in node.input if i in self.alive]
        if any(i in self.lost for i in node.input):
            self.lost.update(node.output)
        elif not read:
            if node.op_type == "Constant":
                (value,) = [a.t for a in node.attribute if a.name == "value"]
                self.constants[node.output[0]] = value
        elif (made := self.stand_in(node, read)) is None:
            self.lost.update(node.output)
        else:
            self.alive[node.output[0]] = made
            if UPSAMPLING & {node.op_type} or self.upsampled & set(read):
                self.upsampled.add(node.output[0])
            if node.op_type in WINDOWS | GLOBAL:
                self.layers[node.name or node.output[0]] = made[0]

    def stand_in(self, node, read):
        """The value that stands for a node's output, and its layout."""
        (source, layout), op = self.alive[read[0]], node.op_type
        given = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        kept = {k: v for k, v in given.items() if k in KEPT}
        if op in POINTWISE or (op in MEETING and len(read) == 1):
            return source, layout
        if op in MEETING:
            if op == "Concat" and given["axis"] != 1:
                return None
            return self.sign("Sum", [self.alive[i][0] for i in read]), layout
        if op == "MatMul" and layout == "nhwc":
            return source, layout
        if op in WINDOWS:
            kernel = given.get("kernel_shape") or self.shapes[node.input[1]][2:]
            if "Conv" in op:
                ones = self.tensor(numpy.ones([1, 1, *kernel], numpy.float32))
                return self.sign(op, [source, ones], **kept), layout
            return self.sign(op, [source], kernel_shape=kernel, **kept), layout
        if op in GLOBAL:
            return self.sign(op, [source]), layout
        if op == "Transpose":
            perm = given["perm"]
            if layout == "groups" and perm[-2:] == [len(perm) - 2, len(perm) - 1]:
                return source, layout
            moved = {("nchw", (0, 2, 3, 1)): "nhwc", ("nhwc", (0, 3, 1, 2)): "nchw"}
            layout = moved.get((layout, tuple(perm)))
            return layout and (source, layout)
        if op == "Reshape":
            before, after = self.shapes.get(node.input[0]), self.shapes.get(node.output[0])
            if not before or not after or min(len(before), len(after)) < 4 or before[-2:] != after[-2:]:
                return None
            return source, "nchw" if len(after) == 4 else "groups"
        if op == "Pad":
            pads = list(given.get("pads") or self.constant(node.input[1]))
            pads = [0, 0, *pads[2:4], 0, 0, *pads[6:8]]
            self.mirrors |= given.get("mode", b"constant") != b"constant"
            return self.add("Pad", [source, self.ints(pads)], **kept), layout
        if op == "Crop":
            left, top, right, bottom = given["border"]
            ends = [-v if v else 2**31 for v in (bottom, right)]
            return self.slice(source, [top, left], ends), layout
        if op == "Resize":
            scales = self.constant(node.input[2 if len(node.input) > 2 else 1])
            scales = self.tensor(numpy.asarray(scales, numpy.float32))
            return self.sign(op, [source, "", scales], **kept), layout
        return None

    def add(self, op, inputs, **attributes):
        """Adds a node; its output."""
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [output], output, **attributes))
        return output

    def sign(self, op, inputs, **attributes):
        """The same, kept at 0 and 1."""
        return self.add("Sign", [self.add(op, inputs, **attributes)])

    def slice(self, source, starts, ends):
        """Rows and columns of a value."""
        return self.add("Slice", [source, *map(self.ints, (starts, ends, [2, 3]))])

    def tensor(self, array):
        """A constant; its name."""
        name = f"t{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(array, name))
        return name

    def ints(self, values):
        """The same, of whole numbers."""
        return self.tensor(numpy.asarray(values, numpy.int64))

    def constant(self, name):
        """A constant of the model."""
        return numpy_helper.to_array(self.constants[name]).tolist()

    def sizes(self):
        """Height and width of each layer's output."""
        found = inferred(self.built(list(self.layers.values())))
        return {name: found[value][2:] for name, value in self.layers.items()}

    def at(self, units):
        """The model that gives the units (layer, row, column), each a channel of its output."""
        before = len(self.nodes)
        picked = [
            self.slice(self.layers[layer], [y, x], [y + 1, x + 1]) for layer, y, x in units
        ]
        model = self.built([self.add("Concat", picked, axis=1)])
        del self.nodes[before:]
        return model

    def built(self, outputs):
        """The probe as a model with these outputs."""
        shape = ["N", 1, *self.size]
        graph = helper.make_graph(
            self.nodes,
            "probe",
            [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(o, onnx.TensorProto.FLOAT, None) for o in outputs],
            self.tensors,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def inferred(model):
    """The shapes that onnx's shape inference finds, symbols as None."""
    found = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {t.name: list(t.dims) for t in found.initializer}
    for value in [*found.value_info, *found.output, *found.input]:
        if value.type.tensor_type.HasField("shape"):
            dims = value.type.tensor_type.shape.dim
            shapes[value.name] = [d.dim_value if d.HasField("dim_value") else None for d in dims]
    return shapes
