"""What a run of texts can do beside telling classes: whose meaning is alike, what is found again, what follows what,
and how few bits a byte costs. Each is a number on texts that the run has not learnt from.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from unlabeled.blocks.couple import couple
from unlabeled.data import texts
from unlabeled.data.prepare import as_stored
from unlabeled.data.scan import scan
from unlabeled.data.store import build
from unlabeled.data.texts import TextPrep
from unlabeled.data.tokens import opened
from unlabeled.encoders import Encoder
from unlabeled.errors import UserError
from unlabeled.formats import Unreadable
from unlabeled.formats.text import PAIRS, table_of
from unlabeled.methods.causal_lm import CausalLM
from unlabeled.methods.nsp import NSP
from unlabeled.methods.quick_thoughts import QuickThoughts
from unlabeled.metrics import retrieval, spearman
from unlabeled.modalities.text import Text
from unlabeled.training.devices import Device

SCORES = ("score", "similarity", "rating", "relatedness_score")
ALIKE = 0.8  # share of the scale above which a pair counts as the same thing said twice


def features(encoder: Encoder, looks: Text, said: Sequence[str], device: Device, batch: int = 256) -> np.ndarray:
    """Features (N, D) float32 of texts, with dropout at rest."""
    was, out = encoder.training, []
    encoder.eval()
    order = np.argsort([len(t) for t in said], kind="stable")  # alike lengths together: less filling
    with torch.no_grad():
        for at in range(0, len(said), batch):
            ids = looks.ids([said[i] for i in order[at : at + batch]]).to(device.device)
            with device.autocast():
                out.append(encoder(ids).float().cpu().numpy())
    encoder.train(was)
    whole = np.concatenate(out)
    back = np.empty_like(whole)
    back[order] = whole
    return back


def pairs(file: str | Path) -> tuple[list[str], list[str], np.ndarray]:
    """Both texts and the score of each row of a table of pairs; rows without one of them are left out.

    Raises:
        UserError: when the table has no two columns of text, or no score, or no two pairs that are scored apart.
    """
    table = table_of(Path(file))
    lower = {str(c).strip().lower(): c for c in table.columns}
    two = next((p for p in PAIRS if p[0] in lower and p[1] in lower), None)
    score = next((lower[s] for s in SCORES if s in lower), None)
    if two is None or score is None:
        names = ", ".join(map(str, table.columns))
        raise UserError(f"{file} holds no scored pairs (it has: {names})", "name them sentence1, sentence2 and score")
    known = pd.DataFrame({"a": table[lower[two[0]]], "b": table[lower[two[1]]], "y": table[score]}).dropna()
    scores = pd.to_numeric(known["y"], errors="coerce").to_numpy(np.float64)
    good = np.isfinite(scores)
    if len(np.unique(scores[good])) < 2:
        wrong = f"{file} holds {int(good.sum())} pairs of two texts and a number, and no two scores that differ"
        raise UserError(wrong, f'give numbers such as 3.5 in the column "{score}", and two pairs or more')
    return known["a"].astype(str)[good].tolist(), known["b"].astype(str)[good].tolist(), scores[good]


def likeness(encoder: Encoder, looks: Text, file: str | Path, device: Device) -> dict[str, float]:
    """Spearman's correlation of the cosine of two texts' features with the scores that people gave (no regressor on
    top, all pairs in one: Gao et al. 2021, appendix B), and how well the other text of a high-scored pair is found.
    """
    first, second, scores = pairs(file)
    x = features(encoder, looks, [*first, *second], device)
    a, b = (part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-9) for part in np.split(x, 2))
    out = {"pairs": float(len(scores)), "spearman": spearman((a * b).sum(1), scores)}
    same = scores >= scores.min() + ALIKE * (scores.max() - scores.min())
    return out | (retrieval(a[same] @ b[same].T) if same.sum() > 1 else {})


def next_part(
    method: NSP | QuickThoughts,
    looks: Text,
    prep: TextPrep,
    data: str | Path,
    device: Device,
    *,
    seed: int = 0,
    only: str = "",
) -> dict[str, float]:
    """Share of pairs that are told right, half of which follow each other and half of which are of other windows among
    64: `other documents`, as BERT has it, `same document`, which is much harder, and `accuracy`, of any.

    The data's test items are taken where it has any, else all; `only` names a file in it. Where there is one document,
    or none with two windows, what cannot be asked is left out.
    """
    table, store = build(texts.again(as_stored(scan(data), prep), prep), prep, progress=False)
    rows = table.rows("test") if len(table.rows("test")) else table.rows()
    rows = rows[table.items["path"].iloc[rows].str.startswith(only).to_numpy()]
    if len(rows) < 2:
        raise UserError(f"{data} holds {len(rows)} texts to be told apart", "give two or more")
    rows = np.random.default_rng([seed, 5]).permutation(rows)
    whole = table.items["path"].iloc[rows].map(lambda path: "#".join(texts.place(path)[:2])).to_numpy(str)
    document = torch.from_numpy(np.unique(whole, return_inverse=True)[1].ravel()).to(device.device)
    right: dict[str, list[bool]] = {"accuracy": [], "other documents": [], "same document": []}
    method.eval()
    with torch.no_grad():
        for step, at in enumerate(range(0, len(rows) - 1, 64)):
            raw, own = store.batch(rows[at : at + 64]).to(device.device), document[at : at + 64]
            alike = own == own[:, None]
            rules = (None, ~alike, alike & ~torch.eye(len(own), dtype=torch.bool, device=own.device))
            for name, among in zip(right, rules, strict=True):
                pair, follows = couple(raw, looks.at(seed, step), among=among)
                asked = torch.ones_like(follows, dtype=torch.bool) if among is None else among.any(1)
                told = (method.follows(pair) > 0.5).long() == follows
                right[name] += told[asked].tolist()
    return {"pairs": float(len(right["accuracy"])), **{k: float(np.mean(v)) for k, v in right.items() if v}}


def bits_per_byte(method: CausalLM, looks: Text, prep: TextPrep, file: str | Path, device: Device) -> dict[str, float]:
    """Bits that each byte of a text costs, from its first token on; a token sees half a window or more before it.

    Raises:
        UserError: when there is no such text, or the tokenizer loses case, so that the bytes cannot be had back.
    """
    try:
        whole = texts.said(Path(), str(file))
    except Unreadable as fault:
        raise UserError(f"cannot read {file}: {fault}", "give one plain text, such as a .txt file") from None
    own = opened(prep.tokenizer)
    ids = own.encode(whole, add_special_tokens=False).ids
    if own.decode(ids, skip_special_tokens=False) != whole:
        raise UserError("the run's tokenizer does not give back every byte", "pretrain with --tokenizer cased")
    room, nats = prep.size - 1, 0.0
    half = room // 2
    starts = [0, *range(half, max(half, len(ids) - half), half)] if len(ids) > room else [0]
    method.eval()
    rows = [torch.tensor([prep.special[1], *ids[s : s + room]]) for s in starts]
    for at in range(0, len(rows), 32):
        part = torch.nn.utils.rnn.pad_sequence(rows[at : at + 32], batch_first=True).to(device.device)
        cost = method.surprise(part).cpu()
        for number, row in enumerate(cost, at):
            nats += float(row[0 if number == 0 else room - half :].sum(dtype=torch.float64))
    size = len(whole.encode("utf-8"))
    return {"bytes": float(size), "tokens": float(len(ids)), "bits per byte": nats / math.log(2) / size}


def scores(run: Any, data: str, device: Device) -> dict[str, float]:
    """What suits a run and its method, as above: scored pairs, running text, or one text.

    Raises:
        UserError: when neither the method nor the data can be judged so.
    """
    recipe = run.recipe
    if recipe.modality != "text":
        raise UserError(f"{run.folder} looks at {recipe.modality}", "give the run of a method on texts")
    if not Path(data).exists():
        raise UserError(f"there is no {data}", "check the path")
    looks, prep = run.modality(), TextPrep(**recipe.prep)
    if Path(data).is_file() and Path(data).suffix.lower() not in (".txt", ".md"):
        return likeness(device.place(run.encoder()), looks, data, device)
    method = device.place(run.method())
    if isinstance(method, NSP | QuickThoughts):
        return next_part(method, looks, prep, data, device)
    if isinstance(method, CausalLM):
        return bits_per_byte(method, looks, prep, data, device)
    remedy = "give a table of scored pairs, or the run of nsp or causal_lm"
    raise UserError(f"{recipe.method.name} tells nothing of {data} by itself", remedy)
