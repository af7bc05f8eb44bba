"""What a claim is about beside its RNA: diseases, genes, drugs, specimens, what is measured."""

from __future__ import annotations

import re

_SITES = (
    "acute adrenal advanced airway alcoholic allergic alzheimer aortic atherosclerotic atopic "
    "crohn huntington kawasaki "
    "autoimmune b-cell bile biliary bladder bone brain breast bronchial cardiac cardiovascular "
    "carotid cell cerebral cervical cholangio chronic clear colitis-associated colon colonic "
    "colorectal coronary artery cutaneous diabetic diffuse duct ductal embryonal endocrine "
    "endometrial ovarian epithelial esophageal oesophageal ewing fatty follicular gastric "
    "gastrointestinal stromal germ glial granulosa heart hepatic hepatocellular "
    "inflammatory bowel intestinal ischemic ischaemic kidney large laryngeal liver lung "
    "lymphoblastic lymphocytic lymphoid lymphatic mantle medullary merkel metabolic muscular"
    " myeloid "
    "myocardial nasopharyngeal nerve neurodegenerative neuroendocrine non-alcoholic "
    "nonalcoholic non-small non-hodgkin obstructive oral osteo ovary pancreatic papillary "
    "parkinson peripheral polycystic ovary pituitary prostate psoriatic pulmonary rectal renal "
    "respiratory rheumatoid salivary skin small soft spinal cord squamous stomach systemic "
    "t-cell testicular thyroid tissue tongue traumatic triple-negative urothelial "
    "uterine uveal vascular viral vulvar familial sporadic metastatic primary virus hiv hcv "
    "hbv hpv ebv influenza"
)
_CONDITIONS = (
    "adenocarcinoma adenoma aneurysm arthritis asthma atherosclerosis autism cancer carcinoma "
    "cardiomyopathy cholangiocarcinoma chordoma cirrhosis colitis dementia depression dermatitis "
    "diabetes disease disorder dystrophy eczema encephalitis endometriosis epilepsy "
    "failure fibrillation fibrosis glioblastoma glioma hepatitis hepatoblastoma "
    "hypertension hypertrophy infarction infection injury ischemia ischaemia leukemia leukaemia "
    "lupus lymphoma malformation medulloblastoma melanoma melasma mesothelioma myeloma "
    "nephropathy neuroblastoma neuropathy obesity osteoarthritis osteoporosis osteosarcoma "
    "pneumonia preeclampsia psoriasis reperfusion retinoblastoma retinopathy rhabdomyosarcoma "
    "sarcoma schizophrenia sclerosis sepsis steatosis stroke syndrome thrombosis tuberculosis "
    "tumor tumour ulcer"
)
# Only abbreviations that mean one thing.
_ABBREVIATED = {
    "AML": "acute myeloid leukemia",
    "CLL": "chronic lymphocytic leukemia",
    "CML": "chronic myeloid leukemia",
    "CRC": "colorectal cancer",
    "DLBCL": "diffuse large B-cell lymphoma",
    "EOC": "epithelial ovarian cancer",
    "ESCC": "esophageal squamous cell carcinoma",
    "GBM": "glioblastoma",
    "HCC": "hepatocellular carcinoma",
    "HNSCC": "head and neck squamous cell carcinoma",
    "LUAD": "lung adenocarcinoma",
    "NAFLD": "non-alcoholic fatty liver disease",
    "NSCLC": "non-small cell lung cancer",
    "OSCC": "oral squamous cell carcinoma",
    "PDAC": "pancreatic ductal adenocarcinoma",
    "RCC": "renal cell carcinoma",
    "TNBC": "triple-negative breast cancer",
}


def _alternatives(words: str) -> str:
    return "|".join(sorted(set(words.split()), key=lambda word: (-len(word), word)))


_DISEASE = re.compile(
    rf"\b(?:(?:head and neck|type [12]|{_alternatives(_SITES)})(?:['’]s)?(?:[\s-]+|-and-))*"
    rf"(?:(?:{_alternatives(_CONDITIONS)})s?|(?!stroma|para)[a-z]{{3,}}omas?|[a-z]{{4,}}(?:itis|opathy))\b"
    r"(?!\s(?:\(RB|protein|gene\b|1\b))"
    rf"|\b(?:(?-i:{'|'.join(_ABBREVIATED)}))\b",
    re.IGNORECASE,
)
_EPONYMS = "Alzheimer|Crohn|Ewing|Hodgkin|Huntington|Kawasaki|Parkinson"
# These words say too little by themselves.
_VAGUE_WORDS = (
    "cancer carcinoma disease disorder failure infection injury metastasis sclerosis syndrome "
    "tumor tumour ischemia ischaemia reperfusion adenoma ulcer adenocarcinoma"
)
_VAGUE = frozenset(one for word in _VAGUE_WORDS.split() for one in (word, f"{word}s"))
_PROCESSES = (
    "angiogenesis|apoptosis|autophagy|EMT|cell adhesion|cell cycle(?: progression)?|cell growth"
    "|differentiation|DNA damage response|epithelial[- ](?:to[- ])?mesenchymal transition"
    "|glycolysis|hematopoiesis|inflammation|invasion|lipid metabolism|metastasis|migration"
    "|neurogenesis|osteogenesis|proliferation|senescence|stemness|tumou?rigenesis|tumou?r growth"
)
_PROCESS = re.compile(rf"\b(?:{_PROCESSES})\b", re.IGNORECASE)


# A disease that a paper gives an abbreviation: "pancreatic cancer (PC)".
_DEFINED = re.compile(rf"({_DISEASE.pattern})\s\(([A-Z][A-Za-z]{{1,6}})\)", re.IGNORECASE)
# Findings about these are findings in a disease.
_NEEDS = re.compile(
    r"\b(?:patients?|survival|prognos\w+|outcomes?|healthy|TNM|clinical stages?|tumou?r sites?"
    r"|lymph nodes?|recurren\w+|relapse\w*"
    r"|diagnos\w+|metastases|metastatic|ulceration|thickness|stages? I+V?|clinicopath\w+|AUC"
    r"|ROC|bio-?markers?"
    r"|(?-i:OS|DFS|PFS|RFS)|post-?(?:surgical|operative)|pre-?(?:surgical|operative|resection)|cases"
    r"|samples|sensitivity and (?:a )?specificity"
    r"|(?:cancer(?:ous)?|tumou?r(?:ous|al)?|normal|adjacent|malignant)\s"
    r"(?:tissues?|samples?|specimens?|mucosa)|tumou?rs|carcinomas|adenomas"
    r"|(?:primary|differentiated)\stumou?rs?|tumou?r\s(?:stages?|size|progression|grade)|serum|plasma"
    r")\b",
    re.IGNORECASE,
)
_WANTS = re.compile(r"\b(?:cancer cells?|tumou?r growth|tumou?r cells|metastasis)\b", re.IGNORECASE)
# What holds of many diseases needs none.
_OF_MANY = re.compile(
    r"\b(?:various|many|several|multiple|different|other|human|most|some|all|types? of|diverse"
    r"|numerous|solid)\s(?:\w+\s){0,3}(?:cancers?|tumou?rs?|malignanc\w+|carcinomas|diseases)\b"
    r"|\bcancers\b|\bmalignancies\b|\bcancer types?\b",
    re.IGNORECASE,
)
_SUPPRESSOR = re.compile(r"\b(?:tumou?r[\s-]+suppress\w+|anti-?tumou?r\w*)", re.IGNORECASE)

_CELL_LINES = (
    r"HCT-?\d+\w*|SW-?\d+|HT-?29|LoVo|LOVO|Caco-?2|DLD-?1|PANC-?\w+|Mia\w*|MIA|Bx[pP][cC]-?3|AsPC-?1"
    r"|Capan-?\d|CAPAN-?\d|SU\.86|A375\w*|WM\d+\w*|HEK-?293\w?|RKO|HeLa|Hep-?G2|Hep3B|Huh-?7|MCF-?7"
    r"|MDA-MB-\d+|A549|SK-?MEL-?\d+|MKN-?\d+|SGC-?\d+|AGS|KATO-?\w*|LS174T|U87\w*|U251|HUVECs?|B16\w*"
    r"|K562|KM12\w*|H1299|COLO-?\d+|M14|PC-?3|LNCaP|NCM460|FHC|HPDE\w*"
)
_NO_GENES = (
    "AND AUC ROC CI HR OR RR OS DFS PFS RFS CSS CRC HCC PDAC PDA PC PCa PaC NSCLC SCLC AML CLL"
    " CML GC BC"
    " EMT MET DNA RNA mRNA UTR ROS TNM PCR QPCR TCGA GEO LNM FFPE RT SNP SNPs MSI MSS MSI-H UC IBD"
    " UICC AJCC DEG DEGs DEM DEMs FC KC WT KO NC GIST OSCC ESCC EOC RCC TNBC GBM LUAD NAFLD CP LN"
    " IPMN PanIN MM CMM UM SKCM COAD READ PAAD CC CSC CSCs KEGG GO PBMC PBMCs NK II III IV VS BMI"
    " CEA CA19-9 CA TRG1 AIP FAP NGS RNAs miRNA miRNAs MicroRNA MicroRNAs miR miRs MiR lncRNA"
    " lncRNAs"
    " circRNA circRNAs ncRNA ceRNA siRNA shRNA USA RTQ RT-PCR RT-qPCR QRT-PCR TIC LSCC GR ICC"
    " CCA MEK"
    " CpG HBV HCV HPV HIV EBV STAGE Dukes Evidence IPA GSEA MMR CNV CNVs DM CR TILs HE IHC ISH"
    " WHO TRG TRG4 FNA CTC CTCs EV EVs OSI CRCs PCs HCCs"
)
_NOT_GENES = frozenset(_NO_GENES.split())
_GENE = re.compile(
    rf"(?<![\w@/-])(?!(?:{_CELL_LINES})(?![\w]))(?!G[012]\b|[A-Z]{{2,}}s\b|(?:Lnc|LNC|Circ|Linc)RNA)"
    r"(?:[A-Z][A-Za-z]*[A-Z0-9][\w]*(?:-\w+)*|[A-Z][a-z]+\d\w*|p\d{2}(?:\w+)?|[A-Z]{2,}|PI3K|HIF-1\w*"
    r"|(?:beta|β)-catenin|[EN]-cadherin|cyclin\s[A-E]\d?|caspase-\d|vimentin|[Cc]-[Mm]yc)"
    r"(?![\w@]|-@|\s(?:\S+\s)?cells?\b|\scell\slines?)"
)
_PART = re.compile(
    r"-(?:mediated|induced|dependent|regulated|driven|positive|negative|targeting|binding|associated"
    r"|related|specific|knockdown|overexpressing|silenced|siRNA|mutant|mutated|infected|expressing|treated)$"
)
_MICRORNA_LIKE = re.compile(r"(?:(?:hsa-?)?(?:mi[rc]\w*|let)-?\d|\d)", re.IGNORECASE)
_DRUG = re.compile(
    r"\b(?:\w*platin|\w*rubicin|\w*taxel|\w{3,}nib|\w{3,}mab|5-fluorouracil|fluorouracil|5-FU|5FU"
    r"|gemcitabine|tamoxifen|irinotecan|capecitabine|temozolomide|dacarbazine|adriamycin|etoposide"
    r"|metformin|curcumin|FOLFOX\w*|chemoradio\w+|chemoradiation|chemotherapy|radiotherapy"
    r"|immunotherapy|ionizing radiation|interferon|DOX)\b",
    re.IGNORECASE,
)
_SPECIMENS = {
    "exosomes": r"exosom\w+|extracellular vesicles?",
    "serum": r"serum|sera",
    "plasma": r"plasma",
    "stool": r"stool|fa?ecal|fa?eces",
    "saliva": r"saliva\w*",
    "urine": r"urin\w+",
    "whole blood": r"(?:whole|peripheral) blood|circulating",
    "metastases": r"metastases|metastatic (?:tissues?|sites?|lesions?|tumou?rs?|samples?)",
    "tumour tissue": r"tissues?|specimens?|tumou?rs|biops\w+|mucosa|carcinomas",
}
_OUTCOMES = {
    "survival": r"surviv\w+",
    "recurrence": r"recurren\w+|relapse\w*",
    "lymph node metastasis": r"lymph node",
    "metastasis": r"metasta\w+",
    "stage": r"stages?|TNM|staging|Dukes",
    "grade": r"(?:tumou?r|histolog\w+|differentiation|higher|high|low) grade|(?:poorly|well)"
    " differentiated"
    r"|poor differentiation",
    "diagnosis": r"diagnos\w+|detection|discriminat\w+|distinguish\w*|AUC|screening|specificity"
    r"|identif(?:y|ying)",
    "prognosis": r"prognos\w+|outcomes?",
    "response to treatment": r"respon\w+|therap\w+",
    "size": r"(?:tumou?r )?size|thickness",
}


def diseases(text: str) -> list[str]:
    """The diseases that a text names, each once, as in running text; not "cancer" by itself."""
    found = (
        _ABBREVIATED.get(match[0], match[0])
        for match in _DISEASE.finditer(text)
        if _UNSPECIFIC.sub("", _ABBREVIATED.get(match[0], match[0]).lower()) not in _VAGUE
    )
    return list(dict.fromkeys(map(_one, map(in_lower_case, found))))


def _one(disease: str) -> str:
    """A disease in the singular: lung adenocarcinomas are lung adenocarcinoma."""
    singular = disease.removesuffix("s")
    return (
        singular if singular.endswith(("oma", "cancer", "tumor", "tumour", "stroke")) else disease
    )


_UNSPECIFIC = re.compile(
    r"(?:primary|metastatic|advanced|acute|chronic|small|large|viral|familial|sporadic|cell)\s"
)


def in_lower_case(text: str) -> str:
    """Without the capitals of titles and of sentences; Crohn and HIV keep theirs."""
    return re.sub(rf"\b(?!{_EPONYMS})[A-Z](?=[a-z])", lambda match: match[0].lower(), text)


# "breast and colon cancers"
_TOGETHER = re.compile(
    rf"\b(?:{_alternatives(_SITES)})(?:\s(?:{_alternatives(_CONDITIONS)}))?,?\s(?:and|or)\s"
    rf"(?:(?:{_alternatives(_SITES)})\s)+(?:{_alternatives(_CONDITIONS)})",
    re.IGNORECASE,
)


def disease_of_paper(title: str, abstract: str) -> str | None:
    """The one disease that a paper is about; None where it is about several, or none.

    The title tells, else the abstract, where it names one alone.
    """
    for text in (title, abstract):
        if _TOGETHER.search(text):
            return None
        if named := {_site(disease): disease for disease in reversed(diseases(text))}:
            return next(iter(named.values())) if len(named) == 1 else None
    return None


def _site(disease: str) -> str:
    """A disease without what its kinds and spellings differ in: colorectal cancer is carcinoma."""
    return re.sub(
        r"\b(?:human|metastatic|advanced|primary|sporadic|familial|cutaneous|ductal"
        r"|adenocarcinoma|carcinoma|cancer|tumou?r|metastasis)\b\s*",
        "",
        disease,
    ).strip()


def abbreviations_of_diseases(abstract: str) -> dict[str, str]:
    """What a paper calls its diseases for short: "pancreatic cancer (PC)" gives PC."""
    return {
        match[match.lastindex or 0]: in_lower_case(match[1])
        for match in _DEFINED.finditer(abstract)
        if in_lower_case(match[1]) not in _VAGUE and match[match.lastindex or 0].isupper()
    }


def needs_disease(text: str) -> bool:
    """Whether a text says what holds in one disease only, of patients say, and leaves that out."""
    plain = _SUPPRESSOR.sub("", text)
    return bool(_NEEDS.search(plain)) and not _OF_MANY.search(plain) and not diseases(text)


def wants_disease(text: str) -> bool:
    """Whether a text gains by the name of its disease."""
    plain = _SUPPRESSOR.sub("", text)
    return bool(_WANTS.search(plain)) and not _OF_MANY.search(plain) and not diseases(text)


def processes(text: str) -> list[str]:
    """The processes of cells that a text names, in order."""
    return list(dict.fromkeys(in_lower_case(match[0]) for match in _PROCESS.finditer(text)))


def genes(masked: str) -> list[str]:
    """Genes, proteins and other RNAs but microRNAs, in order, by the form of their names.

    Args:
        masked: a text with "@" in place of the RNA's own names.
    """
    found = (_PART.sub("", match[0]) for match in _GENE.finditer(masked))
    return list(
        dict.fromkeys(
            name
            for name in found
            if name not in _NOT_GENES
            and name.upper() not in _NOT_GENES
            and not _MICRORNA_LIKE.match(name)
            and name not in _ABBREVIATED
        )
    )


def drugs(text: str) -> list[str]:
    """Drugs and treatments that a text names, in order."""
    found = (match[0] for match in _DRUG.finditer(text))
    return list(dict.fromkeys(name if name.isupper() else in_lower_case(name) for name in found))


def specimens(text: str) -> list[str]:
    """Where a text says that something was measured."""
    return _named(text, _SPECIMENS)


def outcomes(text: str) -> list[str]:
    """What of a disease's course a text speaks of."""
    return _named(text, _OUTCOMES)


def _named(text: str, patterns: dict[str, str]) -> list[str]:
    return [
        name
        for name, pattern in patterns.items()
        if re.search(rf"\b(?:{pattern})\b", text, re.IGNORECASE)
    ]


__all__ = [
    "abbreviations_of_diseases",
    "disease_of_paper",
    "diseases",
    "drugs",
    "genes",
    "in_lower_case",
    "needs_disease",
    "outcomes",
    "processes",
    "specimens",
    "wants_disease",
]
