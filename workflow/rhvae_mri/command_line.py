"""The main functions on the command line, without Snakemake: each command is the function of its name.

    PYTHONPATH=workflow python -m rhvae_mri train-rhvae images.npy model.safetensors
    PYTHONPATH=workflow python -m rhvae_mri generate model.safetensors 500 synthetic.safetensors

Images come as .npy (one array of n images, named 0, 1, …) or as .safetensors (a stack that the workflow has
packed), with values in [0, 1]. Labels are a table with the columns image_id, diagnosis (AD or CN) and set
(train, validation or test); nobody may be in two sets. What is trained is written as .safetensors, its
history beside it as .tsv.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, get_type_hints

import numpy
import pandas

from rhvae_mri.errors import StudyError
from rhvae_mri.files import read_tsv, read_yaml, write_tsv

if TYPE_CHECKING:
    from rhvae_mri.cnn.data import ImageSet

Device = Literal["auto", "cpu", "cuda"]

_WORKFLOW = Path(__file__).parents[1]
_GIVE_IMAGES = (
    "Give images of one shape with values in [0, 1]: an array (n, x, y, z) as .npy, or .safetensors."
)
_GIVE_LABELS = "Give image_id, diagnosis (AD or CN) and set (train, validation, test) of every image."


def train_rhvae(
    images: str,
    model: str,
    *,
    latent_dimension: int = 10,
    networks: Literal["mlp", "convolutional"] = "mlp",
    learning_rate: float = 1e-4,
    batch_size: int = 100,
    max_epochs: int = 5000,
    patience: int = 50,
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """Train an RHVAE on images of one class."""
    from rhvae_mri.generators.rhvae import training
    from rhvae_mri.generators.rhvae.settings import RHVAESettings, TrainingSettings
    from rhvae_mri.generators.rhvae.storage import save_model
    from rhvae_mri.learning.devices import choose_device

    trained = training.train_rhvae(
        numpy.asarray(_open_images(images)[0], numpy.float32),
        RHVAESettings(latent_dimension=latent_dimension, networks=networks),
        TrainingSettings(learning_rate, batch_size, max_epochs, patience),
        seed=seed,
        device=choose_device(device, 1),
        progress=True,
    )
    save_model(model, trained.model)
    write_tsv(Path(model).with_suffix(".tsv"), pandas.DataFrame(trained.history))


def generate(model: str, number: int, images: str, *, seed: int = 0, device: Device = "auto") -> None:
    """Draw a number of synthetic images from a model of train-rhvae."""
    from rhvae_mri.generators.rhvae.sampler import decode_images, sample_latent
    from rhvae_mri.generators.rhvae.storage import load_model
    from rhvae_mri.learning.devices import choose_device
    from rhvae_mri.tensor_files import write_image_stack

    trained = load_model(model, choose_device(device, 1))
    sample = sample_latent(trained.final_metric(), number, seed=seed, progress=True)
    names = [f"synthetic-{place:05d}" for place in range(number)]
    write_image_stack(images, names, decode_images(trained, sample.positions), trained.image_shape)


def train_cnn(
    images: str,
    labels: str,
    networks: str,
    *,
    architecture: Literal["baseline", "optimized"] = "baseline",
    resolution: Literal["full", "downsampled"] = "downsampled",
    epochs: int = 50,
    batch_size: int = 4,
    learning_rate: float = 1e-4,
    runs: int = 1,
    seed: int = 0,
    device: Device = "auto",
) -> None:
    """Train the study's classifier on labelled images, in runs that each have a seed of their own."""
    from rhvae_mri.cnn.architectures import read_architectures
    from rhvae_mri.cnn.storage import save_networks
    from rhvae_mri.cnn.training import TrainingSettings, train_networks
    from rhvae_mri.learning.devices import choose_device
    from rhvae_mri.seeds import derive_seed

    (train, _), (validation, _) = _build_sets(images, labels, "train", "validation")
    trained = train_networks(
        read_architectures(_WORKFLOW.parent / "resources/architectures.json")[architecture][resolution],
        train,
        validation,
        TrainingSettings(epochs, batch_size, learning_rate),
        seeds={run: derive_seed(seed, "train_cnn", run) for run in range(runs)},
        device=choose_device(device, 1),
    )
    save_networks(networks, trained)
    histories = [pandas.DataFrame(network.history).assign(run=run) for run, network in trained.items()]
    write_tsv(Path(networks).with_suffix(".tsv"), pandas.concat(histories))


def evaluate(
    networks: str, images: str, labels: str, predictions: str, *, set: str = "test", device: Device = "auto"
) -> None:
    """Predict a set of labelled images by networks of train-cnn and print the metrics."""
    from rhvae_mri.cnn.prediction import predict
    from rhvae_mri.cnn.storage import load_networks
    from rhvae_mri.evaluation.metrics import classification_metrics
    from rhvae_mri.learning.devices import choose_device
    from rhvae_mri.study_data import LABELS

    [(chosen, rows)] = _build_sets(images, labels, set)
    tables = []
    for run, network in sorted(load_networks(networks).items()):
        chance = predict(network.network(), chosen, batch_size=16, device=choose_device(device, 1))
        tables.append(rows[["image_id", "diagnosis"]].assign(run=run, probability=chance))
        values = classification_metrics(rows["diagnosis"].map(LABELS).to_numpy(), chance)
        print(f"run {run}: " + ", ".join(f"{name} {100 * value:.1f} %" for name, value in values.items()))
    write_tsv(predictions, pandas.concat(tables))


def check_configuration(configuration: str) -> None:
    """Check a configuration: its keys, their values and what they say together."""
    from rhvae_mri.study import checks

    checks.check_configuration(read_yaml(configuration))
    print(f"{configuration} is valid.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command, that of the process by default; return 0, or 1 after an error, which is printed."""
    parser = argparse.ArgumentParser(
        prog="python -m rhvae_mri", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for function in (train_rhvae, generate, train_cnn, evaluate, check_configuration):
        command = commands.add_parser(function.__name__.replace("_", "-"), help=function.__doc__)
        command.set_defaults(run=function)
        hints = get_type_hints(function)
        for name, parameter in inspect.signature(function).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY:
                choices, default = get_args(hints[name]), parameter.default
                command.add_argument(
                    f"--{name.replace('_', '-')}",
                    type=str if choices else hints[name],
                    choices=choices or None,
                    default=default,
                    help=f"{default} by default",
                )
            else:
                command.add_argument(name, type=hints[name])
    options = vars(parser.parse_args(arguments))
    try:
        options.pop("run")(**options)
    except (StudyError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _open_images(path: str) -> tuple[numpy.ndarray, list[str]]:
    """Open images as an array that is mapped from the file; return it with the images' names."""
    if path.endswith(".npy"):
        try:
            array = numpy.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise StudyError(
                "This is no array of images.", where=path, cause=str(error), remedy=_GIVE_IMAGES
            ) from error
        names = [str(number) for number in range(len(array))] if array.ndim else []
    else:
        from rhvae_mri.tensor_files import ImageStack

        with ImageStack(path) as stack:
            array, names = stack.as_array(), list(stack.keys)
    if array.ndim != 4 or array.dtype.kind not in "fiu" or not array.size:
        what = f"The images are an array of {array.dtype} of shape {array.shape}."
        raise StudyError(what, where=path, remedy=_GIVE_IMAGES)
    low, high = float(array.min()), float(array.max())
    if not 0 <= low <= high <= 1:  # NaN is not either
        raise StudyError(f"The images have values from {low:g} to {high:g}.", where=path, remedy=_GIVE_IMAGES)
    return array, names


def _build_sets(images: str, labels: str, *sets: str) -> list[tuple[ImageSet, pandas.DataFrame]]:
    """Build sets from the images and the table of labels, each with its rows, if nobody is in two of them."""
    from rhvae_mri.cnn.data import ImagePart, ImageSet
    from rhvae_mri.cohort.leakage import check_labels
    from rhvae_mri.study_data import CLASSES, LABELS

    table = read_tsv(labels, ("image_id", "diagnosis", "set")).rename(columns=str.lower)
    absent = [name for name in ("image_id", "diagnosis", "set") if name not in table]
    if absent:
        raise StudyError(
            f"The table of labels has no column {', '.join(absent)}.",
            where=labels,
            cause="It is not tab-separated, or its header has other names.",
            remedy=_GIVE_LABELS,
        )
    array, names = _open_images(images)
    places = {name: place for place, name in enumerate(names)}
    used = [name for name in table["image_id"].unique() if name in places]
    if "participant_id" not in table:  # BIDS' names of images begin with the participant's
        table["participant_id"] = table["image_id"].str.extract("^(sub-[A-Za-z0-9]+)", expand=False)
    if table["participant_id"].isna().any():
        print("Some images have no participant_id: they are compared by their voxels only.", file=sys.stderr)
    check_labels(table, {name: hashlib.sha256(array[places[name]].tobytes()).hexdigest() for name in used})
    built = []
    for name in sets:
        rows = table[table["set"] == name].reset_index(drop=True)
        unknown = sorted(set(rows["image_id"]) - places.keys())
        if rows.empty or unknown or not set(rows["diagnosis"]) <= LABELS.keys():
            raise StudyError(
                f"The set {name} cannot be built.",
                where=labels,
                cause=f"Images that are not there: {', '.join(unknown[:5])}." if unknown else None,
                remedy=_GIVE_LABELS,
            )
        part = ImagePart(array, [places[image] for image in rows["image_id"]], images)
        built.append((ImageSet([part], rows["diagnosis"].map(LABELS).tolist(), CLASSES), rows))
    return built
