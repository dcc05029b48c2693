"""Training steps on texts beside transformers' and sentence-transformers' own trainers: the same network, texts, batch,
optimizer, precision and threads, in turns in one process; tokens per second that are no filling.

    python benchmarks/text_speed.py --out work/ --rounds 5

MLM stands beside `transformers.Trainer` with `BertForMaskedLM` and its collator, SimCSE beside
`SentenceTransformerTrainer` with `MultipleNegativesRankingLoss` on (text, text), as its documentation has it, which
needs `uv run --with datasets`. Their collators pad to the longest of a batch; sentence-transformers reads the words of
a text anew each time it sees it, which its users pay as well.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import pandas as pd
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertModel,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers import DataCollatorForLanguageModeling as Masker

from unlabeled.data.prepare import Prepared, prepare
from unlabeled.data.texts import TextPrep
from unlabeled.data.tokens import opened
from unlabeled.settings import Augmentation, Training
from unlabeled.study.plan import compose, method_and_encoder
from unlabeled.training import optim
from unlabeled.training.devices import open_device
from unlabeled.training.loop import Items, train

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
BATCH, SIZE = 64, 64
Precision = Literal["fp32", "bf16"]
Turn = Callable[[int], float]  # so many steps; CPU seconds of one


def ours(prepared: Prepared, method: str, encoder: str, precision: Precision) -> Turn:
    """The loop of this project."""
    training = Training(batch_size=BATCH, threads=1, device="cpu", precision=precision)
    device = open_device(training)
    spec, net = method_and_encoder(method, encoder, "text")
    recipe = compose(prepared, spec, net, Augmentation(), training, 10_000, 0)
    model = device.place(recipe.build())
    optimizer = optim.build(optim.groups(model, model.weight_decay), training, model.lr, model.betas)
    items = Items(prepared.store, prepared.learning)
    steps = train(model, optimizer, items, recipe.looks(), steps=10_000, training=training, device=device, seed=0)

    def turn(count: int) -> float:
        began = time.process_time()
        for _ in range(count):
            next(steps)
        return (time.process_time() - began) / count

    return turn


class Clock(TrainerCallback):
    """CPU time from the end of a trainer's first step to that of its last, so that its preparations are not counted."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self.ends.append(time.process_time())

    @property
    def each(self) -> float:
        """Seconds of a step."""
        return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)


def words_of(prepared: Prepared) -> str:
    """The tokenizer's JSON."""
    return cast(TextPrep, prepared.prep).tokenizer


def tokenizer_of(prepared: Prepared) -> PreTrainedTokenizerFast:
    """The same tokenizer as transformers wants it."""
    marks = {"pad_token": "[PAD]", "cls_token": "[CLS]", "sep_token": "[SEP]", "mask_token": "[MASK]"}
    return PreTrainedTokenizerFast(tokenizer_object=opened(words_of(prepared)), model_max_length=SIZE, **marks)


def settings(folder: Path, bf16: bool, steps: int) -> dict[str, Any]:
    """What both trainers are told: no logs, no checkpoints, one thread."""
    return {
        "output_dir": str(folder), "max_steps": steps, "per_device_train_batch_size": BATCH, "use_cpu": True,
        "bf16": bf16, "save_strategy": "no", "logging_strategy": "no", "report_to": [], "disable_tqdm": True,
        "learning_rate": 1e-3, "weight_decay": 0.01, "dataloader_num_workers": 0, "max_grad_norm": 0.0,
    }  # fmt: skip


def config_of(prepared: Prepared, width: int, depth: int, heads: int) -> BertConfig:
    """The same network."""
    return BertConfig(
        vocab_size=opened(words_of(prepared)).get_vocab_size(), hidden_size=width, num_hidden_layers=depth,
        num_attention_heads=heads, intermediate_size=4 * width, max_position_embeddings=SIZE, pad_token_id=0,
    )  # fmt: skip


def transformers_mlm(prepared: Prepared, config: BertConfig, bf16: bool, out: Path) -> Turn:
    """`transformers.Trainer`."""
    rows = [row[0][row[0] > 0].astype(int).tolist() for row in prepared.store.array[prepared.learning]]
    data, words, model = [{"input_ids": r} for r in rows], tokenizer_of(prepared), BertForMaskedLM(config)

    def turn(count: int) -> float:
        clock, args = Clock(), TrainingArguments(remove_unused_columns=False, **settings(out, bf16, count + 1))
        Trainer(model, args, Masker(words, mlm_probability=0.15), data, callbacks=[clock]).train()
        return clock.each

    return turn


def sentence_simcse(prepared: Prepared, config: BertConfig, said: list[str], bf16: bool, out: Path) -> Turn:
    """`SentenceTransformerTrainer`."""
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.losses import MultipleNegativesRankingLoss
    from sentence_transformers.models import Pooling, Transformer

    folder = out / f"start-{config.hidden_size}"
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    tokenizer_of(prepared).save_pretrained(folder)
    first = Transformer(str(folder), max_seq_length=SIZE)
    model = SentenceTransformer(modules=[first, Pooling(config.hidden_size)], device="cpu")
    data, loss = Dataset.from_dict({"anchor": said, "positive": said}), MultipleNegativesRankingLoss(model)

    def turn(count: int) -> float:
        clock, args = Clock(), SentenceTransformerTrainingArguments(**settings(out, bf16, count + 1))
        SentenceTransformerTrainer(model, args, train_dataset=data, loss=loss, callbacks=[clock]).train()
        return clock.each

    return turn


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("work"))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8, help="of a turn")
    parser.add_argument("--net", default="256,4,4", help="width, depth and heads")
    parser.add_argument("--precision", default="fp32,bf16")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    prepared = prepare(DATA / "ag_news", size=SIZE)
    said = pd.read_csv(DATA / "ag_news" / "train.csv")["text"].tolist()
    tokens = float((prepared.store.array[prepared.learning] != 0).sum() / len(prepared.learning)) * BATCH
    width, depth, heads = map(int, args.net.split(","))
    encoder, config = f"bert(width={width}, depth={depth}, heads={heads})", config_of(prepared, width, depth, heads)
    for precision in (p for p in get_args(Precision) if p in args.precision.split(",")):
        bf16 = precision == "bf16"
        bars = {
            "mlm": (ours(prepared, "mlm", encoder, precision), transformers_mlm(prepared, config, bf16, args.out)),
            "simcse": (
                ours(prepared, "simcse(mlm=0.0)", encoder, precision),
                sentence_simcse(prepared, config, said, bf16, args.out),
            ),
        }
        for name, pair in bars.items():
            spent: list[list[float]] = [[], []]
            for turn in range(args.rounds + 1):
                for mine, step in zip(spent, pair, strict=True):
                    each = step(args.steps)
                    mine += [each] if turn else []  # the first warms up
            own, theirs = (float(np.median(s)) for s in spent)
            speeds = f"{tokens / own:,.0f} | {tokens / theirs:,.0f} | {theirs / own:.2f} ×"
            print(f"| {name}, {precision} | {speeds} |", flush=True)


if __name__ == "__main__":
    main()
