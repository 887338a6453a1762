"""List options of all scripts: white space around an element is removed, wherever the list is given."""

from hypothesis import given, settings
from hypothesis import strategies as st

from onmt.commandline.argv import read_arguments
from onmt.commandline.config_file import entry_words, read_entries
from onmt.commandline.document import scripts
from onmt.commandline.schema import Kind, declared_options
from onmt.commandline.values import convert

LISTS = sorted(
    {
        (script.name, option.flag, option)
        for script in scripts()
        for option in declared_options(script.choose({}))
        if option.is_list
    },
    key=lambda row: row[:2],
)
SPACE = st.text(" \t\n\r\v\f", max_size=3)
SEPARATOR = st.builds("{}{}{}".format, SPACE, st.sampled_from([",", ",,", ", ,"]), SPACE)


def elements_of(option):
    if option.accepted:
        return st.sampled_from(option.accepted)
    if option.kind is Kind.STRING:
        return st.sampled_from(["a.yml", "./b.yml", "two words", "ä\u00a0é"])
    return st.sampled_from(["1", "0x10", "2e3"])


def test_there_are_lists_of_names_scripts_and_numbers():
    assert {(option.kind, bool(option.accepted)) for _, _, option in LISTS} >= {
        (Kind.STRING, False),
        (Kind.STRING, True),
        (Kind.INTEGER, False),
    }


@settings(max_examples=100, deadline=None)
@given(row=st.sampled_from(LISTS), data=st.data())
def test_white_space_is_not_part_of_an_element(row, data):
    _, flag, option = row
    elements = data.draw(st.lists(elements_of(option), min_size=1, max_size=3))
    plain = convert(option, elements)
    separators = data.draw(st.lists(SEPARATOR, min_size=len(elements) + 1, max_size=len(elements) + 1))
    text = "".join(f"{separator}{element}" for separator, element in zip(separators, elements, strict=False))
    words = text + separators[-1]
    argvs = [[f"-{flag}", words], [f"--{flag}", *words.split(",")]]
    if option.info.whole:  # its words may contain commas
        argvs = [[f"-{flag}", *map("\t{}\n ".format, elements)]]
    for argv in argvs:
        assert convert(option, read_arguments(argv, {flag: option})[flag]) == plain
    quoted = [element if " " not in element else f'"{element}"' for element in elements]
    in_a_line = separators[0].translate({10: " "}).join(quoted)
    for line in (in_a_line, ",".join(f'"  {element}\\n"' for element in elements)):
        [entry] = read_entries("c", f"{flag} = {line}".encode())
        assert convert(option, entry_words(entry, option)) == plain


def test_quotes_in_a_file_keep_commas_of_names_only():
    options = {flag: option for _, flag, option in LISTS}
    for flag, text, words in (
        ("segment_alphabet", '"Han, Latin"', ("Han", "Latin")),
        ("src_vocab_size", '"5, 3"', ("5", "3")),
        ("config_paths", '" a,b.yml "', ("a,b.yml",)),
    ):
        [entry] = read_entries("c", f"{flag} = {text}".encode())
        assert entry_words(entry, options[flag]) == words


def test_words_that_may_contain_commas_are_not_divided_at_them():
    whole = {(name, flag) for name, flag, option in LISTS if option.info.whole}
    assert whole >= {("translate.py", "model"), ("translate.py", "ignore_when_blocking")}
    for _, flag, option in LISTS:
        if option.info.whole:
            words = ("a,b.pt", ",", "two words")
            assert read_arguments([f"-{flag}", *words], {flag: option})[flag] == words
