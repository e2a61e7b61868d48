"""The works that the methods cite, numbered in the order in which they are cited."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rhvae_mri.errors import StudyError

#: The works, by a short name.
WORKS = {
    "study": "C. Chadebec, E. Thibeau-Sutre, N. Burgos, S. Allassonnière. Data augmentation in high "
    "dimensional "
    "low sample size setting using a geometry-based variational autoencoder. IEEE Transactions on Pattern "
    "Analysis and Machine Intelligence, 2022. arXiv:2105.00026.",
    "adni": "C. R. Jack Jr. et al. The Alzheimer's Disease Neuroimaging Initiative (ADNI): MRI methods. "
    "Journal "
    "of Magnetic Resonance Imaging 27(4):685-691, 2008.",
    "aibl": "K. A. Ellis et al. The Australian Imaging, Biomarkers and Lifestyle (AIBL) study of aging. "
    "International Psychogeriatrics 21(4):672-687, 2009.",
    "bids": "K. J. Gorgolewski et al. The brain imaging data structure, a format for organizing and "
    "describing "
    "outputs of neuroimaging experiments. Scientific Data 3:160044, 2016.",
    "clinica": "A. Routier et al. Clinica: an open-source software platform for reproducible clinical "
    "neuroscience studies. Frontiers in Neuroinformatics 15:689675, 2021.",
    "dcm2niix": "X. Li, P. S. Morgan, J. Ashburner, J. Smith, C. Rorden. The first step for neuroimaging "
    "data "
    "analysis: DICOM to NIfTI conversion. Journal of Neuroscience Methods 264:47-56, 2016.",
    "n4": "N. J. Tustison et al. N4ITK: improved N3 bias correction. IEEE Transactions on Medical Imaging "
    "29(6):1310-1320, 2010.",
    "ants": "B. B. Avants et al. A reproducible evaluation of ANTs similarity metric performance in brain "
    "image "
    "registration. NeuroImage 54(3):2033-2044, 2011.",
    "mni": "V. Fonov et al. Unbiased average age-appropriate atlases for pediatric studies. NeuroImage "
    "54(1):313-327, 2011.",
    "darq": "V. S. Fonov et al. DARQ: deep learning of quality control for stereotaxic registration of human "
    "brain MRI to the T1w MNI-ICBM 152 template. NeuroImage 257:119266, 2022.",
    "wen": "J. Wen et al. Convolutional neural networks for classification of Alzheimer's disease: overview "
    "and "
    "reproducible evaluation. Medical Image Analysis 63:101694, 2020.",
    "clinicadl": "E. Thibeau-Sutre et al. ClinicaDL: an open-source deep learning software for reproducible "
    "neuroimaging processing. Computer Methods and Programs in Biomedicine 220:106818, 2022.",
    "adam": "D. P. Kingma, J. Ba. Adam: a method for stochastic optimization. ICLR, 2015.",
    "gradients": "M. Sundararajan, A. Taly, Q. Yan. Axiomatic attribution for deep networks. ICML, 2017.",
    "bootstrap": "B. Efron, R. J. Tibshirani. An Introduction to the Bootstrap. Chapman & Hall, 1993.",
    "holm": "S. Holm. A simple sequentially rejective multiple test procedure. Scandinavian Journal of "
    "Statistics 6(2):65-70, 1979.",
    "hochberg": "Y. Benjamini, Y. Hochberg. Controlling the false discovery rate: a practical and powerful "
    "approach to multiple testing. Journal of the Royal Statistical Society B 57(1):289-300, 1995.",
    "tost": "D. J. Schuirmann. A comparison of the two one-sided tests procedure and the power approach for "
    "assessing the equivalence of average bioavailability. Journal of Pharmacokinetics and Biopharmaceutics "
    "15(6):657-680, 1987.",
    "snakemake": "F. Mölder et al. Sustainable data analysis with Snakemake. F1000Research 10:33, 2021.",
    "torch": "A. Paszke et al. PyTorch: an imperative style, high-performance deep learning library. "
    "NeurIPS, "
    "2019.",
}


_MARK = re.compile(r"⟦([a-z0-9 ]+)⟧")


def cite(*names: str) -> str:
    """Mark in a text that works are cited there; `number_citations` makes numbers of the marks.

    Raises
    ------
    StudyError
        If there is no such work.
    """
    for name in names:
        if name not in WORKS:
            raise StudyError(f"There is no work {name!r} to cite.")
    return f"⟦{' '.join(names)}⟧"


def number_citations(texts: Sequence[str]) -> tuple[list[str], list[str]]:
    """Number the works in the order in which the texts cite them first.

    Returns
    -------
    texts : list of str
        The texts, with numbers in brackets in place of the marks.
    references : list of str
        The cited works in the order of their numbers.

    Examples
    --------
    >>> texts, references = number_citations([f"One {cite('n4')}.", f"Two {cite('ants', 'n4')}."])
    >>> texts, len(references)
    (['One [1].', 'Two [1, 2].'], 2)
    """
    cited: list[str] = []

    def number(mark: re.Match[str]) -> str:
        names = mark[1].split()
        cited.extend(name for name in names if name not in cited)
        return f"[{', '.join(map(str, sorted(cited.index(name) + 1 for name in names)))}]"

    return [_MARK.sub(number, text) for text in texts], [WORKS[name] for name in cited]
