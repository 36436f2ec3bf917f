"""What a client sees: answers, limits, errors, headers, metrics."""

from __future__ import annotations

import concurrent.futures
import gc
import ipaddress
import json
import os
import re
import signal
import weakref
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from slimner import zoo
from slimner.cli.serve import as_environment, serve
from slimner.core.errors import UserError
from slimner.core.machine import describe
from slimner.core.memory import without_thread_caches
from slimner.eval.corpora import read_corpus
from slimner.eval.scoring import count, evaluate
from slimner.serve.bundle import open_served
from slimner.serve.engine import TIDY_EVERY, Engine, probe
from slimner.serve.info import Info
from slimner.serve.openapi import document
from slimner.serve.schemas import (
    MOST_BODY_BYTES,
    MOST_CHARACTERS,
    MOST_REQUEST_TOKENS,
    MOST_TEXT_TOKENS,
    MOST_TEXTS,
    in_utf16,
)
from slimner.serve.settings import Settings, from_environment, plan
from slimner.variants import Entity, open_predictor

from .conftest import Server, started

TEXT = "外交部发言人说，法国总统马克龙将于下周访问上海。"


@pytest.fixture(scope="module")
def predict() -> Any:
    return open_predictor(open_served(zoo.bundle()).model)


def test_f1_over_http_is_the_offline_f1_entity_by_entity_under_concurrent_load(server: Server) -> None:
    corpus = read_corpus("news-zh")
    record = evaluate(open_served(zoo.bundle()).model, corpus, 1)

    def entities(text: str) -> list[tuple[int, int, str]]:
        status, answer = server.post({"text": text})
        assert status == 200, answer
        for entity in answer["entities"]:
            assert text[entity["start"] : entity["end"]] == entity["text"]
        return [(e["start"], e["end"], e["type"]) for e in answer["entities"]]

    with concurrent.futures.ThreadPoolExecutor(8) as clients:
        served = list(clients.map(entities, (sentence.text for sentence in corpus.sentences)))
    counted = []
    for sentence, found in zip(corpus.sentences, served, strict=True):
        tags = ["O"] * len(sentence.tokens)
        for start, end, kind in found:
            covered = [i for i, (a, b) in enumerate(sentence.tokens) if a < end and b > start]
            for i in covered:
                tags[i] = f"{'B' if i == covered[0] else 'I'}-{kind}"
        counted.append(count(sentence.tags, tags))
    assert tuple(counted) == record.sentences
    right = sum(c.right for sentence in counted for c in sentence)
    predicted = sum(c.predicted for sentence in counted for c in sentence)
    gold = sum(c.gold for sentence in counted for c in sentence)
    assert 2 * right / (predicted + gold) == pytest.approx(record.strict.f1, abs=1e-12)
    assert record.strict.f1 > 0.6


def test_an_answer_is_the_predictors_and_several_texts_come_in_their_order(server: Server, predict: Any) -> None:
    texts = [TEXT, "", "x", *zoo.workload().read_text(encoding="utf-8").splitlines()[:5]]
    status, one = server.post({"text": TEXT})
    assert (status, one["entities"]) == (200, msgspec.to_builtins(predict(TEXT)))
    assert one["ms"] > 0
    status, many = server.post({"texts": texts})
    assert status == 200
    assert [result["entities"] for result in many["results"]] == [msgspec.to_builtins(predict(t)) for t in texts]
    assert server.post({"texts": []})[1]["results"] == []


def test_offsets_count_utf16_units_on_request(server: Server) -> None:
    text = "😀😀法国总统马克龙😀访问上海。"
    plain, units = (server.post({"text": text, "offsets": o})[1]["entities"] for o in ("codepoints", "utf16"))
    assert plain
    assert units[0]["start"] == plain[0]["start"] + 2
    encoded = text.encode("utf-16-le")
    for entity in units:
        assert encoded[2 * entity["start"] : 2 * entity["end"]].decode("utf-16-le") == entity["text"]


@given(st.text(), st.data())
def test_utf16_offsets_cut_the_same_text(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), unique=True)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    entities = [Entity(start=a, end=b, type="X", text=text[a:b], score=1.0) for a, b in spans]
    encoded = text.encode("utf-16-le", "surrogatepass")
    for entity in in_utf16(text, entities):
        cut = encoded[2 * entity.start : 2 * entity.end].decode("utf-16-le", "surrogatepass")
        assert cut == entity.text


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 400, "send"),
        (b"{", 400, "send"),
        (b'"text"', 400, "send"),
        (b'{"text": 3}', 400, "$.text"),
        (b'{"text": null}', 400, "$.text"),
        (b"{}", 400, "give either text or texts"),
        (b'{"text": "a", "texts": ["a"]}', 400, "give either text or texts"),
        (b'{"text": "a", "ofsets": "utf16"}', 400, "ofsets"),
        (b'{"text": "a", "offsets": "bytes"}', 400, "bytes"),
        (b'{"text": "\xff"}', 400, "send"),
        ('{"text": "上海"}'.encode("gb18030"), 400, "send"),
        ('{"text": "上海"}'.encode("utf-16"), 400, "send"),
        (b"[" * 100_000, 400, "send"),
        (b'{"text": "a"} b', 400, "send"),
        (json.dumps({"text": "a" * (MOST_CHARACTERS + 1)}).encode(), 422, "20,000"),
        (json.dumps({"texts": ["a", "a" * (MOST_CHARACTERS + 1)]}).encode(), 422, "20,000"),
        (json.dumps({"texts": ["a"] * (MOST_TEXTS + 1)}).encode(), 422, "64"),
        (json.dumps({"texts": ["a", "\ufdfa" * 2000]}).encode(), 422, "text 2 has more than 20,000 tokens"),
        (b" " * (MOST_BODY_BYTES + 1), 413, "1,048,576"),
    ],
)
def test_what_cannot_be_answered_is_told_with_what_to_do(server: Server, body: bytes, status: int, said: str) -> None:
    got, headers, answer = server.ask("POST", "/v1/ner", body)
    problem = json.loads(answer)
    assert got == problem["status"] == status
    assert headers["content-type"] == "application/problem+json"
    assert problem["title"]
    assert problem["remedy"]
    assert said in problem["detail"] + problem["remedy"]


def test_limits_are_what_info_says_and_are_themselves_within(server: Server) -> None:
    info = server.get("/v1/info")
    assert info["limits"] == {
        "text_characters": 20_000,
        "text_tokens": MOST_TEXT_TOKENS,
        "request_tokens": MOST_REQUEST_TOKENS,
        "texts": 64,
        "body_bytes": 1 << 20,
    }
    assert server.post({"text": "a" * 20_000})[0] == 200
    assert server.post({"texts": ["a"] * 64})[0] == 200
    body = b'{"text": "a"}'
    assert server.ask("POST", "/v1/ner", body + b" " * ((1 << 20) - len(body)))[0] == 200


def test_info_says_what_is_served(server: Server) -> None:
    info = server.get("/v1/info")
    assert info["model"]["name"] == "news-zh"
    assert info["model"]["types"] == ["PER", "LOC", "ORG"]
    assert info["model"]["parameters"] > 3_000_000
    assert (info["variant"], info["workers"], info["threads"]) == ("onnx-int8", 2, 1)
    assert info["instructions"]["here"] == describe().instructions
    schemas = server.get("/openapi.json")["components"]["schemas"]
    assert set(info) == set(schemas["Info"]["required"])
    msgspec.convert(info, Info, strict=True)
    assert set(info) == {
        *("model", "variant", "artifact", "instructions", "scores", "measured", "limits", "workers", "threads", "notes")
    }
    differs = info["instructions"]["built"] != info["instructions"]["here"]
    assert differs == any("slimner eval" in note for note in info["notes"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/ner", 405),
        ("PUT", "/v1/ner", 405),
        ("DELETE", "/v1/info", 405),
        ("TRACE", "/v1/ner", 405),
        ("OPTIONS", "/v1/ner", 405),
        ("POST", "/healthz", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/../../etc/passwd", 404),
        ("GET", "/v1/ner/", 404),
        ("HEAD", "/healthz", 200),
    ],
)
def test_methods_and_routes_that_there_are_not(server: Server, method: str, path: str, status: int) -> None:
    got, headers, _ = server.ask(method, path)
    assert got == status
    if status == 405:
        assert headers["allow"]
    if status >= 400:
        assert headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("path", ["/healthz", "/v1/info", "/nowhere", "/metrics", "/v1/ner"])
def test_every_answer_carries_the_security_headers(server: Server, path: str) -> None:
    _, headers, _ = server.ask("GET", path)
    assert headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers


def test_metrics_add_up_over_the_workers(server: Server) -> None:
    before = server.metrics()
    with concurrent.futures.ThreadPoolExecutor(4) as clients:
        list(clients.map(lambda _: server.post({"texts": [TEXT, TEXT]}), range(24)))
    server.post({"text": 1})
    counted = 'slimner_errors_total{status="400"}'  # when the answer has been sent, so a moment later
    server.eventually(lambda: server.metrics().get(counted, 0.0) > before.get(counted, 0.0))
    server.eventually(lambda: server.metrics()["slimner_texts_total"] >= before["slimner_texts_total"] + 48)
    after = server.metrics()

    def grew(name: str) -> float:
        return after[name] - before.get(name, 0.0)

    assert grew('slimner_requests_total{route="/v1/ner",status="200"}') == 24
    assert grew('slimner_errors_total{status="400"}') == 1
    assert grew("slimner_texts_total") == 48
    assert grew('slimner_request_seconds_count{route="/v1/ner"}') == 24
    for step in ("wait", "tokenize", "infer", "decode"):
        assert grew(f'slimner_step_seconds_count{{step="{step}"}}') == 24
    parts = [grew(f'slimner_step_seconds_sum{{step="{s}"}}') for s in ("wait", "tokenize", "infer", "decode")]
    assert 0 < sum(parts) <= grew('slimner_request_seconds_sum{route="/v1/ner"}')
    assert parts[2] == max(parts[1:])
    assert after["slimner_queue"] == 0
    assert 10e6 < after['slimner_pss_bytes{process="master"}'] < 200e6
    assert 20e6 < after['slimner_pss_bytes{process="workers"}'] < 300e6


def test_the_server_runs_without_what_only_costs_memory(server: Server) -> None:
    expected = without_thread_caches(os.environ)["GLIBC_TUNABLES"]
    for process in (server.process.pid, *server.workers):
        environment = Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
        assert f"GLIBC_TUNABLES={expected}".encode() in environment
        assert b"-OO" in Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")


def test_an_artifact_that_needs_torch_is_served(artifacts: dict[str, Path], tmp_path: Path) -> None:
    predict = open_predictor(artifacts["dynamic-int8"])  # transformers cannot do without docstrings
    with started(tmp_path, str(artifacts["dynamic-int8"]), "--workers", "1") as server:
        status, answer = server.post({"text": TEXT})
    assert status == 200
    assert [(e["start"], e["end"], e["type"]) for e in answer["entities"]] == [
        (e.start, e.end, e.type) for e in predict(TEXT)
    ]


def test_the_document_describes_its_schemas(server: Server) -> None:
    served = server.get("/openapi.json")
    assert served == json.loads(document())  # in a Python that keeps docstrings
    schemas = served["components"]["schemas"]
    assert all(schema["description"] for schema in schemas.values())
    assert "UTF-16" in schemas["Question"]["description"]


def test_texts_are_not_logged(server: Server) -> None:
    server.post({"text": "秘密秘密"})
    server.ask("POST", "/v1/ner", '{"text": "秘密秘密'.encode())
    assert "秘密" not in server.log.read_text(encoding="utf-8")


def test_a_token_is_asked_for_where_there_is_something_to_know(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("geheim-密\n", encoding="utf-8")
    with started(tmp_path, "--workers", "1", "--token-file", str(tmp_path / "token")) as server:
        for path in ("/healthz", "/readyz", "/openapi.json"):
            assert server.ask("GET", path)[0] == 200
        wrong = ({}, {"Authorization": "Bearer falsch"}, {"Authorization": "geheim-密"}, {"Authorization": "Basic x"})
        for headers in wrong:
            encoded = {k: v.encode() for k, v in headers.items()}
            for method, path in (("POST", "/v1/ner"), ("GET", "/v1/info"), ("GET", "/metrics")):
                status, answered, _ = server.ask(method, path, b'{"text": "a"}', encoded)  # type: ignore[arg-type]
                assert (status, answered["www-authenticate"]) == (401, "Bearer")
        right: dict[str, Any] = {"Authorization": "Bearer geheim-密".encode()}
        assert server.ask("POST", "/v1/ner", b'{"text": "a"}', right)[0] == 200


def test_a_full_queue_is_refused_and_a_late_request_given_up(tmp_path: Path) -> None:
    long = {"texts": ["外交部发言人说。" * 2000] * 8}
    with started(tmp_path, "--workers", "1", "--queue", "1", "--deadline", "2") as server:
        with concurrent.futures.ThreadPoolExecutor(12) as clients:
            done = list(clients.map(lambda _: server.ask("POST", "/v1/ner", json.dumps(long).encode()), range(12)))
        statuses = [status for status, _, _ in done]
        assert set(statuses) == {503, 504}
        for status, headers, _ in done:
            assert (status == 503) == ("retry-after" in headers)
        assert server.post({"text": TEXT})[0] == 200
        assert server.metrics()["slimner_queue"] == 0


def test_every_option_of_the_command_reaches_the_server() -> None:
    options = {
        "--host": "::",
        "--port": "80",
        "--workers": "3",
        "--threads": "auto",
        "--limit-memory": "2Gi",
        "--queue": "0",
        "--deadline": "1.5",
        "--allow-host": "a.example",
        "--allow-origin": "https://c.example",
        "--proxy": "10.0.0.0/8",
    }
    arguments = [*(f"{name}={value}" for name, value in options.items()), "--allow-host=b", "--access-log", "/x"]
    context = serve.make_context("serve", arguments)
    assert from_environment(as_environment(context.params)) == Settings(
        bundle=Path("/x"),
        host="::",
        port=80,
        workers=3,
        limit_memory=2 << 30,
        queue=0,
        deadline=1.5,
        access_log=True,
        allow_host=("a.example", "b"),
        allow_origin=("https://c.example",),
        proxy=(ipaddress.ip_network("10.0.0.0/8"),),
    )
    tested = {*options, "--access-log", "--token-file"}
    assert {option for one in serve.params if one.envvar for option in one.opts} == {*tested, "bundle"}


def test_every_setting_comes_from_the_environment_too(tmp_path: Path) -> None:
    settings = from_environment(
        {
            "SLIMNER_BUNDLE": "/x",
            "SLIMNER_HOST": "::",
            "SLIMNER_PORT_NUMBER": "80",
            "SLIMNER_WORKERS": "3",
            "SLIMNER_THREADS": "auto",
            "SLIMNER_LIMIT_MEMORY": "512MB",
            "SLIMNER_QUEUE": "0",
            "SLIMNER_DEADLINE": "1.5",
            "SLIMNER_PRELOAD": "0",
            "SLIMNER_TOKEN": "t" * 16,
            "SLIMNER_ALLOW_HOST": "A.example, b",
            "SLIMNER_ALLOW_ORIGIN": "https://c.example",
            "SLIMNER_PROXY": "10.0.0.0/8",
        }
    )
    assert settings.bind == "[::]:80"
    assert settings == Settings(
        bundle=Path("/x"),
        host="::",
        port=80,
        workers=3,
        threads=None,
        limit_memory=512_000_000,
        preload=False,
        queue=0,
        deadline=1.5,
        token="t" * 16,
        allow_host=("a.example", "b"),
        allow_origin=("https://c.example",),
        proxy=(ipaddress.ip_network("10.0.0.0/8"),),
    )
    for name, text in (
        ("PORT_NUMBER", "x"),
        ("PORT", "80"),
        ("WORKERS", "0"),
        ("LIMIT_MEMORY", "12"),
        ("DEADLINE", "nan"),
        ("TOKEN_FILE", "/no"),
        ("ALLOW_HOST", "http://a"),
        ("ALLOW_ORIGIN", "a"),
        ("PROXY", "a"),
    ):
        with pytest.raises(UserError, match=f"SLIMNER_{name}"):
            from_environment({f"SLIMNER_{name}": text})


@pytest.mark.parametrize(
    ("written", "size"),
    [
        *(("512Mi", 2**29), ("512MiB", 2**29), ("512M", 512_000_000), ("512m", 512_000_000), ("512mb", 512_000_000)),
        *(("2g", 2 * 10**9), ("2G", 2 * 10**9), ("2Gi", 2**31), ("1.5gib", 3 * 2**29), ("524288Ki", 2**29)),
    ],
)
def test_sizes_are_read_as_people_write_them(written: str, size: int) -> None:
    assert from_environment({"SLIMNER_LIMIT_MEMORY": written}).limit_memory == size


def test_what_a_cluster_sets_for_a_service_of_our_name_changes_nothing() -> None:
    address = "tcp://10.96.0.7:80"
    service = {
        "SLIMNER_PORT": address,
        "SLIMNER_PORT_80_TCP": address,
        "SLIMNER_PORT_80_TCP_ADDR": "10.96.0.7",
        "SLIMNER_PORT_80_TCP_PORT": "80",
        "SLIMNER_PORT_80_TCP_PROTO": "tcp",
        "SLIMNER_SERVICE_HOST": "10.96.0.7",
        "SLIMNER_SERVICE_PORT": "80",
        "SLIMNER_SERVICE_PORT_HTTP": "80",
    }
    assert from_environment(service) == from_environment({})


def test_no_setting_has_a_name_that_a_cluster_may_set() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "environment.md"
    names = re.findall(r"^\| `(SLIMNER_\w+)`", page.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(names) > 10
    injected = re.compile(r"\w+_(PORT(_\d+_(TCP|UDP|SCTP)(_\w+)?)?|SERVICE_HOST|SERVICE_PORT(_\w+)?)")
    assert [name for name in names if injected.fullmatch(name)] == []


def test_the_plan_follows_cores_quota_and_memory() -> None:
    machine = msgspec.structs.replace(
        describe(), cores=8, cpu_quota_cores=None, memory_bytes=64 << 30, memory_limit_bytes=None
    )
    settings = Settings(bundle=Path("x"))

    def planned(model: int = 100_000_000, threads: int = 1, **changes: Any) -> tuple[int, int, bool, int]:
        mine = {k: v for k, v in changes.items() if k in Settings.__struct_fields__}
        its = {k: v for k, v in changes.items() if k not in mine}
        found = plan(msgspec.structs.replace(settings, **mine), model, threads, msgspec.structs.replace(machine, **its))
        return found.workers, found.threads, found.preload, len(found.notes)

    assert planned() == (8, 1, True, 0)
    assert planned(cpu_quota_cores=1.5) == (2, 1, True, 0)
    assert planned(threads=2) == (4, 2, False, 1)
    assert planned(workers=3, threads=2) == (3, 2, False, 1)
    few, _, _, notes = planned(limit_memory=256_000_000)
    assert 1 <= few < 8
    assert notes == 1
    assert planned(memory_limit_bytes=256_000_000)[0] == few
    assert planned(limit_memory=50_000_000)[0] == 1
    assert planned(limit_memory=50_000_000, workers=2)[::3] == (2, 1)


def test_what_differs_from_what_was_benchmarked_is_said() -> None:
    served = open_served(zoo.bundle())
    assert served.bundle is not None

    def notes(threads: int, **changes: Any) -> list[str]:
        bundle = msgspec.structs.replace(served.bundle, **changes)
        given = msgspec.structs.replace(served, bundle=bundle)
        return Engine(given, threads=threads, queue=1, deadline_s=1).notes

    usual = notes(1)
    assert len(notes(2)) == len(usual) + 1
    other = msgspec.structs.replace(served.bundle.session, options={"enable_mem_pattern": "True"})
    assert len(notes(1, session=other)) == len(usual) + 1
    alone = msgspec.structs.replace(served, bundle=None)
    assert "without golden texts" in Engine(alone, threads=1, queue=1, deadline_s=1).notes[-1]


@pytest.mark.parametrize("preload", [True, False])
def test_cycles_are_collected_every_so_many_answers_and_what_was_there_before_is_left_alone(preload: bool) -> None:
    class Node:
        itself: Node

    engine = Engine(open_served(zoo.bundle()), threads=1, queue=1, deadline_s=30)
    gc.disable()  # as it is once most objects are frozen, and the rest are few
    try:
        if preload:
            engine.preload()
        engine.start()
        assert gc.get_freeze_count() > 10_000
        node = Node()
        node.itself = node
        gone = weakref.ref(node)
        del node
        for _ in range(TIDY_EVERY - 1):
            engine.sent()
        assert gone() is not None
        engine.sent()
        assert gone() is None
    finally:
        gc.enable()
        gc.unfreeze()


def test_a_model_that_does_not_survive_a_fork_is_found_and_loaded_in_each_worker() -> None:
    assert probe(lambda: [1, 2], 30) == ("", [1, 2])
    assert probe(lambda: signal.pause() or [], 0.3)[0] == "no answer in 0.3 s"
    assert probe(lambda: os.kill(os.getpid(), signal.SIGKILL) or [], 30)[0] == "it crashed"

    def raises() -> list[int]:
        raise ValueError("no")

    assert probe(raises, 30)[0] == "ValueError: no"

    class Hanging(Engine):
        def _wrong(self) -> list[int]:
            return super()._wrong() if os.getpid() == master else (signal.pause() or [])

    master = os.getpid()
    engine = Hanging(open_served(zoo.bundle()), threads=1, queue=1, deadline_s=30)
    engine.probe_s = 0.3
    engine.preload()
    assert "loaded in each worker" in engine.notes[-1]
    engine.start()
    assert engine.ready
    assert engine.answer([TEXT]).results[0]
