"""Records of families: read when they are asked for, as they were written."""

import json

import pytest

from rnagpt.reference import InvalidReferenceError
from rnagpt.reference.records import FAMILY, Record, RecordsById


def record(identifier: str) -> Record:
    return Record(identifier, FAMILY, f"name of {identifier}", functions=("It acts.",))


@pytest.mark.parametrize("spelled", ["RF00005", 'a"b', "a\\b", "ä", "with space"])
def test_records_are_found_by_their_ids_in_order(spelled: str) -> None:
    written = [record("RF00001"), record(spelled), record("RF00009")]
    records = RecordsById(one.to_json() + "\n" for one in written)
    assert list(records) == [one.id for one in written]
    assert [*records.values()] == written
    assert records[spelled] is records[spelled]
    assert "RF99999" not in records


def test_other_spellings_of_json_are_read() -> None:
    line = json.dumps({"kind": FAMILY, "name": "x", "id": "RF00001"}, indent=None)
    assert RecordsById([line])["RF00001"].name == "x"


def test_a_broken_line_is_named() -> None:
    with pytest.raises(InvalidReferenceError, match="No record of a reference"):
        RecordsById(["{"])
    with pytest.raises(InvalidReferenceError, match="No record of a reference"):
        RecordsById(['{"id": "RF00001"'])["RF00001"]
