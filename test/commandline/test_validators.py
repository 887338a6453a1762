import pytest

from onmt.commandline import declare


@pytest.fixture
def model(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"x")
    return tmp_path / "model"


def test_numbers():
    assert declare.at_least(1)(1) is None
    assert declare.at_least(1)(0) == "the integer must be at least 1"
    assert declare.at_least(0.5)((1.0, 0.4)) == "the number must be at least 0.5"
    assert declare.between(0, 1)(1.0) is None
    assert declare.between(0, 1)(-0.1) == "the number must be between 0 and 1"


def test_emptiness():
    assert declare.not_empty("") == declare.not_empty(()) == "the argument must not be empty"
    assert declare.not_empty("a") is declare.not_empty(("",)) is None


def test_files(model):
    there, folder, missing = f"{model}.pt", str(model.parent), f"{model}.txt"
    assert declare.existing_file(there) is declare.existing_file("-") is None
    assert declare.existing_file((there, missing)) == f"the file must exist, but there is no '{missing}'"
    assert declare.existing_file(folder) == f"it must be a file, but '{folder}' is a folder"
    assert declare.existing_file("") == "the file must exist, but its name is empty"
    assert declare.existing_file_or_empty("") is None
    assert declare.existing_file_or_empty(missing) is not None
    assert declare.existing_folder_or_empty(folder) is declare.existing_folder_or_empty("") is None
    assert (
        declare.existing_folder_or_empty(there) == f"the folder must exist, but there is no folder '{there}'"
    )


def test_models_by_the_name_the_original_gave_them(model):
    assert declare.existing_model(f"{model}.t7") is None
    assert declare.existing_model(f"{model}.pt") is None
    assert declare.existing_model(f"{model}_2.t7") is not None
    assert declare.existing_model_or_empty("") is None
