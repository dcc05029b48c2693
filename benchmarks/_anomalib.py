"""PaDiM and PatchCore as anomalib has them, on pictures that were handed over; run by `anomaly.py`.

python _anomalib.py padim|patchcore SEED pictures.npz out.npz [weights.npz]
"""

import sys
from collections.abc import Iterator

import numpy as np
import torch
from anomalib.models.image.padim.torch_model import PadimModel
from anomalib.models.image.patchcore.torch_model import PatchcoreModel

CORESET = 0.002  # of all places; anomalib's 0.1 would take hours on one core


def main(name: str, seed: str, pictures: str, out: str, weights: str = "") -> None:
    torch.set_num_threads(1)
    torch.manual_seed(int(seed))
    data = np.load(pictures)
    if name == "padim":
        model = PadimModel(backbone="resnet18", layers=["layer1", "layer2", "layer3"], pre_trained=False)
    else:
        model = PatchcoreModel(backbone="resnet18", layers=["layer2", "layer3"], pre_trained=False)
    if weights:  # of a grey encoder: its first layer sees the mean of the three equal channels
        given = {k: torch.from_numpy(v) for k, v in np.load(weights).items()}
        given["conv1.weight"] = given["conv1.weight"].repeat(1, 3, 1, 1) / 3
        net = model.feature_extractor.feature_extractor
        mine = {k: given[k] for k in net.state_dict() if k in given}
        print(f"{len(mine)} of {len(net.state_dict())} tensors taken over", file=sys.stderr)
        net.load_state_dict(mine, strict=False)
    model.train()
    model.feature_extractor.eval()
    with torch.no_grad():
        for x in lots(data["fit"]):
            model(x)
        model.fit() if name == "padim" else model.subsample_embedding(CORESET)
    model.eval()
    scores, maps = [], []
    with torch.no_grad():
        for x in lots(data["test"]):
            found = model(x)
            scores.append(found.pred_score.flatten().numpy())
            maps.append(found.anomaly_map[:, 0].numpy())
    np.savez(out, scores=np.concatenate(scores), maps=np.concatenate(maps))


def lots(x: np.ndarray, size: int = 32) -> Iterator[torch.Tensor]:
    for at in range(0, len(x), size):
        yield torch.from_numpy(x[at : at + size]).float().repeat(1, 3, 1, 1)


if __name__ == "__main__":
    main(*sys.argv[1:])
