"""Sentences of all kinds for property tests, and the formats slimner reads, written as their owners write them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence

from hypothesis import strategies as st
from slimner.eval.corpora import Sentence
from slimner.eval.corpora.sentences import from_characters, from_words
from slimner.variants.labels import Span, spans

# half-width and full-width, traditional, kana, emoji (joined, with selectors, flags), beyond the basic plane, combining
CHARACTERS = [
    *"ab1Ａ１，。 \u3000\u00a0京國灣の👍🇨🇳𠮷𝔸é",
    "e\u0301",
    "\u2764\ufe0f",
    "\U0001f468\u200d\U0001f469",
    "\u200b",
    "\u2028",
]
WORDS = [
    "don't",
    "U.S.",
    "'s",
    "Ünal",
    "e\u0301a",
    "@user",
    "#tag",
    "http://t.co/x",
    "\u2764\ufe0f",
    "\U0001f468\u200d\U0001f469",
    "ＡＢ",
]
TYPES = ("PER", "LOC", "creative-work")


@st.composite
def entities(draw: st.DrawFn, length: int) -> list[Span]:
    """Entities (start, end, type) within `length` places, in order, not overlapping, some touching."""
    found: list[Span] = []
    start = 0
    while start < length:
        start += draw(st.integers(0, 3))
        end = start + draw(st.integers(1, 4))
        if end > length:
            break
        found.append((start, end, draw(st.sampled_from(TYPES))))
        start = end
    return found


@st.composite
def of_characters(draw: st.DrawFn) -> Sentence:
    """A sentence as written without spaces between words, with something to score in it."""
    text = "".join(draw(st.lists(st.sampled_from(CHARACTERS), max_size=20)))
    text += draw(st.sampled_from("王芳x"))
    return from_characters(list(text), draw(entities(len(text))))


@st.composite
def of_words(draw: st.DrawFn) -> Sentence:
    """A sentence that came split into words."""
    words = draw(st.lists(st.sampled_from(WORDS), min_size=1, max_size=12))
    return from_words(words, draw(entities(len(words))))


def tags(scheme: str, length: int, found: Sequence[Span]) -> list[str]:
    """Entities as tags of a scheme; in IO those that touch another of their type cannot be told apart."""
    made = ["O"] * length
    ends = 0, ""
    for start, end, kind in found:
        first, middle, last, single = {
            "IOB2": "BIIB",
            "IOB1": "BIIB" if ends == (start, kind) else "IIII",
            "IO": "IIII",
            "BIOS": "BIIS",
            "BIOES": "BIES",
            "BMES": "BMES",
            "BILOU": "BILU",
        }[scheme]
        if end - start == 1:
            made[start] = f"{single}-{kind}"
        else:
            made[start:end] = [f"{first}-{kind}", *[f"{middle}-{kind}"] * (end - start - 2), f"{last}-{kind}"]
        ends = end, kind
    return made


def columns(sentences: Sequence[Sentence], scheme: str, *, four: bool = False, separator: str = " ") -> str:
    """A column file, of words or of all characters, white space among them; with four columns, CoNLL-2003's way."""
    lines = ["-DOCSTART- -X- -X- O", ""] if four else []
    for sentence in sentences:
        tokens = list(sentence.tokens) if sentence.words else [(i, i + 1) for i in range(len(sentence.text))]
        place = {start: i for i, (start, _) in enumerate(tokens)}
        final = {end: i + 1 for i, (_, end) in enumerate(tokens)}
        found = [(place[start], final[end], kind) for start, end, kind in sentence.entities]
        for (start, end), tag in zip(tokens, tags(scheme, len(tokens), found), strict=True):
            lines.append(separator.join([sentence.text[start:end], *(["NNP", "B-NP"] if four else []), tag]))
        lines.append("")
    return "\n".join(lines)


def cluener(sentences: Sequence[Sentence]) -> str:
    """CLUENER's JSON lines: types, texts, and the places of each, the last character included."""
    lines: list[str] = []
    for sentence in sentences:
        label: dict[str, dict[str, list[list[int]]]] = {}
        for start, end, kind in sentence.entities:
            label.setdefault(kind, {}).setdefault(sentence.text[start:end], []).append([start, end - 1])
        lines.append(json.dumps({"text": sentence.text, "label": label}, ensure_ascii=False))
    return "\n".join(lines)


def doccano(sentences: Sequence[Sentence], key: str) -> str:
    """doccano's JSON lines with `label` or `labels`, or the newer `entities` beside relations."""
    rows: list[dict[str, object]] = []
    for number, sentence in enumerate(sentences):
        if key == "entities":
            spans_of: list[object] = [
                {"id": i, "label": kind, "start_offset": start, "end_offset": end}
                for i, (start, end, kind) in enumerate(sentence.entities)
            ]
            rows.append({"id": number, "text": sentence.text, "entities": spans_of, "relations": [], "Comments": []})
        else:
            rows.append({"id": number, "text": sentence.text, key: [list(span) for span in sentence.entities]})
    return "\n".join(json.dumps(row) for row in rows)


def fits_both_ways(sentence: Sentence) -> bool:
    """Whether an entity's UTF-16 offsets, taken for code points, lead to the same characters in another place."""
    for start, end, _ in sentence.entities:
        moved = len(sentence.text[:start].encode("utf-16-le")) // 2
        if moved != start and sentence.text[moved : moved + end - start] == sentence.text[start:end]:
            return True
    return False


def label_studio(sentences: Sequence[Sentence], *, utf16: bool = False) -> str:
    """Label Studio's export of tasks; `utf16` counts as JavaScript does."""

    def place(text: str, index: int) -> int:
        return len(text[:index].encode("utf-16-le")) // 2 if utf16 else index

    tasks = [
        {
            "id": number,
            "annotations": [
                {
                    "was_cancelled": False,
                    "result": [
                        {
                            "from_name": "label",
                            "to_name": "text",
                            "type": "labels",
                            "value": {
                                "start": place(sentence.text, start),
                                "end": place(sentence.text, end),
                                "text": sentence.text[start:end],
                                "labels": [kind],
                            },
                        }
                        for start, end, kind in sentence.entities
                    ]
                    + [{"type": "choices", "value": {"choices": ["news"]}}],
                }
            ],
            "data": {"text": sentence.text},
        }
        for number, sentence in enumerate(sentences)
    ]
    return json.dumps(tasks, ensure_ascii=False, indent=2)


def json_spans(sentences: Sequence[Sentence], form: str) -> str:
    """Spans as spaCy writes them (pairs, objects, with labels), as Prodigy does, or as Label Studio's JSON_MIN."""
    rows: list[object] = []
    for number, sentence in enumerate(sentences):
        triples = [list(span) for span in sentence.entities]
        named = [{"start": start, "end": end, "label": kind} for start, end, kind in sentence.entities]
        if form == "pairs":
            rows.append([sentence.text, {"entities": triples}])
        elif form == "prodigy":
            rows.append({"text": sentence.text, "_input_hash": number, "spans": named, "answer": "accept"})
        elif form == "min":
            regions = [
                {"start": start, "end": end, "text": sentence.text[start:end], "labels": [kind]}
                for start, end, kind in sentence.entities
            ]
            rows.append(
                {"id": number, "text": sentence.text, "label": regions, "annotator": 1, "annotation_id": number}
            )
        else:
            rows.append({"text": sentence.text, "entities": triples if form == "objects" else named})
    return json.dumps(rows) if form in ("pairs", "min") else "\n".join(map(json.dumps, rows))


def tokens(sentences: Sequence[Sentence], scheme: str, token_key: str, tag_key: str) -> str:
    """JSON lines of tokens and tags, as the datasets library writes them."""
    rows: list[object] = []
    for number, sentence in enumerate(sentences):
        words = [sentence.text[start:end] for start, end in sentence.tokens]
        rows.append({"id": str(number), token_key: words, tag_key: _word_tags(sentence, scheme)})
    return "\n".join(map(json.dumps, rows))


def _word_tags(sentence: Sentence, scheme: str) -> list[str]:
    place = {start: i for i, (start, _) in enumerate(sentence.tokens)}
    final = {end: i + 1 for i, (_, end) in enumerate(sentence.tokens)}
    found = [(place[start], final[end], kind) for start, end, kind in sentence.entities]
    return tags(scheme, len(sentence.tokens), found)


def conll_u(sentences: Sequence[Sentence], scheme: str, *, feature: bool) -> str:
    """CoNLL-U: comments, ten columns, the tag in MISC; without `feature`, number, token and tag as Universal NER."""
    lines: list[str] = []
    for number, sentence in enumerate(sentences, 1):
        lines += [f"# sent_id = {number}", f"# text = {sentence.text}"]
        for i, ((start, end), tag) in enumerate(zip(sentence.tokens, _word_tags(sentence, scheme), strict=True), 1):
            word = sentence.text[start:end]
            misc = "SpaceAfter=No" + (f"|NER={tag}" if tag != "O" else "")
            cells = [word, "_", "NOUN", "_", "_", "0", "root", "_", misc] if feature else [word, tag, "-", "ann"]
            lines.append("\t".join([str(i), *cells]))
        lines.append("")
    return "\n".join(lines)


def brat(sentences: Sequence[Sentence]) -> tuple[str, str]:
    """A text of a sentence a line, and its annotations."""
    text, lines = "", list[str]()
    for sentence in sentences:
        for start, end, kind in sentence.entities:
            span = f"{len(text) + start} {len(text) + end}"
            lines.append(f"T{len(lines) + 1}\t{kind} {span}\t{sentence.text[start:end]}")
        text += sentence.text + "\n"
    return text, "".join(f"{line}\n" for line in lines)


def touching(sentence: Sentence) -> bool:
    """Whether two entities of one type touch, which IO cannot say."""
    found = spans(sentence.tags)
    return any(a[1] == b[0] and a[2] == b[2] for a, b in itertools.pairwise(found))
