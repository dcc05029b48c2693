"""What runs of texts can do, by the verbs: a start from a run or a Hugging Face folder, likeness, bits, new texts."""

import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

from unlabeled import UserError, compare, gauge, pretrain, sample
from unlabeled.data.prepare import as_stored, prepare
from unlabeled.data.texts import TextPrep, said
from unlabeled.data.tokens import opened
from unlabeled.deploy.inputs import table_of
from unlabeled.deploy.serve.reader import Reader
from unlabeled.methods.causal_lm import CausalLM
from unlabeled.metrics import retrieval, spearman
from unlabeled.settings import Budget, Setup, Training
from unlabeled.study.words import bits_per_byte, pairs
from unlabeled.training.devices import open_device
from unlabeled.training.run import Run
from unlabeled.verbs.gauge import Gauge

SMALL, GPT = "bert(width=16, depth=1, heads=2)", "gpt(width=16, depth=1, heads=2)"
TRAINING = Training(batch_size=16, threads=1, precision="fp32", device="cpu")
SAID = {"sea": "The {} ship sailed on. The {} sea was quiet.", "sport": "The {} team won. The {} match was long."}
WORDS = ("old", "grey", "last", "cold", "first", "wide", "late")


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNLABELED_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notes")
    for split, count in (("train", 40), ("test", 10)):
        rows = ["text,label"]
        for i in range(count):
            rows += [f"{t.format(WORDS[i % 7], WORDS[i // 7])} Day {i}.,{k}" for k, t in SAID.items()]
        (folder / f"{split}.csv").write_text("\n".join(rows))
    return folder


def run(data: Path, method: str, out: Path, steps: int = 3, **setup: str) -> Run:
    given = Setup(out=str(out), **{"encoder": SMALL, **setup})  # type: ignore[arg-type]
    return pretrain(str(data), method=method, setup=given, budget=Budget(steps=steps), training=TRAINING)


def test_a_run_begins_where_another_ended(notes: Path, tmp_path: Path) -> None:
    first = run(notes, "mlm", tmp_path / "mlm")
    second = pretrain(
        str(notes), method="simcse", setup=Setup(start=str(first.folder), out=str(tmp_path / "simcse")),
        budget=Budget(steps=1), training=Training(**{**TRAINING.__dict__, "lr": 0.0, "weight_decay": 0.0}),
    )  # fmt: skip
    assert second.recipe.encoder == first.recipe.encoder and dict(second.recipe.prep) == dict(first.recipe.prep)
    a, b = first.encoder().state_dict(), second.encoder().state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)  # no step was made: these are the weights it began with
    with pytest.raises(UserError, match="does not fit"):
        run(notes, "mlm", tmp_path / "wide", start=str(first.folder), encoder="bert(width=32, depth=1, heads=2)")
    with pytest.raises(UserError, match="no model"):
        run(notes, "mlm", tmp_path / "none", start=str(tmp_path / "nothing"))


def test_a_run_begins_with_a_hugging_face_folder(notes: Path, tmp_path: Path) -> None:
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path / "bert"
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words = [*marks, *(w.strip(".") for t in SAID.values() for w in t.lower().split()), *WORDS, ".", "day"]
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(dict.fromkeys(words)))
    tokenizer = BertTokenizerFast(str(folder / "vocab.txt"))
    tokenizer.save_pretrained(folder)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=64,
    )  # fmt: skip
    torch.manual_seed(7)
    model = BertModel(config)
    model.save_pretrained(folder)
    begun = pretrain(
        str(notes), method="mlm", setup=Setup(start=str(folder), out=str(tmp_path / "run")), budget=Budget(steps=1),
        training=Training(**{**TRAINING.__dict__, "lr": 0.0, "weight_decay": 0.0}),
    )  # fmt: skip
    assert begun.recipe.encoder.settings["inner"] == 24
    own = begun.encoder().net.state_dict()
    assert all(torch.equal(own[k], v) for k, v in model.state_dict().items() if k in own)
    look = begun.modality()
    assert look.texts(look.ids(["the old ship"])) == ["the old ship"] and look.begin == tokenizer.cls_token_id
    (folder / "model.safetensors").unlink()
    with pytest.raises(UserError, match="safetensors"):
        run(notes, "mlm", tmp_path / "bare", start=str(folder), encoder=str(begun.recipe.encoder))


def test_likeness_of_scored_pairs(notes: Path, tmp_path: Path) -> None:
    file = tmp_path / "pairs.csv"
    rows = [("the old ship", "the old ship", 5), ("the grey sea", "grey sea", 4), ("a team won", "the sea", 0)]
    file.write_text("\n".join(["sentence1,sentence2,score", *(f"{a},{b},{s}" for a, b, s in rows * 3)]))
    made = run(notes, "simcse", tmp_path / "run")
    scores = gauge(str(made.folder), str(file)).scores
    assert scores["pairs"] == 9 and -1 <= scores["spearman"] <= 1 and scores["gallery"] == 6
    assert pairs(file)[0][0] == "the old ship"
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match="no scored pairs"):
        gauge(str(made.folder), str(tmp_path / "odd.csv"))


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("a ship,the sea,high", "0 pairs"),
        ("a ship,the sea,1", "1 pairs"),
        ("a ship,the sea,1\na team,a goal,1\n,a goal,4", "2 pairs"),
    ],
)
def test_pairs_that_tell_nothing_are_refused_in_one_line(rows: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "pairs.csv").write_text(f"sentence1,sentence2,score\n{rows}\n")
    with pytest.raises(UserError, match=told):
        pairs(tmp_path / "pairs.csv")


def test_a_score_that_is_not_defined_is_shown() -> None:
    assert Gauge("run", "data", {"pairs": 9.0, "spearman": math.nan}).lines()[1:] == ["pairs: 9", "spearman: nan"]


def test_what_follows_what(notes: Path, tmp_path: Path) -> None:
    for method in ("nsp", "quick_thoughts"):
        scores = gauge(str(run(notes, method, tmp_path / method).folder), str(notes)).scores
        assert scores["pairs"] == 20 and 0 <= scores["accuracy"] <= 1
        assert 0 <= scores["other documents"] <= 1 and "same document" not in scores, "a row is a document"


def test_a_row_of_a_table_is_a_document_and_its_windows_are_of_one(notes: Path, tmp_path: Path) -> None:
    made = run(notes, "nsp", tmp_path / "nsp", size=16)  # type: ignore[arg-type]
    (tmp_path / "long").mkdir()
    rows = [" ".join(t.format(a, b) for a in WORDS for b in WORDS) for t in SAID.values()]
    (tmp_path / "long" / "test.csv").write_text("\n".join(["text", *rows]))
    scores = gauge(str(made.folder), str(tmp_path / "long")).scores
    assert scores["pairs"] > 20 and scores.keys() >= {"same document", "other documents"}


def test_bits_per_byte_are_those_of_every_token_once(notes: Path, tmp_path: Path) -> None:
    made = run(notes, "causal_lm", tmp_path / "run", encoder=GPT, tokenizer="cased(vocabulary=300)", size=16)  # type: ignore[arg-type]
    book = tmp_path / "book.txt"
    book.write_text("\n".join(t.format(w, w) for w in WORDS for t in SAID.values()))
    found = gauge(str(made.folder), str(book)).scores
    method, look, prep = made.method().eval(), made.modality(), TextPrep(**made.recipe.prep)
    with torch.no_grad():  # a model that knows nothing: every token costs the logarithm of the vocabulary
        for weight in method.parameters():
            weight.zero_()
    known = bits_per_byte(method, look, prep, book, open_device(TRAINING))  # type: ignore[arg-type]
    tokens = len(opened(prep.tokenizer).encode(book.read_text()).ids)
    size = len(book.read_bytes())
    assert known["bytes"] == found["bytes"] == size and known["tokens"] == tokens
    assert math.isclose(known["bits per byte"], tokens * math.log2(look.channels) / size, rel_tol=1e-5)
    lossy = run(notes, "causal_lm", tmp_path / "lossy", encoder=GPT)
    with pytest.raises(UserError, match="cased"):
        gauge(str(lossy.folder), str(book))
    (tmp_path / "empty.txt").touch()
    for name, told in (("none.txt", "there is no"), ("empty.txt", "it is empty"), (".", "cannot read")):
        with pytest.raises(UserError, match=told):
            gauge(str(made.folder), str(tmp_path / name))
    texts = sample(str(made.folder), count=2, out=str(tmp_path / "new"))
    assert texts.what == "texts" and "synthetic" in texts.files[0].read_text().splitlines()[0]


def test_a_written_text_ends_where_it_says_so(notes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = run(notes, "causal_lm", tmp_path / "run", encoder=GPT)
    look = made.modality()
    two = look.ids(["the old ship"], 6)[0], look.ids(["the match"], 6)[0, 1:]  # an end stands between them
    monkeypatch.setattr(CausalLM, "sample", lambda self, count, chance: torch.cat(two).expand(count, -1))
    texts = sample(str(made.folder), count=1, out=str(tmp_path / "new"))
    assert texts.files[0].read_text().splitlines()[1:] == ["the old ship"]


def test_methods_for_pictures_and_arms_for_texts_in_one_comparison(notes: Path, tmp_path: Path) -> None:
    found = compare(
        str(notes), methods=["simclr", "mlm"], labels=[1.0], seeds=1, draws=1, protocols=["linear"],
        setup=Setup(encoder=SMALL, out=str(tmp_path / "study")), budget=Budget(steps=3), training=TRAINING,
    )  # fmt: skip
    assert {"simclr", "mlm", "random", "tfidf", "lsa"} <= set(found.summary["arm"])
    card = json.loads((tmp_path / "study" / "data.json").read_text())
    assert card["modality"] == "text" and found.report.is_file()


def test_strings_are_texts_and_files_are_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "notice").write_text("a file here")
    monkeypatch.chdir(tmp_path)
    with table_of(["data", "the old ship", "notice"], "text") as table:  # words, whatever lies here
        assert [said(table.folder, p) for p in table.items["path"]] == ["data", "the old ship", "notice"]
    with table_of(["the old ship", "a\n team " * 200], "text") as table:
        assert [said(table.folder, p) for p in table.items["path"]] == ["the old ship", "a\n team " * 200]
    (tmp_path / "one.txt").write_text("the grey sea")
    with table_of([str(tmp_path / "one.txt")], "text") as table:
        assert said(table.folder, table.items["path"][0]) == "the grey sea"


def test_a_model_answers_once_a_text_in_the_order_of_the_texts(notes: Path) -> None:
    prep = prepare(notes, size=16).prep
    with table_of(["the old ship " * 90, "", "the grey sea"], "text") as table:
        assert as_stored(table, prep).items["path"].tolist() == [f"items.jsonl#{i}" for i in range(3)]
    sent = Reader({"modality": "text", "prep": asdict(prep)}, 0).read(b"the old ship " * 90)  # type: ignore[call-overload]
    assert sent.shape == (1, 16) and sent[0, -1] > 0


def test_spearman_and_retrieval_against_scipy_and_a_loop() -> None:
    from scipy.stats import spearmanr

    random = np.random.default_rng(0)
    a, b = random.integers(0, 5, 40).astype(float), random.normal(size=40)
    assert math.isclose(spearman(a, b), float(spearmanr(a, b).statistic), rel_tol=1e-9)
    assert math.isnan(spearman(np.ones(4), b[:4]))
    table = random.normal(size=(12, 12))
    ranks = [sorted(row, reverse=True).index(row[i]) + 1 for i, row in enumerate(table)]
    found = retrieval(table)
    assert found["r@5"] == np.mean(np.array(ranks) <= 5) and found["median rank"] == np.median(ranks)
