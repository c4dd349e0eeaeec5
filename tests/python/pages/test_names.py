"""docs/names.md: the table has every real field, key and argument, under the names that the entries read."""

from __future__ import annotations

import dataclasses
import inspect
import re

import pytest
from pages import ROOT

import fire_sampling as fire
from fire_sampling import _native
from fire_sampling.integrations.hot_keys import FIELDS, HotKeys
from fire_sampling.integrations.sglang import requests as sglang
from fire_sampling.integrations.transformers import fire_generate
from fire_sampling.integrations.vllm import requests as vllm

PAGE = (ROOT / "docs/names.md").read_text(encoding="utf-8")
ROWS = [
    [re.findall(r"`(\w+)`", cell) for cell in line.strip("|").split("|")]
    for line in PAGE.splitlines()
    if line.startswith("| ")
][1:]


def column(index: int) -> set[str]:
    return {name for row in ROWS for name in row[index]}


def test_every_field_of_a_config_has_a_row_of_its_own() -> None:
    assert [name for row in ROWS for name in row[0]] == [
        field.name for field in dataclasses.fields(fire.SamplingConfig)
    ]


def members(header: str, struct: str) -> list[str]:
    """The fields of a struct of the C++ API, in their order."""
    text = (ROOT / "csrc/include/fire" / header).read_text()
    body = re.search(rf"^struct {struct} \{{\n(.*?)^\}};", text, re.MULTILINE | re.DOTALL)
    assert body
    return re.findall(r"^  [\w:<>]+ (\w+)(?: = [^;]+)?;", body[1], re.MULTILINE)


def test_every_word_of_a_record_is_named() -> None:
    words = members("config.h", "Record")
    assert column(1) == set(words)
    assert _native.RECORD.names == tuple(words)


def test_the_config_of_cpp_has_the_names_of_pythons() -> None:
    python = [field.name for field in dataclasses.fields(fire.SamplingConfig)]
    assert sorted(members("sampling_config.h", "SamplingConfig")) == sorted(python)


def test_the_arguments_of_generate_are_arguments_of_fire_generate() -> None:
    arguments = {name for name in inspect.signature(fire_generate).parameters if name.startswith("fire_")}
    named = {name for name in column(2) if name.startswith("fire_")}
    assert named <= arguments
    # The others are no settings of a token.
    assert arguments - named == {"fire_carried", "fire_first_row", "fire_streamer", "fire_synced_gpus"}


@pytest.mark.parametrize(("index", "keys"), [(3, vllm.HOT_KEYS), (4, sglang.HOT_KEYS)])
def test_a_key_of_an_engine_stands_beside_the_field_that_it_sets(index: int, keys: HotKeys) -> None:
    rows = {row[index][0]: row[0][0] for row in ROWS if row[0] and row[index] and row[index][0] in FIELDS}
    assert rows == FIELDS
    assert {name for name in column(index) if name.startswith("fire_")} == set(keys.names)
