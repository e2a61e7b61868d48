"""After the target `download` nothing needs a network: the preprocessing runs where there is none at all."""

import functools
import http.server
import json
import shutil
import subprocess
import sys
import threading
from typing import ClassVar

import nibabel
import numpy
import pytest
import torch
import yaml

from rhvae_mri.io.downloads import sha256_of
from rhvae_mri.quality.deep_networks import build_network
from rhvae_mri.simulate.anatomy import whole_head_template

pytestmark = pytest.mark.demo

NETWORK = "squeezenet1_1"


class Files(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and keeps what was asked for."""

    asked: ClassVar[list[str]] = []

    def do_GET(self):
        self.asked.append(self.path)
        super().do_GET()

    def log_message(self, *arguments):
        """Print nothing."""


@pytest.fixture
def server(tmp_path):
    """A folder and its address on this machine."""
    folder = tmp_path / "served"
    folder.mkdir()
    Files.asked.clear()
    handler = functools.partial(Files, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as http_server:
        thread = threading.Thread(target=http_server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield folder, f"http://127.0.0.1:{http_server.server_port}"
        http_server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def without_network():
    """The beginning of a command that runs in a network namespace without any route."""
    for command in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if shutil.which("unshare") and subprocess.run([*command, "true"], check=False).returncode == 0:
            return command
    pytest.skip("NOT TESTED: this machine does not let the tests make a network namespace (unshare --net)")


def offer(server, root, study):
    """Serve a template and weights, and write a copy of the workflow whose descriptors name them."""
    folder, address = server
    nibabel.save(whole_head_template(1.0), folder / "template.nii")
    torch.manual_seed(0)
    torch.save(build_network(NETWORK).state_dict(), folder / "weights.pth")
    copy = study / "code"
    for part in ("workflow", "resources", "envs"):
        shutil.copytree(root / part, copy / part)
    template = json.loads((root / "resources/template.json").read_text())
    template |= {"url": f"{address}/template.nii", "sha256": sha256_of(folder / "template.nii")}
    (copy / "resources/template.json").write_text(json.dumps(template))
    weights = {"url": f"{address}/weights.pth", "sha256": sha256_of(folder / "weights.pth")}
    (copy / "resources/deep_quality.json").write_text(json.dumps({NETWORK: weights}))
    return copy / "workflow" / "Snakefile"


def write_cohort(bids):
    """Write a cohort of one participant, whose head is the template's, moved."""
    image = whole_head_template(4.0)
    affine = image.affine.copy()
    affine[:3, 3] += (6, -8, 5)
    name = "sub-1_T1w.nii.gz"
    (bids / "sub-1" / "anat").mkdir(parents=True)
    voxels = numpy.round(image.get_fdata()).astype(numpy.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, affine), bids / "sub-1" / "anat" / name)
    (bids / "participants.tsv").write_text("participant_id\tage\tsex\tdiagnosis\nsub-1\t70\tF\tCN\n")


def test_after_the_download_the_preprocessing_runs_in_a_namespace_without_network(
    server, without_network, root, tmp_path, load_config
):
    snakefile = offer(server, root, tmp_path)
    write_cohort(tmp_path / "bids")
    config = load_config()
    config["cohorts"]["ADNI"].update(source="bids", bids=str(tmp_path / "bids"))
    config["cohorts"]["AIBL"]["source"] = "none"
    config["template"]["source"] = "descriptor"
    config["quality"]["deep"].update(source="descriptor", network=NETWORK)
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(config))
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(snakefile)),
        *("--directory", str(tmp_path / "study"), "--configfile", str(tmp_path / "study.yaml")),
        *("--cores", "2", "--"),
    ]

    def run(*words):
        return subprocess.run(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)

    # without the network the download fails, so the namespace is what it is said to be
    results = tmp_path / "study" / "results"
    refused = run(*without_network, *command, "results/quality/deep_quality_weights.safetensors")
    assert refused.returncode != 0
    assert Files.asked == []
    downloaded = run(*command, "download")
    assert downloaded.returncode == 0, downloaded.stdout
    assert sorted(Files.asked) == ["/template.nii", "/weights.pth"]
    assert not list((results / "derivatives").glob("**/*.nii.gz"))
    offline = run(*without_network, *command, "audit")
    assert offline.returncode == 0, offline.stdout
    assert len(Files.asked) == 2
    assert (results / "audit/cohort-ADNI/index.html").exists()
    assert "not run" not in (results / "quality/cohort-ADNI/deep_quality.tsv").read_text()
