import re

import pytest
from markup import Page

from rhvae_mri.io.files import read_json
from rhvae_mri.pages.assumptions import (
    COLUMNS,
    FIXED,
    list_assumptions,
    list_departures,
    mark_of,
    walk_configuration,
    write_assumptions,
)
from rhvae_mri.provenance.tables import DownloadFacts

#: Each fact with a mark [D] in the study's protocol, and how the list of assumptions names it.
PROTOCOL = {
    "the baseline session (or the first usable one after it)": ["image of each participant"],
    "`align_corners` unknown": ["tensors.align_corners"],
    "lr 1e-4, weight decay, batch size": ["cnn.learning_rate", "cnn.weight_decay", "cnn.batch_size"],
    "Ranges [D, the tool's shipped example]": [
        "search.space.n_blocks",
        "search.space.first_channels",
        "search.space.convolutions_per_block",
        "search.space.channel_limit",
        "search.space.n_fully_connected",
        "search.space.dropout",
        "search.space.learning_rate",
        "search.space.weight_decay",
        "search.space.weight_decay_probability",
    ],
    "| networks (input of 1e5 voxels and more)": [
        "rhvae.networks",
        "rhvae.encoder_layers",
        "rhvae.decoder_layers",
        "rhvae.metric_layers",
    ],
    "| leapfrog steps, step size": ["rhvae.leapfrog_steps", "rhvae.leapfrog_step_size"],
    "| T, lambda": ["rhvae.temperature", "rhvae.regularization"],
    "| sampler | 100 HMC steps": [
        "synthetic.steps",
        "synthetic.leapfrog_steps",
        "synthetic.leapfrog_step_size",
    ],
    "| optimizer | Adam": [
        "optimizer of the RHVAE",
        "rhvae.learning_rate",
        "rhvae.batch_size",
        "rhvae.max_epochs",
        "rhvae.patience",
    ],
    "total or per class [D": ["synthetic.count"],
}


@pytest.fixture(scope="module")
def schema(root):
    return read_json(root / "workflow/schemas/config.schema.json")


@pytest.fixture(scope="module")
def table(schema, load_config):
    return list_assumptions(schema, load_config("paper.yaml"))


def test_every_assumed_fact_of_the_protocol_is_in_the_list(table):
    assert tuple(table.columns) == COLUMNS
    named = set(table["assumption"])
    for fact, names in PROTOCOL.items():
        assert set(names) <= named, fact


def test_the_protocol_has_no_other_assumed_fact(root):
    protocol = root.parent / "shared" / "PROTOCOL.md"
    if not protocol.is_file():
        pytest.skip("the protocol is not beside this checkout")
    # a fact's paragraph or row, without the list of what the marks mean
    text = protocol.read_text(encoding="utf-8").split("## 1.", 1)[1]
    parts = [" ".join(part.split()) for part in re.split(r"\n(?=[-|]|\d\.|\*\*|\n)", text)]
    marked = [part for part in parts if re.search(r"\[[^\]]*\bD\b[^\]]*\]|\|[^|]*\bD\b[^|]*\|$", part)]
    assert marked
    for part in marked:
        assert any(fact in part for fact in PROTOCOL), part


def test_every_marked_key_says_what_is_known_and_no_other_does(schema, load_config):
    for key, leaf, _ in walk_configuration(schema, load_config()):
        assert ("assumption" in leaf) == (mark_of(leaf["description"]) is not None), key


@pytest.mark.parametrize("name", ["config.yaml", "paper.yaml", "medium.yaml"])
def test_the_marks_in_the_configuration_s_comments_are_those_of_the_schema(root, schema, load_config, name):
    lines = (root / "config" / name).read_text().splitlines()
    commented, present = set(), set()
    path = []
    for line in lines:
        if found := re.match(r"( *)([a-zA-Z_]+):(.*)", line):
            path = [*path[: len(found.group(1)) // 2], found.group(2)]
            present.add(".".join(path))
            if mark_of(found.group(3).partition("#")[2]):
                commented.add(".".join(path))
    marked = {
        key for key, leaf, _ in walk_configuration(schema, load_config(name)) if mark_of(leaf["description"])
    }
    if name != "config.yaml":  # it has what differs only
        marked &= present
    assert commented == marked


def test_choices_are_those_of_the_configuration_and_can_be_found(table, schema, load_config):
    rows = table.set_index("assumption")
    assert rows.loc["rhvae.encoder_layers", "our_choice"] == "500, 500, 400"
    assert rows.loc["tensors.align_corners", "our_choice"] == "false"
    assert rows.loc["rhvae.learning_rate", "our_choice"] == "0.0001"
    assert rows.loc["synthetic.count", "known_of_the_paper"].startswith("[D] sizes are published")
    assert rows.loc["rhvae.networks", "known_of_the_paper"].startswith("[C/D]")
    assert rows.loc["cnn.batch_size", "where_to_change"] == "the configuration, under this key"
    assert rows.index.is_unique
    assert not table["meaning"].str.contains(r"\[").any()
    assert rows.loc["rhvae.encoder_layers", "meaning"] == "Hidden units of the encoder."
    assert rows.loc["cnn.batch_size", "meaning"] == "Images per step."
    config = load_config("paper.yaml")
    config["cnn"]["batch_size"] = 11
    assert table.equals(list_assumptions(schema, load_config("paper.yaml")))
    changed = list_assumptions(schema, config).set_index("assumption")
    assert changed.loc["cnn.batch_size", "our_choice"] == "11"


def test_tables_that_a_download_lacks_are_assumptions(table, schema, load_config):
    def list_with(*facts):
        return list_assumptions(schema, load_config("paper.yaml"), facts)

    assert list_with(DownloadFacts("ADNI"), DownloadFacts("AIBL")).equals(table)
    absent = (("MRIQUALITY", "rejected scans are not known"),)
    rows = list_with(DownloadFacts("ADNI", True, True, absent)).set_index("assumption")[len(table) :]
    assert list(rows["our_choice"]) == [
        "visits from REGISTRY and DXSUM, diagnoses from DXSUM",
        "rejected scans are not known",
    ]
    assert rows.loc["ADNI: no table MRIQUALITY", "known_of_the_paper"].startswith("[C/D]")
    assert set(rows["where_to_change"]) == {"the folder `cohorts.ADNI.tables`, by adding the table"}
    mended = list_with(DownloadFacts("ADNI", diagnoses_from_dxsum=True)).iloc[-1]
    assert mended["our_choice"] == "diagnoses from DXSUM"


def test_modules_that_are_named_exist(root):
    for *_, where in FIXED:
        module = re.match(r"[a-z_.]+", where).group().rstrip(".")
        assert (root / "workflow" / f"{module.replace('.', '/')}.py").is_file(), where


def test_departures_are_none_for_the_published_study_and_the_first_thing_said_of_a_simulated_one(
    schema, load_config, tmp_path
):
    paper = load_config("paper.yaml")
    assert list_departures(schema, paper) == []
    assert list_departures(schema, load_config()) == ["the data are simulated"]
    paper["cnn"]["epochs"]["baseline"] = 7
    paper["split"]["n_test_per_class"] = 50
    assert list_departures(schema, paper) == [
        "split.n_test_per_class is 50, published is 100",
        "cnn.epochs.baseline is 7, published is 100",
    ]
    table, departures = list_assumptions(schema, paper), list_departures(schema, paper)
    write_assumptions(table, departures, tmp_path / "page.html", title="Study", simulated=False)
    rows = Page((tmp_path / "page.html").read_text()).rows
    assert len(rows) == 1 + len(table) + 1 + 2
    assert rows[-1] == ["2", departures[1]]


def test_published_values_in_the_schema_are_those_of_the_published_configuration(schema, load_config):
    paper = load_config("paper.yaml")
    leaves = [
        (key, leaf["published"], value)
        for key, leaf, value in walk_configuration(schema, paper)
        if "published" in leaf
    ]
    assert len(leaves) >= 5
    assert all(published == value for _, published, value in leaves)


def test_networks_trained_on_another_cohort_are_a_departure(schema, load_config):
    config = load_config("paper.yaml")
    assert not any("trained on" in departure for departure in list_departures(schema, config))
    config["cohorts"]["Memory"] = config["cohorts"]["ADNI"] | {"source": "bids", "role": "train"}
    config["cohorts"]["ADNI"]["role"] = "test"
    assert "the networks are trained on Memory" in list_departures(schema, config)[0]
