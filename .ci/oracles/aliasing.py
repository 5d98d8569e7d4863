"""Aliasing scores equal numeric integrals of the kernels' spectra."""

import numpy
from onnx import helper, numpy_helper

from .common import load
from .probe import inferred

# Of an integral that Gauss' quadrature makes exact to rounding.
TOLERANCE = 1e-6
# Frequencies an axis in the sum for natural images.
GRID = 64


def check(context):
    """Every strided convolution and pool of the corpus whose kernel is at hand."""
    equal = total = 0
    for folder in ("", "light"):
        for path in sorted((context.corpus / folder).glob("*.onnx")):
            model = load(path)
            nodes = {n.name or n.output[0]: n for n in model.graph.node}
            kernels = Kernels(model)
            for layer in context.analyze(path)["layers"]:
                score, node = layer["aliasing"], nodes.get(layer["node"])
                if score is None or not layer["kernel"]:
                    continue
                bank = kernels.of(node, layer["kernel"])
                shares = white(bank, layer), natural(bank, layer)
                wrong = abs(score["white"] - shares[0]), abs(score["natural"] - shares[1])
                total += 2
                equal += sum(w < TOLERANCE for w in wrong)
                if max(wrong) >= TOLERANCE:
                    print(f"     {path.stem} {layer['node']}: {score} is {shares}")
    context.tally.note(equal == total > 0, f"{equal} of {total} scores equal the integrals")


class Kernels:
    """The kernels of a model, a plane a pair of channels."""

    def __init__(self, model):
        self.tensors = {t.name: t for t in model.graph.initializer}
        self.filled = {
            n.output[0]: fill(n) for n in model.graph.node if n.op_type == "ConstantOfShape"
        }
        self.shapes = inferred(model)

    def of(self, node, kernel):
        """Planes of the taps that a layer's subsampling comes after."""
        if node.op_type == "AveragePool":
            return numpy.ones([1, *kernel])
        if node.op_type == "MaxPool":
            return numpy.ones([1, 1, 1])
        name = node.input[1]
        if name in self.filled:
            return numpy.full([1, *self.shapes[name][2:]], self.filled[name])
        weights = numpy_helper.to_array(self.tensors[name]).astype(float)
        return weights.reshape(-1, *weights.shape[2:])


def fill(node):
    """The value that a ConstantOfShape writes."""
    for attribute in node.attribute:
        if attribute.name == "value":
            return float(numpy_helper.to_array(helper.get_attribute_value(attribute)).ravel()[0])
    return 0.0


def energy(bank, layer, axes):
    """|H(ω)|² at the frequencies of the two axes, summed over the planes."""
    dilation = layer["dilation"] if bank[0].size > 1 else [1, 1]
    waves = [
        numpy.exp(-1j * numpy.outer(w, d * numpy.arange(k)))
        for w, d, k in zip(axes, dilation, bank.shape[1:], strict=True)
    ]
    spectrum = numpy.einsum("am,fmn,bn->fab", waves[0], bank, waves[1], optimize=True)
    return (numpy.abs(spectrum) ** 2).sum(0)


def white(bank, layer):
    """The share beyond the Nyquist limit, by Gauss-Legendre quadrature."""
    points, weights = numpy.polynomial.legendre.leggauss(80)

    def integral(limits):
        axes = [points * limit for limit in limits]
        area = numpy.outer(weights * limits[0], weights * limits[1])
        return (energy(bank, layer, axes) * area).sum()

    return 1 - integral([numpy.pi / s for s in layer["stride"]]) / integral([numpy.pi] * 2)


def natural(bank, layer):
    """The same for energy that falls as 1/|ω|², summed over the frequencies of a 64x64 image."""
    steps = numpy.arange(-GRID // 2, GRID // 2)
    axis = 2 * numpy.pi * steps / GRID
    weight = axis[:, None] ** 2 + axis[None] ** 2
    weight[GRID // 2, GRID // 2] = numpy.inf
    density = energy(bank, layer, [axis, axis]) / weight
    keeps = [(numpy.abs(steps) < GRID / 2 / s) | (s == 1) for s in layer["stride"]]
    return 1 - (density * numpy.outer(*keeps)).sum() / density.sum()
