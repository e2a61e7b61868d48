import copy
from pathlib import Path

import jsonschema
import pytest
import yaml

from rhvae_mri.configuration import check_configuration, check_sources, is_simulated
from rhvae_mri.configuration_page import describe_configuration
from rhvae_mri.errors import StudyError
from rhvae_mri.files import read_json

ROOT = Path(__file__).parents[2]
SCHEMA = ROOT / "workflow/schemas/config.schema.json"


def load(name):
    return yaml.safe_load((ROOT / "config" / name).read_text())


def keys(content, prefix=""):
    """All dotted keys of a nested dictionary."""
    for key, value in content.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{key}.")


def problems(config):
    with pytest.raises(StudyError) as caught:
        check_configuration(config, SCHEMA)
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


def test_both_configurations_are_valid():
    check_configuration(load("config.yaml"), SCHEMA)
    check_configuration(paper_with_folders(), SCHEMA)
    assert is_simulated(load("config.yaml"))
    assert not is_simulated(load("paper.yaml"))


def test_both_configurations_set_every_key_so_none_shows_through_from_the_other():
    assert list(keys(load("config.yaml"))) == list(keys(load("paper.yaml")))


def test_the_schema_is_valid_and_describes_every_key_with_a_default():
    schema = read_json(SCHEMA)
    jsonschema.Draft202012Validator.check_schema(schema)

    def leaves(node, name):
        if node.get("type") == "object" and "properties" in node:
            assert node["additionalProperties"] is False, name
            for key, child in node["properties"].items():
                yield from leaves(child, f"{name}.{key}")
        else:
            yield name, node

    for name, leaf in leaves(schema, ""):
        assert leaf.get("description"), name
        assert "default" in leaf, name


def test_the_schema_defaults_are_the_values_of_the_default_configuration():
    def compare(node, value, name):
        if "properties" in node:
            for key, child in node["properties"].items():
                compare(child, value[key], f"{name}.{key}")
        else:
            assert node["default"] == value, name

    compare(read_json(SCHEMA), load("config.yaml"), "")


def test_the_paper_configuration_has_the_published_values():
    config = load("paper.yaml")
    assert config["cnn"]["seeds"] == 20
    assert config["cnn"]["epochs"] == {"baseline": 100, "optimized": 50}
    assert config["cnn"]["optimized"] == "published"
    assert (config["search"]["candidates"], config["search"]["folds"]) == (100, 5)
    assert config["search"]["stop_below_percent"] is None
    assert config["synthetic"]["sizes"] == [500, 1000, 2000, 3000, 5000, 10000]
    assert config["grid"]["training_sets"] == ["train-50", "train-full"]
    assert config["split"]["n_test_per_class"] == 100
    assert config["template"]["voxel_size"] == 1
    assert config["bias_correction"]["spline_distance"] == 600


def test_an_unknown_key_names_its_nearest_neighbour():
    config = load("config.yaml")
    config["cnn"]["learning_rte"] = 0.1
    text = problems(config)
    assert "unknown key `learning_rte` in cnn" in text
    assert "did you mean `learning_rate`?" in text


@pytest.mark.parametrize(("text", "better"), [("1e-5", "1.0e-5"), ("2E3", "2.0e+3")])
def test_a_number_without_a_dot_is_caught(text, better):
    message = problems(changed("cnn.learning_rate", text))
    assert f"`cnn.learning_rate` is the text '{text}', not a number" in message
    assert f"Write {better}." in message
    assert isinstance(yaml.safe_load(better), float)


def test_a_missing_key_and_a_value_out_of_bounds_are_both_named():
    config = changed("cnn.seeds", 0)
    del config["split"]["max_tries"]
    text = problems(config)
    assert "missing key `max_tries` in split" in text
    assert "`cnn.seeds` is 0" in text


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("cohorts.ADNI.source", "download", "`cohorts.ADNI.images` is not set"),
        ("cohorts.AIBL.source", "bids", "`cohorts.AIBL.bids` is not set"),
        ("cohorts.ADNI.source", "none", "only other cohorts can be left out"),
        ("template.source", "descriptor", "`template.source` must be 'simulated'"),
        ("grid.training_sets", ["train-9"], "`grid.training_sets` asks for `train-9`"),
        (
            "grid.exclude",
            [{"n_synthetic": 30}],
            "`grid.exclude` leaves out {n_synthetic: 30}, but the grid has",
        ),
        (
            "grid.exclude",
            [{"training_set": "train-8"}, {"training_set": "train-full"}],
            "`grid.exclude` leaves out every condition",
        ),
        ("grid.exclude", [{}], "`grid.exclude.0` is {}"),
        ("grid.exclude", [{"seed": 1}], "unknown key `seed` in grid.exclude.0"),
        ("synthetic.sizes", [21], "21 cannot be divided into two classes"),
    ],
)
def test_contradictions_between_keys_are_named(path, value, message):
    assert message in problems(changed(path, value))


def test_missing_folders_are_named_with_their_keys(tmp_path):
    config = copy.deepcopy(paper_with_folders())
    config["cohorts"]["ADNI"].update(images=str(tmp_path), tables=str(tmp_path / "nowhere"))
    with pytest.raises(StudyError) as caught:
        check_sources(config, ["ADNI"])
    assert f"`cohorts.ADNI.tables`: there is no folder {tmp_path / 'nowhere'}" in str(caught.value)
    assert "ADNI.images" not in str(caught.value)


def test_a_converted_cohort_needs_no_download():
    check_sources(paper_with_folders(), [])


def test_the_page_about_the_configuration_is_up_to_date():
    page = (ROOT / "config" / "README.md").read_text()
    assert page == describe_configuration(read_json(SCHEMA)), "run `make docs`"
    for key in keys(load("config.yaml")):
        assert key.split(".")[-1] in page


@pytest.mark.parametrize(
    "key", ["pathvars.results", "cohorts.AIBL.bids", "exclude", "template.file", "quality.deep.file"]
)
@pytest.mark.parametrize("path", ["a{b}", "a<b>", "a\nb", "a\x1b[2J"])
def test_paths_that_snakemake_would_read_otherwise_are_refused(key, path):
    text = problems(changed(key, path))
    assert f"`{key}` is {path!r}: Snakemake takes braces" in text


@pytest.mark.parametrize("path", ["a b; $(touch x) 'q' \"z\" `x` é", "-dash", "../other"])
def test_other_paths_are_taken_as_they_are(path):
    check_configuration(changed("pathvars.results", path), SCHEMA)


@pytest.mark.parametrize("name", ["n_blocks", "dropout", "weight_decay"])
def test_a_range_of_the_search_that_is_upside_down_is_refused(name):
    config = load("config.yaml")
    config["search"]["space"][name] = config["search"]["space"][name][::-1]
    assert f"`search.space.{name}`" in problems(config)


@pytest.mark.parametrize("value", [[2], [2, 3, 4], [0, 3], "2-6"])
def test_a_range_of_the_search_has_two_ends_within_its_bounds(value):
    config = load("config.yaml")
    config["search"]["space"]["n_blocks"] = value
    assert "`search.space.n_blocks" in problems(config)


THIRD = {"source": "bids", "bids": "oasis", "values": {"diagnosis": {"AD": [0.5, 1], "CN": ["healthy"]}}}


def test_a_further_cohort_needs_a_source_and_may_have_terms_of_its_own():
    check_configuration(changed("cohorts.OASIS3", THIRD), SCHEMA)
    check_configuration(changed("cohorts.OASIS3", {"source": "none"}), SCHEMA)


@pytest.mark.parametrize(
    ("name", "cohort", "message"),
    [
        ("OASIS3", {"bids": "oasis"}, "missing key `source` in cohorts.OASIS3"),
        ("OASIS3", {"source": "download"}, "`cohorts.OASIS3.source` is 'download'"),
        ("OASIS3", {"source": "bids"}, "`cohorts.OASIS3.bids` is not set"),
        ("OASIS3", {"source": "oasis1", "images": "x"}, "`cohorts.OASIS3.tables` is not set"),
        ("OASIS3", THIRD | {"column": {}}, "unknown key `column` in cohorts.OASIS3: did you mean `columns`?"),
        ("OASIS3", THIRD | {"columns": {"ages": "x"}}, "`cohorts.OASIS3.columns` is 'ages'"),
        ("OASIS3", THIRD | {"values": {"diagnosis": {"Ad": [1]}}}, "'Ad' is not one of"),
        ("OASIS3", THIRD | {"bids": "{x}"}, "`cohorts.OASIS3.bids` is '{x}'"),
        ("OASIS-3", THIRD, "unknown key `OASIS-3` in cohorts"),
    ],
)
def test_a_wrong_further_cohort_is_explained(name, cohort, message):
    assert message in problems(changed(f"cohorts.{name}", cohort))


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
