"""Classes of characters (letters, numbers, marks, separators) and scripts.

The tables are those of the original's tokenizer (tools/utils/unidata.lua): categories of Unicode 9.0, up to
U+10000. They are frozen because Python's `unicodedata` changes with its releases, and the same text must give
the same tokens everywhere.

Notation: hexadecimal code points and inclusive ranges; `100-136/2` is every second code point of a range.
"""

from bisect import bisect_right
from collections.abc import Mapping
from enum import IntEnum
from functools import cache
from typing import Final

_SEPARATOR: Final = """
    20 A0 1680 2000-200A 2028-2029 202F 205F 3000
"""

_NUMBER: Final = """
    30-39 B2-B3 B9 BC-BE 660-669 6F0-6F9 7C0-7C9 966-96F 9E6-9EF 9F4-9F9 A66-A6F AE6-AEF B66-B6F B72-B77
    BE6-BF2 C66-C6F C78-C7E CE6-CEF D58-D5E D66-D78 DE6-DEF E50-E59 ED0-ED9 F20-F33 1040-1049 1090-1099
    1369-137C 16EE-16F0 17E0-17E9 17F0-17F9 1810-1819 1946-194F 19D0-19DA 1A80-1A89 1A90-1A99 1B50-1B59
    1BB0-1BB9 1C40-1C49 1C50-1C59 2070 2074-2079 2080-2089 2150-2182 2185-2189 2460-249B 24EA-24FF 2776-2793
    2CFD 3007 3021-3029 3038-303A 3192-3195 3220-3229 3248-324F 3251-325F 3280-3289 32B1-32BF A620-A629
    A6E6-A6EF A830-A835 A8D0-A8D9 A900-A909 A9D0-A9D9 A9F0-A9F9 AA50-AA59 ABF0-ABF9 FF10-FF19
"""

_MARK: Final = """
    300-36F 483-489 591-5BD 5BF 5C1-5C2 5C4-5C5 5C7 610-61A 64B-65F 670 6D6-6DC 6DF-6E4 6E7-6E8 6EA-6ED 711
    730-74A 7A6-7B0 7EB-7F3 816-819 81B-823 825-827 829-82D 859-85B 8D4-8E1 8E3-903 93A-93C 93E-94F 951-957
    962-963 981-983 9BC 9BE-9C4 9C7-9C8 9CB-9CD 9D7 9E2-9E3 A01-A03 A3C A3E-A42 A47-A48 A4B-A4D A51 A70-A71
    A75 A81-A83 ABC ABE-AC5 AC7-AC9 ACB-ACD AE2-AE3 B01-B03 B3C B3E-B44 B47-B48 B4B-B4D B56-B57 B62-B63 B82
    BBE-BC2 BC6-BC8 BCA-BCD BD7 C00-C03 C3E-C44 C46-C48 C4A-C4D C55-C56 C62-C63 C81-C83 CBC CBE-CC4 CC6-CC8
    CCA-CCD CD5-CD6 CE2-CE3 D01-D03 D3E-D44 D46-D48 D4A-D4D D57 D62-D63 D82-D83 DCA DCF-DD4 DD6 DD8-DDF
    DF2-DF3 E31 E34-E3A E47-E4E EB1 EB4-EB9 EBB-EBC EC8-ECD F18-F19 F35-F39/2 F3E-F3F F71-F84 F86-F87
    F8D-F97 F99-FBC FC6 102B-103E 1056-1059 105E-1060 1062-1064 1067-106D 1071-1074 1082-108D 108F 109A-109D
    135D-135F 1712-1714 1732-1734 1752-1753 1772-1773 17B4-17D3 17DD 180B-180D 1885-1886 18A9 1920-192B
    1930-193B 1A17-1A1B 1A55-1A5E 1A60-1A7C 1A7F 1AB0-1ABE 1B00-1B04 1B34-1B44 1B6B-1B73 1B80-1B82 1BA1-1BAD
    1BE6-1BF3 1C24-1C37 1CD0-1CD2 1CD4-1CE8 1CED 1CF2-1CF4 1CF8-1CF9 1DC0-1DF5 1DFB-1DFF 20D0-20F0 2CEF-2CF1
    2D7F 2DE0-2DFF 302A-302F 3099-309A A66F-A672 A674-A67D A69E-A69F A6F0-A6F1 A802 A806 A80B A823-A827
    A880-A881 A8B4-A8C5 A8E0-A8F1 A926-A92D A947-A953 A980-A983 A9B3-A9C0 A9E5 AA29-AA36 AA43 AA4C-AA4D
    AA7B-AA7D AAB0 AAB2-AAB4 AAB7-AAB8 AABE-AABF AAC1 AAEB-AAEF AAF5-AAF6 ABE3-ABEA ABEC-ABED FB1E FE00-FE0F
    FE20-FE2F
"""

_UPPERCASE: Final = """
    41-5A C0-D6 D8-DE 100-136/2 139-147/2 14A-176/2 178-179 17B 17D 181-182 184 186-187 189-18B 18E-191
    193-194 196-198 19C-19D 19F-1A0 1A2 1A4 1A6-1A7 1A9 1AC 1AE-1AF 1B1-1B3 1B5 1B7-1B8 1BC 1C4 1C7 1CA
    1CD-1DB/2 1DE-1EE/2 1F1 1F4 1F6-1F8 1FA-232/2 23A-23B 23D-23E 241 243-246 248-24E/2 370 372 376 37F 386
    388-38A 38C 38E-38F 391-3A1 3A3-3AB 3CF 3D2-3D4 3D8-3EE/2 3F4 3F7 3F9-3FA 3FD-42F 460-480/2 48A-4BE/2
    4C0-4C1 4C3-4CD/2 4D0-52E/2 531-556 10A0-10C5 10C7 10CD 13A0-13F5 1E00-1E94/2 1E9E-1EFE/2 1F08-1F0F
    1F18-1F1D 1F28-1F2F 1F38-1F3F 1F48-1F4D 1F59-1F5F/2 1F68-1F6F 1FB8-1FBB 1FC8-1FCB 1FD8-1FDB 1FE8-1FEC
    1FF8-1FFB 2102 2107 210B-210D 2110-2112 2115 2119-211D 2124-2128/2 212A-212D 2130-2133 213E-213F 2145
    2183 2C00-2C2E 2C60 2C62-2C64 2C67-2C6B/2 2C6D-2C70 2C72 2C75 2C7E-2C80 2C82-2CE2/2 2CEB 2CED 2CF2
    A640-A66C/2 A680-A69A/2 A722-A72E/2 A732-A76E/2 A779 A77B A77D-A77E A780-A786/2 A78B A78D A790 A792
    A796-A7A8/2 A7AA-A7AE A7B0-A7B4 A7B6 FF21-FF3A
"""

_LOWERCASE: Final = """
    61-7A B5 DF-F6 F8-FF 101-135/2 137-138 13A-146/2 148-149 14B-177/2 17A 17C 17E-180 183 185 188 18C-18D
    192 195 199-19B 19E 1A1-1A5/2 1A8 1AA-1AB 1AD 1B0 1B4 1B6 1B9-1BA 1BD-1BF 1C6 1C9 1CC-1DA/2 1DC-1DD
    1DF-1ED/2 1EF-1F0 1F3 1F5 1F9-231/2 233-239 23C 23F-240 242 247-24D/2 24F-293 295-2AF 371 373 377
    37B-37D 390 3AC-3CE 3D0-3D1 3D5-3D7 3D9-3ED/2 3EF-3F3 3F5 3F8 3FB-3FC 430-45F 461-481/2 48B-4BF/2
    4C2-4CC/2 4CE-4CF 4D1-52F/2 561-587 13F8-13FD 1C80-1C88 1D00-1D2B 1D6B-1D77 1D79-1D9A 1E01-1E93/2
    1E95-1E9D 1E9F-1EFD/2 1EFF-1F07 1F10-1F15 1F20-1F27 1F30-1F37 1F40-1F45 1F50-1F57 1F60-1F67 1F70-1F7D
    1F80-1F87 1F90-1F97 1FA0-1FA7 1FB0-1FB4 1FB6-1FB7 1FBE 1FC2-1FC4 1FC6-1FC7 1FD0-1FD3 1FD6-1FD7 1FE0-1FE7
    1FF2-1FF4 1FF6-1FF7 210A 210E-210F 2113 212F 2134 2139 213C-213D 2146-2149 214E 2184 2C30-2C5E 2C61
    2C65-2C66 2C68-2C6C/2 2C71 2C73-2C74 2C76-2C7B 2C81-2CE1/2 2CE3-2CE4 2CEC 2CEE 2CF3 2D00-2D25 2D27 2D2D
    A641-A66D/2 A681-A69B/2 A723-A72D/2 A72F-A731 A733-A76F/2 A771-A778 A77A A77C A77F-A787/2 A78C A78E A791
    A793-A795 A797-A7A9/2 A7B5 A7B7 A7FA AB30-AB5A AB60-AB65 AB70-ABBF FB00-FB06 FB13-FB17 FF41-FF5A
"""

_OTHER_LETTER: Final = """
    AA BA 1BB 1C0-1C3 1C5 1C8 1CB 1F2 294 2B0-2C1 2C6-2D1 2E0-2E4 2EC 2EE 374 37A 559 5D0-5EA 5F0-5F2
    620-64A 66E-66F 671-6D3 6D5 6E5-6E6 6EE-6EF 6FA-6FC 6FF 710 712-72F 74D-7A5 7B1 7CA-7EA 7F4-7F5 7FA
    800-815 81A 824 828 840-858 8A0-8B4 8B6-8BD 904-939 93D 950 958-961 971-980 985-98C 98F-990 993-9A8
    9AA-9B0 9B2 9B6-9B9 9BD 9CE 9DC-9DD 9DF-9E1 9F0-9F1 A05-A0A A0F-A10 A13-A28 A2A-A30 A32-A33 A35-A36
    A38-A39 A59-A5C A5E A72-A74 A85-A8D A8F-A91 A93-AA8 AAA-AB0 AB2-AB3 AB5-AB9 ABD AD0 AE0-AE1 AF9 B05-B0C
    B0F-B10 B13-B28 B2A-B30 B32-B33 B35-B39 B3D B5C-B5D B5F-B61 B71 B83 B85-B8A B8E-B90 B92-B95 B99-B9A B9C
    B9E-B9F BA3-BA4 BA8-BAA BAE-BB9 BD0 C05-C0C C0E-C10 C12-C28 C2A-C39 C3D C58-C5A C60-C61 C80 C85-C8C
    C8E-C90 C92-CA8 CAA-CB3 CB5-CB9 CBD CDE CE0-CE1 CF1-CF2 D05-D0C D0E-D10 D12-D3A D3D D4E D54-D56 D5F-D61
    D7A-D7F D85-D96 D9A-DB1 DB3-DBB DBD DC0-DC6 E01-E30 E32-E33 E40-E46 E81-E82 E84 E87-E88 E8A E8D E94-E97
    E99-E9F EA1-EA3 EA5 EA7 EAA-EAB EAD-EB0 EB2-EB3 EBD EC0-EC4 EC6 EDC-EDF F00 F40-F47 F49-F6C F88-F8C
    1000-102A 103F 1050-1055 105A-105D 1061 1065-1066 106E-1070 1075-1081 108E 10D0-10FA 10FC-1248 124A-124D
    1250-1256 1258 125A-125D 1260-1288 128A-128D 1290-12B0 12B2-12B5 12B8-12BE 12C0 12C2-12C5 12C8-12D6
    12D8-1310 1312-1315 1318-135A 1380-138F 1401-166C 166F-167F 1681-169A 16A0-16EA 16F1-16F8 1700-170C
    170E-1711 1720-1731 1740-1751 1760-176C 176E-1770 1780-17B3 17D7 17DC 1820-1877 1880-1884 1887-18A8 18AA
    18B0-18F5 1900-191E 1950-196D 1970-1974 1980-19AB 19B0-19C9 1A00-1A16 1A20-1A54 1AA7 1B05-1B33 1B45-1B4B
    1B83-1BA0 1BAE-1BAF 1BBA-1BE5 1C00-1C23 1C4D-1C4F 1C5A-1C7D 1CE9-1CEC 1CEE-1CF1 1CF5-1CF6 1D2C-1D6A 1D78
    1D9B-1DBF 1F88-1F8F 1F98-1F9F 1FA8-1FAF 1FBC 1FCC 1FFC 2071 207F 2090-209C 2135-2138 2C7C-2C7D 2D30-2D67
    2D6F 2D80-2D96 2DA0-2DA6 2DA8-2DAE 2DB0-2DB6 2DB8-2DBE 2DC0-2DC6 2DC8-2DCE 2DD0-2DD6 2DD8-2DDE 2E2F
    3005-3006 3031-3035 303B-303C 3041-3096 309D-309F 30A1-30FA 30FC-30FF 3105-312D 3131-318E 31A0-31BA
    31F0-31FF 3400 4DB5 4E00-9FD5 A000-A48C A4D0-A4FD A500-A60C A610-A61F A62A-A62B A66E A67F A69C-A69D
    A6A0-A6E5 A717-A71F A770 A788 A78F A7F7-A7F9 A7FB-A801 A803-A805 A807-A80A A80C-A822 A840-A873 A882-A8B3
    A8F2-A8F7 A8FB A8FD A90A-A925 A930-A946 A960-A97C A984-A9B2 A9CF A9E0-A9E4 A9E6-A9EF A9FA-A9FE AA00-AA28
    AA40-AA42 AA44-AA4B AA60-AA76 AA7A AA7E-AAAF AAB1 AAB5-AAB6 AAB9-AABD AAC0 AAC2 AADB-AADD AAE0-AAEA
    AAF2-AAF4 AB01-AB06 AB09-AB0E AB11-AB16 AB20-AB26 AB28-AB2E AB5C-AB5F ABC0-ABE2 AC00-D7A3 D7B0-D7C6
    D7CB-D7FB F900-FA6D FA70-FAD9 FB1D FB1F-FB28 FB2A-FB36 FB38-FB3C FB3E FB40-FB41 FB43-FB44 FB46-FBB1
    FBD3-FD3D FD50-FD8F FD92-FDC7 FDF0-FDFB FE70-FE74 FE76-FEFC FF66-FFBE FFC2-FFC7 FFCA-FFCF FFD2-FFD7
    FFDA-FFDC 10000
"""


class CharacterClass(IntEnum):
    """The classes of characters that the tokenizer distinguishes."""

    OTHER = 0
    SEPARATOR = 1
    NUMBER = 2
    LOWERCASE = 3
    UPPERCASE = 4
    LETTER = 5  # a letter without case
    MARK = 6  # a combining mark: treated like the character before it
    DROPPED = 7  # control characters and the byte order mark: never part of a token


Ranges = tuple[tuple[int, int, int], ...]  # first, last, step


def _parse_ranges(table: str) -> Ranges:
    ranges = []
    for entry in table.split():
        span, _, step = entry.partition("/")
        first, _, last = span.partition("-")
        ranges.append((int(first, 16), int(last or first, 16), int(step or 1)))
    return tuple(ranges)


_TABLES: Final[Mapping[CharacterClass, Ranges]] = {
    CharacterClass.SEPARATOR: _parse_ranges(_SEPARATOR),
    CharacterClass.MARK: _parse_ranges(_MARK),
    CharacterClass.LOWERCASE: _parse_ranges(_LOWERCASE),
    CharacterClass.UPPERCASE: _parse_ranges(_UPPERCASE),
    CharacterClass.LETTER: _parse_ranges(_OTHER_LETTER),
    CharacterClass.NUMBER: _parse_ranges(_NUMBER),
}

# Blocks in which every code point counts as a letter, assigned or not.
_LETTER_BLOCKS: Final = (
    (0x1100, 0x11FF),  # Hangul letters
    (0x2E80, 0x2EFF),  # radicals of Han characters
    (0x2F00, 0x2FD5),  # Kangxi radicals
    (0x3040, 0x319F),  # Hiragana, Katakana, Bopomofo, compatibility Hangul, Kanbun
    (0x4E00, 0x9FD5),  # Han characters
    (0xAC00, 0xD7AF),  # Hangul syllables
)

_BYTE_ORDER_MARK: Final = 0xFEFF


def _in_ranges(code_point: int, ranges: Ranges) -> bool:
    place = bisect_right(ranges, (code_point, 0x110000, 0)) - 1
    if place < 0:
        return False
    first, last, step = ranges[place]
    return code_point <= last and (code_point - first) % step == 0


def _in_letter_block(code_point: int) -> bool:
    return any(first <= code_point <= last for first, last in _LETTER_BLOCKS)


@cache
def character_class(character: str) -> CharacterClass:
    """Return the class of a character."""
    code_point = ord(character)
    if 9 <= code_point <= 13:
        return CharacterClass.SEPARATOR
    for name in (CharacterClass.SEPARATOR, CharacterClass.MARK):
        if _in_ranges(code_point, _TABLES[name]):
            return name
    if code_point < 32 or code_point == _BYTE_ORDER_MARK:
        return CharacterClass.DROPPED
    if _in_letter_block(code_point):
        return CharacterClass.LETTER
    for name in (
        CharacterClass.LOWERCASE,
        CharacterClass.UPPERCASE,
        CharacterClass.LETTER,
        CharacterClass.NUMBER,
    ):
        if _in_ranges(code_point, _TABLES[name]):
            return name
    return CharacterClass.OTHER


@cache
def is_letter(character: str) -> bool:
    """Return whether a character on its own is a letter; two Kana marks count as letters and as marks."""
    found = character_class(character)
    if found is CharacterClass.MARK:
        return _in_letter_block(ord(character))
    return CharacterClass.LOWERCASE <= found <= CharacterClass.LETTER


def is_letter_or_number(character: str) -> bool:
    """Return whether a character on its own is a letter or a number."""
    return is_letter(character) or character_class(character) is CharacterClass.NUMBER


def separators() -> str:
    """Return all characters that separate tokens."""
    spans = (*_TABLES[CharacterClass.SEPARATOR], (9, 13, 1))
    return "".join(chr(code) for first, last, step in spans for code in range(first, last + 1, step))


@cache
def to_lower(character: str) -> str:
    """Return the lowercase form of a letter, always one character (İ gives i); others stay as they are."""
    return character.lower()[0] if is_letter(character) else character


@cache
def to_upper(character: str) -> str:
    """Return the character whose lowercase form this is, or the character itself if there is none.

    Of several such characters, the one with the smallest code point is returned.
    """
    return _uppercase_forms().get(character, character)


@cache
def _uppercase_forms() -> Mapping[str, str]:
    forms: dict[str, str] = {}
    for name in (
        CharacterClass.UPPERCASE,
        CharacterClass.LETTER,
    ):  # title case counts as a letter without case
        for first, last, step in _TABLES[name]:
            for code_point in range(first, last + 1, step):
                upper = chr(code_point)
                lower = to_lower(upper)
                if lower != upper and upper < forms.get(lower, "\U0010ffff"):
                    forms[lower] = upper
    return forms


# Blocks of each script that `-segment_alphabet` knows (tools/utils/alphabets.lua).
_SCRIPT_BLOCKS: Final[Mapping[str, tuple[tuple[int, int], ...]]] = {
    "Arabic": ((0x0600, 0x06FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFF)),
    "Armenian": ((0x0530, 0x058F),),
    "Bengali": ((0x0980, 0x09FF),),
    "Bopomofo": ((0x3100, 0x312F), (0x31A0, 0x31BF)),
    "Braille": ((0x2800, 0x28FF),),
    "Buhid": ((0x1740, 0x175F),),
    "Cherokee": ((0x13A0, 0x13FF),),
    "Cyrillic": ((0x0400, 0x052F),),
    "Devanagari": ((0x0900, 0x097F),),
    "Ethiopic": ((0x1200, 0x137F),),
    "Georgian": ((0x10A0, 0x10FF),),
    "Greek": ((0x0370, 0x03FF),),
    "Gujarati": ((0x0A80, 0x0AFF),),
    "Gurmukhi": ((0x0A00, 0x0A7F),),
    "Han": (
        (0x2E80, 0x2EFF),
        (0x3200, 0x33FF),
        (0x3400, 0x4DBF),
        (0x4E00, 0x9FFF),
        (0xF900, 0xFAFF),
        (0xFE30, 0xFE4F),
    ),
    "Hangul": ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7AF)),
    "Hanunoo": ((0x1720, 0x173F),),
    "Hebrew": ((0x0590, 0x05FF),),
    "Hiragana": ((0x3040, 0x309F),),
    "Kanbun": ((0x3190, 0x319F),),
    "Kangxi": ((0x2F00, 0x2FDF),),
    "Kannada": ((0x0C80, 0x0CFF),),
    "Katakana": ((0x30A0, 0x30FF), (0x31F0, 0x31FF)),
    "Khmer": ((0x1780, 0x17FF),),
    "Lao": ((0x0E80, 0x0EFF),),
    "Latin": ((0x0020, 0x007F), (0x00A0, 0x024F)),
    "Limbu": ((0x1900, 0x194F),),
    "Malayalam": ((0x0D00, 0x0D7F),),
    "Mongolian": ((0x1800, 0x18AF),),
    "Myanmar": ((0x1000, 0x109F),),
    "Ogham": ((0x1680, 0x169F),),
    "Oriya": ((0x0B00, 0x0B7F),),
    "Sinhala": ((0x0D80, 0x0DFF),),
    "Syriac": ((0x0700, 0x074F),),
    "Tagalog": ((0x1700, 0x171F),),
    "Tagbanwa": ((0x1760, 0x177F),),
    "Tamil": ((0x0B80, 0x0BFF),),
    "Telugu": ((0x0C00, 0x0C7F),),
    "Thaana": ((0x0780, 0x07BF),),
    "Thai": ((0x0E00, 0x0E7F),),
    "Tibetan": ((0x0F00, 0x0FFF),),
    "Yi": ((0xA000, 0xA4CF),),
}

SCRIPTS: Final = tuple(_SCRIPT_BLOCKS)

_SCRIPT_STARTS: Final = sorted(
    (first, last, script) for script, blocks in _SCRIPT_BLOCKS.items() for first, last in blocks
)


@cache
def script_of(character: str) -> str | None:
    """Return the script of a letter; None outside the blocks of `SCRIPTS` and for other characters."""
    place = bisect_right(_SCRIPT_STARTS, (ord(character), 0x110000, "")) - 1
    if not is_letter(character) or place < 0:
        return None
    first, last, script = _SCRIPT_STARTS[place]
    return script if first <= ord(character) <= last else None
