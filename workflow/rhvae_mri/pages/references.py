"""The works that the methods cite, numbered in the order in which they are cited."""

from __future__ import annotations

import re

#: The works, by a short name.
WORKS = {
    "study": "C. Chadebec, E. Thibeau-Sutre, N. Burgos, S. Allassonnière. Data augmentation in high "
    "dimensional low sample size setting using a geometry-based variational autoencoder. IEEE Transactions "
    "on Pattern Analysis and Machine Intelligence, 2022. arXiv:2105.00026.",
    "adni": "C. R. Jack Jr. et al. The Alzheimer's Disease Neuroimaging Initiative (ADNI): MRI methods. "
    "Journal of Magnetic Resonance Imaging 27(4):685-691, 2008. doi:10.1002/jmri.21049.",
    "aibl": "K. A. Ellis et al. The Australian Imaging, Biomarkers and Lifestyle (AIBL) study of aging: "
    "methodology and baseline characteristics of 1112 individuals recruited for a longitudinal study of "
    "Alzheimer's disease. International Psychogeriatrics 21(4):672-687, 2009. "
    "doi:10.1017/S1041610209009405.",
    "bids": "K. J. Gorgolewski et al. The brain imaging data structure, a format for organizing and "
    "describing outputs of neuroimaging experiments. Scientific Data 3:160044, 2016. "
    "doi:10.1038/sdata.2016.44.",
    "clinica": "A. Routier et al. Clinica: an open-source software platform for reproducible clinical "
    "neuroscience studies. Frontiers in Neuroinformatics 15:689675, 2021. doi:10.3389/fninf.2021.689675.",
    "dcm2niix": "X. Li, P. S. Morgan, J. Ashburner, J. Smith, C. Rorden. The first step for neuroimaging "
    "data analysis: DICOM to NIfTI conversion. Journal of Neuroscience Methods 264:47-56, 2016. "
    "doi:10.1016/j.jneumeth.2016.03.001.",
    "n4": "N. J. Tustison et al. N4ITK: improved N3 bias correction. IEEE Transactions on Medical Imaging "
    "29(6):1310-1320, 2010. doi:10.1109/TMI.2010.2046908.",
    "ants": "B. B. Avants et al. A reproducible evaluation of ANTs similarity metric performance in brain "
    "image registration. NeuroImage 54(3):2033-2044, 2011. doi:10.1016/j.neuroimage.2010.09.025.",
    "mni": "V. Fonov et al. Unbiased average age-appropriate atlases for pediatric studies. NeuroImage "
    "54(1):313-327, 2011. doi:10.1016/j.neuroimage.2010.07.033.",
    "darq": "V. S. Fonov, M. Dadar, The PREVENT-AD Research Group, D. L. Collins. DARQ: deep learning of "
    "quality control for stereotaxic registration of human brain MRI to the T1w MNI-ICBM 152 template. "
    "NeuroImage 257:119266, 2022. doi:10.1016/j.neuroimage.2022.119266.",
    "wen": "J. Wen et al. Convolutional neural networks for classification of Alzheimer's disease: overview "
    "and reproducible evaluation. Medical Image Analysis 63:101694, 2020. doi:10.1016/j.media.2020.101694.",
    "clinicadl": "E. Thibeau-Sutre et al. ClinicaDL: an open-source deep learning software for reproducible "
    "neuroimaging processing. Computer Methods and Programs in Biomedicine 220:106818, 2022. "
    "doi:10.1016/j.cmpb.2022.106818.",
    "adam": "D. P. Kingma, J. Ba. Adam: a method for stochastic optimization. International Conference on "
    "Learning Representations (ICLR), 2015. arXiv:1412.6980.",
    "gradients": "M. Sundararajan, A. Taly, Q. Yan. Axiomatic attribution for deep networks. Proceedings of "
    "the 34th International Conference on Machine Learning (ICML), PMLR 70:3319-3328, 2017.",
    "bootstrap": "B. Efron, R. J. Tibshirani. An Introduction to the Bootstrap. Chapman & Hall, 1993. "
    "doi:10.1007/978-1-4899-4541-9.",
    "holm": "S. Holm. A simple sequentially rejective multiple test procedure. Scandinavian Journal of "
    "Statistics 6(2):65-70, 1979.",
    "hochberg": "Y. Benjamini, Y. Hochberg. Controlling the false discovery rate: a practical and powerful "
    "approach to multiple testing. Journal of the Royal Statistical Society: Series B 57(1):289-300, 1995. "
    "doi:10.1111/j.2517-6161.1995.tb02031.x.",
    "tost": "D. J. Schuirmann. A comparison of the two one-sided tests procedure and the power approach for "
    "assessing the equivalence of average bioavailability. Journal of Pharmacokinetics and Biopharmaceutics "
    "15(6):657-680, 1987. doi:10.1007/BF01068419.",
    "snakemake": "F. Mölder et al. Sustainable data analysis with Snakemake. F1000Research 10:33, 2021. "
    "doi:10.12688/f1000research.29032.2.",
    "torch": "A. Paszke et al. PyTorch: an imperative style, high-performance deep learning library. "
    "Advances in Neural Information Processing Systems 32 (NeurIPS), 2019. arXiv:1912.01703.",
}


def number_citations(text: str) -> tuple[str, list[str]]:
    """Number the works in the order in which a text cites them first; a citation is ``[@name]``.

    Examples
    --------
    >>> text, references = number_citations("One [@n4], two [@ants], again [@n4].")
    >>> text, len(references)
    ('One [1], two [2], again [1].', 2)
    """
    cited: list[str] = []

    def number(mark: re.Match[str]) -> str:
        if mark[1] not in cited:
            cited.append(mark[1])
        return f"[{cited.index(mark[1]) + 1}]"

    return re.sub(r"\[@(\w+)\]", number, text), [WORKS[name] for name in cited]
