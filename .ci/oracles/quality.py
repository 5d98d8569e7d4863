"""Trained models with the data to fit and to judge their rewrites, all run in onnxruntime."""

import dataclasses
import json
from collections.abc import Callable

import numpy

from . import forms
from .common import image_input, load, session


@dataclasses.dataclass
class Samples:
    """What is calibrated on and what is judged on, as the model takes it; `told` is what convfold
    is told instead: two files and how to scale them."""

    calibration: numpy.ndarray
    test: numpy.ndarray
    labels: numpy.ndarray | None
    told: list


@dataclasses.dataclass
class Case:
    """A model, which of its convolutions are to shrink, and to what shares of their weights."""

    name: str
    model: str
    budgets: list
    # Of a node and its kernel's shape.
    targets: Callable
    # How convfold is told the targets and what to do.
    options: list
    samples: Callable
    how: list = dataclasses.field(
        default_factory=lambda: ["--goal", "params", "--budget", "{budget}"]
    )
    # The largest value of an output that is an image, which is judged by its PSNR.
    peak: float | None = None
    slow: bool = False
    # Trials to share a peer's weights better.
    trials: int = 40


@dataclasses.dataclass
class Found:
    """A rewritten model: its share of the targets' weights, and its figures on the test data."""

    share: float
    figures: dict
    # The same figures as convfold told them.
    told: dict = dataclasses.field(default_factory=dict)

    def __str__(self):
        figures = " / ".join(f"{v:.2f}" for v in self.figures.values())
        return f"{figures} ({100 * self.share:.1f} %)"


class Judge:
    """A case with its data and what the original makes of them."""

    def __init__(self, context, case, most=1000):
        self.context, self.case, self.most = context, case, most
        self.path = context.corpus / case.model
        self.model = load(self.path)
        self.layers = forms.kernels(self.model, case.targets)
        self.weights = sum(kernel.size for kernel in self.layers.values())
        self.samples = case.samples(context)
        self.expected = {p: self.run(self.path, p) for p in ("calibration", "test")}

    def run(self, model, part):
        """The first output of a model on a part of the samples."""
        running, samples = session(model), getattr(self.samples, part)
        name = image_input(running)
        (shape,) = [i.shape for i in running.get_inputs() if i.name == name]
        size = 1 if shape[0] == 1 else 100
        batches = (samples[i : i + size] for i in range(0, len(samples), size))
        return numpy.concatenate([running.run(None, {name: b})[0] for b in batches])

    def figures(self, model, part="test"):
        """Top-1 (where there are labels) and agreement in percent, or PSNR in dB."""
        expected, found = self.expected[part].astype(float), self.run(model, part).astype(float)
        if self.case.peak:
            noise = ((expected - found) ** 2).mean()
            return {"PSNR": 10 * numpy.log10(self.case.peak**2 / noise)}
        old, new = (o.reshape(len(o), -1).argmax(1) for o in (expected, found))
        figures = {"agreement": 100 * (old == new).mean()}
        if part == "test" and self.samples.labels is not None:
            figures = {"top-1": 100 * (new == self.samples.labels).mean(), **figures}
        return figures

    def share(self, model):
        """What is left of the targets' weights: all else is as it was."""
        before, after = (
            sum(k.size for k in forms.kernels(m, lambda *_: True).values())
            for m in (self.model, model)
        )
        return 1 - (before - after) / self.weights

    def convfold(self, budget):
        """What convfold makes, and what it tells of it."""
        out, report = (self.context.scratch / f"rewritten.{e}" for e in ("onnx", "json"))
        how = [o.format(budget=budget) for o in self.case.how]
        self.context.run(
            "factorize", self.path, "-o", out, *how, *self.case.options, *self.samples.told,
            "--calibration-samples", self.most, "--report", report,
        )  # fmt: skip
        told = json.loads(report.read_text())["passes"][-1]["accuracy"] or {}
        top1, agreement = told.get("top1") or {}, told.get("agreement")
        named = {"top-1": top1.get("rewritten"), "agreement": agreement}
        figures = {name: 100 * value for name, value in named.items() if value is not None}
        return Found(self.share(load(out)), self.figures(out), figures)

    def peer(self, form, budget):
        """The same in another form, its weights shared over the layers as serves the outputs on
        the calibration data best."""
        layers = [forms.choices(kernel, form) for kernel in self.layers.values()]
        limit = budget * self.weights

        def made(picks):
            chains = {}
            for (name, kernel), options, index in zip(self.layers.items(), layers, picks):
                if (ranks := options[index][2]) is not None:
                    chains[name] = form.factors(kernel, ranks)
            return forms.rewritten(self.model, chains)

        def loss(picks):
            found = self.run(made(picks).SerializeToString(), "calibration")
            return float(((found - self.expected["calibration"]) ** 2).mean())

        found = list(forms.starts(layers, limit))
        if not found:
            return None
        picks = min(found, key=loss) if len(found) > 1 else found[0]
        model = made(forms.improved(layers, picks, limit, loss, self.case.trials))
        return Found(self.share(model), self.figures(model.SerializeToString()))


def labelled(name, *preprocess, scale=1.0, mean=0.0):
    """The labelled images of a model, of the corpus."""

    def samples(context):
        files = [context.corpus / f"{name}-{part}.npz" for part in ("calib", "test")]
        calibration, test = map(numpy.load, files)
        made = [(a["images"] * scale - mean).astype(numpy.float32) for a in (calibration, test)]
        told = ["--calibrate", files[0], "--data", files[1], *preprocess]
        return Samples(*made, test["labels"], told)

    return samples


def photos(make, data=True):
    """What `make` cuts of photo 0 to calibrate on, and of photo 1 to judge on."""

    def samples(context):
        images = numpy.load(context.corpus / "photos.npz")["images"].astype(float)
        made = [make(image, part).astype(numpy.float32) for part, image in enumerate(images)]
        files = [context.scratch / f"photo{part}.npz" for part in (0, 1)]
        for file, array in zip(files, made):
            numpy.savez(file, input=array)
        return Samples(*made, None, ["--calibrate", files[0], *(["--data", files[1]] * data)])

    return samples


def resized(image, size, top=0.0, left=0.0, side=None):
    """A square of an image as size x size, bilinear."""
    side = side or image.shape[1]

    def axis(start):
        at = numpy.clip(start + (numpy.arange(size) + 0.5) * side / size - 0.5, 0, None)
        low = numpy.minimum(at.astype(int), image.shape[1] - 1)
        return low, numpy.minimum(low + 1, image.shape[1] - 1), at - low

    (y0, y1, fy), (x0, x1, fx) = axis(top), axis(left)
    rows = image[:, y0] * (1 - fy)[:, None] + image[:, y1] * fy[:, None]
    return rows[:, :, x0] * (1 - fx) + rows[:, :, x1] * fx


def luma(image, _):
    """Brightness from 0 to 1."""
    return (numpy.tensordot([0.299, 0.587, 0.114], image, 1) / 255)[None, None]


def enlarged(image, _):
    """Nearest neighbour to 720x720, as candy's golden input."""
    index = numpy.arange(720) * image.shape[1] // 720
    return image[:, index][:, :, index][None]


def crops(calibration, test, smallest):
    """Crops at random places, of that share of the side and more, half of them mirrored; as
    squeezenet takes them."""

    def cut(image, part):
        random = numpy.random.default_rng(part)
        mean = numpy.array([103.939, 116.779, 123.68])[:, None, None]
        made = []
        for _ in range((calibration, test)[part]):
            side = image.shape[1] * random.uniform(smallest, 1.0)
            top, left = random.uniform(0, image.shape[1] - side, 2)
            crop = resized(image, 224, top, left, side)
            crop = crop[:, :, ::-1] if random.random() < 0.5 else crop
            made.append(crop[::-1] - mean)
        return numpy.stack(made)

    return cut


def large(_, shape):
    """Kernels of 5 and more."""
    return max(shape[2:]) >= 5


def cases(calibration_crops=40, test_crops=200, smallest_crop=0.4):
    """All of them."""
    mnist = Case("mnist", "mnist.onnx", [0.55, 0.43, 0.30], large, [], labelled("mnist"))
    scaled = labelled(
        "cifar10", "--scale", "1/127.5", "--mean", "1", scale=1 / 127.5, mean=1.0
    )
    cifar = Case("cifar10_cnn", "cifar10_cnn.onnx", [0.70, 0.55, 0.43, 0.30], large, [], scaled)
    resolution = Case(
        "super_resolution", "super_resolution.onnx", [0.70],
        lambda node, _: node.name != "Conv_0", ["--skip", "Conv_0"],
        photos(luma), peak=1.0, slow=True,
    )  # fmt: skip
    candy = Case(
        "candy", "candy.onnx", [0.73, 0.49],
        large, ["--only", "convolution", "--only", "convolution15"],
        photos(enlarged, data=False), peak=255.0, slow=True, trials=0,
    )  # fmt: skip
    squeezenet = Case(
        "squeezenet", "squeezenet.onnx", [0.95, 0.83],
        lambda node, shape: shape[2] == 3 and node.output[0] != "conv1_1", ["--skip", "conv1_1"],
        photos(crops(calibration_crops, test_crops, smallest_crop)), slow=True, trials=0,
    )  # fmt: skip
    twos = dataclasses.replace(
        squeezenet, name="squeezenet, two 2x2",
        how=["--pass", "3x3-to-2x2", "--width", "x{budget}"],
    )  # fmt: skip
    return [mnist, cifar, resolution, candy, squeezenet, twos]
