from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gaitkeeper.gallery.errors import BadCollection, BadSubject
from gaitkeeper.gallery.names import check_collection, check_display_name, check_metadata, check_subject, known_subject


@pytest.mark.parametrize(
    "subject", ["alice", "Zoë Müller", "李小龍", "a", "x" * 128, "a.b-c_d@e:f", "...", "0", "علی رضا", "\u00e9a"]
)
def test_good_subjects_stay_as_they_are(subject):
    assert check_subject(subject) == subject


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "x" * 129,
        "a/b",
        "a\\b",
        "a\nb",
        "a\x00b",
        "\x7f",
        " alice",
        "alice ",
        "\u3000",
        ".",
        "..",
        "a\u2028b",
        "\ud800",
        "\x85a",
    ],
)
def test_bad_subjects(subject):
    for check in (check_subject, known_subject):
        with pytest.raises(BadSubject) as caught:
            check(subject)
        assert caught.value.code == "bad_subject"


@pytest.mark.parametrize(
    "number",
    [
        0xAD, 0x34F, 0x61C, 0x115F, 0x180E, 0x200B, 0x200C, 0x200D, 0x200E, 0x202A, 0x202E, 0x2060, 0x2066, 0x2069,
        0x206F, 0x3164, 0xFE0F, 0xFEFF, 0xFFA0, 0xFFF9, 0xE0001, 0xE0041, 0xE01EF,
    ],
)  # fmt: skip
def test_what_is_not_seen_or_turns_the_writing_is_in_no_new_id(number):
    subject = f"al{chr(number)}ice"
    with pytest.raises(BadSubject, match=f"U\\+{number:04X}"):
        check_subject(subject)
    assert known_subject(subject) == subject  # but whoever was enrolled under it before is found


def test_a_display_name_keeps_what_its_language_needs_and_overrides_no_direction():
    check_display_name("علی‌رضا")
    for number in (*range(0x202A, 0x202F), *range(0x2066, 0x206A)):
        with pytest.raises(BadSubject, match="direction"):
            check_display_name(f"al{chr(number)}ice")


@given(st.text(max_size=140))
def test_a_subject_that_passes_is_storable_and_stable(text):
    try:
        subject = check_subject(text)
    except BadSubject:
        return
    assert check_subject(subject) == subject == unicodedata.normalize("NFC", text)
    assert subject.encode().decode() == subject
    assert 1 <= len(subject) <= 128
    assert not any(unicodedata.category(c) == "Cc" or c in "/\\" for c in subject)


def test_two_ways_of_typing_a_name_are_one_subject():
    assert check_subject("Zoe\u0308") == check_subject("Zo\u00eb")


@pytest.mark.parametrize("name", ["default", "hall-2", "A.b_c", "x" * 64, "_private"])
def test_good_collections(name):
    assert check_collection(name) == name


@pytest.mark.parametrize("name", ["", ".", "..", "-x", "a b", "a/b", "x" * 65, "é", "a\n", "{tag}"])
def test_bad_collections(name):
    with pytest.raises(BadCollection):
        check_collection(name)


def test_display_names():
    for name in (None, "Alice", "x" * 256):
        check_display_name(name)
    for name in ("", "x" * 257, "a\nb"):
        with pytest.raises(BadSubject):
            check_display_name(name)


def test_metadata():
    for metadata in (None, {}, {"team": "red", "note": "line\nline"}):
        check_metadata(metadata)
    for metadata in (
        {"": "x"},
        {"k" * 65: "x"},
        {"k": "x" * 1025},
        {"a\n": "x"},
        {"k": "\ud800"},
        {str(i): "" for i in range(65)},
    ):
        with pytest.raises(BadSubject):
            check_metadata(metadata)
