"""The modality of texts: views are the text but for what the settings take away; what is corrupted is still a text."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.tree import DecisionTreeClassifier
from torch import Tensor

from unlabeled import catalog
from unlabeled.blocks.couple import couple
from unlabeled.data.tokens import made, opened, rarity
from unlabeled.encoders._build import any_size, build, looks_at, spec
from unlabeled.errors import UserError
from unlabeled.methods import Batch
from unlabeled.methods.causal_lm import CausalLM
from unlabeled.methods.mlm import MLM
from unlabeled.methods.nsp import NSP
from unlabeled.methods.simcse import SimCSE
from unlabeled.modalities.text import Text, hide
from unlabeled.objectives.in_batch import in_batch
from unlabeled.settings import Augmentation
from unlabeled.shift.overlap import RELATIVES
from unlabeled.views import words

SAID = [
    f"The {a} {b} sailed on. Nobody saw the {b} of {c} again."
    for a, b, c in zip(("old", "grey", "Last"), ("ship", "boat", "tug"), ("Hull", "Leith", "Bray"), strict=True)
] * 2


@pytest.fixture(scope="module")
def tokenizer() -> str:
    return made("uncased", SAID * 3)[0]


@pytest.fixture(scope="module")
def cased() -> str:
    return made("cased(vocabulary=300)", SAID * 3)[0]


def modality(tokenizer: str, **settings: float) -> Text:
    return Text(size=24, tokenizer=tokenizer, augmentation=Augmentation(**settings)).at(0, 3)  # type: ignore[arg-type]


def raw(look: Text) -> Tensor:
    return look.ids(SAID)[:, None].to(torch.uint16)


def test_the_plain_view_says_what_the_text_said(tokenizer: str, cased: str) -> None:
    look = modality(tokenizer)
    assert look.texts(look.plain(raw(look))) == [s.lower() for s in SAID]
    exact = Text(size=64, tokenizer=cased)
    odd = "Ça  coûte 5 €,\n\tnon?"
    assert opened(cased).decode(opened(cased).encode(odd).ids) == odd  # no byte is lost, whatever it was trained on
    assert exact.texts(exact.ids([odd])) == [odd]


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("Café Über ﬁne, ½ Ёлка", "cafe uber fine, 1⁄2 елка"),
        ("שָׁלוֹם العَرَبِيَّة", "שלום العربية"),
        ("नमस्ते कि कु", "नमस्ते कि कु"),
        ("ที่นี่", "ที่นี่"),
        ("がぎぐ パン", "がぎぐ パン"),
        ("안녕하세요", "안녕하세요"),
    ],
)
def test_accents_go_and_letters_stay_in_every_script(said: str, read: str, tokenizer: str) -> None:
    own = opened(tokenizer)
    assert own.decode(own.encode(said).ids).strip() == read


def test_a_text_that_names_a_mark_has_its_letters(tokenizer: str, cased: str) -> None:
    said = "[CLS] it said [PAD] and [MASK] [SEP]"
    for how, read in ((tokenizer, said.lower()), (cased, said)):
        look = modality(how)
        ids = look.ids([said], 64)
        assert look.texts(ids) == [read]
        inner = int(words.lengths(ids)) - 2
        assert look.free(ids).tolist() == [[False] + [True] * inner + [False] * (ids.shape[1] - 1 - inner)]


def test_a_folder_that_cuts_and_fills_texts_up_does_neither(tokenizer: str, tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    own = opened(tokenizer).from_str(tokenizer)
    own.enable_truncation(8)
    own.enable_padding(length=8, pad_id=0, pad_token="[PAD]")
    marks = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "cls", "sep", "mask")}
    PreTrainedTokenizerFast(tokenizer_object=own, **marks).save_pretrained(tmp_path)
    found = opened(made(str(tmp_path), [])[0])
    for said in ("ship", " ".join(SAID)):
        assert found.encode(said).ids == opened(tokenizer).encode(said).ids


def test_strong_views_are_the_text_unless_the_settings_say_more(tokenizer: str) -> None:
    look = modality(tokenizer)
    x = raw(look)
    assert torch.equal(look.augment(x), look.plain(x)) and not look.changes()
    cut = modality(tokenizer, crop=0.3, cutout=0.5)
    a, b = cut.augment(x), cut.augment(x)
    assert not torch.equal(a, b) and torch.equal(a, modality(tokenizer, crop=0.3, cutout=0.5).augment(x))
    for view, one in zip(a, cut.plain(x), strict=True):
        inner = view[view > 3].tolist()
        whole = iter(one.tolist())
        assert inner and all(token in whole for token in inner)  # some of its words, in their order
        length = int(words.lengths(view[None]))
        assert view[0] == look.begin and view[length - 1] == look.sep
    assert torch.equal(cut.augment(x, "mild"), cut.plain(x))
    assert (words.lengths(cut.augment(x, "small")) < words.lengths(cut.plain(x))).all()


def test_hidden_words_are_masked_as_bert_does_and_marks_never(tokenizer: str) -> None:
    look = modality(tokenizer)
    view = look.plain(raw(look)).repeat(200, 1)
    seen, chosen, ids = hide(view, look, 0.15)
    assert torch.equal(ids, view) and torch.equal(seen[~chosen], view[~chosen])
    assert not chosen[~look.free(view)].any() and chosen.any(1).all()
    share = chosen.sum() / look.free(view).sum()
    assert 0.14 < float(share) < 0.18
    masked, same = (seen[chosen] == look.mask).float().mean(), (seen[chosen] == ids[chosen]).float().mean()
    assert abs(float(masked) - 0.8) < 0.03 and abs(float(same) - 0.1) < 0.03
    assert (seen >= 0).all() and (seen < look.channels).all()
    again = hide(view, look.at(0, 3), 0.15)[0]
    assert torch.equal(again, hide(view, look.at(0, 3), 0.15)[0]) and not torch.equal(
        again, hide(view, look.at(0, 4), 0.15)[0]
    )


def test_pairs_are_parted_behind_a_sentence(tokenizer: str) -> None:
    look = modality(tokenizer)
    x = raw(look)[:3]
    pair, follows = couple(x, look)
    whole = look.plain(x)
    for row, one, same in zip(pair, whole, follows.tolist(), strict=True):
        first = row[(row > 0) & (row < words.SEGMENT)]
        second = row[row >= words.SEGMENT] - words.SEGMENT
        assert first[-1] == look.sep and second[-1] == look.sep
        assert look.texts(first[None])[0].endswith("sailed on.")
        assert look.texts(second[None])[0].startswith("nobody saw")
        joined = torch.cat([first[:-1], second[:-1]])
        assert same == torch.equal(joined, one[: len(joined)])
    many = torch.cat([couple(x, look.at(0, i))[1] for i in range(50)])
    assert 0.4 < float(many.float().mean()) < 0.6


def test_sentences_end_in_other_scripts_too() -> None:
    said = ["船は大きい。鯨が海を泳いでいるのを見た", "रात ठंडी थी। सुबह हुई"]
    look = Text(size=64, tokenizer=made("uncased(vocabulary=400)", said * 4)[0])
    ids = look.ids(said)
    first = [look.texts(row[None, : int(at)])[0] for row, at in zip(ids, words.cuts(ids, look.ends()), strict=True)]
    assert first == ["船は大きい。", "रात ठंडी थी।"]


def test_wrong_parts_are_those_that_are_allowed(tokenizer: str) -> None:
    look = modality(tokenizer)
    said = [
        f"The old ship sailed on. {name} saw it from the cliffs of the coast." for name in ("Nobody", "A team", "We")
    ]
    x = look.ids(said)[:, None].to(torch.uint16)
    rests = [
        row[at:].tolist() for row, at in zip(look.plain(x), words.cuts(look.plain(x), look.ends("cpu")), strict=True)
    ]
    among = torch.tensor([[False, False, True], [False, False, False], [True, True, False]])
    seen = set()
    for step in range(40):
        pair, follows = couple(x, look.at(0, step), among=among)
        for item, (row, same) in enumerate(zip(pair, follows.tolist(), strict=True)):
            second = (row[row >= words.SEGMENT] - words.SEGMENT).tolist()[:-1]
            source = [i for i, tokens in enumerate(rests) if tokens[: len(second)] == second]
            assert (item in source) if same else any(among[item, i] for i in source)
            seen |= {(item, i) for i in source if not same and among[item, i]}
    assert seen == {(0, 2), (2, 0), (2, 1)}


def test_lengths_do_not_tell_what_follows(tokenizer: str) -> None:
    look = modality(tokenizer)
    chance = np.random.default_rng(0)
    said = [
        f"{'the old ship ' * chance.integers(1, 4)}sailed on. {'nobody saw it ' * chance.integers(1, 5)}."
        for _ in range(40)
    ]
    x = look.ids(said)[:, None].to(torch.uint16)
    sizes: list[tuple[int, int]] = []
    answers: list[int] = []
    for step in range(60):
        pair, follows = couple(x, look.at(0, step))
        second = (pair >= words.SEGMENT).sum(1)
        sizes += zip(((pair > 0).sum(1) - second).tolist(), second.tolist(), strict=True)
        answers += follows.tolist()
    tree = DecisionTreeClassifier(min_samples_leaf=20, random_state=0).fit(sizes[:1200], answers[:1200])
    assert tree.score(sizes[1200:], answers[1200:]) < 0.56


@pytest.mark.parametrize("kind", ["typos", "case", "deletions", "joined", "swapped"])
def test_corruptions(kind: str, cased: str) -> None:
    look = Text(size=96, tokenizer=cased)
    x = look.ids(SAID)[:, None].to(torch.uint16)
    assert kind in look.corruptions() and kind in RELATIVES
    changed = []
    for severity in (1, 5):
        worse = look.at(0, 0).corrupt(x, kind, severity)
        assert worse.shape == x.shape and worse.dtype == x.dtype
        assert all(t.strip() for t in look.texts(look.plain(worse)))
        assert torch.equal(worse, look.at(0, 0).corrupt(x, kind, severity))
        changed.append((look.plain(worse) != look.plain(x)).float().mean())
    assert changed[1] > changed[0]
    with pytest.raises(UserError, match="severity"):
        look.corrupt(x, kind, 6)


def test_what_texts_have_not_is_refused_in_words(tokenizer: str) -> None:
    look = modality(tokenizer)
    view = look.plain(raw(look))
    for ask in (lambda: look.intervene(view), lambda: look.patches(view, 4), lambda: Text(size=3)):
        with pytest.raises(UserError):
            ask()
    assert look.interventions() == () and look.show(view).shape == (6, 160, 160, 3)
    assert look.show(view).min() < 100  # letters are drawn


@pytest.mark.parametrize("name", ["bert", "gpt"])
def test_encoders_leave_out_what_lies_behind_the_end(name: str, tokenizer: str) -> None:
    look = modality(tokenizer)
    encoder = build(spec(f"{name}(width=16, depth=1, heads=2)"), look.channels, 24, 0).eval()
    x = look.ids([*SAID, "ship", *SAID, "old boat", "grey", *SAID])
    with torch.no_grad():
        features, states = encoder.both(x)
        alone = torch.cat([encoder(x[i : i + 1, : int(words.lengths(x[i : i + 1]))]) for i in range(len(x))])
        torch.testing.assert_close(features, encoder(x))
        torch.testing.assert_close(features, alone, rtol=1e-4, atol=1e-5)  # computed by length or one by one
        torch.testing.assert_close(encoder.tokens(x), states)
    assert states.shape == (len(x), 24, 16) and not states[6, 5:].any()


def test_gpt_sees_only_what_came_before(tokenizer: str) -> None:
    look = modality(tokenizer)
    encoder = build(spec("gpt(width=16, depth=1, heads=2)"), look.channels, 24, 0).eval()
    x = look.ids(SAID[:1])
    other = x.clone()
    other[0, 6] = 9
    with torch.no_grad():
        a, b = encoder.tokens(x), encoder.tokens(other)
    torch.testing.assert_close(a[:, :6], b[:, :6])
    assert not torch.allclose(a[:, 6:10], b[:, 6:10])
    method = CausalLM(encoder)  # type: ignore[arg-type]
    nats = method.surprise(x)
    torch.testing.assert_close(nats.sum() / (nats > 0).sum(), method.loss(x).detach())
    written = method.generate(x[:, :4], 5, seed=1)
    assert written.shape == (1, 9) and torch.equal(written, method.generate(x[:, :4], 5, seed=1))


def test_settings_out_of_range_are_refused_in_words(tokenizer: str) -> None:
    bert = build(spec("bert(width=16, depth=1, heads=2)"), 300, 16, 0)
    gpt = build(spec("gpt(width=16, depth=1, heads=2)"), 300, 16, 0)
    for ask in (
        lambda: MLM(gpt),  # type: ignore[arg-type]
        lambda: MLM(bert, share=1.0),  # type: ignore[arg-type]
        lambda: NSP(gpt),  # type: ignore[arg-type]
        lambda: CausalLM(bert),  # type: ignore[arg-type]
        lambda: SimCSE(gpt),  # type: ignore[arg-type]
        lambda: build(spec("bert(width=16, heads=3)"), 300, 16, 0),
        lambda: build(spec("gpt(width=16, heads=2, depth=-1)"), 300, 16, 0),
        lambda: build(spec("tcn"), 300, 16, 0),
        lambda: made("wordish", SAID),
        lambda: made("uncased(vocabulary=9)", SAID),
        lambda: made("no/such/folder", SAID),
    ):
        with pytest.raises(UserError):
            ask()


def test_the_catalog_knows_what_every_encoder_looks_at() -> None:
    for name in catalog.names("encoders"):
        kind = catalog.load("encoders", name)
        assert looks_at(spec(name)) == (kind.space, kind.sees), name
        assert name == "timm" or any_size(spec(name)) == kind.any_size, name
    with pytest.raises(UserError, match="take bert, gpt"):
        build(spec("resnet18"), 300, 16, 0)


def test_in_batch_is_the_slow_loop() -> None:
    chance = torch.Generator().manual_seed(0)
    a, b = torch.randn(5, 7, generator=chance), torch.randn(5, 7, generator=chance)
    total = 0.0
    for i in range(5):
        cosines = [float((a[i] @ b[j]) / (a[i].norm() * b[j].norm())) / 0.05 for j in range(5)]
        total += -cosines[i] + float(np.logaddexp.reduce(cosines))
    assert abs(float(in_batch(a, b, 0.05)) - total / 5) < 1e-4


def test_simcse_needs_dropout_to_have_two_looks(tokenizer: str) -> None:
    look = modality(tokenizer)
    for dropout, alike in ((0.0, True), (0.1, False)):
        torch.manual_seed(0)
        encoder = build(spec(f"bert(width=16, depth=1, heads=2, dropout={dropout})"), look.channels, 24, 0).train()
        method = SimCSE(encoder, mlm=0.0)  # type: ignore[arg-type]
        views = method.views(Batch(raw(look), torch.arange(6)), look)
        assert torch.allclose(encoder(views[0]), encoder(views[1])) == alike
        assert ("dropout" in method.watch(views)[1]) == alike
        cut = modality(tokenizer, crop=0.3)
        assert not method.watch(method.views(Batch(raw(cut), torch.arange(6)), cut))[1]


def test_common_words_weigh_little_and_marks_nothing(tokenizer: str) -> None:
    texts = ["the ship"] * 99 + ["the tug"]
    look = Text(size=24, tokenizer=tokenizer, rarity=rarity(tokenizer, texts))
    weights = look.rarity()
    own = opened(tokenizer)
    the, tug = (own.encode(word, add_special_tokens=False).ids[0] for word in ("the", "tug"))
    counts = np.zeros(own.get_vocab_size())
    for text in texts:  # an independent count
        for number in own.encode(text, add_special_tokens=False).ids:
            counts[number] += 1
    share = counts / counts.sum()
    for number in (the, tug):  # Arora et al. 2017: a / (a + p), a = 0.001, up to the 16th of a bit that is kept
        assert weights[number] == pytest.approx(0.001 / (0.001 + share[number]), rel=0.05)
    assert weights[the] < 0.01 < weights[tug]
    assert all(weights[n] == 0 for n in (look.pad, look.begin, look.sep, look.mask))
    assert (Text(size=24, tokenizer=tokenizer).rarity()[4:] == 1).all()  # nothing is known of how common they are


def test_rare_pooling_is_the_weighted_mean_of_states(tokenizer: str) -> None:
    look = Text(size=24, tokenizer=tokenizer, rarity=rarity(tokenizer, SAID))
    torch.manual_seed(0)
    encoder = build(spec("bert(width=16, depth=1, heads=2, pooling=rare)"), look.channels, look.size, look.space).eval()
    encoder.meet(look)
    ids, weight = look.ids(SAID[:3]), look.rarity()
    states, features = encoder.tokens(ids), encoder(ids)
    for row in range(3):
        total, norm = torch.zeros(16), 0.0
        for at, number in enumerate(ids[row].tolist()):
            total += weight[number] * states[row, at]
            norm += float(weight[number])
        assert torch.allclose(features[row], total / norm, atol=1e-5)
    nothing = torch.tensor([[look.begin, look.mask, look.sep, 0]])
    assert torch.isfinite(encoder(nothing)).all()  # a text whose every word is hidden


def test_the_order_of_words_says_little_before_anything_is_learnt(tokenizer: str) -> None:
    look = modality(tokenizer)
    torch.manual_seed(0)
    encoder = build(spec("bert(width=64, depth=1, heads=2)"), look.channels, look.size, look.space).eval()
    a, b, c = encoder(look.ids(["the old ship sailed", "ship sailed the old", "nobody saw hull again"]))
    assert torch.cosine_similarity(a, b, 0) > torch.cosine_similarity(a, c, 0) + 0.1
