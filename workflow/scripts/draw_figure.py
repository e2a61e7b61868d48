from importlib import import_module

from rhvae_mri.figures.style import save_drawing, study_style
from rhvae_mri.io.files import read_json, read_tsv
from rhvae_mri.runtime.logs import log_job

READERS = {".tsv": read_tsv, ".json": read_json, ".safetensors": str}


def read(files):
    """Read a table, or each of a list; of images the path goes to the function that draws."""
    if isinstance(files, str):
        return READERS[files[files.rindex(".") :]](files)
    return [read(file) for file in files]


with log_job(snakemake.log[0]):
    module, function = snakemake.params.draw.split(".")
    draw = getattr(import_module(f"rhvae_mri.figures.{module}"), function)
    inputs = {name: read(files) for name, files in snakemake.input.items() if name != "style"}
    with study_style():
        drawing = draw(**inputs, **snakemake.wildcards, **snakemake.params.arguments)
        save_drawing(drawing, **snakemake.output)
