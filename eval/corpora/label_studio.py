"""Label Studio's exports: tasks with annotations (JSON), and rows of one annotation each (JSON_MIN)."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import msgspec

from ...core.errors import CorpusError
from .defects import Defects
from .sentences import Mention, Sentence, from_text

REGIONS = ("labels", "hypertextlabels")
MIN_KEYS = ("annotation_id", "annotator", "lead_time", "created_at", "updated_at")


class _Offsets(msgspec.Struct):
    start: int
    end: int


class _Value(msgspec.Struct):
    start: int | str
    end: int | str
    labels: list[str] = []
    hypertextlabels: list[str] = []
    text: str | None = None
    globalOffsets: _Offsets | None = None  # noqa: N815  # as the export spells it


class _Result(msgspec.Struct):
    type: str = ""
    value: dict[str, Any] = {}


class _Annotation(msgspec.Struct):
    result: list[_Result] = []
    was_cancelled: bool = False


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)


def is_task(row: Any) -> bool:
    """Whether a row is a task with annotations."""
    return isinstance(row, dict) and isinstance(row.get("data"), dict)


def is_min(row: Any) -> bool:
    """Whether a row is one of JSON_MIN."""
    return isinstance(row, dict) and sum(key in row for key in MIN_KEYS) >= 2


def read(row: Any, line: int, defects: Defects) -> Sentence | None:
    """The sentence of a task or of a row of JSON_MIN; None if it is not labelled."""
    return _task(row, line, defects) if is_task(row) else _row(row, line, defects)


def _task(row: Any, line: int, defects: Defects) -> Sentence | None:
    given = row.get("annotations", row.get("completions"))  # completions: before Label Studio 1.0
    annotations = msgspec.convert(given or [], list[_Annotation])
    done = [annotation for annotation in annotations if not annotation.was_cancelled]
    if not done:
        defects.add("unlabelled", line, "no annotation, or all were cancelled")
        return None
    if len(done) > 1:
        defects.add("several-annotations", line, f"{len(done)} annotations")
    kinds = {result.type for result in done[0].result}
    if other := sorted(kind for kind in kinds if kind.endswith("labels") and kind not in REGIONS):
        raise CorpusError(
            f"{defects.where}:{line}: regions of the kind '{other[0]}' are not read",
            "export a project of Text or HyperText with Labels",
        )
    values = [msgspec.convert(result.value, _Value) for result in done[0].result if result.type in REGIONS]
    text = _only_text(row["data"], values)
    if "hypertextlabels" in kinds:
        if any(value.globalOffsets is None for value in values):
            raise CorpusError(
                f"{defects.where}:{line}: a HyperText region has no globalOffsets",
                "export with a newer Label Studio, or as plain Text",
            )
        parser = _Text()
        parser.feed(text)
        parser.close()
        text = "".join(parser.pieces)
    return from_text(text, _mentions(values, line, defects), line, defects)


def _row(row: Any, line: int, defects: Defects) -> Sentence | None:
    if not isinstance(row, dict):
        raise msgspec.ValidationError("a row is an object")
    regions = next((value for key, value in row.items() if _are_regions(value)), None)
    if regions is None:
        if not any(isinstance(value, list) and not value for value in row.values()):
            defects.add("unlabelled", line, "no labels")
            return None
        regions = []
    values = [msgspec.convert(region, _Value) for region in regions]
    texts = {key: value for key, value in row.items() if key not in MIN_KEYS}
    return from_text(_only_text(texts, values), _mentions(values, line, defects), line, defects)


def _are_regions(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(v, dict) and "start" in v for v in value)


def _mentions(values: list[_Value], line: int, defects: Defects) -> list[Mention]:
    mentions: list[Mention] = []
    for value in values:
        offsets = value.globalOffsets or value
        if not isinstance(offsets.start, int) or not isinstance(offsets.end, int):
            raise msgspec.ValidationError(f"a region begins at '{offsets.start}', which is not a number of characters")
        labels = value.labels or value.hypertextlabels
        if not labels:
            defects.add("no-label", line, f"the region {offsets.start}..{offsets.end} has no label")
        stated = value.text.replace("\\n", "\n") if value.text and value.globalOffsets else value.text
        mentions += [Mention(offsets.start, offsets.end, label, stated) for label in labels]
    return mentions


def _only_text(data: dict[str, Any], values: list[_Value]) -> str:
    if isinstance(data.get("text"), str):
        return str(data["text"])
    texts = [value for value in data.values() if isinstance(value, str)]
    if len(texts) > 1 and (stated := [value.text for value in values if value.text]):
        texts = [text for text in texts if all(name in text for name in stated)]
    if len(texts) != 1:
        raise msgspec.ValidationError("data has no 'text', and not one string alone")
    return texts[0]
