"""Text of a DICOM header in every character set, Chinese first (DICOM PS3.3 C.12.1.1.2, PS3.5 6.1).

Devices in China often write GBK bytes and declare ISO_IR 100, or nothing. :func:`detect` looks at the bytes of all
text values of a file together, so that one clear value decides for an ambiguous one, and says what it found.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset

from .header import Header, shown

CODECS: dict[str, str] = {
    "": "ascii",
    "ISO_IR 6": "ascii",
    "ISO_IR 13": "shift_jis",
    "ISO_IR 100": "cp1252",
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 126": "iso8859_7",
    "ISO_IR 127": "iso8859_6",
    "ISO_IR 138": "iso8859_8",
    "ISO_IR 144": "iso8859_5",
    "ISO_IR 148": "iso8859_9",
    "ISO_IR 166": "tis_620",
    "ISO_IR 203": "iso8859_15",
    "ISO_IR 192": "utf_8",
    "GB18030": "gb18030",
    "GBK": "gb18030",
    "ISO_IR 58": "gb18030",
    "ISO_IR 87": "euc_jp",
    "ISO_IR 149": "cp949",
    "ISO_IR 159": "euc_jp",
}
"""Python codec by defined term, without code extensions; a superset where makers write one (GB18030 for GBK)."""

_G0 = {
    b"(B": "ascii",
    b"(J": "shift_jis",
    b"$B": "jisx0208",
    b"$@": "jisx0208",
    b"$(B": "jisx0208",
    b"$(D": "jisx0212",
}
_G1 = {
    b")I": "shift_jis",
    b"-A": "cp1252",
    b"-B": "iso8859_2",
    b"-C": "iso8859_3",
    b"-D": "iso8859_4",
    b"-F": "iso8859_7",
    b"-G": "iso8859_6",
    b"-H": "iso8859_8",
    b"-L": "iso8859_5",
    b"-M": "iso8859_9",
    b"-T": "tis_620",
    b"-b": "iso8859_15",
    b"$)A": "gb18030",
    b"$)C": "cp949",
}
"""Escape sequences by the code element they designate (PS3.3 tables C.12-3 and C.12-4)."""

_ESCAPE = re.compile(rb"\x1b(\([BJ]|\)I|-[ABCDFGHLMTb]|\$\([BD]|\$\)[AC]|\$[B@])")
_RUN = re.compile(rb"[\x80-\xff]+")
_WORD = re.compile(rb"[A-Za-z\x80-\xff]+")
_HANZI = re.compile("[\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
_CJK = re.compile("[\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef\uac00-\ud7af\U00020000-\U0003ffff]")
_TEXT_VRS = {"SH", "LO", "ST", "LT", "UC", "UT", "PN"}
_LATIN_LETTERS = {*range(0xC0, 0x100), *b"\x8a\x8c\x8e\x91\x92\x9a\x9c\x9e\x9f"} - {0xD7, 0xF7}
"""Letters of Latin-1, and the letters and apostrophes that Windows adds to it."""
TEXTS = (
    "PatientName",
    "PatientID",
    "StudyDescription",
    "SeriesDescription",
    "AccessionNumber",
    "StudyID",
    "Manufacturer",
    "BodyPartExamined",
)
"""Body Part Examined is a CS, but consoles with a Chinese surface write Chinese there."""
_OPEN_TO_DOUBT = {"", "ISO_IR 6", "ISO_IR 100", "ISO_IR 192", "GB18030", "GBK"}


@dataclass(frozen=True)
class CharacterSet:
    """The character set of a file: what it declares, what its bytes are, and a sentence where the two differ."""

    declared: tuple[str, ...] = ()
    used: tuple[str, ...] = ()
    note: str = ""


def charset_of(header: Header) -> CharacterSet:
    """The character set of a file, by all of its text values that are looked at."""
    return detect(header.strings("SpecificCharacterSet"), [header.raw(name) for name in TEXTS])


def detect(declared: Sequence[str], values: Iterable[bytes]) -> CharacterSet:
    """Which character set the text values of one file are really in.

    Parameters
    ----------
    declared : sequence of str
        Specific Character Set (0008,0005).
    values : iterable of bytes
        The file's text values as they stand in it.

    Notes
    -----
    Only a declaration that often is false is doubted: none, ISO_IR 6, ISO_IR 100, and, if the bytes do not fit it,
    ISO_IR 192 or GB18030. Latin-1 stays Latin-1 unless some word cannot be a Latin word (see :func:`_is_latin_word`).
    """
    terms = tuple(declared) or ("",)
    first = normal_term(terms[0])
    foreign = [value for value in values if not value.isascii() and b"\x1b" not in value]
    as_declared = CharacterSet(tuple(declared), terms)
    unknown = [term for term in terms if normal_term(term) not in CODECS]
    if unknown:
        as_declared = CharacterSet(
            tuple(declared), terms, f"Specific Character Set '{shown(unknown[0])}' is not known; read as ISO_IR 6"
        )
    if not foreign or first not in _OPEN_TO_DOUBT or len(terms) > 1:
        return as_declared
    looks = _guess(foreign, first)
    if looks == first:
        return as_declared
    said = f"declared as '{terms[0]}'" if terms[0] else "without a declared character set"
    if not looks:
        return CharacterSet(tuple(declared), terms, f"text {said} fits no character set; what cannot be read is marked")
    name = {"GB18030": "GBK/GB18030", "ISO_IR 192": "UTF-8", "ISO_IR 100": "Latin-1"}[looks]
    return CharacterSet(tuple(declared), (looks,), f"text {said} is {name}; read as such")


def decode(raw: bytes, charset: CharacterSet) -> str:
    """One text value as a string; what cannot be decoded becomes U+FFFD, never a wrong letter.

    Code extensions (ISO 2022) are followed; delimiters reset them as PS3.5 6.1.2.5.3 asks.
    """
    terms = charset.used or ("",)
    initial = CODECS.get(normal_term(terms[0]), "ascii")
    text = raw.rstrip(b"\0 ")
    if b"\x1b" not in text:
        if initial == "ascii" and len(terms) > 1 and not text.isascii():
            # Escapes left out: the one further set that is declared is meant.
            initial = CODECS.get(normal_term(terms[1]), "ascii")
        return _decode(text, initial)
    return _decode_extended(text, initial)


def person_name(raw: bytes, charset: CharacterSet) -> str:
    """A PN value: its component groups decoded each, ``Family^Given=ideographic=phonetic`` (PS3.5 6.2)."""
    if b"\x1b" in raw:
        groups = [decode(group, charset) for group in raw.split(b"=")]
    else:
        groups = decode(raw, charset).split("=")
    return "=".join(group.rstrip("^ \0") for group in groups).rstrip("=")


def normal_term(term: str) -> str:
    """A defined term without code extension, common slips mended: 'ISO 2022 IR 58' and 'ISO-IR 58' are 'ISO_IR 58'."""
    term = term.strip().upper()
    number = re.fullmatch(r"ISO[_ -]?(?:2022)?[_ -]?(?:IR)?[_ -]?(\d+)", term)
    if number:
        return f"ISO_IR {number[1]}"
    return {"ISO 2022 GBK": "GBK", "UTF-8": "ISO_IR 192", "UTF8": "ISO_IR 192", "GB2312": "GBK"}.get(term, term)


def _decode(raw: bytes, codec: str) -> str:
    return raw.decode(codec, errors="replace")


def _decode_extended(raw: bytes, initial: str) -> str:
    """Follow the escape sequences of PS3.5 6.1.2.5; G0 is the left half of the code table, G1 the right."""
    out: list[str] = []
    g0, g1 = "ascii", initial
    position = 0
    for match in [*_ESCAPE.finditer(raw), None]:
        piece = raw[position : match.start() if match else len(raw)]
        if g0 in ("jisx0208", "jisx0212"):
            body, rest = _until_delimiter(piece)
            prefix = b"" if g0 == "jisx0208" else b"\x8f"
            pairs = [body[i : i + 2] for i in range(0, len(body), 2)]
            out.append(_decode(b"".join(prefix + bytes(b | 0x80 for b in pair) for pair in pairs), "euc_jp"))
            if rest:
                g0, g1 = "ascii", initial
            piece = rest
        # A delimiter resets G1 to the initial set; what makers leave out of the escapes is read in the set they meant.
        parts = re.split(rb"(?<=[\^=\\\r\n\t\f])", piece)
        for index, part in enumerate(parts):
            if index:
                g1 = g1 if initial == "ascii" else initial
            out.append(_decode(part, g1 if not part.isascii() or g1 == "shift_jis" else "ascii"))
        if match is None:
            break
        code = match[1]
        if code in _G0:
            g0 = _G0[code]
        else:
            g1 = _G1[code]
        position = match.end()
    return "".join(out)


def _until_delimiter(piece: bytes) -> tuple[bytes, bytes]:
    """Two-byte characters up to a control character, and the rest; ``^`` and ``=`` may be halves of a character."""
    for index, byte in enumerate(piece):
        if byte < 0x21 or byte > 0x7E:
            return piece[:index], piece[index:]
    return piece, b""


def _guess(values: list[bytes], declared: str) -> str:
    """The defined term that fits the bytes, ``declared`` if there is no reason to doubt it, or '' if none fits."""
    joined = b"\n".join(values)
    utf_8 = _strictly(joined, "utf_8")
    gbk = _strictly(joined, "gb18030")
    if declared == "ISO_IR 192" and utf_8 is not None:
        return declared
    # Two-byte UTF-8 (Greek, Cyrillic, accents) can be hanzi of GB2312 as well; three-byte UTF-8 cannot by chance.
    if utf_8 is not None and _CJK.search(utf_8):
        return "ISO_IR 192"
    if declared in ("GB18030", "GBK"):
        return declared if gbk is not None else ""
    if utf_8 is not None and not _is_gb2312(joined):
        return "ISO_IR 192"
    words = [word for value in values for word in _WORD.findall(value) if not word.isascii()]
    latin = all(_is_latin_word(word) for word in words)
    if gbk is not None and not latin and _is_chinese(gbk):
        return "GB18030"
    return "ISO_IR 100" if latin else ""


def _is_chinese(text: str) -> bool:
    """Are most characters beyond ASCII hanzi, and half of these among the 6763 that GB2312 has?"""
    beyond = {char for char in text if not char.isascii()}
    hanzi = {char for char in beyond if _HANZI.match(char)}
    common = sum(1 for char in hanzi if _strictly_encodes(char))
    return len(hanzi) * 2 >= len(beyond) and common * 2 >= len(hanzi) > 0


def _strictly_encodes(char: str) -> bool:
    try:
        char.encode("gb2312")
    except UnicodeEncodeError:
        return False
    return True


def _strictly(raw: bytes, codec: str) -> str | None:
    try:
        return raw.decode(codec)
    except UnicodeDecodeError:
        return None


def _is_gb2312(raw: bytes) -> bool:
    """Are all runs of high bytes pairs of GB2312 hanzi, standing free of ASCII letters?"""
    for word in _WORD.findall(raw):
        if word.isascii():
            continue
        if not _RUN.fullmatch(word) or len(word) % 2:
            return False
        if not all(0xB0 <= word[i] <= 0xF7 and word[i + 1] >= 0xA1 for i in range(0, len(word), 2)):
            return False
    return True


def _is_latin_word(word: bytes) -> bool:
    """Could these bytes be a word, or a unit with its sign, in Latin-1?

    Letters with accents stand among plain ones (Müller, Ångström, Þór): at least half as many plain as accented. One
    sign alone (37°C, 5µm, ±2) is no evidence of Chinese either. GB2312 hanzi come as runs of high bytes.
    """
    runs = _RUN.findall(word)
    if max(len(run) for run in runs) == 1:
        return True
    high = b"".join(runs)
    letters = all(byte in _LATIN_LETTERS for byte in high)
    return letters and 2 * (len(word) - len(high)) >= len(high)


def correct(dataset: Dataset, charset: CharacterSet) -> None:
    """Decode a data set's text by ``charset`` in place, and declare a character set that holds it when it is written.

    One defined term without code extensions is kept (GB18030 stays GB18030); everything else is declared ISO_IR 192.
    """
    terms = [normal_term(term) for term in charset.used if term]
    kept = (
        len(charset.used) == 1
        and terms != []
        and terms[0] in CODECS
        and not charset.used[0].upper().startswith("ISO 2022")
    )
    _decode_dataset(dataset, charset, convert_encodings(terms if kept else list(charset.used)))
    if terms:
        dataset.SpecificCharacterSet = terms[0] if kept else "ISO_IR 192"


def _decode_dataset(dataset: Dataset, charset: CharacterSet, encodings: list[str]) -> None:
    implicit, little = dataset.original_encoding
    dataset.set_original_encoding(implicit, little, encodings)
    for tag in list(dataset.keys()):
        item = dataset.get_item(tag)
        if isinstance(item, RawDataElement):
            vr = item.VR or (dictionary_VR(tag) if dictionary_has_tag(tag) else "UN")
            if vr == "SQ":
                item = dataset[tag]
            elif vr in _TEXT_VRS and item.value and (b"\x1b" in item.value or not item.value.isascii()):
                dataset[tag] = DataElement(tag, vr, _values(item.value, vr, charset))
        if item is not None and item.VR == "SQ":
            for nested in item.value or []:
                _decode_dataset(nested, charset, encodings)


def _values(raw: bytes, vr: str, charset: CharacterSet) -> str | list[str]:
    """Values are divided at the backslash after decoding: GBK has it as the second byte of characters."""
    if vr in ("ST", "LT", "UT"):
        return decode(raw, charset)
    if vr == "PN":
        if b"\x1b" in raw:
            values = [person_name(part, charset) for part in raw.split(b"\\")]
        else:
            values = person_name(raw, charset).split("\\")
    else:
        values = [part.strip() for part in decode(raw, charset).split("\\")]
    return values[0] if len(values) == 1 else values
