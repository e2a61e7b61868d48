import copy
import shutil
from pathlib import Path

import jsonschema
import pytest
import yaml

from rhvae_mri.cnn.augmentation import AugmentationSettings
from rhvae_mri.convert.sources import check_sources
from rhvae_mri.generators.rhvae.settings import RHVAESettings, TrainingSettings
from rhvae_mri.io.errors import StudyError
from rhvae_mri.io.files import read_json
from rhvae_mri.pages.documents import DEFAULTS, MODELINE, PAGE, RESULTS, SCHEMA, list_keys, write_documents
from rhvae_mri.preprocess.registration import Levels
from rhvae_mri.study.checks import check_configuration, complete, result_settings
from rhvae_mri.study.configuration import Configuration, build_schema
from rhvae_mri.study.grid import choose_primary, is_simulated
from rhvae_mri.study.settings import fill

ROOT = Path(__file__).parents[2]
FILES = ["config/config.yaml", "config/paper.yaml", "config/medium.yaml", "tests/small_study.yaml"]
KEYS = dict(key for name, node in build_schema()["properties"].items() for key in list_keys(name, node))


THIRD = {"source": "bids", "bids": "oasis", "values": {"diagnosis": {"AD": [0.5, 1], "CN": ["healthy"]}}}


def load(name):
    return complete(yaml.safe_load((ROOT / "config" / name).read_text()))


def problems(config):
    with pytest.raises(StudyError) as caught:
        check_configuration(config)
    return str(caught.value)


def changed(path, value):
    config = load("config.yaml")
    *parents, last = path.split(".")
    section = config
    for parent in parents:
        section = section[parent]
    section[last] = value
    return config


def paper_with_folders():
    config = load("paper.yaml")
    for cohort in config["cohorts"].values():
        cohort.update(images="images", tables="tables")
    return config


def test_both_studies_are_valid():
    check_configuration(load("config.yaml"))
    check_configuration(paper_with_folders())
    assert is_simulated(load("config.yaml"))
    assert not is_simulated(load("paper.yaml"))


def test_schema_defaults_and_page_are_those_of_the_keys(tmp_path):
    for name in (SCHEMA, DEFAULTS, PAGE, RESULTS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / RESULTS, tmp_path / RESULTS)
    write_documents(tmp_path)
    for name in (SCHEMA, DEFAULTS, PAGE, RESULTS):
        assert (tmp_path / name).read_text() == (ROOT / name).read_text(), "run `make docs`"
    assert yaml.safe_load((ROOT / DEFAULTS).read_text()) == Configuration().model_dump()


def test_every_key_is_described_and_the_schema_is_valid():
    jsonschema.Draft202012Validator.check_schema(build_schema())
    for name, leaf in KEYS.items():
        assert leaf.get("description"), name
        assert leaf.get("mark") != "D" or leaf["assumption"], name


@pytest.mark.parametrize("name", FILES)
def test_a_configuration_names_its_schema_for_editors(name):
    text = (ROOT / name).read_text()
    assert text.startswith(MODELINE)
    jsonschema.validate(
        yaml.safe_load(text), read_json((ROOT / name).parent / MODELINE.split("=")[1].strip())
    )


@pytest.mark.parametrize("name", FILES[1:])
def test_other_configurations_have_only_what_differs_from_the_default(name):
    def compare(given, default, path=()):
        for key, value in given.items():
            if isinstance(value, dict):
                compare(value, default[key], (*path, key))
            elif (*path[:1], key) not in (("cohorts", "images"), ("cohorts", "tables")):  # places to fill in
                assert value != default[key], (*path, key)

    compare(yaml.safe_load((ROOT / name).read_text()), Configuration().model_dump())


def test_what_is_not_given_has_its_default_and_what_is_given_stays_as_it_is():
    given = {"template": {"voxel_size": 2}, "bias_correction": {"spline_distance": 200}}
    config = check_configuration(given | {"cohorts": {"OASIS3": THIRD, "AIBL": {"source": "none"}}})
    assert config["template"] == {"source": "simulated", "file": None, "voxel_size": 2}
    assert isinstance(config["bias_correction"]["spline_distance"], int)
    assert list(config["cohorts"]) == ["ADNI", "AIBL", "OASIS3"]
    assert config["cohorts"]["OASIS3"]["require_diagnosis"] is True
    assert config["cohorts"]["OASIS3"]["values"] == THIRD["values"]
    assert check_configuration({}) == load("config.yaml") == check_configuration(load("config.yaml"))


def test_what_alters_no_result_is_no_parameter_of_a_job():
    config = load("config.yaml")
    settings = result_settings(config)
    assert "threads" not in settings["rhvae"]
    assert settings["rhvae"] == {key: value for key, value in config["rhvae"].items() if key != "threads"}
    keys = {"source", "role", "require_diagnosis", "columns", "values", "prefer"}
    assert settings["cohorts"]["ADNI"].keys() == keys
    assert "exclude" not in settings


def test_the_settings_of_the_library_are_filled_from_a_section():
    rhvae = load("paper.yaml")["rhvae"]
    assert fill(RHVAESettings, rhvae) == RHVAESettings()
    assert fill(TrainingSettings, rhvae) == TrainingSettings(1e-4, 50, 10_000, 50)
    assert fill(Levels, load("paper.yaml")["registration"]) == Levels()
    assert AugmentationSettings().rotation == 5


def test_the_paper_configuration_has_the_published_values():
    config = load("paper.yaml")
    assert config["grid"]["architectures"] == ["baseline", "optimized"]
    assert config["grid"]["training_sets"] == ["train-50", "train-full"]
    assert config["grid"]["training_data"] == ["real", "synthetic", "augmented"]
    assert config["grid"]["full_resolution"]
    assert config["cnn"]["seeds"] == 20
    assert config["cnn"]["epochs"] == {"baseline": 100, "optimized": 50}
    assert config["cnn"]["optimized"] == "published"
    assert (config["search"]["candidates"], config["search"]["folds"]) == (100, 5)
    assert config["synthetic"]["sizes"] == [500, 1000, 2000, 3000, 5000, 10000]
    assert config["grid"]["training_sets"] == ["train-50", "train-full"]
    assert config["split"]["n_test_per_class"] == 100
    assert config["template"]["voxel_size"] == 1
    assert config["bias_correction"]["spline_distance"] == 600


def test_a_missing_key_and_a_value_out_of_bounds_are_both_named():
    config = changed("cnn.seeds", 0)
    config["cohorts"]["Third"] = {}
    text = problems(config)
    assert "missing key `source` in cohorts.Third" in text
    assert "`cnn.seeds` is 0: it should be greater than or equal to 1." in text


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("cnn.learning_rte", 0.1, "unknown key `learning_rte` in cnn: did you mean `learning_rate`?"),
        ("cnn.learning_rate", "1e-5", "Write 1.0e-5."),
        ("cnn.learning_rate", "2E3", "`cnn.learning_rate` is the text '2E3', not a number"),
        ("cnn.learning_rate", "2E3", "Write 2.0e+3."),
        ("study.device", True, "YAML reads yes as true: write it in quotation marks."),
        ("study.name", False, "YAML reads no as false: write it in quotation marks."),
        ("cnn.batch_size", 4.5, "`cnn.batch_size` is 4.5"),
        ("cnn.batch_size", True, "`cnn.batch_size` is True"),
        ("cnn.weight_decay", float("nan"), "`cnn.weight_decay` is nan"),
        ("rhvae.encoder_last_activation", "tanh", "`rhvae.encoder_last_activation` is 'tanh'"),
        ("rhvae.fixed_point_tolerance", 1.0, "`rhvae.fixed_point_tolerance` is 1.0"),
        ("rhvae.hold_out_fraction", -0.1, "`rhvae.hold_out_fraction` is -0.1"),
        ("rhvae.start_at_mean_image", 1, "`rhvae.start_at_mean_image` is 1"),
        (
            "rhvae",
            {"networks": "convolutional", "start_at_mean_image": True},
            "`rhvae.start_at_mean_image` needs `networks: mlp`",
        ),
        (
            "generators.vae",
            {"networks": "convolutional", "start_at_mean_image": True},
            "`generators.vae.start_at_mean_image` needs `networks: mlp`",
        ),
        ("cnn", None, "`cnn` is None: it should have keys of its own."),
        ("split.aibl_per_class", "some", "`split.aibl_per_class` is 'some': it should be 'all', or"),
        ("synthetic.sizes", [20, 20], "`synthetic.sizes` is [20, 20]: it has a value twice."),
        ("grid.architectures", ["best"], "`grid.architectures.0` is 'best'"),
        ("cohorts.ADNI.source", "oasis1", "`cohorts.ADNI.source` is 'oasis1': only ADNI and AIBL"),
        ("simulation.participants.OASIS", {"AD": 1, "CN": 1}, "unknown key `OASIS` in simulation"),
        ("search.space.n_blocks", [2], "`search.space.n_blocks`"),
        ("search.space.n_blocks", [2, 3, 4], "`search.space.n_blocks`"),
        ("search.space.n_blocks", [0, 3], "`search.space.n_blocks.0`"),
        ("search.space.n_blocks", "2-6", "`search.space.n_blocks`"),
        ("search.space.dropout", [0.9, 0.0], "`search.space.dropout` is [0.9, 0.0]: give the lower end"),
        ("cohorts.ADNI.source", "download", "`cohorts.ADNI.images` is not set"),
        ("cohorts.AIBL.source", "bids", "`cohorts.AIBL.bids` is not set"),
        ("cohorts.ADNI.source", "none", "needs one cohort of `role: train`"),
        ("cohorts.AIBL.role", "train", "these are: ADNI, AIBL"),
        ("template.source", "descriptor", "`template.source` must be 'simulated'"),
        ("grid.training_sets", ["train-9"], "`grid.training_sets` asks for `train-9`"),
        ("grid.exclude", [{"n_synthetic": 30}], "leaves out {n_synthetic: 30}, but the grid has"),
        (
            "grid.exclude",
            [{"training_set": "train-8"}, {"training_set": "train-full"}],
            "leaves out every condition",
        ),
        ("grid.exclude", [{}], "`grid.exclude.0` is {}"),
        ("grid.exclude", [{"seed": 1}], "unknown key `seed` in grid.exclude.0"),
        ("rhvae.replicates", 4, "`cnn.seeds` is 6, which is no multiple of `rhvae.replicates`, 4"),
        ("split.redraw_subsets", True, "`split.redraw_subsets` has no effect"),
        ("grid.generators", ["rhvae", "oracle"], "`split.n_oracle_per_class` is 0, but the generator"),
        ("statistics.primary.generator", "vae", "`statistics.primary` names generator: vae, but the grid"),
        ("statistics.primary.against", "rhvae", "`statistics.primary` names against: rhvae, but the grid"),
        ("synthetic.sizes", [21], "21 cannot be divided into two classes"),
        ("cohorts.OASIS3", {"bids": "oasis"}, "missing key `source` in cohorts.OASIS3"),
        ("cohorts.OASIS3", {"source": "download"}, "`cohorts.OASIS3.source` is 'download'"),
        ("cohorts.OASIS3", {"source": "bids"}, "`cohorts.OASIS3.bids` is not set"),
        ("cohorts.OASIS3", {"source": "oasis1", "images": "x"}, "`cohorts.OASIS3.tables` is not set"),
        ("cohorts.OASIS3", THIRD | {"column": {}}, "`column` in cohorts.OASIS3: did you mean `columns`?"),
        (
            "cohorts.OASIS3",
            THIRD | {"columns": {"ages": "x"}},
            "`ages` in cohorts.OASIS3.columns: did you mean `age`?",
        ),
        ("cohorts.OASIS3", THIRD | {"values": {"diagnosis": {"Ad": [1]}}}, "did you mean `AD`?"),
        ("cohorts.OASIS3", THIRD | {"bids": "{x}"}, "`cohorts.OASIS3.bids` is '{x}'"),
        ("cohorts.OASIS-3", THIRD, "unknown key `OASIS-3` in cohorts"),
    ],
)
def test_wrong_values_and_contradictions_are_named_with_their_keys(path, value, message):
    assert message in problems(changed(path, value))


def test_the_oracle_is_of_simulated_cohorts():
    config = paper_with_folders()
    config["grid"]["generators"] = ["rhvae", "oracle"]
    config["split"]["n_oracle_per_class"] = 5000
    assert "`oracle`, which only a simulated cohort can give" in problems(config)


def test_the_primary_test_follows_from_the_grid_or_is_named():
    config = load("config.yaml")
    expected = {"architecture": "baseline", "training_set": "train-full", "training_data": "augmented"}
    expected |= {"generator": "rhvae", "n_synthetic": 90, "resolution": "downsampled", "test_cohort": "ADNI"}
    expected |= {"metric": "balanced_accuracy", "reference": "real_steps"}
    assert choose_primary(check_configuration(config)) == expected
    without = changed("grid.generators", ["vae", "rhvae"])
    assert choose_primary(check_configuration(without)) == expected | {
        "generator": "vae",
        "reference": "real",
    }
    named = changed("statistics.primary.against", "class_mean")
    assert choose_primary(check_configuration(named)) == expected | {"reference": "class_mean"}
    nothing = changed("grid.training_data", ["real", "synthetic"])
    assert choose_primary(check_configuration(nothing)) is None
    assert choose_primary(check_configuration(paper_with_folders()))["reference"] == "real"


def test_missing_folders_are_named_with_their_keys(tmp_path):
    config = copy.deepcopy(paper_with_folders())
    config["cohorts"]["ADNI"].update(images=str(tmp_path), tables=str(tmp_path / "nowhere"))
    with pytest.raises(StudyError) as caught:
        check_sources(config, ["ADNI"])
    assert f"`cohorts.ADNI.tables`: there is no folder {tmp_path / 'nowhere'}" in str(caught.value)
    assert "ADNI.images" not in str(caught.value)
    check_sources(config, [])  # a cohort that is converted needs no download


@pytest.mark.parametrize(
    "key", ["pathvars.results", "cohorts.AIBL.bids", "exclude", "template.file", "quality.deep.file"]
)
@pytest.mark.parametrize("path", ["a{b}", "a<b>", "a\nb", "a\x1b[2J"])
def test_paths_that_snakemake_would_read_otherwise_are_refused(key, path):
    text = problems(changed(key, path))
    assert f"`{key}` is {path!r}: Snakemake takes braces" in text


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("pathvars.results", "a b; $(touch x) 'q' \"z\" `x` é"),
        ("pathvars.results", "-dash"),
        ("pathvars.results", "../other"),
        ("cohorts.OASIS3", THIRD),
        ("cohorts.OASIS3", {"source": "none"}),
    ],
)
def test_other_paths_and_cohorts_are_taken_as_they_are(path, value):
    check_configuration(changed(path, value))


def test_the_folders_of_a_further_cohort_are_checked(tmp_path):
    config = changed("cohorts.OASIS3", THIRD | {"bids": str(tmp_path / "nowhere")})
    with pytest.raises(StudyError, match=r"`cohorts.OASIS3.bids`: there is no folder"):
        check_sources(config, ["OASIS3"])
    config = changed("cohorts.OASIS", {"source": "oasis1", "images": str(tmp_path), "tables": str(tmp_path)})
    with pytest.raises(StudyError, match="OASIS-1 download cannot be converted: 2 problem"):
        check_sources(config, ["OASIS"])


def test_the_problems_of_all_downloads_are_listed_at_once(tmp_path):
    config = paper_with_folders()
    for name in ("ADNI", "AIBL"):
        config["cohorts"][name].update(source="download", images=str(tmp_path), tables=str(tmp_path))
    with pytest.raises(StudyError) as caught:
        check_sources(config, ["ADNI", "AIBL"])
    assert "The ADNI download cannot be converted" in caught.value.what
    assert "The AIBL download cannot be converted" in caught.value.what


def test_decisions_may_name_every_cohort_of_the_configuration(tmp_path):
    table = tmp_path / "exclude.tsv"
    row = "OASIS3\tsub-1\tn/a\texclude\tblurred\tme\t2026-01-01\n"
    table.write_text((ROOT / "config/exclude.tsv").read_text() + row)
    config = changed("cohorts.OASIS3", THIRD)
    config["exclude"] = str(table)
    check_sources(config, [])
    with pytest.raises(StudyError, match="Unknown cohorts: OASIS3"):
        check_sources(changed("exclude", str(table)), [])


def test_a_key_that_yaml_reads_as_a_number_is_explained():
    config = load("config.yaml")
    config["cohorts"][1] = THIRD
    assert "cohorts: 1: a key has to be text" in problems(config)
