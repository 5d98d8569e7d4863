"""What the oracles share."""

import dataclasses
import json
import pathlib
import subprocess

import numpy
import onnx
import onnxruntime

# Trained models with their golden inputs, one sample a row.
TRAINED = [
    "mnist",
    "cifar10_cnn",
    "squeezenet",
    "super_resolution",
    "candy",
    "ultraface-slim-320",
    "yunet_n_320",
    "blazeface",
]


@dataclasses.dataclass
class Tally:
    """Counts checks and tells each."""

    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def note(self, ok, what):
        """Records a check."""
        self.passed += bool(ok)
        self.failed += not ok
        print(f"{'ok  ' if ok else 'FAIL'} {what}", flush=True)

    def skip(self, what):
        """Records what could not be checked."""
        self.skipped += 1
        print(f"skip {what}", flush=True)

    def __str__(self):
        return f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped"


@dataclasses.dataclass
class Context:
    """Data, a place for files, and the programs that are asked for."""

    corpus: pathlib.Path
    scratch: pathlib.Path
    tally: Tally = dataclasses.field(default_factory=Tally)
    convfold: str = ""
    run_tract: str = ""
    rewrite_random: str = ""
    fit_layer: str = ""

    def run(self, *arguments):
        """Runs convfold; its standard output. A refusal is an exception with its words."""
        command = [self.convfold, "--quiet", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"exit {done.returncode}: {done.stderr.strip() or done.stdout[-300:]}")
        return done.stdout

    def analyze(self, model, *options):
        """The analysis of a model."""
        return json.loads(self.run("analyze", model, "--format", "json", *options))

    def golden(self, name):
        """The golden input of a trained model, a sample a row."""
        archive = numpy.load(self.corpus / "golden" / f"{name}.npz")
        if "input" in archive:
            return archive["input"]
        # candy: photo 0, nearest neighbour to 720x720.
        photo = numpy.load(self.corpus / "photos.npz")["images"][0]
        index = numpy.arange(720) * 224 // 720
        return photo[:, index][:, :, index][None].astype(numpy.float32)

    def in_tract(self, model, samples):
        """The outputs of a model in tract: name to array, a sample a row."""
        data, out = self.scratch / "input.npz", self.scratch / "tract"
        numpy.savez(data, input=samples)
        command = [self.run_tract, str(model), str(data), str(out)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise RuntimeError(done.stderr.strip())
        return {
            o["name"]: numpy.fromfile(o["file"], "<f4").reshape(o["shape"])
            for o in json.loads(done.stdout)
        }


def session(model):
    """A session of onnxruntime, one thread."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def image_input(running):
    """The name of the one input that is to be fed."""
    weights = {i.name for i in running.get_overridable_initializers()}
    (name,) = [i.name for i in running.get_inputs() if i.name not in weights]
    return name


def in_onnxruntime(model, samples):
    """The outputs of a model in onnxruntime: name to array, a sample a row."""
    running = session(model)
    name = image_input(running)
    rows = [running.run(None, {name: samples[i : i + 1]}) for i in range(len(samples))]
    names = [o.name for o in running.get_outputs()]
    return {n: numpy.stack([r[i] for r in rows]) for i, n in enumerate(names)}


def feed_name(model):
    """The same, read from a model's message."""
    weights = {t.name for t in model.graph.initializer}
    (name,) = [i.name for i in model.graph.input if i.name not in weights]
    return name


def load(path):
    """A model without the weights that lie elsewhere."""
    return onnx.load(str(path), load_external_data=False)
