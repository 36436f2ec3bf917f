"""What can be wrong with a labelled file, and what is done about it: one rule a kind, as docs/reference lists them."""

from __future__ import annotations

import collections

import msgspec

from ...core.errors import CorpusError

SHOWN = 5


class Rule(msgspec.Struct, frozen=True):
    """A kind of defect: what is wrong, and what is done about it; where that is nothing, `advice` is for the user."""

    name: str
    wrong: str
    repair: str = ""
    advice: str = ""


RULES = {
    rule.name: rule
    for rule in (
        Rule("not-utf8", "the file is neither UTF-8 nor UTF-16", "read as GB18030"),
        Rule("inner-mark", "a byte-order mark inside the file", "taken out"),
        Rule(
            "columns",
            "a line has another number of columns than the file, or no token",
            advice="a line is a token, white space, and its tag, with any columns between",
        ),
        Rule(
            "tag",
            "a tag is not of the file's scheme",
            advice="a tag is O, or a prefix and a type (B-PER), or everywhere a type alone",
        ),
        Rule(
            "further-tags",
            "several columns hold tags (nested entities, predictions)",
            "the first of them is read; `--columns` names another",
        ),
        Rule("position-digit", "every token ends with its place in the word (`李0`)", "the digit is taken off"),
        Rule(
            "number-tokens",
            "most tokens are numbers",
            advice="say which column holds the words: --columns token=2,tag=3",
        ),
        Rule("stray-inside", "an entity continues (I, M, E, L) without having begun", "it begins there"),
        Rule("unclosed", "an entity that must end with E or L does not", "it ends where its tags end"),
        Rule(
            "malformed",
            "a line or element is not what the format says",
            advice="docs/reference/corpus-formats.md shows each format; slimner's own is a line of "
            '{"text": "...", "entities": [{"start": 0, "end": 2, "type": "PER"}]}',
        ),
        Rule(
            "outside",
            "an entity is outside its text",
            advice="offsets count characters from 0, the end excluded (in CLUENER included)",
        ),
        Rule(
            "surface",
            "the text stated for an entity is not the text at its offsets",
            advice="correct the offsets or the stated text",
        ),
        Rule(
            "utf16-offsets",
            "offsets count UTF-16 units, as the text stated for the entity shows",
            "converted to characters",
        ),
        Rule(
            "inclusive-end",
            "an entity ends with its last character, not after it, as the text stated for it shows",
            "moved to after it",
        ),
        Rule("lone-surrogate", "half of a surrogate pair", "becomes U+FFFD"),
        Rule("white-space-edge", "an entity begins or ends with white space", "trimmed"),
        Rule("empty-entity", "an entity is only white space", "left out"),
        Rule("repeated-entity", "the same entity twice", "taken once"),
        Rule("overlap", "two entities overlap", "the longer is kept; of two equally long, the first one"),
        Rule(
            "cut-word",
            "an entity begins or ends inside one of the given words",
            advice="let entities begin and end with words, or leave `words` out",
        ),
        Rule("several-annotations", "a task was annotated more than once", "the first that was not cancelled is taken"),
        Rule(
            "unlabelled",
            "a row was not labelled: no annotation that was not cancelled, no tags, or tags of null, -1 or -100",
            "left out",
        ),
        Rule("not-accepted", "the answer to an example is reject or ignore", "left out"),
        Rule("no-label", "a marked region has no label", "the region is left out"),
        Rule(
            "discontinuous",
            "an entity is in pieces with text between them",
            "left out, unless only white space is between the pieces: then they are one entity",
        ),
        Rule("empty-sentence", "a sentence has nothing to score", "left out"),
        Rule(
            "lengths",
            "a row has a different number of tags and tokens",
            advice="give every token one tag",
        ),
        Rule("no-outside", "no token of the file is outside an entity", "read as it is"),
        Rule(
            "many-types",
            "there are nearly as many types as tokens or entities",
            advice="give types such as PER and LOC; in a column file, --columns token=1,tag=2 says where they are",
        ),
        Rule(
            "text-as-type",
            "most entities have their own text as type",
            advice="give every entity a type, such as PER, in the place where its text is now",
        ),
    )
}


class Defect(msgspec.Struct, frozen=True, kw_only=True):
    """One defect; `line` counts lines (rows, in a dataset) from 1."""

    rule: str
    line: int
    detail: str


class Defects:
    """The defects found while one file is read."""

    def __init__(self, where: str, *, strict: bool) -> None:
        self.where = where
        self.strict = strict
        self.found: list[Defect] = []

    def add(self, rule: str, line: int, detail: str) -> None:
        """Note a defect; reading continues."""
        self.found.append(Defect(rule=RULES[rule].name, line=line, detail=detail))

    def check(self) -> None:
        """Raise CorpusError if a defect is fatal, or, if strict, if there is any."""
        fatal = [defect for defect in self.found if self.strict or not RULES[defect.rule].repair]
        if not fatal:
            return
        fatal.sort(key=lambda defect: defect.line)
        shown = [f"{self.where}:{defect.line}: {defect.detail}" for defect in fatal[:SHOWN]]
        if len(fatal) > 1:
            shown.append(f"{len(fatal):,} defects: {listing(counts(fatal))}")
        advice = next((RULES[d.rule].advice for d in fatal if RULES[d.rule].advice), "")
        raise CorpusError("\n".join(shown), advice or "fix the file, or leave out --strict to have it repaired by rule")


def counts(defects: list[Defect] | tuple[Defect, ...]) -> dict[str, int]:
    """Defects by rule, the most frequent first."""
    return dict(collections.Counter(defect.rule for defect in defects).most_common())


def listing(counted: dict[str, int]) -> str:
    """Numbers of defects in words: `10 stray-inside, 2 overlap`."""
    return ", ".join(f"{number:,} {rule}" for rule, number in counted.items())
