"""Tasks of lm-evaluation-harness in a folder, over documents of three tokens, as a user writes them."""

from __future__ import annotations

import json
from pathlib import Path

# Digits that the tiny model writes now and then.
ANSWERS = {"aaa!7": "5", "bbb!4": "7", "ccc!1": "6", "ddd!9": "7"}
STOPS = list("ABCDEFGHIJ")

_TASK = """
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {folder}/documents.jsonl
test_split: test
output_type: {type}
doc_to_text: "{{{{question}}}}"
doc_to_target: {target}
{more}
"""
_GENERATES = """
generation_kwargs:
  until: {stops}
filter_list:
  - name: last
    filter:
      - function: regex
        regex_pattern: "([0-9])"
        group_select: -1
      - function: take_first
  - name: first
    filter:
      - function: regex
        regex_pattern: "([0-9])"
      - function: take_first
metric_list:
  - metric: exact_match
"""
_REPEATED = """
repeats: 6
generation_kwargs:
  until: {stops}
filter_list:
  - name: all
    filter:
      - function: custom
        filter_fn: !function keep_all.keep_all
metric_list:
  - metric: !function keep_all.count
    aggregation: mean
    higher_is_better: true
"""
_KEEP_ALL = """
def keep_all(resps, docs):
    return [list(answers) for answers in resps]


def count(references, predictions):
    return {"answers": len(predictions[0]), "right": sum(references[0] in text for text in predictions[0])}
"""


def write(folder: Path) -> Path:
    """`digits` and `repeated`, which generate, and `ranked`, which does not; the folder."""
    documents = [{"question": question, "answer": answer} for question, answer in ANSWERS.items()]
    (folder / "documents.jsonl").write_text("".join(json.dumps(one) + "\n" for one in documents))
    more = _GENERATES.format(stops=json.dumps(STOPS))
    digits = {"type": "generate_until", "target": '"{{answer}}"', "more": more}
    (folder / "digits.yaml").write_text(_TASK.format(name="digits", folder=folder, **digits))
    more = 'doc_to_choice: ["7", "4"]\nmetric_list:\n  - metric: acc\n'
    ranked = {"type": "multiple_choice", "target": "0", "more": more}
    (folder / "ranked.yaml").write_text(_TASK.format(name="ranked", folder=folder, **ranked))
    (folder / "keep_all.py").write_text(_KEEP_ALL)
    more = _REPEATED.format(stops=json.dumps(STOPS))
    repeated = {"type": "generate_until", "target": '"{{answer}}"', "more": more}
    (folder / "repeated.yaml").write_text(_TASK.format(name="repeated", folder=folder, **repeated))
    return folder
