"""The main functions on the command line, without Snakemake; each sub-command calls one function.

    PYTHONPATH=workflow python -m rhvae_mri train-rhvae images.npy model.safetensors
    PYTHONPATH=workflow python -m rhvae_mri generate model.safetensors 500 synthetic.safetensors

Images come as ``.npy`` (one array of n images, named 0, 1, …) or as ``.safetensors`` (a stack that the
workflow has packed), with values in [0, 1]. Tables of labels have the columns image_id, diagnosis (AD or CN)
and set (train, validation or test).
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy

from rhvae_mri.errors import StudyError
from rhvae_mri.files import read_tsv, read_yaml, write_tsv

if TYPE_CHECKING:
    import pandas

    from rhvae_mri.cnn.data import ImageSet

_ROOT = Path(__file__).parents[2]

_GIVE_IMAGES = (
    "Give images of one shape with values in [0, 1]: an array (n, x, y, z) as .npy, or .safetensors."
)
_GIVE_LABELS = "Give image_id, diagnosis (AD or CN) and set (train, validation, test) of every image."


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one sub-command.

    Parameters
    ----------
    arguments : sequence of str, optional
        What follows ``python -m rhvae_mri``; those of the process if it is not given.

    Returns
    -------
    int
        0, or 1 after an error, which is printed.
    """
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options) or 0)
    except (StudyError, OSError) as error:
        print(error, file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m rhvae_mri", description="Main functions of the study, without the workflow."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("train-rhvae", help="train an RHVAE on images of one class")
    command.add_argument("images", help=".npy or .safetensors")
    command.add_argument("model", help="the model to write, .safetensors; its history goes beside it, .tsv")
    command.add_argument("--latent-dimension", type=int, default=10)
    command.add_argument("--networks", default="mlp", choices=["mlp", "convolutional"])
    command.add_argument("--learning-rate", type=float, default=1e-4)
    command.add_argument("--batch-size", type=int, default=100)
    command.add_argument("--max-epochs", type=int, default=5000)
    command.add_argument("--patience", type=int, default=50)
    _add_seed_and_device(command)
    command.set_defaults(run=_train_rhvae)

    command = commands.add_parser("generate", help="draw synthetic images from a trained RHVAE")
    command.add_argument("model", help="a model of train-rhvae")
    command.add_argument("number", type=int, help="how many images")
    command.add_argument("images", help="the images to write, .safetensors")
    _add_seed_and_device(command)
    command.set_defaults(run=_generate)

    command = commands.add_parser("train-cnn", help="train the study's classifier on labelled images")
    command.add_argument("images", help=".npy or .safetensors")
    command.add_argument("labels", help="table of labels; sets train and validation are used")
    command.add_argument("networks", help="the networks to write, .safetensors; histories go beside it, .tsv")
    command.add_argument("--architecture", default="baseline", choices=["baseline", "optimized"])
    command.add_argument("--resolution", default="downsampled", choices=["full", "downsampled"])
    command.add_argument("--architectures", default=_ROOT / "resources" / "architectures.json")
    command.add_argument("--epochs", type=int, default=50)
    command.add_argument("--batch-size", type=int, default=4)
    command.add_argument("--learning-rate", type=float, default=1e-4)
    command.add_argument("--runs", type=int, default=1, help="how many networks, each with a seed of its own")
    _add_seed_and_device(command)
    command.set_defaults(run=_train_cnn)

    command = commands.add_parser("evaluate", help="predict labelled images and print the metrics")
    command.add_argument("networks", help="networks of train-cnn")
    command.add_argument("images", help=".npy or .safetensors")
    command.add_argument("labels", help="table of labels")
    command.add_argument("predictions", help="the table of probabilities to write, .tsv")
    command.add_argument("--set", default="test", help="which set to predict (test)")
    command.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])
    command.set_defaults(run=_evaluate)

    command = commands.add_parser("check-configuration", help="hold a configuration against the schema")
    command.add_argument("configuration", help="YAML, e.g. config/paper.yaml")
    command.set_defaults(run=_check_configuration)

    command = commands.add_parser("verify", help="hold the files of a finished study against their record")
    command.add_argument("table", help="results/provenance/cohort-*/files.tsv")
    command.add_argument("root", nargs="?", default=".", help="the folder in which the study ran (here)")
    command.set_defaults(run=_verify)
    return parser


def _add_seed_and_device(command: argparse.ArgumentParser) -> None:
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--device", default="auto", choices=["auto", "cpu", "cuda"])


def _train_rhvae(options: argparse.Namespace) -> None:
    import pandas

    from rhvae_mri.generators.rhvae.settings import RHVAESettings, TrainingSettings
    from rhvae_mri.generators.rhvae.storage import save_model
    from rhvae_mri.generators.rhvae.training import train_rhvae
    from rhvae_mri.learning.devices import choose_device

    images, _ = _open_images(options.images)
    trained = train_rhvae(
        numpy.asarray(images, numpy.float32),
        RHVAESettings(latent_dimension=options.latent_dimension, networks=options.networks),
        TrainingSettings(options.learning_rate, options.batch_size, options.max_epochs, options.patience),
        seed=options.seed,
        device=choose_device(options.device, 1),
        progress=True,
    )
    save_model(options.model, trained.model)
    write_tsv(Path(options.model).with_suffix(".tsv"), pandas.DataFrame(trained.history))


def _generate(options: argparse.Namespace) -> None:
    from rhvae_mri.generators.rhvae.sampler import sample_latent
    from rhvae_mri.generators.rhvae.storage import load_model
    from rhvae_mri.generators.rhvae.synthetic import DecodedImages
    from rhvae_mri.learning.devices import choose_device
    from rhvae_mri.tensor_files import write_image_stack

    model = load_model(options.model, choose_device(options.device, 1))
    sample = sample_latent(model.final_metric(), options.number, seed=options.seed, progress=True)
    names = [f"synthetic-{number:05d}" for number in range(options.number)]
    images = DecodedImages(model, sample.positions, "float32").one_by_one()
    write_image_stack(options.images, names, images, model.image_shape)


def _train_cnn(options: argparse.Namespace) -> None:
    import pandas

    from rhvae_mri.cnn.architectures import read_architectures
    from rhvae_mri.cnn.storage import save_networks
    from rhvae_mri.cnn.training import TrainingSettings, train_networks
    from rhvae_mri.learning.devices import choose_device
    from rhvae_mri.seeds import derive_seed

    trained = train_networks(
        read_architectures(options.architectures)[options.architecture][options.resolution],
        _build_set(options, "train")[0],
        _build_set(options, "validation")[0],
        TrainingSettings(options.epochs, options.batch_size, options.learning_rate),
        seeds={run: derive_seed(options.seed, "train_cnn", run) for run in range(options.runs)},
        device=choose_device(options.device, 1),
    )
    save_networks(options.networks, trained)
    histories = [pandas.DataFrame(network.history).assign(run=run) for run, network in trained.items()]
    write_tsv(Path(options.networks).with_suffix(".tsv"), pandas.concat(histories))


def _evaluate(options: argparse.Namespace) -> None:
    import pandas

    from rhvae_mri.cnn.prediction import predict
    from rhvae_mri.cnn.storage import load_networks
    from rhvae_mri.evaluation.metrics import classification_metrics
    from rhvae_mri.learning.devices import choose_device
    from rhvae_mri.study_data import LABELS

    images, rows = _build_set(options, options.set)
    labels = rows["diagnosis"].map(LABELS).to_numpy()
    device = choose_device(options.device, 1)
    tables = []
    for run, network in sorted(load_networks(options.networks).items()):
        chance = predict(network.network(), images, batch_size=16, device=device)
        tables.append(rows[["image_id", "diagnosis"]].assign(run=run, probability=chance))
        values = classification_metrics(labels, chance)
        print(f"run {run}: " + ", ".join(f"{name} {100 * value:.1f} %" for name, value in values.items()))
    write_tsv(options.predictions, pandas.concat(tables))


def _check_configuration(options: argparse.Namespace) -> None:
    from rhvae_mri.configuration import check_configuration

    content = read_yaml(options.configuration)
    check_configuration(content, Path(__file__).parents[1] / "schemas" / "config.schema.json")
    print(f"{options.configuration} is valid.")


def _verify(options: argparse.Namespace) -> int:
    from rhvae_mri.provenance.files import main as verify

    return verify([options.table, options.root])


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
        raise StudyError(
            f"The images are an array of {array.dtype} of shape {array.shape}.",
            where=path,
            remedy=_GIVE_IMAGES,
        )
    low, high = float(array.min()), float(array.max())
    if not 0 <= low <= high <= 1:  # NaN is not either
        raise StudyError(f"The images have values from {low:g} to {high:g}.", where=path, remedy=_GIVE_IMAGES)
    return array, names


def _read_labels(options: argparse.Namespace) -> pandas.DataFrame:
    """Read the table of labels and check that nobody is in two sets."""
    from rhvae_mri.cohort.leakage import check_labels

    table = read_tsv(options.labels, ("image_id", "diagnosis", "set")).rename(columns=str.lower)
    absent = [name for name in ("image_id", "diagnosis", "set") if name not in table]
    if absent:
        raise StudyError(
            f"The table of labels has no column {', '.join(absent)}.",
            where=options.labels,
            cause="It is not tab-separated, or its header has other names.",
            remedy=_GIVE_LABELS,
        )
    images, names = _open_images(options.images)
    used = set(table["image_id"])
    digests = {
        name: hashlib.sha256(image.tobytes()).hexdigest()
        for name, image in zip(names, images, strict=True)
        if name in used
    }
    if "participant_id" not in table:  # BIDS' names of images begin with the participant's
        table["participant_id"] = table["image_id"].str.extract("^(sub-[A-Za-z0-9]+)", expand=False)
    if table["participant_id"].isna().any():
        print("Some images have no participant_id: they are compared by their voxels only.", file=sys.stderr)
    check_labels(table, digests)
    return table


def _build_set(options: argparse.Namespace, name: str) -> tuple[ImageSet, pandas.DataFrame]:
    """Build the set of a name from the images and the table of labels; return it with its rows."""
    from rhvae_mri.cnn.data import ImagePart, ImageSet
    from rhvae_mri.study_data import LABELS

    table = _read_labels(options)
    images, names = _open_images(options.images)
    rows = table[table["set"] == name].reset_index(drop=True)
    unknown = sorted(set(rows["image_id"]) - set(names))
    if rows.empty or unknown or not set(rows["diagnosis"]) <= LABELS.keys():
        raise StudyError(
            f"The set {name} cannot be built.",
            where=options.labels,
            cause=f"Images that are not there: {', '.join(unknown[:5])}." if unknown else None,
            remedy=_GIVE_LABELS,
        )
    places = {image: place for place, image in enumerate(names)}
    part = ImagePart(images, [places[image] for image in rows["image_id"]], options.images)
    return ImageSet([part], rows["diagnosis"].map(LABELS).tolist()), rows
