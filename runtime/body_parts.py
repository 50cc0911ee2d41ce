"""Body Part Examined (0018,0015) as scanners and people write it, reduced to regions that can be compared.

The terms are those of DICOM PS3.16 Annex L, Table L-1, with synonyms and the free text that is common in practice. Two
terms match where their regions overlap: CHESTABDPELVIS holds a chest, THORAX is a chest, LUNG lies in one.
"""

from __future__ import annotations

import re

__all__ = ["body_part_matches", "regions"]

_REGIONS: dict[str, tuple[str, ...]] = {
    "chest": ("CHEST", "THORAX", "THORACIC", "LUNG", "LUNGS", "MEDIASTINUM", "BRONCHUS", "TRACHEA", "RIB", "STERNUM"),
    "heart": ("HEART", "CARDIAC", "CORONARYARTERY", "CORONARY"),
    "abdomen": ("ABDOMEN", "ABDOMINAL", "ABD", "LIVER", "KIDNEY", "PANCREAS", "SPLEEN", "STOMACH", "GALLBLADDER",
                "ADRENAL", "BILEDUCT", "COLON", "DUODENUM"),
    "pelvis": ("PELVIS", "PELVIC", "PELV", "PEL", "PROSTATE", "BLADDER", "UTERUS", "CERVIX", "OVARY", "RECTUM", "HIP"),
    "head": ("HEAD", "BRAIN", "SKULL", "CRANIUM", "CEREBRUM", "CEREBELLUM", "FACE", "SINUS", "SELLA", "PITUITARY"),
    "eye": ("EYE", "RETINA", "FUNDUS", "ORBIT", "CORNEA", "OPTICDISC", "MACULA"),
    "neck": ("NECK", "THYROID", "LARYNX", "PHARYNX", "CAROTID", "PAROTID"),
    "breast": ("BREAST", "MAMMA", "MAMMARY"),
    "cervical spine": ("CSPINE", "CERVICALSPINE"),
    "thoracic spine": ("TSPINE", "THORACICSPINE"),
    "lumbar spine": ("LSPINE", "LUMBARSPINE"),
    "sacral spine": ("SSPINE", "SACRUM", "COCCYX"),
    "upper limb": ("ARM", "UPPERARM", "HUMERUS", "ELBOW", "FOREARM", "RADIUS", "ULNA", "RADIUSULNA", "WRIST", "HAND",
                   "FINGER", "THUMB"),
    "shoulder": ("SHOULDER", "CLAVICLE", "SCAPULA", "ACJOINT"),
    "lower limb": ("LEG", "THIGH", "FEMUR", "KNEE", "PATELLA", "CALF", "TIBIA", "FIBULA", "TIBIAFIBULA", "ANKLE",
                   "FOOT", "TOE", "CALCANEUS"),
}  # fmt: skip
"""Region: its terms. Organs stand with the region whose scan shows them whole; the heart, the eye and the breast are
regions of their own within chest and head, see _WITHIN."""

_WITHIN = {"heart": "chest", "eye": "head"}
"""A scan of the second shows the first too."""

_SEVERAL: dict[str, tuple[str, ...]] = {
    "CHESTABDOMEN": ("chest", "abdomen"),
    "CHESTABDPELVIS": ("chest", "abdomen", "pelvis"),
    "CAP": ("chest", "abdomen", "pelvis"),
    "CHESTTOPELVIS": ("chest", "abdomen", "pelvis"),
    "TRUNK": ("chest", "abdomen", "pelvis"),
    "ABDOMENPELVIS": ("abdomen", "pelvis"),
    "ABDPELVIS": ("abdomen", "pelvis"),
    "HEADNECK": ("head", "neck"),
    "NECKCHEST": ("neck", "chest"),
    "NECKCHESTABDOMEN": ("neck", "chest", "abdomen"),
    "NECKCHESTABDPELV": ("neck", "chest", "abdomen", "pelvis"),
    "NECKCHESTABDPELVIS": ("neck", "chest", "abdomen", "pelvis"),
    "SPINE": ("cervical spine", "thoracic spine", "lumbar spine", "sacral spine"),
    "WHOLESPINE": ("cervical spine", "thoracic spine", "lumbar spine", "sacral spine"),
    "CTSPINE": ("cervical spine", "thoracic spine"),
    "TLSPINE": ("thoracic spine", "lumbar spine"),
    "LSSPINE": ("lumbar spine", "sacral spine"),
    "EXTREMITY": ("upper limb", "lower limb"),
    "WHOLEBODY": tuple(_REGIONS),
    "HEADTOTOE": tuple(_REGIONS),
}

_CHINESE = {
    "胸": "chest",
    "胸部": "chest",
    "肺": "chest",
    "肺部": "chest",
    "心脏": "heart",
    "腹": "abdomen",
    "腹部": "abdomen",
    "肝脏": "abdomen",
    "盆腔": "pelvis",
    "骨盆": "pelvis",
    "头": "head",
    "头部": "head",
    "颅脑": "head",
    "颈部": "neck",
    "乳腺": "breast",
    "眼": "eye",
    "眼底": "eye",
}
"""What consoles with a Chinese surface write where a CS should stand."""

_TERMS: dict[str, frozenset[str]] = {
    **{term: frozenset({region}) for region, terms in _REGIONS.items() for term in terms},
    **{term: frozenset(regions) for term, regions in _SEVERAL.items()},
    **{term: frozenset({region}) for term, region in _CHINESE.items()},
}


def regions(text: str) -> frozenset[str]:
    """The regions a Body Part Examined names; empty where no term of it is known.

    The whole text is tried first, without spaces and signs (CHEST_ABDOMEN is CHESTABDOMEN), then each of its words.
    """
    whole = re.sub(r"[\W\d_]+", "", text.upper())
    if whole in _TERMS:
        found = _TERMS[whole]
    else:
        words = re.split(r"[\W\d_]+", text.upper())
        found = frozenset().union(*(_TERMS.get(word, frozenset()) for word in words))
    return found


def body_part_matches(examined: str, wanted: str) -> bool:
    """Does a series of body part ``examined`` show ``wanted``? Terms nobody knows match themselves only."""
    if re.sub(r"\W+", "", examined.upper()) == re.sub(r"\W+", "", wanted.upper()):
        return True
    have = regions(examined)
    return any(region in have or _WITHIN.get(region) in have for region in regions(wanted))
