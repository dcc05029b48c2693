"""What the doctor looks at in the values of pictures: bits, ranges that differ from file to file, frames."""

from collections import Counter

import numpy as np

from unlabeled.data.checks import Facts, Finding, Seen
from unlabeled.data.table import Table
from unlabeled.formats.picture import Look
from unlabeled.progress import count

USUAL = 0.95  # share of the pictures that tell how far all go: a hot pixel of one hides nothing
DARK = 32  # of 255: what no picture goes beyond, it uses an eighth of the range or less


def depth(table: Table, seen: Seen) -> tuple[list[Finding], Facts]:
    """Bits a channel, dark ones among them, floats of several ranges, and files of several frames."""
    out = []
    bits = Counter(look.bits for look in seen.looks)
    if len(bits) > 1:
        text = count(bits[16], "picture has", "pictures have")
        text += f" 16 bits and {count(bits[8], 'has', 'have')} 8; all are read with 16"
        out.append(Finding("bits", "warning", text))
    out += _dark(seen.looks, mixed=len(bits) > 1)
    reach = Counter(look.reach for look in seen.looks)
    if reach[1] and reach[65535]:
        text = count(reach[1], "picture holds", "pictures hold")
        text += f" floats up to 1, which count as white, and {count(reach[65535], 'holds', 'hold')} larger ones"
        text += "; save all as whole numbers of 16 bits, so that dark ones stay dark"
        out.append(Finding("bits", "warning", text))
    if stacks := sorted(look.frames for look in seen.looks if look.frames > 1):
        text = count(len(stacks), "picture holds", "pictures hold")
        text += f" several frames (mostly {stacks[len(stacks) // 2]:,}), as stacks of slices and films do, and of each "
        text += "the first alone is read; save the frames as pictures of their own, "
        text += 'and name in a table (path,label,group) which belong together as "group"'
        out.append(Finding("frames", "warning", text))
    return out, {"bits": dict(bits)}


def _dark(looks: list[Look], *, mixed: bool) -> list[Finding]:
    """Whether pictures of 16 bits use the dark end alone; beside others of 8 bits they would be black."""
    bright = np.array([look.thumb.max() for look in looks if look.bits == 16])
    if not len(bright) or (most := int(np.quantile(bright, USUAL, method="higher"))) > DARK:
        return []
    odd = f" (but for {(bright > DARK).sum():,})" if bright.max() > DARK else ""
    what = "those of 16 bits are dark beside the others" if mixed else "the pictures have 16 bits"
    text = f"{what}, and the brightest{odd} reaches {most / 255:.0%} of white, as scanners with 12 bits write them: "
    text += "noise that is added to views hides what they show; spread the values first"
    return [Finding("bits", "warning", f"{text} (times {255 // max(1, most)})")]
