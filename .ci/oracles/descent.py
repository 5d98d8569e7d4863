"""The usual fit of two convolutions in series to one, in numpy, and convfold's of the same layer.

Two factors, from the best filters of the kernel's windows or from random ones: alternating
least squares in the metric of the layer's input patches, then joint quasi-Newton steps (scipy's
L-BFGS, in the basis in which that metric is nearly the identity).
"""

import dataclasses
import subprocess

import numpy
from onnx import helper
from scipy import linalg, optimize
from scipy.sparse import linalg as sparse

from . import forms, quality
from .common import feed_name, in_onnxruntime, load

# Channels between the two, a layer of each model.
WIDTHS = {"mnist": [2, 8], "cifar10_cnn": [3, 9, 12, 18]}
FIRST = LAST = 3
MOST_STEPS = 400


@dataclasses.dataclass
class Effort:
    """Of the fit in numpy."""

    starts: int = 2
    # Of alternating least squares.
    sweeps: int = 60
    # At most, of the quasi-Newton method, and the relative gain of one to stop at.
    steps: int = 300
    gain: float = 1e-5


@dataclasses.dataclass
class Layer:
    """A convolution and what it reads."""

    kernel: numpy.ndarray
    # Before and after, the same on both axes.
    pads: tuple
    x: numpy.ndarray
    width: int

    @property
    def shape(self):
        """Of the kernel, in words."""
        return "x".join(map(str, self.kernel.shape))


def layers_of(context, name, samples):
    """Every large convolution of a model and what it reads of the calibration images."""
    (case,) = [c for c in quality.cases() if c.name == name]
    images = case.samples(context).calibration[:samples]
    model = load(context.corpus / case.model)
    kernels = forms.kernels(model, case.targets)
    nodes = [n for n in model.graph.node if n.output[0] in kernels]
    extra = {n.input[0] for n in nodes} - {feed_name(model)}
    model.graph.output.extend(helper.make_empty_tensor_value_info(n) for n in extra)
    values = in_onnxruntime(model.SerializeToString(), images)
    for node, width in zip(nodes, WIDTHS[name], strict=True):
        source, pads = node.input[0], forms.window_of(node)["pads"]
        x = values[source][:, 0] if source in extra else images
        kernel = kernels[node.output[0]].astype(float)
        yield Layer(kernel, (pads[0], pads[2]), x, width)


def covariance_of(layer):
    """Centred covariance of the zero-padded patches, (in k k)²."""
    pads, k = layer.pads, layer.kernel.shape[2]
    x = numpy.pad(layer.x.astype(float), [(0, 0), (0, 0), pads, pads])
    windows = numpy.lib.stride_tricks.sliding_window_view(x, (k, k), axis=(2, 3))
    patches = windows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, x.shape[1] * k * k)
    return numpy.cov(patches, rowvar=False, bias=True)


def composed(first, last):
    """The kernel that two in series equal."""
    (out, _, size, _), (_, inp, k, _) = last.shape, first.shape
    whole = numpy.zeros((out, inp, size + k - 1, size + k - 1))
    for y in range(size):
        for x in range(size):
            whole[:, :, y : y + k, x : x + k] += numpy.tensordot(last[:, :, y, x], first, 1)
    return whole


def lost_by(kernel, covariance, first, last):
    """Root of the share of the output's variance that is lost."""
    flat = kernel.reshape(len(kernel), -1)
    lost = flat - composed(first, last).reshape(flat.shape)
    variance = numpy.einsum("on,nm,om->", flat, covariance, flat)
    return numpy.sqrt(numpy.einsum("on,nm,om->", lost, covariance, lost) / variance)


class Fit:
    """Two factors in the metric of the data, by joint quasi-Newton steps."""

    def __init__(self, kernel, covariance, width):
        self.width = width
        self.out, self.inp, k, _ = kernel.shape
        self.flat = kernel.reshape(self.out, -1)
        floor = 1e-9 * linalg.eigvalsh(covariance)[-1]
        self.metric = covariance + floor * numpy.eye(len(covariance))
        self.energy = numpy.einsum("on,nm,om->", self.flat, self.metric, self.flat)
        taps = numpy.arange(self.inp * k**2).reshape(self.inp, k, k)
        shifts = range(LAST)
        windows = [taps[:, y : y + FIRST, x : x + FIRST].ravel() for y in shifts for x in shifts]
        self.windows = numpy.array(windows)
        mean = sum(self.metric[numpy.ix_(w, w)] for w in self.windows) / len(self.windows)
        self.root = linalg.cholesky(mean, lower=True)
        self.inverse = linalg.inv(self.root)
        self.views = numpy.concatenate([self.flat[:, w] for w in self.windows])

    def run(self, effort):
        """The best of several starts: (first, last)."""
        rng = numpy.random.default_rng(0)
        found = []
        for start in range(effort.starts):
            first = self.principal() if start == 0 else self.random(rng)
            for _ in range(effort.sweeps):
                first = self.orthonormal(first)
                first = self.best_first(first, self.best_last(first))
            first = self.orthonormal(first)
            begin = numpy.concatenate([(first @ self.root).ravel(), self.best_last(first).ravel()])
            options = {"maxiter": effort.steps, "maxfun": 10**6, "ftol": effort.gain}
            options |= {"gtol": 0.0, "maxcor": 20}
            result = optimize.minimize(
                self.value, begin, jac=True, method="L-BFGS-B", options=options
            )
            found.append((result.fun, result.x))
        first, last = self.split(min(found, key=lambda f: f[0])[1])
        last = last.reshape(LAST, LAST, self.out, self.width).transpose(2, 3, 0, 1)
        return first.reshape(self.width, self.inp, FIRST, FIRST), last

    def orthonormal(self, first):
        """Filters that span the same, orthonormal over the windows."""
        return linalg.qr((first @ self.root).T, mode="economic")[0].T @ self.inverse

    def best_first(self, first, last):
        """Filters for this last factor: some conjugate gradients from those that are there."""

        def applied(change):
            whole = self.whole(change.reshape(first.shape), last)
            return self.by_first(self.pulled(whole @ self.metric), last).ravel()

        wanted = self.by_first(self.pulled(self.flat @ self.metric), last).ravel()
        outer = numpy.linalg.inv((last.transpose(0, 2, 1) @ last).sum(0))
        inner = self.inverse @ self.inverse.T

        def eased(v):
            return (outer @ v.reshape(first.shape) @ inner).ravel()

        size = first.size
        operator = sparse.LinearOperator((size, size), matvec=applied)
        preconditioner = sparse.LinearOperator((size, size), matvec=eased)
        found, _ = sparse.cg(
            operator, wanted, first.ravel(), rtol=1e-3, maxiter=20, M=preconditioner
        )
        return found.reshape(first.shape)

    def whole(self, first, last):
        """The kernel that two factors equal, flat."""
        whole = numpy.zeros_like(self.flat)
        for window, product in zip(self.windows, last @ first):
            whole[:, window] += product
        return whole

    def pulled(self, seen):
        """A row of the kernel's shape as each tap of the last factor meets it."""
        return seen[:, self.windows].transpose(1, 0, 2)

    @staticmethod
    def by_first(pulled, last):
        """What the first factor has of it."""
        return (last.transpose(0, 2, 1) @ pulled).sum(0)

    def split(self, theta):
        size = self.width * self.windows.shape[1]
        first = theta[:size].reshape(self.width, -1) @ self.inverse
        return first, theta[size:].reshape(len(self.windows), self.out, self.width)

    def principal(self):
        """Filters that hold most of the energy of the kernel's windows."""
        basis = linalg.svd(self.views @ self.root, full_matrices=False)[2]
        return basis[: self.width] @ self.inverse

    def random(self, rng):
        count = len(self.views)
        return rng.normal(size=(self.width, count)) @ self.views / count**0.5

    def best_last(self, first):
        """The best last factor for these filters: linear least squares."""
        design = numpy.zeros((len(self.windows) * self.width, self.flat.shape[1]))
        for y, window in enumerate(self.windows):
            design[y * self.width : (y + 1) * self.width, window] = first
        seen = design @ self.metric
        gram = seen @ design.T
        gram += 1e-12 * numpy.trace(gram) * numpy.eye(len(gram))
        last = linalg.solve(gram, seen @ self.flat.T, assume_a="pos").T
        return last.reshape(self.out, len(self.windows), self.width).transpose(1, 0, 2)

    def value(self, theta):
        """Half the relative squared error, and its gradient."""
        first, last = self.split(theta)
        lost = self.whole(first, last) - self.flat
        seen = lost @ self.metric / self.energy
        pulled = self.pulled(seen)
        by_first = self.by_first(pulled, last) @ self.inverse.T
        gradient = numpy.concatenate([by_first.ravel(), (pulled @ first.T).ravel()])
        return 0.5 * (lost * seen).sum(), gradient


def convfold(context, layer, starts, tolerance):
    """(first, last, seconds, output error that it tells) of convfold's fit."""
    out, inp, k, _ = layer.kernel.shape
    x, width, folder = layer.x, layer.width, context.scratch
    layer.kernel.astype("<f8").tofile(folder / "kernel.f64")
    x.astype("<f4").tofile(folder / "input.f32")
    shape = [out, inp, k, FIRST, LAST, width, len(x), *x.shape[2:], *layer.pads]
    words = [*shape, starts, tolerance, MOST_STEPS, folder]
    command = [context.fit_layer, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    first = numpy.fromfile(folder / "first.f64", "<f8").reshape(width, inp, FIRST, FIRST)
    last = numpy.fromfile(folder / "last.f64", "<f8").reshape(out, width, LAST, LAST)
    seconds, told, _ = map(float, done.stdout.split())
    return first, last, seconds, told
