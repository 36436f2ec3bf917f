"""Sentences made from templates and a lexicon of today's names, both written for this recipe."""

from __future__ import annotations

import random
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

from .texts import FOLD, Sentence, tags_of

HERE = Path(__file__).parent
SLOT = re.compile(r"\{(\w+)\}")
CLOSING = ["。", "。", "。", "", "", "！", "，", "？"]

LARGE = ["北京", "上海", "广州", "深圳", "天津", "重庆", "香港", "澳门", "杭州", "成都", "武汉", "西安"]

Words = dict[str, list[str]]
Maker = Callable[[random.Random], str]


def words(name: str) -> Words:
    table = tomllib.loads((HERE / f"{name}.toml").read_text(encoding="utf-8"))
    return {key: [word.replace("_", " ") for word in text.split()] for key, text in table.items()}


class Names:
    """Draws names; every method returns one."""

    def __init__(self) -> None:
        self.people, self.places, self.bodies = words("people"), words("places"), words("organisations")

    def given(self, rng: random.Random) -> str:
        draw = rng.random()
        if draw < 0.35:
            return rng.choice(self.people["nicknames"])
        if draw < 0.6:
            return "小" + rng.choice(self.people["given_one"])
        if draw < 0.75:
            return rng.choice(self.people["given_one"]) * 2
        return rng.choice(self.people["given_two"])

    def surname(self, rng: random.Random) -> str:
        known = self.people["surnames"]
        return known[min(int(rng.expovariate(1 / 60)), len(known) - 1)]

    def chinese(self, rng: random.Random) -> str:
        draw = rng.random()
        if draw < 0.35:
            given = rng.choice(self.people["given_one"])
        elif draw < 0.75:
            given = rng.choice(self.people["given_two"])
        else:  # first characters and last ones of names are freely combined
            given = rng.choice(self.people["given_two"])[0] + rng.choice(self.people["given_one"])
        return (rng.choice(self.people["surnames"]) if rng.random() < 0.4 else self.surname(rng)) + given

    def latin(self, rng: random.Random) -> str:
        first, last = rng.choice(self.people["latin_first"]), rng.choice(self.people["latin_last"])
        return rng.choice([first, first, f"{first} {last}", f"{first}{last}"])

    def transliterated(self, rng: random.Random) -> str:
        first = rng.choice(self.people["transliterated_first"])
        last = rng.choice(self.people["transliterated_last"])
        draw = rng.random()
        if draw < 0.45:
            return last
        if draw < 0.55:
            return first
        if draw < 0.62:
            return f"{first}·{rng.choice(self.people['transliterated_first'])}·{last}"
        return f"{first}{rng.choice(['·', '·', '·', '-', '•', '・'])}{last}"

    def person(self, rng: random.Random) -> str:
        draw = rng.random()
        if draw < 0.42:
            return self.chinese(rng)
        if draw < 0.58:
            return rng.choice(self.people["stage"])
        if draw < 0.75:
            return self.transliterated(rng)
        if draw < 0.81:
            return rng.choice(self.people["whole_foreign"])
        if draw < 0.87:
            return rng.choice(self.people["minority"])
        if draw < 0.92:
            return rng.choice(self.people["east_asian"])
        if draw < 0.95:
            if rng.random() < 0.6:
                return rng.choice(self.people["japanese_surnames"]) + rng.choice(self.people["japanese_given"])
            return rng.choice(self.people["korean_surnames"]) + rng.choice(self.people["korean_given"])
        return self.latin(rng) if draw < 0.98 else self.given(rng)

    def city(self, rng: random.Random) -> str:
        draw = rng.random()
        if draw < 0.15:
            return rng.choice(self.places["world_cities"])
        if draw < 0.25:
            return rng.choice(LARGE)
        name = rng.choice(self.places["cities"])
        return name + "市" if draw > 0.8 and len(name) == 2 else name

    def road(self, rng: random.Random) -> str:
        return rng.choice(self.places["road_names"]) + rng.choice(self.places["road_ends"])

    def village(self, rng: random.Random) -> str:
        return rng.choice(self.places["village_names"]) + rng.choice(self.places["village_ends"])

    def facility(self, rng: random.Random) -> str:
        if rng.random() < 0.65:
            return rng.choice(self.places["facilities"])
        head = rng.choice(self.places["facility_heads"]) if rng.random() < 0.6 else rng.choice(self.places["cities"])
        return head + rng.choice(self.places["facility_ends"])

    def place(self, rng: random.Random) -> str:
        makers: list[Maker] = [self.city, self.city, self.road, self.village, self.facility, self.facility]
        for kind in ("countries", "countries", "provinces", "districts", "natural", "natural"):
            makers.append(lambda rng, kind=kind: rng.choice(self.places[kind]))
        return rng.choice(makers)(rng)

    def company(self, rng: random.Random) -> str:
        if rng.random() < 0.72:
            return rng.choice(self.bodies["companies"])
        head = rng.choice(self.bodies["company_heads"])
        middle, end = rng.choice(self.bodies["company_middles"]), rng.choice(self.bodies["company_ends"])
        city = rng.choice(self.places["cities"]) if rng.random() < 0.3 else ""
        return city + head + rng.choice([middle, middle, middle + end, middle + end, end])

    def school(self, rng: random.Random) -> str:
        if rng.random() < 0.6:
            return rng.choice(self.bodies["schools"])
        return rng.choice(self.places["cities"]) + rng.choice(self.bodies["school_fields"])

    def government(self, rng: random.Random) -> str:
        kind = rng.choice(["cities", "cities", "districts", "provinces"])
        return rng.choice(self.places[kind]) + rng.choice(self.bodies["gov_ends"]).removeprefix("市")

    def team(self, rng: random.Random) -> str:
        if rng.random() < 0.65:
            return rng.choice(self.bodies["teams"])
        kind = rng.choice(["countries", "cities", "provinces"])
        return rng.choice(self.places[kind]) + rng.choice(self.bodies["team_ends"])

    def organisation(self, rng: random.Random) -> str:
        makers: list[Maker] = [self.company, self.company, self.company, self.school, self.government, self.team]
        for kind in ("bodies", "bodies", "media"):
            makers.append(lambda rng, kind=kind: rng.choice(self.bodies[kind]))
        return rng.choice(makers)(rng)

    def of_type(self, kind: str, rng: random.Random) -> str:
        return {"PER": self.person, "LOC": self.place, "ORG": self.organisation}[kind](rng)


class Made:
    """Sentences from the templates beside this file."""

    def __init__(self, names: Names) -> None:
        self.names = names
        text = (HERE / "templates.txt").read_text(encoding="utf-8")
        self.templates = [line for line in text.splitlines() if line and not line.startswith("#")]
        places, bodies = names.places, names.bodies

        def any_of(known: list[str]) -> Maker:
            return lambda rng: rng.choice(known)

        self.slots: dict[str, tuple[str, Maker]] = {
            "person": ("PER", names.person),
            "private": ("PER", names.chinese),
            "person_latin": ("PER", names.latin),
            "surname": ("PER", names.surname),
            "given": ("PER", names.given),
            "country": ("LOC", any_of(places["countries"])),
            "prov": ("LOC", any_of(places["provinces"])),
            "city": ("LOC", names.city),
            "district": ("LOC", any_of(places["districts"])),
            "road": ("LOC", names.road),
            "village": ("LOC", names.village),
            "facility": ("LOC", names.facility),
            "area": ("LOC", any_of(places["natural"])),
            "short": ("LOC", any_of(places["shorts"])),
            "company": ("ORG", names.company),
            "media": ("ORG", any_of([name.strip("《》") for name in bodies["media"]])),
            "school": ("ORG", names.school),
            "body": ("ORG", any_of(bodies["bodies"])),
            "gov": ("ORG", names.government),
            "team": ("ORG", names.team),
            "band": ("ORG", any_of(bodies["bands"])),
            "gov_word": ("O", any_of(["市场监管部门", "有关部门", "警方", "消防部门", "卫健部门"])),
            "gov_court": ("O", any_of(["当地法院", "法院", "仲裁委"])),
            "body_word": ("O", any_of(["国防部长", "外长", "议长", "商务部长", "经济大臣", "前首相"])),
            "school_word": ("O", any_of(["某中学", "一所高校", "一小学", "职校"])),
            "paper": ("ORG", any_of(["自然", "科学", "柳叶刀", "细胞", "自然·医学"])),
            "product": ("O", any_of(bodies["products"])),
            "event": ("O", any_of(bodies["events"])),
            "work": ("O", any_of(bodies["works"])),
            "num": ("O", lambda rng: str(int(10 ** rng.uniform(0, 3)))),
            "weekday": ("O", any_of(["周一", "周二", "周三", "周四", "周五", "周日", "昨日", "今天", "当天"])),
            "dynasty": ("O", any_of(["唐朝", "宋朝", "明朝", "清朝"])),
        }

    def __call__(self, rng: random.Random) -> Sentence:
        """One sentence; `{prov}{gov_short}` and the like are one organisation."""
        template = rng.choice(self.templates).replace("{prov}{gov_short}", "{gov}")
        characters: list[str] = []
        tags: list[str] = []
        last = 0
        for match in [*SLOT.finditer(template), None]:
            plain = FOLD.normalize_str(template[last : match.start()] if match else template[last:])
            if not match and template[-1] not in "。！？，）】#":
                plain += FOLD.normalize_str(rng.choice(CLOSING))
            characters += [c for c in plain if not c.isspace()]
            tags += ["O"] * sum(not c.isspace() for c in plain)
            if match:
                kind, make = self.slots[match[1]]
                name = [c for c in FOLD.normalize_str(make(rng)) if not c.isspace()]
                characters += name
                tags += ["O"] * len(name) if kind == "O" else tags_of(len(name), kind)
                last = match.end()
        return characters, tags
